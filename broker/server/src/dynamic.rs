//! The broker's own settings that hold as soon as somebody changes them (Kafka's `DynamicBrokerConfig`), beside those that are
//! topics' defaults, which the partitions take over by themselves. What is not here is refused when it is altered.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use forebay_broker_controller::{ConfigSchema, MetadataImage};
use forebay_config::{Config, Properties};
use forebay_protocol::NodeId;
use tokio::sync::watch;

use crate::config::{self, BrokerConfig, CleanerConfig};
use crate::io_pool::IoPool;
use crate::metadata::Metadata;

/// The keys; each is read by [`Dynamic::take_over`].
pub(crate) const KEYS: [&str; 10] = [
    "log.cleaner.backoff.ms",
    "log.cleaner.dedupe.buffer.size",
    "log.cleaner.io.buffer.load.factor",
    "log.cleaner.io.buffer.size",
    "log.cleaner.io.max.bytes.per.second",
    "log.cleaner.threads",
    "max.connections.per.ip",
    "num.io.threads",
    "producer.id.expiration.ms",
    "transaction.partition.verification.enable",
];

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
        match config::cleaner(values) {
            Ok(cleaner) => {
                self.cleaner_bytes_per_second.set(cleaner.io_bytes_per_second_max);
                self.cleaner.send_replace(cleaner);
            }
            Err(error) => tracing::error!(%error, "compaction goes on as it was"),
        }
        let threads = usize::try_from(values.get_int("num.io.threads")).unwrap_or(1);
        for pool in &self.pools {
            pool.resize(threads);
        }
    }

    /// `max.connections.per.ip`.
    pub(crate) fn connections_per_ip_max(&self) -> usize {
        self.connections_per_ip_max.load(Ordering::Relaxed)
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
