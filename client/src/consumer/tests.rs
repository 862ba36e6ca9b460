//! The consumer of assigned partitions against the model cluster. Time is virtual.

mod group;
mod late;

use std::future::Future;

use forebay_protocol::{ApiKey, ErrorCode, Request};
use forebay_records::{
    BatchBuilder, BatchOptions, ControlRecordType, EndTransactionMarker, ProducerEpoch, ProducerId,
    ProducerIdentity, Sequence, Timestamp,
};

use super::*;
use crate::model::{Fault, Model};

const SECOND: Duration = Duration::from_secs(1);

fn partition(number: i32) -> TopicPartition {
    TopicPartition::new("t", number)
}

fn text(record: &ConsumerRecord) -> String {
    String::from_utf8(record.record.value.clone().expect("a value").to_vec()).expect("text")
}

/// Polls record by record until nothing comes for a second.
async fn drain(consumer: &mut Consumer) -> Vec<(i64, String)> {
    let mut all = Vec::new();
    loop {
        let records = consumer.poll(SECOND).await.expect("no error");
        if records.is_empty() {
            return all;
        }
        all.extend(
            records
                .iter()
                .map(|record| (record.record.offset.0, text(record))),
        );
    }
}

fn earliest(model: &Arc<Model>, pairs: &[(&str, &str)]) -> Consumer {
    let mut all = vec![("auto.offset.reset", "earliest")];
    all.extend_from_slice(pairs);
    model.consumer(&all)
}

#[tokio::test(start_paused = true)]
async fn everything_is_read_once_and_in_order() {
    let model = Model::new(3);
    model.create_topic("t", 3);
    for number in 0..30 {
        model.append("t", number % 3, &[format!("{number}a"), format!("{number}b")]);
    }
    let mut consumer = earliest(&model, &[("max.poll.records", "7")]);
    consumer
        .assign((0..3).map(partition))
        .expect("nothing is subscribed");
    let mut seen: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    loop {
        let records = consumer.poll(SECOND).await.expect("no error");
        assert!(records.len() <= 7);
        if records.is_empty() {
            break;
        }
        for record in records {
            seen.entry(record.partition)
                .or_default()
                .push(record.record.offset.0);
        }
    }
    let expected: Vec<i64> = (0..20).collect();
    assert_eq!(seen.into_values().collect::<Vec<_>>(), vec![expected; 3]);
    assert_eq!(consumer.position(&partition(1)).await.expect("known"), Offset(20));
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_may_not_be_read_takes_no_record_of_another_away() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    model.create_topic("u", 1);
    let values: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    model.append("t", 0, &values);
    let pairs = [("max.poll.records", "1"), ("metadata.max.age.ms", "1000")];
    let mut consumer = earliest(&model, &pairs);
    consumer
        .assign([partition(0), TopicPartition::new("u", 0)])
        .expect("nothing is subscribed");
    let (mut seen, mut errors) = (Vec::new(), 0);
    for round in 0..60 {
        if round == 5 {
            let denied = ErrorCode::TopicAuthorizationFailed;
            model.change(|state| state.topic_errors.insert("u".to_owned(), denied));
        }
        tokio::time::sleep(SECOND / 4).await;
        match consumer.poll(SECOND).await {
            Ok(records) => seen.extend(records.iter().map(text)),
            Err(error) => {
                assert_eq!(error.code(), Some(ErrorCode::TopicAuthorizationFailed), "{error}");
                errors += 1;
            }
        }
    }
    assert_eq!(seen, values, "all of them, once, while the error is told");
    assert!(errors >= 2, "with every answer that says so: {errors}");
}

#[tokio::test(start_paused = true)]
async fn the_end_is_known_where_nothing_is_new() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    model.append("t", 0, &["0", "1"]);
    let mut consumer = earliest(&model, &[]);
    consumer.assign([partition(0)]).expect("nothing is subscribed");
    assert_eq!(consumer.known_end(&partition(0)), None);
    consumer.seek(&partition(0), Offset(2)).expect("assigned");
    assert!(consumer.poll(SECOND).await.expect("no error").is_empty());
    assert_eq!(consumer.known_end(&partition(0)), Some(Offset(2)));
}

#[tokio::test(start_paused = true)]
async fn batches_come_whole_and_a_seek_into_one_skips_its_beginning() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    model.append("t", 0, &["0", "1", "2", "3"]);
    model.append("t", 0, &["4", "5"]);
    let mut consumer = earliest(&model, &[("max.poll.records", "1")]);
    consumer.assign([partition(0)]).expect("nothing is subscribed");
    let batches = consumer.poll_batches(SECOND).await.expect("no error");
    assert_eq!(batches.len(), 1, "a batch is enough to reach one record");
    assert_eq!(
        (batches[0].first_offset, batches[0].next_offset()),
        (Offset(0), Offset(4))
    );
    assert_eq!(
        (batches[0].high_watermark, batches[0].log_start_offset),
        (Offset(6), Offset(0))
    );

    consumer.seek(&partition(0), Offset(2)).expect("assigned");
    let batches = consumer.poll_batches(SECOND).await.expect("no error");
    let offsets: Vec<i64> = batches[0]
        .records()
        .expect("sound")
        .map(|record| record.expect("sound").offset.0)
        .collect();
    assert_eq!((batches[0].first_offset, offsets), (Offset(2), vec![2, 3]));

    consumer.seek(&partition(0), Offset(3)).expect("assigned");
    let first = consumer.poll(SECOND).await.expect("no error");
    assert_eq!((first.len(), text(&first[0])), (1, "3".to_owned()));
    let next = consumer.poll(SECOND).await.expect("no error");
    assert_eq!(text(&next[0]), "4");
    // The batch is open at its second record: as a batch it comes from there on.
    let rest = consumer.poll_batches(SECOND).await.expect("no error");
    assert_eq!(
        (rest[0].first_offset, rest[0].next_offset()),
        (Offset(5), Offset(6))
    );
}

#[tokio::test(start_paused = true)]
async fn a_poll_waits_for_data_and_wakes_when_it_comes() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    let mut consumer = earliest(&model, &[]);
    consumer.assign([partition(0)]).expect("nothing is subscribed");
    let started = Instant::now();
    assert!(consumer.poll(SECOND).await.expect("no error").is_empty());
    assert_eq!(started.elapsed(), SECOND);
    let writer = model.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        writer.append("t", 0, &["late"]);
    });
    let started = Instant::now();
    assert_eq!(
        text(&consumer.poll(Duration::MAX).await.expect("no error")[0]),
        "late"
    );
    assert!(
        started.elapsed() < Duration::from_millis(320),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn the_next_fetch_is_under_way_while_the_caller_works() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    model.append("t", 0, &["0"]);
    let mut consumer = earliest(&model, &[]);
    consumer.assign([partition(0)]).expect("nothing is subscribed");
    consumer.poll(SECOND).await.expect("no error");
    let fetches = model.count(ApiKey::Fetch);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(
        model.count(ApiKey::Fetch),
        fetches.max(2),
        "sent before the poll returned, or at once after"
    );
    model.append("t", 0, &["1"]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let records = consumer.poll(Duration::ZERO).await.expect("no error");
    assert_eq!(text(&records[0]), "1", "it had arrived meanwhile");
}

#[tokio::test(start_paused = true)]
async fn the_reset_policy_decides_where_to_begin() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    model.append("t", 0, &["0", "1"]);
    let mut latest = model.consumer(&[]);
    latest.assign([partition(0)]).expect("nothing is subscribed");
    assert_eq!(latest.position(&partition(0)).await.expect("found"), Offset(2));

    let mut none = model.consumer(&[("auto.offset.reset", "none")]);
    none.assign([partition(0)]).expect("nothing is subscribed");
    let error = none.poll(SECOND).await.expect_err("nothing is committed");
    assert!(matches!(error, Error::NoOffsetForPartition(_)), "{error}");
    none.seek(&partition(0), Offset(99)).expect("assigned");
    let error = none.poll(SECOND).await.expect_err("there is no such offset");
    assert!(
        matches!(
            error,
            Error::OffsetOutOfRange {
                offset: Offset(99),
                ..
            }
        ),
        "{error}"
    );
    none.seek_to_beginning(&[]).expect("assigned");
    assert_eq!(drain(&mut none).await.len(), 2);

    let mut earliest = earliest(&model, &[]);
    earliest.assign([partition(0)]).expect("nothing is subscribed");
    earliest.seek(&partition(0), Offset(99)).expect("assigned");
    assert_eq!(drain(&mut earliest).await.len(), 2, "reset to the beginning");

    model.change(|state| state.commit("g", "t", 0, 1));
    let mut group = model.consumer(&[("group.id", "g")]);
    group.assign([partition(0)]).expect("nothing is subscribed");
    assert_eq!(drain(&mut group).await, [(1, "1".to_owned())]);
    group.commit_positions().await.expect("committed");
    assert_eq!(model.lock().committed("g", "t", 0), Some(2));
    let committed = group.committed(&[partition(0)]).await.expect("fetched");
    assert_eq!(
        committed[&partition(0)].leader_epoch,
        Some(forebay_records::LeaderEpoch(5))
    );
}

#[tokio::test(start_paused = true)]
async fn faults_of_brokers_are_got_over() {
    let model = Model::new(3);
    model.create_topic("t", 2);
    let mut fetches = 0;
    model.faults(move |_, request| {
        fetches += i32::from(matches!(request, Request::Fetch(_)));
        match (request, fetches % 5) {
            (Request::Fetch(_), 1) => Fault::LoseRequest,
            (Request::Fetch(_), 2) => Fault::LoseResponse,
            (Request::Fetch(_), 3) => Fault::Refuse(ErrorCode::NotLeaderOrFollower),
            (Request::ListOffsets(_), _) if fetches == 0 => Fault::None,
            _ => Fault::None,
        }
    });
    let mut consumer = earliest(&model, &[("request.timeout.ms", "2000")]);
    consumer
        .assign([partition(0), partition(1)])
        .expect("nothing is subscribed");
    let mut seen = Vec::new();
    for round in 0..20 {
        model.append("t", round % 2, &[round.to_string()]);
        if round % 4 == 0 {
            model.move_leader("t", round % 2, i32::try_from(round % 3).expect("small") + 1);
        }
        seen.extend(drain(&mut consumer).await.into_iter().map(|(_, value)| value));
    }
    let expected: Vec<String> = (0..20).map(|round| round.to_string()).collect();
    assert_eq!(seen, expected, "each once, in order");
}

#[tokio::test(start_paused = true)]
async fn what_is_paused_waits() {
    let model = Model::new(1);
    model.create_topic("t", 2);
    model.append("t", 0, &["a"]);
    model.append("t", 1, &["b"]);
    let mut consumer = earliest(&model, &[]);
    consumer
        .assign([partition(0), partition(1)])
        .expect("nothing is subscribed");
    consumer.pause(&[partition(0)]).expect("assigned");
    assert_eq!(drain(&mut consumer).await, [(0, "b".to_owned())]);
    assert_eq!(consumer.paused(), [partition(0)]);
    consumer.resume(&[partition(0)]).expect("assigned");
    assert_eq!(drain(&mut consumer).await, [(0, "a".to_owned())]);
    assert!(matches!(
        consumer.pause(&[partition(7)]),
        Err(Error::NotAssigned(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_wakeup_ends_a_poll_and_loses_nothing() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    let mut consumer = earliest(&model, &[]);
    consumer.assign([partition(0)]).expect("nothing is subscribed");
    let wakeup = consumer.wakeup_handle();
    tokio::spawn(async move {
        tokio::time::sleep(SECOND).await;
        wakeup.wakeup();
    });
    let error = consumer.poll(SECOND * 60).await.expect_err("woken");
    assert!(matches!(error, Error::Wakeup));
    model.append("t", 0, &["a"]);
    assert_eq!(drain(&mut consumer).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_is_dropped_loses_nothing() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    let mut consumer = earliest(&model, &[]);
    consumer.assign([partition(0)]).expect("nothing is subscribed");
    let mut seen = Vec::new();
    for number in 0..200 {
        model.append("t", 0, &[number.to_string()]);
        // Dropped at another point of its way each time.
        let patience = Duration::from_micros(number * 37);
        if let Ok(records) = tokio::time::timeout(patience, consumer.poll(SECOND)).await {
            seen.extend(records.expect("no error").iter().map(text));
        }
    }
    seen.extend(drain(&mut consumer).await.into_iter().map(|(_, value)| value));
    let expected: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    assert_eq!(seen, expected);
}

fn transactional(id: i64, sequence: i32) -> BatchOptions {
    BatchOptions {
        producer: ProducerIdentity {
            id: ProducerId(id),
            epoch: ProducerEpoch(0),
            base_sequence: Sequence(sequence),
        },
        transactional: true,
        ..BatchOptions::default()
    }
}

fn end(model: &Model, id: i64, outcome: ControlRecordType) {
    let marker = EndTransactionMarker { coordinator_epoch: 0 };
    let batch = BatchBuilder::end_transaction(transactional(id, -1), Timestamp(0), outcome, marker)
        .expect("a marker");
    model.append_batch("t", 0, &batch);
}

#[tokio::test(start_paused = true)]
async fn aborted_and_open_transactions_are_not_seen() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    model.append("t", 0, &["plain"]); // 0
    model.append_with("t", 0, &["aborted"], transactional(7, 0)); // 1
    model.append_with("t", 0, &["committed"], transactional(8, 0)); // 2
    end(&model, 7, ControlRecordType::Abort); // 3
    model.append_with("t", 0, &["afterwards"], transactional(7, 1)); // 4
    end(&model, 8, ControlRecordType::Commit); // 5
    end(&model, 7, ControlRecordType::Commit); // 6
    model.append_with("t", 0, &["open"], transactional(9, 0)); // 7
    model.change(|state| {
        let partition = state.partition("t", 0).expect("it exists");
        partition.aborted = vec![(ProducerId(7), Offset(1))];
        partition.last_stable_offset = Some(Offset(7));
    });
    let mut committed = earliest(&model, &[("isolation.level", "read_committed")]);
    committed.assign([partition(0)]).expect("nothing is subscribed");
    let values: Vec<String> = drain(&mut committed)
        .await
        .into_iter()
        .map(|(_, value)| value)
        .collect();
    assert_eq!(values, ["plain", "committed", "afterwards"]);
    assert_eq!(
        committed.position(&partition(0)).await.expect("known"),
        Offset(7),
        "markers are behind us"
    );
    assert_eq!(
        committed.end_offsets(&[partition(0)]).await.expect("listed")[&partition(0)],
        Offset(7)
    );

    let mut uncommitted = earliest(&model, &[]);
    uncommitted.assign([partition(0)]).expect("nothing is subscribed");
    let offsets: Vec<i64> = drain(&mut uncommitted)
        .await
        .into_iter()
        .map(|(offset, _)| offset)
        .collect();
    assert_eq!(offsets, [0, 1, 2, 4, 7], "markers are nobody's records");
}

#[tokio::test(start_paused = true)]
async fn damage_is_told_with_its_place() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    model.append("t", 0, &["good"]);
    let mut builder = BatchBuilder::new(BatchOptions {
        base_offset: Offset(1),
        ..BatchOptions::default()
    });
    builder
        .append(Timestamp(0), None, Some(b"bad"), &forebay_records::Headers::EMPTY)
        .expect("room");
    let mut bytes = builder.build().expect("records").into_bytes().to_vec();
    *bytes.last_mut().expect("bytes") ^= 1;
    let batch = forebay_records::RecordBatch::new(bytes.into()).expect("its structure is whole");
    model.change(|state| state.partition("t", 0).expect("it exists").batches.push(batch));
    let mut consumer = earliest(&model, &[]);
    consumer.assign([partition(0)]).expect("nothing is subscribed");
    assert_eq!(
        text(&consumer.poll(SECOND).await.expect("the good one")[0]),
        "good"
    );
    let error = consumer.poll(SECOND).await.expect_err("the bad one");
    assert!(
        matches!(
            error,
            Error::Corrupt {
                offset: Offset(1),
                ..
            }
        ),
        "{error}"
    );
    consumer.seek(&partition(0), Offset(2)).expect("assigned");
    assert!(consumer.poll(SECOND).await.expect("behind it").is_empty());
}

#[tokio::test(start_paused = true)]
async fn offsets_by_time_and_ends() {
    let model = Model::new(2);
    model.create_topic("t", 2);
    model.append("t", 0, &["at 1000", "at 1001", "at 1002"]);
    let mut consumer = model.consumer(&[]);
    let both = [partition(0), partition(1)];
    assert_eq!(
        consumer
            .end_offsets(&both)
            .await
            .expect("listed")
            .into_values()
            .collect::<Vec<_>>(),
        [Offset(3), Offset(0)]
    );
    assert_eq!(
        consumer.beginning_offsets(&both).await.expect("listed")[&both[0]],
        Offset(0)
    );
    let times = both
        .iter()
        .map(|partition| (partition.clone(), Timestamp(1001)))
        .collect();
    let found = consumer.offsets_for_times(&times).await.expect("listed");
    assert_eq!(
        (found[&both[0]].offset, found[&both[1]].offset),
        (Some(Offset(1)), None)
    );
    assert_eq!(consumer.partition_count("t").await.expect("known"), 2);
    let then = consumer.topic_ids(&["t", "missing"]).await.expect("asked");
    assert_eq!(then.keys().collect::<Vec<_>>(), ["t"]);
    model.create_topic("t", 2);
    let now = consumer.topic_ids(&["t"]).await.expect("asked");
    assert_ne!(then["t"], now["t"], "it was made anew");
    let error = consumer
        .partition_count("missing")
        .await
        .expect_err("there is no such topic");
    assert_eq!(error.code(), Some(ErrorCode::UnknownTopicOrPartition));
}

#[tokio::test(start_paused = true)]
async fn misuse_is_named() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    let mut consumer = model.consumer(&[]);
    let nothing = consumer.poll(SECOND).await.expect_err("nothing to read");
    let no_group = consumer
        .subscribe(Subscription::topics(["t"]))
        .expect_err("no group");
    let mut member = model.consumer(&[("group.id", "g")]);
    member.subscribe(Subscription::topics(["t"])).expect("a group");
    let both = member.assign([partition(0)]).expect_err("subscribed already");
    for (error, part) in [
        (nothing, "call subscribe or assign"),
        (no_group, "group.id"),
        (both, "exclude each other"),
    ] {
        assert!(
            matches!(error, Error::IllegalState(_)) && error.to_string().contains(part),
            "{error}"
        );
    }
}
