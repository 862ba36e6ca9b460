//! B19: the answer to a produce is lost and the client sends it again, at once, after a clean end, after a crash, with many in flight and
//! many producers: nothing is stored twice, and nothing is out of order that is not. The control: a broker that forgets
//! its producers.

use std::future::Future;

use forebay_protocol::messages::produce_response::PartitionProduceResponse;

use super::*;

fn sent(producer: i64, sequence: i32) -> RecordBatch {
    let producer = ProducerIdentity {
        id: producer.into(),
        epoch: 0.into(),
        base_sequence: sequence.into(),
    };
    let value = format!("{}-{sequence}", producer.id);
    batch_of(
        BatchOptions {
            producer,
            ..BatchOptions::default()
        },
        &[&value],
    )
}

/// Puts a batch in line: what becomes of the answer is the caller's affair.
fn send(broker: &TestBroker, batch: RecordBatch) -> impl Future<Output = PartitionProduceResponse> + use<> {
    let request = produce_request("t", 0, -1, Some(Records::Memory(batch.into_bytes())));
    let context = CallContext::in_process("test", "PLAINTEXT");
    let answer = broker.handle.router().call(context, 9, request.into());
    async move {
        match answer.await {
            Some(forebay_protocol::Response::Produce(mut response)) => {
                response.responses.remove(0).partition_responses.remove(0)
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn outcome(broker: &TestBroker, producer: i64, sequence: i32) -> (ErrorCode, i64) {
    let answer = send(broker, sent(producer, sequence)).await;
    (ErrorCode::from_i16(answer.error_code), answer.base_offset)
}

async fn end_offset(broker: &TestBroker) -> i64 {
    broker.fetch("t", 0, 0).await.high_watermark
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Between {
    Nothing,
    CleanEnd,
    Crash,
}

/// So many are in flight when all answers are lost: more than a log remembers.
const IN_FLIGHT: i32 = 8;

async fn lost_answers(between: Between) {
    let mut broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    for sequence in 0..IN_FLIGHT {
        drop(send(&broker, sent(7, sequence)));
    }
    // Another's answer tells that those before it are written.
    assert_eq!(outcome(&broker, 8, 0).await, (ErrorCode::None, IN_FLIGHT.into()));
    broker = match between {
        Between::Nothing => broker,
        Between::CleanEnd => broker.restart().await,
        Between::Crash => broker.crash_and_restart().await,
    };
    // As in Kafka: the last five batches of a producer are known, after a clean end the last one.
    let known = if between == Between::CleanEnd { 1 } else { 5 };
    for sequence in 0..IN_FLIGHT {
        let expected = if sequence < IN_FLIGHT - known {
            (ErrorCode::OutOfOrderSequenceNumber, -1)
        } else {
            (ErrorCode::None, sequence.into())
        };
        assert_eq!(
            outcome(&broker, 7, sequence).await,
            expected,
            "{sequence} after {between:?}"
        );
    }
    assert_eq!(end_offset(&broker).await, i64::from(IN_FLIGHT) + 1);
    // It goes on where it was, and a gap is one.
    let gap = outcome(&broker, 7, IN_FLIGHT + 1).await;
    assert_eq!(gap, (ErrorCode::OutOfOrderSequenceNumber, -1));
    let next = outcome(&broker, 7, IN_FLIGHT).await;
    assert_eq!(next, (ErrorCode::None, i64::from(IN_FLIGHT) + 1));
}

#[tokio::test]
async fn what_is_sent_again_is_stored_once() {
    for between in [Between::Nothing, Between::CleanEnd, Between::Crash] {
        lost_answers(between).await;
    }
}

/// All that a producer has sent is deleted: of it only the snapshot knows, and knows what it repeats.
#[tokio::test]
async fn who_has_no_records_left_is_known_by_the_snapshot() {
    for between in [Between::CleanEnd, Between::Crash] {
        let broker = TestBroker::start().await;
        let configs = [("segment.bytes", "1048576"), ("file.delete.delay.ms", "0")];
        broker.create_topic("t", 1, &configs).await;
        assert_eq!(outcome(&broker, 7, 0).await, (ErrorCode::None, 0));
        // The second of them begins a segment.
        let large = "x".repeat(900_000);
        for _ in 0..2 {
            let answer = broker.produce("t", 0, -1, batch(&[&large])).await;
            assert_eq!(answer.error_code, 0);
        }
        let deleted = delete_records::delete(&broker, "t", &[(0, 2)]).await;
        assert_eq!(deleted, [(ErrorCode::None, 2)]);
        let log = broker.handle.replica("t", 0).expect("there");
        assert_eq!(log.log().map(|log| log.segment_count()), Some(1));
        drop(log);
        let broker = match between {
            Between::CleanEnd => broker.restart().await,
            _ => broker.crash_and_restart().await,
        };
        assert_eq!(outcome(&broker, 7, 0).await, (ErrorCode::None, 0), "{between:?}");
        let gap = outcome(&broker, 7, 2).await;
        assert_eq!(gap, (ErrorCode::OutOfOrderSequenceNumber, -1), "{between:?}");
        assert_eq!(outcome(&broker, 7, 1).await, (ErrorCode::None, 3), "{between:?}");
    }
}

/// Sends one batch for each of many producers, twice, with an end of the broker between; gives how many were stored.
async fn many_producers(settings: &[(&'static str, &'static str)], forget: bool) -> i64 {
    const PRODUCERS: i64 = 10_000;
    let mut broker = TestBroker::start_with(settings).await;
    broker.create_topic("t", 1, &[("flush.messages", "100000")]).await;
    for round in 0..2 {
        if round == 1 {
            broker = broker.restart().await;
        }
        let answers: Vec<_> = (0..PRODUCERS)
            .map(|producer| send(&broker, sent(producer, 0)))
            .collect();
        for (producer, answer) in (0..).zip(answers) {
            let answer = answer.await;
            assert_eq!(answer.error_code, 0);
            assert!(forget || answer.base_offset == producer, "{producer} in {round}");
        }
        if forget {
            let replica = broker.handle.replica("t", 0).expect("there");
            replica.delete_old_segments(crate::clock::now() + 1_000);
        }
    }
    // The record of the last producer is at the end of the log, once or twice.
    end_offset(&broker).await
}

#[tokio::test]
async fn ten_thousand_producers_are_known_again_after_a_restart() {
    assert_eq!(many_producers(&[], false).await, 10_000);
}

/// The switch that breaks it.
#[tokio::test]
async fn a_broker_that_forgets_its_producers_stores_twice() {
    let settings = [("producer.id.expiration.ms", "1")];
    assert_eq!(many_producers(&settings, true).await, 20_000);
}
