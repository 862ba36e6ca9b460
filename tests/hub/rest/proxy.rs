//! The REST proxy, v2: records in through `POST /topics`, out through a consumer instance, in all three formats; and what librdkafka
//! sees of them.

use serde_json::{Value, json};

use super::send;
use crate::librdkafka::{create_topic, read_all};
use crate::process::{Hub, eventually};

/// Format, topic, and the records that go in and come out.
fn rounds() -> [(&'static str, &'static str, Value); 3] {
    [
        (
            "json",
            "json-lines",
            json!({ "records": [
                { "key": "a", "value": { "word": "épée", "count": 1, "nested": [1, 2.5, null, true] } },
                { "value": "text", "partition": 1 },
                { "key": null, "value": 17 },
            ] }),
        ),
        (
            "binary",
            "binary-lines",
            json!({ "records": [{ "key": "AAEC/w==", "value": "S2Fma2E=" }, { "value": "", "partition": 0 }] }),
        ),
        (
            "avro",
            "avro-lines",
            json!({
                "key_schema": "\"string\"",
                "value_schema": "{\"type\":\"record\",\"name\":\"Line\",\"fields\":[{\"name\":\"text\",\"type\":\"string\"},{\"name\":\"number\",\"type\":[\"null\",\"long\"]}]}",
                "records": [
                    { "key": "k", "value": { "text": "one", "number": { "long": 1 } } },
                    { "key": "k", "value": { "text": "none", "number": null } },
                ],
            }),
        ),
    ]
}

fn call(hub: &Hub, request: (&str, &str), format: &str, body: &Value) -> Value {
    let (method, path) = request;
    let kind = match format {
        "" => "application/vnd.kafka.v2+json".to_owned(),
        format => format!("application/vnd.kafka.{format}.v2+json"),
    };
    let text = body.to_string();
    let body = (method != "GET").then_some(text.as_str());
    let headers = [("content-type", kind.as_str()), ("accept", kind.as_str())];
    let headers = if body.is_some() {
        &headers[..1]
    } else {
        &headers[1..]
    };
    send(hub, (method, "rest", path), headers, body).ok()
}

#[test]
fn records_of_every_format_come_back_through_a_consumer_instance() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = Hub::start(directory.path(), "broker,registry,rest", &[]);
    for (format, topic, sent) in rounds() {
        create_topic(&hub.bootstrap(), topic, 2);
        let produced = call(&hub, ("POST", &format!("/topics/{topic}")), format, &sent);
        let offsets = produced["offsets"].as_array().expect("a list");
        let records = sent["records"].as_array().expect("a list");
        assert_eq!(offsets.len(), records.len(), "{produced}");
        for it in offsets {
            assert!(it["offset"].is_i64() && it["error_code"].is_null(), "{produced}");
        }
        let group = format!("/consumers/{format}-group");
        let create = json!({ "name": "one", "format": format, "auto.offset.reset": "earliest" });
        let created = call(&hub, ("POST", &group), "", &create);
        assert_eq!(created["instance_id"], "one");
        let instance = format!("{group}/instances/one");
        call(
            &hub,
            ("POST", &format!("{instance}/subscription")),
            "",
            &json!({ "topics": [topic] }),
        );
        let mut read: Vec<Value> = Vec::new();
        eventually("all records are read", || {
            let some = call(
                &hub,
                ("GET", &format!("{instance}/records?timeout=1000")),
                format,
                &Value::Null,
            );
            read.extend(some.as_array().expect("a list").iter().cloned());
            (read.len() >= records.len()).then_some(())
        });
        for (record, place) in records.iter().zip(offsets) {
            let found = read
                .iter()
                .find(|it| it["partition"] == place["partition"] && it["offset"] == place["offset"]);
            let found = found.unwrap_or_else(|| panic!("{place} is not in {read:?}"));
            assert_eq!(found["topic"], topic);
            assert_eq!(found["value"], record["value"], "{format}");
            assert_eq!(
                found["key"],
                record.get("key").cloned().unwrap_or_default(),
                "{format}"
            );
        }
        assert_eq!(read.len(), records.len(), "{format}: once each");
        call(&hub, ("DELETE", &instance), "", &json!({}));
    }
    // The bytes in the topics: as they were, and in Confluent's wire format.
    let binary = read_all(&hub.bootstrap(), "binary-lines", 2);
    assert!(
        binary
            .iter()
            .any(|it| it.key.as_deref() == Some(&[0, 1, 2, 255]) && it.text() == "Kafka")
    );
    for record in read_all(&hub.bootstrap(), "avro-lines", 2) {
        let value = record.value.expect("a value");
        assert_eq!(value[..1], [0], "the magic byte");
    }
}

#[test]
fn mistakes_have_confluents_codes() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = Hub::start(directory.path(), "broker,registry,rest", &[]);
    create_topic(&hub.bootstrap(), "known", 1);
    let json_type = "application/vnd.kafka.json.v2+json";
    let binary_type = "application/vnd.kafka.binary.v2+json";
    let cases = [
        (
            "POST",
            "/topics/known",
            json_type,
            "{\"records\": [",
            400,
            Some(40002),
        ),
        (
            "POST",
            "/topics/known",
            binary_type,
            "{\"records\":[{\"value\":\"%%%\"}]}",
            422,
            None,
        ),
        ("GET", "/topics/nowhere", json_type, "", 404, Some(40401)),
        (
            "GET",
            "/consumers/none/instances/none/records",
            json_type,
            "",
            404,
            Some(40403),
        ),
        ("GET", "/nowhere", json_type, "", 404, Some(404)),
    ];
    for (method, path, kind, body, status, code) in cases {
        let body = (!body.is_empty()).then_some(body);
        let name = if body.is_some() { "content-type" } else { "accept" };
        let answer = send(&hub, (method, "rest", path), &[(name, kind)], body);
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        let found = &answer.json()["error_code"];
        assert!(found.is_i64(), "{answer:?}");
        if let Some(code) = code {
            assert_eq!(*found, json!(code), "{answer:?}");
        }
    }
}
