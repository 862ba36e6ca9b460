//! How the text of a field becomes a value.

use std::{fmt, sync::Arc};

use forebay_connect_api::{
    Schema, Value,
    schema::{self, Decimal, Logical, Type},
};

use super::Field;

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// Any text.
    Text,
    /// `true` or `false`.
    Boolean,
    /// Whole numbers of so many bits.
    Integer(u32),
    /// Fractions.
    Float32,
    Float64,
    /// One of Kafka's logical types.
    Logical(Logical),
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("STRING"),
            Self::Boolean => f.write_str("BOOLEAN"),
            Self::Integer(bits) => write!(f, "INT{bits}"),
            Self::Float32 => f.write_str("FLOAT32"),
            Self::Float64 => f.write_str("FLOAT64"),
            Self::Logical(logical) => write!(f, "{logical:?}"),
        }
    }
}

impl Column {
    /// As a schema declares it.
    pub(super) fn of(schema: &Schema) -> Self {
        if let Some(logical) = schema.logical() {
            return Self::Logical(logical);
        }
        match schema.schema_type() {
            Type::Boolean => Self::Boolean,
            Type::Int8 => Self::Integer(8),
            Type::Int16 => Self::Integer(16),
            Type::Int32 => Self::Integer(32),
            Type::Int64 => Self::Integer(64),
            Type::Float32 => Self::Float32,
            Type::Float64 => Self::Float64,
            _ => Self::Text,
        }
    }

    /// The narrowest type that all of these have.
    pub(super) fn infer<'a>(fields: impl Iterator<Item = &'a Field>) -> Self {
        let mut candidates = vec![Self::Boolean, Self::Integer(64), Self::Float64];
        let mut any = false;
        for field in fields {
            any = true;
            // Quotes say that it is a text, and so do zeros that a number would lose.
            candidates.retain(|column| {
                !field.quoted && !keeps_zeros(&field.text) && column.value(&field.text).is_some()
            });
        }
        candidates.first().copied().filter(|_| any).unwrap_or(Self::Text)
    }

    /// The type as inference has it, in one letter.
    pub(super) fn letter(self) -> char {
        match self {
            Self::Boolean => 'b',
            Self::Integer(_) => 'l',
            Self::Float64 | Self::Float32 => 'd',
            Self::Text | Self::Logical(_) => 's',
        }
    }

    pub(super) fn from_letter(letter: char) -> Self {
        match letter {
            'b' => Self::Boolean,
            'l' => Self::Integer(64),
            'd' => Self::Float64,
            _ => Self::Text,
        }
    }

    /// The schema of an inferred column: null is always possible.
    pub(super) fn schema(self) -> Arc<Schema> {
        let of = match self {
            Self::Boolean => Type::Boolean,
            Self::Integer(_) => Type::Int64,
            Self::Float32 | Self::Float64 => Type::Float64,
            Self::Text | Self::Logical(_) => Type::String,
        };
        Schema::primitive(of, true).expect("these are primitive")
    }

    /// Reads a text; `None`: it is no value of the type.
    pub(super) fn value(self, text: &str) -> Option<Value> {
        let trimmed = text.trim();
        let float = || {
            let is_number = trimmed
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
            is_number
                .then(|| trimmed.parse::<f64>().ok())
                .flatten()
                .filter(|number| number.is_finite())
        };
        Some(match self {
            Self::Text => text.into(),
            Self::Boolean if trimmed.eq_ignore_ascii_case("true") => true.into(),
            Self::Boolean if trimmed.eq_ignore_ascii_case("false") => false.into(),
            Self::Boolean => return None,
            Self::Integer(8) => trimmed.parse::<i8>().ok()?.into(),
            Self::Integer(16) => trimmed.parse::<i16>().ok()?.into(),
            Self::Integer(32) => trimmed.parse::<i32>().ok()?.into(),
            Self::Integer(_) => trimmed.parse::<i64>().ok()?.into(),
            #[allow(clippy::cast_possible_truncation)] // A narrower float is what was declared.
            Self::Float32 => (float()? as f32).into(),
            Self::Float64 => float()?.into(),
            Self::Logical(logical) => logical_value(logical, trimmed)?,
        })
    }
}

/// `007`, a postal code or a number of an account.
fn keeps_zeros(text: &str) -> bool {
    let digits = text.trim().trim_start_matches(['+', '-']);
    digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// ISO 8601: `2026-11-21`, `21:33:00.5`, `2026-11-21T21:33:00Z` (or a blank for the T, UTC unless an offset is there); a Timestamp may be
/// milliseconds, too.
fn logical_value(logical: Logical, text: &str) -> Option<Value> {
    Some(match logical {
        Logical::Decimal { scale } => decimal(text, scale)?.into(),
        Logical::Date => i32::try_from(days(text)?).ok()?.into(),
        Logical::Time => i32::try_from(time_of_day(text)?).ok()?.into(),
        Logical::Timestamp => match text.parse::<i64>() {
            Ok(milliseconds) => milliseconds.into(),
            Err(_) => timestamp(text)?.into(),
        },
    })
}

fn decimal(text: &str, scale: i32) -> Option<bytes::Bytes> {
    let scale = usize::try_from(scale).ok()?;
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if digits.len() > 38
        || fraction.len() > scale
        || scale > 38
        || whole.is_empty()
        || !is_number(whole)
        || !is_number(fraction)
    {
        return None;
    }
    let unscaled: i128 = format!("{whole}{fraction:0<scale$}").parse().ok()?;
    Some(Decimal::encode(sign * unscaled))
}

/// Days since 1970-01-01 (Hinnant's algorithm).
fn days(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, '-').map(|part| {
        let is_number = (2..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| part.parse::<i64>().ok()).flatten()
    });
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let last = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=last).contains(&day) {
        return None;
    }
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Milliseconds since midnight.
fn time_of_day(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = clock.split(':').map(|part| {
        let is_number = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| part.parse::<i64>().ok()).flatten()
    });
    let (hours, minutes) = (parts.next()??, parts.next()??);
    let seconds = parts.next().unwrap_or(Some(0))?;
    if parts.next().is_some() || hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let is_number = fraction.len() <= 9 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let milliseconds: i64 = format!("{fraction:0<3}")
        .get(..3)
        .filter(|_| is_number)?
        .parse()
        .ok()?;
    Some(((hours * 60 + minutes) * 60 + seconds) * 1000 + milliseconds)
}

fn timestamp(text: &str) -> Option<i64> {
    let (date, clock) = text.split_once(['T', ' '])?;
    let (clock, offset_minutes) = match clock.strip_suffix('Z') {
        Some(clock) => (clock, 0),
        None => match clock.rfind(['+', '-']) {
            Some(place) => {
                let (clock, offset) = clock.split_at(place);
                let (sign, offset) = offset.split_at(1);
                let (hours, minutes) = offset.split_once(':').or_else(|| offset.split_at_checked(2))?;
                let minutes = if minutes.is_empty() {
                    0
                } else {
                    minutes.parse::<i64>().ok()?
                };
                let total = hours.parse::<i64>().ok()? * 60 + minutes;
                (clock, if sign == "-" { -total } else { total })
            }
            None => (clock, 0),
        },
    };
    let day = days(date)? * i64::from(schema::MILLISECONDS_PER_DAY);
    Some(day + time_of_day(clock)? - offset_minutes * 60_000)
}
