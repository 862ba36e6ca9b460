//! Transactions against the model's coordinator, with both versions.

use forebay_protocol::TopicPartition;

use super::*;
use crate::{
    Error,
    consumer::{GroupMetadata, OffsetAndMetadata},
};

const ID: (&str, &str) = ("transactional.id", "id");

fn model(level: i16) -> Arc<Model> {
    let model = Model::new(2);
    model.create_topic("t", 3);
    model.set_transaction_version(level);
    model
}

async fn begun(model: &Arc<Model>) -> Producer {
    let producer = model.producer(&[ID]);
    producer
        .init_transactions()
        .await
        .expect("nobody else has the id");
    producer.begin_transaction().expect("ready");
    producer
}

fn simple_group(id: &str) -> GroupMetadata {
    GroupMetadata {
        group_id: id.to_owned(),
        generation_id: -1,
        member_id: String::new(),
        group_instance_id: None,
    }
}

fn offsets(offset: i64) -> BTreeMap<TopicPartition, OffsetAndMetadata> {
    [(TopicPartition::new("in", 0), Offset(offset).into())].into()
}

#[tokio::test(start_paused = true)]
async fn records_and_offsets_appear_together_or_never() {
    for level in [0, 2] {
        let model = model(level);
        let producer = begun(&model).await;
        let mut futures = Vec::new();
        for number in 0..30 {
            futures.push(send(&producer, "t", number % 3, &number.to_string()).await);
        }
        producer
            .send_offsets_to_transaction(&offsets(30), &simple_group("g"))
            .await
            .expect("accepted");
        assert_eq!(model.committed("g", "in", 0), None);
        producer.commit_transaction().await.expect("committed");
        for future in futures {
            future.await.expect("acknowledged before the commit");
        }
        assert_eq!(model.committed("g", "in", 0), Some(30));
        let expected: Vec<String> = (0..10).map(|number| (number * 3).to_string()).collect();
        assert_eq!(model.committed_values("t", 0), expected);
        producer.begin_transaction().expect("ready");
        let sent = send(&producer, "t", 0, "gone").await;
        producer.flush().await;
        sent.await.expect("it is at the broker");
        let unsent = send(&producer, "t", 1, "gone, too").await;
        let offsets = offsets(31);
        let group = simple_group("g");
        producer
            .send_offsets_to_transaction(&offsets, &group)
            .await
            .expect("accepted");
        producer.abort_transaction().await.expect("aborted");
        drop(unsent);
        assert_eq!(model.committed("g", "in", 0), Some(30));
        assert_eq!(model.committed_values("t", 0), expected);
        producer.begin_transaction().expect("ready");
        drop(send(&producer, "t", 0, "next").await);
        producer.commit_transaction().await.expect("committed");
        assert_eq!(
            model.committed_values("t", 0).last().map(String::as_str),
            Some("next")
        );
        let adds = model.count(ApiKey::AddPartitionsToTxn) + model.count(ApiKey::AddOffsetsToTxn);
        assert_eq!(adds > 0, level < 2, "writing adds, with version 2");
        producer.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_reads_committed_reads_nothing_else() {
    let model = model(2);
    let producer = begun(&model).await;
    drop(send(&producer, "t", 0, "a").await);
    producer.abort_transaction().await.expect("aborted");
    producer.begin_transaction().expect("ready");
    drop(send(&producer, "t", 0, "b").await);
    producer.commit_transaction().await.expect("committed");
    producer.begin_transaction().expect("ready");
    drop(send(&producer, "t", 0, "c").await);
    producer.flush().await;
    let mut consumer = model.consumer(&[
        ("isolation.level", "read_committed"),
        ("auto.offset.reset", "earliest"),
    ]);
    consumer.assign([TopicPartition::new("t", 0)]).expect("assigned");
    let records = consumer.poll(Duration::from_secs(5)).await.expect("read");
    let values: Vec<_> = records
        .iter()
        .filter_map(|record| record.record.value.clone())
        .collect();
    assert_eq!(values, ["b"]);
    producer.abort_transaction().await.expect("aborted");
}

/// Requests and answers are lost, brokers refuse, some transactions are aborted: what is committed is there once, in order.
#[tokio::test(start_paused = true)]
async fn whatever_is_lost_each_transaction_is_there_once_or_not_at_all() {
    for (level, seed) in [(0, 3_u64), (2, 5), (0, 7), (2, 11)] {
        let model = model(level);
        let mut chance = seed;
        model.faults(move |_, request| {
            chance = chance
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let is_ours = matches!(
                request,
                Request::Produce(_)
                    | Request::EndTxn(_)
                    | Request::AddPartitionsToTxn(_)
                    | Request::TxnOffsetCommit(_)
                    | Request::AddOffsetsToTxn(_)
                    | Request::InitProducerId(_)
            );
            match (chance >> 33) % 10 {
                0 if is_ours => Fault::LoseRequest,
                1 if is_ours => Fault::LoseResponse,
                2 if matches!(request, Request::EndTxn(_) | Request::InitProducerId(_)) => {
                    Fault::Refuse(ErrorCode::CoordinatorLoadInProgress)
                }
                3 if matches!(request, Request::AddPartitionsToTxn(_)) => {
                    Fault::Refuse(ErrorCode::ConcurrentTransactions)
                }
                4 if matches!(request, Request::Produce(_)) => Fault::Refuse(ErrorCode::NotEnoughReplicas),
                _ => Fault::None,
            }
        });
        let producer = model.producer(&[ID, ("batch.size", "100")]);
        producer.init_transactions().await.expect("in the end");
        let mut expected: [Vec<String>; 3] = Default::default();
        let mut committed = None;
        for round in 0..40_i32 {
            producer.begin_transaction().expect("ready");
            let aborts = round % 5 == 3;
            for (number, partition) in (0..7).zip([0, 1, 2].into_iter().cycle()) {
                let value = format!("{round}-{number}");
                drop(send(&producer, "t", partition, &value).await);
                if !aborts {
                    expected[usize::try_from(partition).expect("small")].push(value);
                }
            }
            let group = simple_group("g");
            let sent = producer
                .send_offsets_to_transaction(&offsets(i64::from(round)), &group)
                .await;
            sent.expect("in the end");
            if aborts {
                producer.abort_transaction().await.expect("in the end");
            } else {
                producer.commit_transaction().await.expect("in the end");
                committed = Some(i64::from(round));
            }
            assert_eq!(model.committed("g", "in", 0), committed);
        }
        for (partition, expected) in expected.iter().enumerate() {
            assert_eq!(
                &model.committed_values("t", partition),
                expected,
                "level {level}, seed {seed}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_takes_the_id_over_fences_the_one_before() {
    for level in [0, 2] {
        let model = model(level);
        let first = begun(&model).await;
        drop(send(&first, "t", 0, "zombie").await);
        first.flush().await;
        let second = begun(&model).await;
        drop(send(&second, "t", 0, "alive").await);
        let error = first.commit_transaction().await.expect_err("fenced");
        assert!(
            matches!(&error, Error::ProducerFenced { .. }) && error.is_fatal_for_producer(),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .contains("has been fenced by another producer with the same transactionalId")
        );
        let record = ProducerRecord::new("t", None, Some(b"never")).partition(0);
        assert!(first.send(record).await.is_err() && first.abort_transaction().await.is_err());
        second.commit_transaction().await.expect("committed");
        assert_eq!(model.committed_values("t", 0), ["alive"]);
        // A batch of the one that was fenced is refused, too: the end then says why.
        second.begin_transaction().expect("ready");
        let third = begun(&model).await;
        let late = send(&second, "t", 0, "late").await;
        assert!(late.await.is_err());
        let error = second.abort_transaction().await.expect_err("fenced");
        assert!(error.is_fatal_for_producer(), "{error}");
        third.abort_transaction().await.expect("aborted");
        assert_eq!(model.committed_values("t", 0), ["alive"]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_admin_fences_without_waiting_for_the_time_out() {
    for level in [0, 2] {
        let model = model(level);
        let producer = begun(&model).await;
        drop(send(&producer, "t", 0, "zombie").await);
        producer.flush().await;
        let began = Instant::now();
        let fenced = model
            .admin(&[])
            .fence_producers(&["id", "another"])
            .await
            .expect("both");
        assert!(fenced.values().all(Result::is_ok), "{fenced:?}");
        assert!(began.elapsed() < Duration::from_secs(2));
        drop(send(&producer, "t", 0, "after").await);
        assert!(producer.commit_transaction().await.is_err());
        assert!(model.committed_values("t", 0).is_empty());
        model.append("t", 0, &["other"]);
        assert_eq!(
            model.committed_values("t", 0),
            ["other"],
            "nothing holds up who reads what is committed"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_record_dooms_the_transaction_and_only_that() {
    for level in [0, 2] {
        let model = model(level);
        model.lock().batch_bytes_max = 300;
        let producer = begun(&model).await;
        let fine = send(&producer, "t", 1, "fine").await;
        fine.await.expect("acknowledged");
        let too_large = send(&producer, "t", 0, &"x".repeat(400)).await;
        assert!(too_large.await.is_err());
        let error = producer
            .commit_transaction()
            .await
            .expect_err("a record is missing");
        assert!(
            error.is_abortable() && error.code() == Some(ErrorCode::MessageTooLarge),
            "{error}"
        );
        producer.abort_transaction().await.expect("aborted");
        for _ in 0..3 {
            producer.begin_transaction().expect("ready");
            send(&producer, "t", 0, "a").await.await.expect("acknowledged");
            drop(send(&producer, "t", 1, "b").await);
            producer.commit_transaction().await.expect("committed");
        }
        assert_eq!(model.committed_values("t", 0), ["a"; 3]);
        assert_eq!(model.committed_values("t", 1), ["b"; 3]);
        // A record that no request can hold does not even get into a batch.
        producer.begin_transaction().expect("ready");
        let huge = vec![0; 2 * 1024 * 1024];
        let refused = producer
            .send(ProducerRecord::new("t", None, Some(&huge)).partition(0))
            .await;
        assert!(refused.is_err() && producer.commit_transaction().await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_delivered_in_time_dooms_it_too() {
    let model = model(0);
    let producer = begun(&model).await;
    model.faults(|_, request| match request {
        Request::Produce(_) => Fault::Refuse(ErrorCode::NotEnoughReplicas),
        _ => Fault::None,
    });
    let late = send(&producer, "t", 0, "late").await;
    assert!(late.await.is_err());
    model.faults(|_, _| Fault::None);
    let error = producer
        .commit_transaction()
        .await
        .expect_err("a record is missing");
    assert!(error.is_abortable(), "{error}");
    // It took longer than the transaction may: the coordinator has ended it, and fenced the producer.
    assert!(
        producer
            .abort_transaction()
            .await
            .expect_err("too late")
            .is_fatal_for_producer()
    );
}

#[tokio::test(start_paused = true)]
async fn who_is_no_member_any_more_commits_no_offsets() {
    for level in [0, 2] {
        let model = model(level);
        let producer = begun(&model).await;
        let group = GroupMetadata {
            generation_id: 3,
            member_id: "gone".to_owned(),
            ..simple_group("g")
        };
        let error = producer.send_offsets_to_transaction(&offsets(1), &group).await;
        let error = error.expect_err("no member");
        assert!(
            error.is_abortable() && error.code() == Some(ErrorCode::UnknownMemberId),
            "{error}"
        );
        assert!(producer.commit_transaction().await.is_err());
        producer.abort_transaction().await.expect("aborted");
        producer.begin_transaction().expect("ready");
        producer
            .send_offsets_to_transaction(&offsets(2), &simple_group("g"))
            .await
            .expect("accepted");
        producer.commit_transaction().await.expect("committed");
        assert_eq!(model.committed("g", "in", 0), Some(2));
    }
}

#[tokio::test(start_paused = true)]
async fn closed_it_is_aborted_and_dropped_it_is_left_to_the_coordinator() {
    for level in [0, 2] {
        let model = model(level);
        let producer = begun(&model).await;
        drop(send(&producer, "t", 0, "closed").await);
        producer.flush().await;
        producer.close().await;
        assert_eq!(model.count(ApiKey::EndTxn), 1);
        let producer = begun(&model).await;
        drop(send(&producer, "t", 0, "dropped").await);
        producer.flush().await;
        drop(producer);
        tokio::time::sleep(Duration::from_secs(50)).await;
        assert_eq!(model.count(ApiKey::EndTxn), 1);
        assert!(model.change(|state| state.open_transactions()) == 1);
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert!(model.change(|state| state.open_transactions()) == 0);
        assert!(model.committed_values("t", 0).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_do_not_see_the_end_may_be_made_again() {
    let model = model(2);
    let producer = model.producer(&[ID, ("max.block.ms", "1000")]);
    producer
        .init_transactions()
        .await
        .expect("nobody else has the id");
    producer.begin_transaction().expect("ready");
    drop(send(&producer, "t", 0, "a").await);
    model.faults(|_, request| match request {
        Request::EndTxn(_) => Fault::LoseResponse,
        _ => Fault::None,
    });
    let error = producer.commit_transaction().await.expect_err("not in time");
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    let error = producer
        .abort_transaction()
        .await
        .expect_err("it may be committed");
    assert!(matches!(error, Error::IllegalState(_)), "{error}");
    model.faults(|_, _| Fault::None);
    producer.commit_transaction().await.expect("now it is known");
    assert_eq!(model.committed_values("t", 0), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_transaction_nothing_is_sent() {
    let model = model(2);
    let plain = model.producer(&[]);
    assert!(matches!(plain.begin_transaction(), Err(Error::IllegalState(_))));
    let producer = model.producer(&[ID]);
    let record = || ProducerRecord::new("t", None, Some(b"a")).partition(0);
    assert!(matches!(
        producer.send(record()).await,
        Err(Error::IllegalState(_))
    ));
    producer
        .init_transactions()
        .await
        .expect("nobody else has the id");
    assert!(matches!(
        producer.send(record()).await,
        Err(Error::IllegalState(_))
    ));
    producer.begin_transaction().expect("ready");
    producer.commit_transaction().await.expect("of nothing");
    assert_eq!(model.count(ApiKey::EndTxn), 0);
}
