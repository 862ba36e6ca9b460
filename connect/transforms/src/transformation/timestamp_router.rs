//! `TimestampRouter`: renames topics by the record's timestamp.

use forebay_connect_api::config::{self, ConfigDef, ConfigType, Importance};

use super::{Setup, Transformation};
use crate::date_format::DateFormat;
use crate::definition::required;
use crate::{Error, Record};

const TOPIC_FORMAT: &str = "topic.format";
const TIMESTAMP_FORMAT: &str = "timestamp.format";

pub(super) fn config_def() -> ConfigDef {
    let key = |name, default, documentation| {
        required(name, ConfigType::String, Importance::High, documentation).default(default)
    };
    ConfigDef::new()
        .define(key(
            TOPIC_FORMAT,
            "${topic}-${timestamp}",
            "The new name, in which ${topic} stands for the topic and ${timestamp} for the timestamp.",
        ))
        .define(key(
            TIMESTAMP_FORMAT,
            "yyyyMMdd",
            "How the timestamp is written: a pattern of java.text.SimpleDateFormat, in UTC.",
        ))
}

pub(super) fn new(setup: &Setup<'_>) -> Result<Box<dyn Transformation>, Error> {
    let pattern = setup.config.get_string(TIMESTAMP_FORMAT);
    // Kafka says that with the first record.
    let format = DateFormat::new(pattern, setup.now)
        .map_err(|error| config::Error::invalid(TIMESTAMP_FORMAT, pattern, error.to_string()))?;
    Ok(Box::new(TimestampRouter {
        topic: setup.config.get_string(TOPIC_FORMAT).to_owned(),
        format,
    }))
}

#[derive(Debug)]
struct TimestampRouter {
    topic: String,
    format: DateFormat,
}

impl Transformation for TimestampRouter {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, Error> {
        let missing = || Error::Data(format!("Timestamp missing on record: topic '{}'", record.topic));
        let timestamp = self.format.write(record.timestamp.ok_or_else(missing)?.0);
        let topic = self.topic.replace("${topic}", &record.topic);
        record.topic = topic.replace("${timestamp}", &timestamp).into();
        Ok(Some(record))
    }
}
