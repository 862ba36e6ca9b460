//! Settings of brokers that are changed while they run: what takes effect at once, what outlives a restart, what is refused.

use forebay_protocol::messages::describe_configs_request::DescribeConfigsResource;
use forebay_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use forebay_protocol::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::*;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const DELETE: i8 = 1;

pub(super) async fn alter(
    broker: &TestBroker,
    name: &str,
    key: &str,
    value: Option<&str>,
) -> (ErrorCode, String) {
    alter_together(broker, &[(name, key, value)]).await.remove(0)
}

/// Of several brokers, or of one and of all, in one request.
async fn alter_together(
    broker: &TestBroker,
    changes: &[(&str, &str, Option<&str>)],
) -> Vec<(ErrorCode, String)> {
    let resource = |(name, key, value): &(&str, &str, Option<&str>)| AlterConfigsResource {
        resource_type: BROKER,
        resource_name: (*name).into(),
        configs: vec![AlterableConfig {
            name: (*key).into(),
            config_operation: if value.is_some() { 0 } else { DELETE },
            value: value.map(Into::into),
            ..Default::default()
        }],
        ..Default::default()
    };
    let request = IncrementalAlterConfigsRequest {
        resources: changes.iter().map(resource).collect(),
        ..Default::default()
    };
    let answers = broker.call(1, request).await.responses.into_iter();
    answers
        .map(|answer| {
            let text = answer.error_message.map(|text| text.to_string());
            (ErrorCode::from_i16(answer.error_code), text.unwrap_or_default())
        })
        .collect()
}

/// A key's value and where it comes from.
async fn described(broker: &TestBroker, resource_type: i8, name: &str, key: &str) -> (String, i8) {
    let resource = DescribeConfigsResource {
        resource_type,
        resource_name: name.into(),
        configuration_keys: Some(vec![key.into()]),
        ..Default::default()
    };
    let request = DescribeConfigsRequest {
        resources: vec![resource],
        ..Default::default()
    };
    let config = broker.call(4, request).await.results.remove(0).configs.remove(0);
    (config.value.unwrap_or_default().to_string(), config.config_source)
}

/// Whether one more connection is let in.
async fn is_let_in(broker: &TestBroker, kept: &mut Vec<TcpStream>) -> bool {
    let address = broker.handle.listeners()[0].addresses[0];
    let mut stream = TcpStream::connect(address).await.expect("connects");
    let request = raw_socket::with(18, 0, &[]);
    tokio::io::AsyncWriteExt::write_all(&mut stream, &request)
        .await
        .ok();
    let answered = stream.read_i32().await.is_ok();
    kept.push(stream);
    answered
}

#[tokio::test]
async fn connections_of_an_address_are_bounded_from_now_on() {
    let broker = TestBroker::start().await;
    let mut kept = Vec::new();
    assert!(is_let_in(&broker, &mut kept).await);
    assert_eq!(
        alter(&broker, "", "max.connections.per.ip", Some("2")).await.0,
        ErrorCode::None
    );
    assert!(is_let_in(&broker, &mut kept).await);
    assert!(!is_let_in(&broker, &mut kept).await, "the third is one too many");
    // What is set on this broker is stronger than what is set on all, and holds after a restart.
    assert_eq!(
        alter(&broker, "1", "max.connections.per.ip", Some("1")).await.0,
        ErrorCode::None
    );
    drop(kept);
    let broker = broker.restart().await;
    let mut kept = Vec::new();
    assert_eq!(
        described(&broker, BROKER, "1", "max.connections.per.ip").await,
        ("1".to_owned(), 2)
    );
    assert!(is_let_in(&broker, &mut kept).await);
    assert!(!is_let_in(&broker, &mut kept).await);
    for name in ["", "1"] {
        assert_eq!(
            alter(&broker, name, "max.connections.per.ip", None).await.0,
            ErrorCode::None
        );
    }
    assert!(is_let_in(&broker, &mut kept).await);
}

#[tokio::test]
async fn topics_take_over_what_is_set_on_brokers() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    let large = "x".repeat(3_000);
    assert_eq!(broker.produce("t", 0, 1, batch(&[&large])).await.error_code, 0);
    assert_eq!(
        alter(&broker, "", "message.max.bytes", Some("2000")).await.0,
        ErrorCode::None
    );
    let refused = broker.produce("t", 0, 1, batch(&[&large])).await;
    assert_eq!(
        ErrorCode::from_i16(refused.error_code),
        ErrorCode::MessageTooLarge
    );
    assert_eq!(
        described(&broker, TOPIC, "t", "max.message.bytes").await,
        ("2000".to_owned(), 3)
    );
    assert_eq!(
        alter(&broker, "1", "log.retention.ms", Some("123456")).await.0,
        ErrorCode::None
    );
    assert_eq!(
        described(&broker, TOPIC, "t", "retention.ms").await,
        ("123456".to_owned(), 2)
    );
    assert_eq!(
        alter(&broker, "1", "producer.id.expiration.ms", Some("777"))
            .await
            .0,
        ErrorCode::None
    );
    let replica = broker.handle.replica("t", 0).expect("there");
    assert_eq!(replica.config().producer_id_expiration_ms, 777);
}

#[tokio::test]
async fn what_only_a_start_can_change_is_refused() {
    let broker = TestBroker::start().await;
    let fixed = |key: &str| format!("Cannot update these configs dynamically: [{key}]");
    let cases = [
        ("log.dirs", "/x", fixed("log.dirs")),
        ("num.partitions", "7", fixed("num.partitions")),
        (
            "advertised.listeners",
            "PLAINTEXT://x:9",
            fixed("advertised.listeners"),
        ),
        (
            "log.retention.ms",
            "abc",
            "Invalid value abc for configuration log.retention.ms: Not a number of type LONG".to_owned(),
        ),
    ];
    for (key, value, text) in cases {
        assert_eq!(
            alter(&broker, "1", key, Some(value)).await,
            (ErrorCode::InvalidRequest, text)
        );
    }
    // What was compacted by one thread is by two.
    assert_eq!(
        alter(&broker, "1", "log.cleaner.threads", Some("2")).await.0,
        ErrorCode::None
    );
    // Threads come and go without a restart.
    for threads in ["4", "8", "16"] {
        assert_eq!(
            alter(&broker, "1", "num.io.threads", Some(threads)).await.0,
            ErrorCode::None
        );
    }
    broker.create_topic("t", 1, &[]).await;
    assert_eq!(broker.produce("t", 0, -1, batch(&["x"])).await.error_code, 0);
}

#[tokio::test]
async fn settings_that_would_stop_the_broker_or_void_others_are_refused() {
    let broker = TestBroker::start().await;
    let threads = "log.cleaner.threads";
    let doubled = "Log cleaner threads cannot be increased to more than double the current value 1";
    let cases = [
        (threads, "200000000", doubled),
        (threads, "3", doubled),
        (threads, "0", "Log cleaner threads should be at least 1"),
        (
            "num.io.threads",
            "2147483647",
            "Dynamic thread count update validation failed for num.io.threads=2147483647, value should not be greater than \
             double the current value 8",
        ),
        (
            "num.io.threads",
            "3",
            "Dynamic thread count update validation failed for num.io.threads=3, value should be at least half the \
             current value 8",
        ),
    ];
    for name in ["1", ""] {
        for (key, value, text) in cases {
            assert_eq!(
                alter(&broker, name, key, Some(value)).await,
                (ErrorCode::InvalidRequest, text.to_owned())
            );
        }
    }
    // Each is right by itself, both together leave a cleaner less than it needs.
    let buffer = "log.cleaner.dedupe.buffer.size";
    assert_eq!(
        alter(&broker, "", buffer, Some("2097152")).await.0,
        ErrorCode::None
    );
    let (code, text) = alter(&broker, "1", threads, Some("2")).await;
    assert_eq!(code, ErrorCode::InvalidRequest);
    assert!(text.contains("each needs more than 1 MiB"), "{text}");
    // Another key of the broker is not held up by that.
    assert_eq!(
        alter(&broker, "1", "log.cleaner.io.max.bytes.per.second", Some("5"))
            .await
            .0,
        ErrorCode::None
    );
}

#[tokio::test]
async fn what_is_set_on_a_broker_and_on_all_is_judged_together() {
    let broker = TestBroker::start().await;
    let (threads, buffer) = ("log.cleaner.threads", "log.cleaner.dedupe.buffer.size");
    let (hidden, halves) = (
        [("", threads, Some("200000000")), ("1", threads, None)],
        [("", threads, Some("2")), ("1", buffer, Some("2097152"))],
    );
    for (before, changes) in [
        // What is hidden as long as the other is there.
        ("2", hidden),
        // Each by itself leaves the cleaner what it needs.
        ("1", halves),
        ("1", [halves[1], halves[0]]),
    ] {
        assert_eq!(
            alter(&broker, "1", threads, Some(before)).await.0,
            ErrorCode::None
        );
        if before == "1" {
            assert_eq!(alter(&broker, "1", threads, None).await.0, ErrorCode::None);
        }
        let verdicts = alter_together(&broker, &changes).await;
        let codes: Vec<ErrorCode> = verdicts.iter().map(|(code, _)| *code).collect();
        assert_eq!(
            codes,
            [ErrorCode::None, ErrorCode::InvalidRequest],
            "{verdicts:?}"
        );
        for (name, key) in [("", threads), ("", buffer), ("1", buffer)] {
            assert_eq!(alter(&broker, name, key, None).await.0, ErrorCode::None);
        }
    }
    let doubled = [("", threads, Some("2")), ("1", threads, Some("4"))];
    let verdicts = alter_together(&broker, &doubled).await;
    let codes: Vec<ErrorCode> = verdicts.iter().map(|(code, _)| *code).collect();
    assert_eq!(
        codes,
        [ErrorCode::None; 2],
        "each is double of what is there by then"
    );
    assert_eq!(
        described(&broker, BROKER, "1", threads).await,
        ("4".to_owned(), 2)
    );
}

/// As an earlier release has taken it.
#[tokio::test]
async fn a_number_that_cannot_be_is_put_right_at_once() {
    let threads = "log.cleaner.threads";
    let unlimited = ("log.cleaner.dedupe.buffer.size", "9223372036854775807");
    let broker = TestBroker::start_with(&[(threads, "200000000"), unlimited]).await;
    let (code, text) = alter(&broker, "1", threads, Some("50000")).await;
    assert_eq!(code, ErrorCode::InvalidRequest, "it cannot be either: {text}");
    assert_eq!(
        alter(&broker, "1", threads, Some("3")).await,
        (ErrorCode::None, String::new())
    );
    let (code, _) = alter(&broker, "1", threads, None).await;
    assert_eq!(code, ErrorCode::InvalidRequest, "nor does it come back");

    let values = |number: &str| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        config(directory.path(), &[("num.io.threads", number)]).values
    };
    for (now, then, allowed) in [
        ("2000000", "8", true),
        ("2000000", "2000", false),
        ("1024", "8", false),
        ("1024", "512", true),
    ] {
        let verdict = crate::dynamic::check(&values(then), Some(&values(now)));
        assert_eq!(verdict.is_ok(), allowed, "{now} {then} {verdict:?}");
    }
}

/// Ten seconds' worth may come at once; the next one is let in later. On the broker, then on the listener.
#[tokio::test]
async fn connections_that_come_too_fast_wait() {
    for (key, node) in [
        ("max.connection.creation.rate", ""),
        ("listener.name.plaintext.max.connection.creation.rate", "1"),
    ] {
        let broker = TestBroker::start().await;
        assert_eq!(
            alter(&broker, node, key, Some("1")).await.0,
            ErrorCode::None,
            "{key}"
        );
        let mut kept = Vec::new();
        let began = std::time::Instant::now();
        for _ in 0..11 {
            assert!(is_let_in(&broker, &mut kept).await);
        }
        assert!(began.elapsed().as_millis() > 800, "{key}: {:?}", began.elapsed());
        assert_eq!(alter(&broker, node, key, None).await.0, ErrorCode::None);
        // No wait is so long that this takes more than a second any more.
        let mut kept = Vec::new();
        for _ in 0..50 {
            assert!(is_let_in(&broker, &mut kept).await);
        }
    }
}
