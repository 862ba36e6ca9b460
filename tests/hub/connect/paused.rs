//! What the user has paused stays paused, whatever happens to the process, and delivers afterwards what came meanwhile.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::json;

use super::{STRING, call, create, numbered, parquet_sink, stored_rows, until_states};
use crate::librdkafka::{create_topic, produce_values, read_all};
use crate::process::{Hub, eventually};

/// How the process ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Terminate,
    Kill,
}

fn end(hub: &mut Hub, how: End) {
    match how {
        End::Terminate => assert!(hub.process().terminate().success(), "{how:?}"),
        End::Kill => hub.process().kill(),
    }
    hub.restart();
}

/// Waits until `store` has so many rows, and gives them.
fn until_rows(store: &Path, topic: &str, count: usize) -> Vec<String> {
    eventually(&format!("{count} rows in {}", store.display()), || {
        let rows = stored_rows(store, topic);
        (rows.len() >= count).then_some(rows)
    })
}

#[test]
fn a_sink_stays_paused_and_then_delivers_what_came_meanwhile() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let overrides = ["connect.offset.flush.interval.ms=200"];
    let mut hub = Hub::start(directory.path(), "broker,connect", &overrides);
    create_topic(&hub.bootstrap(), "t", 1);
    let (store, witness) = (directory.path().join("store"), directory.path().join("witness"));
    create(&hub, "sink", &parquet_sink("t", &store));
    // It reads the same topic and is not paused: when it has everything, the paused one had the time for it.
    create(&hub, "witness", &parquet_sink("t", &witness));
    let values = numbered("value", 0..90);
    produce_values(&hub.bootstrap(), "t", Some(0), &values[..30], &[]);
    assert_eq!(until_rows(&store, "t", 30), values[..30]);
    assert_eq!(call(&hub, "PUT", "/connectors/sink/pause", None).status, 202);
    until_states(&hub, "sink", "PAUSED: PAUSED");
    for (how, count) in [(End::Terminate, 60), (End::Kill, 90)] {
        end(&mut hub, how);
        produce_values(&hub.bootstrap(), "t", Some(0), &values[count - 30..count], &[]);
        assert_eq!(until_rows(&witness, "t", count), values[..count], "{how:?}");
        until_states(&hub, "sink", "PAUSED: PAUSED");
        assert_eq!(
            stored_rows(&store, "t"),
            values[..30],
            "{how:?}: nothing while it is paused"
        );
    }
    assert_eq!(call(&hub, "PUT", "/connectors/sink/resume", None).status, 202);
    assert_eq!(until_rows(&store, "t", 90), values);
    until_states(&hub, "sink", "RUNNING: RUNNING");
}

#[test]
fn a_source_stays_paused_and_then_delivers_what_came_meanwhile() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let overrides = ["connect.offset.flush.interval.ms=200"];
    let mut hub = Hub::start(directory.path(), "broker,connect", &overrides);
    let file = directory.path().join("input.txt");
    let mut input = fs::File::create(&file).expect("a file");
    for topic in ["paused", "witness"] {
        create_topic(&hub.bootstrap(), topic, 1);
        let config = json!({
            "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
            "file": file,
            "topic": topic,
            "value.converter": STRING,
        });
        create(&hub, topic, &config);
    }
    let lines = numbered("line", 0..90);
    let mut write = |some: &[String]| writeln!(input, "{}", some.join("\n")).expect("room");
    let read = |hub: &Hub, topic: &str| {
        let records = read_all(&hub.bootstrap(), topic, 1);
        records.iter().map(|it| it.text().to_owned()).collect::<Vec<_>>()
    };
    let until = |hub: &Hub, topic: &str, count: usize| {
        eventually(&format!("{count} lines in {topic}"), || {
            let lines = read(hub, topic);
            (lines.len() >= count).then_some(lines)
        })
    };
    write(&lines[..30]);
    assert_eq!(until(&hub, "paused", 30), lines[..30]);
    assert_eq!(call(&hub, "PUT", "/connectors/paused/pause", None).status, 202);
    until_states(&hub, "paused", "PAUSED: PAUSED");
    for (how, count) in [(End::Terminate, 60), (End::Kill, 90)] {
        until(&hub, "witness", count - 30);
        end(&mut hub, how);
        write(&lines[count - 30..count]);
        // The witness may repeat lines after a kill; the last one says that it is through.
        eventually("the witness has read on", || {
            let last = read(&hub, "witness").pop();
            (last.as_ref() == lines[..count].last()).then_some(())
        });
        until_states(&hub, "paused", "PAUSED: PAUSED");
        assert_eq!(
            read(&hub, "paused"),
            lines[..30],
            "{how:?}: nothing while it is paused"
        );
    }
    assert_eq!(call(&hub, "PUT", "/connectors/paused/resume", None).status, 202);
    assert_eq!(until(&hub, "paused", 90), lines);
}
