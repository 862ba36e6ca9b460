//! The producer against the model cluster, with and without faults. Time is virtual.

mod faults;
mod topics;
mod transactions;

use std::{collections::BTreeMap, time::Duration};

use forebay_protocol::{ApiKey, ErrorCode, Request};
use forebay_records::{BatchBuilder, BatchOptions, Headers, Offset};

use super::*;
use crate::model::{Fault, Model};

async fn send(producer: &Producer, topic: &str, partition: i32, value: &str) -> DeliveryFuture {
    let record = ProducerRecord::new(topic, None, Some(value.as_bytes())).partition(partition);
    producer.send(record).await.expect("accepted")
}

#[tokio::test(start_paused = true)]
async fn records_arrive_in_order_with_their_offsets() {
    let model = Model::new(3);
    model.create_topic("t", 3);
    let producer = model.producer(&[]);
    let mut futures = Vec::new();
    for number in 0..300 {
        futures.push(send(&producer, "t", number % 3, &number.to_string()).await);
    }
    producer.flush().await;
    for (number, future) in (0_i32..).zip(futures) {
        let metadata = future.await.expect("acknowledged");
        assert_eq!(metadata.topic_partition.partition, number % 3);
        assert_eq!(metadata.offset, Some(Offset(i64::from(number / 3))));
    }
    for partition in 0..3 {
        let expected: Vec<String> = (0..100)
            .map(|index| (index * 3 + partition).to_string())
            .collect();
        assert_eq!(model.values("t", partition), expected);
    }
    assert!(model.count(ApiKey::Produce) < 10, "records go in batches");
}

#[tokio::test(start_paused = true)]
async fn keys_decide_and_without_key_all_partitions_get_some() {
    let model = Model::new(1);
    model.create_topic("t", 4);
    let producer = model.producer(&[("batch.size", "200")]);
    for _ in 0..3 {
        let record = ProducerRecord::new("t", Some(b"foobar"), Some(b"keyed"));
        let metadata = producer
            .send(record)
            .await
            .expect("accepted")
            .await
            .expect("acknowledged");
        assert_eq!(metadata.topic_partition.partition, (-790_332_482 & i32::MAX) % 4);
    }
    let mut seen = BTreeMap::new();
    for _ in 0..200 {
        let record = ProducerRecord::new("t", None, Some(&[0; 50]));
        let metadata = producer
            .send(record)
            .await
            .expect("accepted")
            .await
            .expect("acknowledged");
        *seen.entry(metadata.topic_partition.partition).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}

/// Who waits can say for what.
#[tokio::test(start_paused = true)]
async fn what_is_tried_again_is_told_until_something_is_acknowledged() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    let producer = model.producer(&[]);
    send(&producer, "t", 0, "a").await.await.expect("acknowledged");
    assert_eq!(producer.trouble().map(|error| error.code()), None);
    for (fault, code) in [
        (
            Fault::Refuse(ErrorCode::KafkaStorageError),
            Some(ErrorCode::KafkaStorageError),
        ),
        (Fault::LoseRequest, None),
    ] {
        model.faults(move |_, request| match request {
            Request::Produce(_) => fault,
            _ => Fault::None,
        });
        let delivery = send(&producer, "t", 0, "b").await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(producer.trouble().map(|error| error.code()), Some(code));
        model.faults(|_, _| Fault::None);
        delivery.await.expect("acknowledged");
        assert!(producer.trouble().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_does_not_write_twice() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    let mut produced = 0;
    model.faults(move |_, request| {
        let produce = matches!(request, Request::Produce(_));
        produced += i32::from(produce);
        if produce && produced <= 3 {
            Fault::LoseResponse
        } else {
            Fault::None
        }
    });
    let producer = model.producer(&[]);
    let metadata = send(&producer, "t", 0, "once")
        .await
        .await
        .expect("acknowledged at last");
    assert_eq!(
        metadata.offset,
        Some(Offset(0)),
        "the offset of the first attempt"
    );
    assert_eq!(model.values("t", 0), ["once"]);
    assert!(model.count(ApiKey::Produce) > 3);
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_is_followed_at_once() {
    let model = Model::new(2);
    model.create_topic("t", 1);
    let producer = model.producer(&[]);
    send(&producer, "t", 0, "a").await.await.expect("acknowledged");
    let refreshed = model.count(ApiKey::Metadata);
    model.move_leader("t", 0, 2);
    send(&producer, "t", 0, "b").await.await.expect("acknowledged");
    assert_eq!(model.values("t", 0), ["a", "b"]);
    assert_eq!(
        model.count(ApiKey::Metadata),
        refreshed,
        "the old leader named the new one"
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_too_large_is_taken_apart() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    model.change(|state| state.batch_bytes_max = 250);
    let producer = model.producer(&[("linger.ms", "100")]);
    let mut futures = Vec::new();
    for number in 0..20 {
        futures.push(send(&producer, "t", 0, &format!("value number {number}")).await);
    }
    for (number, future) in (0..).zip(futures) {
        assert_eq!(future.await.expect("acknowledged").offset, Some(Offset(number)));
    }
    let batches = model.batches("t", 0);
    assert!(batches.len() > 2 && batches.iter().all(|batch| batch.size_in_bytes() <= 250));

    let huge = "x".repeat(300);
    let error = send(&producer, "t", 0, &huge)
        .await
        .await
        .expect_err("one record cannot be taken apart");
    assert_eq!(error.code(), Some(ErrorCode::MessageTooLarge));
    send(&producer, "t", 0, "after")
        .await
        .await
        .expect("the next one goes on");
    assert_eq!(model.values("t", 0).len(), 21);
}

#[tokio::test(start_paused = true)]
async fn parts_keep_their_order_without_sequences_too() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    model.change(|state| state.batch_bytes_max = 150);
    let mut produced = 0;
    model.faults(move |_, request| {
        produced += i32::from(matches!(request, Request::Produce(_)));
        match produced % 3 {
            0 => Fault::Refuse(ErrorCode::NotEnoughReplicas),
            _ => Fault::None,
        }
    });
    let producer = model.producer(&[
        ("linger.ms", "100"),
        ("enable.idempotence", "false"),
        ("max.in.flight.requests.per.connection", "1"),
    ]);
    let mut futures = Vec::new();
    for number in 0..20 {
        futures.push(send(&producer, "t", 0, &format!("value number {number}")).await);
    }
    for (number, future) in (0..).zip(futures) {
        assert_eq!(future.await.expect("acknowledged").offset, Some(Offset(number)));
    }
    let expected: Vec<String> = (0..20).map(|number| format!("value number {number}")).collect();
    assert_eq!(model.values("t", 0), expected);
}

#[tokio::test(start_paused = true)]
async fn a_gap_that_stays_begins_a_new_epoch() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    let producer = model.producer(&[]);
    send(&producer, "t", 0, "a").await.await.expect("acknowledged");
    let mut refused = false;
    model.faults(move |_, request| {
        if matches!(request, Request::Produce(_)) && !std::mem::replace(&mut refused, true) {
            return Fault::Refuse(ErrorCode::OutOfOrderSequenceNumber);
        }
        Fault::None
    });
    send(&producer, "t", 0, "b").await.await.expect("acknowledged");
    let batches = model.batches("t", 0);
    let producers: Vec<_> = batches
        .iter()
        .map(|batch| (batch.header().producer_epoch.0, batch.header().base_sequence.0))
        .collect();
    assert_eq!(producers, [(0, 0), (1, 0)]);
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_is_given_up_and_the_rest_goes_on() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    let producer = model.producer(&[("request.timeout.ms", "1000"), ("delivery.timeout.ms", "3000")]);
    send(&producer, "t", 0, "a").await.await.expect("acknowledged");
    model.change(|state| state.brokers.values_mut().for_each(|up| *up = false));
    let started = Instant::now();
    let error = send(&producer, "t", 0, "lost")
        .await
        .await
        .expect_err("nobody is there");
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert!((3000..3100).contains(&started.elapsed().as_millis()));
    model.change(|state| state.brokers.values_mut().for_each(|up| *up = true));
    send(&producer, "t", 0, "b").await.await.expect("acknowledged");
    assert_eq!(model.values("t", 0), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_hangs_is_told_apart_by_the_clock() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    let mut hung = 0;
    model.faults(move |_, request| {
        if matches!(request, Request::Produce(_)) && hung < 2 {
            hung += 1;
            return Fault::Hang;
        }
        Fault::None
    });
    let producer = model.producer(&[("request.timeout.ms", "1000")]);
    send(&producer, "t", 0, "a").await.await.expect("acknowledged");
    assert_eq!(model.values("t", 0), ["a"], "it was written by the first attempt");
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_and_comes_back() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    model.faults(|_, request| {
        if matches!(request, Request::Produce(_)) {
            Fault::Hang
        } else {
            Fault::None
        }
    });
    let producer = model.producer(&[
        ("buffer.memory", "3000"),
        ("batch.size", "1000"),
        ("max.block.ms", "500"),
        ("max.in.flight.requests.per.connection", "1"),
    ]);
    let value = "x".repeat(900);
    let mut futures = Vec::new();
    for _ in 0..3 {
        futures.push(send(&producer, "t", 0, &value).await);
    }
    let record = ProducerRecord::new("t", None, Some(value.as_bytes()));
    let error = producer.send(record).await.expect_err("there is no memory left");
    assert!(matches!(error, Error::BufferExhausted { .. }), "{error}");
    let huge = vec![0; 3001];
    let error = producer
        .send(ProducerRecord::new("t", None, Some(&huge)))
        .await
        .expect_err("never");
    assert!(
        matches!(
            error,
            Error::RecordTooLarge {
                key: "buffer.memory",
                ..
            }
        ),
        "{error}"
    );

    model.faults(|_, _| Fault::None);
    for future in futures {
        future
            .await
            .expect("acknowledged after the hanging request is over");
    }
    producer
        .send(record)
        .await
        .expect("memory has come back")
        .await
        .expect("acknowledged");
    assert_eq!(model.values("t", 0).len(), 4);
}

#[tokio::test(start_paused = true)]
async fn without_acknowledgements_and_without_idempotence() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    for (acks, offset) in [("0", None), ("1", Some(Offset(1)))] {
        let producer = model.producer(&[("acks", acks)]);
        let metadata = send(&producer, "t", 0, acks).await.await.expect("sent");
        assert_eq!(metadata.offset, offset);
        producer.close().await;
    }
    assert_eq!(model.count(ApiKey::InitProducerId), 0);
    assert!(!model.batches("t", 0)[0].header().has_producer_id());
}

#[tokio::test(start_paused = true)]
async fn whole_batches_keep_their_place() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    let producer = model.producer(&[("linger.ms", "1000")]);
    let first = send(&producer, "t", 0, "1").await;
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for value in ["2", "3"] {
        builder
            .append(Timestamp(5), None, Some(value.as_bytes()), &Headers::EMPTY)
            .expect("room");
    }
    let batch = producer
        .send_batch("t", 0, builder.build().expect("records"))
        .await
        .expect("accepted");
    let last = send(&producer, "t", 0, "4").await;
    let mut offsets = Vec::new();
    for future in [first, batch, last] {
        offsets.push(future.await.expect("acknowledged").offset);
    }
    assert_eq!(offsets, [Some(Offset(0)), Some(Offset(1)), Some(Offset(3))]);
    assert_eq!(model.values("t", 0), ["1", "2", "3", "4"]);
}

#[tokio::test(start_paused = true)]
async fn topics_that_are_not_there_are_named() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    let producer = model.producer(&[("max.block.ms", "300")]);
    let record = ProducerRecord::new("missing", None, Some(b"v"));
    let error = producer.send(record).await.expect_err("there is no such topic");
    assert_eq!(error.code(), Some(ErrorCode::UnknownTopicOrPartition), "{error}");
    assert!(error.to_string().contains("missing"), "{error}");
    let error = producer
        .send(ProducerRecord::new("t", None, None).partition(1))
        .await
        .expect_err("one partition");
    assert_eq!(error.code(), Some(ErrorCode::UnknownTopicOrPartition), "{error}");
    model.change(|state| state.auto_create = true);
    producer
        .send(record)
        .await
        .expect("the broker makes it")
        .await
        .expect("acknowledged");

    model.change(|state| {
        state
            .topics
            .get_mut("t")
            .expect("it exists")
            .partitions
            .push(crate::model::PartitionState::new(forebay_protocol::NodeId(1)));
    });
    producer
        .send(ProducerRecord::new("t", None, Some(b"v")).partition(1))
        .await
        .expect("it was added")
        .await
        .expect("acknowledged");
}

#[tokio::test(start_paused = true)]
async fn nobody_there_is_said_with_the_cure() {
    let model = Model::new(1);
    model.change(|state| state.brokers.values_mut().for_each(|up| *up = false));
    let producer = model.producer(&[("max.block.ms", "200")]);
    let error = producer
        .send(ProducerRecord::new("t", None, None))
        .await
        .expect_err("nobody is there")
        .to_string();
    let expected =
        "no broker answered at broker1:9092: connection refused; is Forebay running? (forebay start)";
    assert!(error.ends_with(expected), "{error}");
}

#[tokio::test(start_paused = true)]
async fn closing_sends_what_is_there_and_takes_no_more() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    let producer = model.producer(&[("linger.ms", "60000")]);
    let clone = producer.clone();
    let future = send(&producer, "t", 0, "a").await;
    producer.close().await;
    future.await.expect("acknowledged");
    let error = clone
        .send(ProducerRecord::new("t", None, None))
        .await
        .expect_err("closed");
    assert!(matches!(error, Error::Closed(_)));

    let dropped = model.producer(&[("linger.ms", "60000")]);
    let future = send(&dropped, "t", 0, "b").await;
    drop(dropped);
    future.await.expect("dropping is closing without waiting");
    assert_eq!(model.values("t", 0), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn aborting_tells_everybody_and_sends_no_more() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    model.faults(|_, request| match request {
        Request::Produce(_) => Fault::Hang,
        _ => Fault::None,
    });
    let producer = model.producer(&[
        ("batch.size", "100"),
        ("max.in.flight.requests.per.connection", "1"),
    ]);
    let mut futures = Vec::new();
    for number in 0..3 {
        futures.push(send(&producer, "t", 0, &format!("{number}{}", "x".repeat(90))).await);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let started = Instant::now();
    producer.abort();
    for future in futures {
        assert!(matches!(future.await, Err(Error::Closed(_))));
    }
    assert!(started.elapsed() < Duration::from_millis(10));
    let record = ProducerRecord::new("t", None, None);
    assert!(matches!(producer.send(record).await, Err(Error::Closed(_))));
    model.faults(|_, _| Fault::None);
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(model.values("t", 0).len(), 1, "what the broker had been sent");
}
