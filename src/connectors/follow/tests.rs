use serde_json::json;

use super::*;
use crate::connectors::figures::Task;

fn connectors() -> BTreeMap<String, Connector> {
    let connector = |kind: &str, tasks: &[&str]| {
        let tasks = tasks.iter().enumerate();
        let tasks: Vec<_> = tasks
            .map(|(id, state)| json!({ "id": id, "state": state, "worker_id": "w:1", "trace": "no room" }))
            .collect();
        json!({
            "info": { "config": {}, "type": kind },
            "status": { "connector": { "state": "RUNNING", "worker_id": "w:1" }, "tasks": tasks },
        })
    };
    let all = json!({
        "files": connector("source", &["RUNNING"]),
        "orders": connector("source", &["RUNNING", "PAUSED"]),
        "endless": connector("source", &["RUNNING"]),
        "broken": connector("source", &["FAILED"]),
        "lake": connector("sink", &["RUNNING"]),
    });
    serde_json::from_value(all).expect("as workers answer")
}

fn far(done: f64, whole: f64, is_bytes: bool, active: f64) -> Task {
    Task {
        rate: Some(1500.0),
        active: Some(active),
        progress: Some(Progress {
            done,
            whole,
            is_bytes,
        }),
        ..Task::default()
    }
}

fn figures() -> Figures {
    Figures::from([
        (("files".to_owned(), 0), far(100.0, 100.0, true, 3.0)),
        (("orders".to_owned(), 0), far(100.0, 100.0, false, 0.0)),
        (("orders".to_owned(), 1), far(29.0, 100.0, false, 0.0)),
        (("endless".to_owned(), 0), Task::default()),
    ])
}

fn look(figures: &Figures, names: &[&str]) -> anyhow::Result<Look> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    Look::at(&connectors(), figures, &names, &mut Seen::new())
}

#[test]
fn what_has_an_end_is_done_once_it_is_acknowledged() {
    let mut figures = figures();
    let all = look(&figures, &[]).expect("looked at");
    let parts = all.parts.iter().map(|part| (part.name.as_str(), part.is_done));
    let expected = [("files", false), ("orders-0", true), ("orders-1", false)];
    assert_eq!(parts.collect::<Vec<_>>(), expected);
    assert!(all.silent.is_empty() && all.failures.is_empty() && !all.is_done());

    assert!(
        !look(&figures, &["files"]).expect("looked at").is_done(),
        "three are on their way"
    );
    figures.insert(("files".to_owned(), 0), far(100.0, 100.0, true, 0.0));
    assert!(look(&figures, &["files"]).expect("looked at").is_done());
    assert!(!Look::default().is_done(), "nothing is no end");
}

#[test]
fn what_was_seen_is_followed_until_it_is_done() {
    let mut seen = Seen::new();
    let mut look = |figures: &Figures| {
        let looked = Look::at(&connectors(), figures, &[], &mut seen);
        looked.expect("looked at")
    };
    let (files, broken) = (("files".to_owned(), 0), ("broken".to_owned(), 0));
    let done = (files.clone(), far(100.0, 100.0, true, 0.0));
    // Nobody has asked for what has failed before.
    assert!(look(&Figures::from([done.clone()])).is_done());
    let all = [done.clone(), (broken, far(7.0, 100.0, true, 0.0))];
    assert_eq!(look(&Figures::from(all)).parts.len(), 2);
    let failed = look(&Figures::from([done]));
    assert_eq!(failed.failures, ["task 0 of broken has failed: no room"]);
    // One that is started again says nothing yet.
    let started = look(&Figures::new());
    assert_eq!(
        (started.silent, started.parts.len()),
        (vec!["files".to_owned()], 0)
    );
}

#[test]
fn what_has_no_end_is_waited_for_if_it_was_named() {
    let named = look(&figures(), &["endless", "files"]).expect("looked at");
    assert_eq!(named.silent, ["endless"]);
    assert!(says_nothing(&named).starts_with("endless does not say how far it is."));
    let broken = look(&figures(), &["broken"]).expect("looked at");
    assert_eq!(broken.failures, ["task 0 of broken has failed: no room"]);
    let sink = look(&figures(), &["lake"]).expect_err("it is a sink");
    assert_eq!(sink.to_string(), "lake is a sink: what it reads has no end");
    let unknown = look(&figures(), &["file"]).expect_err("it is not there");
    assert!(
        unknown.to_string().starts_with("there is no connector file;"),
        "{unknown}"
    );
}

#[test]
fn a_part_is_told_in_a_line() {
    let part = |done, whole, is_bytes, state: &str| Part {
        name: "p".to_owned(),
        state: state.to_owned(),
        progress: Progress {
            done,
            whole,
            is_bytes,
        },
        rate: Some(145_000.0),
        is_done: done == whole,
    };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    for (part, left, expected) in [
        (
            part(12e6, 30e6, true, "RUNNING"),
            seconds(12),
            " 40%  11.4 of 28.6 MiB  145,000 records/s  12 s left",
        ),
        (
            part(0.0, 30.0, true, "RUNNING"),
            None,
            "  0%  0 of 30 bytes  145,000 records/s",
        ),
        (
            part(99_999.0, 100_000.0, false, "RUNNING"),
            seconds(100),
            " 99%  99,999 of 100,000 records  145,000 records/s  2 min left",
        ),
        (
            part(5.0, 5.0, false, "RUNNING"),
            None,
            "100%  5 of 5 records  done",
        ),
        (part(0.0, 0.0, true, "RUNNING"), None, "100%  0 of 0 bytes  done"),
        (
            part(1.0, 5.0, false, "PAUSED"),
            seconds(1),
            " 20%  1 of 5 records  PAUSED",
        ),
    ] {
        assert_eq!(bars::text(&part, left), expected);
    }
}
