//! The broker's own settings that hold as soon as somebody changes them (Kafka's `DynamicBrokerConfig`), beside those that are
//! topics' defaults, which the partitions take over by themselves. What is not here is refused when it is altered.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use forebay_broker_controller::{ConfigSchema, MetadataImage};
use forebay_config::{Config, Properties};
use forebay_protocol::NodeId;
use tokio::sync::watch;

use crate::cleaner::CLEANERS_MAX;
use crate::config::{self, BrokerConfig, CleanerConfig};
use crate::io_pool::IoPool;
use crate::metadata::Metadata;
use crate::quotas::connections::{ConnectionMeter, ConnectionRates};

/// The keys; each is read by [`Dynamic::take_over`].
pub(crate) const KEYS: [&str; 11] = [
    "log.cleaner.backoff.ms",
    "log.cleaner.dedupe.buffer.size",
    "log.cleaner.io.buffer.load.factor",
    "log.cleaner.io.buffer.size",
    "log.cleaner.io.max.bytes.per.second",
    "log.cleaner.threads",
    "max.connection.creation.rate",
    "max.connections.per.ip",
    "num.io.threads",
    "producer.id.expiration.ms",
    "transaction.partition.verification.enable",
];

/// Those that say together how compacted topics are cleaned.
const CLEANER_KEYS: [&str; 4] = [
    "log.cleaner.dedupe.buffer.size",
    "log.cleaner.io.buffer.load.factor",
    "log.cleaner.io.buffer.size",
    "log.cleaner.threads",
];
/// More threads for files are not begun, whatever is configured.
const IO_THREADS_MAX: usize = 1024;

/// What a broker demands before its settings change while it runs, of what they would be and are (Kafka's `validateReconfiguration`).
/// Without the first demand one setting could make all others void that go with it.
///
/// # Errors
/// What is wrong, in Kafka's words.
pub(crate) fn check(then: &Config, now: Option<&Config>) -> Result<(), String> {
    let Some(now) = now else {
        return config::cleaner(then).map(drop).map_err(|error| error.to_string());
    };
    check_cleaners(then, now)?;
    let changes = |key: &&str| then.originals().get(*key) != now.originals().get(*key);
    if CLEANER_KEYS.iter().any(changes) {
        config::cleaner(then).map_err(|error| error.to_string())?;
    }
    check_io_threads(then, now)
}

/// Half or double at most, unless there are not as many as is said already.
fn check_cleaners(then: &Config, now: &Config) -> Result<(), String> {
    let [new, old] = [then, now].map(|values| values.get_int("log.cleaner.threads"));
    if new == old {
        return Ok(());
    }
    if new < 1 {
        return Err("Log cleaner threads should be at least 1".to_owned());
    }
    if is_mended((new, old), CLEANERS_MAX) || config::cleaner(now).is_err() {
        return Ok(());
    }
    if new < old / 2 {
        return Err(format!(
            "Log cleaner threads cannot be reduced to less than half the current value {old}"
        ));
    }
    if new > old.saturating_mul(2) {
        return Err(format!(
            "Log cleaner threads cannot be increased to more than double the current value {old}"
        ));
    }
    Ok(())
}

/// As the cleaners.
fn check_io_threads(then: &Config, now: &Config) -> Result<(), String> {
    let [new, old] = [then, now].map(|values| values.get_int("num.io.threads"));
    let failed = format!("Dynamic thread count update validation failed for num.io.threads={new}");
    if is_mended((new, old), IO_THREADS_MAX) {
        return Ok(());
    }
    if new < old / 2 {
        return Err(format!(
            "{failed}, value should be at least half the current value {old}"
        ));
    }
    if new > old.saturating_mul(2) {
        return Err(format!(
            "{failed}, value should not be greater than double the current value {old}"
        ));
    }
    Ok(())
}

/// Whether a number that is more than there ever are of them, as an earlier release has taken it, gives way to one that can be.
fn is_mended((new, old): (i32, i32), max: usize) -> bool {
    let fits = |number: i32| usize::try_from(number).is_ok_and(|number| number <= max);
    !fits(old) && fits(new)
}

/// A rate that may change at any time. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct SharedRate(Arc<AtomicU64>);

impl SharedRate {
    /// A rate that is this for now.
    pub(crate) fn new(rate: f64) -> Self {
        Self(Arc::new(AtomicU64::new(rate.to_bits())))
    }

    /// What it is.
    pub(crate) fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    /// From now on it is this.
    pub(crate) fn set(&self, rate: f64) {
        self.0.store(rate.to_bits(), Ordering::Relaxed);
    }
}

/// What those keys say now.
#[derive(Debug)]
pub(crate) struct Dynamic {
    connections_per_ip_max: AtomicUsize,
    connections: ConnectionMeter,
    cleaner: watch::Sender<CleanerConfig>,
    cleaner_bytes_per_second: SharedRate,
    pools: Vec<IoPool>,
    /// What was read last.
    settings: Mutex<Properties>,
}

impl Dynamic {
    /// The settings that the broker was started with, and from then on those of the metadata; `pools` are the ones that
    /// `num.io.threads` is about.
    pub(crate) fn follow(
        config: &BrokerConfig,
        pools: Vec<IoPool>,
        schema: Arc<ConfigSchema>,
        metadata: &Metadata,
    ) -> Arc<Self> {
        let dynamic = Arc::new(Self {
            connections_per_ip_max: AtomicUsize::new(0),
            connections: ConnectionMeter::new(config.quotas.client_windows()),
            cleaner: watch::Sender::new(config.cleaner.clone()),
            cleaner_bytes_per_second: SharedRate::new(0.0),
            pools,
            settings: Mutex::default(),
        });
        dynamic.take_over(&config.values);
        metadata.observe({
            let (dynamic, node) = (Arc::clone(&dynamic), config.node_id);
            move |image| dynamic.apply(&schema, image, node)
        });
        dynamic
    }

    fn apply(&self, schema: &ConfigSchema, image: &MetadataImage, node: NodeId) {
        let mut read = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        let settings = schema.broker_settings(image, node);
        if *read == settings {
            return;
        }
        match config::definition().parse(&settings) {
            Ok(values) => self.take_over(&values),
            // Each was looked at when it was set; together with the others it may still be wrong.
            Err(errors) => {
                tracing::error!(%errors, "settings of the broker are broken; the last ones hold on");
            }
        }
        *read = settings;
    }

    fn take_over(&self, values: &Config) {
        let connections = usize::try_from(values.get_int("max.connections.per.ip")).unwrap_or(0);
        self.connections_per_ip_max.store(connections, Ordering::Relaxed);
        match ConnectionRates::of(values) {
            Ok(rates) => self.connections.set(rates),
            Err(error) => tracing::error!(%error, "connections are accepted as they were"),
        }
        match config::cleaner(values) {
            Ok(cleaner) => {
                self.cleaner_bytes_per_second.set(cleaner.io_bytes_per_second_max);
                self.cleaner.send_replace(cleaner);
            }
            Err(error) => tracing::error!(%error, "compaction goes on as it was"),
        }
        let threads = usize::try_from(values.get_int("num.io.threads")).unwrap_or(1);
        for pool in &self.pools {
            pool.resize(threads.min(IO_THREADS_MAX));
        }
    }

    /// `max.connections.per.ip`.
    pub(crate) fn connections_per_ip_max(&self) -> usize {
        self.connections_per_ip_max.load(Ordering::Relaxed)
    }

    /// How fast connections may come.
    pub(crate) fn connections(&self) -> &ConnectionMeter {
        &self.connections
    }

    /// How compacted topics are cleaned, now and from now on.
    pub(crate) fn cleaner(&self) -> watch::Receiver<CleanerConfig> {
        self.cleaner.subscribe()
    }

    /// `log.cleaner.io.max.bytes.per.second`.
    pub(crate) fn cleaner_bytes_per_second(&self) -> SharedRate {
        self.cleaner_bytes_per_second.clone()
    }
}
