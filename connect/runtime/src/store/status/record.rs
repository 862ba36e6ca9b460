//! The records of the status topic (Kafka's `KafkaStatusBackingStore`).

use forebay_connect_api::TaskId;
use serde_json::{Map, Value, json};

use super::{State, Status, TopicStatus};

const CONNECTOR: &str = "status-connector-";
const TASK: &str = "status-task-";
const TOPIC: &str = "status-topic-";
const TOPIC_SEPARATOR: &str = ":connector-";

/// What has a status.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    /// A connector.
    Connector(String),
    /// A task.
    Task(TaskId),
    /// A topic that a connector writes or reads.
    Topic {
        /// The topic.
        topic: String,
        /// The connector.
        connector: String,
    },
}

impl Key {
    /// As the topic has it.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Connector(name) => format!("{CONNECTOR}{name}"),
            Self::Task(id) => format!("{TASK}{id}"),
            Self::Topic { topic, connector } => format!("{TOPIC}{topic}{TOPIC_SEPARATOR}{connector}"),
        }
        .into_bytes()
    }

    pub(super) fn parse(key: &[u8]) -> Option<Self> {
        let key = std::str::from_utf8(key).ok()?;
        if let Some(name) = key.strip_prefix(CONNECTOR) {
            Some(Self::Connector(name.to_owned()))
        } else if let Some(id) = key.strip_prefix(TASK) {
            let (name, number) = id.rsplit_once('-')?;
            Some(Self::Task(TaskId {
                connector: name.into(),
                task: number.parse().ok()?,
            }))
        } else {
            // A topic's name has no colon.
            let (topic, connector) = key.strip_prefix(TOPIC)?.split_once(TOPIC_SEPARATOR)?;
            Some(Self::Topic {
                topic: topic.to_owned(),
                connector: connector.to_owned(),
            })
        }
    }
}

impl Status {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        json!({
            "state": self.state.name(),
            "trace": self.trace,
            "worker_id": self.worker_id,
            "generation": self.generation,
        })
        .to_string()
        .into_bytes()
    }

    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let fields: Map<String, Value> = serde_json::from_slice(value).ok()?;
        let text = |field: &str| fields.get(field).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            state: State::from_name(&text("state")?)?,
            trace: text("trace").filter(|trace| !trace.is_empty()),
            worker_id: text("worker_id")?,
            generation: i32::try_from(fields.get("generation")?.as_i64()?).ok()?,
        })
    }
}

impl TopicStatus {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        json!({ "topic": {
            "name": self.topic,
            "connector": self.connector,
            "task": self.task,
            "discoverTimestamp": self.discover_timestamp.0,
        }})
        .to_string()
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use forebay_records::Timestamp;

    use super::*;

    #[test]
    fn keys_are_kafkas_and_are_read_back() {
        let id = TaskId {
            connector: "my-file".into(),
            task: 3,
        };
        for (key, text) in [
            (Key::Connector("my-file".to_owned()), "status-connector-my-file"),
            (Key::Task(id), "status-task-my-file-3"),
            (
                Key::Topic {
                    topic: "a-b".to_owned(),
                    connector: "my-file".to_owned(),
                },
                "status-topic-a-b:connector-my-file",
            ),
        ] {
            assert_eq!(key.to_bytes(), text.as_bytes());
            assert_eq!(Key::parse(text.as_bytes()), Some(key));
        }
        for key in ["status-task-x", "status-topic-x", "other", "status-task-x-y"] {
            assert_eq!(Key::parse(key.as_bytes()), None, "{key}");
        }
    }

    #[test]
    fn values_are_kafkas_and_are_read_back() {
        let status = Status {
            state: State::Failed,
            trace: Some("no such file\nCaused by: x".to_owned()),
            worker_id: "127.0.0.1:8083".to_owned(),
            generation: 2,
        };
        let json = r#"{"state":"FAILED","trace":"no such file\nCaused by: x","worker_id":"127.0.0.1:8083","generation":2}"#;
        assert_eq!(status.to_bytes(), json.as_bytes());
        assert_eq!(Status::parse(json.as_bytes()), Some(status));
        let running = r#"{"state":"RUNNING","trace":null,"worker_id":"w","generation":0}"#;
        let read = Status::parse(running.as_bytes()).expect("Kafka's own form");
        assert_eq!((read.trace.as_deref(), read.to_bytes()), (None, running.into()));
        for broken in ["", "{}", r#"{"state":"ODD","worker_id":"w","generation":0}"#] {
            assert_eq!(Status::parse(broken.as_bytes()), None, "{broken}");
        }
        let topic = TopicStatus {
            topic: "t".to_owned(),
            connector: "c".to_owned(),
            task: 0,
            discover_timestamp: Timestamp(5),
        };
        assert_eq!(
            topic.to_bytes(),
            br#"{"topic":{"name":"t","connector":"c","task":0,"discoverTimestamp":5}}"#
        );
    }
}
