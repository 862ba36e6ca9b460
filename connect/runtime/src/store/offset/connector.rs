//! The offsets of one connector: in the worker's topic, and before that in one of its own if it has one (Kafka's
//! `ConnectorOffsetBackingStore`). What its own topic has is copied into the worker's, so that it is found there should the
//! connector lose its own.

use std::sync::Arc;

use forebay_client::topic_table::KeyValue;
use forebay_connect_api::{AlteredOffset, BoxFuture, Error as ConnectError, OffsetMap, OffsetReader};

use super::{Error, OffsetStore, key};

/// Reads and writes them. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ConnectorOffsets {
    connector: Arc<str>,
    own: Option<OffsetStore>,
    worker: OffsetStore,
}

impl ConnectorOffsets {
    pub(super) fn new(connector: Arc<str>, own: Option<OffsetStore>, worker: OffsetStore) -> Self {
        Self {
            connector,
            own,
            worker,
        }
    }

    /// The topic in which they hold; of a worker that runs alone, and has them in a file, that file.
    pub(crate) fn topic(&self) -> &str {
        self.primary().log.name()
    }

    fn primary(&self) -> &OffsetStore {
        self.own.as_ref().unwrap_or(&self.worker)
    }

    /// The records that commit the offset of each source partition, or forget it.
    pub(crate) fn records<'a>(
        &self,
        offsets: impl IntoIterator<Item = (&'a OffsetMap, Option<&'a OffsetMap>)>,
    ) -> Vec<KeyValue> {
        let offsets = offsets.into_iter().map(|(partition, offset)| {
            let value = offset.map(|offset| offset.to_string().into_bytes());
            (key(&self.connector, partition), value)
        });
        offsets.collect()
    }

    /// Writes such records, within `offset.flush.timeout.ms`.
    pub(crate) async fn write(&self, records: &[KeyValue]) -> Result<(), Error> {
        self.forget_copies(records).await?;
        self.primary().write(records).await?;
        self.copy(records).await;
        Ok(())
    }

    /// Forgets in the worker's topic what such records forget, before they are written to the connector's own: what is forgotten there cannot
    /// come back (as Kafka's store does, KAFKA-15018).
    pub(crate) async fn forget_copies(&self, records: &[KeyValue]) -> Result<(), Error> {
        let tombstones: Vec<KeyValue> = match &self.own {
            Some(_) => records
                .iter()
                .filter(|(_, value)| value.is_none())
                .cloned()
                .collect(),
            None => Vec::new(),
        };
        if tombstones.is_empty() {
            return Ok(());
        }
        self.worker.write(&tombstones).await
    }

    /// Copies what was written to the connector's own topic into the worker's.
    pub(crate) async fn copy(&self, records: &[KeyValue]) {
        if self.own.is_some()
            && let Err(error) = self.worker.write(records).await
        {
            tracing::warn!(connector = %self.connector, %error, "source offsets are in the connector's own topic only");
        }
    }

    /// Writes such records and waits until they can be read. In the worker's topic first: what is forgotten there cannot come back
    /// once it is forgotten in the connector's own.
    pub(crate) async fn write_and_read(&self, records: &[KeyValue]) -> Result<(), Error> {
        self.worker.write_and_read(records).await?;
        match &self.own {
            Some(own) => own.write_and_read(records).await,
            None => Ok(()),
        }
    }

    /// Waits until everything that is in the topics can be read, transactions that are open included.
    pub(crate) async fn refresh(&self) -> Result<(), Error> {
        if let Some(own) = &self.own {
            own.refresh().await?;
        }
        self.worker.refresh().await
    }

    /// Every source partition with its offset, by partition.
    pub(crate) fn known(&self) -> Vec<(OffsetMap, OffsetMap)> {
        let mut found = self.worker.all(&self.connector);
        if let Some(own) = &self.own {
            found.extend(own.all(&self.connector));
        }
        let found = found.into_iter().filter_map(|(partition, offset)| {
            let partition = OffsetMap::from_json(&partition).ok()?;
            Some((partition, offset))
        });
        found.collect()
    }

    /// Everything that has to be written to forget them.
    pub(crate) fn tombstones(&self) -> Vec<AlteredOffset> {
        let offsets = self.known().into_iter();
        offsets.map(|(partition, _)| (partition, None)).collect()
    }

    fn get(&self, partition: &OffsetMap) -> Option<OffsetMap> {
        let partition = partition.to_string();
        let own = self.own.as_ref();
        own.and_then(|own| own.get(&self.connector, &partition))
            .or_else(|| self.worker.get(&self.connector, &partition))
    }

    /// Reads the topics to their ends: another worker may have committed, or be about to.
    async fn read_past_open_transactions(&self) -> Result<(), ConnectError> {
        let read = async {
            if let Some(own) = &self.own {
                own.log.read_past_open_transactions().await?;
            }
            self.worker.log.read_past_open_transactions().await
        };
        let read: Result<(), Error> = read.await;
        read.map_err(|error| ConnectError::retriable("Failed to fetch offsets.").with_source(error))
    }
}

impl OffsetReader for ConnectorOffsets {
    fn offsets<'a>(
        &'a self,
        partitions: &'a [OffsetMap],
    ) -> BoxFuture<'a, Result<Vec<Option<OffsetMap>>, ConnectError>> {
        Box::pin(async move {
            self.read_past_open_transactions().await?;
            Ok(partitions.iter().map(|partition| self.get(partition)).collect())
        })
    }

    fn all(&self) -> BoxFuture<'_, Result<Vec<(OffsetMap, OffsetMap)>, ConnectError>> {
        Box::pin(async move {
            self.read_past_open_transactions().await?;
            Ok(self.known())
        })
    }
}
