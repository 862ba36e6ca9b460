//! The keys of a producer (Kafka's `ProducerConfig`) and the rules between them.

use std::time::Duration;

use forebay_config::{
    Config, ConfigDef, ConfigKey, ConfigType, Error, Errors, Importance, Origin, Properties, Source,
    Validator, Value,
};
use forebay_records::{Compression, CompressionType};

use super::{
    bytes,
    common::{ClientConfig, client_def},
    milliseconds, read,
};

/// The keys of a producer.
pub fn producer_def() -> ConfigDef {
    let def = batching_keys(client_def());
    let def = compression_keys(delivery_keys(def));
    def.meaningless(
        "key.serializer",
        "the producer takes bytes; what calls it converts",
    )
    .meaningless(
        "value.serializer",
        "the producer takes bytes; what calls it converts",
    )
    .meaningless(
        "partitioner.adaptive.partitioning.enable",
        "records without key are spread evenly",
    )
    .meaningless(
        "partitioner.availability.timeout.ms",
        "records without key go to partitions that have a leader",
    )
    .define(
        ConfigKey::new("metadata.max.idle.ms", ConfigType::Long)
            .default(300_000)
            .validator(Validator::at_least(5_000))
            .documentation("After how long without a record a topic is forgotten."),
    )
}

fn batching_keys(def: ConfigDef) -> ConfigDef {
    def.define(
        ConfigKey::new("batch.size", ConfigType::Int)
            .default(16_384)
            .validator(Validator::at_least(0))
            .importance(Importance::Medium)
            .documentation("How many bytes of records for one partition go into a batch at most."),
    )
    .define(
        ConfigKey::new("linger.ms", ConfigType::Long)
            .alias("queue.buffering.max.ms")
            .default(5)
            .validator(Validator::at_least(0))
            .importance(Importance::Medium)
            .documentation("How long a batch that is not full waits for more records."),
    )
    .define(
        ConfigKey::new("buffer.memory", ConfigType::Long)
            .default(33_554_432)
            .validator(Validator::at_least(0))
            .importance(Importance::High)
            .documentation("How many bytes of records may wait to be acknowledged; beyond that, send waits."),
    )
    .define(
        ConfigKey::new("max.block.ms", ConfigType::Long)
            .default(60_000)
            .validator(Validator::at_least(0))
            .importance(Importance::Medium)
            .documentation("How long send waits for metadata and for space in the buffer."),
    )
    .define(
        ConfigKey::new("max.request.size", ConfigType::Int)
            .default(1_048_576)
            .validator(Validator::at_least(0))
            .importance(Importance::Medium)
            .documentation("How large a request, and so a record, may be."),
    )
    .define(
        ConfigKey::new("partitioner.ignore.keys", ConfigType::Boolean)
            .default(false)
            .documentation("Whether records with a key are spread like those without."),
    )
    .define(
        ConfigKey::new("partitioner.class", ConfigType::Class)
            .optional()
            .validator(Validator::custom(
                "null or RoundRobinPartitioner",
                |_, class| match class {
                    None => Ok(()),
                    Some(Value::Class(class))
                        if class.rsplit('.').next() == Some("RoundRobinPartitioner") =>
                    {
                        Ok(())
                    }
                    Some(class) => Err(format!("Class {class} could not be found.")),
                },
            ))
            .importance(Importance::Medium)
            .documentation("RoundRobinPartitioner, or nothing: by key, and evenly without key."),
    )
}

fn delivery_keys(def: ConfigDef) -> ConfigDef {
    def.define(
        ConfigKey::new("acks", ConfigType::String)
            .alias("request.required.acks")
            .default("all")
            .guards()
            .validator(Validator::one_of(["all", "-1", "0", "1"]))
            .documentation(
                "Who must have a record before it counts as written: nobody, the leader, all in sync.",
            ),
    )
    .define(
        ConfigKey::new("enable.idempotence", ConfigType::Boolean)
            .default(true)
            .guards()
            .documentation("Whether a record is written once and in order even if a request is sent again."),
    )
    .define(
        ConfigKey::new("retries", ConfigType::Int)
            .alias("message.send.max.retries")
            .default(i32::MAX)
            .guards()
            .validator(Validator::between(0, i32::MAX))
            .importance(Importance::High)
            .documentation("How often a batch is sent again, within delivery.timeout.ms."),
    )
    .define(
        ConfigKey::new("delivery.timeout.ms", ConfigType::Int)
            .alias("message.timeout.ms")
            .default(120_000)
            .validator(Validator::at_least(0))
            .importance(Importance::Medium)
            .documentation("How long after send a record is acknowledged or given up."),
    )
    .define(
        ConfigKey::new("max.in.flight.requests.per.connection", ConfigType::Int)
            .alias("max.in.flight")
            .default(5)
            .guards()
            .validator(Validator::at_least(1))
            .documentation("How many requests may be unanswered at one broker."),
    )
    .define(
        ConfigKey::new("transactional.id", ConfigType::String)
            .optional()
            .guards()
            .validator(Validator::NonEmpty)
            .documentation(
                "The name under which a producer's transactions survive it: who takes the name over ends what is open, and fences \
                 the one that had it. With it, records are sent within transactions only.",
            ),
    )
    .define(
        ConfigKey::new("transaction.timeout.ms", ConfigType::Int)
            .default(60_000)
            .documentation(
                "How long a transaction may take before its coordinator aborts it and fences the producer; at most the broker's \
                 transaction.max.timeout.ms.",
            ),
    )
}

fn compression_keys(def: ConfigDef) -> ConfigDef {
    let names = CompressionType::ALL.map(CompressionType::name);
    let mut def = def.define(
        ConfigKey::new("compression.type", ConfigType::String)
            .alias("compression.codec")
            .default("none")
            .validator(Validator::one_of(names))
            .importance(Importance::High)
            .documentation("How batches are compressed."),
    );
    for (compression_type, default) in [
        (CompressionType::Gzip, -1),
        (CompressionType::Lz4, 9),
        (CompressionType::Zstd, 3),
    ] {
        let name = compression_type.name();
        let levels = compression_type.levels();
        let key = ConfigKey::new(format!("compression.{name}.level"), ConfigType::Int)
            .default(default)
            .validator(Validator::custom(
                "a level of the compression type",
                move |_, level| match level {
                    Some(Value::Int(level)) if *level == default => Ok(()),
                    Some(Value::Int(level))
                        if levels.as_ref().is_some_and(|levels| levels.contains(level)) =>
                    {
                        Ok(())
                    }
                    _ => Err(levels.as_ref().map_or_else(
                        || "there are no levels".to_owned(),
                        |levels| format!("Value must be between {} and {}", levels.start(), levels.end()),
                    )),
                },
            ))
            .documentation(format!("The level, if compression.type is {name}."));
        def = def.define(key);
    }
    def
}

/// Whose acknowledgement a produce request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Acks {
    /// Nobody's: no answer comes.
    None,
    /// The leader's.
    Leader,
    /// Every in-sync replica's.
    All,
}

impl Acks {
    /// Kafka's number.
    pub fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// What a producer needs to know.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProducerConfig {
    /// What every client needs.
    pub client: ClientConfig,
    /// `acks`
    pub acks: Acks,
    /// `enable.idempotence`, off where another key rules it out
    pub enable_idempotence: bool,
    /// `batch.size`
    pub batch_bytes: usize,
    /// `linger.ms`
    pub linger: Duration,
    /// `buffer.memory`
    pub buffer_memory: usize,
    /// `max.block.ms`
    pub max_block: Duration,
    /// `max.request.size`
    pub max_request_bytes: usize,
    /// `compression.type` and its level
    pub compression: Compression,
    /// `delivery.timeout.ms`
    pub delivery_timeout: Duration,
    /// `retries`
    pub retries: u32,
    /// `max.in.flight.requests.per.connection`
    pub max_in_flight_requests: usize,
    /// `metadata.max.idle.ms`
    pub metadata_max_idle: Duration,
    /// `transactional.id`
    pub transactional_id: Option<String>,
    /// `transaction.timeout.ms`
    pub transaction_timeout_ms: i32,
    /// `partitioner.ignore.keys`
    pub partitioner_ignore_keys: bool,
    /// Whether `partitioner.class` is RoundRobinPartitioner.
    pub round_robin: bool,
}

impl ProducerConfig {
    /// Reads the keys of [`producer_def`]; unknown keys are treated as their origin demands.
    ///
    /// # Errors
    /// Everything that is wrong, in Kafka's words.
    pub fn new(properties: &Properties, origin: Origin) -> Result<Self, Errors> {
        let config = read(&producer_def(), properties, origin)?;
        let acks = match config.get_string("acks") {
            "0" => Acks::None,
            "1" => Acks::Leader,
            _ => Acks::All,
        };
        let enable_idempotence = idempotence(&config, acks)?;
        let this = Self {
            client: ClientConfig::from_config(&config),
            acks,
            enable_idempotence,
            batch_bytes: bytes(&config, "batch.size"),
            linger: milliseconds(&config, "linger.ms"),
            buffer_memory: config.get_long("buffer.memory").try_into().unwrap_or(usize::MAX),
            max_block: milliseconds(&config, "max.block.ms"),
            max_request_bytes: bytes(&config, "max.request.size"),
            compression: compression(&config)?,
            delivery_timeout: milliseconds(&config, "delivery.timeout.ms"),
            retries: config.get_int("retries").try_into().unwrap_or(0),
            max_in_flight_requests: bytes(&config, "max.in.flight.requests.per.connection"),
            metadata_max_idle: milliseconds(&config, "metadata.max.idle.ms"),
            transactional_id: transactional_id(&config, enable_idempotence)?,
            transaction_timeout_ms: config.get_int("transaction.timeout.ms"),
            partitioner_ignore_keys: config.get_boolean("partitioner.ignore.keys"),
            round_robin: config.get_optional::<&str>("partitioner.class").is_some(),
        };
        this.with_delivery_timeout(&config)
    }

    /// Kafka: a timeout that was asked for must leave room for one request; the default grows instead.
    fn with_delivery_timeout(mut self, config: &Config) -> Result<Self, Errors> {
        let least = self.linger.saturating_add(self.client.request_timeout);
        if self.delivery_timeout < least {
            if *config.source("delivery.timeout.ms") != Source::Default {
                return Err(Error::other(
                    "delivery.timeout.ms should be equal to or larger than linger.ms + request.timeout.ms",
                )
                .into());
            }
            self.delivery_timeout = least;
        }
        Ok(self)
    }
}

/// As Kafka decides: what was asked for explicitly and cannot be had is an error, the default gives way.
fn idempotence(config: &Config, acks: Acks) -> Result<bool, Errors> {
    const MAX_IN_FLIGHT: i32 = 5;
    if !config.get_boolean("enable.idempotence") {
        return Ok(false);
    }
    let obstacles = [
        (
            config.get_int("retries") == 0,
            "Must set retries to non-zero when using the idempotent producer.",
        ),
        (
            acks != Acks::All,
            "Must set acks to all in order to use the idempotent producer. Otherwise we cannot guarantee idempotence.",
        ),
        (
            config.get_int("max.in.flight.requests.per.connection") > MAX_IN_FLIGHT,
            "Must set max.in.flight.requests.per.connection to at most 5 to use the idempotent producer.",
        ),
    ];
    let errors: Vec<Error> = obstacles
        .iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, message)| Error::other(*message))
        .collect();
    if *config.source("enable.idempotence") == Source::Default {
        return Ok(errors.is_empty());
    }
    Errors::check(errors).map(|()| true)
}

/// Transactions stand on idempotence.
fn transactional_id(config: &Config, is_idempotent: bool) -> Result<Option<String>, Errors> {
    let id = config.get_optional::<&str>("transactional.id").map(str::to_owned);
    if id.is_some() && !is_idempotent {
        let message = "Cannot set a transactional.id without also enabling idempotence.";
        return Err(Error::other(message).into());
    }
    Ok(id)
}

fn compression(config: &Config) -> Result<Compression, Errors> {
    let name = config.get_string("compression.type");
    let compression_type = CompressionType::ALL.into_iter().find(|one| one.name() == name);
    let compression_type = compression_type.expect("the validator allows known names only");
    let key = format!("compression.{name}.level");
    if compression_type.levels().is_none() || *config.source(&key) == Source::Default {
        return Ok(Compression::of(compression_type));
    }
    let level = config.get_int(&key);
    if Some(level) == compression_type.default_level() {
        return Ok(Compression::of(compression_type));
    }
    Compression::with_level(compression_type, level)
        .map_err(|error| Error::invalid(key, level, error.to_string()).into())
}
