//! The start: the log directory is opened, the metadata log replayed from its newest snapshot on, this broker registered, every partition's log loaded. All of
//! it on one thread that may wait for the disk.

mod folders;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use forebay_broker_controller::{
    Activate, ApiError, CLUSTER_METADATA, ConfigSchema, Context, Controller, InternalTopics, MetadataImage,
    Options, Record, RegisterBroker, UnfenceBroker,
};
use forebay_broker_log::{self as log, Log, LogConfig, LogDirectory, Read};
use forebay_config::Properties;
use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::LeaderChangeMessage;
use forebay_protocol::messages::broker_registration_request::{BrokerRegistrationRequest, Listener};
use forebay_protocol::messages::leader_change_message::Voter;
use forebay_protocol::{Message as _, NodeId, Uuid, decode};
use forebay_records::{
    BatchBuilder, BatchOptions, ControlRecordType, LeaderEpoch, NO_LEADER_EPOCH, NO_TIMESTAMP, Offset,
    RecordBatch, Timestamp, batches,
};

use super::Writer;
use super::snapshots::{self, Found, QuorumRecords, Restored, Snapshots};
use crate::clock;
use crate::config::{BrokerConfig, MetadataLogConfig};
use crate::network::endpoint::Endpoint;
use crate::random::random_uuid;
use crate::replicas::{ProducerRules, Replicas, Shared, read_whole};

/// The largest batch of metadata records; a command makes 10,000 of them at most.
const METADATA_BATCH_BYTES_MAX: usize = 100 * 1024 * 1024;
/// Read of the metadata log at a time.
const READ_BYTES: usize = 1024 * 1024;
/// Kafka's number of the security protocol PLAINTEXT.
const PLAINTEXT: i16 = 0;

/// Why the metadata cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log directory, or a log in it, cannot be used.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// A batch of the metadata log is damaged.
    #[error("the metadata log is damaged: {0}")]
    Batch(#[from] forebay_records::Error),
    /// A record of the metadata log is of a kind that is not known here.
    #[error(
        "the metadata log has a record that this version does not understand, at offset {offset}: {source}"
    )]
    Record {
        /// Where it is.
        offset: Offset,
        /// What is wrong.
        source: decode::Error,
    },
    /// The beginning of the metadata log is not there, nor a snapshot that stands for it.
    #[error(
        "the metadata log begins at offset {first}, and no snapshot (__cluster_metadata-0/*.checkpoint) says what was before it: put \
         back the snapshot that was there, or the whole directory from a copy"
    )]
    Snapshot {
        /// The first offset that is there.
        first: Offset,
    },
    /// The only snapshot that stands for what is no longer in the metadata log is damaged.
    #[error(
        "the metadata snapshot is damaged, and the log no longer has what it stood for: put it back from a copy: {0}"
    )]
    DamagedSnapshot(#[source] snapshots::ReadError),
    /// A snapshot cannot be read, or understood.
    #[error("the metadata snapshot cannot be used: {0}")]
    ReadSnapshot(#[from] snapshots::ReadError),
    /// What a new cluster is to begin with is not for this version.
    #[error(
        "bootstrap.checkpoint, with which a new cluster begins, is for another version of Kafka, or damaged; nothing was written: {0}"
    )]
    Bootstrap(#[source] forebay_broker_controller::Error),
    /// The records do not make sense together.
    #[error(transparent)]
    Replay(#[from] forebay_broker_controller::Error),
    /// The controller does not take this broker in.
    #[error("this broker cannot join its cluster: {}", .0.message.as_deref().unwrap_or(.0.code.message()))]
    Registration(ApiError),
    /// The first records cannot be written.
    #[error(transparent)]
    Write(#[from] super::Error),
}

/// What is there after the start.
pub(crate) struct Loaded {
    pub(crate) writer: Writer,
    pub(crate) snapshots: Snapshots,
    pub(crate) image: Arc<MetadataImage>,
    pub(crate) replicas: Arc<Replicas>,
    /// The epoch of this broker's registration.
    pub(crate) broker_epoch: i64,
}

/// What the start needs.
pub(crate) struct Start<'a> {
    pub(crate) config: &'a BrokerConfig,
    pub(crate) schema: Arc<ConfigSchema>,
    pub(crate) cluster_id: &'a str,
    pub(crate) shared: Arc<Shared>,
    /// Names of listeners and what clients are told of them.
    pub(crate) endpoints: &'a [Endpoint],
}

/// Loads everything. Blocks.
///
/// # Errors
/// When the directory or the metadata log cannot be used; a partition whose log is broken is offline, no error.
pub(crate) fn load(start: &Start<'_>) -> Result<Loaded, Error> {
    let now = clock::now();
    let config = start.config;
    let directory = &start.shared.directory;
    // The topics' own configurations follow once the metadata log has told them.
    let defaults =
        Arc::new(LogConfig::parse(&Properties::new(), config.values.originals(), 1).unwrap_or_default());
    let metadata = Arc::new(metadata_config(&config.metadata_log));
    let config_for = |partition: &log::TopicPartition| {
        Arc::clone(if partition.topic() == CLUSTER_METADATA {
            &metadata
        } else {
            &defaults
        })
    };
    let summary = directory.load(&config_for, config.upkeep.recovery_threads, now)?;

    let name = log::TopicPartition::new(CLUSTER_METADATA, 0).map_err(log::Error::from)?;
    let log = directory.log_or_create(&name, log::Uuid(Uuid::METADATA_TOPIC.to_bytes()), &metadata)?;
    let (mut writer, found, quorum, removed) = read_log(start, &name, log, now)?;
    let snapshots = Snapshots::new(
        snapshots::Options {
            directory: Arc::clone(directory),
            log: Arc::clone(&writer.log),
            config: config.metadata_log.clone(),
            quorum,
        },
        found,
        now,
    );
    let is_new = writer.controller.image().is_empty();
    let bootstrap = if is_new {
        bootstrap(start, directory)?
    } else {
        Vec::new()
    };
    writer.begin_epoch(config.node_id)?;
    writer.decide(Activate { bootstrap })?;
    let request = registration(start, summary.broker_epoch);
    let broker_epoch = writer
        .decide(RegisterBroker { request })?
        .map_err(Error::Registration)?;
    let unfence = UnfenceBroker {
        broker_id: config.node_id,
        broker_epoch,
    };
    writer.decide(unfence)?.map_err(Error::Registration)?;
    writer.commit()?;

    let image = writer.publish();
    folders::forget_deleted(directory, &removed, now)?;
    if !is_new {
        folders::set_strays_aside(directory, &image, config.node_id)?;
    }
    let expiration = config.upkeep.producer_id_expiration.as_millis();
    let producers = ProducerRules {
        expiration_ms: i64::try_from(expiration).unwrap_or(i64::MAX),
        verification: config.upkeep.transaction_verification,
    };
    let replicas = Arc::new(Replicas::new(
        Arc::clone(&start.shared),
        Arc::clone(&start.schema),
        producers,
    ));
    replicas.apply(&image, image.topics().map(|topic| &**topic.name()), now);
    for (record, count) in image.skipped_records() {
        tracing::warn!(
            record,
            count,
            "the metadata log has records that have no meaning here yet"
        );
    }
    Ok(Loaded {
        writer,
        snapshots,
        image,
        replicas,
        broker_epoch,
    })
}

/// What the newest snapshot says, and the log behind it. Gives the ids of topics that the log removes, too.
fn read_log(
    start: &Start<'_>,
    name: &log::TopicPartition,
    log: Arc<Log>,
    now: Timestamp,
) -> Result<(Writer, Found, QuorumRecords, HashSet<log::TopicId>), Error> {
    let directory = &start.shared.directory;
    let make = || Controller::new(options(start));
    let Restored {
        controller,
        base,
        quorum,
        found,
        truncate,
    } = snapshots::restore(&**directory.disk(), &log, &make)?;
    if let Some(id) = base
        && truncate
    {
        tracing::warn!(%id, end = %log.log_end_offset(), "the metadata log ends before its snapshot and begins anew at it");
        directory.truncate_fully_and_start_at(name, id.end_offset, now)?;
    }
    let mut reading = Reading {
        controller,
        quorum,
        removed: HashSet::new(),
        bytes: 0,
        timestamp: now,
    };
    reading.replay(&log, snapshots::end_offset(base))?;
    let latest = log.latest_epoch().unwrap_or(NO_LEADER_EPOCH);
    let latest = latest.max(base.map_or(NO_LEADER_EPOCH, |id| id.epoch));
    let mut writer = Writer::new(reading.controller, log, LeaderEpoch(latest.0 + 1));
    writer.bytes = reading.bytes;
    writer.timestamp = reading.timestamp;
    Ok((writer, found, reading.quorum, reading.removed))
}

/// Every record that no snapshot stands for counts: nothing is deleted by time or size alone.
fn metadata_config(config: &MetadataLogConfig) -> LogConfig {
    LogConfig {
        segment_bytes: config.segment_bytes,
        segment_ms: config.segment_ms,
        retention_ms: -1,
        retention_bytes: -1,
        flush_messages: 1,
        max_message_bytes: METADATA_BATCH_BYTES_MAX,
        ..LogConfig::default()
    }
}

/// What a new cluster is to begin with. It comes from outside: it is tried first, as every start replays what is in the log once.
fn bootstrap(start: &Start<'_>, directory: &LogDirectory) -> Result<Vec<Record>, Error> {
    let bootstrap = snapshots::bootstrap_records(&**directory.disk(), directory.path())?;
    let mut controller = Controller::new(options(start));
    let context = Context {
        now: clock::now(),
        next_offset: Offset::ZERO,
        seed: 0,
    };
    let activate = Activate {
        bootstrap: bootstrap.clone(),
    };
    for (offset, record) in (0..).zip(&controller.handle(activate, context).records) {
        controller
            .replay(Offset(offset), record)
            .map_err(Error::Bootstrap)?;
    }
    Ok(bootstrap)
}

fn options(start: &Start<'_>) -> Options {
    let config = start.config;
    let mut internal_topics =
        InternalTopics::with_replication_factor(config.offsets_topic_replication_factor);
    internal_topics.consumer_offsets.partitions = config.offsets_topic_partitions;
    internal_topics.consumer_offsets.configs.insert(
        "segment.bytes".to_owned(),
        config.offsets_topic_segment_bytes.to_string(),
    );
    let log = &config.transaction_log;
    internal_topics.transaction_state.partitions = log.partitions;
    internal_topics.transaction_state.replication_factor = log.replication_factor;
    internal_topics.transaction_state.configs.extend([
        ("min.insync.replicas".to_owned(), log.min_isr.to_string()),
        ("segment.bytes".to_owned(), log.segment_bytes.to_string()),
    ]);
    Options {
        node_id: config.node_id,
        cluster_id: start.cluster_id.to_owned(),
        num_partitions: config.num_partitions,
        default_replication_factor: config.default_replication_factor,
        delete_topic_enable: config.delete_topics,
        schema: Arc::clone(&start.schema),
        internal_topics,
    }
}

fn registration(start: &Start<'_>, previous_broker_epoch: Option<i64>) -> BrokerRegistrationRequest {
    let listeners = start.endpoints.iter().map(|endpoint| Listener {
        name: endpoint.name.as_str().into(),
        host: endpoint.host.as_str().into(),
        port: endpoint.port,
        security_protocol: PLAINTEXT,
        ..Listener::default()
    });
    BrokerRegistrationRequest {
        broker_id: start.config.node_id.0,
        cluster_id: start.cluster_id.into(),
        incarnation_id: random_uuid(),
        listeners: listeners.collect(),
        features: RegisterBroker::supported_features(),
        rack: start.config.rack.as_deref().map(Into::into),
        log_dirs: vec![Uuid::from_bytes(
            start.shared.directory.meta_properties().directory_id.0,
        )],
        previous_broker_epoch: previous_broker_epoch.unwrap_or(-1),
        ..BrokerRegistrationRequest::default()
    }
}

/// The metadata log while it is read.
struct Reading {
    controller: Controller,
    quorum: QuorumRecords,
    /// The ids of topics that were removed.
    removed: HashSet<log::TopicId>,
    bytes: u64,
    /// When the last batch was appended.
    timestamp: Timestamp,
}

impl Reading {
    /// Reads the log from `offset` on.
    fn replay(&mut self, log: &Log, mut offset: Offset) -> Result<(), Error> {
        let end = log.log_end_offset();
        while offset < end {
            let read = Read {
                offset,
                up_to: end,
                max_bytes: READ_BYTES,
                min_one_batch: true,
            };
            let (bytes, next) = read_whole(log, &read)?;
            if bytes.is_empty() {
                break;
            }
            for batch in batches(bytes) {
                self.batch(&batch?, offset)?;
            }
            offset = next;
        }
        Ok(())
    }

    /// Takes in what a batch has from `first` on: a snapshot of Kafka's may end inside one.
    fn batch(&mut self, batch: &RecordBatch, first: Offset) -> Result<(), Error> {
        self.bytes += batch.size_in_bytes() as u64;
        self.timestamp = batch.header().max_timestamp;
        if batch.header().is_control() {
            for record in batch.records()? {
                self.quorum.note(&record?)?;
            }
            self.controller.skip_to(batch.next_offset());
            return Ok(());
        }
        for record in batch.records()? {
            let record = record?;
            let offset = record.offset;
            if offset < first {
                continue;
            }
            let decoded = Record::from_bytes(record.value.unwrap_or_default())
                .map_err(|source| Error::Record { offset, source })?;
            if let MetadataRecord::RemoveTopic(remove) = &decoded.message {
                self.removed.insert(log::Uuid(remove.topic_id.to_bytes()));
            }
            self.controller.replay(offset, &decoded)?;
        }
        Ok(())
    }
}

impl Writer {
    fn new(controller: Controller, log: Arc<Log>, leader_epoch: LeaderEpoch) -> Self {
        Self {
            controller,
            log,
            leader_epoch,
            changed: BTreeSet::new(),
            bytes: 0,
            timestamp: NO_TIMESTAMP,
            failed: false,
        }
    }

    /// Opens this leader's epoch with the control record that says so (KIP-595).
    fn begin_epoch(&mut self, leader: NodeId) -> Result<(), Error> {
        let voter = || {
            vec![Voter {
                voter_id: leader.0,
                ..Voter::default()
            }]
        };
        let message = LeaderChangeMessage {
            leader_id: leader.0,
            voters: voter(),
            granting_voters: voter(),
            ..LeaderChangeMessage::default()
        };
        let value = message.to_bytes(0).unwrap_or_default();
        let batch = BatchBuilder::control(
            BatchOptions::default(),
            clock::now(),
            ControlRecordType::LeaderChange,
            &value,
        )
        .map_err(|error| self.fail(&error))?;
        self.append(batch)?;
        self.controller.skip_to(self.log.log_end_offset());
        Ok(())
    }

    /// The image that others may see, of which all partitions are to be told.
    fn publish(&mut self) -> Arc<MetadataImage> {
        self.changed.clear();
        self.controller.image()
    }
}
