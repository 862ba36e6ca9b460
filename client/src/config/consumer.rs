//! The keys of a consumer (Kafka's `ConsumerConfig`) and the rules between them.

use std::time::Duration;

use forebay_config::{
    Config, ConfigDef, ConfigKey, ConfigType, Error, Errors, Importance, Origin, Properties, Source,
    Validator, Value,
};

use super::{
    common::{ClientConfig, client_def},
    milliseconds, read,
};

/// The keys of a consumer.
pub fn consumer_def() -> ConfigDef {
    let def = fetch_keys(membership_keys(group_keys(client_def())));
    offset_keys(def)
        .meaningless(
            "key.deserializer",
            "the consumer gives bytes; what calls it converts",
        )
        .meaningless(
            "value.deserializer",
            "the consumer gives bytes; what calls it converts",
        )
        .meaningless(
            "client.rack",
            "leaders are asked; fetching from followers is not supported yet",
        )
        .meaningless(
            "group.remote.assignor",
            "it concerns group.protocol=consumer, which is not supported yet",
        )
}

fn group_keys(def: ConfigDef) -> ConfigDef {
    def.define(
        ConfigKey::new("group.id", ConfigType::String)
            .optional()
            .importance(Importance::High)
            .documentation("The group whose members share the partitions and whose offsets are committed."),
    )
    .define(
        ConfigKey::new("group.instance.id", ConfigType::String)
            .optional()
            .validator(Validator::NonEmpty)
            .importance(Importance::Medium)
            .documentation("Makes the member static: it keeps its partitions through a restart."),
    )
    .define(
        ConfigKey::new("group.protocol", ConfigType::String)
            .default("classic")
            .validator(Validator::custom(
                "(case insensitive) [CLASSIC]",
                |_, protocol| match protocol {
                    Some(Value::String(protocol)) if protocol.eq_ignore_ascii_case("classic") => Ok(()),
                    _ => Err("only the classic group protocol is supported yet".to_owned()),
                },
            ))
            .importance(Importance::High)
            .documentation("How the members agree."),
    )
}

fn membership_keys(def: ConfigDef) -> ConfigDef {
    let milliseconds = |name: &str, default: i32, documentation: &str| {
        ConfigKey::new(name, ConfigType::Int)
            .default(default)
            .validator(Validator::at_least(1))
            .importance(Importance::High)
            .documentation(documentation)
    };
    def.define(milliseconds(
        "session.timeout.ms",
        45_000,
        "After how long without a heartbeat a member is gone.",
    ))
    .define(milliseconds(
        "heartbeat.interval.ms",
        3_000,
        "How often a heartbeat is sent.",
    ))
    .define(milliseconds(
        "max.poll.interval.ms",
        300_000,
        "After how long without a poll a member leaves.",
    ))
    .define(
        ConfigKey::new("partition.assignment.strategy", ConfigType::List)
            .default("range,cooperative-sticky")
            .validator(Validator::All(vec![
                Validator::NonEmptyList,
                Validator::custom(
                    "range, roundrobin, sticky, cooperative-sticky, or Kafka's classes",
                    |_, names| {
                        let Some(Value::List(names)) = names else {
                            return Ok(());
                        };
                        match names.iter().find(|name| assignor_name(name).is_none()) {
                            Some(name) => Err(format!("Class {name} could not be found.")),
                            None => Ok(()),
                        }
                    },
                ),
            ]))
            .importance(Importance::Medium)
            .documentation("How partitions are shared out, by preference."),
    )
    .define(
        ConfigKey::new("exclude.internal.topics", ConfigType::Boolean)
            .default(true)
            .importance(Importance::Medium)
            .documentation("Whether a pattern leaves out topics such as __consumer_offsets."),
    )
    .define(
        ConfigKey::new("internal.leave.group.on.close", ConfigType::Boolean)
            .default(true)
            .internal()
            .documentation("Whether a member that closes leaves its group at once."),
    )
}

fn fetch_keys(def: ConfigDef) -> ConfigDef {
    let number = |name: &str, default: i32, least: i32, documentation: &str| {
        ConfigKey::new(name, ConfigType::Int)
            .default(default)
            .validator(Validator::at_least(least))
            .importance(Importance::Medium)
            .documentation(documentation)
    };
    def.define(number(
        "fetch.min.bytes",
        1,
        0,
        "How many bytes the broker waits for before it answers.",
    ))
    .define(number("fetch.max.wait.ms", 500, 0, "How long it waits for them.").alias("fetch.wait.max.ms"))
    .define(number(
        "fetch.max.bytes",
        52_428_800,
        0,
        "How many bytes an answer has at most.",
    ))
    .define(number(
        "max.partition.fetch.bytes",
        1_048_576,
        0,
        "How many of them of one partition.",
    ))
    .define(number(
        "max.poll.records",
        500,
        1,
        "How many records a poll gives at most.",
    ))
    .define(
        ConfigKey::new("check.crcs", ConfigType::Boolean)
            .default(true)
            .documentation("Whether the checksum of each batch is verified."),
    )
    .define(
        ConfigKey::new("allow.auto.create.topics", ConfigType::Boolean)
            .default(true)
            .importance(Importance::Medium)
            .documentation("Whether subscribing to a topic creates it, where the broker does that."),
    )
    .define(
        ConfigKey::new("isolation.level", ConfigType::String)
            .default("read_uncommitted")
            .guards()
            .validator(Validator::one_of(["read_committed", "read_uncommitted"]))
            .importance(Importance::Medium)
            .documentation("Whether records of open and aborted transactions are read."),
    )
}

fn offset_keys(def: ConfigDef) -> ConfigDef {
    def.define(
        ConfigKey::new("enable.auto.commit", ConfigType::Boolean)
            .default(true)
            .guards()
            .importance(Importance::Medium)
            .documentation("Whether positions are committed from time to time."),
    )
    .define(
        ConfigKey::new("auto.commit.interval.ms", ConfigType::Int)
            .default(5_000)
            .validator(Validator::at_least(0))
            .documentation("How often."),
    )
    .define(
        ConfigKey::new("auto.offset.reset", ConfigType::String)
            .default("latest")
            .validator(Validator::one_of([
                "latest",
                "earliest",
                "none",
                "end",
                "beginning",
                "smallest",
                "largest",
            ]))
            .importance(Importance::Medium)
            .documentation(
                "Where to begin where no offset is committed or it no longer exists; none: an error.",
            ),
    )
}

/// Kafka's protocol name of an assignor given by that name or by its Java class.
pub(crate) fn assignor_name(name: &str) -> Option<&'static str> {
    match name.rsplit('.').next()? {
        "range" | "RangeAssignor" => Some("range"),
        "roundrobin" | "RoundRobinAssignor" => Some("roundrobin"),
        "sticky" | "StickyAssignor" => Some("sticky"),
        "cooperative-sticky" | "CooperativeStickyAssignor" => Some("cooperative-sticky"),
        _ => None,
    }
}

/// Where a consumer begins that has no committed offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AutoOffsetReset {
    /// At the first record there is.
    Earliest,
    /// Behind the last record there is.
    Latest,
    /// Nowhere: the poll fails.
    None,
}

/// Which records a consumer sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IsolationLevel {
    /// All up to the high watermark.
    ReadUncommitted,
    /// Those of no or of a committed transaction, up to the last stable offset.
    ReadCommitted,
}

impl IsolationLevel {
    /// Kafka's number.
    pub fn code(self) -> i8 {
        match self {
            Self::ReadUncommitted => 0,
            Self::ReadCommitted => 1,
        }
    }
}

/// What a consumer needs to know.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConsumerConfig {
    /// What every client needs.
    pub client: ClientConfig,
    /// `group.id`
    pub group_id: Option<String>,
    /// `group.instance.id`
    pub group_instance_id: Option<String>,
    /// `session.timeout.ms`
    pub session_timeout: Duration,
    /// `heartbeat.interval.ms`
    pub heartbeat_interval: Duration,
    /// `max.poll.interval.ms`
    pub max_poll_interval: Duration,
    /// `partition.assignment.strategy`, as protocol names
    pub assignors: Vec<&'static str>,
    /// `exclude.internal.topics`
    pub exclude_internal_topics: bool,
    /// `internal.leave.group.on.close`; a static member never leaves
    pub leave_group_on_close: bool,
    /// `fetch.min.bytes`
    pub fetch_min_bytes: i32,
    /// `fetch.max.wait.ms`
    pub fetch_max_wait: Duration,
    /// `fetch.max.bytes`
    pub fetch_max_bytes: i32,
    /// `max.partition.fetch.bytes`
    pub max_partition_fetch_bytes: i32,
    /// `max.poll.records`
    pub max_poll_records: usize,
    /// `check.crcs`
    pub check_crcs: bool,
    /// `allow.auto.create.topics`
    pub allow_auto_create_topics: bool,
    /// `isolation.level`
    pub isolation_level: IsolationLevel,
    /// `enable.auto.commit`, off where there is no group
    pub enable_auto_commit: bool,
    /// `auto.commit.interval.ms`
    pub auto_commit_interval: Duration,
    /// `auto.offset.reset`
    pub auto_offset_reset: AutoOffsetReset,
}

impl ConsumerConfig {
    /// Reads the keys of [`consumer_def`]; unknown keys are treated as their origin demands.
    ///
    /// # Errors
    /// Everything that is wrong, in Kafka's words.
    pub fn new(properties: &Properties, origin: Origin) -> Result<Self, Errors> {
        let config = read(&consumer_def(), properties, origin)?;
        check_heartbeat(&config)?;
        let text = |key: &str| config.get_optional::<&str>(key).map(str::to_owned);
        let group_id = text("group.id").filter(|group_id| !group_id.is_empty());
        let enable_auto_commit = auto_commit(&config, group_id.is_some())?;
        Ok(Self {
            client: ClientConfig::from_config(&config),
            group_id,
            group_instance_id: text("group.instance.id"),
            session_timeout: milliseconds(&config, "session.timeout.ms"),
            heartbeat_interval: milliseconds(&config, "heartbeat.interval.ms"),
            max_poll_interval: milliseconds(&config, "max.poll.interval.ms"),
            assignors: assignors(&config),
            exclude_internal_topics: config.get_boolean("exclude.internal.topics"),
            leave_group_on_close: config.get_boolean("internal.leave.group.on.close"),
            fetch_min_bytes: config.get_int("fetch.min.bytes"),
            fetch_max_wait: milliseconds(&config, "fetch.max.wait.ms"),
            fetch_max_bytes: config.get_int("fetch.max.bytes"),
            max_partition_fetch_bytes: config.get_int("max.partition.fetch.bytes"),
            max_poll_records: super::bytes(&config, "max.poll.records"),
            check_crcs: config.get_boolean("check.crcs"),
            allow_auto_create_topics: config.get_boolean("allow.auto.create.topics"),
            isolation_level: match config.get_string("isolation.level") {
                "read_committed" => IsolationLevel::ReadCommitted,
                _ => IsolationLevel::ReadUncommitted,
            },
            enable_auto_commit,
            auto_commit_interval: milliseconds(&config, "auto.commit.interval.ms"),
            auto_offset_reset: match config.get_string("auto.offset.reset") {
                "earliest" | "beginning" | "smallest" => AutoOffsetReset::Earliest,
                "none" => AutoOffsetReset::None,
                _ => AutoOffsetReset::Latest,
            },
        })
    }
}

fn assignors(config: &Config) -> Vec<&'static str> {
    let mut names = Vec::new();
    for name in config.get_list("partition.assignment.strategy") {
        let name = assignor_name(name).expect("the validator allows known names only");
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn check_heartbeat(config: &Config) -> Result<(), Errors> {
    if config.get_int("heartbeat.interval.ms") < config.get_int("session.timeout.ms") {
        return Ok(());
    }
    Err(Error::other("heartbeat.interval.ms must be lower than session.timeout.ms").into())
}

/// As Kafka decides: without a group the default gives way, and what was asked for is an error.
fn auto_commit(config: &Config, has_group: bool) -> Result<bool, Errors> {
    let enabled = config.get_boolean("enable.auto.commit");
    if enabled && !has_group {
        if *config.source("enable.auto.commit") == Source::Default {
            return Ok(false);
        }
        let message = "enable.auto.commit cannot be set to true when default group id (null) is used.";
        return Err(Error::other(message).into());
    }
    Ok(enabled)
}
