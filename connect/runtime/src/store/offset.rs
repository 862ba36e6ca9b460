//! The offset topic: where source tasks go on (Kafka's `KafkaOffsetBackingStore`, `OffsetStorageReader`, `OffsetStorageWriter`).
//! Keys are the JSON array `["connector",{source partition}]` with sorted fields, values the JSON of the source offset.

mod connector;
mod file;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use forebay_client::Client;
use forebay_client::topic_table::KeyValue;
use forebay_connect_api::OffsetMap;

use super::Error;
use super::table::{Purpose, StorageTable};
use crate::config::{Config, StorageTopic};
pub(crate) use connector::ConnectorOffsets;
use file::OffsetFile;

const PURPOSE: Purpose = Purpose {
    key: "offset.storage.topic",
    content: "source connector offsets",
    single_partition: false,
    delivery_timeout: None,
};

/// How long a user's change may take until it is read back.
const ALTER_TIMEOUT: Duration = Duration::from_secs(30);

/// Source offsets by source partition, by connector. The partition is its canonical JSON.
type Offsets = HashMap<Arc<str>, HashMap<String, OffsetMap>>;

/// Where offsets are kept.
#[derive(Debug)]
enum Log {
    Topic(StorageTable),
    File(OffsetFile),
}

impl Log {
    fn name(&self) -> &str {
        match self {
            Self::Topic(table) => table.topic(),
            Self::File(file) => file.name(),
        }
    }

    async fn write(&self, records: &[KeyValue]) -> Result<(), Error> {
        match self {
            Self::Topic(table) => table.write(records).await.map(drop),
            Self::File(file) => file.write(records).await,
        }
    }

    async fn write_and_read(&self, records: &[KeyValue], timeout: Duration) -> Result<(), Error> {
        match self {
            Self::Topic(table) => table.write_and_read(records, timeout).await,
            Self::File(file) => file.write(records).await,
        }
    }

    /// Nobody else writes to the file.
    async fn read_past_open_transactions(&self) -> Result<(), Error> {
        match self {
            Self::Topic(table) => table.read_past_open_transactions().await,
            Self::File(_) => Ok(()),
        }
    }
}

/// The offset topic or file, and what it says. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct OffsetStore {
    log: Arc<Log>,
    offsets: Arc<RwLock<Offsets>>,
    timeout: Duration,
    others: Arc<Others>,
}

/// The offset topics that connectors have of their own, each read once for all.
#[derive(Debug, Default)]
struct Others {
    /// How to open one; the worker's own topic knows.
    opening: Option<(Client, Config)>,
    open: tokio::sync::Mutex<HashMap<String, OffsetStore>>,
}

impl Others {
    fn of(client: &Client, config: &Config) -> Self {
        Self {
            opening: Some((client.clone(), config.clone())),
            ..Self::default()
        }
    }
}

impl OffsetStore {
    /// Reads all offsets.
    pub(crate) async fn open(client: &Client, config: &Config) -> Result<Self, Error> {
        let mut store = Self::open_topic(client, config, &config.offset_topic).await?;
        store.others = Arc::new(Others::of(client, config));
        Ok(store)
    }

    async fn open_topic(client: &Client, config: &Config, topic: &StorageTopic) -> Result<Self, Error> {
        let offsets = Arc::new(RwLock::new(Offsets::new()));
        let applied = Arc::clone(&offsets);
        let apply = move |key: &[u8], value: Option<&[u8]>| {
            let mut offsets = applied.write().expect("nobody panics with the offsets");
            if let Err(reason) = replay(&mut offsets, key, value) {
                let key = String::from_utf8_lossy(key);
                tracing::warn!(%key, reason, "a record of the offset topic is left out");
            }
        };
        let log = StorageTable::open(client, topic, PURPOSE, config.init_timeout, apply).await?;
        Ok(Self {
            log: Arc::new(Log::Topic(log)),
            offsets,
            timeout: config.offset_flush_timeout,
            others: Arc::default(),
        })
    }

    /// The same from a file, for a worker that runs alone.
    pub(crate) async fn in_file(client: &Client, config: &Config, path: &Path) -> Result<Self, Error> {
        let offsets = Arc::new(RwLock::new(Offsets::new()));
        let file = OffsetFile::open(path, Arc::clone(&offsets)).await?;
        Ok(Self {
            log: Arc::new(Log::File(file)),
            offsets,
            timeout: config.offset_flush_timeout,
            others: Arc::new(Others::of(client, config)),
        })
    }

    /// One without a topic, for what needs no source offsets.
    #[cfg(test)]
    pub(crate) fn detached(client: &Client) -> Self {
        Self {
            log: Arc::new(Log::Topic(StorageTable::detached(client, PURPOSE))),
            offsets: Arc::default(),
            timeout: Duration::ZERO,
            others: Arc::default(),
        }
    }

    /// Writes records, within `offset.flush.timeout.ms`.
    async fn write(&self, records: &[KeyValue]) -> Result<(), Error> {
        let written = tokio::time::timeout(self.timeout, self.log.write(records)).await;
        written.unwrap_or_else(|_| Err(self.timed_out()))
    }

    /// Writes records and waits until they can be read.
    async fn write_and_read(&self, records: &[KeyValue]) -> Result<(), Error> {
        self.log.write_and_read(records, ALTER_TIMEOUT).await
    }

    /// Waits until everything that is in the topic can be read.
    async fn refresh(&self) -> Result<(), Error> {
        let read = tokio::time::timeout(ALTER_TIMEOUT, self.log.read_past_open_transactions()).await;
        read.unwrap_or_else(|_| Err(self.timed_out()))
    }

    fn timed_out(&self) -> Error {
        Error::TimedOut {
            topic: self.log.name().to_owned(),
            what: "written",
            timeout_ms: self.timeout.as_millis(),
        }
    }

    /// The offset of one source partition.
    fn get(&self, connector: &str, partition: &str) -> Option<OffsetMap> {
        let offsets = self.offsets.read().expect("nobody panics with the offsets");
        offsets.get(connector)?.get(partition).cloned()
    }

    /// Every source partition of a connector, as canonical JSON, with its offset.
    fn all(&self, connector: &str) -> BTreeMap<String, OffsetMap> {
        let offsets = self.offsets.read().expect("nobody panics with the offsets");
        let ours = offsets.get(connector).into_iter().flatten();
        ours.map(|(partition, offset)| (partition.clone(), offset.clone()))
            .collect()
    }

    /// The offsets of a connector, which may have a topic of its own for them.
    pub(crate) async fn of(
        &self,
        connector: &str,
        own_topic: Option<&str>,
    ) -> Result<ConnectorOffsets, Error> {
        let own = match own_topic.filter(|topic| *topic != self.log.name()) {
            Some(topic) => Some(self.own(topic).await?),
            None => None,
        };
        Ok(ConnectorOffsets::new(connector.into(), own, self.clone()))
    }

    /// The store of a connector's own topic.
    async fn own(&self, topic: &str) -> Result<Self, Error> {
        let mut open = self.others.open.lock().await;
        if let Some(store) = open.get(topic) {
            return Ok(store.clone());
        }
        let Some((client, config)) = &self.others.opening else {
            return Ok(self.clone()); // Without topics there is no other one either.
        };
        let storage = StorageTopic {
            name: topic.to_owned(),
            ..config.offset_topic.clone()
        };
        let store = Self::open_topic(client, config, &storage).await?;
        open.insert(topic.to_owned(), store.clone());
        Ok(store)
    }
}

/// The records that say all of it, by key.
fn entries(offsets: &Offsets) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let of_connector = |(connector, of): (&Arc<str>, &HashMap<String, OffsetMap>)| {
        let name = serde_json::Value::from(&**connector);
        let entry = |(partition, offset): (&String, &OffsetMap)| {
            (
                format!("[{name},{partition}]").into_bytes(),
                offset.to_string().into_bytes(),
            )
        };
        of.iter().map(entry).collect::<Vec<_>>()
    };
    offsets.iter().flat_map(of_connector).collect()
}

fn key(connector: &str, partition: &OffsetMap) -> Vec<u8> {
    format!("[{},{partition}]", serde_json::Value::from(connector)).into_bytes()
}

/// Applies a record; gives the reason if it is none.
fn replay(offsets: &mut Offsets, key: &[u8], value: Option<&[u8]>) -> Result<(), String> {
    let key: serde_json::Value = serde_json::from_slice(key).map_err(|error| error.to_string())?;
    let (connector, partition) = match key.as_array().map(Vec::as_slice) {
        Some(
            [
                serde_json::Value::String(connector),
                partition @ serde_json::Value::Object(_),
            ],
        ) => (connector, partition),
        _ => return Err("the key is no array of a connector's name and a source partition".to_owned()),
    };
    // Another worker may have written the fields in another order.
    let partition = OffsetMap::from_json(&partition.to_string()).map_err(|error| error.to_string())?;
    let ours = offsets.entry(connector.as_str().into()).or_default();
    match value {
        None | Some(b"null") => {
            ours.remove(&partition.to_string());
        }
        Some(value) => {
            let value = std::str::from_utf8(value).map_err(|error| error.to_string())?;
            let offset = OffsetMap::from_json(value).map_err(|error| error.to_string())?;
            ours.insert(partition.to_string(), offset);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_canonical_and_kafkas_records_are_read() {
        let partition = OffsetMap::new().with("filename", "/tmp/a\"b").with("b", 1);
        assert_eq!(
            String::from_utf8(key("my \"c\"", &partition)).expect("JSON is UTF-8"),
            r#"["my \"c\"",{"b":1,"filename":"/tmp/a\"b"}]"#
        );
        let mut offsets = Offsets::new();
        let other_order = br#"["c",{"filename":"f","b":1}]"#;
        replay(&mut offsets, other_order, Some(br#"{"position":42}"#)).expect("Kafka's own form");
        let partition = OffsetMap::new().with("b", 1).with("filename", "f");
        let found = offsets["c"].get(&partition.to_string());
        assert_eq!(found.and_then(|offset| offset.get_int64("position")), Some(42));
        replay(&mut offsets, &key("c", &partition), None).expect("a tombstone");
        assert!(offsets["c"].is_empty());
        for key in ["", "{}", r#"["c"]"#, r#"["c",[1]]"#, r#"[1,{}]"#] {
            assert!(
                replay(&mut offsets, key.as_bytes(), Some(b"{}")).is_err(),
                "{key}"
            );
        }
    }
}
