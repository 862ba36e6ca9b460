//! The configuration of group coordinators, from the broker's values.

use std::time::Duration;

use forebay_broker_coordinator::{Assignor, Config as GroupsConfig, ConsumerConfig, MigrationPolicy};
use forebay_config::{Config, ConfigDef, ConfigKey, ConfigType, Error, Errors, Importance, Unit, Validator};

use super::{count, milliseconds};

/// What coordinators are to know.
pub(super) fn groups(values: &Config) -> GroupsConfig {
    let of = |key: &str| milliseconds(values.get_int(key).into());
    GroupsConfig {
        session_timeout_min: of("group.min.session.timeout.ms"),
        session_timeout_max: of("group.max.session.timeout.ms"),
        initial_rebalance_delay: of("group.initial.rebalance.delay.ms"),
        group_size_max: count(values.get_int("group.max.size")),
        offset_metadata_bytes_max: count(values.get_int("offset.metadata.max.bytes")),
        offsets_retention: milliseconds(i64::from(values.get_int("offsets.retention.minutes")) * 60_000),
        offsets_retention_check_interval: milliseconds(
            values.get_long("offsets.retention.check.interval.ms"),
        ),
        offset_commit_timeout: of("offsets.commit.timeout.ms"),
        consumer: consumer(values, of),
        ..GroupsConfig::default()
    }
}

fn consumer(values: &Config, of: impl Fn(&str) -> Duration) -> ConsumerConfig {
    let assignors = values.get_list("group.consumer.assignors").iter();
    ConsumerConfig {
        session_timeout: of("group.consumer.session.timeout.ms"),
        heartbeat_interval: of("group.consumer.heartbeat.interval.ms"),
        group_size_max: count(values.get_int("group.consumer.max.size")),
        assignors: assignors.filter_map(|name| assignor(name)).collect(),
        migration_policy: MigrationPolicy::of_name(values.get_string("group.consumer.migration.policy"))
            .unwrap_or(MigrationPolicy::Disabled),
        assignment_interval: of("group.consumer.assignment.interval.ms"),
        regex_refresh_interval: of("group.consumer.regex.refresh.interval.ms"),
    }
}

/// An assignor by the name or the class that Kafka knows it by.
fn assignor(name: &str) -> Option<Assignor> {
    match name {
        "org.apache.kafka.coordinator.group.assignor.UniformAssignor" => Some(Assignor::Uniform),
        "org.apache.kafka.coordinator.group.assignor.RangeAssignor" => Some(Assignor::Range),
        name => Assignor::of_name(name),
    }
}

/// What `group.consumer.assignors` may name.
pub(super) const ASSIGNORS: [&str; 4] = [
    "uniform",
    "range",
    "org.apache.kafka.coordinator.group.assignor.UniformAssignor",
    "org.apache.kafka.coordinator.group.assignor.RangeAssignor",
];

/// Holds values against each other, as `GroupCoordinatorConfig` does.
pub(super) fn check(values: &Config) -> Result<(), Errors> {
    let mut errors = Vec::new();
    for what in [
        "heartbeat.interval.ms",
        "session.timeout.ms",
        "assignment.interval.ms",
    ] {
        let [own, min, max] = ["", "min.", "max."].map(|bound| format!("group.consumer.{bound}{what}"));
        let value = |key: &str| values.get_int(key);
        for (less, more, words) in [
            (&min, &max, "greater than or equal to"),
            (&min, &own, "greater than or equal to"),
            (&own, &max, "less than or equal to"),
        ] {
            if value(less) > value(more) {
                let (key, bound) = if words.starts_with("less") {
                    (less, more)
                } else {
                    (more, less)
                };
                errors.push(Error::other(format!("{key} must be {words} {bound}")));
            }
        }
    }
    let [heartbeat, session] = [
        "group.consumer.heartbeat.interval.ms",
        "group.consumer.session.timeout.ms",
    ];
    if values.get_int(heartbeat) >= values.get_int(session) {
        errors.push(Error::other(format!("{heartbeat} must be less than {session}")));
    }
    Errors::check(errors)
}

/// What can be configured for one group (Kafka's `GroupConfig`).
const GROUP_KEYS: [(&str, i32, i32, &str); 3] = [
    (
        "consumer.session.timeout.ms",
        45_000,
        1,
        "The timeout to detect client failures when using the consumer group protocol.",
    ),
    (
        "consumer.heartbeat.interval.ms",
        5_000,
        1,
        "The heartbeat interval given to the members of a consumer group.",
    ),
    (
        "consumer.assignment.interval.ms",
        1_000,
        0,
        "The interval between assignment updates for a consumer group.",
    ),
];

/// The keys of groups; each falls back on the broker's.
pub(crate) fn group_definition() -> ConfigDef {
    let keys = GROUP_KEYS.into_iter().map(|(name, default, min, documentation)| {
        ConfigKey::new(name, ConfigType::Int)
            .default(default)
            .validator(Validator::at_least(min))
            .importance(Importance::Medium)
            .documentation(documentation)
            .synonym(format!("group.{name}"), Unit::Same)
    });
    keys.fold(ConfigDef::new(), ConfigDef::define)
}

/// Whether brokers allow what is set on a group.
pub(crate) fn check_group(group: &Config, broker: &Config) -> Result<(), String> {
    for (name, ..) in GROUP_KEYS {
        let bound = |which: &str| name.replacen("consumer.", &format!("group.consumer.{which}."), 1);
        let (min, max, value) = (bound("min"), bound("max"), group.get_int(name));
        if value < broker.get_int(&min) {
            return Err(format!("{name} must be greater than or equal to {min}"));
        }
        if value > broker.get_int(&max) {
            return Err(format!("{name} must be less than or equal to {max}"));
        }
    }
    let [session, heartbeat] = ["consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"];
    if group.get_int(session) <= group.get_int(heartbeat) {
        return Err(format!("{session} must be greater than {heartbeat}"));
    }
    Ok(())
}
