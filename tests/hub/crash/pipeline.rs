//! The two processes: the hub with its connectors, and the word count; and what can be seen of them from outside.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::check::{Outcome, Stored, file_names, rows};
use super::input::Input;
use super::store::Store;
use crate::librdkafka::{create_topic, read_all, watermarks};
use crate::process::{Hub, Process};
use crate::rest::send;

/// The topic of the lines, and that of their counts.
pub(crate) const LINES: &str = "lines";
pub(crate) const COUNTS: &str = "counts";
const PARTITIONS: i32 = 3;

/// Where the word count begins.
const EARLIEST: &str = "earliest";

/// How long nothing may move before the run is over.
const STANDSTILL: Duration = Duration::from_secs(6);

/// What a kill interrupted: lines not yet in the topic, records not yet in a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InFlight {
    unread: i64,
    unstored: i64,
}

impl InFlight {
    pub(crate) fn is_any(self) -> bool {
        self.unread > 0 || self.unstored > 0
    }
}

impl fmt::Display for InFlight {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unread, unstored } = self;
        write!(
            formatter,
            "{unread} lines not in the topic yet, {unstored} records not stored yet"
        )
    }
}

/// Everything that runs.
#[derive(Debug)]
pub(crate) struct Pipeline {
    directory: PathBuf,
    input: Input,
    hub: Hub,
    counting: Process,
    store: Store,
    starting_offsets: &'static str,
}

impl Pipeline {
    /// Hub, topics, connectors and word count, on an input that grows.
    pub(super) fn start(directory: &Path, store: Store, seed: u64, has_transactions: bool) -> Self {
        let input = Input::start(&directory.join("input.txt"), seed);
        let mut overrides = vec!["connect.offset.flush.interval.ms=300"];
        if !has_transactions {
            overrides.push("connect.exactly.once.source.support=disabled");
        }
        let hub = Hub::start(directory, "broker,connect", &overrides);
        create_topic(&hub.bootstrap(), LINES, PARTITIONS);
        create_topic(&hub.bootstrap(), COUNTS, 1);
        create_connector(&hub, "source", &source(input.path()));
        create_connector(&hub, "sink", &sink(&store));
        let counting = start_counting(directory, &hub, EARLIEST);
        Self {
            directory: directory.to_owned(),
            input,
            hub,
            counting,
            store,
            starting_offsets: EARLIEST,
        }
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The folder of the word count's checkpoint.
    pub(crate) fn checkpoint(&self) -> PathBuf {
        checkpoint(&self.directory)
    }

    /// The folder of the Parquet files.
    pub(crate) fn stored_folder(&self) -> PathBuf {
        self.store.directory().join("topics").join(LINES)
    }

    /// SIGKILL; tells what it interrupted.
    pub(crate) fn kill_hub(&mut self) -> InFlight {
        let produced = self.produced();
        let lines = self.input.count() as i64;
        self.hub.process().kill();
        let stored: i64 = file_names(&self.stored_folder(), LINES)
            .iter()
            .map(|(path, _)| rows(path).len() as i64)
            .sum();
        InFlight {
            unread: (lines - produced).max(0),
            unstored: (produced - stored).max(0),
        }
    }

    pub(crate) fn restart_hub(&mut self) {
        self.hub.restart();
    }

    pub(crate) fn kill_counting(&mut self) {
        self.counting.kill();
    }

    pub(crate) fn restart_counting(&mut self) {
        self.counting.kill();
        self.counting = start_counting(&self.directory, &self.hub, self.starting_offsets);
    }

    /// Where a word count without a checkpoint begins.
    pub(crate) fn count_from(&mut self, starting_offsets: &'static str) {
        self.starting_offsets = starting_offsets;
    }

    /// Lets everything run to its end, and looks at it.
    pub(crate) fn finish(mut self) -> Outcome {
        let lines = self.input.finish();
        let mut last = ((0, 0, 0), Instant::now());
        loop {
            let mut outcome = self.look();
            outcome.input.clone_from(&lines);
            if outcome.wrong().is_empty() {
                return outcome;
            }
            if outcome.progress() != last.0 {
                last = (outcome.progress(), Instant::now());
            } else if last.1.elapsed() > STANDSTILL {
                outcome.complaints.extend(self.complaints());
                return outcome;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// How many records the topic holds; its offsets have places for the ends of transactions, too.
    fn produced(&self) -> i64 {
        read_all(&self.hub.bootstrap(), LINES, PARTITIONS).len() as i64
    }

    fn look(&self) -> Outcome {
        let bootstrap = self.hub.bootstrap();
        let files = file_names(&self.stored_folder(), LINES)
            .into_iter()
            .map(|(path, (partition, start, end))| Stored {
                partition,
                start,
                end,
                rows: rows(&path),
            })
            .collect();
        let counts: BTreeMap<String, i64> = read_all(&bootstrap, COUNTS, 1)
            .into_iter()
            .map(|record| {
                let count = record.text().parse().expect("a count");
                let word = String::from_utf8(record.key.expect("a word")).expect("UTF-8");
                (word, count)
            })
            .collect();
        let topic = read_all(&bootstrap, LINES, PARTITIONS)
            .into_iter()
            .map(|record| ((record.partition, record.offset), record.text().to_owned()))
            .collect();
        let ends = (0..PARTITIONS)
            .map(|partition| (partition, watermarks(&bootstrap, LINES, partition).1))
            .collect();
        Outcome {
            topic,
            ends,
            files,
            counts,
            ..Outcome::default()
        }
    }

    /// What has failed, and why.
    fn complaints(&mut self) -> Vec<String> {
        let mut complaints = Vec::new();
        for name in ["source", "sink"] {
            let path = format!("/connectors/{name}/status");
            let status = send(&self.hub, ("GET", "connect", &path), &[], None).text;
            if !status.contains("RUNNING") || status.contains("FAILED") {
                complaints.push(format!("{name}: {status}"));
            }
        }
        let state = if self.counting.is_running() {
            "runs"
        } else {
            "has ended"
        };
        complaints.push(format!(
            "the word count {state}; its last plan: {}\n{}",
            last_plan(&self.checkpoint()),
            self.counting.said()
        ));
        complaints
    }
}

fn checkpoint(directory: &Path) -> PathBuf {
    directory.join("checkpoint")
}

/// The newest plan in a checkpoint: which offsets its epoch reads.
fn last_plan(checkpoint: &Path) -> String {
    let newest = std::fs::read_dir(checkpoint.join("offsets"))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u64>().ok())
        .max();
    let Some(epoch) = newest else {
        return "none".to_owned();
    };
    let plan = std::fs::read_to_string(checkpoint.join("offsets").join(epoch.to_string()));
    format!("{epoch}: {}", plan.unwrap_or_default())
}

/// `forebay streams wordcount`, in a process of its own.
fn start_counting(directory: &Path, hub: &Hub, starting_offsets: &str) -> Process {
    let bootstrap = hub.bootstrap();
    let checkpoint = checkpoint(directory).display().to_string();
    let arguments = [
        "streams",
        "wordcount",
        "--topic",
        LINES,
        "--bootstrap-server",
        &bootstrap,
        "--trigger",
        "200ms",
        "--checkpoint-location",
        &checkpoint,
        "--output-topic",
        COUNTS,
        "--starting-offsets",
        starting_offsets,
    ];
    Process::start(&arguments.map(str::to_owned), &directory.join("stderr-wordcount"))
}

fn create_connector(hub: &Hub, name: &str, config: &Value) {
    let body = json!({ "name": name, "config": config }).to_string();
    let headers = [("content-type", "application/json")];
    let answer = send(hub, ("POST", "connect", "/connectors"), &headers, Some(&body));
    assert_eq!(answer.status, 201, "{answer:?}");
}

fn source(input: &Path) -> Value {
    json!({
        "connector.class": "FileStreamSource",
        "tasks.max": "1",
        "file": input,
        "topic": LINES,
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    })
}

fn sink(store: &Store) -> Value {
    let mut config = json!({
        "connector.class": "io.confluent.connect.s3.S3SinkConnector",
        "tasks.max": "2",
        "topics": LINES,
        "format.class": "io.confluent.connect.s3.format.parquet.ParquetFormat",
        "flush.size": "300",
        "rotate.schedule.interval.ms": "500",
        "timezone": "UTC",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    });
    let keys = store.keys();
    let keys = keys.as_object().expect("an object").clone();
    config.as_object_mut().expect("an object").extend(keys);
    config
}
