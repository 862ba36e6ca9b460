//! Fetches of every range (B28), over a socket: at each offset, within a byte, for more than there is, of ten thousand partitions, in a
//! session that has gone on.

use std::time::{Duration, Instant};

use forebay_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use forebay_protocol::messages::fetch_response::PartitionData;
use forebay_protocol::messages::{FetchRequest, FetchResponse};
use forebay_protocol::{ErrorCode, Records};
use forebay_records::{BatchBuilder, BatchOptions, Headers, RecordBatch, Timestamp, batches};

use crate::process::Hub;
use crate::wire::Wire;

/// With sessions, topics by name.
const VERSION: i16 = 12;
/// A fetch waits so long for more, if nothing wakes it.
const WAIT: Duration = Duration::from_millis(500);

fn produce(wire: &mut Wire, values: &[&str]) {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for value in values {
        builder
            .append(
                Timestamp(1_700_000_000_000),
                None,
                Some(value.as_bytes()),
                &Headers::EMPTY,
            )
            .expect("it fits");
    }
    assert_eq!(
        wire.produce("t", builder.build().expect("a batch").into_bytes()),
        0
    );
}

fn request(partitions: impl IntoIterator<Item = i32>, offset: i64) -> FetchRequest {
    let partition = |partition| FetchPartition {
        partition,
        fetch_offset: offset,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    FetchRequest {
        max_wait_ms: i32::try_from(WAIT.as_millis()).expect("short"),
        min_bytes: 1,
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: "t".into(),
            partitions: partitions.into_iter().map(partition).collect(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn found(data: &PartitionData) -> Vec<RecordBatch> {
    match &data.records {
        Some(Records::Memory(bytes)) => batches(bytes.clone())
            .map(|batch| batch.expect("a batch"))
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn only(answer: &FetchResponse) -> &PartitionData {
    assert_eq!(answer.error_code, 0);
    &answer.responses[0].partitions[0]
}

#[test]
fn every_fetch_makes_progress_in_whole_batches() {
    let directory = tempfile::tempdir().expect("a directory");
    let hub = Hub::broker(directory.path());
    let mut wire = Wire::connect(&hub);
    assert_eq!(wire.create_topic("t", 1, &[]), 0);
    for values in [&["0", "1", "2"][..], &["3"], &["4", "5"]] {
        produce(&mut wire, values);
    }
    for (offset, start) in (0..).zip([0, 0, 0, 3, 4, 4]) {
        let mut asked = request([0], offset);
        let all = wire.call(VERSION, &asked);
        assert_eq!(found(only(&all))[0].base_offset().0, start, "from {offset}");
        (asked.max_bytes, asked.topics[0].partitions[0].partition_max_bytes) = (1, 1);
        let least = wire.call(VERSION, &asked);
        let least: Vec<i64> = found(only(&least))
            .iter()
            .map(|batch| batch.base_offset().0)
            .collect();
        assert_eq!(least, [start], "one byte from {offset}");
    }
    // More than there is: what there is, after the wait and not before it.
    let began = Instant::now();
    let more = FetchRequest {
        min_bytes: i32::MAX,
        ..request([0], 0)
    };
    assert_eq!(found(only(&wire.call(VERSION, &more))).len(), 3);
    assert!(began.elapsed() >= WAIT, "{:?}", began.elapsed());
    for offset in [7, -1, i64::MIN, i64::MAX] {
        let answer = wire.call(VERSION, &request([0], offset));
        let code = ErrorCode::from_i16(answer.responses[0].partitions[0].error_code);
        assert_eq!(code, ErrorCode::OffsetOutOfRange, "from {offset}");
    }
    // Ten thousand that are not there, and one that is.
    let many = wire.call(VERSION, &request(0..10_000, 0));
    let answers = &many.responses[0].partitions;
    assert_eq!(answers.len(), 10_000);
    let unknown = i16::from(ErrorCode::UnknownTopicOrPartition);
    let is_right =
        |data: &PartitionData| data.error_code == if data.partition_index == 0 { 0 } else { unknown };
    assert!(answers.iter().all(is_right));
}

#[test]
fn a_session_takes_its_epochs_in_order() {
    let directory = tempfile::tempdir().expect("a directory");
    let hub = Hub::broker(directory.path());
    let mut wire = Wire::connect(&hub);
    assert_eq!(wire.create_topic("t", 1, &[]), 0);
    produce(&mut wire, &["0"]);
    let first = FetchRequest {
        session_epoch: 0,
        ..request([0], 0)
    };
    let first = wire.call(VERSION, &first);
    let session_id = first.session_id;
    assert!(first.error_code == 0 && session_id != 0, "{first:?}");
    let next = |epoch, id| FetchRequest {
        session_epoch: epoch,
        session_id: id,
        topics: Vec::new(),
        max_wait_ms: 0,
        ..request([], 0)
    };
    assert_eq!(wire.call(VERSION, &next(1, session_id)).error_code, 0);
    let code = |code| i16::from(code);
    let epoch = code(ErrorCode::InvalidFetchSessionEpoch);
    let unknown = code(ErrorCode::FetchSessionIdNotFound);
    for (epoch_sent, id, expected) in [
        (1, session_id, epoch),
        (7, session_id, epoch),
        (i32::MAX, session_id, epoch),
        (2, session_id.wrapping_add(1), unknown),
        (2, session_id, 0),
    ] {
        assert_eq!(
            wire.call(VERSION, &next(epoch_sent, id)).error_code,
            expected,
            "epoch {epoch_sent}"
        );
    }
}

#[test]
fn a_fetch_that_waits_wakes_on_append() {
    const ROUNDS: usize = 15;
    let directory = tempfile::tempdir().expect("a directory");
    let hub = Hub::broker(directory.path());
    let (mut reader, mut writer) = (Wire::connect(&hub), Wire::connect(&hub));
    assert_eq!(writer.create_topic("t", 1, &[]), 0);
    let mut waits: Vec<Duration> = (0..ROUNDS)
        .map(|round| {
            let long = FetchRequest {
                max_wait_ms: 60_000,
                ..request([0], i64::try_from(round).expect("small"))
            };
            reader.send(VERSION, &long);
            produce(&mut writer, &["x"]);
            let produced = Instant::now();
            let answer = reader.receive::<FetchRequest>(VERSION);
            assert_eq!(found(only(&answer)).len(), 1);
            produced.elapsed()
        })
        .collect();
    waits.sort_unstable();
    // On an idle machine it is below a millisecond; the bound is for one that is not.
    assert!(waits[ROUNDS / 2] < WAIT, "{waits:?}");
}
