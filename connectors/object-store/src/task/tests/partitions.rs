//! Partitioners, several open files, and going on after a kill.

use forebay_connect_api::{
    Access, Connector, Offset, Offsets, Schema, SchemaAndValue, SinkBatch, SinkConnector, SinkRecords,
    SinkTask, Struct, Value, ValueFormat,
    conformance::{Delivery, SinkSubject, check_sink},
};

use super::bench::{
    Bench, Flaw, HOUR_MS, assigned, batch, context, partition, properties, read_objects, values,
};

const HOURLY: (&str, &str) = ("partitioner.class", "HourlyPartitioner");
const RECORD: (&str, &str) = ("timestamp.extractor", "Record");

/// 2024-02-05T13:00Z
const ONE_O_CLOCK: i64 = 1_707_138_000_000;

/// Records with a time each, in hours after one o'clock.
fn at_hours(first: i64, hours: &[i64]) -> Vec<(i64, i64, Value)> {
    (first..)
        .zip(hours)
        .map(|(offset, hour)| {
            (
                offset,
                ONE_O_CLOCK + hour * HOUR_MS,
                format!("v{offset}").as_str().into(),
            )
        })
        .collect()
}

async fn safe(task: &mut dyn SinkTask, delivered: i64) -> i64 {
    let current: Offsets = [(partition(), Offset(delivered))].into_iter().collect();
    task.pre_commit(&current).await.expect("asked")[&partition()].value()
}

/// Paths of all objects below the topic.
async fn paths(bench: &Bench) -> Vec<String> {
    let objects = read_objects(&*bench.objects).await;
    let below = |path: &String| path.strip_prefix("topics/t/").expect("the topic").to_owned();
    objects.keys().map(below).collect()
}

fn hour(hour: i64, start: i64, end: i64) -> String {
    format!("year=2024/month=02/day=05/hour={hour}/t+0+{start:010}+{end:010}.snappy.parquet")
}

#[tokio::test]
async fn folders_that_take_turns_fill_one_file_each() {
    let bench = Bench::in_memory(Flaw::None);
    let mut task = bench.task(&context(), &[HOURLY, RECORD]).await;
    task.put(&batch(at_hours(0, &[0, 1, 0, 1, 1]), 5))
        .await
        .expect("taken");
    assert_eq!(paths(&bench).await, [hour(14, 1, 4)]);
    assert_eq!(safe(&mut *task, 5).await, 0, "0 and 2 wait for a third");
    task.put(&batch(at_hours(5, &[2, 0, 1]), 8)).await.expect("taken");
    assert_eq!(paths(&bench).await, [hour(13, 0, 6), hour(14, 1, 4)]);
    assert_eq!(safe(&mut *task, 8).await, 5, "the lowest that is in no object");

    let bench = Bench::in_memory(Flaw::None);
    let change = [HOURLY, RECORD, ("rotate.file.on.partition.change", "true")];
    let mut task = bench.task(&context(), &change).await;
    task.put(&batch(at_hours(0, &[0, 0, 1, 0]), 4))
        .await
        .expect("taken");
    assert_eq!(paths(&bench).await, [hour(13, 0, 1), hour(14, 2, 2)]);
}

#[tokio::test]
async fn a_task_skips_in_each_folder_what_is_stored_there() {
    let bench = Bench::in_memory(Flaw::None);
    let keys = [HOURLY, RECORD];
    let hours = [0, 1, 0, 1, 1, 0, 2, 1, 2, 2];
    let mut task = bench.task(&context(), &keys).await;
    // A third record of 13 would close its file: the task dies before.
    let five = at_hours(0, &hours)[..5].to_vec();
    task.put(&batch(five, 5)).await.expect("taken");
    drop(task);
    let mut task = bench.task(&context(), &keys).await;
    task.put(&batch(at_hours(0, &hours), 10)).await.expect("taken");
    assert_eq!(
        paths(&bench).await,
        [hour(13, 0, 5), hour(14, 1, 4), hour(15, 6, 9)]
    );
    assert_eq!(safe(&mut *task, 10).await, 7);
    let mut stored = values(&read_objects(&*bench.objects).await);
    stored.sort();
    assert_eq!(stored, ["v0", "v1", "v2", "v3", "v4", "v5", "v6", "v8", "v9"]);
}

#[tokio::test]
async fn time_closes_files_of_folders_that_get_no_more_records() {
    let bench = Bench::in_memory(Flaw::None);
    let interval = HOUR_MS.to_string();
    let keys = [
        HOURLY,
        RECORD,
        ("flush.size", "1000"),
        ("rotate.interval.ms", &interval),
    ];
    let mut task = bench.task(&context(), &keys).await;
    task.put(&batch(at_hours(0, &[0, 0, 1]), 3)).await.expect("taken");
    assert_eq!(
        paths(&bench).await,
        [hour(13, 0, 1)],
        "the partition is an hour further"
    );
    // Late records: their file is not closed as soon as it is open.
    task.put(&batch(at_hours(3, &[-1, 0, -1, 0]), 7))
        .await
        .expect("taken");
    assert_eq!(paths(&bench).await.len(), 1);
    task.put(&batch(at_hours(7, &[2]), 8)).await.expect("taken");
    let expected = [hour(12, 3, 5), hour(13, 0, 1), hour(13, 4, 6), hour(14, 2, 2)];
    assert_eq!(paths(&bench).await, expected);
    // No more records come.
    bench.clock.advance(HOUR_MS - 1);
    task.on_deadline().await.expect("nothing is due");
    assert_eq!(safe(&mut *task, 8).await, 7);
    bench.clock.advance(1);
    task.on_deadline().await.expect("closed");
    assert_eq!(paths(&bench).await[4], hour(15, 7, 7));
    assert_eq!((safe(&mut *task, 8).await, task.deadline()), (8, None));
}

#[tokio::test]
async fn idle_files_large_files_and_too_many_files_are_closed() {
    let bench = Bench::in_memory(Flaw::None);
    let keys = [
        HOURLY,
        RECORD,
        ("flush.size", "1000"),
        ("rotate.idle.interval.ms", "100"),
    ];
    let mut task = bench.task(&context(), &keys).await;
    task.put(&batch(at_hours(0, &[0, 1]), 2)).await.expect("taken");
    bench.clock.advance(99);
    task.put(&batch(at_hours(2, &[1]), 3)).await.expect("taken");
    bench.clock.advance(1);
    task.on_deadline().await.expect("one is closed");
    assert_eq!(paths(&bench).await, [hour(13, 0, 0)]);
    bench.clock.advance(99);
    assert_eq!(safe(&mut *task, 3).await, 3);
    assert_eq!(paths(&bench).await[1], hour(14, 1, 2));

    let bench = Bench::in_memory(Flaw::None);
    let keys = [
        ("format.class", "JsonFormat"),
        ("flush.size", "1000000"),
        ("flush.bytes", "10000"),
    ];
    let mut task = bench.task(&context(), &keys).await;
    let records =
        |range: std::ops::Range<i64>| range.map(|offset| (offset, 0, "x".repeat(98).as_str().into()));
    for start in (0..1024).step_by(64) {
        task.put(&batch(records(start..start + 64).collect(), start + 64))
            .await
            .expect("taken");
    }
    let objects = read_objects(&*bench.objects).await;
    assert!(objects.len() >= 3, "{} objects", objects.len());
    assert!(
        objects
            .values()
            .all(|content| (5_000..40_000).contains(&content.len()))
    );

    let bench = Bench::in_memory(Flaw::None);
    let keys = [
        HOURLY,
        RECORD,
        ("flush.size", "1000"),
        ("partitioner.max.open.files", "2"),
    ];
    let mut task = bench.task(&context(), &keys).await;
    task.put(&batch(at_hours(0, &[0, 1, 0, 2, 1]), 5))
        .await
        .expect("taken");
    assert_eq!(
        paths(&bench).await,
        [hour(13, 0, 2), hour(14, 1, 1)],
        "those without records for longest"
    );
}

#[tokio::test]
async fn an_offset_below_what_any_folder_has_is_refused() {
    let bench = Bench::in_memory(Flaw::None);
    let keys = [HOURLY, RECORD];
    let mut task = bench.task(&context(), &keys).await;
    task.put(&batch(at_hours(0, &[0, 1, 0, 1, 1]), 5))
        .await
        .expect("taken");
    let connector = bench.connector();
    let alter = async |offset: i64, more: &[(&str, &str)]| {
        let offsets = [(partition(), Some(Offset(offset)))].into_iter().collect();
        let properties = properties(&[&keys[..], more].concat());
        let access = Access::unrestricted();
        connector.alter_offsets(&access, &properties, &offsets).await
    };
    let error = alter(4, &[]).await.expect_err("4 is stored").to_string();
    assert!(error.contains("hour=14/t+0+0000000001+0000000004"), "{error}");
    assert!(alter(5, &[]).await.expect("it is after them"));
    assert!(
        connector
            .validate(&properties(&keys))
            .iter()
            .all(|value| value.errors.is_empty())
    );

    // The same where folders are a part of the name.
    let bench = Bench::in_memory(Flaw::None);
    let flat = ("directory.delim", "_");
    let keys = [HOURLY, RECORD, flat];
    let mut task = bench.task(&context(), &keys).await;
    task.put(&batch(at_hours(0, &[0, 1, 0, 1, 1]), 5))
        .await
        .expect("taken");
    drop(task);
    let name = "topics_t_year=2024_month=02_day=05_hour=14_t+0+0000000001+0000000004.snappy.parquet";
    assert_eq!(bench.names().await, [name]);
    let mut task = bench.task(&context(), &keys).await;
    task.put(&batch(at_hours(0, &[0, 1, 0, 1, 1, 0]), 6))
        .await
        .expect("taken");
    assert_eq!(bench.names().await.len(), 2, "1, 3 and 4 were skipped");
    let connector = bench.connector();
    let offsets = [(partition(), Some(Offset(5)))].into_iter().collect();
    let altered = connector
        .alter_offsets(&Access::unrestricted(), &properties(&keys), &offsets)
        .await;
    assert!(
        altered
            .expect_err("5 is stored")
            .to_string()
            .contains("up to offset 5")
    );
}

#[tokio::test]
async fn a_topic_made_anew_is_found_out_in_the_folder_it_would_go_to() {
    let bench = Bench::in_memory(Flaw::None);
    let keys = [HOURLY, RECORD];
    let mut task = bench.task(&context(), &keys).await;
    task.put(&batch(at_hours(0, &[0, 0, 0]), 3)).await.expect("taken");
    let mut task = bench.connector().task();
    task.start(context(), &properties(&keys)).await.expect("started");
    task.open(&[assigned(None, 2)])
        .await
        .expect("nothing was looked at yet");
    let error = task
        .put(&batch(at_hours(0, &[0]), 1))
        .await
        .expect_err("the topic ends before");
    assert!(error.to_string().contains("ends before offset 2"), "{error}");
}

/// Records of two structs in turn, which no file can hold together.
fn in_turn(range: std::ops::Range<i64>) -> SinkBatch {
    let mut batch = batch(
        range.clone().map(|offset| (offset, 0, Value::Null)).collect(),
        range.end,
    );
    if let SinkRecords::Converted(records) = &mut batch.records {
        for record in records {
            let name = ["Order", "Customer"][usize::from(record.offset.value() % 2 == 1)];
            let schema = Schema::structure()
                .name(name)
                .field("value", Schema::string_schema());
            let schema = schema.build().expect("sound");
            let value = Struct::new(schema.clone())
                .and_then(|value| value.with("value", format!("v{}", record.offset)));
            record.value = SchemaAndValue::new(schema, Value::Struct(value.expect("it fits")));
        }
    }
    batch
}

#[tokio::test]
async fn schemas_that_take_turns_fill_one_file_each() {
    for keys in [&[][..], &[HOURLY, RECORD]] {
        let bench = Bench::in_memory(Flaw::None);
        let mut task = bench.task(&context(), keys).await;
        task.put(&in_turn(0..5)).await.expect("taken");
        let names = bench.names().await;
        assert!(
            names[0].starts_with("t+0+0000000000+0000000004.schema-"),
            "{names:?}"
        );
        assert_eq!(
            safe(&mut *task, 5).await,
            i64::from(!keys.is_empty()),
            "1 and 3 wait"
        );
        // Killed: offset 2 is stored, and 3, between the same ends, is not.
        drop(task);
        let mut task = bench.task(&context(), keys).await;
        task.put(&in_turn(0..8)).await.expect("taken");
        bench.clock.advance(HOUR_MS);
        let names = bench.names().await;
        assert_eq!(names.len(), 2, "{names:?}");
        let mut stored = values(&read_objects(&*bench.objects).await);
        stored.sort();
        assert_eq!(stored, ["v0", "v1", "v2", "v3", "v4", "v5"]);
        assert!(safe(&mut *task, 8).await <= 6);
    }
}

/// A folder for each ten seconds of a minute, so that folders come again and again.
const TURNS: &[(&str, &str)] = &[
    ("partitioner.class", "TimeBasedPartitioner"),
    ("path.format", "'slot'=ss"),
    ("partition.duration.ms", "10000"),
    RECORD,
];

const NAMES_ALONE: &[(&str, &str)] = &[("intents.enable", "false")];

#[tokio::test]
async fn every_record_is_stored_exactly_once_in_its_folder() {
    let (mut kills_in_flight, mut stored) = (0, 0);
    for seed in 0..16 {
        let flaw = match seed % 2 {
            0 => Flaw::None,
            _ => Flaw::FailsNowAndThen,
        };
        let bench = Bench::in_memory(flaw);
        let rules: &[_] = match seed % 4 {
            0 | 1 => &[("flush.size", "7"), ("rotate.schedule.interval.ms", "600000")],
            _ => &[
                ("flush.size", "13"),
                ("rotate.interval.ms", "45000"),
                ("partitioner.max.open.files", "3"),
            ],
        };
        let (connector, objects) = (bench.connector(), bench.objects.clone());
        let subject = SinkSubject {
            task: &|| connector.task(),
            properties: properties(&[TURNS, rules, if seed % 5 == 0 { NAMES_ALONE } else { &[] }].concat()),
            topic: "t",
            delivery: match seed % 3 {
                0 => Delivery::Converted,
                _ => Delivery::Raw(ValueFormat::String),
            },
            read: &move || {
                let objects = objects.clone();
                Box::pin(async move { values(&read_objects(&*objects).await) })
            },
            pass_time: &|| bench.clock.advance(HOUR_MS),
            may_repeat: false,
        };
        let report = check_sink(&subject, seed).await.expect("it keeps the contract");
        kills_in_flight += report.kills_in_flight;
        stored += report.stored;
    }
    assert!(
        kills_in_flight > 60,
        "{kills_in_flight} kills hit records in flight"
    );
    assert!(stored > 16 * 3 * 100, "{stored} records");
}

#[tokio::test]
async fn without_the_stores_list_records_would_be_repeated() {
    let mut repeated = 0;
    for seed in 0..4 {
        let bench = Bench::in_memory(Flaw::ForgetsList);
        let (connector, objects) = (bench.connector(), bench.objects.clone());
        let subject = SinkSubject {
            task: &|| connector.task(),
            properties: properties(
                &[
                    TURNS,
                    &[("flush.size", "7"), ("rotate.schedule.interval.ms", "600000")],
                    NAMES_ALONE,
                ]
                .concat(),
            ),
            topic: "t",
            delivery: Delivery::Converted,
            read: &move || {
                let objects = objects.clone();
                Box::pin(async move { values(&read_objects(&*objects).await) })
            },
            pass_time: &|| bench.clock.advance(HOUR_MS),
            may_repeat: false,
        };
        repeated += u32::from(check_sink(&subject, seed).await.is_err());
    }
    assert_eq!(repeated, 4);
}

/// The wall clock says another folder when a record is read again: it may be there twice, but never be lost.
#[tokio::test]
async fn by_the_wall_clock_nothing_is_lost() {
    for seed in 0..6 {
        let bench = Bench::in_memory(Flaw::FailsNowAndThen);
        let (connector, objects) = (bench.connector(), bench.objects.clone());
        let rules = [
            HOURLY,
            ("flush.size", "7"),
            ("rotate.schedule.interval.ms", "600000"),
        ];
        let subject = SinkSubject {
            task: &|| connector.task(),
            properties: properties(&rules),
            topic: "t",
            delivery: Delivery::Converted,
            read: &move || {
                let objects = objects.clone();
                Box::pin(async move { values(&read_objects(&*objects).await) })
            },
            pass_time: &|| bench.clock.advance(HOUR_MS),
            may_repeat: true,
        };
        check_sink(&subject, seed).await.expect("it keeps the contract");
    }
}
