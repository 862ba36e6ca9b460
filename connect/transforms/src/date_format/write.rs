//! From a moment to text.

use super::calendar::{Day, MILLISECONDS_PER_DAY, weekday};
use super::{DateFormat, Item};

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

pub(super) const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// Short names are the first letters.
pub(super) const SHORT: usize = 3;

/// A moment, taken apart.
struct Moment {
    days: i64,
    day: Day,
    milliseconds: i64,
}

impl DateFormat {
    /// Writes a moment, in milliseconds since 1970.
    pub(crate) fn write(&self, milliseconds: i64) -> String {
        let days = milliseconds.div_euclid(MILLISECONDS_PER_DAY);
        let moment = Moment {
            days,
            day: Day::of(days),
            milliseconds: milliseconds.rem_euclid(MILLISECONDS_PER_DAY),
        };
        let mut text = String::new();
        for item in &self.items {
            match item {
                Item::Text(literal) => text.push_str(literal),
                Item::Field(letter, count) => moment.write(&mut text, *letter, *count),
            }
        }
        text
    }
}

impl Moment {
    fn write(&self, text: &mut String, letter: char, count: usize) {
        match letter {
            'G' => text.push_str(if self.day.year > 0 { "AD" } else { "BC" }),
            'E' => text.push_str(name(&WEEKDAYS, weekday(self.days), count > SHORT)),
            'M' | 'L' if count >= SHORT => {
                text.push_str(name(&MONTHS, self.day.month - 1, count > SHORT));
            }
            'a' => text.push_str(if self.hour() < 12 { "AM" } else { "PM" }),
            'z' => text.push_str(if count > SHORT {
                "Coordinated Universal Time"
            } else {
                "UTC"
            }),
            'Z' => text.push_str("+0000"),
            'X' => text.push('Z'),
            'y' => write_year(text, of_era(self.day.year), count),
            'Y' => write_year(text, of_era(self.week_year().0), count),
            _ => write_number(text, self.number(letter), count),
        }
    }

    fn hour(&self) -> i64 {
        self.milliseconds / 3_600_000
    }

    fn number(&self, letter: char) -> i64 {
        let hour = self.hour();
        match letter {
            'M' | 'L' => self.day.month,
            'd' => self.day.day,
            'H' => hour,
            'k' => (hour + 23) % 24 + 1,
            'K' => hour % 12,
            'h' => (hour + 11) % 12 + 1,
            'm' => self.milliseconds / 60_000 % 60,
            's' => self.milliseconds / 1000 % 60,
            'S' => self.milliseconds % 1000,
            'D' => self.day.day_of_year(),
            'F' => (self.day.day - 1) / 7 + 1,
            'u' => (weekday(self.days) + 6) % 7 + 1,
            'W' => {
                let first = self.days - self.day.day + 1;
                (self.day.day - 1 + weekday(first)) / 7 + 1
            }
            // 'w': the last of the letters.
            _ => self.week_year().1,
        }
    }

    /// The year and number of the week, which begins on Sunday; the week with the first of January is the first of its year.
    fn week_year(&self) -> (i64, i64) {
        let saturday = self.days + 6 - weekday(self.days);
        let year = Day::of(saturday).year;
        let first = Day {
            year,
            month: 1,
            day: 1,
        };
        let first = first.days();
        let first_sunday = first - weekday(first);
        (year, (self.days - first_sunday) / 7 + 1)
    }
}

/// Counted from 1 in its era, back before Christ.
fn of_era(year: i64) -> i64 {
    if year > 0 { year } else { 1 - year }
}

fn write_year(text: &mut String, year: i64, count: usize) {
    let (number, width) = if count == 2 {
        (year % 100, 2)
    } else {
        (year, count)
    };
    write_number(text, number, width);
}

/// With zeros in front, of which there may be more than formatting can be told. No field is negative.
fn write_number(text: &mut String, number: i64, width: usize) {
    let digits = number.to_string();
    text.extend(std::iter::repeat_n('0', width.saturating_sub(digits.len())));
    text.push_str(&digits);
}

fn name(names: &[&'static str], index: i64, is_full: bool) -> &'static str {
    let name = names[usize::try_from(index).expect("of the calendar")];
    if is_full { name } else { &name[..SHORT] }
}
