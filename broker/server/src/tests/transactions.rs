//! Logs with transactions in them, as Kafka leaves them: what consumers of committed records are told.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use forebay_broker_log::{TransactionChecks, ValidatedBatch, VerificationRequest};
use forebay_broker_partition::RequiredAcks;
use forebay_disk::{FaultyDisk, MemoryDisk, Operation};
use forebay_protocol::messages::ListOffsetsRequest;
use forebay_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use forebay_records::{
    AppendOrigin, ControlRecordType, EndTransactionMarker, Offset, Timestamp, ValidationOptions, validate,
};

use super::*;
use crate::replicas::NewAppend;

const READ_COMMITTED: i8 = 1;
const LATEST: i64 = -1;

/// What is appended: a record in a transaction of a producer, or the end of it.
#[derive(Clone, Copy)]
enum Step {
    Plain,
    Record(i64, i32),
    Commit(i64),
    Abort(i64),
}

fn batch_for(step: Step) -> (RecordBatch, AppendOrigin) {
    let producer = |id: i64, sequence: i32| ProducerIdentity {
        id: id.into(),
        epoch: 0.into(),
        base_sequence: sequence.into(),
    };
    let options = |producer, transactional| BatchOptions {
        producer,
        transactional,
        ..BatchOptions::default()
    };
    let end = |id, kind| {
        let marker = EndTransactionMarker { coordinator_epoch: 1 };
        BatchBuilder::end_transaction(options(producer(id, -1), true), crate::clock::now(), kind, marker)
            .expect("built")
    };
    match step {
        Step::Plain => (batch(&["plain"]), AppendOrigin::Client),
        Step::Record(id, sequence) => (
            batch_of(options(producer(id, sequence), true), &["in a transaction"]),
            AppendOrigin::Client,
        ),
        Step::Commit(id) => (end(id, ControlRecordType::Commit), AppendOrigin::Coordinator),
        Step::Abort(id) => (end(id, ControlRecordType::Abort), AppendOrigin::Coordinator),
    }
}

/// Appends as the transaction coordinator and its producers would, and waits until it is replicated.
async fn append(broker: &TestBroker, step: Step) {
    let (batch, origin) = batch_for(step);
    let options = ValidationOptions {
        origin,
        ..ValidationOptions::at(crate::clock::now())
    };
    let validated = validate(&batch, &options).expect("valid");
    let replica = broker.handle.replica("t", 0).expect("there");
    let mut checks = TransactionChecks::default();
    if let Step::Record(..) = step {
        let header = batch.header();
        let request = VerificationRequest {
            epoch: header.producer_epoch,
            sequence: header.base_sequence,
            raises_epoch: false,
        };
        let log = replica.log().expect("a log");
        let guard = log.begin_verification(header.producer_id, request, crate::clock::now());
        checks.guard = guard.expect("not fenced").unwrap_or_default();
    }
    let batches = vec![ValidatedBatch { batch, validated }];
    let append = NewAppend::new(batches, origin, RequiredAcks::All).checked(checks);
    let appended = replica.append(append).expect("queued").await.expect("told");
    appended.expect("appended");
}

fn fetch_committed(offset: i64, max_wait_ms: i32) -> FetchRequest {
    FetchRequest {
        isolation_level: READ_COMMITTED,
        ..fetch_request("t", 0, offset, max_wait_ms)
    }
}

/// Last stable offset, number of batches and aborted transactions (producer, first offset) of a fetch.
async fn committed(broker: &TestBroker, offset: i64) -> (i64, usize, Vec<(i64, i64)>) {
    let mut response = broker.call(12, fetch_committed(offset, 0)).await;
    let answer = response.responses.remove(0).partitions.remove(0);
    assert_eq!(ErrorCode::from_i16(answer.error_code), ErrorCode::None);
    let found = batches(bytes_of(&answer)).count();
    let aborted = answer.aborted_transactions.expect("read_committed");
    let aborted = aborted.iter().map(|one| (one.producer_id, one.first_offset));
    (answer.last_stable_offset, found, aborted.collect())
}

async fn latest_committed(broker: &TestBroker) -> i64 {
    let partition = ListOffsetsPartition {
        timestamp: LATEST,
        ..ListOffsetsPartition::default()
    };
    let topic = ListOffsetsTopic {
        name: "t".into(),
        partitions: vec![partition],
        ..ListOffsetsTopic::default()
    };
    let request = ListOffsetsRequest {
        replica_id: -1,
        isolation_level: READ_COMMITTED,
        topics: vec![topic],
        ..ListOffsetsRequest::default()
    };
    broker.call(7, request).await.topics[0].partitions[0].offset
}

#[tokio::test]
async fn committed_records_are_read_up_to_the_first_open_transaction() {
    let mut broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    let script = [
        (Step::Plain, 1),        // 0
        (Step::Record(7, 0), 1), // 1
        (Step::Record(8, 0), 1), // 2
        (Step::Plain, 1),        // 3
        (Step::Abort(7), 2),     // 4
        (Step::Commit(8), 6),    // 5
        (Step::Record(7, 1), 6), // 6
        (Step::Commit(7), 8),    // 7
    ];
    for (number, (step, last_stable_offset)) in (1..).zip(script) {
        append(&broker, step).await;
        let (told, count, aborted) = committed(&broker, 0).await;
        assert_eq!(told, last_stable_offset, "after {number}");
        assert_eq!(count as i64, told, "one batch for each offset, after {number}");
        let expected = if told > 1 { vec![(7, 1)] } else { vec![] };
        assert_eq!(aborted, expected, "after {number}");
        assert_eq!(latest_committed(&broker).await, told, "after {number}");
    }
    assert_eq!(committed(&broker, 5).await, (8, 3, vec![]), "behind the abort");
    broker = broker.crash_and_restart().await;
    assert_eq!(committed(&broker, 0).await, (8, 8, vec![(7, 1)]), "recovered");
    broker = broker.restart().await;
    assert_eq!(committed(&broker, 0).await, (8, 8, vec![(7, 1)]), "loaded");
    assert_eq!(latest_committed(&broker).await, 8);
}

#[tokio::test]
async fn who_waits_for_committed_records_is_woken_by_the_commit() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    append(&broker, Step::Record(7, 0)).await;
    let waiting = broker.call(12, fetch_committed(0, 60_000));
    // The fetch runs first: it is polled until it waits before this begins.
    let (response, ()) = tokio::join!(waiting, append(&broker, Step::Commit(7)));
    let answer = &response.responses[0].partitions[0];
    assert_eq!(batches(bytes_of(answer)).count(), 2);
    assert_eq!(answer.last_stable_offset, 2);
}

/// Records and the list of what was aborted among them are read one after the other. Here both are deleted in between: the single
/// thread for reads takes the deletion, which is asked for while it reads the records, before it can look for the list.
#[tokio::test]
async fn records_are_not_given_out_without_what_was_known_of_them() {
    let disk = FaultyDisk::new(Arc::new(MemoryDisk::new()));
    let broker = TestBroker::start_on(Arc::new(disk.clone()), &[("num.io.threads", "1")]).await;
    broker.create_topic("t", 1, &[("segment.bytes", "1048576")]).await;
    append(&broker, Step::Record(7, 0)).await;
    append(&broker, Step::Abort(7)).await;
    let large = "x".repeat(700_000);
    for _ in 0..2 {
        assert_eq!(broker.produce("t", 0, -1, batch(&[&large])).await.error_code, 0);
    }
    assert_eq!(committed(&broker, 0).await.2, [(7, 0)]);
    let replica = broker.handle.replica("t", 0).expect("there");
    replica.log().expect("usable").release_idle(Timestamp(i64::MAX));
    disk.call_at(Operation::Read, 1, move || {
        let deletion = replica.on_log(|log| {
            log.delete_records_before(Offset(3), Offset(4))?;
            log.delete_segments_before_start(Offset(4), crate::clock::now())
        });
        // It is in the queue of the thread that this runs on; nobody waits for it.
        let polled = pin!(deletion).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Pending));
        None
    });
    let mut response = broker.call(12, fetch_committed(0, 0)).await;
    let answer = response.responses.remove(0).partitions.remove(0);
    assert_eq!(
        ErrorCode::from_i16(answer.error_code),
        ErrorCode::OffsetOutOfRange
    );
    assert!(
        bytes_of(&answer).is_empty(),
        "what is aborted is not taken for committed"
    );
}
