//! Two tasks that both believe they own a partition (faults.md, C6; issue 253 of Confluent's storage sinks), and kills between an
//! intent, its object, and the word that it is done. The tasks are driven poll by poll, so that each stops at every step.

use std::{future::Future, pin::Pin, sync::Arc, task::Poll};

use forebay_connect_api::{
    Error, Intent, Intents, Offset, Offsets, Schema, SchemaAndValue, SinkBatch, SinkConnector, SinkRecords,
    SinkTask, Struct, Value,
    conformance::{Cluster, Owner, SinkContext},
};

use super::bench::{
    Bench, Flaw, HOUR_MS, assigned, batch, owning, partition, properties, read_objects, values,
};

const LOG_END: i64 = 40;

/// How a run is set up.
#[derive(Debug, Clone, Copy)]
struct Setup {
    keys: &'static [(&'static str, &'static str)],
    flaw: Flaw,
    values: Values,
}

/// What records hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Values {
    /// Strings, all of them given at once.
    Alike,
    /// Strings and structs, which no file can hold together, a few at a time.
    OfTwoKinds,
}

/// Records that are given at once where they are of two kinds, so that files are closed at different times.
const FEW: usize = 5;

const BY_COUNT: &[(&str, &str)] = &[("flush.size", "7"), ("rotate.schedule.interval.ms", "600000")];
const BY_FOLDER: &[(&str, &str)] = &[
    ("flush.size", "4"),
    ("rotate.schedule.interval.ms", "600000"),
    ("partitioner.class", "TimeBasedPartitioner"),
    ("timestamp.extractor", "Record"),
    ("path.format", "'third'=SSS"),
    ("partition.duration.ms", "1"),
];
/// What two tasks, or kills, are tried on.
const SETUPS: [(&[(&str, &str)], Values); 3] = [
    (BY_COUNT, Values::Alike),
    (BY_FOLDER, Values::Alike),
    (BY_KIND, Values::OfTwoKinds),
];
const BY_KIND: &[(&str, &str)] = &[("flush.size", "4"), ("rotate.schedule.interval.ms", "600000")];
const BY_COUNT_ALONE: &[(&str, &str)] = &[
    ("flush.size", "7"),
    ("rotate.schedule.interval.ms", "600000"),
    ("intents.enable", "false"),
];

/// A task with its worker's side.
struct Worker {
    task: Box<dyn SinkTask>,
    owner: Arc<Owner>,
    context: Arc<SinkContext>,
    cluster: Cluster,
    values: Values,
    next: i64,
}

/// A task's call that has not ended.
type Call<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

impl Worker {
    /// A task that has the partition from now on; whoever had it does not know.
    async fn start(bench: &Bench, cluster: &Cluster, setup: Setup) -> Self {
        let mut task = bench.connector().task();
        let owner = cluster.owner();
        let says = !setup.keys.contains(&("intents.enable", "false"));
        let context = owning(says.then(|| Arc::clone(&owner)));
        task.start(context.clone(), &properties(setup.keys))
            .await
            .expect("started");
        let mut worker = Self {
            task,
            owner,
            context,
            cluster: cluster.clone(),
            values: setup.values,
            next: 0,
        };
        for _ in 0..50 {
            match worker.open().await {
                Err(error) if error.is_retriable() => {}
                opened => {
                    opened.expect("opened");
                    return worker;
                }
            }
        }
        panic!("retriable errors for ever");
    }

    async fn open(&mut self) -> Result<(), Error> {
        self.owner.take_over(&partition());
        let committed = self.cluster.committed(&partition()).map(Offset::value);
        self.next = committed.unwrap_or(0);
        self.task.open(&[assigned(committed, LOG_END)]).await?;
        let moved = self.context.take_offsets().pop();
        self.next = moved.map_or(self.next, |(_, offset)| offset.value());
        Ok(())
    }

    /// Delivers up to `end`, commits, and lets all of it be closed if `all`.
    async fn deliver(&mut self, bench: &Bench, end: i64, all: bool) -> Result<(), Error> {
        let offsets: Vec<i64> = (self.next..end).collect();
        let at_once = match self.values {
            Values::Alike => offsets.len().max(1),
            Values::OfTwoKinds => FEW,
        };
        for offsets in offsets.chunks(at_once) {
            let next = offsets.last().map_or(self.next, |last| last + 1);
            self.task.put(&self.batch(offsets, next)).await?;
            self.next = next;
        }
        if all {
            bench.clock.advance(HOUR_MS);
        }
        let current: Offsets = [(partition(), Offset(self.next))].into_iter().collect();
        let safe = self.task.pre_commit(&current).await?;
        self.owner.commit(&partition(), safe[&partition()]);
        Ok(())
    }

    fn batch(&self, offsets: &[i64], next: i64) -> SinkBatch {
        let records = offsets
            .iter()
            .map(|offset| (*offset, offset % 3, format!("v{offset}").as_str().into()));
        let mut batch = batch(records.collect(), next);
        if let SinkRecords::Converted(records) = &mut batch.records
            && self.values == Values::OfTwoKinds
        {
            for record in records {
                let value = format!("v{}", record.offset);
                record.value = match record.offset.value() % 5 {
                    1 | 4 => versioned(1, &[("value", &value)]),
                    _ => SchemaAndValue::string(value),
                };
            }
        }
        batch
    }

    /// The same, as often as the store fails; anew if the partition was lost.
    async fn deliver_all(&mut self, bench: &Bench) {
        for _ in 0..200 {
            if self.deliver(bench, LOG_END, true).await.is_ok()
                && self.cluster.committed(&partition()) == Some(Offset(LOG_END))
            {
                return;
            }
            if !self.owner.take_lost().is_empty() {
                self.task.close(&[partition()]).await.expect("closed");
                while let Err(error) = self.open().await {
                    assert!(error.is_retriable(), "{error}");
                }
            }
        }
        panic!("it never gets done: {:?}", self.cluster.committed(&partition()));
    }
}

/// A struct of strings, of a version of its schema.
fn versioned(version: i32, fields: &[(&str, &str)]) -> SchemaAndValue {
    let schema = Schema::structure().name("struct").version(version);
    let schema = fields.iter().fold(schema, |schema, (field, _)| {
        schema.field(*field, Schema::optional_string_schema())
    });
    let schema = schema.build().expect("sound");
    let empty = Struct::new(Arc::clone(&schema)).expect("a struct");
    let value = fields.iter().fold(empty, |value, (field, text)| {
        value.with(field, *text).expect("it fits")
    });
    SchemaAndValue::new(schema, Value::Struct(value))
}

/// Polls so often, or to the end; whether that is reached.
async fn poll(call: &mut Call<'_>, polls: usize) -> Option<Result<(), Error>> {
    for _ in 0..polls {
        let polled = std::future::poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await;
        if let Poll::Ready(result) = polled {
            return Some(result);
        }
        tokio::task::yield_now().await;
    }
    None
}

async fn stored(bench: &Bench) -> Vec<i64> {
    let values = values(&read_objects(&*bench.objects).await);
    let mut offsets: Vec<i64> = values
        .iter()
        .map(|value| value[1..].parse().expect("a number"))
        .collect();
    offsets.sort_unstable();
    offsets
}

/// The first task stops after `first` polls, the second one takes over and stops after `second`, the first goes on, then the second.
/// Gives what is stored, and whether the first had come to an end before it stopped.
async fn both(setup: Setup, first: usize, second: usize) -> (Vec<i64>, bool) {
    let (bench, cluster) = (Bench::in_memory(setup.flaw), Cluster::default());
    let mut one = Worker::start(&bench, &cluster, setup).await;
    let mut two;
    let ended;
    {
        // As in the issue: one has gathered 0 to 19, and the other gets as far as 30.
        let mut call_one: Call<'_> = Box::pin(one.deliver(&bench, 20, true));
        ended = poll(&mut call_one, first).await.is_some();
        two = Worker::start(&bench, &cluster, setup).await;
        {
            let mut call_two: Call<'_> = Box::pin(two.deliver(&bench, 31, true));
            let two_ended = poll(&mut call_two, second).await.is_some();
            if !ended {
                // Whatever comes of it: it does not know better.
                let _ = poll(&mut call_one, 10_000).await.expect("it ends");
            }
            if !two_ended {
                let _ = poll(&mut call_two, 10_000).await.expect("it ends");
            }
        }
    }
    // A task that goes on hears that it has lost the partition, if it has not heard so yet.
    let _ = one.deliver(&bench, 25, true).await;
    drop(one);
    two.deliver_all(&bench).await;
    (stored(&bench).await, ended)
}

#[tokio::test]
async fn two_tasks_that_believe_they_own_a_partition_store_every_record_once() {
    let expected: Vec<i64> = (0..LOG_END).collect();
    let mut schedules = 0;
    for (keys, values) in SETUPS {
        for flaw in [Flaw::None, Flaw::FailsNowAndThen] {
            let setup = Setup { keys, flaw, values };
            for first in 0.. {
                let mut last = false;
                for second in (0..40).step_by(5) {
                    let (stored, ended) = both(setup, first, second).await;
                    assert_eq!(
                        stored, expected,
                        "{setup:?}, stopped after {first} and {second} polls"
                    );
                    schedules += 1;
                    last = ended;
                }
                if last {
                    break;
                }
            }
        }
    }
    assert!(schedules > 250, "{schedules} schedules");
}

#[tokio::test]
async fn without_intents_such_tasks_store_records_twice() {
    let setup = Setup {
        keys: BY_COUNT_ALONE,
        flaw: Flaw::None,
        values: Values::Alike,
    };
    let mut twice = 0;
    for first in 0..12 {
        for second in (0..40).step_by(3) {
            let (stored, _) = both_or_fail(setup, first, second).await;
            let mut once = stored.clone();
            once.dedup();
            twice += u32::from(once.len() < stored.len());
        }
    }
    assert!(twice > 0);
}

/// As [`both`], but only as far as the second task gets once: without intents it fails where it meets the first one's objects.
async fn both_or_fail(setup: Setup, first: usize, second: usize) -> (Vec<i64>, bool) {
    let (bench, cluster) = (Bench::in_memory(setup.flaw), Cluster::default());
    let mut one = Worker::start(&bench, &cluster, setup).await;
    let mut call_one: Call<'_> = Box::pin(one.deliver(&bench, 20, true));
    let ended = poll(&mut call_one, first).await.is_some();
    let mut two = Worker::start(&bench, &cluster, setup).await;
    let mut call_two: Call<'_> = Box::pin(two.deliver(&bench, 31, true));
    let two_ended = poll(&mut call_two, second).await.is_some();
    if !ended {
        let _ = poll(&mut call_one, 10_000).await.expect("it ends");
    }
    if !two_ended {
        let _ = poll(&mut call_two, 10_000).await.expect("it ends");
    }
    (stored(&bench).await, ended)
}

#[tokio::test]
async fn a_task_killed_at_any_step_is_finished_by_the_next_one_which_is_killed_too() {
    let expected: Vec<i64> = (0..LOG_END).collect();
    for (keys, values) in SETUPS {
        let setup = Setup {
            keys,
            flaw: Flaw::FailsNowAndThen,
            values,
        };
        let (mut finished, mut ended) = (0, false);
        for first in 0.. {
            for second in (0..60).step_by(3) {
                let (bench, cluster) = (Bench::in_memory(setup.flaw), Cluster::default());
                let mut one = Worker::start(&bench, &cluster, setup).await;
                ended = poll(&mut (Box::pin(one.deliver(&bench, 20, true)) as Call<'_>), first)
                    .await
                    .is_some();
                drop(one);
                finished += cluster.counts().1;
                let killed: Call<'_> = Box::pin(async {
                    let mut two = Worker::start(&bench, &cluster, setup).await;
                    two.deliver(&bench, 31, true).await
                });
                let _ = poll(&mut { killed }, second).await;
                let mut three = Worker::start(&bench, &cluster, setup).await;
                three.deliver_all(&bench).await;
                assert_eq!(
                    stored(&bench).await,
                    expected,
                    "{setup:?}, killed after {first} and {second} polls"
                );
                assert_eq!(cluster.counts().1, 0, "nothing is outstanding");
            }
            if ended {
                break;
            }
        }
        assert!(finished > 60, "{finished} intents were outstanding");
    }
}

/// What can be done about an intent that nobody finished.
#[tokio::test]
async fn a_range_that_is_no_longer_whole_fails_the_task_and_says_what_is_gone() {
    let (bench, cluster) = (Bench::in_memory(Flaw::None), Cluster::default());
    let before = cluster.owner();
    before.take_over(&partition());
    let intent = Intent {
        object: "topics/t/partition=0/t+0+0000000003+0000000009.snappy.parquet".into(),
        part: "partition=0".into(),
        start: Offset(3),
        end: Offset(9),
    };
    before
        .intend(&partition(), std::slice::from_ref(&intent), Offset(3))
        .await
        .expect("said");
    let open = async |log_start: i64, log_end: i64| {
        let mut task = bench.connector().task();
        let owner = cluster.owner();
        let context = owning(Some(Arc::clone(&owner)));
        task.start(context.clone(), &properties(&[]))
            .await
            .expect("started");
        owner.take_over(&partition());
        let mut assigned = assigned(Some(3), log_end);
        assigned.log_start_offset = Offset(log_start);
        task.open(&[assigned]).await.map(|()| task)
    };
    let error = open(5, 100).await.err().expect("3 and 4 are gone").to_string();
    for part in [
        "0000000003+0000000009",
        "offsets 3 to 4 of t-0",
        "retention",
        "to 5 or later",
    ] {
        assert!(error.contains(part), "{error}");
    }
    let error = open(0, 9).await.err().expect("it ends before").to_string();
    assert!(error.contains("t-0 ends before offset 9"), "{error}");
    // Of the whole range it is made, whatever the rules of rotation say, and though its last offsets have no record.
    let mut task = open(3, 10).await.expect("it is whole");
    let records = (3..8).map(|offset| (offset, 0, format!("v{offset}").as_str().into()));
    task.put(&batch(records.collect(), 10)).await.expect("taken");
    assert_eq!(bench.names().await, ["t+0+0000000003+0000000009.snappy.parquet"]);
    assert_eq!(cluster.committed(&partition()), Some(Offset(10)));
    assert_eq!(cluster.counts(), (1, 0));
}

/// What a task before has said that it will make of offsets 4 to 7, and a task that has the partition now.
async fn heir(bench: &Bench, cluster: &Cluster, keys: &[(&str, &str)]) -> Box<dyn SinkTask> {
    let before = cluster.owner();
    before.take_over(&partition());
    let intent = Intent {
        object: "topics/t/partition=0/t+0+0000000004+0000000007.snappy.parquet".into(),
        part: "partition=0".into(),
        start: Offset(4),
        end: Offset(7),
    };
    before
        .intend(&partition(), std::slice::from_ref(&intent), Offset(4))
        .await
        .expect("said");
    let (mut task, owner) = (bench.connector().task(), cluster.owner());
    let context = owning(Some(Arc::clone(&owner)));
    task.start(context, &properties(keys)).await.expect("started");
    owner.take_over(&partition());
    task.open(&[assigned(Some(4), LOG_END)]).await.expect("opened");
    task
}

/// The task before knew from files before that version 2 holds, and wrote all of these with it; the next one does not.
#[tokio::test]
async fn an_object_of_several_versions_is_made_again_as_a_whole() {
    for compatibility in ["NONE", "BACKWARD", "FORWARD"] {
        let (bench, cluster) = (Bench::in_memory(Flaw::None), Cluster::default());
        let keys = [("schema.compatibility", compatibility), ("flush.size", "4")];
        let mut task = heir(&bench, &cluster, &keys).await;
        let mut records = batch((4..12).map(|offset| (offset, 0, Value::Null)).collect(), 12);
        let SinkRecords::Converted(converted) = &mut records.records else {
            unreachable!("made of converted ones")
        };
        for record in converted {
            let text = format!("v{}", record.offset);
            record.value = match record.offset.value() {
                4 | 6 => versioned(1, &[("value", &text)]),
                _ => versioned(2, &[("value", &text), ("new", "n")]),
            };
        }
        task.put(&records).await.expect("taken");
        let names = [
            "t+0+0000000004+0000000007.snappy.parquet",
            "t+0+0000000008+0000000011.snappy.parquet",
        ];
        assert_eq!(bench.names().await, names, "{compatibility}");
        for (content, first) in read_objects(&*bench.objects).await.into_iter().zip([4, 8]) {
            let expected: Vec<String> = (first..first + 4).map(|offset| format!("v{offset}")).collect();
            assert_eq!(values(&[content].into()), expected, "{compatibility}");
        }
        assert_eq!(cluster.committed(&partition()), Some(Offset(12)));
    }
}

/// What is promised takes its memory until its range is there, and nothing that is due helps.
#[tokio::test]
async fn what_cannot_be_closed_yet_is_not_due() {
    let (bench, cluster) = (Bench::in_memory(Flaw::None), Cluster::default());
    let keys = [
        ("worker.max.buffer.bytes", "1048576"),
        ("rotate.schedule.interval.ms", "600000"),
    ];
    let mut task = heir(&bench, &cluster, &keys).await;
    let long = |offset: i64| {
        // Nothing that a codec makes smaller.
        let words = (0..1 << 16_u32).scan(offset, |state, _| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            Some(format!("{state:016x}"))
        });
        (offset, 0, words.collect::<String>().as_str().into())
    };
    task.put(&batch((4..7).map(long).collect(), 7))
        .await
        .expect("taken");
    assert_eq!((task.deadline(), bench.names().await.len()), (None, 0));
    task.put(&batch((7..8).map(long).collect(), 8))
        .await
        .expect("taken");
    assert_eq!((task.deadline(), bench.names().await.len()), (None, 1));
}
