//! Starts that must not succeed, ends that must not lose anything, disks that fail.

use std::fs;
use std::sync::Arc;

use forebay_disk::{Effect, Fault, FaultyDisk, Operation, RealDisk};

use super::*;

#[tokio::test]
async fn two_brokers_cannot_have_one_directory_or_port() {
    let broker = TestBroker::start().await;
    let error = launch(broker.directory.path(), &[])
        .await
        .expect_err("locked")
        .to_string();
    assert!(
        error.contains("is locked") && error.contains("log.dirs"),
        "{error}"
    );
    let port = broker.handle.listeners()[0].addresses[0].port();
    let other = tempfile::tempdir().expect("a temporary directory");
    let properties: Properties = [
        ("listeners", format!("PLAINTEXT://127.0.0.1:{port}")),
        ("log.dirs", other.path().display().to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    let config = BrokerConfig::parse(&properties).expect("valid");
    let error = Broker::start(Options::new(config))
        .await
        .expect_err("taken")
        .to_string();
    assert!(error.contains("in use") && error.contains("listeners"), "{error}");
    assert_eq!(
        fs::read_dir(other.path()).expect("readable").count(),
        0,
        "nothing was written"
    );
}

#[tokio::test]
async fn a_directory_of_another_node_is_refused() {
    let broker = TestBroker::start().await;
    let TestBroker {
        broker: running,
        handle,
        directory,
        ..
    } = broker;
    drop(handle);
    running
        .expect("it runs")
        .run(std::future::ready(()))
        .await
        .expect("it ends cleanly");
    let error = launch(directory.path(), &[("node.id", "7")])
        .await
        .expect_err("foreign")
        .to_string();
    assert!(error.contains("node"), "{error}");
}

/// A torn tail (faults B15): what is whole is kept, and offsets go on.
#[tokio::test]
async fn a_torn_tail_is_cut_after_the_last_whole_batch() {
    let mut broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    let mut expected = Vec::new();
    for round in 0..12_u8 {
        let value = round.to_string();
        broker.produce("t", 0, -1, batch(&[&value])).await;
        expected.push(value.clone());
        let torn = batch(&["torn"]).into_bytes();
        let file = broker.directory.path().join("t-0/00000000000000000000.log");
        broker.broker.take().expect("it runs").crash().await;
        let mut bytes = fs::read(&file).expect("readable");
        let cut = match round % 3 {
            0 => torn.len() - 1,
            1 => usize::from(round) * 5,
            _ => 61,
        };
        bytes.extend_from_slice(&torn[..cut]);
        fs::write(&file, bytes).expect("writable");
        broker = broker.again().await;
        assert_eq!(broker.values("t", 0, 0).await, expected, "round {round}");
    }
}

/// A log that cannot be synced acknowledges nothing more, and the broker ends with the reason.
#[tokio::test]
async fn a_failed_sync_is_never_acknowledged() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let disk = Arc::new(FaultyDisk::new(Arc::new(RealDisk)));
    let properties: Properties = [
        ("listeners", "PLAINTEXT://127.0.0.1:0".to_owned()),
        ("log.dirs", directory.path().display().to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    let config = BrokerConfig::parse(&properties).expect("valid");
    let options = Options {
        disk: Arc::clone(&disk) as Arc<dyn forebay_disk::Disk>,
        ..Options::new(config)
    };
    let broker = Broker::start(options).await.expect("starts");
    let broker = TestBroker {
        handle: broker.handle(),
        broker: Some(broker),
        settings: Vec::new(),
        directory,
    };
    broker.create_topic("t", 1, &[]).await;
    assert_eq!(broker.produce("t", 0, 1, batch(&["kept"])).await.error_code, 0);
    disk.set(Fault {
        operation: Operation::Sync,
        nth: 1,
        effect: Effect::Fail,
    });
    let refused = broker.produce("t", 0, 1, batch(&["lost"])).await;
    assert_eq!(
        ErrorCode::from_i16(refused.error_code),
        ErrorCode::KafkaStorageError
    );
    let again = broker.produce("t", 0, 1, batch(&["lost"])).await;
    assert_eq!(
        ErrorCode::from_i16(again.error_code),
        ErrorCode::KafkaStorageError
    );
    assert!(!broker.handle.is_ready());
    let TestBroker {
        broker: running,
        handle,
        directory,
        settings,
    } = broker;
    let error = running
        .expect("it runs")
        .run(std::future::pending())
        .await
        .expect_err("it ends by itself");
    assert!(matches!(error, crate::Error::DirectoryFailed(_)), "{error}");
    let stopped = TestBroker {
        broker: None,
        handle,
        directory,
        settings,
    };
    let broker = stopped.again().await;
    assert_eq!(
        broker.values("t", 0, 0).await.first().map(String::as_str),
        Some("kept")
    );
}

/// Retention by size, from the interval to the reader that comes too late.
#[tokio::test]
async fn old_segments_go() {
    let broker = TestBroker::start_with(&[("log.retention.check.interval.ms", "10")]).await;
    broker
        .create_topic(
            "t",
            1,
            &[
                ("segment.bytes", "1048576"),
                ("retention.bytes", "1"),
                ("file.delete.delay.ms", "0"),
            ],
        )
        .await;
    let large = "x".repeat(700_000);
    for _ in 0..4 {
        assert_eq!(broker.produce("t", 0, -1, batch(&[&large])).await.error_code, 0);
    }
    loop {
        let answer = broker.fetch("t", 0, 0).await;
        if ErrorCode::from_i16(answer.error_code) == ErrorCode::OffsetOutOfRange {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(broker.values("t", 0, 3).await, [large]);
}
