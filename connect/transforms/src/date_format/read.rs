//! From text to a moment.

use super::calendar::{Day, MILLISECONDS_PER_DAY};
use super::write::{MONTHS, SHORT, WEEKDAYS};
use super::{DateFormat, Item};

/// Why a text was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It is not as the pattern wants it.
    Text,
    /// The pattern has a letter that is only written here.
    Letter(char),
    /// It has the name of a time zone that is not known here.
    Zone(String),
}

/// The fields that were read; what is not in the pattern is as on 1970-01-01T00:00:00Z.
#[derive(Debug, Default)]
struct Fields {
    before_christ: bool,
    year: Option<i64>,
    /// Whether two digits of the year are of the year in which the hundred years begin, so that the day decides.
    is_ambiguous: bool,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    hour_of_day: Option<i64>,
    hour: Option<i64>,
    is_afternoon: bool,
    minute: i64,
    second: i64,
    millisecond: i64,
    /// In milliseconds east of UTC.
    zone: i64,
}

/// Names of zones that logs have, beside UTC and its own; others are refused.
const ZONES: [(&str, i64); 12] = [
    ("UTC", 0),
    ("UT", 0),
    ("Z", 0),
    ("WET", 0),
    ("EST", -5),
    ("EDT", -4),
    ("CST", -6),
    ("CDT", -5),
    ("MST", -7),
    ("MDT", -6),
    ("PST", -8),
    ("PDT", -7),
];

impl DateFormat {
    /// Reads the beginning of a text, in milliseconds since 1970.
    pub(crate) fn read(&self, text: &str) -> Result<i64, Unreadable> {
        let mut reader = Reader { text, index: 0 };
        let mut fields = Fields::default();
        for (place, item) in self.items.iter().enumerate() {
            match item {
                Item::Text(literal) => reader.literal(literal)?,
                Item::Field(letter, count) => {
                    let next = self.items.get(place + 1);
                    // Digits of two fields in a row are told apart by the pattern alone.
                    let width = next.is_some_and(is_number).then_some(*count);
                    self.field(&mut reader, &mut fields, (*letter, *count), width)?;
                }
            }
        }
        fields.moment(self.century_start)
    }

    fn field(
        &self,
        reader: &mut Reader<'_>,
        fields: &mut Fields,
        (letter, count): (char, usize),
        width: Option<usize>,
    ) -> Result<(), Unreadable> {
        reader.skip_blanks()?;
        match letter {
            'G' => fields.before_christ = reader.name(&["AD", "BC"])? == 1,
            'y' => self.year(reader, fields, count, width)?,
            'M' | 'L' if count >= SHORT => fields.month = Some(reader.long_or_short(&MONTHS)? + 1),
            'M' | 'L' => fields.month = Some(reader.number(width)?),
            'd' => fields.day = Some(reader.number(width)?),
            'D' => fields.day_of_year = Some(reader.number(width)?),
            'E' => drop(reader.long_or_short(&WEEKDAYS)?),
            'u' => drop(reader.number(width)?),
            'a' => fields.is_afternoon = reader.name(&["AM", "PM"])? == 1,
            'H' => fields.hour_of_day = Some(reader.number(width)?),
            'k' => fields.hour_of_day = Some(zero_if(24, reader.number(width)?)),
            'K' => fields.hour = Some(reader.number(width)?),
            'h' => fields.hour = Some(zero_if(12, reader.number(width)?)),
            'm' => fields.minute = reader.number(width)?,
            's' => fields.second = reader.number(width)?,
            'S' => fields.millisecond = reader.number(width)?,
            'z' | 'Z' => fields.zone = reader.zone()?,
            'X' => fields.zone = reader.iso_zone(count)?,
            // Those of weeks.
            other => return Err(Unreadable::Letter(other)),
        }
        if matches!(letter, 'E' | 'u') && !self.items.iter().any(is_day) {
            return Err(Unreadable::Letter(letter));
        }
        Ok(())
    }

    fn year(
        &self,
        reader: &mut Reader<'_>,
        fields: &mut Fields,
        count: usize,
        width: Option<usize>,
    ) -> Result<(), Unreadable> {
        let begin = reader.index;
        let mut year = reader.number(width)?;
        let digits = &reader.text[begin..reader.index];
        if count <= 2 && digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let start = Day::of(self.century_start.div_euclid(MILLISECONDS_PER_DAY)).year;
            fields.is_ambiguous = year == start % 100;
            year += start / 100 * 100 + if year < start % 100 { 100 } else { 0 };
        }
        fields.year = Some(year);
        Ok(())
    }
}

/// The last hour of a clock that begins with 1 is the first.
fn zero_if(last: i64, hour: i64) -> i64 {
    if hour == last { 0 } else { hour }
}

/// Whether digits are expected there, so that the field before has to end before them.
fn is_number(item: &Item) -> bool {
    match item {
        Item::Field('M' | 'L', count) => *count < SHORT,
        Item::Field(letter, _) => "ydkHmsSDFwWhKYu".contains(*letter),
        Item::Text(_) => false,
    }
}

fn is_day(item: &Item) -> bool {
    matches!(item, Item::Field('d' | 'D', _))
}

impl Fields {
    fn moment(&self, century_start: i64) -> Result<i64, Unreadable> {
        let year = self.year.unwrap_or(if self.before_christ { 1 } else { 1970 });
        let year = if self.before_christ { 1 - year } else { year };
        let first = self.at(year)?;
        if self.is_ambiguous && first < century_start {
            return self.at(year + 100);
        }
        Ok(first)
    }

    fn at(&self, year: i64) -> Result<i64, Unreadable> {
        let day = match self
            .day_of_year
            .filter(|_| self.month.is_none() && self.day.is_none())
        {
            Some(day) => Day { year, month: 1, day },
            None => Day {
                year,
                month: self.month.unwrap_or(1),
                day: self.day.unwrap_or(1),
            },
        };
        let afternoon = if self.is_afternoon { 12 } else { 0 };
        let hour = self.hour_of_day.unwrap_or(self.hour.unwrap_or(0) + afternoon);
        let of_day = hour * 3_600_000 + self.minute * 60_000 + self.second * 1000 + self.millisecond;
        let days = day.days().checked_mul(MILLISECONDS_PER_DAY);
        days.and_then(|days| days.checked_add(of_day - self.zone))
            .ok_or(Unreadable::Text)
    }
}

/// A text and how far it is read.
struct Reader<'a> {
    text: &'a str,
    index: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.index..]
    }

    fn literal(&mut self, literal: &str) -> Result<(), Unreadable> {
        if !self.rest().starts_with(literal) {
            return Err(Unreadable::Text);
        }
        self.index += literal.len();
        Ok(())
    }

    /// Blanks before a field; there must be something behind them.
    fn skip_blanks(&mut self) -> Result<(), Unreadable> {
        let rest = self.rest();
        let trimmed = rest.trim_start_matches([' ', '\t']);
        self.index += rest.len() - trimmed.len();
        if trimmed.is_empty() {
            Err(Unreadable::Text)
        } else {
            Ok(())
        }
    }

    /// Digits, of which there may be a minus; no more characters than `width`, which must be there.
    fn number(&mut self, width: Option<usize>) -> Result<i64, Unreadable> {
        let rest = self.rest();
        let limited = match width {
            Some(width) => rest.get(..width).ok_or(Unreadable::Text)?,
            None => rest,
        };
        let unsigned = limited.strip_prefix('-').unwrap_or(limited);
        let digits = unsigned.len() - unsigned.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let length = limited.len() - unsigned.len() + digits;
        if digits == 0 {
            return Err(Unreadable::Text);
        }
        self.index += length;
        // More than a calendar of Java's can count: what Java makes of it depends on the digits that it loses.
        let number: i64 = limited[..length].parse().map_err(|_| Unreadable::Text)?;
        i32::try_from(number).map(i64::from).map_err(|_| Unreadable::Text)
    }

    /// Which of these names, the longest that fits, in any case.
    fn name(&mut self, names: &[&str]) -> Result<i64, Unreadable> {
        let rest = self.rest();
        let fits = |name: &&str| {
            rest.get(..name.len())
                .is_some_and(|text| text.eq_ignore_ascii_case(name))
        };
        let found = names.iter().enumerate().filter(|(_, name)| fits(name));
        let (index, name) = found.max_by_key(|(_, name)| name.len()).ok_or(Unreadable::Text)?;
        self.index += name.len();
        Ok(i64::try_from(index).expect("a dozen"))
    }

    fn long_or_short(&mut self, names: &[&str]) -> Result<i64, Unreadable> {
        let short: Vec<&str> = names.iter().map(|name| &name[..SHORT]).collect();
        self.name(names).or_else(|_| self.name(&short))
    }

    /// `+hhmm`, `GMT+hh:mm`, or a name.
    fn zone(&mut self) -> Result<i64, Unreadable> {
        let rest = self.rest();
        if rest.starts_with(['+', '-']) {
            return self.offset(0, false);
        }
        if rest.get(..3).is_some_and(|text| text.eq_ignore_ascii_case("GMT")) {
            self.index += 3;
            return if self.rest().starts_with(['+', '-']) {
                self.offset(0, true)
            } else {
                Ok(0)
            };
        }
        let length = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let name = &rest[..length];
        if name.is_empty() {
            return Err(Unreadable::Text);
        }
        let known = ZONES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let (_, hours) = known.ok_or_else(|| Unreadable::Zone(name.to_owned()))?;
        self.index += length;
        Ok(hours * 3_600_000)
    }

    /// `Z`, `+hh`, `+hhmm`, `+hh:mm`.
    fn iso_zone(&mut self, count: usize) -> Result<i64, Unreadable> {
        if self.rest().starts_with('Z') {
            self.index += 1;
            return Ok(0);
        }
        if !self.rest().starts_with(['+', '-']) {
            return Err(Unreadable::Text);
        }
        self.offset(count, count == 3)
    }

    /// Behind the sign: hours, of one digit only in `GMT+h:mm`, and minutes unless `count` is 1.
    fn offset(&mut self, count: usize, colon: bool) -> Result<i64, Unreadable> {
        let sign = if self.rest().starts_with('-') { -1 } else { 1 };
        self.index += 1;
        let mut hours = self.digit()?;
        match self.digit() {
            Ok(digit) => hours = hours * 10 + digit,
            Err(error) if count > 0 || !colon => return Err(error),
            Err(_) => {}
        }
        let mut minutes = 0;
        if count != 1 {
            if colon {
                self.literal(":")?;
            }
            minutes = self.digit()? * 10 + self.digit()?;
        }
        if hours > 23 || minutes > 59 {
            return Err(Unreadable::Text);
        }
        Ok(sign * (hours * 60 + minutes) * 60_000)
    }

    fn digit(&mut self) -> Result<i64, Unreadable> {
        let byte = self.rest().bytes().next().filter(u8::is_ascii_digit);
        let byte = byte.ok_or(Unreadable::Text)?;
        self.index += 1;
        Ok(i64::from(byte - b'0'))
    }
}
