//! One key of a definition: type, default, validator, documentation, place in a form (Kafka's `ConfigDef.ConfigKey`).

use std::{fmt, sync::Arc};

use crate::{
    Values,
    validator::Validator,
    value::{ConfigType, Value},
};

/// How much a key matters, Kafka's `ConfigDef.Importance`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Importance {
    /// Most users set it.
    High,
    /// Some users set it.
    Medium,
    /// Few users set it.
    Low,
}

impl Importance {
    /// Kafka's name, as Connect's REST API shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::High => "HIGH",
            Self::Medium => "MEDIUM",
            Self::Low => "LOW",
        }
    }
}

/// How wide a form shows the value, Kafka's `ConfigDef.Width`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Width {
    /// Unsaid.
    None,
    /// A number or a word.
    Short,
    /// A name.
    Medium,
    /// A list or a text.
    Long,
}

impl Width {
    /// Kafka's name, as Connect's REST API shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Short => "SHORT",
            Self::Medium => "MEDIUM",
            Self::Long => "LONG",
        }
    }
}

/// The unit of a synonym, where it differs from its key's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// The same as the key's.
    Same,
    /// Seconds, where the key counts milliseconds.
    Seconds,
    /// Minutes, where the key counts milliseconds.
    Minutes,
    /// Hours, where the key counts milliseconds.
    Hours,
}

impl Unit {
    /// The value of a synonym as a value of its key. What is no number stays as it is, so that parsing says so.
    pub fn convert(self, value: &str) -> String {
        let factor: i64 = match self {
            Self::Same => return value.to_owned(),
            Self::Seconds => 1_000,
            Self::Minutes => 60_000,
            Self::Hours => 3_600_000,
        };
        match value.trim().parse::<i64>() {
            // Kafka: any negative duration means "without limit", which is -1.
            Ok(number) if number < 0 => "-1".to_owned(),
            Ok(number) => number.saturating_mul(factor).to_string(),
            Err(_) => value.to_owned(),
        }
    }
}

/// A server key that gives a topic key its default (`log.retention.hours` for `retention.ms`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synonym {
    /// The server's key.
    pub name: String,
    /// The unit of its value.
    pub unit: Unit,
}

/// Proposes values for a key given what else is set (Kafka's `ConfigDef.Recommender`).
pub trait Recommender: Send + Sync {
    /// The values a form should offer for `key`.
    fn valid_values(&self, key: &str, parsed: &Values) -> Vec<Value>;

    /// Whether a form should show `key` at all.
    fn visible(&self, key: &str, parsed: &Values) -> bool;
}

/// One key. Made by [`ConfigKey::new`] and the methods that follow it; required unless given a default.
#[derive(Clone)]
pub struct ConfigKey {
    /// The key itself.
    pub name: String,
    /// The type of its value.
    pub config_type: ConfigType,
    /// `None`: required. `Some(None)`: `null` unless given.
    pub default: Option<Option<Value>>,
    /// What values are allowed.
    pub validator: Option<Validator>,
    /// How much it matters.
    pub importance: Importance,
    /// One or two sentences for the user.
    pub documentation: String,
    /// The heading in a form.
    pub group: Option<String>,
    /// The place under that heading; -1 for none.
    pub order_in_group: i32,
    /// How wide a form shows it.
    pub width: Width,
    /// The label in a form; the key unless set.
    pub display_name: String,
    /// Keys that are only validated after this one.
    pub dependents: Vec<String>,
    /// Proposes values.
    pub recommender: Option<Arc<dyn Recommender>>,
    /// Server keys that give the default, the strongest first.
    pub synonyms: Vec<Synonym>,
    /// Other names under which the key is accepted, such as old ones.
    pub aliases: Vec<String>,
    /// Whether it governs durability or security, so that a misspelt one is never only warned about.
    pub guards: bool,
    /// Not shown to users.
    pub internal: bool,
}

impl ConfigKey {
    /// A required key of low importance without documentation; the methods below say more.
    pub fn new(name: impl Into<String>, config_type: ConfigType) -> Self {
        let name = name.into();
        Self {
            display_name: name.clone(),
            name,
            config_type,
            default: None,
            validator: None,
            importance: Importance::Low,
            documentation: String::new(),
            group: None,
            order_in_group: -1,
            width: Width::None,
            dependents: Vec::new(),
            recommender: None,
            synonyms: Vec::new(),
            aliases: Vec::new(),
            guards: false,
            internal: false,
        }
    }

    /// The value that holds unless one is given: `.default(100)`, `.default("none")`, `.default(true)`.
    ///
    /// # Panics
    /// If it is no value of the key's type: definitions are part of the program.
    #[must_use]
    #[allow(clippy::needless_pass_by_value)] // Literals of many types, at every definition.
    pub fn default(mut self, value: impl ToString) -> Self {
        let value = value.to_string();
        let parsed = self.config_type.parse(&value);
        self.default = Some(Some(parsed.unwrap_or_else(|reason| {
            panic!("default of configuration {}: {value}: {reason}", self.name);
        })));
        self
    }

    /// `null` unless a value is given; read it with [`crate::Config::get_optional`].
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.default = Some(None);
        self
    }

    /// Restricts the values.
    #[must_use]
    pub fn validator(mut self, validator: Validator) -> Self {
        self.validator = Some(validator);
        self
    }

    /// Restricts the values beside what its type already does.
    #[must_use]
    pub fn validator_also(mut self, validator: Validator) -> Self {
        self.validator = Some(match self.validator.take() {
            Some(first) => first.and(validator),
            None => validator,
        });
        self
    }

    /// Gives it another type than it was made with.
    #[must_use]
    pub fn config_type(mut self, config_type: ConfigType) -> Self {
        self.config_type = config_type;
        self
    }

    /// Says how much it matters.
    #[must_use]
    pub fn importance(mut self, importance: Importance) -> Self {
        self.importance = importance;
        self
    }

    /// Says what it does.
    #[must_use]
    pub fn documentation(mut self, documentation: impl Into<String>) -> Self {
        self.documentation = documentation.into();
        self
    }

    /// Puts it under a heading at a place.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>, order_in_group: i32) -> Self {
        self.group = Some(group.into());
        self.order_in_group = order_in_group;
        self
    }

    /// Says how wide a form shows it.
    #[must_use]
    pub fn width(mut self, width: Width) -> Self {
        self.width = width;
        self
    }

    /// Gives it a label.
    #[must_use]
    pub fn display_name(mut self, display_name: impl Into<String>) -> Self {
        self.display_name = display_name.into();
        self
    }

    /// Keys to validate after this one.
    #[must_use]
    pub fn dependents<S: Into<String>>(mut self, dependents: impl IntoIterator<Item = S>) -> Self {
        self.dependents = dependents.into_iter().map(Into::into).collect();
        self
    }

    /// Lets a form propose values.
    #[must_use]
    pub fn recommender(mut self, recommender: Arc<dyn Recommender>) -> Self {
        self.recommender = Some(recommender);
        self
    }

    /// Adds a server key that gives the default; the strongest comes first.
    #[must_use]
    pub fn synonym(mut self, name: impl Into<String>, unit: Unit) -> Self {
        self.synonyms.push(Synonym {
            name: name.into(),
            unit,
        });
        self
    }

    /// Accepts the key under another name too.
    #[must_use]
    pub fn alias(mut self, name: impl Into<String>) -> Self {
        self.aliases.push(name.into());
        self
    }

    /// Marks a key that governs durability or security.
    #[must_use]
    pub fn guards(mut self) -> Self {
        self.guards = true;
        self
    }

    /// Hides it from users.
    #[must_use]
    pub fn internal(mut self) -> Self {
        self.internal = true;
        self
    }

    /// Whether there is no default.
    pub fn is_required(&self) -> bool {
        self.default.is_none()
    }
}

impl fmt::Debug for ConfigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigKey")
            .field("name", &self.name)
            .field("config_type", &self.config_type)
            .field("default", &self.default)
            .field("validator", &self.validator)
            .finish_non_exhaustive()
    }
}
