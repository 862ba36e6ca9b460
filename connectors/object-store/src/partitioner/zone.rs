//! Time zones by the names that Joda-Time knows: `UTC`, `Europe/Paris`, `+02:00`.

use chrono::{DateTime, Days, FixedOffset, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;

/// A zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zone {
    /// The same offset for ever.
    Fixed(FixedOffset),
    /// A place, with its summer times.
    Named(Tz),
}

impl Zone {
    /// The zone of that name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        fixed(name)
            .map(Self::Fixed)
            .or_else(|| name.parse().ok().map(Self::Named))
    }

    /// The time that clocks show there.
    pub(crate) fn local(&self, utc: NaiveDateTime) -> Option<DateTime<FixedOffset>> {
        let offset = match self {
            Self::Fixed(offset) => *offset,
            Self::Named(zone) => zone.offset_from_utc_datetime(&utc).fix(),
        };
        // Nothing may leave the range of dates.
        utc.checked_add_offset(offset)?;
        Some(offset.from_utc_datetime(&utc))
    }

    /// The moment at which clocks show `local` there: the first one where there are two; where summer time skips it, the first
    /// moment after.
    pub(crate) fn moment(&self, local: NaiveDateTime) -> Option<DateTime<FixedOffset>> {
        let found = |local: NaiveDateTime| match self {
            Self::Fixed(offset) => offset.from_local_datetime(&local).earliest(),
            Self::Named(zone) => {
                let moment = zone.from_local_datetime(&local).earliest()?;
                Some(moment.with_timezone(&moment.offset().fix()))
            }
        };
        // No zone has ever skipped more than a day, in steps of a quarter of an hour.
        let later = |quarters: i32| local.checked_add_signed(TimeDelta::minutes(15) * quarters);
        (0..=100).find_map(|quarters| found(later(quarters)?))
    }

    /// The next midnight after a moment.
    pub(crate) fn midnight_after(&self, moment: &DateTime<FixedOffset>) -> Option<DateTime<FixedOffset>> {
        let tomorrow = moment.date_naive().checked_add_days(Days::new(1))?;
        self.moment(tomorrow.and_time(NaiveTime::MIN))
    }

    /// Its name, or how the clocks of a place are called at a moment: `CEST`.
    pub(super) fn abbreviation(&self, moment: &DateTime<FixedOffset>) -> String {
        match self {
            Self::Fixed(_) => self.name(),
            Self::Named(zone) => moment.with_timezone(zone).format("%Z").to_string(),
        }
    }

    /// `Europe/Paris`, `+02:00`, `UTC`.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Fixed(offset) if offset.local_minus_utc() == 0 => "UTC".to_owned(),
            Self::Fixed(offset) => offset.to_string(),
            Self::Named(zone) => zone.name().to_owned(),
        }
    }
}

fn fixed(name: &str) -> Option<FixedOffset> {
    let offset = name
        .strip_prefix("UTC")
        .or_else(|| name.strip_prefix("GMT"))
        .unwrap_or(name);
    if matches!(offset, "" | "Z") {
        return FixedOffset::east_opt(0).filter(|_| !name.is_empty());
    }
    let (sign, offset) = match offset.split_at_checked(1)? {
        ("+", offset) => (1, offset),
        ("-", offset) => (-1, offset),
        _ => return None,
    };
    let (hours, minutes) = offset.split_once(':').unwrap_or((offset, "0"));
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let in_range = (0..=18).contains(&hours) && (0..60).contains(&minutes);
    in_range
        .then(|| FixedOffset::east_opt(sign * (hours * 60 + minutes) * 60))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_have_offsets_or_names() {
        let hour = 3600;
        let cases = [
            ("UTC", Some(0)),
            ("Z", Some(0)),
            ("GMT", Some(0)),
            ("+02:00", Some(2 * hour)),
            ("GMT-5", Some(-5 * hour)),
            ("UTC+05:30", Some(5 * hour + hour / 2)),
            ("+99", None),
            ("é", None),
            ("", None),
            ("Nowhere/Land", None),
        ];
        for (name, expected) in cases {
            let zone = Zone::parse(name);
            let offset = zone.map(|zone| match zone {
                Zone::Fixed(offset) => offset.local_minus_utc(),
                Zone::Named(zone) => panic!("{zone}"),
            });
            assert_eq!(offset, expected, "{name}");
        }
        assert_eq!(Zone::parse("Europe/Paris"), Some(Zone::Named(Tz::Europe__Paris)));
    }

    #[test]
    fn summer_time_skips_and_repeats() {
        let paris = Zone::parse("Europe/Paris").expect("known");
        let moment = |text: &str| {
            let local = NaiveDateTime::parse_from_str(text, "%F %R").expect("a time");
            paris.moment(local).expect("there is one").to_rfc3339()
        };
        assert_eq!(moment("2024-03-31 02:30"), "2024-03-31T03:00:00+02:00");
        assert_eq!(moment("2024-10-27 02:30"), "2024-10-27T02:30:00+02:00");
        assert_eq!(moment("2024-10-27 03:00"), "2024-10-27T03:00:00+01:00");
    }
}
