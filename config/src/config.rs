//! Typed values by key (Kafka's `AbstractConfig`).

use std::collections::BTreeMap;

use crate::{
    Properties, Values,
    value::{Password, Value},
};

/// Where a value came from; what `DescribeConfigs` calls its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// It was given under the key itself or an alias.
    Given,
    /// It was given under this server key.
    Synonym(String),
    /// It was not given.
    Default,
}

/// What [`crate::ConfigDef::parse`] gives: every key of the definition with a value of its type.
///
/// The getters panic for a key that the definition lacks or that is of another type: that is a slip in the program, never
/// in what a user wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    values: Values,
    sources: BTreeMap<String, Source>,
    originals: Properties,
}

/// A type that a getter can give.
pub trait FromValue<'a>: Sized {
    /// The value, if it is of this type.
    fn from_value(value: &'a Value) -> Option<Self>;
}

macro_rules! from_value {
    ($($type:ty: $($variant:ident)|+, $value:ident => $result:expr;)+) => {$(
        impl<'a> FromValue<'a> for $type {
            fn from_value(value: &'a Value) -> Option<Self> {
                match value {
                    $(Value::$variant($value) => Some($result),)+
                    _ => None,
                }
            }
        }
    )+};
}

from_value! {
    bool: Boolean, value => *value;
    i16: Short, value => *value;
    i32: Int, value => *value;
    i64: Long, value => *value;
    f64: Double, value => *value;
    &'a str: String | Class, value => value;
    &'a [String]: List, value => value;
    &'a Password: Password, value => value;
}

impl Config {
    pub(crate) fn new(values: Values, sources: BTreeMap<String, Source>, originals: Properties) -> Self {
        Self {
            values,
            sources,
            originals,
        }
    }

    /// The value of a key that may be `null`.
    ///
    /// # Panics
    /// If the definition lacks the key or has it with another type.
    pub fn get_optional<'a, T: FromValue<'a>>(&'a self, key: &str) -> Option<T> {
        let value = self
            .values
            .get(key)
            .unwrap_or_else(|| panic!("configuration {key} is not defined"));
        value.as_ref().map(|value| {
            let type_name = value.config_type().name();
            T::from_value(value).unwrap_or_else(|| panic!("configuration {key} is of type {type_name}"))
        })
    }

    /// The value of a key that is required or has a default.
    ///
    /// # Panics
    /// If the definition lacks the key, or has it with another type, or with `null` as its default.
    pub fn get<'a, T: FromValue<'a>>(&'a self, key: &str) -> T {
        self.get_optional(key)
            .unwrap_or_else(|| panic!("configuration {key} may be null: use get_optional"))
    }

    /// A value of type STRING.
    pub fn get_string(&self, key: &str) -> &str {
        self.get(key)
    }

    /// A value of type INT.
    pub fn get_int(&self, key: &str) -> i32 {
        self.get(key)
    }

    /// A value of type SHORT.
    pub fn get_short(&self, key: &str) -> i16 {
        self.get(key)
    }

    /// A value of type LONG.
    pub fn get_long(&self, key: &str) -> i64 {
        self.get(key)
    }

    /// A value of type DOUBLE.
    pub fn get_double(&self, key: &str) -> f64 {
        self.get(key)
    }

    /// A value of type BOOLEAN.
    pub fn get_boolean(&self, key: &str) -> bool {
        self.get(key)
    }

    /// A value of type LIST.
    pub fn get_list(&self, key: &str) -> &[String] {
        self.get(key)
    }

    /// A value of type CLASS, as it was written.
    pub fn get_class(&self, key: &str) -> &str {
        self.get(key)
    }

    /// A value of type PASSWORD.
    pub fn get_password(&self, key: &str) -> &Password {
        self.get(key)
    }

    /// Where the value of `key` came from.
    ///
    /// # Panics
    /// If the definition lacks the key.
    pub fn source(&self, key: &str) -> &Source {
        self.sources
            .get(key)
            .unwrap_or_else(|| panic!("configuration {key} is not defined"))
    }

    /// Every value by key.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// What was given, known or not, as it was given.
    pub fn originals(&self) -> &Properties {
        &self.originals
    }

    /// What was given under keys with this prefix, the prefix cut off (Kafka's `originalsWithPrefix`).
    pub fn originals_with_prefix(&self, prefix: &str) -> Properties {
        self.originals
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), value.clone())))
            .collect()
    }
}
