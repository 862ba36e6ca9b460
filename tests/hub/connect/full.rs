//! A broker whose disk is full (faults.md C10 and C17), under workers in processes of their own: tasks wait, their statuses say for what,
//! nothing is committed that is not kept, and all goes on by itself when there is room. The broker runs in this process, on a disk
//! that fails as a full one does.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use forebay_broker_server::{Broker, BrokerConfig, Options};
use forebay_config::Properties;
use forebay_disk::{FaultyDisk, RealDisk};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::workers::{Worker, append, source};
use super::{STRING, numbered};
use crate::librdkafka::{create_topic, produce_values, read_all};
use crate::process::eventually;

/// As long as a test may be held up while one of its workers is stopped.
const PATIENT: &str = "session.timeout.ms=60000\n";

/// What the broker says of records whose transaction finds no room, as Kafka's does.
const UNVERIFIED: &str = "Unable to verify the partition has been added to the transaction";

/// A broker in this process.
struct Fillable {
    disk: FaultyDisk,
    directory: PathBuf,
    bootstrap: String,
    runtime: Option<Runtime>,
}

impl Fillable {
    fn start(directory: &Path) -> Self {
        let directory = directory.join("broker");
        let properties: Properties = [
            ("listeners", "PLAINTEXT://127.0.0.1:0".to_owned()),
            ("log.dirs", directory.display().to_string()),
            ("group.initial.rebalance.delay.ms", "0".to_owned()),
            ("group.min.session.timeout.ms", "1000".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        let config = BrokerConfig::parse(&properties).expect("the test's keys");
        let disk = FaultyDisk::new(Arc::new(RealDisk));
        let runtime = Runtime::new().expect("a runtime");
        let options = Options {
            disk: Arc::new(disk.clone()),
            ..Options::new(config)
        };
        let broker = runtime.block_on(Broker::start(options)).expect("it starts");
        let bootstrap = broker.handle().listeners()[0].addresses[0].to_string();
        // It ends with the test, not before.
        runtime.spawn(broker.run(std::future::pending()));
        Self {
            disk,
            directory,
            bootstrap,
            runtime: Some(runtime),
        }
    }

    /// There is no room any more.
    fn fill(&self) {
        self.disk.fill(&self.directory);
    }

    /// There is no room any more for a partition.
    fn fill_partition(&self, folder: &str) {
        self.disk.fill(&self.directory.join(folder));
    }

    /// There is room again.
    fn make_room(&self) {
        self.disk.clear();
    }

    /// What is committed in the only partition of a topic.
    fn values(&self, topic: &str) -> Vec<String> {
        let records = read_all(&self.bootstrap, topic, 1);
        records.iter().map(|record| record.text().to_owned()).collect()
    }

    fn until_values(&self, topic: &str, values: &[String]) {
        eventually(&format!("{} values in {topic}", values.len()), || {
            (self.values(topic).len() >= values.len()).then_some(())
        });
        assert_eq!(self.values(topic), values);
    }
}

impl Drop for Fillable {
    fn drop(&mut self) {
        // Clean shutdown or not: its files go with the test.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The state of a connector's only task, and what its status says beside that.
fn status(worker: &Worker, name: &str) -> (String, String) {
    let status = worker.call("GET", &format!("/connectors/{name}/tasks/0/status"), None);
    if status.status == 404 {
        return Default::default();
    }
    let status = status.json();
    let text = |key: &str| status[key].as_str().unwrap_or_default().to_owned();
    (text("state"), text("trace"))
}

/// Waits until the task runs and its status says all of this, or with nothing to say that it makes progress.
fn until_says(worker: &Worker, name: &str, parts: &[&str]) {
    let mut last = Default::default();
    let said = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually("the status says so", || {
            last = status(worker, name);
            let says = match parts {
                [] => last.1.is_empty(),
                parts => {
                    last.1.starts_with("No progress: ") && parts.iter().all(|part| last.1.contains(part))
                }
            };
            (last.0 == "RUNNING" && says).then_some(())
        });
    }));
    assert!(said.is_ok(), "{name} does not say {parts:?} but {last:?}");
}

/// The committed offset of a sink's only partition.
fn committed(worker: &Worker, name: &str) -> u64 {
    let offsets = worker
        .call("GET", &format!("/connectors/{name}/offsets"), None)
        .json();
    offsets["offsets"][0]["offset"]["kafka_offset"]
        .as_u64()
        .unwrap_or_default()
}

fn until_committed(worker: &Worker, name: &str, offset: u64) {
    eventually(&format!("offset {offset} is committed"), || {
        (committed(worker, name) == offset).then_some(())
    });
}

/// A file grows while the disk is full, once with a worker that is killed meanwhile.
/// `why` is a part of what the cluster says meanwhile.
fn a_source_waits(support: &str, is_killed: bool, why: &str) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let broker = Fillable::start(directory.path());
    let more = format!("exactly.once.source.support={support}\n");
    let start = |name: &str| Worker::start_at(directory.path(), &broker.bootstrap, name, &more);
    let mut worker = start("worker");
    create_topic(&broker.bootstrap, "lines", 1);
    let (file, all) = (directory.path().join("in"), numbered("line", 0..30));
    append(&file, &all[..10]);
    worker.create("source", &source(&file, "lines"));
    broker.until_values("lines", &all[..10]);
    broker.fill();
    append(&file, &all[10..20]);
    until_says(&worker, "source", &["cannot produce to ", why]);
    assert_eq!(
        broker.values("lines"),
        all[..10],
        "nothing is there that was not acknowledged"
    );
    if is_killed {
        worker.process().kill();
    }
    broker.make_room();
    if is_killed {
        worker = start("another");
    }
    append(&file, &all[20..]);
    broker.until_values("lines", &all);
    until_says(&worker, "source", &[]);
}

#[test]
fn a_source_waits_for_room() {
    a_source_waits("disabled", false, "Disk error");
}

#[test]
fn a_source_with_transactions_waits_for_room() {
    a_source_waits("enabled", false, UNVERIFIED);
}

#[test]
fn a_source_with_transactions_that_is_killed_while_it_waits_repeats_nothing() {
    a_source_waits("enabled", true, UNVERIFIED);
}

fn sink(topic: &str, file: &Path, more: &[(&str, &str)]) -> Value {
    let mut config = json!({
        "connector.class": "FileStreamSink",
        "topics": topic,
        "file": file,
        "key.converter": STRING,
        "value.converter": STRING,
    });
    for (key, value) in more {
        config[*key] = json!(value);
    }
    config
}

fn stored(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_sink_whose_offsets_find_no_room_waits_and_says_so() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let broker = Fillable::start(directory.path());
    let worker = Worker::start_at(directory.path(), &broker.bootstrap, "worker", PATIENT);
    create_topic(&broker.bootstrap, "t", 1);
    let (file, all) = (directory.path().join("out"), numbered("value", 0..30));
    let produce = |range: std::ops::Range<usize>| {
        produce_values(&broker.bootstrap, "t", Some(0), &all[range], &[]);
    };
    produce(0..10);
    worker.create("sink", &sink("t", &file, &[]));
    until_committed(&worker, "sink", 10);
    // What comes now is read when there is no room for its offsets any more.
    worker.signal(Signal::STOP);
    produce(10..20);
    broker.fill();
    worker.signal(Signal::CONT);
    until_says(&worker, "sink", &["offsets cannot be committed"]);
    assert_eq!(committed(&worker, "sink"), 10);
    assert_eq!(stored(&file), all[..20]);
    broker.make_room();
    produce(20..30);
    until_committed(&worker, "sink", 30);
    until_says(&worker, "sink", &[]);
    assert_eq!(stored(&file), all, "each value once");
}

#[test]
fn a_queue_without_room_holds_its_sink_until_there_is_some() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let broker = Fillable::start(directory.path());
    let worker = Worker::start_at(directory.path(), &broker.bootstrap, "worker", "");
    create_topic(&broker.bootstrap, "t", 1);
    let file = directory.path().join("out");
    let tolerant = [
        ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
        ("value.converter.schemas.enable", "false"),
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "dead"),
    ];
    // Each third one is no JSON.
    let values: Vec<String> = (0..30)
        .map(|number| match number % 3 {
            2 => format!("{{ {number}"),
            _ => number.to_string(),
        })
        .collect();
    let (bad, good): (Vec<String>, Vec<String>) =
        values.iter().cloned().partition(|value| value.contains('{'));
    worker.create("sink", &sink("t", &file, &tolerant));
    let produce = |range: std::ops::Range<usize>| {
        produce_values(&broker.bootstrap, "t", Some(0), &values[range], &[]);
    };
    produce(0..12);
    until_committed(&worker, "sink", 12);
    broker.fill_partition("dead-0");
    produce(12..24);
    until_says(
        &worker,
        "sink",
        &["the dead letter queue dead takes no letters", "Disk error"],
    );
    // The first that has no place is at 14. Offsets can be committed, as others are meanwhile.
    assert!(committed(&worker, "sink") <= 14, "what is nowhere is not passed");
    assert_eq!(broker.values("dead"), bad[..4]);
    broker.make_room();
    produce(24..30);
    until_committed(&worker, "sink", 30);
    until_says(&worker, "sink", &[]);
    assert_eq!(broker.values("dead"), bad);
    assert_eq!(stored(&file), good);
}
