//! The rules between keys, and Kafka's defaults.

use super::*;

fn properties(pairs: &[(&str, &str)]) -> Properties {
    let mut properties: Properties = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    properties
        .entry("bootstrap.servers".to_owned())
        .or_insert_with(|| "127.0.0.1:9092".to_owned());
    properties
}

fn producer(pairs: &[(&str, &str)]) -> Result<ProducerConfig, String> {
    ProducerConfig::new(&properties(pairs), Origin::CommandLine).map_err(|errors| errors.to_string())
}

fn consumer(pairs: &[(&str, &str)]) -> Result<ConsumerConfig, String> {
    ConsumerConfig::new(&properties(pairs), Origin::CommandLine).map_err(|errors| errors.to_string())
}

#[test]
fn the_defaults_are_kafkas() {
    let producer = producer(&[]).expect("defaults are valid");
    assert_eq!((producer.acks, producer.enable_idempotence), (Acks::All, true));
    assert_eq!(
        (producer.batch_bytes, producer.linger),
        (16_384, Duration::from_millis(5))
    );
    assert_eq!(producer.delivery_timeout, Duration::from_secs(120));
    assert_eq!(producer.metadata_max_idle, Duration::from_secs(300));

    let consumer = consumer(&[]).expect("defaults are valid");
    assert_eq!(consumer.assignors, ["range", "cooperative-sticky"]);
    assert_eq!(consumer.auto_offset_reset, AutoOffsetReset::Latest);
    assert!(!consumer.enable_auto_commit, "there is no group to commit to");
}

#[test]
fn idempotence_gives_way_unless_asked_for() {
    for (pair, reason) in [
        (("acks", "1"), "Must set acks to all"),
        (("retries", "0"), "Must set retries to non-zero"),
        (
            ("max.in.flight.requests.per.connection", "6"),
            "Must set max.in.flight.requests.per.connection",
        ),
    ] {
        let config = producer(&[pair]).expect("the default gives way");
        assert!(!config.enable_idempotence, "{pair:?}");
        let error = producer(&[pair, ("enable.idempotence", "true")]).expect_err("asked for");
        assert!(error.starts_with(reason), "{error}");
    }
    assert!(
        producer(&[("max.in.flight.requests.per.connection", "5")])
            .expect("valid")
            .enable_idempotence
    );
}

#[test]
fn delivery_timeout_leaves_room_for_a_request() {
    assert!(producer(&[("delivery.timeout.ms", "30004")]).is_err());
    assert!(producer(&[("delivery.timeout.ms", "30005")]).is_ok());
    let grown = producer(&[("request.timeout.ms", "200000")]).expect("the default grows");
    assert_eq!(grown.delivery_timeout, Duration::from_millis(200_005));
}

#[test]
fn for_ever_is_a_moment_that_the_clock_can_name() {
    let longest = i64::MAX.to_string();
    let config = producer(&[("max.block.ms", &longest), ("linger.ms", "1000")]).expect("valid");
    assert!(
        tokio::time::Instant::now()
            .checked_add(config.max_block)
            .is_some()
    );
    let admin = AdminConfig::new(
        &properties(&[("metadata.max.age.ms", &longest)]),
        Origin::CommandLine,
    );
    assert!(
        tokio::time::Instant::now()
            .checked_add(admin.expect("valid").client.metadata_max_age)
            .is_some()
    );
}

#[test]
fn compression_levels_are_checked() {
    assert!(producer(&[("compression.type", "zstd"), ("compression.zstd.level", "19")]).is_ok());
    let error = producer(&[("compression.gzip.level", "10")]).expect_err("gzip ends at 9");
    assert!(error.contains("compression.gzip.level"), "{error}");
    assert!(producer(&[("compression.type", "rar")]).is_err());
}

#[test]
fn addresses_are_checked() {
    for (servers, valid) in [
        ("localhost:9092", true),
        ("a:1, [::1]:2", true),
        ("localhost", false),
        ("localhost:0", false),
        ("http://localhost:9092", false),
        ("::1:9092", false),
        ("", false),
    ] {
        assert_eq!(ClientConfig::bootstrap(servers).is_ok(), valid, "{servers:?}");
    }
}

#[test]
fn consumer_rules() {
    let group = ("group.id", "g");
    assert!(consumer(&[group]).expect("valid").enable_auto_commit);
    assert!(consumer(&[("enable.auto.commit", "true")]).is_err());
    assert!(consumer(&[group, ("heartbeat.interval.ms", "45000")]).is_err());
    let strategy = "org.apache.kafka.clients.consumer.RoundRobinAssignor,range";
    let config = consumer(&[group, ("partition.assignment.strategy", strategy)]).expect("valid");
    assert_eq!(config.assignors, ["roundrobin", "range"]);
    assert!(consumer(&[("partition.assignment.strategy", "com.example.Mine")]).is_err());
}

#[test]
fn unknown_keys_follow_the_policy() {
    let slip = properties(&[("enable.idempotense", "false")]);
    assert!(
        ProducerConfig::new(&slip, Origin::Properties).is_err(),
        "it governs durability"
    );
    let other = properties(&[("my.own", "1")]);
    assert!(ProducerConfig::new(&other, Origin::Properties).is_ok());
    assert!(ProducerConfig::new(&other, Origin::CommandLine).is_err());
}

#[test]
fn topics_are_not_forgotten_too_soon() {
    for (idle, is_valid) in [("4999", false), ("5000", true)] {
        assert_eq!(
            producer(&[("metadata.max.idle.ms", idle)]).is_ok(),
            is_valid,
            "{idle}"
        );
    }
}
