//! The transformations of a connector, in the order that it lists them, each with its predicate (Kafka's `TransformationChain`,
//! `TransformationStage`).

pub(crate) mod definition;

use forebay_connect_api::Timestamp;
use forebay_connect_api::config::{Config, ConfigDef, Error as ConfigError, Errors, Properties};

use crate::predicate::{self, Predicate};
use crate::transformation::{self, Setup, Transformation};
use crate::{Error, Record};
use definition::{PREDICATES, TRANSFORMS, aliases, not_found};

/// What a record goes through between task and converter.
#[derive(Debug, Default)]
pub struct Chain {
    stages: Vec<Stage>,
}

#[derive(Debug)]
struct Stage {
    class: &'static str,
    transformation: Box<dyn Transformation>,
    condition: Option<Condition>,
}

/// To which records a transformation applies.
#[derive(Debug)]
struct Condition {
    predicate: Box<dyn Predicate>,
    negate: bool,
}

/// A record that could not be transformed.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Failed {
    /// The Java class of the transformation that failed.
    pub class: &'static str,
    /// Why.
    pub error: Error,
}

impl Chain {
    /// The chain that a connector's configuration describes. `now` says which century years of two digits are of.
    ///
    /// # Errors
    /// Everything that is wrong with one of the transformations.
    pub fn new(properties: &Properties, now: Timestamp) -> Result<Self, Errors> {
        let mut stages = Vec::new();
        let mut errors = Vec::new();
        for alias in aliases(properties, TRANSFORMS) {
            match stage(properties, &alias, now) {
                Ok(stage) => stages.push(stage),
                Err(of_alias) => errors.extend(of_alias),
            }
        }
        Errors::check(errors)?;
        Ok(Self { stages })
    }

    /// Whether records go through as they are.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// What becomes of a record; `None`: it was filtered.
    ///
    /// # Errors
    /// If a transformation could not do it.
    pub fn apply(&mut self, mut record: Record) -> Result<Option<Record>, Failed> {
        for stage in &mut self.stages {
            let applies = stage
                .condition
                .as_ref()
                .is_none_or(|condition| condition.negate != condition.predicate.test(&record));
            if !applies {
                continue;
            }
            let class = stage.class;
            match stage.transformation.apply(record) {
                Ok(Some(changed)) => record = changed,
                Ok(None) => return Ok(None),
                Err(error) => return Err(Failed { class, error }),
            }
        }
        Ok(Some(record))
    }
}

/// The keys under a prefix, read; errors name them in full.
fn read(properties: &Properties, prefix: &str, def: &ConfigDef) -> Result<Config, Vec<ConfigError>> {
    let own: Properties = properties
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), value.clone())))
        .collect();
    def.parse(&own).map_err(|errors| {
        errors
            .into_iter()
            .map(|error| about(&format!("{prefix}type"), prefix, error))
            .collect()
    })
}

/// An error of a key under a prefix as one of the key in full; what is about no key is about `otherwise`.
fn about(otherwise: &str, prefix: &str, error: ConfigError) -> ConfigError {
    let key = error
        .key()
        .map_or_else(|| otherwise.to_owned(), |key| format!("{prefix}{key}"));
    match error {
        ConfigError::Missing { .. } => ConfigError::Missing { key },
        ConfigError::Invalid { value, reason, .. } => ConfigError::Invalid { key, value, reason },
        other => ConfigError::Other {
            key: Some(key),
            message: other.to_string(),
        },
    }
}

/// What a configuration says under a key that must be there.
fn class_name<'a>(properties: &'a Properties, key: &str) -> Result<&'a str, Vec<ConfigError>> {
    let name = properties.get(key).map(|name| name.trim());
    name.ok_or_else(|| vec![ConfigError::Missing { key: key.to_owned() }])
}

fn unknown_class(key: &str, name: &str, known: impl Iterator<Item = &'static str>) -> Vec<ConfigError> {
    vec![ConfigError::invalid(key, name, not_found(name, known))]
}

fn stage(properties: &Properties, alias: &str, now: Timestamp) -> Result<Stage, Vec<ConfigError>> {
    let prefix = format!("{TRANSFORMS}.{alias}.");
    let key = format!("{prefix}type");
    let name = class_name(properties, &key)?;
    let known = || transformation::CLASSES.iter().map(|class| class.class);
    let class = transformation::find(name).ok_or_else(|| unknown_class(&key, name, known()))?;
    let config = read(properties, &prefix, &(class.config_def)())?;
    let setup = Setup {
        config: &config,
        side: class.side,
        now: now.0,
    };
    let transformation = (class.new)(&setup).map_err(|error| vec![config_error(&key, &prefix, error)])?;
    let negate = properties.get(&format!("{prefix}negate"));
    let condition = match properties.get(&format!("{prefix}predicate")) {
        Some(alias) => Some(Condition {
            predicate: new_predicate(properties, alias.trim())?,
            negate: negate.is_some_and(|negate| negate.trim().eq_ignore_ascii_case("true")),
        }),
        None => None,
    };
    Ok(Stage {
        class: class.class,
        transformation,
        condition,
    })
}

fn new_predicate(properties: &Properties, alias: &str) -> Result<Box<dyn Predicate>, Vec<ConfigError>> {
    let prefix = format!("{PREDICATES}.{alias}.");
    let key = format!("{prefix}type");
    if !aliases(properties, PREDICATES).iter().any(|known| known == alias) {
        return Err(vec![ConfigError::Other {
            message: format!("Unknown configuration '{key}'"),
            key: Some(key),
        }]);
    }
    let name = class_name(properties, &key)?;
    let known = || predicate::CLASSES.iter().map(|class| class.class);
    let class = predicate::find(name).ok_or_else(|| unknown_class(&key, name, known()))?;
    let config = read(properties, &prefix, &(class.config_def)())?;
    (class.new)(&config).map_err(|error| vec![config_error(&key, &prefix, error)])
}

fn config_error(key: &str, prefix: &str, error: Error) -> ConfigError {
    match error {
        Error::Config(error) => about(key, prefix, error),
        other => ConfigError::Other {
            key: Some(key.to_owned()),
            message: other.to_string(),
        },
    }
}
