//! The REST API of Connect as `curl` and other people's tools meet it: every request that steers a connector, with Kafka's
//! statuses and bodies.

use std::fs;

use serde_json::{Value, json};

use super::{STRING, call, create, numbered, states, until_states};
use crate::librdkafka::{create_topic, read_all};
use crate::process::{Hub, eventually};
use crate::rest::send;

fn source(file: &std::path::Path, topic: &str) -> Value {
    json!({
        "connector.class": "FileStreamSource",
        "tasks.max": "1",
        "file": file,
        "topic": topic,
        "value.converter": STRING,
    })
}

/// Waits until a topic of one partition holds these lines.
fn until_lines(hub: &Hub, topic: &str, wanted: &[String]) {
    eventually(&format!("{topic} has {} lines", wanted.len()), || {
        let read = read_all(&hub.bootstrap(), topic, 1);
        (read.len() >= wanted.len()).then_some(())
    });
    let read = read_all(&hub.bootstrap(), topic, 1);
    let read: Vec<&str> = read.iter().map(crate::librdkafka::Record::text).collect();
    assert_eq!(read, wanted, "{topic}");
}

#[test]
fn a_connector_is_created_steered_and_deleted() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = Hub::start(
        directory.path(),
        "broker,connect",
        &["connect.offset.flush.interval.ms=200"],
    );
    create_topic(&hub.bootstrap(), "first", 1);
    create_topic(&hub.bootstrap(), "second", 1);
    let file = directory.path().join("input.txt");
    let lines = numbered("line", 0..30);
    fs::write(&file, lines[..10].join("\n") + "\n").expect("a file");
    let config = source(&file, "first");

    let request = json!({ "name": "lines", "config": config });
    let created = call(&hub, "POST", "/connectors", Some(&request));
    let place = hub.url("connect", "/connectors/lines");
    assert_eq!(
        (created.status, created.location.as_deref()),
        (201, Some(place.as_str()))
    );
    let body = created.json();
    assert_eq!(
        (&body["name"], &body["type"]),
        (&json!("lines"), &json!("source"))
    );
    assert_eq!(body["config"]["name"], "lines");
    assert_eq!(body["config"]["topic"], "first");
    until_states(&hub, "lines", "RUNNING: RUNNING");
    until_lines(&hub, "first", &lines[..10]);

    let info = call(&hub, "GET", "/connectors/lines", None).ok();
    assert_eq!(info["tasks"], json!([{ "connector": "lines", "task": 0 }]));
    assert_eq!(call(&hub, "GET", "/connectors", None).ok(), json!(["lines"]));
    let status = call(&hub, "GET", "/connectors/lines/status", None).ok();
    let worker = status["connector"]["worker_id"].as_str().expect("an address");
    let version = env!("CARGO_PKG_VERSION");
    let expected = json!({
        "name": "lines",
        "connector": { "state": "RUNNING", "worker_id": worker, "version": version },
        "tasks": [{ "id": 0, "state": "RUNNING", "worker_id": worker, "version": version }],
        "type": "source",
    });
    assert_eq!(status, expected);

    for (path, state) in [("pause", "PAUSED: PAUSED"), ("resume", "RUNNING: RUNNING")] {
        // Twice: a second time changes nothing.
        for _ in 0..2 {
            let answer = call(&hub, "PUT", &format!("/connectors/lines/{path}"), None);
            assert_eq!((answer.status, answer.text.as_str()), (202, ""), "{path}");
            until_states(&hub, "lines", state);
        }
    }

    restart(&hub);
    append(&file, &lines[10..20]);
    until_lines(&hub, "first", &lines[..20]);

    let changed = call(
        &hub,
        "PUT",
        "/connectors/lines/config",
        Some(&source(&file, "second")),
    );
    assert_eq!(
        (changed.status, &changed.json()["config"]["topic"]),
        (200, &json!("second"))
    );
    // What is appended while the tasks of before still run is theirs.
    eventually("the task is made anew", || {
        let tasks = call(&hub, "GET", "/connectors/lines/tasks", None).ok();
        (tasks[0]["config"]["topic"] == "second").then_some(())
    });
    until_states(&hub, "lines", "RUNNING: RUNNING");
    append(&file, &lines[20..]);
    until_lines(&hub, "second", &lines[20..]);

    let stopped = call(&hub, "PUT", "/connectors/lines/stop", None);
    assert_eq!((stopped.status, stopped.text.as_str()), (204, ""));
    until_states(&hub, "lines", "STOPPED: ");
    let deleted = call(&hub, "DELETE", "/connectors/lines", None);
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    assert_eq!(call(&hub, "GET", "/connectors", None).ok(), json!([]));
    eventually("its status is gone", || {
        states(&hub, "lines").is_empty().then_some(())
    });
}

fn append(file: &std::path::Path, lines: &[String]) {
    use std::io::Write;
    let mut file = fs::File::options().append(true).open(file).expect("it is there");
    writeln!(file, "{}", lines.join("\n")).expect("room");
}

/// Every way to restart: the connector alone, with its tasks (KIP-745), what has failed only, one task.
fn restart(hub: &Hub) {
    let post = |path: &str| call(hub, "POST", &format!("/connectors/lines/{path}"), None);
    let plain = post("restart");
    assert_eq!((plain.status, plain.text.as_str()), (204, ""));
    until_states(hub, "lines", "RUNNING: RUNNING");
    let all = post("restart?includeTasks=true&onlyFailed=false");
    let (status, body) = (all.status, all.json());
    assert_eq!(
        (
            status,
            &body["connector"]["state"],
            &body["tasks"][0]["state"],
            &body["name"]
        ),
        (202, &json!("RESTARTING"), &json!("RESTARTING"), &json!("lines"))
    );
    until_states(hub, "lines", "RUNNING: RUNNING");
    let failed = post("restart?includeTasks=true&onlyFailed=true");
    assert_eq!(failed.status, 202);
    assert_eq!(
        failed.json()["tasks"][0]["state"],
        "RUNNING",
        "nothing has failed: {failed:?}"
    );
    let task = post("tasks/0/restart");
    assert_eq!((task.status, task.text.as_str()), (204, ""));
    until_states(hub, "lines", "RUNNING: RUNNING");
}

/// What is not there, and in which words.
const NOT_FOUND: [(&str, &str, &str); 14] = [
    ("GET", "/connectors/none", "Connector none not found"),
    ("GET", "/connectors/none/config", "Connector none not found"),
    (
        "GET",
        "/connectors/none/status",
        "No status found for connector none",
    ),
    ("GET", "/connectors/none/tasks", "Connector none not found"),
    ("PUT", "/connectors/none/pause", "Unknown connector none"),
    ("PUT", "/connectors/none/resume", "Unknown connector none"),
    ("PUT", "/connectors/none/stop", "Unknown connector none"),
    ("POST", "/connectors/none/restart", "Unknown connector: none"),
    (
        "POST",
        "/connectors/none/restart?includeTasks=true",
        "Unknown connector: none",
    ),
    (
        "POST",
        "/connectors/none/tasks/0/restart",
        "Unknown connector: none",
    ),
    (
        "POST",
        "/connectors/lines/tasks/7/restart",
        "Unknown task: lines-7",
    ),
    ("DELETE", "/connectors/none", "Connector none not found"),
    (
        "GET",
        "/connector-plugins/Nothing/config",
        "Unknown plugin Nothing.",
    ),
    ("GET", "/nowhere", "HTTP 404 Not Found"),
];

#[test]
fn mistakes_have_kafkas_statuses_and_words() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = Hub::start(directory.path(), "broker,connect", &[]);
    let file = directory.path().join("input.txt");
    fs::write(&file, "").expect("a file");
    let config = source(&file, "t");
    create(&hub, "lines", &config);
    let create_again = json!({ "name": "lines", "config": config });
    let without = |key: &str| {
        let mut config = config.clone();
        config.as_object_mut().expect("an object").remove(key);
        json!({ "name": "other", "config": config })
    };
    let mut unknown = without("topic");
    unknown["config"]["connector.class"] = json!("com.example.Nothing");
    let (no_topic, no_class) = (without("topic"), without("connector.class"));
    let mut misnamed = create_again.clone();
    misnamed["name"] = json!("other");
    misnamed["config"]["name"] = json!("another");
    let refused: [(&str, &str, &Value, u16, &str); 7] = [
        (
            "POST",
            "/connectors",
            &create_again,
            409,
            "Connector lines already exists",
        ),
        (
            "POST",
            "/connectors",
            &no_topic,
            400,
            "Connector configuration is invalid and contains the following 1 error(s):",
        ),
        ("POST", "/connectors", &no_class, 400, "no connector type"),
        ("POST", "/connectors", &unknown, 400, "com.example.Nothing"),
        ("POST", "/connectors", &misnamed, 400, "(another)"),
        (
            "PUT",
            "/connectors/lines/config",
            &no_topic["config"],
            400,
            "following 1 error(s)",
        ),
        (
            "PUT",
            "/connector-plugins/FileStreamSink/config/validate",
            &config,
            400,
            "does not match request type",
        ),
    ];
    let refused = refused
        .into_iter()
        .map(|(method, path, body, status, message)| (method, path, Some(body), status, message));
    let not_found = NOT_FOUND
        .into_iter()
        .map(|(method, path, message)| (method, path, None, 404, message));
    for (method, path, body, status, message) in refused.chain(not_found) {
        let answer = call(&hub, method, path, body);
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        let error = answer.json();
        assert_eq!(error["error_code"], status, "{answer:?}");
        let found = error["message"].as_str().expect("a message");
        assert!(found.contains(message), "{method} {path}: {found}");
    }
    // What is no JSON at all.
    let kind = [("content-type", "application/json")];
    for body in ["{\"name\":", "[]", ""] {
        let answer = send(&hub, ("POST", "connect", "/connectors"), &kind, Some(body));
        assert_eq!(
            (answer.status, &answer.json()["error_code"]),
            (400, &json!(400)),
            "{body}"
        );
    }
    // None of it has changed anything.
    assert_eq!(call(&hub, "GET", "/connectors", None).ok(), json!(["lines"]));
    assert_eq!(
        call(&hub, "GET", "/connectors/lines/config", None).ok()["topic"],
        "t"
    );
}

#[test]
fn plugins_are_listed_and_judge_configurations() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = Hub::start(directory.path(), "broker,connect", &[]);
    let root = call(&hub, "GET", "/", None).ok();
    assert!(
        root["version"].is_string() && root["kafka_cluster_id"].is_string(),
        "{root}"
    );
    assert_eq!(call(&hub, "GET", "/health", None).ok()["status"], "healthy");

    let list = |path: &str| {
        call(&hub, "GET", path, None)
            .ok()
            .as_array()
            .expect("a list")
            .clone()
    };
    let connectors = list("/connector-plugins");
    let types: Vec<&str> = connectors.iter().filter_map(|it| it["type"].as_str()).collect();
    let sinks = types.iter().take_while(|it| **it == "sink").count();
    assert!(
        sinks > 0 && types[sinks..].iter().all(|it| *it == "source"),
        "{types:?}"
    );
    let all = list("/connector-plugins?connectorsOnly=false");
    for class in [
        "org.apache.kafka.connect.file.FileStreamSinkConnector",
        "org.apache.kafka.connect.file.FileStreamSourceConnector",
        "org.apache.kafka.connect.json.JsonConverter",
        "io.confluent.connect.avro.AvroConverter",
        STRING,
    ] {
        let known = all.iter().find(|it| it["class"] == class);
        assert!(
            known.is_some_and(|it| it["version"].is_string()),
            "{class}: {all:?}"
        );
    }

    let path = "/connector-plugins/FileStreamSource/config/validate";
    let good = source(&directory.path().join("f"), "t");
    let mut named = good.clone();
    named["name"] = json!("c");
    let judged = call(&hub, "PUT", path, Some(&named));
    assert_eq!((judged.status, &judged.json()["error_count"]), (200, &json!(0)));
    let mut bad = named;
    bad.as_object_mut().expect("an object").remove("topic");
    bad["tasks.max"] = json!("many");
    let judged = call(&hub, "PUT", path, Some(&bad)).ok();
    // A value of the wrong type has two errors, as in Kafka: that it cannot be read, and that null is none.
    assert_eq!(judged["error_count"], 3, "{judged}");
    let of = |key: &str| {
        let configs = judged["configs"].as_array().expect("a list");
        let found = configs.iter().find(|it| it["value"]["name"] == key);
        found.unwrap_or_else(|| panic!("no {key}")).clone()
    };
    let topic = of("topic");
    assert_eq!(topic["definition"]["required"], true, "{topic}");
    for (key, count) in [("topic", 1), ("tasks.max", 2), ("file", 0)] {
        let errors = of(key)["value"]["errors"].clone();
        assert_eq!(errors.as_array().map(Vec::len), Some(count), "{key}: {errors}");
    }
}
