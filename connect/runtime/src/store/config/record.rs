//! The records of the config topic (Kafka's `KafkaConfigBackingStore`): keys with a prefix, values of JSON without schema.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use forebay_client::topic_table::KeyValue;
use forebay_config::Properties;
use forebay_connect_api::TaskId;
use forebay_records::Timestamp;
use serde_json::{Map, Value, json};

use super::state::TargetState;
use crate::loggers;

const CONNECTOR: &str = "connector-";
const TASK: &str = "task-";
const COMMIT: &str = "commit-";
const TARGET_STATE: &str = "target-state-";
const RESTART: &str = "restart-connector-";
const SESSION_KEY: &str = "session-key";
const TASKS_FENCING: &str = "tasks-fencing-";
const LEVEL: &str = "logger-cluster-";

/// What to restart (KIP-745).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RestartRequest {
    /// The tasks, too.
    pub(crate) include_tasks: bool,
    /// Only what is FAILED.
    pub(crate) only_failed: bool,
}

/// The key with which workers sign requests to each other (KIP-507). Its bytes are in no log.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SessionKey {
    /// The key.
    pub(crate) key: Vec<u8>,
    /// What it was made for: `HmacSHA256`.
    pub(crate) algorithm: String,
    /// When it was made.
    pub(crate) created_at: Timestamp,
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionKey")
            .field("algorithm", &self.algorithm)
            .field("created_at", &self.created_at)
            .finish_non_exhaustive()
    }
}

/// A record, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    /// A connector's configuration; `None`: it is deleted.
    Connector(String, Option<Properties>),
    /// A task's configuration, which a commit record makes valid.
    Task(TaskId, Properties),
    /// So many tasks the connector has, and their configurations are the ones before this record.
    Commit(String, u32),
    /// What the user wants of the connector; `None`: nothing in particular.
    TargetState(String, Option<TargetState>),
    /// The connector is to be restarted by the workers that have it.
    Restart(String, RestartRequest),
    /// A logger is to have this level, one of log4j's, in all workers.
    Level(String, &'static str),
    /// Workers sign with this key from now on.
    SessionKey(SessionKey),
    /// So many tasks of the connector may have transactions, and those before them are fenced (KIP-618).
    TaskCount(String, u32),
    /// Nothing for us.
    Other,
}

/// Why a record is none of ours.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("the key is not one of a config topic")]
    Key,
    #[error("the value is not JSON: {0}")]
    Syntax(String),
    #[error("the value lacks {0}, or has it in another form")]
    Field(&'static str),
}

pub(crate) fn connector(name: &str, config: Option<&Properties>) -> KeyValue {
    (
        format!("{CONNECTOR}{name}").into_bytes(),
        config.map(properties_value),
    )
}

pub(crate) fn task(id: &TaskId, config: &Properties) -> KeyValue {
    (format!("{TASK}{id}").into_bytes(), Some(properties_value(config)))
}

pub(crate) fn commit(name: &str, tasks: usize) -> KeyValue {
    let value = json!({ "tasks": tasks }).to_string();
    (format!("{COMMIT}{name}").into_bytes(), Some(value.into_bytes()))
}

pub(crate) fn task_count(name: &str, tasks: usize) -> KeyValue {
    let value = json!({ "task-count": tasks }).to_string();
    (
        format!("{TASKS_FENCING}{name}").into_bytes(),
        Some(value.into_bytes()),
    )
}

/// Workers that are too old to know STOPPED read the first field.
pub(crate) fn target_state(name: &str, state: Option<TargetState>) -> KeyValue {
    let value = state.map(|state| {
        let old = match state {
            TargetState::Stopped => TargetState::Paused,
            other => other,
        };
        json!({ "state": old.name(), "state.v2": state.name() })
            .to_string()
            .into_bytes()
    });
    (format!("{TARGET_STATE}{name}").into_bytes(), value)
}

pub(crate) fn restart(name: &str, request: RestartRequest) -> KeyValue {
    let value = json!({ "include-tasks": request.include_tasks, "only-failed": request.only_failed });
    let value = value.to_string().into_bytes();
    (format!("{RESTART}{name}").into_bytes(), Some(value))
}

pub(crate) fn level(logger: &str, level: &str) -> KeyValue {
    let value = json!({ "level": level }).to_string().into_bytes();
    (format!("{LEVEL}{logger}").into_bytes(), Some(value))
}

pub(crate) fn session_key(key: &SessionKey) -> KeyValue {
    let value = json!({
        "key": BASE64.encode(&key.key),
        "algorithm": key.algorithm,
        "creation-timestamp": key.created_at.0,
    });
    (
        SESSION_KEY.as_bytes().to_vec(),
        Some(value.to_string().into_bytes()),
    )
}

fn properties_value(config: &Properties) -> Vec<u8> {
    json!({ "properties": config }).to_string().into_bytes()
}

/// Reads a record.
pub(crate) fn parse(key: &[u8], value: Option<&[u8]>) -> Result<Record, Error> {
    let key = std::str::from_utf8(key).map_err(|_| Error::Key)?;
    if let Some(name) = key.strip_prefix(TARGET_STATE) {
        let state = value.map(object).transpose()?.map(|value| state_of(&value));
        Ok(Record::TargetState(name.to_owned(), state.transpose()?))
    } else if let Some(name) = key.strip_prefix(TASKS_FENCING) {
        Ok(Record::TaskCount(name.to_owned(), count_of(value, "task-count")?))
    } else if let Some(name) = key.strip_prefix(CONNECTOR) {
        let config = value.map(object).transpose()?.map(|value| properties_of(&value));
        Ok(Record::Connector(name.to_owned(), config.transpose()?))
    } else if let Some(id) = key.strip_prefix(TASK) {
        let (name, number) = id.rsplit_once('-').ok_or(Error::Key)?;
        let id = TaskId {
            connector: name.into(),
            task: number.parse().map_err(|_| Error::Key)?,
        };
        let value = object(value.ok_or(Error::Field("properties"))?)?;
        Ok(Record::Task(id, properties_of(&value)?))
    } else if let Some(name) = key.strip_prefix(COMMIT) {
        Ok(Record::Commit(name.to_owned(), count_of(value, "tasks")?))
    } else if let Some(name) = key.strip_prefix(RESTART) {
        let value = object(value.ok_or(Error::Field("include-tasks"))?)?;
        let flag = |field: &str| value.get(field).and_then(Value::as_bool).unwrap_or(false);
        let request = RestartRequest {
            include_tasks: flag("include-tasks"),
            only_failed: flag("only-failed"),
        };
        Ok(Record::Restart(name.to_owned(), request))
    } else if key == SESSION_KEY {
        let value = object(value.ok_or(Error::Field("key"))?)?;
        session_key_of(&value).map(Record::SessionKey)
    } else if let Some(logger) = key.strip_prefix(LEVEL) {
        let Some(value) = value.map(object).transpose()? else {
            return Ok(Record::Other); // Kafka's workers let a level be as it is then.
        };
        let level = value
            .get("level")
            .and_then(Value::as_str)
            .and_then(loggers::level);
        level
            .map(|level| Record::Level(logger.to_owned(), level))
            .ok_or(Error::Field("level"))
    } else {
        Err(Error::Key)
    }
}

fn count_of(value: Option<&[u8]>, field: &'static str) -> Result<u32, Error> {
    let value = object(value.ok_or(Error::Field(field))?)?;
    let count = value.get(field).and_then(Value::as_u64);
    let count = count.and_then(|count| u32::try_from(count).ok());
    count.ok_or(Error::Field(field))
}

fn object(value: &[u8]) -> Result<Map<String, Value>, Error> {
    serde_json::from_slice(value).map_err(|error| Error::Syntax(error.to_string()))
}

/// A key that another worker wrote with null is one that is not set.
fn properties_of(value: &Map<String, Value>) -> Result<Properties, Error> {
    let properties = value.get("properties").and_then(Value::as_object);
    let properties = properties.ok_or(Error::Field("properties"))?;
    properties
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| {
            let value = value.as_str().ok_or(Error::Field("properties"))?;
            Ok((key.clone(), value.to_owned()))
        })
        .collect()
}

fn session_key_of(value: &Map<String, Value>) -> Result<SessionKey, Error> {
    let text = |field: &'static str| {
        value
            .get(field)
            .and_then(Value::as_str)
            .ok_or(Error::Field(field))
    };
    let key = BASE64.decode(text("key")?).map_err(|_| Error::Field("key"))?;
    let created_at = value.get("creation-timestamp").and_then(Value::as_i64);
    Ok(SessionKey {
        key,
        algorithm: text("algorithm")?.to_owned(),
        created_at: Timestamp(created_at.ok_or(Error::Field("creation-timestamp"))?),
    })
}

fn state_of(value: &Map<String, Value>) -> Result<TargetState, Error> {
    let text = |field: &str| value.get(field).and_then(Value::as_str);
    text("state.v2")
        .or_else(|| text("state"))
        .and_then(TargetState::from_name)
        .ok_or(Error::Field("state"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Properties {
        [
            ("tasks.max".to_owned(), "1".to_owned()),
            ("a".to_owned(), "é\"".to_owned()),
        ]
        .into()
    }

    fn id() -> TaskId {
        TaskId {
            connector: "my-file".into(),
            task: 10,
        }
    }

    #[test]
    fn the_bytes_are_kafkas_and_are_read_back() {
        let all = RestartRequest {
            include_tasks: true,
            only_failed: false,
        };
        let key = SessionKey {
            key: vec![1, 2, 3, 255],
            algorithm: "HmacSHA256".to_owned(),
            created_at: Timestamp(1_700_000_000_000),
        };
        let cases = [
            (
                connector("my-file", Some(&config())),
                "connector-my-file",
                Some(r#"{"properties":{"a":"é\"","tasks.max":"1"}}"#),
                Record::Connector("my-file".to_owned(), Some(config())),
            ),
            (
                connector("my-file", None),
                "connector-my-file",
                None,
                Record::Connector("my-file".to_owned(), None),
            ),
            (
                task(&id(), &config()),
                "task-my-file-10",
                Some(r#"{"properties":{"a":"é\"","tasks.max":"1"}}"#),
                Record::Task(id(), config()),
            ),
            (
                commit("my-file", 2),
                "commit-my-file",
                Some(r#"{"tasks":2}"#),
                Record::Commit("my-file".to_owned(), 2),
            ),
            (
                task_count("my-file", 3),
                "tasks-fencing-my-file",
                Some(r#"{"task-count":3}"#),
                Record::TaskCount("my-file".to_owned(), 3),
            ),
            (
                target_state("my-file", Some(TargetState::Stopped)),
                "target-state-my-file",
                Some(r#"{"state":"PAUSED","state.v2":"STOPPED"}"#),
                Record::TargetState("my-file".to_owned(), Some(TargetState::Stopped)),
            ),
            (
                target_state("my-file", None),
                "target-state-my-file",
                None,
                Record::TargetState("my-file".to_owned(), None),
            ),
            (
                restart("my-file", all),
                "restart-connector-my-file",
                Some(r#"{"include-tasks":true,"only-failed":false}"#),
                Record::Restart("my-file".to_owned(), all),
            ),
            (
                level("a.b", "DEBUG"),
                "logger-cluster-a.b",
                Some(r#"{"level":"DEBUG"}"#),
                Record::Level("a.b".to_owned(), "DEBUG"),
            ),
            (
                session_key(&key),
                "session-key",
                Some(r#"{"key":"AQID/w==","algorithm":"HmacSHA256","creation-timestamp":1700000000000}"#),
                Record::SessionKey(key.clone()),
            ),
        ];
        for ((key, value), expected_key, expected_value, record) in cases {
            assert_eq!(key, expected_key.as_bytes());
            assert_eq!(value.as_deref(), expected_value.map(str::as_bytes));
            assert_eq!(parse(&key, value.as_deref()), Ok(record));
        }
    }

    #[test]
    fn what_older_and_other_workers_wrote_is_understood_or_refused() {
        let parse = |key: &str, value: &str| parse(key.as_bytes(), Some(value.as_bytes()));
        assert_eq!(
            parse("target-state-a", r#"{"state":"PAUSED"}"#),
            Ok(Record::TargetState("a".to_owned(), Some(TargetState::Paused)))
        );
        assert_eq!(
            parse("connector-a", r#"{"properties":{"k":null}}"#),
            Ok(Record::Connector("a".to_owned(), Some(Properties::new())))
        );
        assert_eq!(
            parse("logger-cluster-x", r#"{"level":"loud"}"#),
            Err(Error::Field("level"))
        );
        for (key, value) in [
            ("what", "{}"),
            ("task-a", "{}"),
            ("task-a-x", "{}"),
            ("commit-a", r#"{"tasks":-1}"#),
            ("tasks-fencing-a", r#"{"tasks":1}"#),
            ("connector-a", "["),
            ("connector-a", r#"{"properties":{"k":1}}"#),
            ("target-state-a", r#"{"state":"GONE"}"#),
            ("session-key", "{}"),
            (
                "session-key",
                r#"{"key":"*","algorithm":"HmacSHA256","creation-timestamp":1}"#,
            ),
        ] {
            assert!(parse(key, value).is_err(), "{key} {value}");
        }
    }
}
