//! The worker's keys, under Kafka's names (`WorkerConfig`, `DistributedConfig`), read into a struct.

mod def;
mod group;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use forebay_config::{Config as Parsed, Error, Errors, Properties, Source};
use forebay_connect_api::Access;

use crate::group::{Algorithm, Session};
use crate::guarantees::{self, Client, Level};
use crate::herder::MemberOptions;
use crate::loggers::ProcessLoggers;

pub use def::config_def;

/// A topic in which the worker keeps its state.
#[derive(Debug, Clone)]
pub(crate) struct StorageTopic {
    /// `….storage.topic`
    pub(crate) name: String,
    /// `….storage.partitions`; `None` leaves it to the broker.
    pub(crate) partitions: Option<i32>,
    /// `….storage.replication.factor`; `None` leaves it to the broker.
    pub(crate) replication_factor: Option<i16>,
}

/// Where the worker keeps its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Storage {
    /// In topics that the workers of a group share.
    Topics,
    /// Nowhere but for source offsets (Kafka's standalone mode).
    Alone {
        /// `offset.storage.file.filename`
        offsets: PathBuf,
    },
}

/// How requests between workers are signed (`inter.worker.*`, KIP-507).
#[derive(Debug, Clone)]
pub(crate) struct InterWorker {
    pub(crate) signature: Algorithm,
    pub(crate) verification: Vec<Algorithm>,
    pub(crate) key_generation: Algorithm,
    pub(crate) key_bytes: usize,
    /// Zero: for ever.
    pub(crate) key_ttl: Duration,
}

/// Which client keys a connector may override (`connector.client.config.override.policy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OverridePolicy {
    /// All of them.
    All,
    /// None.
    None,
    /// Who it is only: `sasl.jaas.config`, `sasl.mechanism`, `security.protocol`.
    Principal,
}

/// Whether source tasks write records and offsets in one transaction (`exactly.once.source.support`, KIP-618).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExactlyOnceSource {
    /// They do not.
    Disabled,
    /// Not yet: workers of Apache Kafka that are on the way to it.
    Preparing,
    /// They do.
    Enabled,
}

/// The keys, read.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) storage: Storage,
    /// Of [`Storage::Topics`]; the URL is not known yet.
    group: MemberOptions,
    pub(crate) inter_worker: InterWorker,
    pub(crate) config_topic: StorageTopic,
    pub(crate) offset_topic: StorageTopic,
    pub(crate) status_topic: StorageTopic,
    pub(crate) init_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) offset_flush_interval: Duration,
    pub(crate) offset_flush_timeout: Duration,
    pub(crate) task_shutdown_graceful_timeout: Duration,
    pub(crate) topic_creation: bool,
    pub(crate) topic_tracking: bool,
    pub(crate) topic_tracking_allow_reset: bool,
    pub(crate) override_policy: OverridePolicy,
    /// `group.id`
    pub(crate) group_id: String,
    /// `exactly.once.source.support`
    pub(crate) exactly_once_source: ExactlyOnceSource,
    /// Whether that was asked for: else it gives way to a cluster that has no transactions.
    pub(crate) exactly_once_source_is_given: bool,
    allowed_paths: Option<Vec<PathBuf>>,
    allowed_private_addresses: Option<bool>,
    pub(crate) rest_advertised_host: Option<String>,
    pub(crate) rest_advertised_port: Option<u16>,
    pub(crate) schema_registry_url: Option<String>,
    /// Everything that was given: converters and the `producer.`, `consumer.`, `admin.` prefixes are read from it.
    pub(crate) originals: Arc<Properties>,
    /// What the levels of loggers are asked of and set with; `None`: there are no loggers.
    pub(crate) loggers: Option<Arc<dyn ProcessLoggers>>,
}

impl Config {
    /// Reads `properties`; keys that the worker does not know are left alone.
    ///
    /// # Errors
    /// Every value that is wrong.
    pub fn new(properties: &Properties) -> Result<Self, Errors> {
        Self::with_storage(properties, Storage::Topics)
    }

    /// The same for a worker that runs alone and keeps its state in a file (`connect-standalone`).
    ///
    /// # Errors
    /// Every value that is wrong, or that no such file is named.
    pub fn standalone(properties: &Properties) -> Result<Self, Errors> {
        let key = "offset.storage.file.filename";
        let file = properties.get(key).map(|file| file.trim());
        let Some(file) = file.filter(|file| !file.is_empty()) else {
            let message = format!("Missing required configuration \"{key}\" which has no default value.");
            return Err(Error::other(message).into());
        };
        let offsets = PathBuf::from(file);
        Self::with_storage(properties, Storage::Alone { offsets })
    }

    /// Lets `/admin/loggers` show and set the levels of these.
    #[must_use]
    pub fn with_loggers(mut self, loggers: Arc<dyn ProcessLoggers>) -> Self {
        self.loggers = Some(loggers);
        self
    }

    fn with_storage(properties: &Properties, storage: Storage) -> Result<Self, Errors> {
        let properties = &crate::provider::resolve_worker(properties)?;
        let config = config_def().parse(properties)?;
        refuse_transactions_alone(&config, &storage)?;
        refuse_what_breaks_guarantees(&config)?;
        let inter_worker = group::inter_worker(&config)?;
        let milliseconds = |key| Duration::from_millis(config.get_long(key).unsigned_abs());
        Ok(Self {
            group: group::member(&config)?,
            inter_worker,
            config_topic: storage_topic(&config, "config"),
            offset_topic: storage_topic(&config, "offset"),
            status_topic: storage_topic(&config, "status"),
            init_timeout: milliseconds("storage.init.timeout.ms"),
            request_timeout: milliseconds("rest.request.timeout.ms"),
            offset_flush_interval: milliseconds("offset.flush.interval.ms"),
            offset_flush_timeout: milliseconds("offset.flush.timeout.ms"),
            task_shutdown_graceful_timeout: milliseconds("task.shutdown.graceful.timeout.ms"),
            topic_creation: config.get_boolean("topic.creation.enable"),
            topic_tracking: config.get_boolean("topic.tracking.enable"),
            topic_tracking_allow_reset: config.get_boolean("topic.tracking.allow.reset"),
            override_policy: match config.get_string("connector.client.config.override.policy") {
                "None" => OverridePolicy::None,
                "Principal" => OverridePolicy::Principal,
                _ => OverridePolicy::All,
            },
            group_id: config.get_string("group.id").to_owned(),
            exactly_once_source: exactly_once_source(&config, &storage),
            storage,
            exactly_once_source_is_given: *config.source(EXACTLY_ONCE_SOURCE) == Source::Given,
            allowed_paths: config
                .get_optional::<&[String]>("connect.allowed.paths")
                .map(|paths| {
                    paths
                        .iter()
                        .filter(|path| !path.is_empty())
                        .map(PathBuf::from)
                        .collect()
                }),
            allowed_private_addresses: config.get_optional("connect.allowed.private.addresses"),
            rest_advertised_host: config
                .get_optional::<&str>("rest.advertised.host.name")
                .map(str::to_owned),
            rest_advertised_port: config
                .get_optional::<i32>("rest.advertised.port")
                .and_then(|port| u16::try_from(port).ok()),
            schema_registry_url: config
                .get_optional::<&str>("schema.registry.url")
                .map(str::to_owned),
            originals: Arc::new(with_default_converters(&config)),
            loggers: None,
        })
    }

    /// The worker's place in its group; `None` if it runs alone.
    pub(crate) fn group(&self, url: &str) -> Option<MemberOptions> {
        let mut options = self.group.clone();
        url.clone_into(&mut options.url);
        Some(options).filter(|_| self.storage == Storage::Topics)
    }

    /// How long before another worker may be elected this one stops leading, if the coordinator is not heard of.
    pub(crate) fn leading_margin(&self) -> Duration {
        Session::margin(&self.group.membership)
    }

    /// Whether source tasks write records and offsets in one transaction (`exactly.once.source.support=enabled`).
    pub fn is_exactly_once(&self) -> bool {
        self.exactly_once_source == ExactlyOnceSource::Enabled
    }

    /// What connectors may reach: everything while only this machine can create them, else what is allowed by name.
    pub(crate) fn access(&self, is_loopback: bool) -> Access {
        let access = if is_loopback {
            Access::unrestricted()
        } else {
            Access::none()
        };
        let access = match &self.allowed_paths {
            Some(paths) => access.with_paths(paths.clone()),
            None => access,
        };
        access.with_private_addresses(self.allowed_private_addresses.unwrap_or(is_loopback))
    }

    /// What was given under keys with this prefix, the prefix cut off: `producer.`.
    pub(crate) fn with_prefix(&self, prefix: &str) -> Properties {
        self.originals
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), value.clone())))
            .collect()
    }
}

const EXACTLY_ONCE_SOURCE: &str = "exactly.once.source.support";

/// A worker that runs alone never has transactions: its offsets are in a file.
fn exactly_once_source(config: &Parsed, storage: &Storage) -> ExactlyOnceSource {
    match &*config.get_string(EXACTLY_ONCE_SOURCE).to_ascii_lowercase() {
        _ if *storage != Storage::Topics => ExactlyOnceSource::Disabled,
        "enabled" => ExactlyOnceSource::Enabled,
        "preparing" => ExactlyOnceSource::Preparing,
        _ => ExactlyOnceSource::Disabled,
    }
}

/// What would change how records are delivered must not be ignored, as Kafka's standalone worker does.
fn refuse_transactions_alone(config: &Parsed, storage: &Storage) -> Result<(), Errors> {
    let value = config.get_string(EXACTLY_ONCE_SOURCE);
    let is_given = *config.source(EXACTLY_ONCE_SOURCE) == Source::Given;
    if *storage == Storage::Topics || !is_given || value.eq_ignore_ascii_case("disabled") {
        return Ok(());
    }
    let reason = "a worker that runs alone has its source offsets in a file and no transactions; run a group of workers, of one if need \
                  be, or remove the key";
    Err(Error::invalid(EXACTLY_ONCE_SOURCE, value, reason).into())
}

/// What is given for the clients of all connectors.
fn refuse_what_breaks_guarantees(config: &Parsed) -> Result<(), Errors> {
    let mut errors = Vec::new();
    for (prefix, client) in [("producer.", Client::Producer), ("consumer.", Client::Consumer)] {
        for (key, value) in config.originals_with_prefix(prefix) {
            if let Some(refusal) = guarantees::refusal(client, Level::Worker, &key, &value) {
                errors.push(Error::invalid(format!("{prefix}{key}"), value, refusal));
            }
        }
    }
    Errors::check(errors)
}

fn storage_topic(config: &Parsed, which: &str) -> StorageTopic {
    let key = |suffix: &str| format!("{which}.storage.{suffix}");
    // The config topic has one partition by nature, and so no key for it.
    let partitions = match which {
        "config" => 1,
        _ => config.get_int(&key("partitions")),
    };
    let replication_factor = config.get_short(&key("replication.factor"));
    StorageTopic {
        name: config.get_string(&key("topic")).to_owned(),
        partitions: Some(partitions).filter(|partitions| *partitions > 0),
        replication_factor: Some(replication_factor).filter(|factor| *factor > 0),
    }
}

/// Kafka wants the converters to be given; here they have defaults, which are what its quick start has.
fn with_default_converters(config: &Parsed) -> Properties {
    let mut originals = config.originals().clone();
    for key in ["key.converter", "value.converter", "header.converter"] {
        originals
            .entry(key.to_owned())
            .or_insert_with(|| config.get_class(key).to_owned());
    }
    originals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> Properties {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn an_empty_file_is_enough_and_prefixes_are_kept() {
        let config = Config::new(&Properties::new()).expect("every key has a default");
        assert_eq!(config.config_topic.partitions, Some(1));
        assert_eq!(config.offset_topic.replication_factor, None);
        assert_eq!(
            config.originals["value.converter"],
            "org.apache.kafka.connect.json.JsonConverter"
        );
        let given = properties(&[("producer.linger.ms", "7"), ("offset.storage.partitions", "-1")]);
        let config = Config::new(&given).expect("both are allowed");
        assert_eq!(config.with_prefix("producer."), properties(&[("linger.ms", "7")]));
        assert_eq!(config.offset_topic.partitions, None);
    }

    #[test]
    fn the_keys_do_not_collide_with_those_of_a_client() {
        let both = forebay_client::config::client_def().extend(&config_def());
        assert!(both.key("bootstrap.servers").is_some() && both.key("group.id").is_some());
    }

    #[test]
    fn what_others_can_reach_is_closed_unless_opened() {
        let of = |pairs: &[(&str, &str)], is_loopback| {
            Config::new(&properties(pairs))
                .expect("both are allowed")
                .access(is_loopback)
        };
        assert_eq!(of(&[], true), Access::unrestricted());
        assert_eq!(of(&[], false), Access::none());
        let data = [PathBuf::from("/data")];
        let paths = [("connect.allowed.paths", "/data")];
        assert_eq!(of(&paths, true), Access::unrestricted().with_paths(data.clone()));
        assert_eq!(of(&paths, false), Access::none().with_paths(data));
        let private = [("connect.allowed.private.addresses", "true")];
        assert_eq!(of(&private, false), Access::none().with_private_addresses(true));
    }

    #[test]
    fn what_would_lose_or_repeat_records_is_refused() {
        for (key, value, reason) in [
            ("consumer.enable.auto.commit", "true", "the worker commits"),
            ("consumer.group.id", "all", "only some of the records"),
            ("consumer.group.instance.id", "me", "each task has its own"),
            ("producer.acks", "1", "must be all"),
            ("producer.enable.idempotence", "false", "must be true"),
            ("producer.max.in.flight", "6", "between 1 and 5"),
        ] {
            let errors = Config::new(&properties(&[(key, value)])).expect_err(key);
            let message = errors.to_string();
            assert!(message.contains(key) && message.contains(reason), "{message}");
        }
        let allowed = [
            ("consumer.isolation.level", "read_uncommitted"),
            ("consumer.auto.offset.reset", "latest"),
            ("producer.acks", "-1"),
        ];
        assert!(Config::new(&properties(&allowed)).is_ok());
    }

    #[test]
    fn a_worker_alone_needs_a_file_and_no_group() {
        let error = Config::standalone(&Properties::new()).expect_err("no file is named");
        assert!(
            error.to_string().contains("offset.storage.file.filename"),
            "{error}"
        );
        let given = properties(&[("offset.storage.file.filename", "/tmp/offsets")]);
        let alone = Config::standalone(&given).expect("nothing else is needed");
        assert!(
            !alone.is_exactly_once() && Config::new(&Properties::new()).is_ok_and(|it| it.is_exactly_once())
        );
        let mut asking = given.clone();
        asking.insert(EXACTLY_ONCE_SOURCE.to_owned(), "Enabled".to_owned());
        let error = Config::standalone(&asking).expect_err("it has no transactions");
        assert!(error.to_string().contains(EXACTLY_ONCE_SOURCE), "{error}");
        asking.insert(EXACTLY_ONCE_SOURCE.to_owned(), "disabled".to_owned());
        Config::standalone(&asking).expect("that is so");
        assert!(alone.group("u").is_none());
        let group = Config::new(&given)
            .expect("it is not used")
            .group("u")
            .expect("it has one");
        assert_eq!((group.url.as_str(), group.delay_max), ("u", Duration::ZERO));
        assert_eq!(group.membership.session_timeout, Duration::from_secs(10));
    }

    #[test]
    fn keys_of_the_group_are_judged_together() {
        for (pairs, cure) in [
            (
                &[("heartbeat.interval.ms", "10000")][..],
                "lower than session.timeout.ms",
            ),
            (&[("connect.protocol", "lazy")], "connect.protocol"),
            (&[("inter.worker.signature.algorithm", "HmacMD5")], "HmacSHA256"),
            (
                &[("inter.worker.signature.algorithm", "HmacSHA512")],
                "inter.worker.verification.algorithms",
            ),
            (&[("inter.worker.key.size", "7")], "inter.worker.key.size"),
            (
                &[("scheduled.rebalance.max.delay.ms", "-1")],
                "scheduled.rebalance.max.delay.ms",
            ),
        ] {
            let error = Config::new(&properties(pairs)).expect_err(cure).to_string();
            assert!(error.contains(cure), "{pairs:?}: {error}");
        }
        let both = [
            ("inter.worker.signature.algorithm", "HmacSHA512"),
            ("inter.worker.verification.algorithms", "HmacSHA256,HmacSHA512"),
            ("inter.worker.key.size", "512"),
        ];
        let config = Config::new(&properties(&both)).expect("they fit");
        assert_eq!(
            (
                config.inter_worker.verification.len(),
                config.inter_worker.key_bytes
            ),
            (2, 64)
        );
    }

    #[test]
    fn what_is_not_there_yet_is_refused() {
        for (key, value) in [
            ("exactly.once.source.support", "sometimes"),
            ("offset.storage.partitions", "0"),
            ("connector.client.config.override.policy", "com.example.Mine"),
        ] {
            let errors = Config::new(&properties(&[(key, value)])).expect_err(key);
            assert!(errors.to_string().contains(key), "{errors}");
        }
    }
}
