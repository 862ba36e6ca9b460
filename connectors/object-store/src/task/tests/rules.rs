//! Rotation, resuming, memory, records at fault: one rule at a time.

use std::{collections::BTreeMap, time::Instant};

use forebay_connect_api::{
    Access, AssignedPartition, Connector, Offset, Offsets, SinkConnector, SinkRecords, SinkTask,
    TopicPartition, Value, ValueFormat,
};
use object_store::{ObjectStoreExt, path::Path};

use super::bench::{Bench, Flaw, assigned, batch, context, partition, properties, reporting};

fn records(offsets: std::ops::Range<i64>) -> Vec<(i64, i64, Value)> {
    offsets
        .map(|offset| (offset, offset * 1000, format!("v{offset}").as_str().into()))
        .collect()
}

async fn committed(task: &mut dyn SinkTask, delivered: i64) -> i64 {
    let current: Offsets = [(partition(), Offset(delivered))].into_iter().collect();
    let safe = task.pre_commit(&current).await.expect("asked");
    safe[&partition()].value()
}

#[tokio::test]
async fn names_cover_offsets_without_records_and_commits_follow_objects() {
    let bench = Bench::in_memory(Flaw::None);
    let mut task = bench.task(&context(), &[]).await;
    // 5 and 6 hold no record; nor do 10 to 12, at the end.
    let mut first = records(0..5);
    first.extend(records(7..10));
    task.put(&batch(first, 13)).await.expect("taken");
    let expected = [
        "t+0+0000000000+0000000002.snappy.parquet",
        "t+0+0000000003+0000000007.snappy.parquet",
    ];
    assert_eq!(bench.names().await, expected);
    assert_eq!(
        committed(&mut *task, 13).await,
        8,
        "8 and 9 wait in the open file"
    );
    task.put(&batch(records(13..14), 14)).await.expect("taken");
    assert_eq!(bench.names().await[2], "t+0+0000000008+0000000013.snappy.parquet");
    task.put(&batch(vec![], 20)).await.expect("taken");
    assert_eq!(
        committed(&mut *task, 20).await,
        20,
        "nothing is open: offsets without records need no object"
    );
}

#[tokio::test]
async fn time_closes_files_by_records_and_by_the_clock() {
    let by_records: &[(&str, &str)] = &[("flush.size", "1000"), ("rotate.interval.ms", "3000")];
    let bench = Bench::in_memory(Flaw::None);
    let mut task = bench.task(&context(), by_records).await;
    let mut late = records(0..7);
    late[4].1 = 0; // Goes backwards: stays in the file.
    task.put(&batch(late, 7)).await.expect("taken");
    let expected = [
        "t+0+0000000000+0000000002.snappy.parquet",
        "t+0+0000000003+0000000005.snappy.parquet",
    ];
    assert_eq!(bench.names().await, expected);

    // No more records come: the clock closes the file, deadline and all.
    let wait = task
        .deadline()
        .expect("a file is open")
        .duration_since(Instant::now());
    assert!((2900..=3000).contains(&wait.as_millis()), "{wait:?}");
    bench.clock.advance(2999);
    task.on_deadline().await.expect("nothing is due");
    assert_eq!(bench.names().await.len(), 2);
    bench.clock.advance(1);
    task.on_deadline().await.expect("closed");
    assert_eq!(bench.names().await[2], "t+0+0000000006+0000000006.snappy.parquet");
    assert_eq!(task.deadline(), None);
    assert_eq!(committed(&mut *task, 7).await, 7);
}

#[tokio::test]
async fn a_task_goes_on_after_the_last_object() {
    for (committed, expected) in [(None, 6), (Some(2), 6), (Some(6), 6), (Some(9), 9)] {
        let bench = Bench::in_memory(Flaw::None);
        bench
            .task(&context(), &[])
            .await
            .put(&batch(records(0..8), 8))
            .await
            .expect("taken");
        let context = context();
        let mut task = bench.connector().task();
        task.start(context.clone(), &properties(&[]))
            .await
            .expect("started");
        task.open(&[assigned(committed, 100)]).await.expect("opened");
        let moved = context.take_offsets().pop();
        let position = moved.map_or(committed.unwrap_or(0), |(_, offset)| offset.value());
        assert_eq!(position, expected, "committed {committed:?}");
        task.put(&batch(records(expected..expected + 3), expected + 3))
            .await
            .expect("taken");
        let name = format!("t+0+{expected:010}+{:010}.snappy.parquet", expected + 2);
        assert_eq!(bench.names().await.last(), Some(&name));
    }
}

#[tokio::test]
async fn a_topic_made_anew_and_objects_without_end_are_refused() {
    let bench = Bench::in_memory(Flaw::None);
    bench
        .task(&context(), &[])
        .await
        .put(&batch(records(0..6), 6))
        .await
        .expect("taken");
    let open = async |assigned: AssignedPartition| {
        let mut task = bench.connector().task();
        task.start(context(), &properties(&[])).await.expect("started");
        task.open(&[assigned]).await
    };
    let error = open(assigned(None, 5))
        .await
        .expect_err("the topic ends before the objects")
        .to_string();
    for part in [
        "offsets of t-0 up to 5",
        "ends before offset 5",
        "another topics.dir",
        "t+0+0000000003+0000000005",
    ] {
        assert!(error.contains(part), "{error}");
    }
    open(assigned(None, 6))
        .await
        .expect("it ends where the objects do");
    // It is longer already: only its id tells. Where the cluster has none, nothing is known.
    let anew = |topic_id: Option<&str>| AssignedPartition {
        topic_id: topic_id.map(Into::into),
        ..assigned(None, 2000)
    };
    let error = open(anew(Some("0000000000000000000000")))
        .await
        .expect_err("the topic is another one")
        .to_string();
    for part in [
        "t+0+0000000003+0000000005.snappy.parquet in topics/t/partition=0",
        "another topic t (its id was uCwhBlOMQVyTsBvNKpXkQg, now 0000000000000000000000)",
        "another topics.dir",
        "move these objects away: t+0+0000000000+0000000002",
    ] {
        assert!(error.contains(part), "{error}");
    }
    open(anew(None)).await.expect("nothing is known");

    let confluents = Path::from("topics/t/partition=0/t+0+0000000100.snappy.parquet");
    bench.objects.put(&confluents, "x".into()).await.expect("made");
    let error = open(assigned(Some(100), 1000))
        .await
        .expect_err("where does it end?")
        .to_string();
    assert!(
        error.contains("does not say with which offset it ends"),
        "{error}"
    );
    open(assigned(Some(200), 1000))
        .await
        .expect("the group says how far it came");
}

#[tokio::test]
async fn an_offset_below_what_is_stored_is_refused_and_names_what_is_in_the_way() {
    let bench = Bench::in_memory(Flaw::None);
    bench
        .task(&context(), &[("flush.size", "1")])
        .await
        .put(&batch(records(0..9), 9))
        .await
        .expect("taken");
    let connector = bench.connector();
    let alter = async |offset: Option<i64>| {
        let offsets = BTreeMap::from([(partition(), offset.map(Offset))]);
        connector
            .alter_offsets(&Access::unrestricted(), &properties(&[]), &offsets)
            .await
    };
    for good in [9, 10, 1000] {
        assert!(alter(Some(good)).await.expect("it is after them"));
    }
    let error = alter(Some(8)).await.expect_err("8 is stored").to_string();
    assert!(
        error.contains("t+0+0000000008+0000000008") && !error.contains("more"),
        "{error}"
    );
    let error = alter(None).await.expect_err("all are stored").to_string();
    assert!(
        error.contains("and 4 more") && error.contains("topics/t/partition=0"),
        "{error}"
    );
}

#[tokio::test]
async fn records_at_fault_are_reported_or_fail_the_task() {
    let object = Value::Map(vec![("a".into(), 1.into())]);
    let with = |value: Value| batch(vec![(0, 0, "a".into()), (1, 0, value), (2, 0, "b".into())], 3);
    let queue = reporting();
    let bench = Bench::in_memory(Flaw::None);
    let mut task = bench.task(&queue, &[]).await;
    task.put(&with(Value::Null)).await.expect("the null is reported");
    assert_eq!(
        queue
            .reported()
            .iter()
            .map(|(offset, _)| *offset)
            .collect::<Vec<_>>(),
        [Offset(1)]
    );
    task.put(&batch(vec![(3, 0, object.clone())], 4))
        .await
        .expect("an object among strings is reported, too");
    let (offset, error) = queue.reported().pop().expect("two are reported");
    assert!(
        offset == Offset(3) && error.contains("STRUCT") && error.contains("STRING"),
        "{error}"
    );
    let without = [("schema.inference.enable", "false")];
    let mut task = Bench::in_memory(Flaw::None).task(&queue, &without).await;
    let error = task
        .put(&batch(vec![(3, 0, object.clone())], 4))
        .await
        .expect_err("no record like it can be written");
    assert!(
        error.to_string().contains("at offset 3 of t-0") && error.to_string().contains("AvroConverter"),
        "{error}"
    );

    for (behavior, value, rows) in [
        ("ignore", Value::Null, Some(2)),
        ("write", Value::Null, Some(3)),
        ("fail", Value::Null, None),
    ] {
        let bench = Bench::in_memory(Flaw::None);
        let keys = [("behavior.on.null.values", behavior), ("rotate.interval.ms", "1")];
        let mut task = bench.task(&context(), &keys).await;
        let put = task.put(&with(value)).await;
        assert_eq!(put.is_ok(), rows.is_some(), "{behavior}: {put:?}");
        if rows.is_some() {
            bench.clock.advance(1);
            task.on_deadline().await.expect("closed");
            assert_eq!(bench.names().await, ["t+0+0000000000+0000000002.snappy.parquet"]);
        }
    }

    let mut routed = batch(records(0..1), 1);
    if let SinkRecords::Converted(records) = &mut routed.records {
        records[0].topic = "elsewhere".into();
    }
    let error = task
        .put(&routed)
        .await
        .expect_err("the transform is not supported");
    assert!(
        error
            .to_string()
            .contains("sent the record at offset 0 of t-0 to topic elsewhere"),
        "{error}"
    );
}

#[tokio::test]
async fn memory_is_bounded_over_five_hundred_partitions() {
    const PARTITIONS: i32 = 500;
    const BUDGET: usize = 4 * 1024 * 1024;
    let bench = Bench::in_memory(Flaw::None);
    let keys = [
        ("flush.size", "1000000"),
        ("parquet.codec", "none"),
        ("max.buffer.bytes", "4194304"),
    ];
    let mut task = super::super::ObjectStoreSinkTask::new(bench.connector().environment());
    task.start(context(), &properties(&keys)).await.expect("started");
    let of = |number| AssignedPartition {
        topic_partition: TopicPartition::new("t", number),
        ..assigned(None, 1_000_000)
    };
    let all: Vec<AssignedPartition> = (0..PARTITIONS).map(of).collect();
    task.open(&all).await.expect("opened");
    let mut largest = 0;
    for round in 0..4 {
        for number in 0..PARTITIONS {
            // Different bytes everywhere: nothing shrinks.
            let value = |offset: i64| format!("{number} {offset} ").repeat(1000);
            let values = (0..2).map(|step| (round * 2 + step, 0, value(round * 2 + step).as_str().into()));
            let mut batch = batch(values.collect(), round * 2 + 2);
            batch.topic_partition = TopicPartition::new("t", number);
            task.put(&batch).await.expect("taken");
            let started = task.started.as_ref().expect("started");
            largest = largest.max(
                started
                    .partitions
                    .values()
                    .map(super::super::Partition::bytes)
                    .sum(),
            );
        }
    }
    assert!(largest <= BUDGET && largest > BUDGET / 2, "{largest} bytes");
    assert!(!bench.names().await.is_empty(), "some files were closed early");
}

#[tokio::test]
async fn all_tasks_of_a_worker_share_one_budget() {
    const BUDGET: usize = 2 * 1024 * 1024;
    let bench = Bench::in_memory(Flaw::None);
    let keys = [
        ("flush.size", "1000000"),
        ("format.class", "JsonFormat"),
        ("worker.max.buffer.bytes", "2097152"),
    ];
    let mut tasks = Vec::new();
    for number in 0..4 {
        let mut task = bench.connector().task();
        task.start(context(), &properties(&keys)).await.expect("started");
        let topic_partition = TopicPartition::new("t", number);
        let assigned = AssignedPartition {
            topic_partition,
            ..assigned(None, 1_000_000)
        };
        task.open(&[assigned]).await.expect("opened");
        tasks.push(task);
    }
    let mut largest = 0;
    for round in 0..64 {
        for number in 0..tasks.len() {
            // The first one takes most, and then nothing for a while.
            if number == 0 && round % 16 > 8 {
                continue;
            }
            let value = "x".repeat(if number == 0 { 60_000 } else { 20_000 });
            let mut batch = batch(vec![(round, 0, value.as_str().into())], round + 1);
            batch.topic_partition = TopicPartition::new("t", i32::try_from(number).expect("few"));
            tasks[number].put(&batch).await.expect("taken");
            largest = largest.max(bench.budget.bytes());
            // Whoever is asked for it gives back.
            for task in &mut tasks {
                if task.deadline().is_some_and(|deadline| deadline <= Instant::now()) {
                    task.on_deadline().await.expect("closed");
                }
            }
            assert!(bench.budget.bytes() <= BUDGET, "{} bytes", bench.budget.bytes());
        }
    }
    assert!(largest > BUDGET / 2, "{largest} bytes");
    assert!(bench.names().await.len() > 3, "files were closed early");
    drop(tasks);
    assert_eq!(bench.budget.bytes(), 0);
}

#[tokio::test]
async fn a_store_that_is_away_holds_up_the_task_and_loses_nothing() {
    let bench = Bench::in_memory(Flaw::AwayFor(20));
    let mut task = bench.task(&context(), &[]).await;
    let mut failures = 0;
    for start in (0..12).step_by(4) {
        let batch = batch(records(start..start + 4), start + 4);
        // As a worker does: the same batch again, and nothing else meanwhile.
        while let Err(error) = task.put(&batch).await {
            assert!(
                error.is_retriable() && error.to_string().contains("503"),
                "{error}"
            );
            assert!(bench.names().await.is_empty());
            assert!(bench.budget.bytes() > 0, "what waits is counted");
            failures += 1;
        }
    }
    assert_eq!(failures, 20);
    assert_eq!(bench.names().await.len(), 4);
    assert_eq!(committed(&mut *task, 12).await, 12);
}

#[tokio::test]
async fn validation_puts_what_concerns_several_keys_under_one() {
    let connector = Bench::in_memory(Flaw::None).connector();
    let values = connector.validate(&properties(&[("store.url", "http://localhost:1")]));
    let at_fault: Vec<&str> = values
        .iter()
        .filter(|value| !value.errors.is_empty())
        .map(|value| value.name.as_str())
        .collect();
    assert_eq!(at_fault, ["store.url"]);
    let task = super::super::ObjectStoreSinkTask::new(connector.environment());
    assert!(!task.takes_raw(&ValueFormat::String), "not before it has started");
}
