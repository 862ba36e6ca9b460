//! Connectors of the real binary: what is steered over REST, survives its process, speaks Avro, and gets over a broker that is
//! away.

mod avro;
mod away;
mod bounce;
mod cut;
mod evolved;
mod exactly_once;
#[cfg(target_os = "linux")]
mod files;
mod full;
mod http;
mod owners;
mod pasted;
mod paused;
mod rejected;
mod shown;
mod state_topics;
mod steered;
mod store_faults;
mod storm;
mod workers;

use std::path::Path;

use serde_json::{Value, json};

use crate::crash::check::{file_names, rows};
use crate::process::{Hub, eventually};
use crate::rest::{Answer, send};

pub(crate) const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";

/// A request with a JSON body, or none.
pub(crate) fn call(hub: &Hub, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let text = body.map(Value::to_string);
    let headers: &[(&str, &str)] = match body {
        Some(_) => &[("content-type", "application/json")],
        None => &[],
    };
    send(hub, (method, "connect", path), headers, text.as_deref())
}

/// `POST /connectors`, which must succeed.
pub(crate) fn create(hub: &Hub, name: &str, config: &Value) -> Value {
    let answer = call(
        hub,
        "POST",
        "/connectors",
        Some(&json!({ "name": name, "config": config })),
    );
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

/// The states of a connector and its tasks, such as `RUNNING: RUNNING`; empty while there are none.
pub(crate) fn states(hub: &Hub, name: &str) -> String {
    let answer = call(hub, "GET", &format!("/connectors/{name}/status"), None);
    if answer.status == 404 {
        return String::new();
    }
    let status = answer.ok();
    let state = |of: &Value| of["state"].as_str().expect("a state").to_owned();
    let tasks = status["tasks"].as_array().expect("a list").iter().map(state);
    let tasks: Vec<String> = tasks.collect();
    format!("{}: {}", state(&status["connector"]), tasks.join(" "))
}

/// Waits until a connector and its tasks are in these states.
pub(crate) fn until_states(hub: &Hub, name: &str, wanted: &str) {
    let mut last = String::new();
    let reached = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually(&format!("{name} is {wanted}"), || {
            last = states(hub, name);
            (last == wanted).then_some(())
        });
    }));
    if let Err(panic) = reached {
        let status = call(hub, "GET", &format!("/connectors/{name}/status"), None);
        panic!("{name} is {last}, not {wanted}: {status:?}\n{panic:?}");
    }
}

/// A sink of strings into Parquet files below `store`.
pub(crate) fn parquet_sink(topic: &str, store: &Path) -> Value {
    json!({
        "connector.class": "io.confluent.connect.s3.S3SinkConnector",
        "tasks.max": "1",
        "topics": topic,
        "store.url": format!("file://{}", store.display()),
        "format.class": "io.confluent.connect.s3.format.parquet.ParquetFormat",
        "flush.size": "1000",
        "rotate.schedule.interval.ms": "300",
        "timezone": "UTC",
        "key.converter": STRING,
        "value.converter": STRING,
    })
}

/// The rows below `store`, in the order of their offsets; panics if files overlap.
pub(crate) fn stored_rows(store: &Path, topic: &str) -> Vec<String> {
    let mut files = file_names(&store.join("topics").join(topic), topic);
    files.sort_by_key(|(_, place)| *place);
    for pair in files.windows(2) {
        let ((_, (partition, _, end)), (_, (next, start, _))) = (&pair[0], &pair[1]);
        assert!(partition != next || end < start, "{pair:?} overlap");
    }
    files.iter().flat_map(|(path, _)| rows(path)).collect()
}

/// `prefix 000`, `prefix 001`, …
pub(crate) fn numbered(prefix: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("{prefix} {number:03}")).collect()
}
