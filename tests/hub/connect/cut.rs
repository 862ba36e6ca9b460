//! A worker that is cut off from the cluster (faults.md C13), by a line that the test cuts: it stops before its session ends, others have
//! its tasks soon after that, and it comes back when the line is whole; no line and no row is lost or there twice.
//! `FOREBAY_TEST_BREAK=transaction` runs sources without transactions: the rows must then be wrong.

mod ledger;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use self::ledger::{InProcess, Ledger};
use super::exactly_once::{Growing, SUPPORT, is_broken, until_all_are_there, until_longer};
use super::workers::{SESSION, TAKE_OVER, Worker, source, until_all_run};
use super::{STRING, parquet_sink, stored_rows};
use crate::librdkafka::create_topic;
use crate::line::{Cut, Line};
use crate::process::{Hub, eventually, within};
use crate::rest::try_send;

const TOPICS: [&str; 2] = ["t0", "t1"];

const PARTITIONS: i32 = 2;

/// How many tasks each connector of the ledger has.
const TASKS: usize = 4;

/// A broker with two listeners, of which the second is behind the line.
fn start_broker(directory: &Path, line: &Line) -> Hub {
    let advertised = format!("broker.advertised.listeners=CUT://{}", line.address());
    let overrides = [
        "broker.listeners=PLAINTEXT://127.0.0.1:0,CUT://127.0.0.1:0",
        "broker.listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CUT:PLAINTEXT",
        "broker.group.min.session.timeout.ms=1000",
        &advertised,
    ];
    let hub = Hub::start(directory, "broker", &overrides);
    line.lead_to(hub.addresses("broker")[1]);
    hub
}

fn until_one_has_everything(worker: &Worker, names: &[String]) {
    within(SESSION + TAKE_OVER, "the other worker has everything", || {
        let running = worker.running(names);
        let is_all = running.len() == 2 * names.len() && running.values().all(|owner| *owner == worker.id());
        is_all.then_some(())
    });
}

/// Files grow into topics, and these into Parquet, by two workers of which one is cut off for longer than its session.
fn live_through(how: Cut) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let line = Line::new();
    let hub = start_broker(directory.path(), &line);
    let support = if is_broken() { "disabled" } else { "enabled" };
    let more = format!("{SUPPORT}={support}\n");
    let near = Worker::start_with(directory.path(), &hub, "near", &more);
    let far = Worker::start_at(directory.path(), &line.address().to_string(), "far", &more);
    let store = directory.path().join("store");
    let mut names = Vec::new();
    let mut growing = TOPICS.map(|topic| {
        create_topic(&hub.bootstrap(), topic, PARTITIONS);
        let file = directory.path().join(topic);
        let growing = Growing::start(std::slice::from_ref(&file));
        for (kind, config) in [
            ("source", source(&file, topic)),
            ("sink", parquet_sink(topic, &store)),
        ] {
            let name = format!("{kind}-{topic}");
            near.create(&name, &config);
            names.push(name);
        }
        growing
    });
    until_all_run(&near, &names, &[&near, &far]);
    let mut lengths = TOPICS.map(|topic| until_longer(&hub, topic, PARTITIONS, 0));
    line.cut(how);
    until_one_has_everything(&near, &names);
    let until_all_are_longer = |lengths: &mut [i64; 2]| {
        for (topic, length) in TOPICS.iter().zip(lengths) {
            *length = until_longer(&hub, topic, PARTITIONS, *length);
        }
    };
    until_all_are_longer(&mut lengths);
    line.mend();
    until_all_run(&near, &names, &[&near, &far]);
    until_all_are_longer(&mut lengths);
    for (topic, growing) in TOPICS.into_iter().zip(&mut growing) {
        let lines = growing.finish();
        until_all_are_there(&hub, (topic, PARTITIONS), &lines);
        let rows = eventually(&format!("all rows of {topic} are stored"), || {
            let rows = stored_rows(&store, topic);
            let stored: BTreeSet<String> = rows.iter().cloned().collect();
            lines.is_subset(&stored).then_some(rows)
        });
        let stored: BTreeSet<String> = rows.iter().cloned().collect();
        assert_eq!(stored, lines, "{topic}");
        assert_eq!(rows.len(), lines.len(), "rows of {topic} are there twice");
    }
}

#[test]
fn rows_are_exact_if_what_was_sent_arrives_late() {
    live_through(Cut::Held);
}

#[test]
fn rows_are_exact_if_what_was_sent_vanishes() {
    live_through(Cut::Lost);
}

#[test]
fn rows_are_exact_if_what_the_worker_sends_vanishes_and_it_still_hears() {
    live_through(Cut::Sent);
}

#[test]
fn rows_are_exact_if_the_worker_hears_nothing_and_what_it_sends_arrives() {
    live_through(Cut::Heard);
}

#[test]
fn rows_are_exact_if_connections_are_reset() {
    live_through(Cut::Reset);
}

/// A source, a sink, and a source whose tasks go on when they are told to stop.
fn connectors() -> [(&'static str, Value); 3] {
    let config = |class: &str, deaf: bool| {
        json!({
            "connector.class": class,
            "tasks.max": TASKS.to_string(),
            "deaf": deaf.to_string(),
            "key.converter": STRING,
            "value.converter": STRING,
        })
    };
    let mut sink = config("TickingSink", false);
    sink["topics"] = json!("t0");
    [
        ("source", config("TickingSource", false)),
        ("sink", sink),
        ("deaf", config("TickingSource", true)),
    ]
}

/// Cuts a worker off and makes the line whole again; the ledger has what happened.
fn cut_off(how: Cut) -> (Ledger, Instant) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let line = Line::new();
    let hub = start_broker(directory.path(), &line);
    create_topic(&hub.bootstrap(), "t0", PARTITIONS);
    let ledger = Ledger::default();
    let near = InProcess::start("near", &hub.bootstrap(), &ledger);
    let _far = InProcess::start("far", &line.address().to_string(), &ledger);
    let names = connectors().map(|(name, config)| {
        let url = format!("{}/connectors/{name}/config", near.url());
        let headers = [("content-type", "application/json")];
        eventually("the workers are in their group", || {
            let put = try_send(&url, "PUT", &headers, Some(&config.to_string())).expect("it answers");
            assert!([201, 200, 409].contains(&put.status), "{put:?}");
            (put.status != 409).then_some(())
        });
        name
    });
    let has = |worker: &str, name: &str| {
        let owners = ledger.owners();
        let of = owners
            .iter()
            .filter(|(task, owner)| task.starts_with(name) && **owner == worker);
        of.count()
    };
    eventually("both have half of each", || {
        let is_shared = |name: &&str| has("near", name) == TASKS / 2 && has("far", name) == TASKS / 2;
        names.iter().all(is_shared).then_some(())
    });
    line.cut(how);
    let cut_at = Instant::now();
    let all = names.len() * TASKS;
    eventually("one worker has everything", || {
        (has("near", "") == all).then_some(())
    });
    line.mend();
    eventually("both have half again", || {
        (has("far", "") == all / 2).then_some(())
    });
    (ledger, cut_at)
}

/// Each task has one owner at any time, by its own account.
fn check(how: Cut) {
    let (ledger, cut_at) = cut_off(how);
    for name in ["source", "sink"] {
        ledger
            .never_twice(name)
            .unwrap_or_else(|overlap| panic!("{how:?}: {overlap}"));
    }
    ledger
        .never_twice("deaf")
        .expect_err("tasks that go on when they are told to stop are seen");
    let ended = ledger
        .runs_of("far")
        .filter(|run| run.first < cut_at && !run.task.starts_with("deaf"));
    let mut count = 0;
    for run in ended {
        let stopped = run.last.saturating_duration_since(cut_at);
        assert!(stopped < SESSION, "{run:?} went on for {stopped:?} after the cut");
        let next = ledger.next(&run).expect("another worker has it");
        let began = next.first.saturating_duration_since(cut_at);
        assert!(
            began < SESSION + TAKE_OVER,
            "{next:?} began {began:?} after the cut"
        );
        count += 1;
    }
    assert!(count >= TASKS, "{count} runs were cut off");
}

#[test]
fn a_task_never_runs_twice_if_nothing_gets_through() {
    check(Cut::Held);
}

#[test]
fn a_task_never_runs_twice_if_what_the_worker_sends_vanishes_and_it_still_hears() {
    check(Cut::Sent);
}

#[test]
fn a_task_never_runs_twice_if_the_worker_hears_nothing_and_what_it_sends_arrives() {
    check(Cut::Heard);
}

#[test]
fn a_task_never_runs_twice_if_connections_are_reset() {
    check(Cut::Reset);
}
