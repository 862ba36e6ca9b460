//! The partitions on this broker, as the metadata say (Kafka's `ReplicaManager`): made without touching the disk, given
//! roles and configurations, and taken away.

pub(crate) mod fetch_waits;
mod line_limit;
mod meters;
mod replica;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use forebay_broker_controller::{ConfigSchema, MetadataImage, PartitionImage, TopicImage};
use forebay_broker_log::{self as log, Chunk, Log, LogConfig, LogDirectory, Read};
use forebay_broker_partition::{
    self as partition, AcknowledgeAfter, Command, Config, LeaderAndIsr, LogState, Partition,
};
use forebay_disk::FileExt as _;
use forebay_protocol::{ErrorCode, NodeId, TopicPartition, Utf8Bytes, Uuid};
use forebay_records::{Offset, Timestamp};
use tokio::sync::watch;

use crate::io_pool::IoPool;
use crate::random::random_bits;
use crate::verification::Verifier;
use fetch_waits::FetchWaits;
use line_limit::LineLimit;
pub(crate) use meters::{Meters, Readings};
pub(crate) use replica::QUEUE_BYTES_MAX;
#[cfg(test)]
pub(crate) use replica::SET_ASIDE_BYTES_MAX;
pub(crate) use replica::{NewAppend, Replica};

/// Why a partition did not do what it was asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Error {
    /// The log says so.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// The partition's state does not allow it.
    #[error(transparent)]
    Partition(#[from] partition::Error),
    /// The transaction's coordinator did not say that the partition takes part.
    #[error("{}", message.as_deref().unwrap_or(code.message()))]
    Verification {
        /// What the client is told.
        code: ErrorCode,
        /// In other words than the code's own.
        message: Option<String>,
    },
    /// More waits to be appended than may wait.
    #[error("the partition has {} bytes waiting to be appended", QUEUE_BYTES_MAX)]
    QueueFull,
    /// The broker stops, or the writer has failed.
    #[error("the broker is stopping")]
    Lost,
}

/// What all partitions share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// This broker.
    pub(crate) node_id: NodeId,
    /// Where the logs are.
    pub(crate) directory: Arc<LogDirectory>,
    /// Where appends and syncs run.
    pub(crate) appends: IoPool,
    /// Where reads run that may wait for the disk.
    pub(crate) reads: IoPool,
    /// Who asks transaction coordinators.
    pub(crate) verifier: Arc<Verifier>,
    /// Fetches that wait.
    pub(crate) fetch_waits: FetchWaits,
    /// What goes in and out of all of them.
    pub(crate) meters: Meters,
    /// Why the log directory was given up.
    pub(crate) failure: watch::Sender<Option<Arc<str>>>,
}

/// Says that something could not be written for now. That the log directory was given up is said once, by the log.
pub(crate) fn report(error: &Error) {
    static LIMIT: LineLimit = LineLimit::new();
    match error {
        Error::Log(log::Error::Offline { .. }) => {}
        Error::Log(error) if error.is_storage() => {
            if let Some(unsaid) = LIMIT.allows(Instant::now()) {
                tracing::error!(%error, unsaid, "writing failed");
            }
        }
        _ => {}
    }
}

/// Keys of the broker about producers, for all logs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProducerRules {
    /// `producer.id.expiration.ms`.
    pub(crate) expiration_ms: i64,
    /// `transaction.partition.verification.enable`.
    pub(crate) verification: bool,
}

#[derive(Debug)]
struct Topic {
    id: Uuid,
    config: Arc<LogConfig>,
    partitions: HashMap<i32, Arc<Replica>>,
}

/// All partitions on this broker.
#[derive(Debug)]
pub(crate) struct Replicas {
    shared: Arc<Shared>,
    schema: Arc<ConfigSchema>,
    producers: ProducerRules,
    /// High watermarks as the last process left them.
    checkpointed: BTreeMap<log::TopicPartition, Offset>,
    topics: RwLock<HashMap<Utf8Bytes, Topic>>,
    /// Topics that are gone, for the group coordinators to forget their offsets.
    deleted: Mutex<Vec<(Utf8Bytes, Uuid)>>,
}

impl Replicas {
    /// No partitions yet.
    pub(crate) fn new(shared: Arc<Shared>, schema: Arc<ConfigSchema>, producers: ProducerRules) -> Self {
        let checkpointed = shared.directory.high_watermarks();
        Self {
            shared,
            schema,
            producers,
            checkpointed,
            topics: RwLock::default(),
            deleted: Mutex::default(),
        }
    }

    /// What all partitions share.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// One partition, if it is on this broker.
    pub(crate) fn get(&self, topic: &str, partition: i32) -> Option<Arc<Replica>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(topic)?.partitions.get(&partition).cloned()
    }

    /// All partitions.
    pub(crate) fn all(&self) -> Vec<Arc<Replica>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics
            .values()
            .flat_map(|topic| topic.partitions.values().cloned())
            .collect()
    }

    /// The high watermarks of all partitions, for the checkpoint.
    pub(crate) fn high_watermarks(&self) -> BTreeMap<log::TopicPartition, Offset> {
        let of = |replica: Arc<Replica>| Some((replica.log()?.partition().clone(), replica.high_watermark()));
        self.all().into_iter().filter_map(of).collect()
    }

    /// What a topic's configuration means for its logs; settings that are broken, which this broker would not have let in,
    /// delete nothing.
    pub(crate) fn log_config(&self, image: &MetadataImage, topic: &str) -> Arc<LogConfig> {
        let own = image.topic_configs(topic).cloned().unwrap_or_default();
        let broker = self.schema.broker_settings(image, self.shared.node_id);
        let factor = image
            .partition(topic, 0)
            .map_or(1, |partition| partition.replicas.len());
        let (config, refused) = LogConfig::of_stored(&own, &broker, factor);
        if let Some(errors) = refused {
            tracing::error!(%topic, %errors, "settings of the topic are broken and left out; nothing of it is deleted until they are put right");
        }
        // Set while the broker runs, they are among its settings; those that it was started with are known.
        let set = |key: &str| broker.get(key).map(|value| value.trim().to_ascii_lowercase());
        let expiration = set("producer.id.expiration.ms").and_then(|value| value.parse().ok());
        let verification =
            set("transaction.partition.verification.enable").and_then(|value| value.parse().ok());
        Arc::new(LogConfig {
            producer_id_expiration_ms: expiration.unwrap_or(self.producers.expiration_ms),
            transaction_verification: verification.unwrap_or(self.producers.verification),
            ..config
        })
    }

    /// Every partition refuses from now on: the broker stops.
    pub(crate) fn stop(&self) {
        for replica in self.all() {
            replica.handle(Command::Fail);
        }
    }

    /// Brings the partitions of `topics` to what `image` says. On an I/O thread: folders of deleted topics are renamed.
    pub(crate) fn apply<'a>(
        &self,
        image: &MetadataImage,
        topics: impl IntoIterator<Item = &'a str>,
        now: Timestamp,
    ) {
        let mut gone = Vec::new();
        for name in topics {
            let topic = image.topic(name);
            gone.extend(self.remove_unless(name, topic.map(|topic| topic.id())));
            if let Some(topic) = topic {
                // A topic made anew in the same round needs the names of the old one's folders.
                self.delete(&std::mem::take(&mut gone), now);
                self.bring_up(image, topic, now);
            }
        }
        self.delete(&gone, now);
    }

    /// Takes a topic away unless it has this id.
    fn remove_unless(&self, name: &str, id: Option<Uuid>) -> Vec<Arc<Replica>> {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        if topics.get(name).is_none_or(|topic| Some(topic.id) == id) {
            return Vec::new();
        }
        let Some((name, topic)) = topics.remove_entry(name) else {
            return Vec::new();
        };
        self.deleted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((name, topic.id));
        topic.partitions.into_values().collect()
    }

    /// The topics that have gone since this was last asked.
    pub(crate) fn take_deleted(&self) -> Vec<(Utf8Bytes, Uuid)> {
        std::mem::take(&mut *self.deleted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn delete(&self, gone: &[Arc<Replica>], now: Timestamp) {
        if gone.is_empty() {
            return;
        }
        for replica in gone {
            replica.handle(Command::Delete);
        }
        let names: Vec<log::TopicPartition> = gone
            .iter()
            .filter_map(|replica| {
                log::TopicPartition::new(&replica.name().topic, replica.name().partition).ok()
            })
            .collect();
        if let Err(error) = self.shared.directory.delete(&names, random_bits(), now) {
            tracing::error!(%error, "folders of deleted topics stay behind for now; until they are gone no snapshot of the metadata is written");
            report(&error.into());
        }
    }

    fn bring_up(&self, image: &MetadataImage, topic: &TopicImage, now: Timestamp) {
        let config = self.log_config(image, topic.name());
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let local = topics.entry(topic.name().detach()).or_insert_with(|| Topic {
            id: topic.id(),
            config: Arc::clone(&config),
            partitions: HashMap::new(),
        });
        if *local.config != *config {
            local.config = Arc::clone(&config);
            for replica in local.partitions.values() {
                replica.set_config(Arc::clone(&config));
            }
        }
        for (index, partition) in topic.partitions() {
            if !partition.replicas.contains(&self.shared.node_id) {
                continue;
            }
            let replica = local
                .partitions
                .entry(index)
                .or_insert_with(|| Arc::new(self.make(topic, index, &config, now)));
            replica.take_role(role(self.shared.node_id, partition));
        }
    }

    /// A partition without a role, over its log: the one it had, or a new one, of which nothing is on disk before the first
    /// append.
    fn make(&self, topic: &TopicImage, index: i32, config: &Arc<LogConfig>, now: Timestamp) -> Replica {
        let name = TopicPartition::new(topic.name().detach(), index);
        let log = self.log(&name, topic.id(), config);
        if let Err(error) = &log {
            tracing::error!(partition = %name, %error, "the partition's log cannot be used");
        }
        let state = log.as_ref().map(|log| self.log_state(log)).unwrap_or_default();
        let mut partition = Partition::new(self.shared.node_id, partition_config(config), state);
        if log.is_err() {
            partition.handle(Command::Fail, now, &mut Vec::new());
        }
        Replica::new(
            name,
            topic.id(),
            Arc::clone(config),
            log.ok(),
            partition,
            Arc::clone(&self.shared),
        )
    }

    fn log(
        &self,
        name: &TopicPartition,
        topic_id: Uuid,
        config: &Arc<LogConfig>,
    ) -> Result<Arc<Log>, log::Error> {
        let name = log::TopicPartition::new(&name.topic, name.partition)?;
        let log = self
            .shared
            .directory
            .log_or_create(&name, log::Uuid(topic_id.to_bytes()), config)?;
        log.set_config(Arc::clone(config));
        Ok(log)
    }

    fn log_state(&self, log: &Log) -> LogState {
        let checkpointed = self.checkpointed.get(log.partition());
        let high_watermark = checkpointed.copied().unwrap_or(Offset::ZERO);
        // Transactions whose end lies below it are over, and hold nobody back.
        log.update_high_watermark(high_watermark);
        LogState {
            log_start_offset: log.log_start_offset(),
            log_end_offset: log.log_end_offset(),
            synced_offset: log.synced_offset(),
            high_watermark,
            first_unstable_offset: log.first_unstable_offset(),
        }
    }
}

/// The role that the metadata give this broker.
fn role(node: NodeId, partition: &PartitionImage) -> Command {
    if partition.leader == node {
        return Command::BecomeLeader(LeaderAndIsr {
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            replicas: partition.replicas.clone(),
            isr: partition.isr.clone(),
        });
    }
    Command::BecomeFollower {
        leader: partition.has_leader().then_some(partition.leader),
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
    }
}

/// What a topic's configuration means for the state machine.
pub(crate) fn partition_config(config: &LogConfig) -> Config {
    Config {
        min_insync_replicas: usize::try_from(config.min_insync_replicas).unwrap_or(1),
        acknowledge_after: if config.flush_messages == 1 {
            AcknowledgeAfter::Sync
        } else {
            AcknowledgeAfter::Append
        },
        ..Config::default()
    }
}

/// Reads whole batches into memory, and where the next read goes on. Blocks.
///
/// # Errors
/// As the log.
pub(crate) fn read_whole(log: &Log, read: &Read) -> Result<(Bytes, Offset), log::Error> {
    let result = log.read(read)?;
    let mut bytes = BytesMut::with_capacity(result.size_in_bytes);
    for chunk in result.chunks {
        match chunk {
            Chunk::Bytes(piece) => bytes.extend_from_slice(&piece),
            Chunk::File(range) => {
                let from = bytes.len();
                bytes.resize(from + range.length, 0);
                range
                    .file
                    .read_exact_at(&mut bytes[from..], range.position, log.folder())?;
            }
        }
    }
    Ok((bytes.freeze(), result.next_offset))
}
