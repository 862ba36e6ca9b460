//! The types of configuration values and how a string becomes one (Kafka's `ConfigDef.Type` and `parseType`).

use std::fmt;

/// The type of a configuration key, Kafka's `ConfigDef.Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConfigType {
    /// `true` or `false`, in any case.
    Boolean,
    /// Any string, trimmed.
    String,
    /// A 32-bit signed integer.
    Int,
    /// A 16-bit signed integer.
    Short,
    /// A 64-bit signed integer.
    Long,
    /// A floating-point number.
    Double,
    /// Strings separated by commas.
    List,
    /// The name of a class; what it stands for is the business of the role that reads it.
    Class,
    /// A string that is never shown.
    Password,
}

impl ConfigType {
    /// Kafka's name of the type, as Connect's REST API and error messages show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }

    /// Reads a value of this type; the error is Kafka's reason (`Not a number of type INT`), to be put after the key.
    pub fn parse(self, text: &str) -> Result<Value, String> {
        let text = trim(text);
        let not_a_number = || format!("Not a number of type {}", self.name());
        Ok(match self {
            Self::Boolean if text.eq_ignore_ascii_case("true") => Value::Boolean(true),
            Self::Boolean if text.eq_ignore_ascii_case("false") => Value::Boolean(false),
            Self::Boolean => return Err("Expected value to be either true or false".to_owned()),
            Self::String => Value::String(text.to_owned()),
            Self::Int => Value::Int(text.parse().map_err(|_| not_a_number())?),
            Self::Short => Value::Short(text.parse().map_err(|_| not_a_number())?),
            Self::Long => Value::Long(text.parse().map_err(|_| not_a_number())?),
            Self::Double => Value::Double(parse_double(text).ok_or_else(not_a_number)?),
            Self::List if text.is_empty() => Value::List(Vec::new()),
            Self::List => Value::List(text.split(',').map(|item| trim(item).to_owned()).collect()),
            Self::Class => Value::Class(text.to_owned()),
            Self::Password => Value::Password(Password::new(text)),
        })
    }
}

impl fmt::Display for ConfigType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Java's `String.trim`: cuts control characters and blanks, but no wider Unicode space.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}

/// Java's `Double.parseDouble`, hexadecimal floats aside: a trailing type letter is allowed, `inf` is not.
fn parse_double(text: &str) -> Option<f64> {
    let digits = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    match digits.trim_start_matches(['+', '-']) {
        "Infinity" | "NaN" => text.parse().ok(),
        unsigned if unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') => digits.parse().ok(),
        _ => None,
    }
}

/// A secret. `Debug` and `Display` show Kafka's `[hidden]`; only [`Password::value`] gives it away.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Password(String);

impl Password {
    /// Wraps a secret.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The secret itself.
    pub fn value(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl fmt::Display for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// A parsed value. `Display` is Kafka's `ConfigDef.convertToString`: lists joined by commas, passwords hidden.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of type BOOLEAN.
    Boolean(bool),
    /// Of type STRING.
    String(String),
    /// Of type INT.
    Int(i32),
    /// Of type SHORT.
    Short(i16),
    /// Of type LONG.
    Long(i64),
    /// Of type DOUBLE.
    Double(f64),
    /// Of type LIST.
    List(Vec<String>),
    /// Of type CLASS: the name as it was given.
    Class(String),
    /// Of type PASSWORD.
    Password(Password),
}

impl Value {
    /// The type this is a value of.
    pub fn config_type(&self) -> ConfigType {
        match self {
            Self::Boolean(_) => ConfigType::Boolean,
            Self::String(_) => ConfigType::String,
            Self::Int(_) => ConfigType::Int,
            Self::Short(_) => ConfigType::Short,
            Self::Long(_) => ConfigType::Long,
            Self::Double(_) => ConfigType::Double,
            Self::List(_) => ConfigType::List,
            Self::Class(_) => ConfigType::Class,
            Self::Password(_) => ConfigType::Password,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::String(value) | Self::Class(value) => f.write_str(value),
            Self::Int(value) => value.fmt(f),
            Self::Short(value) => value.fmt(f),
            Self::Long(value) => value.fmt(f),
            // `0.0`, not `0`: as Java writes it.
            Self::Double(value) => write!(f, "{value:?}"),
            Self::List(items) => f.write_str(&items.join(",")),
            Self::Password(value) => value.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_become_values_as_in_kafka() {
        let cases = [
            (ConfigType::Boolean, " TRUE ", Ok(Value::Boolean(true))),
            (
                ConfigType::Boolean,
                "yes",
                Err("Expected value to be either true or false"),
            ),
            (ConfigType::Int, "2147483647", Ok(Value::Int(i32::MAX))),
            (ConfigType::Int, "2147483648", Err("Not a number of type INT")),
            (ConfigType::Int, "", Err("Not a number of type INT")),
            (ConfigType::Int, "+7", Ok(Value::Int(7))),
            (ConfigType::Short, "-32768", Ok(Value::Short(i16::MIN))),
            (ConfigType::Short, "32768", Err("Not a number of type SHORT")),
            (ConfigType::Long, "9223372036854775807", Ok(Value::Long(i64::MAX))),
            (ConfigType::Long, "1.0", Err("Not a number of type LONG")),
            (ConfigType::Double, "0.8", Ok(Value::Double(0.8))),
            (ConfigType::Double, "1e3f", Ok(Value::Double(1000.0))),
            (ConfigType::Double, "inf", Err("Not a number of type DOUBLE")),
            (ConfigType::List, "", Ok(Value::List(vec![]))),
            (
                ConfigType::List,
                " a , b,,c ",
                Ok(Value::List(["a", "b", "", "c"].map(String::from).to_vec())),
            ),
            (ConfigType::String, "  x y\t", Ok(Value::String("x y".to_owned()))),
            (
                ConfigType::Password,
                "s3cret",
                Ok(Value::Password(Password::new("s3cret"))),
            ),
        ];
        for (config_type, text, expected) in cases {
            assert_eq!(
                config_type.parse(text),
                expected.map_err(String::from),
                "{config_type} {text:?}"
            );
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let value = ConfigType::Password
            .parse("s3cret")
            .expect("any string is a password");
        assert_eq!(format!("{value} {value:?}"), "[hidden] Password([hidden])");
    }
}
