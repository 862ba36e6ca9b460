//! A broker that goes away under a Connect worker in a process of its own: tasks wait, say so once, and go on by themselves.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::workers::{append, source};
use super::{create, parquet_sink, stored_rows, until_states};
use crate::librdkafka::{create_topic, produce_values, read_all, watermarks};
use crate::process::{Hub, eventually};

/// How long the broker is away: several requests of the impatient clients below, and longer than a member of their group may be
/// silent. `FOREBAY_TEST_AWAY_SECONDS` makes it another time, and the clients what they are by default.
const AWAY: Duration = Duration::from_secs(8);

/// Clients that lose their patience sooner than they do by default, so that the test need not wait for a minute.
const IMPATIENT: [&str; 6] = [
    // The worker itself has to be patient: when its own session ends, its tasks begin anew, and may report a record again.
    "connect.session.timeout.ms=60000",
    "connect.request.timeout.ms=1000",
    "connect.default.api.timeout.ms=2000",
    "connect.consumer.session.timeout.ms=6000",
    "connect.consumer.heartbeat.interval.ms=500",
    "connect.offset.flush.interval.ms=300",
];

/// Lines in standard error that one outage may cost: each client and each store of the worker says it once, and that it is over.
const LINES_MAX: usize = 20;

/// How the broker goes away.
#[derive(Debug, Clone, Copy)]
enum How {
    /// SIGSTOP, later SIGCONT: connections stay, nobody answers.
    Stop,
    /// SIGKILL, later a new process: connections break, nobody listens.
    Kill,
}

fn signal(broker: &mut Hub, signal: Signal) {
    let id = i32::try_from(broker.process().id()).expect("a process id");
    kill_process(Pid::from_raw(id).expect("a process id"), signal).expect("it is there");
}

/// Values of which every tenth is no JSON.
fn values(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers
        .map(|number| match number % 10 {
            7 => format!("{{ bad {number}"),
            _ => format!("\"good {number}\""),
        })
        .collect()
}

fn sink(store: &Path) -> Value {
    let mut config = parquet_sink("t", store);
    for (key, value) in [
        ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
        ("value.converter.schemas.enable", "false"),
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "dead"),
        ("errors.deadletterqueue.context.headers.enable", "true"),
        // Files stay open for a while, so that offsets behind what is in the queue are not committed yet.
        ("rotate.schedule.interval.ms", "2000"),
    ] {
        config[key] = json!(value);
    }
    config
}

/// Every good record is stored once and in order, every bad one is in the queue once.
fn check(broker: &Hub, store: &Path, sent: &[String]) {
    let (bad, good): (Vec<&String>, Vec<&String>) = sent.iter().partition(|value| value.contains("bad"));
    let good: Vec<&str> = good.iter().map(|value| value.trim_matches('"')).collect();
    let rows = eventually(&format!("{} rows are stored", good.len()), || {
        let rows = stored_rows(store, "t");
        (rows.len() >= good.len()).then_some(rows)
    });
    assert_eq!(rows, good);
    eventually("the queue has every bad record", || {
        let queued = read_all(&broker.bootstrap(), "dead", 1).len();
        (queued >= bad.len()).then_some(())
    });
    let mut queued: BTreeMap<String, usize> = BTreeMap::new();
    for record in read_all(&broker.bootstrap(), "dead", 1) {
        *queued.entry(record.text().to_owned()).or_default() += 1;
    }
    let wanted: BTreeMap<String, usize> = bad.into_iter().map(|value| (value.clone(), 1)).collect();
    assert_eq!(queued, wanted);
}

/// The time that was asked for.
fn asked() -> Option<Duration> {
    let seconds = std::env::var("FOREBAY_TEST_AWAY_SECONDS").ok()?;
    Some(Duration::from_secs(seconds.parse().expect("seconds")))
}

/// A broker, and a worker in a process of its own.
fn start(directory: &Path) -> (Hub, Hub) {
    let folder = |name: &str| {
        let folder = directory.join(name);
        std::fs::create_dir(&folder).expect("a folder");
        folder
    };
    let broker = Hub::start(&folder("broker"), "broker", &[]);
    let servers = format!("connect.bootstrap.servers={}", broker.bootstrap());
    let impatient = IMPATIENT.into_iter().filter(|_| asked().is_none());
    let overrides: Vec<&str> = impatient.chain([servers.as_str()]).collect();
    let worker = Hub::start(&folder("worker"), "connect", &overrides);
    (broker, worker)
}

/// The broker goes away for a while.
fn go_away(broker: &mut Hub, how: How, meanwhile: impl FnOnce()) {
    let gone = Instant::now();
    match how {
        How::Stop => signal(broker, Signal::STOP),
        How::Kill => broker.process().kill(),
    }
    meanwhile();
    // This is what happens: time passes.
    std::thread::sleep(asked().unwrap_or(AWAY).saturating_sub(gone.elapsed()));
    match how {
        How::Stop => signal(broker, Signal::CONT),
        How::Kill => broker.restart(),
    }
}

fn live_through(how: How) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (mut broker, worker) = start(directory.path());
    create_topic(&broker.bootstrap(), "t", 1);
    let store = directory.path().join("store");
    create(&worker, "sink", &sink(&store));
    until_states(&worker, "sink", "RUNNING: RUNNING");
    let sent = values(0..300);
    let produce = |broker: &Hub, some: &[String]| {
        produce_values(&broker.bootstrap(), "t", Some(0), some, &[]);
    };
    produce(&broker, &sent[..100]);
    // The bad ones are in the queue, the good ones in an open file.
    eventually("the queue has the first ones", || {
        (read_all(&broker.bootstrap(), "dead", 1).len() == 10).then_some(())
    });
    produce(&broker, &sent[100..200]);
    let said = || std::fs::read_to_string(directory.path().join("worker/stderr")).unwrap_or_default();
    let before = said().lines().count();
    go_away(&mut broker, how, || {});
    produce(&broker, &sent[200..]);
    check(&broker, &store, &sent);
    until_states(&worker, "sink", "RUNNING: RUNNING");
    let said = said();
    let lines: Vec<&str> = said.lines().skip(before).collect();
    assert!(lines.len() <= LINES_MAX, "{} lines: {lines:#?}", lines.len());
    assert!(
        lines.iter().any(|line| line.contains("WARN")),
        "it says so: {lines:#?}"
    );
}

#[test]
fn a_sink_gets_over_a_broker_that_does_not_answer() {
    live_through(How::Stop);
}

#[test]
fn a_sink_gets_over_a_broker_that_is_killed() {
    live_through(How::Kill);
}

/// Lines that come while the broker is away, each of some kilobytes: more than a producer may keep.
const LINES_MEANWHILE: usize = 20_000;

/// What its producer may keep.
const BUFFER_BYTES: u64 = 8 << 20;

/// What the worker may need more meanwhile, for that and for what is read at once.
const GROWTH_BYTES_MAX: u64 = 6 * BUFFER_BYTES;

/// A file grows beyond all buffers while the broker is away: each line is in the topic once, in order.
fn live_through_with_a_source(how: How) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (mut broker, worker) = start(directory.path());
    create_topic(&broker.bootstrap(), "lines", 1);
    let file = directory.path().join("in.txt");
    let long = "x".repeat(4096);
    let lines = |numbers: std::ops::Range<usize>| -> Vec<String> {
        numbers.map(|number| format!("{number} {long}")).collect()
    };
    append(&file, &lines(0..10));
    let mut config = source(&file, "lines");
    config["producer.override.buffer.memory"] = json!(BUFFER_BYTES.to_string());
    create(&worker, "source", &config);
    let count = |broker: &Hub| read_all(&broker.bootstrap(), "lines", 1).len();
    eventually("the first lines", || (count(&broker) == 10).then_some(()));
    let before = worker.resident_bytes();
    go_away(&mut broker, how, || {
        append(&file, &lines(10..10 + LINES_MEANWHILE));
    });
    let grown = worker
        .peak_bytes()
        .zip(before)
        .map(|(peak, before)| peak.saturating_sub(before));
    append(&file, &lines(10 + LINES_MEANWHILE..20 + LINES_MEANWHILE));
    eventually("as many offsets as lines", || {
        let (_, end) = watermarks(&broker.bootstrap(), "lines", 0);
        (end >= 20 + LINES_MEANWHILE as i64).then_some(())
    });
    let records = eventually("all lines", || {
        let records = read_all(&broker.bootstrap(), "lines", 1);
        (records.len() >= 20 + LINES_MEANWHILE).then_some(records)
    });
    let found = records
        .iter()
        .map(|record| record.text().split(' ').next().unwrap_or_default());
    let all = (0..20 + LINES_MEANWHILE).map(|number| number.to_string());
    assert!(
        found.eq(all),
        "each line once and in order: {} records",
        records.len()
    );
    until_states(&worker, "source", "RUNNING: RUNNING");
    if let Some(grown) = grown {
        assert!(
            grown < GROWTH_BYTES_MAX,
            "{} MiB more while the broker was away",
            grown >> 20
        );
    }
}

#[test]
fn a_source_gets_over_a_broker_that_does_not_answer() {
    live_through_with_a_source(How::Stop);
}

#[test]
fn a_source_gets_over_a_broker_that_is_killed() {
    live_through_with_a_source(How::Kill);
}
