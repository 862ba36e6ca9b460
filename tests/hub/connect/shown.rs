//! What people see of connectors that run: `/metrics` of the worker and of the console, and `forebay connectors`.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::{STRING, call, create, until_states};
use crate::process::{Hub, eventually, run};
use crate::rest::get;

const LINES: usize = 25;

#[test]
fn metrics_and_the_command_tell_of_connectors() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = Hub::start(directory.path(), "broker,connect,console", &[]);
    let input = directory.path().join("input.txt");
    fs::write(&input, "a line\n".repeat(LINES)).expect("a file");
    let source = json!({
        "connector.class": "FileStreamSource",
        "file": input,
        "file.complete": "true",
        "topic": "lines",
        "value.converter": STRING,
    });
    create(&hub, "files", &source);
    let sink = json!({
        "connector.class": "FileStreamSink",
        "file": directory.path().join("output.txt"),
        "topics": "lines",
        "value.converter": STRING,
    });
    create(&hub, "copy", &sink);
    let wanted = [
        format!(
            "kafka_connect_source_task_metrics_source_record_poll_total{{connector=\"files\",task=\"0\"}} {LINES}"
        ),
        format!(
            "kafka_connect_source_task_metrics_source_record_write_total{{connector=\"files\",task=\"0\"}} {LINES}"
        ),
        format!(
            "kafka_connect_sink_task_metrics_sink_record_read_total{{connector=\"copy\",task=\"0\"}} {LINES}"
        ),
        format!(
            "kafka_connect_sink_task_metrics_sink_record_send_total{{connector=\"copy\",task=\"0\"}} {LINES}"
        ),
        // The end of the source's transaction is no record that it lacks.
        "kafka_connect_sink_task_metrics_sink_record_lag_max{connector=\"copy\",task=\"0\"} 0".to_owned(),
        "kafka_connect_sink_task_metrics_partition_count{connector=\"copy\",task=\"0\"} 1".to_owned(),
        "kafka_connect_task_error_metrics_total_record_errors{connector=\"copy\",task=\"0\"} 0".to_owned(),
        "kafka_connect_connector_metrics_status{connector=\"files\",status=\"running\"} 1".to_owned(),
        "kafka_connect_connect_worker_metrics_task_count 2".to_owned(),
        "kafka_connect_connect_worker_metrics_connector_startup_success_total 2".to_owned(),
        "kafka_connect_connect_worker_metrics_task_startup_attempts_total 2".to_owned(),
        "kafka_connect_connect_worker_metrics_task_startup_failure_total 0".to_owned(),
        "kafka_connect_connect_worker_rebalance_metrics_rebalancing 0".to_owned(),
        "kafka_connect_connect_worker_rebalance_metrics_connect_protocol{connect_protocol=\"SESSIONED\"} 1"
            .to_owned(),
        format!(
            "forebay_connect_source_task_progress_whole{{connector=\"files\",task=\"0\",unit=\"bytes\"}} {}",
            LINES * "a line\n".len()
        ),
    ];
    for (role, path) in [("connect", "/metrics"), ("console", "/metrics")] {
        let mut lacking = Vec::new();
        eventually(&format!("{path} of {role} tells of both"), || {
            let told = get(&hub, role, path).text;
            let lacks = |line: &&String| !told.lines().any(|told| told == line.as_str());
            lacking = wanted.iter().filter(lacks).cloned().collect();
            lacking.is_empty().then_some(())
        });
    }

    the_command_tells(&hub, directory.path());
    it_follows_sources_to_their_end(&hub, directory.path());
}

fn it_follows_sources_to_their_end(hub: &Hub, directory: &Path) {
    let url = hub.url("connect", "");
    let follow = |names: &[&str]| {
        let shown = run(&[&["connectors", "--follow", "--url", &url], names].concat());
        let text = String::from_utf8(shown.stdout).expect("UTF-8");
        (
            shown.status.code(),
            text,
            String::from_utf8(shown.stderr).expect("UTF-8"),
        )
    };
    let orders = json!({
        "connector.class": "DatagenSource",
        "kafka.topic": "orders",
        "quickstart": "orders",
        "iterations": "3000",
        "max.interval": "0",
    });
    create(hub, "orders", &orders);
    let (status, text, said) = follow(&["orders", "files"]);
    assert_eq!(status, Some(0), "{text}{said}");
    for line in [
        "files: 100%  175 of 175 bytes  done",
        "orders: 100%  3,000 of 3,000 records  done",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in {text}");
    }

    // One that fails on the way ends it.
    let locked = directory.join("locked.txt");
    fs::write(&locked, [b"a line\n", &[0xff, b'\n'][..]].concat()).expect("a file");
    let failing = json!({
        "connector.class": "FileStreamSource",
        "file": locked,
        "file.complete": "true",
        "invalid.utf8": "fail",
        "batch.size": "1",
        "topic": "lines",
        "value.converter": STRING,
    });
    create(hub, "failing", &failing);
    let (status, text, said) = follow(&["failing"]);
    assert_eq!(status, Some(1), "{text}{said}");
    assert!(text.contains("task 0 of failing has failed: "), "{text}");
    assert!(text.contains("is not UTF-8"), "{text}");
    let (status, _, said) = follow(&["copy"]);
    assert_eq!(
        (status, said.trim()),
        (Some(1), "forebay: copy is a sink: what it reads has no end")
    );
}

fn the_command_tells(hub: &Hub, directory: &Path) {
    let url = hub.url("connect", "");
    let shown = run(&["connectors", "--url", &url]);
    let text = String::from_utf8(shown.stdout).expect("UTF-8");
    assert!(shown.status.success(), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    for (line, name, class) in [
        (lines[1], "copy", "FileStreamSink"),
        (lines[2], "files", "FileStreamSource"),
    ] {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(
            (words[0], words[2], words[3], words[4]),
            (name, class, "RUNNING", "1/1"),
            "{text}"
        );
    }

    // A dead worker's last words are no figures: what has failed says why, and the command's status is 1.
    let broken = json!({
        "connector.class": "FileStreamSink",
        "file": directory,
        "topics": "lines",
        "value.converter": STRING,
    });
    create(hub, "broken", &broken);
    until_states(hub, "broken", "RUNNING: FAILED");
    let shown = run(&["connectors", "broken", "--url", &url]);
    let text = String::from_utf8(shown.stdout).expect("UTF-8");
    assert_eq!(shown.status.code(), Some(1), "{text}");
    assert!(
        text.contains("DEGRADED") && text.contains("task 0 of broken has failed: "),
        "{text}"
    );
    assert_eq!(call(hub, "DELETE", "/connectors/broken", None).status, 204);

    let unknown = run(&["connectors", "nothing", "--url", &url]);
    let said = String::from_utf8(unknown.stderr).expect("UTF-8");
    assert!(
        said.contains("there is no connector nothing; there are: copy, files"),
        "{said}"
    );
    let nowhere = run(&["connectors", "--url", "http://127.0.0.1:1"]);
    let said = String::from_utf8(nowhere.stderr).expect("UTF-8");
    assert!(
        said.contains("no Connect worker answers at http://127.0.0.1:1"),
        "{said}"
    );
}
