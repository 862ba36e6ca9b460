//! The records of the config topic (Kafka's `KafkaConfigBackingStore`): keys with a prefix, values of JSON without schema.

use forebay_client::topic_table::KeyValue;
use forebay_config::Properties;
use forebay_connect_api::TaskId;
use serde_json::{Map, Value, json};

use super::state::TargetState;

const CONNECTOR: &str = "connector-";
const TASK: &str = "task-";
const COMMIT: &str = "commit-";
const TARGET_STATE: &str = "target-state-";

/// Records that workers of Apache Kafka write and a worker alone has no use for.
const OTHERS: [&str; 4] = [
    "restart-connector-",
    "tasks-fencing-",
    "session-key",
    "logger-cluster-",
];

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

fn properties_value(config: &Properties) -> Vec<u8> {
    json!({ "properties": config }).to_string().into_bytes()
}

/// Reads a record.
pub(crate) fn parse(key: &[u8], value: Option<&[u8]>) -> Result<Record, Error> {
    let key = std::str::from_utf8(key).map_err(|_| Error::Key)?;
    if let Some(name) = key.strip_prefix(TARGET_STATE) {
        let state = value.map(object).transpose()?.map(|value| state_of(&value));
        Ok(Record::TargetState(name.to_owned(), state.transpose()?))
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
        let value = object(value.ok_or(Error::Field("tasks"))?)?;
        let tasks = value.get("tasks").and_then(Value::as_u64);
        let tasks = tasks.and_then(|tasks| u32::try_from(tasks).ok());
        Ok(Record::Commit(
            name.to_owned(),
            tasks.ok_or(Error::Field("tasks"))?,
        ))
    } else if OTHERS.iter().any(|prefix| key.starts_with(prefix)) {
        Ok(Record::Other)
    } else {
        Err(Error::Key)
    }
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
        for key in [
            "session-key",
            "tasks-fencing-a",
            "restart-connector-a",
            "logger-cluster-x",
        ] {
            assert_eq!(parse(key, "{}"), Ok(Record::Other), "{key}");
        }
        for (key, value) in [
            ("what", "{}"),
            ("task-a", "{}"),
            ("task-a-x", "{}"),
            ("commit-a", r#"{"tasks":-1}"#),
            ("connector-a", "["),
            ("connector-a", r#"{"properties":{"k":1}}"#),
            ("target-state-a", r#"{"state":"GONE"}"#),
        ] {
            assert!(parse(key, value).is_err(), "{key} {value}");
        }
    }
}
