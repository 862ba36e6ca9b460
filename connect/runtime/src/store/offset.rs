//! The offset topic: where source tasks go on (Kafka's `KafkaOffsetBackingStore`, `OffsetStorageReader`, `OffsetStorageWriter`).
//! Keys are the JSON array `["connector",{source partition}]` with sorted fields, values the JSON of the source offset.

mod file;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use forebay_client::Client;
use forebay_client::topic_table::KeyValue;
use forebay_connect_api::{AlteredOffset, BoxFuture, Error as ConnectError, OffsetMap, OffsetReader};

use super::Error;
use super::table::{Purpose, StorageTable};
use crate::config::Config;
use file::OffsetFile;

const PURPOSE: Purpose = Purpose {
    key: "offset.storage.topic",
    content: "source connector offsets",
    single_partition: false,
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
    async fn read_to_end(&self) -> Result<(), Error> {
        match self {
            Self::Topic(table) => table.read_to_end().await,
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
}

impl OffsetStore {
    /// Reads all offsets.
    pub(crate) async fn open(client: &Client, config: &Config) -> Result<Self, Error> {
        let offsets = Arc::new(RwLock::new(Offsets::new()));
        let applied = Arc::clone(&offsets);
        let apply = move |key: &[u8], value: Option<&[u8]>| {
            let mut offsets = applied.write().expect("nobody panics with the offsets");
            if let Err(reason) = replay(&mut offsets, key, value) {
                let key = String::from_utf8_lossy(key);
                tracing::warn!(%key, reason, "a record of the offset topic is left out");
            }
        };
        let topic = &config.offset_topic;
        let log = StorageTable::open(client, topic, PURPOSE, config.init_timeout, apply).await?;
        Ok(Self {
            log: Arc::new(Log::Topic(log)),
            offsets,
            timeout: config.offset_flush_timeout,
        })
    }

    /// The same from a file, for a worker that runs alone.
    pub(crate) async fn in_file(config: &Config, path: &Path) -> Result<Self, Error> {
        let offsets = Arc::new(RwLock::new(Offsets::new()));
        let file = OffsetFile::open(path, Arc::clone(&offsets)).await?;
        Ok(Self {
            log: Arc::new(Log::File(file)),
            offsets,
            timeout: config.offset_flush_timeout,
        })
    }

    /// One without a topic, for what needs no source offsets.
    #[cfg(test)]
    pub(crate) fn detached(client: &Client) -> Self {
        Self {
            log: Arc::new(Log::Topic(StorageTable::detached(client, PURPOSE))),
            offsets: Arc::default(),
            timeout: Duration::ZERO,
        }
    }

    /// The records that commit the offset of each source partition, or forget it.
    pub(crate) fn records<'a>(
        &self,
        connector: &str,
        offsets: impl IntoIterator<Item = (&'a OffsetMap, Option<&'a OffsetMap>)>,
    ) -> Vec<KeyValue> {
        let offsets = offsets.into_iter().map(|(partition, offset)| {
            let value = offset.map(|offset| offset.to_string().into_bytes());
            (key(connector, partition), value)
        });
        offsets.collect()
    }

    /// Writes such records, within `offset.flush.timeout.ms`.
    pub(crate) async fn write(&self, records: &[KeyValue]) -> Result<(), Error> {
        let written = tokio::time::timeout(self.timeout, self.log.write(records)).await;
        written.unwrap_or_else(|_| Err(self.timed_out()))
    }

    /// Writes such records and waits until they can be read.
    pub(crate) async fn write_and_read(&self, records: &[KeyValue]) -> Result<(), Error> {
        self.log.write_and_read(records, ALTER_TIMEOUT).await
    }

    /// Waits until everything that is in the topic can be read.
    pub(crate) async fn refresh(&self) -> Result<(), Error> {
        let read = tokio::time::timeout(ALTER_TIMEOUT, self.log.read_to_end()).await;
        read.unwrap_or_else(|_| Err(self.timed_out()))
    }

    fn timed_out(&self) -> Error {
        Error::TimedOut {
            topic: self.log.name().to_owned(),
            what: "written",
            timeout_ms: self.timeout.as_millis(),
        }
    }

    /// Every source partition of a connector with its offset, by partition.
    pub(crate) fn of_connector(&self, connector: &str) -> Vec<(OffsetMap, OffsetMap)> {
        let offsets = self.offsets.read().expect("nobody panics with the offsets");
        let mut found: Vec<(&String, &OffsetMap)> = offsets.get(connector).into_iter().flatten().collect();
        found.sort_unstable_by_key(|(partition, _)| *partition);
        let found = found.into_iter().filter_map(|(partition, offset)| {
            let partition = OffsetMap::from_json(partition).ok()?;
            Some((partition, offset.clone()))
        });
        found.collect()
    }

    /// Everything that has to be written to forget a connector's offsets.
    pub(crate) fn tombstones(&self, connector: &str) -> Vec<AlteredOffset> {
        let offsets = self.of_connector(connector).into_iter();
        offsets.map(|(partition, _)| (partition, None)).collect()
    }

    /// What a connector's tasks read.
    pub(crate) fn reader(&self, connector: &str) -> Reader {
        Reader {
            store: self.clone(),
            connector: connector.into(),
        }
    }
}

/// Reads the offsets of one connector.
#[derive(Debug)]
pub(crate) struct Reader {
    store: OffsetStore,
    connector: Arc<str>,
}

impl Reader {
    /// Reads the topic to its end: another worker may have committed.
    async fn refresh(&self) -> Result<(), ConnectError> {
        let read = self.store.log.read_to_end().await;
        read.map_err(|error| ConnectError::retriable("Failed to fetch offsets.").with_source(error))
    }
}

impl OffsetReader for Reader {
    fn offsets<'a>(
        &'a self,
        partitions: &'a [OffsetMap],
    ) -> BoxFuture<'a, Result<Vec<Option<OffsetMap>>, ConnectError>> {
        Box::pin(async move {
            self.refresh().await?;
            let offsets = self.store.offsets.read().expect("nobody panics with the offsets");
            let ours = offsets.get(&self.connector);
            let found = partitions
                .iter()
                .map(|partition| ours?.get(&partition.to_string()).cloned());
            Ok(found.collect())
        })
    }

    fn all(&self) -> BoxFuture<'_, Result<Vec<(OffsetMap, OffsetMap)>, ConnectError>> {
        Box::pin(async move {
            self.refresh().await?;
            Ok(self.store.of_connector(&self.connector))
        })
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
