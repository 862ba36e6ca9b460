//! The schema registry: register, fetch, look up, check, delete; and all of it after a kill, and after its topic was compacted.

use serde_json::{Value, json};

use super::{get, send};
use crate::process::{Hub, eventually};

const JSON: &[(&str, &str)] = &[("content-type", "application/vnd.schemaregistry.v1+json")];

fn call(hub: &Hub, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let answer = send(hub, (method, "registry", path), JSON, Some(&body.to_string()));
    (answer.status, answer.json())
}

fn schema(fields: &Value) -> Value {
    json!({ "schema": json!({ "type": "record", "name": "Line", "fields": fields }).to_string() })
}

#[test]
fn schemas_are_registered_found_checked_and_deleted() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut hub = Hub::start(directory.path(), "broker,registry", &[]);
    let text = json!({ "name": "text", "type": "string" });
    let first = schema(&json!([text]));
    let wider = schema(&json!([text, { "name": "number", "type": "int", "default": 0 }]));
    let breaking = schema(&json!([text, { "name": "number", "type": "int" }]));
    let (status, registered) = call(&hub, "POST", "/subjects/lines-value/versions", &first);
    assert_eq!((status, &registered["id"]), (200, &json!(1)), "{registered}");
    // The same again, and under another subject: the same id.
    assert_eq!(
        call(&hub, "POST", "/subjects/lines-value/versions", &first).1["id"],
        1
    );
    assert_eq!(
        call(&hub, "POST", "/subjects/others-value/versions", &first).1["id"],
        1
    );
    let check = "/compatibility/subjects/lines-value/versions/latest";
    assert_eq!(call(&hub, "POST", check, &wider).1["is_compatible"], true);
    assert_eq!(call(&hub, "POST", check, &breaking).1["is_compatible"], false);
    let (status, refused) = call(&hub, "POST", "/subjects/lines-value/versions", &breaking);
    assert_eq!(
        (status, &refused["error_code"]),
        (409, &json!(40901)),
        "{refused}"
    );
    assert_eq!(
        call(&hub, "POST", "/subjects/lines-value/versions", &wider).1["id"],
        2
    );
    let (status, level) = call(
        &hub,
        "PUT",
        "/config/lines-value",
        &json!({ "compatibility": "NONE" }),
    );
    assert_eq!((status, level), (200, json!({ "compatibility": "NONE" })));
    assert_eq!(
        call(&hub, "POST", "/subjects/lines-value/versions", &breaking).1["id"],
        3
    );
    assert_eq!(
        call(&hub, "POST", "/subjects/lines-value", &wider).1["version"],
        2
    );
    mistakes_have_confluents_codes(&hub);
    assert_eq!(
        call(&hub, "DELETE", "/subjects/others-value", &json!({})).1,
        json!([1])
    );
    hub.process().kill();
    hub.restart();
    assert_eq!(get(&hub, "registry", "/subjects").ok(), json!(["lines-value"]));
    assert_eq!(
        get(&hub, "registry", "/subjects?deleted=true").ok(),
        json!(["lines-value", "others-value"])
    );
    assert_eq!(
        get(&hub, "registry", "/subjects/lines-value/versions").ok(),
        json!([1, 2, 3])
    );
    assert_eq!(
        get(&hub, "registry", "/config/lines-value").ok(),
        json!({ "compatibilityLevel": "NONE" })
    );
    let by_id = get(&hub, "registry", "/schemas/ids/2").ok();
    let found: Value = serde_json::from_str(by_id["schema"].as_str().expect("text")).expect("JSON");
    let sent: Value = serde_json::from_str(wider["schema"].as_str().expect("text")).expect("JSON");
    assert_eq!(found, sent);
    // Ids go on where they were.
    let another = json!({ "schema": "\"string\"" });
    assert_eq!(
        call(&hub, "POST", "/subjects/more-value/versions", &another).1["id"],
        4
    );
}

fn mistakes_have_confluents_codes(hub: &Hub) {
    let bad = json!({ "schema": "{\"type\": \"strung\"}" });
    let (status, answer) = call(hub, "POST", "/subjects/lines-value/versions", &bad);
    assert_eq!((status, &answer["error_code"]), (422, &json!(42201)), "{answer}");
    for (path, code) in [
        ("/subjects/nowhere/versions", 40401),
        ("/subjects/lines-value/versions/9", 40402),
        ("/schemas/ids/99", 40403),
    ] {
        let answer = get(hub, "registry", path);
        assert_eq!(
            (answer.status, &answer.json()["error_code"]),
            (404, &json!(code)),
            "{path}"
        );
    }
}

/// How often the log of the registry's topic has a level of compatibility of the subject `toggled`.
fn levels_in_log(hub: &Hub) -> usize {
    const KEY: &[u8] = br#""keytype":"CONFIG","subject":"toggled""#;
    let files = std::fs::read_dir(hub.partition_dir("_schemas", 0)).expect("the folder is there");
    let logs = files.filter_map(|file| {
        let path = file.ok()?.path();
        // It may be replaced at this moment.
        path.extension()
            .is_some_and(|kind| kind == "log")
            .then(|| std::fs::read(path).ok())?
    });
    logs.map(|bytes| bytes.windows(KEY.len()).filter(|window| *window == KEY).count())
        .sum()
}

/// The registry reads on while its topic is compacted under it, and has everything when it reads it anew.
#[test]
fn every_schema_outlives_the_compaction_of_its_topic() {
    const SUBJECTS: usize = 12;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let eager = [
        "broker.log.cleaner.backoff.ms=20",
        "broker.log.cleaner.min.cleanable.ratio=0",
        "broker.log.roll.ms=1",
    ];
    let mut hub = Hub::start(directory.path(), "broker,registry", &eager);
    let named = |number: usize| json!([{ "name": format!("field{number}"), "type": "string" }]);
    let check = |hub: &Hub, count: usize| {
        for number in 0..count {
            let by_id = get(hub, "registry", &format!("/schemas/ids/{}", number + 1)).ok();
            assert_eq!(by_id, schema(&named(number)), "{number}");
            let latest = get(hub, "registry", &format!("/subjects/s{number}/versions/latest")).ok();
            assert_eq!(latest["id"], json!(number + 1));
        }
        let level = get(hub, "registry", "/config/toggled").ok();
        assert_eq!(level, json!({ "compatibilityLevel": "FULL" }));
    };
    for number in 0..SUBJECTS {
        let path = format!("/subjects/s{number}/versions");
        let (status, answer) = call(&hub, "POST", &path, &schema(&named(number)));
        assert_eq!((status, &answer["id"]), (200, &json!(number + 1)), "{answer}");
        for level in ["NONE", "FULL"] {
            let (status, _) = call(&hub, "PUT", "/config/toggled", &json!({ "compatibility": level }));
            assert_eq!(status, 200);
        }
    }
    let compacted = |hub: &Hub| {
        eventually("the topic is compacted", || {
            (levels_in_log(hub) <= 2).then_some(())
        });
    };
    compacted(&hub);
    check(&hub, SUBJECTS);
    hub.process().kill();
    hub.restart();
    check(&hub, SUBJECTS);
    // It writes on where it was, and is compacted again.
    let path = format!("/subjects/s{SUBJECTS}/versions");
    assert_eq!(
        call(&hub, "POST", &path, &schema(&named(SUBJECTS))).1["id"],
        SUBJECTS + 1
    );
    for level in ["NONE", "FULL", "NONE", "FULL"] {
        call(&hub, "PUT", "/config/toggled", &json!({ "compatibility": level }));
    }
    compacted(&hub);
    assert!(hub.process().terminate().success());
    hub.restart();
    check(&hub, SUBJECTS + 1);
}
