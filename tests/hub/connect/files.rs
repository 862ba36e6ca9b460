//! Files that hurt (faults.md C3 and C4), through the whole worker: a line of a gigabyte, a full disk, a target that is no file, a line
//! that a kill has torn. For the full disk stands a limit on the size of the worker's files (EFBIG in place of ENOSPC).

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use rustix::process::{Resource, Rlimit, prlimit};
use serde_json::{Value, json};

use super::rejected::{committed, trace};
use super::workers::{Worker, append, start_broker};
use super::{STRING, call, create, until_states};
use crate::librdkafka::{create_topic, produce_values, read_all};
use crate::process::{Hub, eventually};

/// How long the line is; `FOREBAY_TEST_LINE_MIB=1024` for the whole gigabyte, through which a debug build takes its time.
const LINE_MIB: u64 = 256;

/// What a hub may need more for a line of which it can give nothing out.
const GROWTH_BYTES_MAX: u64 = 100 << 20;

#[test]
fn a_line_without_end_fails_the_task_or_is_left_out_and_takes_no_memory() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = Hub::start(directory.path(), "broker,connect", &[]);
    let folder = directory.path().join("in");
    fs::create_dir(&folder).expect("a folder");
    let path = folder.join("a.log");
    let mib = std::env::var("FOREBAY_TEST_LINE_MIB").ok();
    let mib = mib.map_or(LINE_MIB, |mib| mib.parse().expect("a number"));
    let mut file = File::create(&path).expect("a file");
    file.write_all(b"first\n").expect("room");
    file.set_len(mib << 20).expect("a hole takes no room");
    append(&path, &[String::new(), "last".to_owned()]);
    for topic in ["stream", "directory"] {
        create_topic(&hub.bootstrap(), topic, 1);
    }
    let before = hub.peak_bytes();
    let config = |class: &str, topic: &str, (key, value): (&str, &Path)| {
        let mut config = json!({
            "connector.class": class,
            "topic": topic,
            "key.converter": STRING,
            "value.converter": STRING,
            "behavior.on.error": "skip",
        });
        config[key] = json!(value);
        config
    };
    create(
        &hub,
        "stream",
        &config("FileStreamSource", "stream", ("file", &path)),
    );
    create(
        &hub,
        "directory",
        &config("DirectorySource", "directory", ("input.path", &folder)),
    );
    until_states(&hub, "stream", "RUNNING: FAILED");
    let said = trace(&hub, "stream");
    assert!(
        said.contains("begins at byte 6 is longer than max.line.bytes"),
        "{said}"
    );
    let lines = |topic: &str, count: usize| {
        eventually(&format!("{count} lines in {topic}"), || {
            let records = read_all(&hub.bootstrap(), topic, 1);
            (records.len() >= count)
                .then(|| records.iter().map(|it| it.text().to_owned()).collect::<Vec<_>>())
        })
    };
    assert_eq!(lines("stream", 1), ["first"]);
    assert_eq!(lines("directory", 2), ["first", "last"]);
    if let (Some(before), Some(after)) = (before, hub.peak_bytes()) {
        let grown = after.saturating_sub(before);
        assert!(grown < GROWTH_BYTES_MAX, "{} MiB more", grown >> 20);
    }
}

fn sink(topic: &str, file: &Path) -> Value {
    json!({
        "connector.class": "FileStreamSink",
        "topics": topic,
        "file": file,
        "key.converter": STRING,
        "value.converter": STRING,
    })
}

/// Long lines, so that the file of the sink is larger than any other that the worker writes.
fn values(numbers: std::ops::Range<usize>) -> Vec<String> {
    let long = "x".repeat(50_000);
    numbers.map(|number| format!("{number} {long}")).collect()
}

fn stored(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_full_disk_fails_the_sink_which_goes_on_when_there_is_room() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = start_broker(directory.path());
    let worker = Worker::start_with_limits(directory.path(), &hub, "worker");
    create_topic(&hub.bootstrap(), "t", 1);
    let file = directory.path().join("out");
    worker.create("sink", &sink("t", &file));
    let all = values(0..30);
    let produce = |range: std::ops::Range<usize>| {
        produce_values(&hub.bootstrap(), "t", Some(0), &all[range], &[]);
    };
    let ask = |path: &str| worker.call("GET", path, None);
    let committed =
        || ask("/connectors/sink/offsets").json()["offsets"][0]["offset"]["kafka_offset"].as_u64();
    let until = |count: usize| {
        eventually(&format!("{count} lines are committed"), || {
            (committed() == Some(count as u64)).then_some(())
        });
        assert!(stored(&file) == all[..count], "{count} whole lines");
    };
    produce(0..10);
    until(10);
    let length = fs::metadata(&file).expect("it is there").len();
    let limit = |bytes: Option<u64>| {
        let limit = Rlimit {
            current: bytes,
            maximum: None,
        };
        prlimit(Some(worker.pid()), Resource::Fsize, limit).expect("it is ours");
    };
    // Room for two lines and a half.
    limit(Some(length + 125_000));
    produce(10..20);
    let trace = eventually("it has failed", || {
        let status = ask("/connectors/sink/tasks/0/status").json();
        (status["state"] == "FAILED").then(|| status["trace"].as_str().unwrap_or_default().to_owned())
    });
    assert!(
        trace.contains("cannot write to") && trace.contains("make room"),
        "{trace}"
    );
    assert_eq!(committed(), Some(10), "nothing is committed that is not stored");
    limit(None);
    let answer = worker.call("POST", "/connectors/sink/tasks/0/restart", None);
    assert_eq!(answer.status, 204, "{answer:?}");
    until(20);
    produce(20..30);
    until(30);
}

#[test]
fn a_target_that_is_no_file_and_a_line_that_a_kill_has_torn() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut hub = Hub::start(
        directory.path(),
        "broker,connect",
        &["connect.offset.flush.interval.ms=100"],
    );
    create_topic(&hub.bootstrap(), "t", 1);
    let file = directory.path().join("out");
    fs::create_dir(&file).expect("made");
    create(&hub, "sink", &sink("t", &file));
    let all = values(0..20);
    produce_values(&hub.bootstrap(), "t", Some(0), &all[..10], &[]);
    until_states(&hub, "sink", "RUNNING: FAILED");
    let said = trace(&hub, "sink");
    assert!(said.contains("is a directory"), "{said}");
    assert_eq!(committed(&hub, "sink"), None);
    fs::remove_dir(&file).expect("removed");
    call(
        &hub,
        "POST",
        "/connectors/sink/restart?includeTasks=true&onlyFailed=true",
        None,
    )
    .ok();
    let until = |hub: &Hub, count: usize| {
        eventually(&format!("{count} lines are committed"), || {
            (committed(hub, "sink") == Some(count as u64)).then_some(())
        });
        assert!(stored(&file) == all[..count], "{count} whole lines");
    };
    until(&hub, 10);
    hub.process().kill();
    // What a kill leaves that comes while the line is written.
    let mut torn = File::options().append(true).open(&file).expect("it is there");
    torn.write_all(&all[10].as_bytes()[..20_000]).expect("room");
    hub.restart();
    produce_values(&hub.bootstrap(), "t", Some(0), &all[10..], &[]);
    until(&hub, 20);
    let kept = stored(&directory.path().join("out.torn"));
    assert!(kept == [&all[10][..20_000]], "what was cut off is kept");
}
