//! `TopicNameMatches`: records of topics whose whole name matches a regular expression.

use forebay_connect_api::config::{self, Config, ConfigDef, ConfigType, Importance, Validator, Value};
use regex::Regex;

use super::Predicate;
use crate::definition::required;
use crate::{Error, Record, regular_expression};

const PATTERN: &str = "pattern";

pub(super) fn config_def() -> ConfigDef {
    let pattern = required(
        PATTERN,
        ConfigType::String,
        Importance::Medium,
        "A regular expression that must match the whole name of the record's topic. Look-around, references to groups and \
         possessive quantifiers are not supported.",
    );
    let validator = Validator::All(vec![Validator::NonEmpty, valid_regex()]);
    ConfigDef::new().define(pattern.validator(validator))
}

/// Kafka's `RegexValidator`.
pub(crate) fn valid_regex() -> Validator {
    Validator::custom("valid regex", |_, value| match value {
        Some(Value::String(pattern)) => match regular_expression::compile(pattern) {
            Ok(_) => Ok(()),
            Err(reason) => Err(format!("Invalid regex: {reason}")),
        },
        _ => Ok(()),
    })
}

pub(super) fn new(config: &Config) -> Result<Box<dyn Predicate>, Error> {
    let pattern = config.get_string(PATTERN);
    let (_, whole) = regular_expression::compile(pattern)
        .map_err(|reason| config::Error::invalid(PATTERN, pattern, reason))?;
    Ok(Box::new(TopicNameMatches { whole }))
}

#[derive(Debug)]
struct TopicNameMatches {
    whole: Regex,
}

impl Predicate for TopicNameMatches {
    fn test(&self, record: &Record) -> bool {
        self.whole.is_match(&record.topic)
    }
}
