//! The definition against what Kafka 4.3.1's `LogConfig.configKeys()` gave.

use super::*;

fn properties(pairs: &[(&str, &str)]) -> Properties {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// Key, type, default: as printed by Kafka 4.3.1.
const KAFKA: &str = "\
cleanup.policy LIST delete
compression.gzip.level INT -1
compression.lz4.level INT 9
compression.type STRING producer
compression.zstd.level INT 3
delete.retention.ms LONG 86400000
file.delete.delay.ms LONG 60000
flush.messages LONG 9223372036854775807
flush.ms LONG 9223372036854775807
follower.replication.throttled.replicas LIST -
index.interval.bytes INT 4096
internal.segment.bytes INT null
leader.replication.throttled.replicas LIST -
local.retention.bytes LONG -2
local.retention.ms LONG -2
max.compaction.lag.ms LONG 9223372036854775807
max.message.bytes INT 1048588
message.timestamp.after.max.ms LONG 3600000
message.timestamp.before.max.ms LONG 9223372036854775807
message.timestamp.type STRING CreateTime
min.cleanable.dirty.ratio DOUBLE 0.5
min.compaction.lag.ms LONG 0
min.insync.replicas INT 1
preallocate BOOLEAN false
remote.log.copy.disable BOOLEAN false
remote.log.delete.on.disable BOOLEAN false
remote.storage.enable BOOLEAN false
retention.bytes LONG -1
retention.ms LONG 604800000
segment.bytes INT 1073741824
segment.index.bytes INT 10485760
segment.jitter.ms LONG 0
segment.ms LONG 604800000
unclean.leader.election.enable BOOLEAN false";

#[test]
fn the_keys_are_kafkas() {
    let mut ours: Vec<String> = definition()
        .keys()
        .iter()
        .map(|key| {
            let default = match &key.default {
                Some(Some(value)) => value.to_string(),
                _ => "null".to_owned(),
            };
            let default = if default.is_empty() { "-" } else { &default };
            format!("{} {} {default}", key.name, key.config_type)
        })
        .collect();
    ours.sort();
    assert_eq!(ours.join("\n"), KAFKA);
}

#[test]
fn broker_keys_give_defaults_in_kafkas_order() {
    let broker = properties(&[
        ("log.retention.hours", "2"),
        ("log.roll.hours", "1"),
        ("message.max.bytes", "5000"),
    ]);
    let config = LogConfig::parse(&Properties::new(), &broker, 1).expect("valid");
    assert_eq!(
        (config.retention_ms, config.segment_ms, config.max_message_bytes),
        (7_200_000, 3_600_000, 5000)
    );
    let broker = properties(&[("log.retention.hours", "2"), ("log.retention.minutes", "3")]);
    assert_eq!(
        LogConfig::parse(&Properties::new(), &broker, 1)
            .expect("valid")
            .retention_ms,
        180_000
    );
    let topic = properties(&[("retention.ms", "-1"), ("cleanup.policy", "compact,delete")]);
    let config = LogConfig::parse(&topic, &broker, 1).expect("valid");
    assert_eq!(
        (config.retention_ms, config.compact, config.delete),
        (-1, true, true)
    );
}

#[test]
fn flush_messages_is_one_for_a_single_replica_unless_set() {
    let none = Properties::new();
    let flush = |topic: &Properties, broker: &Properties, replicas| {
        LogConfig::parse(topic, broker, replicas)
            .expect("valid")
            .flush_messages
    };
    assert_eq!(flush(&none, &none, 1), 1);
    assert_eq!(flush(&none, &none, 3), i64::MAX);
    assert_eq!(
        flush(
            &properties(&[("flush.messages", "9223372036854775807")]),
            &none,
            1
        ),
        i64::MAX
    );
    assert_eq!(
        flush(&none, &properties(&[("log.flush.interval.messages", "500")]), 1),
        500
    );
}

#[test]
fn tests_may_have_smaller_segments() {
    let topic = properties(&[("internal.segment.bytes", "500")]);
    let config = LogConfig::parse(&topic, &Properties::new(), 1).expect("valid");
    assert_eq!(config.segment_bytes, 500);
}

#[test]
fn values_outside_of_the_bounds_are_refused() {
    for (key, last_good, first_bad) in [
        ("segment.bytes", "1048576", "1048575"),
        ("segment.ms", "1", "0"),
        ("retention.ms", "-1", "-2"),
        ("flush.messages", "1", "0"),
        ("compression.gzip.level", "9", "0"),
        ("compression.lz4.level", "17", "18"),
        ("cleanup.policy", "", "keep"),
        ("compression.type", "zstd", "brotli"),
        ("leader.replication.throttled.replicas", "0:1,2:3", "0-1"),
        ("message.timestamp.type", "LogAppendTime", "logappendtime"),
    ] {
        let parse = |value| LogConfig::parse(&properties(&[(key, value)]), &Properties::new(), 1);
        parse(last_good).unwrap_or_else(|errors| panic!("{key}={last_good}: {errors}"));
        assert!(parse(first_bad).is_err(), "{key}={first_bad}");
    }
}

#[test]
fn jitter_is_within_its_bound_and_differs() {
    let config = LogConfig {
        segment_jitter_ms: 1000,
        ..LogConfig::default()
    };
    let jitters: std::collections::BTreeSet<i64> = (0..100).map(|seed| config.jitter_ms(seed)).collect();
    assert!(
        jitters.iter().all(|jitter| (0..1000).contains(jitter)) && jitters.len() > 50,
        "{jitters:?}"
    );
    assert_eq!(LogConfig::default().jitter_ms(7), 0);
}

#[test]
fn stored_settings_that_are_refused_now_are_left_out_alone_and_delete_nothing() {
    let topic = properties(&[
        ("segment.bytes", "524288"),
        ("cleanup.policy", "compact"),
        ("max.message.bytes", "77"),
    ]);
    let broker = properties(&[("log.retention.hours", "1")]);
    let (config, refused) = LogConfig::of_stored(&topic, &broker, 1);
    assert!(
        refused
            .expect("Kafka 4 takes no such segments")
            .to_string()
            .contains("segment.bytes")
    );
    assert_eq!(config.segment_bytes, 1024 * 1024 * 1024);
    assert_eq!(
        (config.compact, config.delete, config.max_message_bytes),
        (true, false, 77)
    );
    assert_eq!((config.retention_ms, config.retention_bytes), (-1, -1));

    let (config, refused) = LogConfig::of_stored(&properties(&[("retention.ms", "for ever")]), &broker, 1);
    assert!(refused.is_some());
    assert_eq!((config.retention_ms, config.delete), (-1, true));

    let (config, refused) = LogConfig::of_stored(&properties(&[("max.message.bytes", "77")]), &broker, 1);
    assert_eq!((refused, config.retention_ms), (None, 3_600_000));
}
