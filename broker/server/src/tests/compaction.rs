//! Compacted topics, from the cleaner's round to who reads them and what is loaded from them.

use std::time::Duration;

use forebay_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use forebay_protocol::messages::{DeleteTopicsRequest, IncrementalAlterConfigsRequest};
use forebay_records::Offset;

use super::groups::{commit, committed, find_coordinator};
use super::*;

const OFTEN: (&str, &str) = ("log.cleaner.backoff.ms", "5");
const TOPIC: i8 = 2;

/// Begins a segment with almost each batch, and compacts whatever is dirty.
const EAGER: [(&str, &str); 2] = [("segment.ms", "1"), ("min.cleanable.dirty.ratio", "0")];

fn keyed(records: &[(&str, &str)]) -> RecordBatch {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for (key, value) in records {
        let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
        builder
            .append(crate::clock::now(), key, value, &Headers::EMPTY)
            .expect("it fits");
    }
    builder.build().expect("it can be built")
}

/// Offset, key and value of every record, read as a consumer does, gap by gap.
async fn contents(broker: &TestBroker, topic: &str) -> Vec<(i64, String, String)> {
    let mut records = Vec::new();
    let mut offset = 0;
    loop {
        let answer = broker.fetch(topic, 0, offset).await;
        let mut next = offset;
        for batch in batches(bytes_of(&answer)) {
            let batch = batch.expect("whole");
            next = batch.next_offset().0;
            for record in batch.records().expect("readable") {
                let record = record.expect("good");
                let text = |bytes: Option<bytes::Bytes>| {
                    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
                };
                let (key, value) = (text(record.key), text(record.value));
                records.push((record.offset.0, key, value));
            }
        }
        if next == offset {
            assert_eq!(next, answer.high_watermark, "a gap is got over");
            return records;
        }
        offset = next;
    }
}

/// Segments are closed by the time of their records.
async fn next_millisecond() {
    let now = crate::clock::now();
    while crate::clock::now().0 < now.0 + 3 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_compacted_topic_keeps_the_newest_of_each_key() {
    let broker = TestBroker::start_with(&[OFTEN]).await;
    let configs = [&EAGER[..], &[("cleanup.policy", "compact")]].concat();
    broker.create_topic("t", 1, &configs).await;
    for round in 0..5 {
        let value = round.to_string();
        let batch = keyed(&[("a", &value), ("b", &value)]);
        assert_eq!(broker.produce("t", 0, -1, batch).await.error_code, 0);
        next_millisecond().await;
    }
    let expected = [(6, "a", "3"), (7, "b", "3"), (8, "a", "4"), (9, "b", "4")]
        .map(|(offset, key, value)| (offset, key.to_owned(), value.to_owned()));
    while contents(&broker, "t").await != expected {
        tokio::task::yield_now().await;
    }
    // The same after a crash.
    let broker = broker.crash_and_restart().await;
    assert_eq!(contents(&broker, "t").await, expected);
}

#[tokio::test]
async fn without_the_cleaner_nothing_goes() {
    let broker = TestBroker::start_with(&[OFTEN, ("log.cleaner.enable", "false")]).await;
    let other = TestBroker::start_with(&[OFTEN]).await;
    let configs = [&EAGER[..], &[("cleanup.policy", "compact")]].concat();
    for one in [&broker, &other] {
        one.create_topic("t", 1, &configs).await;
        for value in ["1", "2", "3"] {
            let batch = keyed(&[("a", value)]);
            assert_eq!(one.produce("t", 0, -1, batch).await.error_code, 0);
            next_millisecond().await;
        }
    }
    while contents(&other, "t").await.len() > 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(contents(&broker, "t").await.len(), 3);
}

/// The coordinator's own topic is compacted too, and is enough to know all that was committed.
#[tokio::test]
async fn committed_offsets_are_loaded_from_a_compacted_topic() {
    let settings = [OFTEN, ("offsets.topic.num.partitions", "1")];
    let broker = TestBroker::start_with(&settings).await;
    broker.create_topic("t", 1, &[]).await;
    broker.create_topic("u", 1, &[]).await;
    find_coordinator(&broker, "g").await;
    let configs = EAGER.map(|(name, value)| AlterableConfig {
        name: name.into(),
        value: Some(value.into()),
        ..AlterableConfig::default()
    });
    let resource = AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: "__consumer_offsets".into(),
        configs: configs.into(),
        ..AlterConfigsResource::default()
    };
    let request = IncrementalAlterConfigsRequest {
        resources: vec![resource],
        ..Default::default()
    };
    assert_eq!(broker.call(1, request).await.responses[0].error_code, 0);
    let nobody = "".into();
    for offset in 1..=20 {
        for topic in ["t", "u"] {
            let committed = commit(&broker, &nobody, -1, topic, offset).await;
            assert_eq!(committed[0], ErrorCode::None);
        }
        next_millisecond().await;
    }
    let log = |broker: &TestBroker| {
        let replica = broker.handle.replica("__consumer_offsets", 0).expect("there");
        Arc::clone(replica.log().expect("it can be used"))
    };
    let end = log(&broker).log_end_offset();
    assert!(end >= Offset(40));
    while contents(&broker, "__consumer_offsets").await.len() > 8 {
        tokio::task::yield_now().await;
    }
    let mut broker = broker.restart().await;
    for _ in 0..2 {
        assert_eq!(log(&broker).log_end_offset(), end);
        assert_eq!(committed(&broker, "t").await, 20);
        assert_eq!(committed(&broker, "u").await, 20);
        broker = broker.crash_and_restart().await;
    }
}

/// A cleaner that is held back for minutes does not hold back who deletes its topic, nor all other commands behind that.
#[tokio::test]
async fn a_topic_is_deleted_while_its_cleaner_is_throttled() {
    let slow = ("log.cleaner.io.max.bytes.per.second", "1024");
    let broker = TestBroker::start_with(&[OFTEN, slow]).await;
    let configs = [&EAGER[..], &[("cleanup.policy", "compact")]].concat();
    broker.create_topic("t", 1, &configs).await;
    let large = "x".repeat(200_000);
    for _ in 0..3 {
        assert_eq!(
            broker
                .produce("t", 0, -1, keyed(&[("a", &large)]))
                .await
                .error_code,
            0
        );
        next_millisecond().await;
    }
    let replica = broker.handle.replica("t", 0).expect("there");
    while !replica.log().is_some_and(|log| log.is_being_cleaned()) {
        tokio::task::yield_now().await;
    }
    let request = DeleteTopicsRequest {
        topic_names: vec!["t".into()],
        timeout_ms: 30_000,
        ..Default::default()
    };
    let commands = async {
        let deleted = broker.call(5, request).await;
        assert_eq!(deleted.responses[0].error_code, 0);
        broker.create_topic("t", 1, &configs).await;
        broker.create_topic("u", 1, &[]).await;
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), commands).await;
    in_time.expect("it does not wait for the 200 seconds that the cleaner needs");
    assert_eq!(
        broker
            .produce("t", 0, -1, keyed(&[("a", "new")]))
            .await
            .base_offset,
        0
    );
}
