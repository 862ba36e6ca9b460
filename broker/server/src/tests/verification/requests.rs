//! Requests as a whole: how much of them may wait, and what cannot be of one transaction.

use forebay_broker_log::ValidatedBatch;
use forebay_broker_partition::RequiredAcks;
use forebay_records::{AppendOrigin, ValidationOptions, validate};

use super::*;
use crate::replicas::{NewAppend, QUEUE_BYTES_MAX, SET_ASIDE_BYTES_MAX};
use crate::verification::{Operation, Question};

/// However much waits for a coordinator: what waits for nobody is written, and the ends of transactions always are.
#[tokio::test]
async fn what_waits_for_a_coordinator_takes_no_place_in_the_queue() {
    const LARGE: usize = 8 * 1024 * 1024;
    let (broker, _coordinator) = broker_with(&[]).await;
    let replica = broker.handle.replica("t", 0).expect("there");
    let producer = ProducerIdentity {
        id: PRODUCER.into(),
        epoch: 0.into(),
        base_sequence: 0.into(),
    };
    let options = BatchOptions {
        producer,
        transactional: true,
        ..BatchOptions::default()
    };
    let large = "x".repeat(LARGE);
    let batch = batch_of(options, &[&large]);
    let validated = validate(&batch, &ValidationOptions::at(crate::clock::now())).expect("valid");
    let batches = vec![ValidatedBatch { batch, validated }];
    let question = Question {
        transactional_id: "id".into(),
        producer_id: PRODUCER.into(),
        producer_epoch: 0.into(),
        operation: Operation::Add,
    };
    // More than either may hold.
    let sent = (QUEUE_BYTES_MAX + SET_ASIDE_BYTES_MAX) / LARGE + 2;
    let mut answers = Vec::new();
    for _ in 0..sent {
        let append = NewAppend::new(batches.clone(), AppendOrigin::Client, RequiredAcks::All);
        answers.extend(replica.append(append.verified_by(question.clone())));
        tokio::task::yield_now().await;
    }
    // Behind all of them.
    let plain = send(&broker, 9, super::batch(&["plain"]));
    assert_eq!(end(&broker, marker(5, true)).await, Ok(()));
    let others = [
        code(&plain.await),
        code(&send(&broker, 9, super::batch(&["plain"])).await),
    ];
    assert!(others.contains(&ErrorCode::None), "{others:?}");
    let waiting = answers
        .iter_mut()
        .filter_map(|answer| answer.try_recv().err())
        .count();
    assert_eq!(
        waiting,
        SET_ASIDE_BYTES_MAX / LARGE - 1,
        "each is somewhat larger"
    );
}

/// Of what cannot be one transaction nothing is looked at, be it part of a transaction or not.
#[tokio::test]
async fn what_cannot_be_one_transaction_is_refused_whole() {
    let (broker, coordinator) = broker_with(&[]).await;
    let of_another = |id: i64, epoch: i16| {
        let producer = ProducerIdentity {
            id: id.into(),
            epoch: epoch.into(),
            base_sequence: 0.into(),
        };
        let options = BatchOptions {
            producer,
            transactional: true,
            ..BatchOptions::default()
        };
        batch_of(options, &["of another"])
    };
    let unauthorized = ErrorCode::TransactionalIdAuthorizationFailed;
    let several = ErrorCode::InvalidProducerIdMapping;
    let cases = [
        (None, [batch(&["plain"]), transactional(0, 0)], unauthorized),
        (None, [transactional(0, 0), batch(&["plain"])], unauthorized),
        (
            Some("id"),
            [transactional(0, 0), of_another(PRODUCER, 1)],
            several,
        ),
        (Some("id"), [of_another(8, 0), transactional(0, 0)], several),
    ];
    for (id, batches, expected) in cases {
        let mut request = request(0, batches[0].clone());
        request.transactional_id = id.map(Into::into);
        let mut second = request.topic_data[0].partition_data[0].clone();
        second.index = 1;
        second.records = Some(Records::Memory(batches[1].clone().into_bytes()));
        request.topic_data[0].partition_data.push(second);
        let response = broker.call(9, request).await;
        let codes: Vec<_> = response.responses[0]
            .partition_responses
            .iter()
            .map(code)
            .collect();
        assert_eq!(codes, [expected; 2]);
    }
    assert_eq!(coordinator.asked(), []);
    for partition in 0..2 {
        assert_eq!(broker.fetch("t", partition, 0).await.high_watermark, 0);
    }
}
