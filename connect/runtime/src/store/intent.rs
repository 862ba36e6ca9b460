//! The intents topic, `<offset.storage.topic>-intents`: objects that sink tasks are about to make, by connector and partition.
//! Keys are the JSON array `["connector","topic",partition,"object"]`; what is done has no value any more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use forebay_client::Client;
use forebay_client::topic_table::KeyValue;
use forebay_config::Properties;
use forebay_connect_api::{Intent, Offset, TopicPartition};
use forebay_protocol::ErrorCode;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::Error;
use super::table::{Purpose, StorageTable};
use crate::config::{Config, StorageTopic};

const PURPOSE: Purpose = Purpose {
    key: "offset.storage.topic",
    content: "intents of sink connectors",
    single_partition: false,
    delivery_timeout: None,
};

/// What is added to the offset topic's name.
const SUFFIX: &str = "-intents";

/// Of a few partitions, so that a transaction that hangs in one holds up few readers' others.
const PARTITIONS: i32 = 5;

/// How long intents may take until they are read.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// An intent, and the id of the topic whose offsets it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredIntent {
    pub(crate) intent: Intent,
    pub(crate) topic_id: Option<String>,
}

/// Connector, partition, object.
type Key = (String, TopicPartition, String);

type Intents = Arc<Mutex<BTreeMap<Key, StoredIntent>>>;

/// The topic, from the first task on that needs it.
#[derive(Debug)]
pub(crate) struct IntentStore {
    topic: Option<StorageTopic>,
    timeout: Duration,
    intents: Intents,
    table: OnceCell<StorageTable>,
}

impl IntentStore {
    /// Nothing is read yet. There is none in a cluster without transactions, nor for a worker whose offsets are in a file: there is
    /// no other one.
    pub(crate) fn new(config: &Config, has_topics: bool) -> Self {
        let topic = has_topics.then(|| StorageTopic {
            name: format!("{}{SUFFIX}", config.offset_topic.name),
            partitions: Some(PARTITIONS),
            ..config.offset_topic.clone()
        });
        Self {
            topic,
            timeout: config.init_timeout,
            intents: Intents::default(),
            table: OnceCell::new(),
        }
    }

    /// The topic's name, if there is one.
    pub(crate) fn topic(&self) -> Option<&str> {
        self.topic.as_ref().map(|topic| topic.name.as_str())
    }

    async fn table(&self, client: &Client) -> Result<Option<&StorageTable>, Error> {
        let Some(topic) = &self.topic else {
            return Ok(None);
        };
        let open = || async {
            let intents = Arc::clone(&self.intents);
            let apply = move |key: &[u8], value: Option<&[u8]>| {
                if let Err(reason) = replay(&intents, key, value) {
                    let key = String::from_utf8_lossy(key);
                    tracing::warn!(%key, reason, "a record of the intents topic is left out");
                }
            };
            StorageTable::open(client, topic, PURPOSE, self.timeout, apply).await
        };
        self.table.get_or_try_init(open).await.map(Some)
    }

    /// Waits until everything that is in the topic now can be read, also what lies behind a transaction that is open: it may be
    /// of somebody who was fenced just now.
    pub(crate) async fn refresh(&self, client: &Client) -> Result<(), Error> {
        let Some(table) = self.table(client).await? else {
            return Ok(());
        };
        let read = tokio::time::timeout(READ_TIMEOUT, table.read_past_open_transactions()).await;
        read.unwrap_or_else(|_| {
            Err(Error::TimedOut {
                topic: table.topic().to_owned(),
                what: "read",
                timeout_ms: READ_TIMEOUT.as_millis(),
            })
        })
    }

    /// What is outstanding of a partition, from the lowest offset on.
    pub(crate) fn of(&self, connector: &str, partition: &TopicPartition) -> Vec<StoredIntent> {
        let intents = self.intents.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = intents
            .iter()
            .filter(|((name, of, _), _)| name == connector && of == partition);
        let mut mine: Vec<StoredIntent> = mine.map(|(_, intent)| intent.clone()).collect();
        mine.sort_by_key(|stored| (stored.intent.start, stored.intent.end));
        mine
    }

    /// Whether some worker has made the topic.
    async fn is_there(&self, client: &Client) -> Result<bool, Error> {
        let Some(topic) = self.topic() else {
            return Ok(false);
        };
        let failed = |source| Error::Client {
            topic: topic.to_owned(),
            source,
        };
        let admin = client.admin(&Properties::new()).map_err(failed)?;
        let described = admin.describe_topics(&[topic]).await.map_err(failed)?;
        match described.into_values().next() {
            Some(Ok(_)) => Ok(true),
            Some(Err(error)) if error.code() != Some(ErrorCode::UnknownTopicOrPartition) => {
                Err(failed(error))
            }
            _ => Ok(false),
        }
    }

    /// Forgets what a connector intended in these partitions, or in all of them: its offsets are set anew.
    pub(crate) async fn forget(
        &self,
        client: &Client,
        connector: &str,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<(), Error> {
        if self.table.get().is_none() && !self.is_there(client).await? {
            return Ok(());
        }
        self.refresh(client).await?;
        let records: Vec<KeyValue> = {
            let intents = self.intents.lock().unwrap_or_else(PoisonError::into_inner);
            let wanted = |of: &TopicPartition| partitions.is_none_or(|partitions| partitions.contains(of));
            let mine = intents
                .keys()
                .filter(|(name, of, _)| name == connector && wanted(of));
            mine.map(|(name, of, object)| (key(name, of, object), None))
                .collect()
        };
        match self.table(client).await? {
            Some(table) if !records.is_empty() => table.write_and_read(&records, READ_TIMEOUT).await,
            _ => Ok(()),
        }
    }
}

/// The key of an intent's record.
pub(crate) fn key(connector: &str, of: &TopicPartition, object: &str) -> Vec<u8> {
    json!([connector, &*of.topic, of.partition, object])
        .to_string()
        .into_bytes()
}

/// The value of an intent's record.
pub(crate) fn value(intent: &Intent, topic_id: Option<&str>) -> Vec<u8> {
    let value = json!({
        "part": &*intent.part,
        "start": intent.start.value(),
        "end": intent.end.value(),
        "topic_id": topic_id,
    });
    value.to_string().into_bytes()
}

fn replay(intents: &Intents, key: &[u8], value: Option<&[u8]>) -> Result<(), &'static str> {
    let (connector, topic, partition, object): (String, String, i32, String) = serde_json::from_slice(key)
        .map_err(|_| "its key is not an array of connector, topic, partition and object")?;
    let of = TopicPartition::new(topic, partition);
    let key = (connector, of, object.clone());
    let mut intents = intents.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(value) = value else {
        intents.remove(&key);
        return Ok(());
    };
    let value: Value = serde_json::from_slice(value).map_err(|_| "its value is no JSON")?;
    let text = |field: &str| value.get(field).and_then(Value::as_str);
    let offset = |field: &str| value.get(field).and_then(Value::as_i64).map(Offset);
    let (Some(part), Some(start), Some(end)) = (text("part"), offset("start"), offset("end")) else {
        return Err("its value has no part, start or end");
    };
    let intent = Intent {
        object: object.into(),
        part: part.into(),
        start,
        end,
    };
    let topic_id = text("topic_id").map(str::to_owned);
    intents.insert(key, StoredIntent { intent, topic_id });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_done_is_gone() {
        let of = TopicPartition::new("t", 3);
        let intent = |object: &str, start| Intent {
            object: object.into(),
            part: "a=1".into(),
            start: Offset(start),
            end: Offset(start + 5),
        };
        let store = IntentStore::new(&Config::new(&Properties::new()).expect("defaults"), true);
        let put = |connector: &str, intent: &Intent, id: Option<&str>| {
            let key = key(connector, &of, &intent.object);
            replay(&store.intents, &key, Some(&value(intent, id)))
        };
        put("c", &intent("b", 10), Some("id")).expect("sound");
        put("c", &intent("a", 20), None).expect("sound");
        put("d", &intent("b", 10), None).expect("sound");
        let of_c = store.of("c", &of);
        assert_eq!(
            of_c,
            [
                StoredIntent {
                    intent: intent("b", 10),
                    topic_id: Some("id".to_owned())
                },
                StoredIntent {
                    intent: intent("a", 20),
                    topic_id: None
                }
            ]
        );
        replay(&store.intents, &key("c", &of, "b"), None).expect("sound");
        assert_eq!(store.of("c", &of).len(), 1);
        assert_eq!(store.of("d", &of).len(), 1, "another connector's");
        assert_eq!(
            store.of("d", &TopicPartition::new("t", 4)),
            [],
            "another partition's"
        );
        for (key, value) in [
            (&b"x"[..], &b"{}"[..]),
            (b"[\"c\",\"t\",1]", b"{}"),
            (b"[\"c\",\"t\",1,\"o\"]", b"{"),
            (b"[\"c\",\"t\",1,\"o\"]", b"{\"part\":\"p\",\"start\":1}"),
        ] {
            assert!(replay(&store.intents, key, Some(value)).is_err());
        }
    }
}
