//! A disk that fails while the broker runs: whoever waits is told, nothing more is acknowledged, and the broker ends with
//! the reason.

use std::pin::Pin;
use std::sync::mpsc;

use forebay_disk::{Effect, Fault, FaultyDisk, MemoryDisk, Operation};
use forebay_protocol::messages::ProduceResponse;
use tokio::sync::oneshot;

use super::*;

/// Something that is asked of a broker, and its answer.
type Ask = fn(&TestBroker) -> Pin<Box<dyn Future<Output = ErrorCode> + Send + '_>>;

/// Nothing happens but what a test asks for.
const QUIET: [(&str, &str); 2] = [
    ("replica.high.watermark.checkpoint.interval.ms", "3600000"),
    ("log.flush.offset.checkpoint.interval.ms", "3600000"),
];

fn code_of(response: &ProduceResponse) -> ErrorCode {
    ErrorCode::from_i16(response.responses[0].partition_responses[0].error_code)
}

fn produce_to(partition: i32) -> ProduceRequest {
    let records = Records::Memory(batch(&["lost"]).into_bytes());
    produce_request("t", partition, -1, Some(records))
}

/// One append thread: while the sync of partition 0 hangs, what is for partition 1 stands in its queue.
#[tokio::test]
async fn everyone_who_waits_is_told() {
    let disk = FaultyDisk::new(Arc::new(MemoryDisk::new()));
    let mut settings = QUIET.to_vec();
    settings.extend([
        ("num.io.threads", "1"),
        ("group.initial.rebalance.delay.ms", "60000"),
    ]);
    let broker = TestBroker::start_on(Arc::new(disk.clone()), &settings).await;
    broker.create_topic("t", 2, &[]).await;
    groups::find_coordinator(&broker, "g").await;
    for partition in [0, 1] {
        assert_eq!(
            broker
                .produce("t", partition, -1, batch(&["kept"]))
                .await
                .error_code,
            0
        );
    }
    let member = groups::join(&broker, &forebay_protocol::Utf8Bytes::default())
        .await
        .member_id;
    let (entered, is_there) = oneshot::channel();
    let (go_on, told) = mpsc::channel();
    disk.call_at(Operation::Sync, 1, move || {
        let _nobody_waits = entered.send(());
        told.recv().ok()
    });
    let (running, broker) = broker.split();
    let running = tokio::spawn(running.run(std::future::pending()));
    let syncing = broker.call(9, produce_to(0));
    let then = async {
        is_there.await.expect("it syncs");
        let waiting = async {
            tokio::join!(
                broker.call(9, produce_to(1)),
                broker.call(12, fetch_request("t", 0, 1, 60_000)),
                groups::join(&broker, &member),
            )
        };
        let failing = async {
            // Each of the others is polled until it waits, before this begins.
            assert!(broker.handle.is_ready());
            go_on.send(Effect::Fail).expect("it waits");
        };
        tokio::join!(waiting, failing).0
    };
    let (syncing, (queued, fetched, joined)) = tokio::join!(syncing, then);
    assert_eq!(code_of(&syncing), ErrorCode::KafkaStorageError);
    assert_eq!(code_of(&queued), ErrorCode::KafkaStorageError);
    let fetched = &fetched.responses[0].partitions[0];
    assert!(bytes_of(fetched).is_empty(), "what is not synced is not seen");
    assert_eq!(ErrorCode::from_i16(joined.error_code), ErrorCode::NotCoordinator);
    assert!(!broker.handle.is_ready());
    let ended = running.await.expect("no panic");
    assert!(
        matches!(ended, Err(crate::Error::DirectoryFailed(_))),
        "{ended:?}"
    );
    let broker = broker.again().await;
    assert_eq!(broker.values("t", 1, 0).await, ["kept"]);
}

/// Whichever part of the broker is the first to notice.
#[tokio::test]
async fn the_broker_ends_whatever_fails() {
    let cases: [(&str, Operation, Ask); 6] = [
        ("a sync of records", Operation::Sync, |broker| {
            Box::pin(produce_one(broker))
        }),
        ("a write of records", Operation::Write, |broker| {
            Box::pin(produce_one(broker))
        }),
        ("a new folder", Operation::CreateDirectory, |broker| {
            Box::pin(produce_to_new(broker))
        }),
        ("names in a folder", Operation::SyncDirectory, |broker| {
            Box::pin(produce_to_new(broker))
        }),
        ("a sync of metadata", Operation::Sync, |broker| {
            Box::pin(create_another(broker))
        }),
        ("a write of metadata", Operation::Write, |broker| {
            Box::pin(create_another(broker))
        }),
    ];
    for (name, operation, ask) in cases {
        let disk = FaultyDisk::new(Arc::new(MemoryDisk::new()));
        let broker = TestBroker::start_on(Arc::new(disk.clone()), &QUIET).await;
        broker.create_topic("t", 2, &[]).await;
        assert_eq!(broker.produce("t", 0, -1, batch(&["kept"])).await.error_code, 0);
        disk.set(Fault {
            operation,
            nth: 1,
            effect: Effect::Fail,
        });
        assert_ne!(ask(&broker).await, ErrorCode::None, "{name}");
        assert!(!broker.handle.is_ready(), "{name}");
        let (running, stopped) = broker.split();
        let ended = running.run(std::future::pending()).await;
        assert!(
            matches!(ended, Err(crate::Error::DirectoryFailed(_))),
            "{name}: {ended:?}"
        );
        let broker = stopped.again().await;
        assert_eq!(broker.values("t", 0, 0).await[0], "kept", "{name}");
    }
}

async fn produce_one(broker: &TestBroker) -> ErrorCode {
    code_of(&broker.call(9, produce_to(0)).await)
}

async fn produce_to_new(broker: &TestBroker) -> ErrorCode {
    code_of(&broker.call(9, produce_to(1)).await)
}

async fn create_another(broker: &TestBroker) -> ErrorCode {
    let topic = CreatableTopic {
        name: "another".into(),
        num_partitions: 1,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest {
        topics: vec![topic],
        timeout_ms: 1000,
        ..Default::default()
    };
    ErrorCode::from_i16(broker.call(7, request).await.topics[0].error_code)
}

/// Files that are open can be written although nobody will ever find them again.
#[tokio::test]
async fn a_directory_that_has_gone_is_noticed() {
    for produces in [true, false] {
        let broker = TestBroker::start_with(&QUIET).await;
        broker.create_topic("t", 1, &[]).await;
        std::fs::remove_dir_all(broker.directory.path()).expect("removed");
        if produces {
            let produced = broker.produce("t", 0, -1, batch(&["lost"])).await;
            assert_eq!(
                ErrorCode::from_i16(produced.error_code),
                ErrorCode::KafkaStorageError
            );
            assert!(!broker.handle.is_ready());
        }
        let (running, _broker) = broker.split();
        let ended = running.run(std::future::pending()).await;
        let Err(crate::Error::DirectoryFailed(reason)) = ended else {
            panic!("{ended:?}");
        };
        assert!(produces || reason.contains("was removed"), "{reason}");
    }
}

/// Topics cannot be made while the disk is full; once there is room again they can.
#[tokio::test]
async fn metadata_survive_a_full_disk() {
    let disk = FaultyDisk::new(Arc::new(MemoryDisk::new()));
    let broker = TestBroker::start_on(Arc::new(disk.clone()), &QUIET).await;
    for effect in [Effect::NoSpaceFromNowOn, Effect::ShortWrite { bytes: 30 }] {
        disk.set(Fault {
            operation: Operation::Write,
            nth: 1,
            effect,
        });
        assert_eq!(create_another(&broker).await, ErrorCode::KafkaStorageError);
        disk.clear();
        assert!(broker.handle.is_ready());
    }
    assert_eq!(create_another(&broker).await, ErrorCode::None);
    let broker = broker.crash_and_restart().await;
    assert_eq!(
        broker.produce("another", 0, -1, batch(&["a"])).await.error_code,
        0
    );
}

/// Every second record asks for a sync; neither it nor a reader has an answer before that.
#[tokio::test]
async fn the_record_that_reaches_flush_messages_waits_for_the_disk() {
    let disk = FaultyDisk::new(Arc::new(MemoryDisk::new()));
    let broker = TestBroker::start_on(Arc::new(disk.clone()), &QUIET).await;
    broker.create_topic("t", 1, &[("flush.messages", "2")]).await;
    let syncs = || disk.count(Operation::Sync);
    // The first ones make the files, with syncs of their own.
    for value in ["none", "zero"] {
        broker.produce("t", 0, -1, batch(&[value])).await;
    }
    disk.clear();
    for (value, expected) in [("one", 0), ("two", 1), ("three", 1), ("four", 2)] {
        assert_eq!(broker.produce("t", 0, -1, batch(&[value])).await.error_code, 0);
        assert_eq!(syncs(), expected, "{value}");
    }
    assert_eq!(broker.produce("t", 0, -1, batch(&["five"])).await.error_code, 0);
    disk.set(Fault {
        operation: Operation::Sync,
        nth: 1,
        effect: Effect::Fail,
    });
    let refused = broker.produce("t", 0, -1, batch(&["six"])).await.error_code;
    assert_eq!(ErrorCode::from_i16(refused), ErrorCode::KafkaStorageError);
}
