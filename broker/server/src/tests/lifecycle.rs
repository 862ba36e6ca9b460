//! Starts that must not succeed, ends that must not lose anything, disks that fail.

use std::fs;
use std::sync::Arc;

use forebay_disk::{Effect, Fault, FaultyDisk, Operation, RealDisk};

use super::*;

#[tokio::test]
async fn two_brokers_cannot_have_one_directory_or_port() {
    let broker = TestBroker::start().await;
    let error = launch(broker.directory.path(), &broker.disk, &[])
        .await
        .expect_err("locked")
        .to_string();
    assert!(
        error.contains("is locked") && error.contains("log.dirs") && error.contains("--data-dir"),
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
    let (directory, disk) = TestBroker::start().await.stop().await;
    let error = launch(directory.path(), &disk, &[("node.id", "7")])
        .await
        .expect_err("foreign")
        .to_string();
    assert!(error.contains("node"), "{error}");
}

/// Topics that only a snapshot knows of would seem to be deleted.
#[tokio::test]
async fn a_metadata_log_without_its_beginning_is_refused() {
    let (directory, disk) = TestBroker::start().await.stop().await;
    let starts = directory.path().join("log-start-offset-checkpoint");
    fs::write(starts, "0\n1\n__cluster_metadata 0 1\n").expect("written");
    let error = launch(directory.path(), &disk, &[])
        .await
        .expect_err("refused")
        .to_string();
    assert!(error.contains("snapshot"), "{error}");
}

/// Whoever has not said which node this is gets the one whose records are there, such as Kafka's.
#[tokio::test]
async fn a_directory_says_which_node_it_is_of() {
    let broker = TestBroker::start_with(&[("node.id", "7")]).await;
    let (directory, disk) = broker.stop().await;
    let again = launch(directory.path(), &disk, &[]).await;
    assert_eq!(again.expect("it starts").handle().node_id().0, 7);
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
    let disk = FaultyDisk::new(Arc::new(RealDisk));
    let broker = TestBroker::start_on(Arc::new(disk.clone()), &[]).await;
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
    let (running, stopped) = broker.split();
    let error = running
        .run(std::future::pending())
        .await
        .expect_err("it ends by itself");
    assert!(matches!(error, crate::Error::DirectoryFailed(_)), "{error}");
    let broker = stopped.again().await;
    assert_eq!(
        broker.values("t", 0, 0).await.first().map(String::as_str),
        Some("kept")
    );
}

/// A part that panics is missed by nobody until its work is: the broker ends, cleanly as far as it can.
#[tokio::test]
async fn a_part_that_panics_ends_the_broker() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    assert_eq!(broker.produce("t", 0, 1, batch(&["kept"])).await.error_code, 0);
    let (mut running, stopped) = broker.split();
    running.spawn(async { panic!("on purpose") });
    let ended = running.run(std::future::pending()).await;
    assert!(matches!(ended, Err(crate::Error::Task(_))), "{ended:?}");
    assert!(!stopped.handle.is_ready());
    let marker = stopped.directory.path().join(".kafka_cleanshutdown");
    assert!(marker.exists(), "its logs are closed");
    assert_eq!(stopped.again().await.values("t", 0, 0).await, ["kept"]);
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

/// A full disk refuses, serves what there is, and goes on when there is room again (faults B13, B14).
#[tokio::test]
async fn a_full_disk_is_no_end() {
    let disk = FaultyDisk::new(Arc::new(RealDisk));
    let broker = TestBroker::start_on(Arc::new(disk.clone()), &[]).await;
    broker.create_topic("t", 1, &[]).await;
    assert_eq!(broker.produce("t", 0, 1, batch(&["a"])).await.error_code, 0);
    for effect in [Effect::NoSpaceFromNowOn, Effect::ShortWrite { bytes: 30 }] {
        disk.set(Fault {
            operation: Operation::Write,
            nth: 1,
            effect,
        });
        let refused = broker.produce("t", 0, 1, batch(&["lost"])).await;
        assert_eq!(
            ErrorCode::from_i16(refused.error_code),
            ErrorCode::KafkaStorageError
        );
        assert_eq!(broker.values("t", 0, 0).await[0], "a");
        disk.clear();
        assert_eq!(
            broker.produce("t", 0, 1, batch(&["b"])).await.error_code,
            0,
            "{effect:?}"
        );
    }
    assert!(broker.handle.is_ready());
    let broker = broker.crash_and_restart().await;
    assert_eq!(broker.values("t", 0, 0).await, ["a", "b", "b"]);
}

/// Kafka's tools read a segment to the end of its file.
#[tokio::test]
async fn a_segment_is_filled_ahead_while_it_is_synced_often_and_ends_with_its_batches() {
    let broker = TestBroker::start_with(&[("log.flush.interval.messages", "1")]).await;
    broker.create_topic("t", 1, &[]).await;
    let file = broker.directory.path().join("t-0/00000000000000000000.log");
    let length = || fs::metadata(&file).map_or(0, |metadata| metadata.len());
    let mut records = 0;
    while length() < 1 << 20 {
        assert!(records < 5000, "nothing fills the file");
        broker.produce("t", 0, -1, batch(&["x"])).await;
        records += 1;
    }
    let broker = broker.crash_and_restart().await;
    assert_eq!(broker.values("t", 0, 0).await.len(), records);
    assert!(length() < 1 << 20, "recovery cuts the zeros off");
    while length() < 1 << 20 {
        assert!(records < 10_000, "nothing fills the file");
        broker.produce("t", 0, -1, batch(&["x"])).await;
        records += 1;
    }
    let broker = broker.restart().await;
    assert_eq!(broker.values("t", 0, 0).await.len(), records);
    let size = batches(fs::read(&file).expect("readable").into())
        .map(|batch| batch.expect("a batch").size_in_bytes() as u64)
        .sum::<u64>();
    assert_eq!(length(), size);
}

/// Commands wait for syncs; those are shorter where the file need not grow.
#[tokio::test]
async fn the_metadata_log_is_filled_ahead_with_zeros() {
    const MIB: u64 = 1024 * 1024;
    let mut broker = TestBroker::start().await;
    let file = broker
        .directory
        .path()
        .join("__cluster_metadata-0/00000000000000000000.log");
    let length = || fs::metadata(&file).expect("there").len();
    let before = length();
    assert!(before < MIB, "a start writes little");
    let names: Vec<String> = (0..12).map(|number| format!("t{number}")).collect();
    for name in &names {
        broker.create_topic(name, 1, &[]).await;
    }
    while length() < MIB {
        tokio::task::yield_now().await;
    }
    for crash in [true, false] {
        broker = if crash {
            broker.crash_and_restart().await
        } else {
            broker.restart().await
        };
        assert!(length() < MIB, "what was left of it is cut");
        let image = broker.handle.core().metadata.image();
        assert!(names.iter().all(|name| image.topic(name).is_some()));
    }
}
