//! Exactly-once sources (KIP-618): killed in flight, taken for dead, and fenced through the leader of the workers.
//! `FOREBAY_TEST_BREAK=transaction` runs sources without transactions: the tests of kills and of stopped workers must then fail.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::workers::{SESSION, TAKE_OVER, Worker, source, start_broker, until_all_run};
use super::{STRING, call, create, until_states};
use crate::crash::Chance;
use crate::librdkafka::{Deliveries, create_topic, producer, read_all, watermarks};
use crate::process::{Hub, PATIENCE, eventually, within};

const KILLS: usize = 5;
const PARTITIONS: i32 = 2;

/// How long a hub may live after its sources have sent something.
const LIFE_MAX: Duration = Duration::from_millis(300);

pub(super) const SUPPORT: &str = "exactly.once.source.support";

pub(super) fn is_broken() -> bool {
    std::env::var("FOREBAY_TEST_BREAK").as_deref() == Ok("transaction")
}

/// Files that grow until they are finished.
pub(super) struct Growing {
    stop: Arc<AtomicBool>,
    writer: Option<JoinHandle<Vec<String>>>,
}

impl Growing {
    pub(super) fn start(paths: &[PathBuf]) -> Self {
        let mut files: Vec<(String, File)> = paths
            .iter()
            .map(|path| {
                let name = path.file_name().expect("a file").to_string_lossy().into_owned();
                (name, File::create(path).expect("the directory is ours"))
            })
            .collect();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let writer = std::thread::spawn(move || {
            let mut lines = Vec::new();
            while !stopped.load(Ordering::Acquire) {
                for (name, file) in &mut files {
                    let line = format!("{name} {}", lines.len());
                    writeln!(file, "{line}").expect("it can be written");
                    lines.push(line);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            lines
        });
        Self {
            stop,
            writer: Some(writer),
        }
    }

    /// The lines, of which no two are the same.
    pub(super) fn finish(&mut self) -> BTreeSet<String> {
        self.stop.store(true, Ordering::Release);
        let lines = self.writer.take().expect("it is finished once").join();
        lines.expect("the writer does not fail").into_iter().collect()
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// What whoever reads committed records finds.
fn values(hub: &Hub, (topic, partitions): (&str, i32)) -> Vec<String> {
    let records = read_all(&hub.bootstrap(), topic, partitions);
    records.iter().map(|record| record.text().to_owned()).collect()
}

/// How many offsets a topic has; one that grows cannot be read to its end.
fn length(hub: &Hub, topic: &str, partitions: i32) -> i64 {
    let end = |partition| watermarks(&hub.bootstrap(), topic, partition).1;
    (0..partitions).map(end).sum()
}

pub(super) fn until_longer(hub: &Hub, topic: &str, partitions: i32, than: i64) -> i64 {
    eventually(&format!("more than {than} offsets in {topic}"), || {
        Some(length(hub, topic, partitions)).filter(|length| *length > than)
    })
}

pub(super) fn until_all_are_there(hub: &Hub, topic: (&str, i32), lines: &BTreeSet<String>) {
    eventually(&format!("{} lines in {}", lines.len(), topic.0), || {
        let found: BTreeSet<String> = values(hub, topic).into_iter().collect();
        lines.is_subset(&found).then_some(())
    });
}

fn directory_source(path: &Path, topic: &str) -> Value {
    json!({
        "connector.class": "DirectorySource",
        "tasks.max": "2",
        "input.path": path,
        "topic": topic,
        "fs.listing.interval.ms": "100",
        "key.converter": STRING,
        "value.converter": STRING,
    })
}

/// The lines of a topic's files, and what came of them.
struct Outcome {
    topic: &'static str,
    lines: BTreeSet<String>,
    found: Vec<String>,
}

impl Outcome {
    /// How many came twice; panics if one did not come.
    fn repeated(&self) -> usize {
        let found: BTreeSet<String> = self.found.iter().cloned().collect();
        assert_eq!(found, self.lines, "{}: the lines that came", self.topic);
        self.found.len() - found.len()
    }
}

/// Both file sources at work in a hub that is killed again and again.
fn run(overrides: &[&str]) -> Vec<Outcome> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut hub = Hub::start(directory.path(), "broker,connect", overrides);
    let (file, folder) = (directory.path().join("in.txt"), directory.path().join("in"));
    fs::create_dir(&folder).expect("the directory is ours");
    let logs: Vec<PathBuf> = (0..4).map(|log| folder.join(format!("{log}.log"))).collect();
    let mut growing = [
        ("file", Growing::start(std::slice::from_ref(&file))),
        ("directory", Growing::start(&logs)),
    ];
    for (topic, _) in &growing {
        create_topic(&hub.bootstrap(), topic, PARTITIONS);
    }
    create(&hub, "file", &source(&file, "file"));
    create(&hub, "directory", &directory_source(&folder, "directory"));
    let mut chance = Chance(u64::from(std::process::id()));
    let mut seen = [0; 2];
    for _ in 0..KILLS {
        for ((topic, _), seen) in growing.iter().zip(&mut seen) {
            *seen = until_longer(&hub, topic, PARTITIONS, *seen);
        }
        // A random moment; nothing waits for it.
        std::thread::sleep(Duration::from_millis(chance.below(LIFE_MAX.as_millis() as u64)));
        hub.process().kill();
        hub.restart();
    }
    let outcome = growing.iter_mut().map(|(topic, growing)| {
        let lines = growing.finish();
        until_all_are_there(&hub, (topic, PARTITIONS), &lines);
        // Nothing comes behind the end of its tasks.
        let stopped = call(&hub, "PUT", &format!("/connectors/{topic}/stop"), None);
        assert_eq!(stopped.status, 204, "{stopped:?}");
        until_states(&hub, topic, "STOPPED: ");
        let found = values(&hub, (topic, PARTITIONS));
        Outcome { topic, lines, found }
    });
    outcome.collect()
}

#[test]
fn sources_that_are_killed_in_flight_lose_and_repeat_no_line() {
    let broken = format!("connect.{SUPPORT}=disabled");
    // Unless it is said otherwise, the hub's sources have transactions.
    let overrides = is_broken().then_some(&*broken);
    for outcome in run(overrides.as_slice()) {
        assert_eq!(outcome.repeated(), 0, "lines of {} came twice", outcome.topic);
    }
}

/// If this finds nothing, the test above proves nothing.
#[test]
fn without_transactions_they_repeat_lines() {
    for outcome in run(&[&format!("connect.{SUPPORT}=disabled")]) {
        assert!(outcome.repeated() > 0, "no line of {} came twice", outcome.topic);
    }
}

fn start_workers(directory: &Path, hub: &Hub) -> [Worker; 2] {
    let support = if is_broken() { "disabled" } else { "enabled" };
    ["a", "b"].map(|name| Worker::start_with(directory, hub, name, &format!("{SUPPORT}={support}\n")))
}

#[test]
fn a_stopped_worker_that_goes_on_repeats_no_line() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = start_broker(directory.path());
    let [a, b] = start_workers(directory.path(), &hub);
    let names = ["s0", "s1"];
    let mut growing = names.map(|name| {
        create_topic(&hub.bootstrap(), name, PARTITIONS);
        let file = directory.path().join(name);
        let growing = Growing::start(std::slice::from_ref(&file));
        a.create(name, &source(&file, name));
        growing
    });
    let all = names.map(str::to_owned);
    until_all_run(&a, &all, &[&a, &b]);
    for name in names {
        until_longer(&hub, name, PARTITIONS, 0);
    }
    b.signal(Signal::STOP);
    within(SESSION + TAKE_OVER, "a has everything", || {
        let running = a.running(&all);
        let is_all = running.len() == 2 * all.len() && running.values().all(|owner| *owner == a.id());
        is_all.then_some(())
    });
    for name in names {
        until_longer(&hub, name, PARTITIONS, length(&hub, name, PARTITIONS));
    }
    b.signal(Signal::CONT);
    until_all_run(&a, &all, &[&a, &b]);
    for (name, growing) in names.into_iter().zip(&mut growing) {
        let lines = growing.finish();
        until_all_are_there(&hub, (name, PARTITIONS), &lines);
        let stopped = a.call("PUT", &format!("/connectors/{name}/stop"), None);
        assert_eq!(stopped.status, 204, "{stopped:?}");
        eventually("it has stopped", || {
            a.running(&all[..])
                .keys()
                .all(|it| !it.starts_with(name))
                .then_some(())
        });
        let found = values(&hub, (name, PARTITIONS));
        let outcome = Outcome {
            topic: name,
            lines,
            found,
        };
        assert_eq!(outcome.repeated(), 0, "lines of {name} came twice");
    }
}

/// The task counts that were recorded for a connector; each stands behind the commit of the tasks that it is about.
fn recorded_counts(hub: &Hub, name: &str) -> Vec<i64> {
    let (commit, fencing) = (format!("commit-{name}"), format!("tasks-fencing-{name}"));
    let mut counts = Vec::new();
    let mut committed = None;
    for record in read_all(&hub.bootstrap(), "connect-configs", 1) {
        let key = record.key.as_deref().unwrap_or_default();
        let number = |field: &str| {
            let value: Value = serde_json::from_str(record.text()).expect("JSON");
            value[field].as_i64().expect("a number")
        };
        if key == commit.as_bytes() {
            committed = Some(number("tasks"));
        } else if key == fencing.as_bytes() {
            counts.push(number("task-count"));
            assert_eq!(
                committed.take(),
                counts.last().copied(),
                "{name}: the tasks before it"
            );
        }
    }
    counts
}

/// What a task of before has left behind: a producer with its transactional id and an open transaction.
fn zombie(hub: &Hub, id: &str) -> ThreadedProducer<Deliveries> {
    let (producer, deliveries) = producer(&hub.bootstrap(), &[("transactional.id", id)]);
    producer
        .init_transactions(PATIENCE)
        .expect("the producer has its id");
    producer.begin_transaction().expect("begun");
    let record = BaseRecord::<str, str, _>::with_opaque_to("zombies", Box::new(0)).payload(id);
    producer
        .send(record)
        .map_err(|(error, _)| error)
        .expect("room in the queue");
    eventually("the zombie's record is in the log", || {
        deliveries.look(|it| (it.acknowledged.len() == 1).then_some(()))
    });
    producer
}

#[test]
fn what_was_before_a_new_set_of_tasks_is_fenced_through_the_leader() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = start_broker(directory.path());
    let workers = ["a", "b"]
        .map(|name| Worker::start_with(directory.path(), &hub, name, &format!("{SUPPORT}=enabled\n")));
    let [a, b] = &workers;
    create_topic(&hub.bootstrap(), "zombies", 1);
    let names: Vec<String> = (0..4).map(|number| format!("c{number}")).collect();
    let config = |name: &str, tasks: usize| {
        json!({
            "connector.class": "DatagenSource",
            "tasks.max": tasks.to_string(),
            "kafka.topic": name,
            "quickstart": "users",
            "max.interval": "20",
            "key.converter": STRING,
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        })
    };
    for (number, name) in names.iter().enumerate() {
        create_topic(&hub.bootstrap(), name, PARTITIONS);
        workers[number % 2].create(name, &config(name, 3));
    }
    // One of them is not the leader, and asks it.
    let owners = eventually("all tasks run, by both", || {
        let running = a.running(&names);
        let firsts: Vec<String> = names.iter().map(|name| format!("{name}-0")).collect();
        let owners: BTreeSet<String> = firsts.iter().filter_map(|it| running.get(it).cloned()).collect();
        (running.len() == 4 * names.len() && owners.len() == 2).then_some(owners)
    });
    assert_eq!(owners, [a.id(), b.id()].into());
    for worker in &workers {
        let unsigned = worker.call("PUT", "/connectors/c0/fence", None);
        assert_eq!(unsigned.status, 400, "{unsigned:?}");
    }
    let zombies: Vec<_> = names
        .iter()
        .map(|name| {
            assert_eq!(recorded_counts(&hub, name), [3], "{name}");
            zombie(&hub, &format!("workers-{name}-2"))
        })
        .collect();
    for (number, name) in names.iter().enumerate() {
        let put = workers[number % 2].call(
            "PUT",
            &format!("/connectors/{name}/config"),
            Some(&config(name, 1)),
        );
        assert_eq!(put.status, 200, "{put:?}");
    }
    for (name, zombie) in names.iter().zip(zombies) {
        eventually("the single task runs", || {
            let counts = recorded_counts(&hub, name);
            (counts == [3, 1] && a.running(&names).contains_key(&format!("{name}-0"))).then_some(())
        });
        let committed = zombie.commit_transaction(PATIENCE);
        assert!(committed.is_err(), "{name}: the task of before has committed");
    }
    assert_eq!(read_all(&hub.bootstrap(), "zombies", 1), []);
    for name in &names {
        until_longer(&hub, name, PARTITIONS, length(&hub, name, PARTITIONS));
    }
}
