//! What the broker is told to be: Kafka's configuration keys as typed values. Keys, defaults and documentation stand in
//! `config/keys.rs`; those that are a topic's defaults come from `forebay-broker-log`.

mod groups;
mod keys;

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use forebay_broker_coordinator as coordinator;
use forebay_broker_log::CleanerOptions;
use forebay_config::{Config, ConfigDef, Errors, Properties};
use forebay_protocol::NodeId;

pub(crate) use groups::{check_group, group_definition};

use crate::network::endpoint::{self, Listener, ListenerKeys};
use crate::quotas::connections::{self, ConnectionRates};
use crate::quotas::rate::Windows;

/// Why a broker's configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value is missing or out of bounds.
    #[error(transparent)]
    Values(#[from] Errors),
    /// `listeners` and what belongs to it.
    #[error(transparent)]
    Listeners(#[from] endpoint::Error),
    /// A rate of connections that is none.
    #[error(transparent)]
    Connections(#[from] connections::Error),
    /// More than one directory.
    #[error("log.dirs: {0} directories are named; only one is supported so far")]
    LogDirs(usize),
    /// Too little memory for compaction.
    #[error(
        "log.cleaner.dedupe.buffer.size: {bytes} bytes for {threads} cleaner threads are too few; each needs more than 1 MiB"
    )]
    DedupeBuffer {
        /// As configured.
        bytes: u64,
        /// How many share them.
        threads: usize,
    },
    /// A replication factor that one node cannot give.
    #[error("{key}: replication factor: {factor} larger than available brokers: 1: set {key} to 1")]
    ReplicationFactor {
        /// The key.
        key: &'static str,
        /// Its value.
        factor: i64,
    },
}

static DEFINITION: LazyLock<ConfigDef> = LazyLock::new(keys::definition);

/// The broker's keys, for readers of files and command lines, and for DescribeConfigs.
#[must_use]
pub fn definition() -> &'static ConfigDef {
    &DEFINITION
}

/// Bounds on sockets and what passes through them.
#[derive(Debug, Clone)]
pub struct NetworkConfig {
    /// `socket.request.max.bytes`.
    pub request_bytes_max: usize,
    /// `socket.send.buffer.bytes`; `None`: the operating system's.
    pub send_buffer_bytes: Option<usize>,
    /// `socket.receive.buffer.bytes`; `None`: the operating system's.
    pub receive_buffer_bytes: Option<usize>,
    /// `socket.listen.backlog.size`.
    pub backlog: u32,
    /// `max.connections`.
    pub connections_max: usize,
    /// `max.connections.per.ip`.
    pub connections_per_ip_max: usize,
    /// `connections.max.idle.ms`.
    pub idle_max: Duration,
    /// `queued.max.request.bytes`; `None`: no bound over all connections.
    pub queued_request_bytes_max: Option<usize>,
}

/// How often upkeep is done.
#[derive(Debug, Clone)]
pub struct UpkeepConfig {
    /// `log.retention.check.interval.ms`.
    pub retention_check_interval: Duration,
    /// `log.flush.offset.checkpoint.interval.ms`.
    pub recovery_point_checkpoint_interval: Duration,
    /// `log.flush.start.offset.checkpoint.interval.ms`.
    pub log_start_offset_checkpoint_interval: Duration,
    /// `replica.high.watermark.checkpoint.interval.ms`.
    pub high_watermark_checkpoint_interval: Duration,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration: Duration,
    /// `transaction.partition.verification.enable`.
    pub transaction_verification: bool,
    /// `num.recovery.threads.per.data.dir`.
    pub recovery_threads: usize,
}

/// How the metadata log is kept short.
#[derive(Debug, Clone)]
pub struct MetadataLogConfig {
    /// `metadata.log.segment.bytes`.
    pub segment_bytes: u64,
    /// `metadata.log.segment.ms`.
    pub segment_ms: i64,
    /// `metadata.log.max.record.bytes.between.snapshots`.
    pub record_bytes_between_snapshots_max: u64,
    /// `metadata.log.max.snapshot.interval.ms`; 0: no snapshot for its age alone.
    pub snapshot_interval_ms_max: i64,
    /// `metadata.max.retention.bytes`; negative: without limit.
    pub retention_bytes: i64,
    /// `metadata.max.retention.ms`; negative: without limit.
    pub retention_ms: i64,
}

/// How compacted topics are cleaned.
#[derive(Debug, Clone)]
pub struct CleanerConfig {
    /// `log.cleaner.threads`; 0 with `log.cleaner.enable=false`.
    pub threads: usize,
    /// What each of them may use.
    pub options: CleanerOptions,
    /// `log.cleaner.io.max.bytes.per.second`, for all of them together.
    pub io_bytes_per_second_max: f64,
    /// `log.cleaner.backoff.ms`.
    pub backoff: Duration,
}

/// How `__transaction_state` is made.
#[derive(Debug, Clone)]
pub struct TransactionLogConfig {
    /// `transaction.state.log.num.partitions`.
    pub partitions: i32,
    /// `transaction.state.log.replication.factor`.
    pub replication_factor: i16,
    /// `transaction.state.log.min.isr`.
    pub min_isr: i32,
    /// `transaction.state.log.segment.bytes`.
    pub segment_bytes: i32,
}

/// How the rates of client quotas are measured.
#[derive(Debug, Clone)]
pub struct QuotaConfig {
    /// `quota.window.num`.
    pub windows: usize,
    /// `quota.window.size.seconds`, in milliseconds.
    pub window_ms: i64,
    /// `controller.quota.window.num`.
    pub controller_windows: usize,
    /// `controller.quota.window.size.seconds`, in milliseconds.
    pub controller_window_ms: i64,
}

impl QuotaConfig {
    /// Over how long the rates of clients and connections are measured.
    pub(crate) fn client_windows(&self) -> Windows {
        Windows {
            count: self.windows,
            size_ms: self.window_ms,
        }
    }
}

/// A broker's configuration, checked.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// `node.id`.
    pub node_id: NodeId,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// Where clients connect; never empty.
    pub listeners: Vec<Listener>,
    /// Sockets and connections.
    pub network: NetworkConfig,
    /// `num.io.threads`.
    pub io_threads: usize,
    /// `log.dirs`, of which there is one so far.
    pub log_dir: PathBuf,
    /// `num.partitions`.
    pub num_partitions: i32,
    /// `default.replication.factor`.
    pub default_replication_factor: i16,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `delete.topic.enable`.
    pub delete_topics: bool,
    /// `fetch.max.bytes`.
    pub fetch_bytes_max: usize,
    /// `max.incremental.fetch.session.cache.slots`.
    pub fetch_session_slots: usize,
    /// `max.request.partition.size.limit`.
    pub request_partitions_max: usize,
    /// Checkpoints and retention.
    pub upkeep: UpkeepConfig,
    /// The metadata log and its snapshots.
    pub metadata_log: MetadataLogConfig,
    /// Compaction.
    pub cleaner: CleanerConfig,
    /// Client quotas.
    pub quotas: QuotaConfig,
    /// Consumer groups.
    pub groups: coordinator::Config,
    /// Transactions.
    pub transactions: coordinator::transaction::Config,
    /// `transaction.state.log.*`.
    pub transaction_log: TransactionLogConfig,
    /// `offsets.topic.num.partitions`.
    pub offsets_topic_partitions: i32,
    /// `offsets.topic.replication.factor`.
    pub offsets_topic_replication_factor: i16,
    /// `offsets.topic.segment.bytes`.
    pub offsets_topic_segment_bytes: i32,
    /// Every value with where it came from, for DescribeConfigs and topics' defaults.
    pub values: Config,
}

impl BrokerConfig {
    /// Reads Kafka's properties. Unknown keys are the caller's to judge (`forebay_config::Entries::parse`).
    ///
    /// # Errors
    /// Everything that is wrong with the values, or the first thing wrong with the listeners.
    pub fn parse(properties: &Properties) -> Result<Self, Error> {
        Self::from_values(definition().parse(properties)?)
    }

    /// As [`BrokerConfig::parse`], from values that `definition()` has parsed.
    ///
    /// # Errors
    /// The first thing that is wrong with listeners, directories or replication factors.
    pub fn from_values(values: Config) -> Result<Self, Error> {
        groups::check(&values)?;
        ConnectionRates::of(&values)?;
        let listeners = ListenerKeys {
            listeners: values.get_list("listeners"),
            advertised: values.get_list("advertised.listeners"),
            protocol_map: values.get_list("listener.security.protocol.map"),
            controller_names: values.get_list("controller.listener.names"),
        }
        .parse()?;
        let [log_dir] = values.get_list("log.dirs") else {
            return Err(Error::LogDirs(values.get_list("log.dirs").len()));
        };
        let log_dir = PathBuf::from(log_dir);
        let default_replication_factor = one_replica(
            "default.replication.factor",
            values.get_int("default.replication.factor").into(),
        )?;
        let offsets_topic_replication_factor = one_replica(
            "offsets.topic.replication.factor",
            values.get_short("offsets.topic.replication.factor").into(),
        )?;
        Ok(Self {
            node_id: NodeId(values.get_int("node.id")),
            rack: values.get_optional::<&str>("broker.rack").map(str::to_owned),
            listeners,
            network: network(&values),
            io_threads: count(values.get_int("num.io.threads")),
            log_dir,
            num_partitions: values.get_int("num.partitions"),
            default_replication_factor,
            auto_create_topics: values.get_boolean("auto.create.topics.enable"),
            delete_topics: values.get_boolean("delete.topic.enable"),
            fetch_bytes_max: count(values.get_int("fetch.max.bytes")),
            fetch_session_slots: count(values.get_int("max.incremental.fetch.session.cache.slots")),
            request_partitions_max: count(values.get_int("max.request.partition.size.limit")),
            upkeep: upkeep(&values),
            metadata_log: metadata_log(&values),
            cleaner: cleaner(&values)?,
            quotas: quotas(&values),
            groups: groups::groups(&values),
            transactions: transactions(&values),
            transaction_log: transaction_log(&values)?,
            offsets_topic_partitions: values.get_int("offsets.topic.num.partitions"),
            offsets_topic_replication_factor,
            offsets_topic_segment_bytes: values.get_int("offsets.topic.segment.bytes"),
            values,
        })
    }
}

/// A cluster has one broker so far; a larger factor would be a promise that nobody keeps.
fn one_replica(key: &'static str, factor: i64) -> Result<i16, Error> {
    if factor == 1 {
        Ok(1)
    } else {
        Err(Error::ReplicationFactor { key, factor })
    }
}

fn network(values: &Config) -> NetworkConfig {
    NetworkConfig {
        request_bytes_max: count(values.get_int("socket.request.max.bytes")),
        send_buffer_bytes: usize::try_from(values.get_int("socket.send.buffer.bytes")).ok(),
        receive_buffer_bytes: usize::try_from(values.get_int("socket.receive.buffer.bytes")).ok(),
        backlog: values.get_int("socket.listen.backlog.size").unsigned_abs(),
        connections_max: count(values.get_int("max.connections")),
        connections_per_ip_max: count(values.get_int("max.connections.per.ip")),
        idle_max: milliseconds(values.get_long("connections.max.idle.ms")),
        queued_request_bytes_max: usize::try_from(values.get_long("queued.max.request.bytes")).ok(),
    }
}

fn upkeep(values: &Config) -> UpkeepConfig {
    UpkeepConfig {
        retention_check_interval: milliseconds(values.get_long("log.retention.check.interval.ms")),
        recovery_point_checkpoint_interval: milliseconds(
            values.get_int("log.flush.offset.checkpoint.interval.ms").into(),
        ),
        log_start_offset_checkpoint_interval: milliseconds(
            values
                .get_int("log.flush.start.offset.checkpoint.interval.ms")
                .into(),
        ),
        high_watermark_checkpoint_interval: milliseconds(
            values.get_long("replica.high.watermark.checkpoint.interval.ms"),
        ),
        producer_id_expiration: milliseconds(values.get_int("producer.id.expiration.ms").into()),
        transaction_verification: values.get_boolean("transaction.partition.verification.enable"),
        recovery_threads: count(values.get_int("num.recovery.threads.per.data.dir")),
    }
}

fn metadata_log(values: &Config) -> MetadataLogConfig {
    let for_tests = values.get_optional::<i32>("internal.metadata.log.segment.bytes");
    let segment_bytes = for_tests.unwrap_or_else(|| values.get_int("metadata.log.segment.bytes"));
    let between = values.get_long("metadata.log.max.record.bytes.between.snapshots");
    MetadataLogConfig {
        segment_bytes: u64::from(segment_bytes.unsigned_abs()),
        segment_ms: values.get_long("metadata.log.segment.ms"),
        record_bytes_between_snapshots_max: between.unsigned_abs(),
        snapshot_interval_ms_max: values.get_long("metadata.log.max.snapshot.interval.ms"),
        retention_bytes: values.get_long("metadata.max.retention.bytes"),
        retention_ms: values.get_long("metadata.max.retention.ms"),
    }
}

/// Less memory than this for a cleaner is refused, as Kafka does.
const DEDUPE_BUFFER_BYTES_MIN: u64 = 1024 * 1024;

/// The cleaner's keys together.
///
/// # Errors
/// [`Error::DedupeBuffer`].
pub(crate) fn cleaner(values: &Config) -> Result<CleanerConfig, Error> {
    let threads = count(values.get_int("log.cleaner.threads"));
    let each = threads.max(1);
    let dedupe_buffer_bytes = u64::try_from(values.get_long("log.cleaner.dedupe.buffer.size")).unwrap_or(0);
    let options = CleanerOptions {
        dedupe_buffer_bytes: dedupe_buffer_bytes / each as u64,
        load_factor: values.get_double("log.cleaner.io.buffer.load.factor"),
        io_buffer_bytes: count(values.get_int("log.cleaner.io.buffer.size")) / each,
    };
    if options.dedupe_buffer_bytes <= DEDUPE_BUFFER_BYTES_MIN {
        return Err(Error::DedupeBuffer {
            bytes: dedupe_buffer_bytes,
            threads: each,
        });
    }
    Ok(CleanerConfig {
        threads: if values.get_boolean("log.cleaner.enable") {
            threads
        } else {
            0
        },
        options,
        io_bytes_per_second_max: values.get_double("log.cleaner.io.max.bytes.per.second"),
        backoff: milliseconds(values.get_long("log.cleaner.backoff.ms")),
    })
}

fn quotas(values: &Config) -> QuotaConfig {
    let seconds = |key| i64::from(values.get_int(key)) * 1000;
    QuotaConfig {
        windows: count(values.get_int("quota.window.num")),
        window_ms: seconds("quota.window.size.seconds"),
        controller_windows: count(values.get_int("controller.quota.window.num")),
        controller_window_ms: seconds("controller.quota.window.size.seconds"),
    }
}

fn transactions(values: &Config) -> coordinator::transaction::Config {
    coordinator::transaction::Config {
        timeout_ms_max: values.get_int("transaction.max.timeout.ms"),
        id_expiration: milliseconds(values.get_int("transactional.id.expiration.ms").into()),
        abort_timed_out_interval: milliseconds(
            values
                .get_int("transaction.abort.timed.out.transaction.cleanup.interval.ms")
                .into(),
        ),
        remove_expired_interval: milliseconds(
            values
                .get_int("transaction.remove.expired.transaction.cleanup.interval.ms")
                .into(),
        ),
        ..coordinator::transaction::Config::default()
    }
}

fn transaction_log(values: &Config) -> Result<TransactionLogConfig, Error> {
    Ok(TransactionLogConfig {
        partitions: values.get_int("transaction.state.log.num.partitions"),
        replication_factor: one_replica(
            "transaction.state.log.replication.factor",
            values
                .get_short("transaction.state.log.replication.factor")
                .into(),
        )?,
        min_isr: values.get_int("transaction.state.log.min.isr"),
        segment_bytes: values.get_int("transaction.state.log.segment.bytes"),
    })
}

/// A validated count; negative ones are 0.
fn count(value: i32) -> usize {
    usize::try_from(value).unwrap_or(0)
}

/// So long is for ever, and still no overflow when it is added to a moment.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Negative durations are Kafka's "without limit".
fn milliseconds(value: i64) -> Duration {
    u64::try_from(value).map_or(FOR_EVER, |value| Duration::from_millis(value).min(FOR_EVER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(entries: &[(&str, &str)]) -> Result<BrokerConfig, Error> {
        let entries = entries
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        BrokerConfig::parse(&entries.collect())
    }

    #[test]
    fn the_defaults_are_a_broker() {
        let config = parse(&[]).expect("the defaults are valid");
        assert_eq!(
            config.listeners[0].endpoint.to_string(),
            "PLAINTEXT://localhost:9092"
        );
        assert_eq!(config.offsets_topic_partitions, 50);
        assert_eq!(config.groups.offsets_retention, Duration::from_secs(7 * 86_400));
        assert_eq!(config.values.get_int("log.retention.hours"), 168);
        assert_eq!(config.values.get_optional::<i64>("log.retention.ms"), None);
        assert!(
            definition()
                .keys()
                .iter()
                .all(|key| !key.documentation.is_empty())
        );
    }

    #[test]
    fn what_one_node_cannot_keep_is_refused() {
        let cases = [
            (
                ("default.replication.factor", "3"),
                "replication factor: 3 larger than available brokers: 1",
            ),
            (
                ("offsets.topic.replication.factor", "3"),
                "set offsets.topic.replication.factor to 1",
            ),
            (
                ("log.cleaner.dedupe.buffer.size", "1048576"),
                "each needs more than 1 MiB",
            ),
            (
                ("transaction.state.log.replication.factor", "3"),
                "set transaction.state.log.replication.factor to 1",
            ),
            (("log.dirs", "/a,/b"), "2 directories are named"),
            (("listeners", "PLAINTEXT://:9092"), "set advertised.listeners"),
            (("num.partitions", "0"), "Value must be at least 1"),
            (("group.consumer.assignors", "uniform,sticky"), "sticky"),
            (("group.consumer.assignors", ""), "group.consumer.assignors"),
            (("group.consumer.migration.policy", "sideways"), "sideways"),
            (
                ("group.consumer.session.timeout.ms", "44999"),
                "group.consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms",
            ),
            (
                ("group.consumer.session.timeout.ms", "60001"),
                "group.consumer.session.timeout.ms must be less than or equal to group.consumer.max.session.timeout.ms",
            ),
            (
                ("group.consumer.max.heartbeat.interval.ms", "4999"),
                "group.consumer.max.heartbeat.interval.ms must be greater than or equal to \
                 group.consumer.min.heartbeat.interval.ms",
            ),
        ];
        for (entry, expected) in cases {
            let error = parse(&[entry]).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
