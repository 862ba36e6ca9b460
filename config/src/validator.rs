//! What values a key allows, in Kafka's words (`ConfigDef.Range`, `ValidString`, `ValidList`, `NonEmptyString`, …).

use std::{fmt, sync::Arc};

use crate::{error::Error, value::Value};

/// A check on a parsed value. `Display` is what Kafka's documentation lists under "Valid Values".
#[derive(Clone)]
pub enum Validator {
    /// A number within bounds, both included.
    Range {
        /// The least value allowed.
        min: Option<f64>,
        /// The greatest value allowed.
        max: Option<f64>,
    },
    /// One of these strings; every item, where the value is a list.
    OneOf(Vec<String>),
    /// One of these strings in any case.
    OneOfIgnoringCase(Vec<String>),
    /// A string with at least one character, or none given at all.
    NonEmpty,
    /// As [`Validator::NonEmpty`], and without ISO control characters.
    NonEmptyWithoutControlChars,
    /// Anything but `null`.
    NonNull,
    /// A list with at most so many items.
    ListSize(usize),
    /// A list with at least one item, none empty and none twice.
    NonEmptyList,
    /// Every one of these.
    All(Vec<Validator>),
    /// `null`, or a value that this one allows.
    NullOr(Box<Validator>),
    /// A check of the role's own; see [`Validator::custom`].
    Custom {
        /// Shown under "Valid Values".
        description: String,
        /// Gives the reason if the value is not allowed.
        check: CustomCheck,
    },
    /// The same, where Kafka's error has words of its own and no reason; see [`Validator::own`].
    Own {
        /// Shown under "Valid Values".
        description: String,
        /// Gives the error if the value is not allowed.
        check: OwnCheck,
    },
}

/// The function of [`Validator::Own`]: the key, the value, and the error, which names the key.
pub type OwnCheck = Arc<dyn Fn(&str, Option<&Value>) -> Result<(), Error> + Send + Sync>;

/// The function of [`Validator::Custom`]: the key, the value, and the reason why it is not allowed.
pub type CustomCheck = Arc<dyn Fn(&str, Option<&Value>) -> Result<(), String> + Send + Sync>;

impl Validator {
    /// A number not below `min`.
    pub fn at_least(min: impl Into<f64>) -> Self {
        Self::Range {
            min: Some(min.into()),
            max: None,
        }
    }

    /// A number from `min` to `max`, both included.
    pub fn between(min: impl Into<f64>, max: impl Into<f64>) -> Self {
        Self::Range {
            min: Some(min.into()),
            max: Some(max.into()),
        }
    }

    /// One of these strings; of a list, every item.
    pub fn one_of<S: Into<String>>(allowed: impl IntoIterator<Item = S>) -> Self {
        Self::OneOf(allowed.into_iter().map(Into::into).collect())
    }

    /// One of these strings in any case.
    pub fn one_of_ignoring_case<S: Into<String>>(allowed: impl IntoIterator<Item = S>) -> Self {
        Self::OneOfIgnoringCase(allowed.into_iter().map(Into::into).collect())
    }

    /// A check of the role's own. The error it gives is put behind `Invalid value V for configuration K: `.
    pub fn custom(
        description: impl Into<String>,
        check: impl Fn(&str, Option<&Value>) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self::Custom {
            description: description.into(),
            check: Arc::new(check),
        }
    }

    /// What both allow.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (
                Self::Range { min, max },
                Self::Range {
                    min: least,
                    max: most,
                },
            ) => Self::Range {
                min: min.into_iter().chain(least).reduce(f64::max),
                max: max.into_iter().chain(most).reduce(f64::min),
            },
            // `null` stays allowed.
            (Self::NullOr(first), second) => Self::NullOr(Box::new(first.and(second))),
            (first, second) => Self::All(vec![first, second]),
        }
    }

    /// A check whose error is told as it is.
    pub fn own(
        description: impl Into<String>,
        check: impl Fn(&str, Option<&Value>) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Self {
        Self::Own {
            description: description.into(),
            check: Arc::new(check),
        }
    }

    /// Whether `value` is allowed for `key`.
    pub fn check(&self, key: &str, value: Option<&Value>) -> Result<(), Error> {
        match self {
            Self::Own { check, .. } => return check(key, value),
            Self::All(validators) => return validators.iter().try_for_each(|one| one.check(key, value)),
            _ => {}
        }
        self.reason(key, value).map_err(|reason| {
            let shown = match (self, value) {
                // Of a list that may only hold certain strings, the one that it may not.
                (Self::OneOf(_) | Self::OneOfIgnoringCase(_), Some(Value::List(items))) => items
                    .iter()
                    .find(|item| self.reason(key, Some(&Value::String((*item).clone()))).is_err())
                    .cloned()
                    .unwrap_or_default(),
                (_, value) => value.map_or_else(|| "null".to_owned(), show),
            };
            Error::invalid(key, shown, reason)
        })
    }

    fn reason(&self, key: &str, value: Option<&Value>) -> Result<(), String> {
        match self {
            Self::Range { min, max } => in_range(value, *min, *max),
            Self::OneOf(allowed) => strings(value)
                .all(|text| text.is_some_and(|text| allowed.iter().any(|one| one == text)))
                .then_some(())
                .ok_or_else(|| format!("String must be one of: {}", allowed.join(", "))),
            Self::OneOfIgnoringCase(allowed) => strings(value)
                .all(|text| text.is_some_and(|text| allowed.iter().any(|one| one.eq_ignore_ascii_case(text))))
                .then_some(())
                .ok_or_else(|| format!("String must be one of (case insensitive): {}", allowed.join(", "))),
            Self::NonEmpty if text(value) == Some("") => Err("String must be non-empty".to_owned()),
            Self::NonEmpty => Ok(()),
            Self::NonEmptyWithoutControlChars => without_control_chars(value),
            Self::NonNull => value
                .map(|_| ())
                .ok_or_else(|| "entry must be non null".to_owned()),
            Self::ListSize(max) => match value {
                Some(Value::List(items)) if items.len() > *max => {
                    Err(format!("exceeds maximum list size of [{max}]."))
                }
                _ => Ok(()),
            },
            Self::NonEmptyList => non_empty_list(value),
            Self::All(validators) => validators.iter().try_for_each(|one| one.reason(key, value)),
            Self::NullOr(validator) => match value {
                None => Ok(()),
                value => validator.reason(key, value),
            },
            Self::Custom { check, .. } => check(key, value),
            Self::Own { check, .. } => check(key, value).map_err(|error| error.to_string()),
        }
    }
}

/// Java shows a list in brackets when it is part of a message.
fn show(value: &Value) -> String {
    match value {
        Value::List(items) => format!("[{}]", items.join(", ")),
        other => other.to_string(),
    }
}

fn text(value: Option<&Value>) -> Option<&str> {
    match value {
        Some(Value::String(text) | Value::Class(text)) => Some(text),
        Some(Value::Password(password)) => Some(password.value()),
        _ => None,
    }
}

/// The strings to look at: the items of a list, else the one string; `None` for a value that is no string.
fn strings(value: Option<&Value>) -> Box<dyn Iterator<Item = Option<&str>> + '_> {
    match value {
        Some(Value::List(items)) => Box::new(items.iter().map(|item| Some(item.as_str()))),
        other => Box::new(std::iter::once(text(other))),
    }
}

#[allow(clippy::cast_precision_loss)] // As Kafka compares: `Number.doubleValue()`.
fn in_range(value: Option<&Value>, min: Option<f64>, max: Option<f64>) -> Result<(), String> {
    let number = match value {
        Some(Value::Int(number)) => f64::from(*number),
        Some(Value::Short(number)) => f64::from(*number),
        Some(Value::Long(number)) => *number as f64,
        Some(Value::Double(number)) => *number,
        _ => return Err("Value must be non-null".to_owned()),
    };
    match (min, max) {
        (Some(min), _) if number < min => Err(format!("Value must be at least {min}")),
        (_, Some(max)) if number > max => Err(format!("Value must be no more than {max}")),
        _ => Ok(()),
    }
}

fn without_control_chars(value: Option<&Value>) -> Result<(), String> {
    let Some(text) = text(value) else { return Ok(()) };
    if text.is_empty() {
        return Err("String may not be empty".to_owned());
    }
    let found: Vec<String> = text
        .chars()
        .filter(|c| c.is_control())
        .map(|c| u32::from(c).to_string())
        .collect();
    if found.is_empty() {
        return Ok(());
    }
    let found = found.join(", ");
    Err(format!(
        "String may not contain control sequences but had the following ASCII chars: {found}"
    ))
}

fn non_empty_list(value: Option<&Value>) -> Result<(), String> {
    let Some(Value::List(items)) = value else {
        return Err("Value must be non-null".to_owned());
    };
    if items.is_empty() {
        return Err("Configuration must not be empty. Valid values include: any non-empty value".to_owned());
    }
    if items.iter().any(String::is_empty) {
        return Err("Configuration values must not be empty.".to_owned());
    }
    let twice = items
        .iter()
        .enumerate()
        .any(|(index, item)| items[..index].contains(item));
    if twice {
        Err("Configuration values must not be duplicated.".to_owned())
    } else {
        Ok(())
    }
}

impl fmt::Display for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range {
                min: Some(min),
                max: Some(max),
            } => write!(f, "[{min},...,{max}]"),
            Self::Range {
                min: Some(min),
                max: None,
            } => write!(f, "[{min},...]"),
            Self::Range {
                min: None,
                max: Some(max),
            } => write!(f, "[...,{max}]"),
            Self::Range { min: None, max: None } => f.write_str("[...]"),
            Self::OneOf(allowed) => write!(f, "[{}]", allowed.join(", ")),
            Self::OneOfIgnoringCase(allowed) => write!(f, "(case insensitive) [{}]", allowed.join(", ")),
            Self::NonEmpty => f.write_str("non-empty string"),
            Self::NonEmptyWithoutControlChars => {
                f.write_str("non-empty string without ISO control characters")
            }
            Self::NonNull => f.write_str("non-null string"),
            Self::ListSize(max) => write!(f, "List containing maximum of {max} elements"),
            Self::NonEmptyList => f.write_str("any non-duplicate, non-empty values"),
            Self::All(validators) => {
                let shown: Vec<String> = validators.iter().map(ToString::to_string).collect();
                f.write_str(&shown.join(", "))
            }
            Self::NullOr(validator) => write!(f, "null or {validator}"),
            Self::Custom { description, .. } | Self::Own { description, .. } => f.write_str(description),
        }
    }
}

impl fmt::Debug for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Validator({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::ConfigType;

    fn even() -> Validator {
        Validator::custom("an even number", |_, value| match value {
            Some(Value::Int(number)) if number % 2 == 0 => Ok(()),
            _ => Err("is odd".to_owned()),
        })
    }

    #[test]
    fn the_words_are_kafkas() {
        let even = even();
        let cases = [
            (
                Validator::at_least(1),
                ConfigType::Int,
                "0",
                Some("Value must be at least 1"),
            ),
            (Validator::at_least(1), ConfigType::Int, "1", None),
            (
                Validator::between(0, 1),
                ConfigType::Double,
                "1.5",
                Some("Value must be no more than 1"),
            ),
            (
                Validator::one_of(["a", "b"]),
                ConfigType::String,
                "c",
                Some("String must be one of: a, b"),
            ),
            (Validator::one_of(["a", "b"]), ConfigType::List, "b, a", None),
            (
                Validator::one_of(["a", "b"]),
                ConfigType::List,
                "b, c",
                Some("String must be one of: a, b"),
            ),
            (
                Validator::one_of_ignoring_case(["A"]),
                ConfigType::String,
                "a",
                None,
            ),
            (
                Validator::NonEmpty,
                ConfigType::String,
                " ",
                Some("String must be non-empty"),
            ),
            (
                Validator::NonEmptyWithoutControlChars,
                ConfigType::String,
                "a\u{7}b",
                Some("String may not contain control sequences but had the following ASCII chars: 7"),
            ),
            (
                Validator::ListSize(1),
                ConfigType::List,
                "a,b",
                Some("exceeds maximum list size of [1]."),
            ),
            (
                Validator::NonEmptyList,
                ConfigType::List,
                "a,a",
                Some("Configuration values must not be duplicated."),
            ),
            (
                Validator::All(vec![Validator::at_least(4), even.clone()]),
                ConfigType::Int,
                "5",
                Some("is odd"),
            ),
            (even, ConfigType::Int, "4", None),
        ];
        for (validator, config_type, text, reason) in cases {
            let value = config_type.parse(text).expect("the table's values parse");
            let shown = if text == "b, c" {
                "c".to_owned()
            } else {
                show(&value)
            };
            let expected = reason.map(|reason| Error::invalid("k", shown, reason));
            assert_eq!(
                validator.check("k", Some(&value)).err(),
                expected,
                "{validator:?} {text}"
            );
        }
    }

    #[test]
    fn a_number_is_needed() {
        assert_eq!(
            Validator::at_least(0)
                .check("k", None)
                .expect_err("null is no number")
                .to_string(),
            "Invalid value null for configuration k: Value must be non-null"
        );
    }
}
