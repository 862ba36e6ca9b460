//! The schema registry: register, fetch, look up, check, delete; and all of it after a kill.

use serde_json::{Value, json};

use super::{get, send};
use crate::process::Hub;

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
