//! Several `forebay connect` processes on one broker: what one has runs elsewhere when it is gone, never in two places; requests
//! find the worker that has to answer them; and the hub's own worker is back at once. Then `connect-standalone`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{STRING, numbered};
use crate::librdkafka::{create_topic, produce_values, read_all};
use crate::process::{Hub, Process, eventually, listener, within};
use crate::rest::{Answer, try_send};

pub(super) const SESSION: Duration = Duration::from_secs(4);

/// How soon after the end of its session everything of a worker runs elsewhere.
pub(super) const TAKE_OVER: Duration = Duration::from_secs(5);

/// A worker's process.
pub(super) struct Worker {
    process: Process,
    port: u16,
}

impl Worker {
    fn start(directory: &Path, hub: &Hub, name: &str) -> Self {
        Self::start_with(directory, hub, name, "")
    }

    /// With more lines of properties.
    pub(super) fn start_with(directory: &Path, hub: &Hub, name: &str, more: &str) -> Self {
        Self::start_at(directory, &hub.bootstrap(), name, more)
    }

    /// On a cluster that is found there.
    pub(super) fn start_at(directory: &Path, bootstrap: &str, name: &str, more: &str) -> Self {
        let file = properties(directory, bootstrap, name, more);
        Self::run(
            directory,
            name,
            &["connect".to_owned(), file.display().to_string()],
        )
    }

    /// One that sees an error, and is not killed, when a file of its grows beyond a limit.
    pub(super) fn start_with_limits(directory: &Path, hub: &Hub, name: &str) -> Self {
        let file = properties(directory, &hub.bootstrap(), name, "");
        let mut command = Command::new("/bin/sh");
        command.args([
            "-c",
            "trap '' XFSZ; exec \"$0\" connect \"$1\"",
            env!("CARGO_BIN_EXE_forebay"),
        ]);
        command.arg(file);
        Self::of(Process::spawn(command, &stderr(directory, name)), name)
    }

    fn run(directory: &Path, name: &str, arguments: &[String]) -> Self {
        Self::of(Process::start(arguments, &stderr(directory, name)), name)
    }

    fn of(mut process: Process, name: &str) -> Self {
        let mut port = None;
        let ready = process.line(|line| {
            port = listener(line).map(|(_, port)| port).or(port);
            line.starts_with("ready in ").then_some(())
        });
        ready.unwrap_or_else(|said| panic!("{name}: {said}"));
        Self {
            process,
            port: port.expect("it says where it listens"),
        }
    }

    pub(super) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    pub(super) fn id(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let text = body.map(Value::to_string);
        let headers: &[(&str, &str)] = match body {
            Some(_) => &[("content-type", "application/json")],
            None => &[],
        };
        let url = format!("http://{}{path}", self.id());
        try_send(&url, method, headers, text.as_deref()).expect("the worker answers")
    }

    pub(super) fn create(&self, name: &str, config: &Value) {
        let body = json!({ "name": name, "config": config });
        // A group that has just begun may have no leader for a moment.
        let answer = eventually("the group has a leader", || {
            let answer = self.call("POST", "/connectors", Some(&body));
            (answer.status != 409).then_some(answer)
        });
        assert_eq!(answer.status, 201, "{answer:?}");
        let place = format!("http://{}/connectors/{name}", self.id());
        assert_eq!(answer.location, Some(place));
    }

    /// Who runs each connector and each task that is RUNNING.
    pub(super) fn running(&self, names: &[String]) -> BTreeMap<String, String> {
        let mut running = BTreeMap::new();
        for name in names {
            let answer = self.call("GET", &format!("/connectors/{name}/status"), None);
            if answer.status != 200 {
                continue;
            }
            let status = answer.json();
            let mut note = |what: String, of: &Value| {
                if of["state"] == "RUNNING" {
                    running.insert(what, of["worker_id"].as_str().expect("a text").to_owned());
                }
            };
            note(name.clone(), &status["connector"]);
            for task in status["tasks"].as_array().expect("a list") {
                note(format!("{name}-{}", task["id"]), task);
            }
        }
        running
    }

    pub(super) fn pid(&self) -> Pid {
        let pid = i32::try_from(self.process.id()).expect("it is small");
        Pid::from_raw(pid).expect("it is one")
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it runs");
    }
}

/// The file of a worker's keys.
fn properties(directory: &Path, bootstrap: &str, name: &str, more: &str) -> PathBuf {
    let file = directory.join(format!("{name}.properties"));
    let text = format!(
        "bootstrap.servers={bootstrap}\ngroup.id=workers\nlisteners=http://127.0.0.1:0\noffset.flush.interval.ms=200\n\
         session.timeout.ms={}\nheartbeat.interval.ms=500\nplugin.path=/usr/share/java\nconfig.storage.topic=connect-configs\n\
         offset.storage.topic=connect-offsets\nstatus.storage.topic=connect-status\n{more}",
        SESSION.as_millis(),
    );
    fs::write(&file, text).expect("the directory is ours");
    file
}

fn stderr(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.stderr"))
}

pub(super) fn start_broker(directory: &Path) -> Hub {
    Hub::start(directory, "broker", &["broker.group.min.session.timeout.ms=1000"])
}

pub(super) fn source(file: &Path, topic: &str) -> Value {
    json!({
        "connector.class": "FileStreamSource",
        "tasks.max": "1",
        "file": file,
        "topic": topic,
        "key.converter": STRING,
        "value.converter": STRING,
    })
}

fn sink(topic: &str, file: &Path) -> Value {
    json!({
        "connector.class": "FileStreamSink",
        "tasks.max": "1",
        "topics": topic,
        "file": file,
        "key.converter": STRING,
        "value.converter": STRING,
    })
}

/// Waits until all connectors and their single tasks run, and gives who has what.
pub(super) fn until_all_run(worker: &Worker, names: &[String], by: &[&Worker]) -> BTreeMap<String, String> {
    let ids: BTreeSet<String> = by.iter().map(|worker| worker.id()).collect();
    eventually(&format!("all run, by {ids:?}"), || {
        let running = worker.running(names);
        let owners: BTreeSet<String> = running.values().cloned().collect();
        (running.len() == 2 * names.len() && owners == ids).then_some(running)
    })
}

/// What the only partition of a topic holds.
fn values(hub: &Hub, topic: &str) -> Vec<String> {
    let records = read_all(&hub.bootstrap(), topic, 1);
    records.iter().map(|record| record.text().to_owned()).collect()
}

/// Lines of sources arrive in their topics.
pub(super) fn until_lines(hub: &Hub, topic: &str, lines: &[String]) {
    eventually(&format!("{} lines in {topic}", lines.len()), || {
        let found: BTreeSet<String> = values(hub, topic).into_iter().collect();
        lines.iter().all(|line| found.contains(line)).then_some(())
    });
}

pub(super) fn append(file: &Path, lines: &[String]) {
    use std::io::Write as _;
    let mut file = fs::File::options()
        .create(true)
        .append(true)
        .open(file)
        .expect("it can be opened");
    file.write_all(format!("{}\n", lines.join("\n")).as_bytes())
        .expect("it can be written");
}

#[test]
fn what_a_killed_worker_had_runs_elsewhere_and_requests_find_their_way() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = start_broker(directory.path());
    let workers = ["a", "b"].map(|name| Worker::start(directory.path(), &hub, name));
    let names: Vec<String> = (0..4).map(|number| format!("c{number}")).collect();
    let file = |name: &str| -> PathBuf { directory.path().join(name) };
    for (number, name) in names.iter().enumerate() {
        create_topic(&hub.bootstrap(), name, 1);
        append(&file(name), &numbered("line", 0..10));
        // One of them is not the leader.
        workers[number % 2].create(name, &source(&file(name), name));
    }
    let [a, mut b] = workers;
    let running = until_all_run(&a, &names, &[&a, &b]);
    let of_b = running.values().filter(|owner| **owner == b.id()).count();
    assert_eq!(of_b, names.len(), "two connectors and two tasks: {running:?}");
    for name in &names {
        until_lines(&hub, name, &numbered("line", 0..10));
        // Whoever is asked, the owner restarts it.
        for worker in [&a, &b] {
            let answer = worker.call("POST", &format!("/connectors/{name}/tasks/0/restart"), None);
            assert_eq!(answer.status, 204, "{answer:?}");
            let path = format!("/connectors/{name}/restart?includeTasks=true");
            assert_eq!(worker.call("POST", &path, None).status, 202);
        }
    }
    until_all_run(&b, &names, &[&a, &b]);
    let unsigned = b.call("POST", "/connectors/c0/tasks", Some(&json!([])));
    assert_eq!(unsigned.status, 400, "{unsigned:?}");
    // Finding 10 of the review of 22 November: what one worker sends to another may be longer than what users send.
    let long = json!([{ "long": "x".repeat(11 << 20) }]);
    let unsigned = b.call("POST", "/connectors/c0/tasks", Some(&long));
    assert_eq!(unsigned.status, 400, "{unsigned:?}");
    b.process.kill();
    let killed = Instant::now();
    within(SESSION + TAKE_OVER, "a has everything", || {
        let running = a.running(&names);
        let is_all = running.len() == 2 * names.len() && running.values().all(|owner| *owner == a.id());
        is_all.then_some(())
    });
    assert!(killed.elapsed() < SESSION + TAKE_OVER);
    for name in &names {
        append(&file(name), &numbered("more", 0..10));
        until_lines(&hub, name, &numbered("more", 0..10));
    }
    // A third gets its share without the others stopping.
    let c = Worker::start(directory.path(), &hub, "c");
    until_all_run(&c, &names, &[&a, &c]);
}

#[test]
fn a_stopped_worker_that_goes_on_has_nothing_that_others_have() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = start_broker(directory.path());
    let [a, b] = ["a", "b"].map(|name| Worker::start(directory.path(), &hub, name));
    let names: Vec<String> = (0..2).map(|number| format!("s{number}")).collect();
    let file = |name: &str| -> PathBuf { directory.path().join(format!("{name}.out")) };
    for name in &names {
        create_topic(&hub.bootstrap(), name, 1);
        a.create(name, &sink(name, &file(name)));
    }
    until_all_run(&a, &names, &[&a, &b]);
    let values = numbered("value", 0..30);
    let until_written = |count: usize| {
        for name in &names {
            let expected = format!("{}\n", values[..count].join("\n"));
            let mut found = String::new();
            within(
                Duration::from_secs(30),
                &format!("{count} lines in {name}"),
                || {
                    found = fs::read_to_string(file(name)).unwrap_or_default();
                    (found.len() >= expected.len()).then_some(())
                },
            );
            assert_eq!(found, expected, "{name}");
        }
    };
    let produce = |range: std::ops::Range<usize>| {
        for name in &names {
            produce_values(&hub.bootstrap(), name, Some(0), &values[range.clone()], &[]);
        }
    };
    produce(0..10);
    until_written(10);
    let committed = |name: &str| {
        let answer = a.call("GET", &format!("/connectors/{name}/offsets"), None);
        answer.json()["offsets"][0]["offset"]["kafka_offset"].as_i64()
    };
    for name in &names {
        eventually("offsets are committed", || {
            (committed(name) == Some(10)).then_some(())
        });
    }
    b.signal(Signal::STOP);
    within(SESSION + TAKE_OVER, "a has everything", || {
        let running = a.running(&names);
        let is_all = running.len() == 2 * names.len() && running.values().all(|owner| *owner == a.id());
        is_all.then_some(())
    });
    // The file of the sink that b had is locked by it, stopped or not: nobody writes there before it goes on and lets it go.
    produce(10..20);
    b.signal(Signal::CONT);
    until_written(20);
    until_all_run(&a, &names, &[&a, &b]);
    produce(20..30);
    until_written(30);
}

#[test]
fn the_hubs_worker_goes_on_at_once_after_a_kill() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut hub = Hub::start(directory.path(), "broker,connect", &[]);
    create_topic(&hub.bootstrap(), "t", 1);
    let file = directory.path().join("in");
    append(&file, &numbered("line", 0..10));
    super::create(&hub, "c", &source(&file, "t"));
    until_lines(&hub, "t", &numbered("line", 0..10));
    hub.process().kill();
    append(&file, &numbered("more", 0..10));
    hub.restart();
    let ready = Instant::now();
    until_lines(&hub, "t", &numbered("more", 0..10));
    // Kafka's session of ten seconds has not passed, nor half of it.
    assert!(ready.elapsed() < Duration::from_secs(5), "{:?}", ready.elapsed());
}

#[test]
fn a_worker_alone_keeps_its_offsets_in_a_file() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = Hub::broker(directory.path());
    create_topic(&hub.bootstrap(), "t", 1);
    let (file, worker) = (
        directory.path().join("in"),
        directory.path().join("worker.properties"),
    );
    let offsets = directory.path().join("connect.offsets");
    let text = format!(
        "bootstrap.servers={}\noffset.storage.file.filename={}\nlisteners=http://127.0.0.1:0\noffset.flush.interval.ms=100\n",
        hub.bootstrap(),
        offsets.display()
    );
    fs::write(&worker, text).expect("the directory is ours");
    let connector = directory.path().join("source.properties");
    let keys = format!(
        "name=c\nconnector.class=FileStreamSource\nfile={}\ntopic=t\nkey.converter={STRING}\nvalue.converter={STRING}\n",
        file.display()
    );
    fs::write(&connector, keys).expect("the directory is ours");
    let arguments = [
        "connect-standalone".to_owned(),
        worker.display().to_string(),
        connector.display().to_string(),
    ];
    append(&file, &numbered("line", 0..10));
    for round in 1..3 {
        let mut worker = Worker::run(directory.path(), "alone", &arguments);
        let all = numbered("line", 0..round * 10);
        until_lines(&hub, "t", &all);
        assert_eq!(worker.call("GET", "/connectors", None).json(), json!(["c"]));
        assert!(worker.process.terminate().success());
        assert_eq!(values(&hub, "t"), all, "no line twice");
        append(&file, &numbered("line", round * 10..(round + 1) * 10));
    }
    let saved = fs::read(&offsets).expect("it is there");
    assert_eq!(&saved[..4], [0xac, 0xed, 0, 5], "as Java writes it");
}
