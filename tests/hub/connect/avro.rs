//! Avro from end to end: records that came through the REST proxy with their schema become typed Parquet columns, and what a
//! source writes has its schema in the registry. The registry is named as Confluent's users name it, or not at all.

use std::fs;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use super::{create, parquet_sink, until_states};
use crate::crash::check::file_names;
use crate::librdkafka::{create_topic, read_all};
use crate::process::{Hub, eventually};
use crate::rest::{get, send};

const AVRO: &str = "io.confluent.connect.avro.AvroConverter";
const RECORDS: usize = 20;

fn order(number: usize) -> Value {
    let note = match number % 2 {
        0 => json!({ "string": format!("note {number}") }),
        _ => Value::Null,
    };
    json!({
        "id": number,
        "price": number as f64 + 0.25,
        "item": format!("item {number}"),
        "gift": number.is_multiple_of(3),
        "note": note,
        "at": 1_700_000_000_000_i64 + number as i64,
        "tags": ["a", format!("tag {number}")],
        "state": if number.is_multiple_of(2) { "PAID" } else { "OPEN" },
    })
}

/// Produces orders through the REST proxy, their schema with them.
fn produce_orders(hub: &Hub) {
    create_topic(&hub.bootstrap(), "orders", 1);
    let schema = json!({
        "type": "record",
        "name": "Order",
        "namespace": "shop",
        "fields": [
            { "name": "id", "type": "long" },
            { "name": "price", "type": "double" },
            { "name": "item", "type": "string" },
            { "name": "gift", "type": "boolean" },
            { "name": "note", "type": ["null", "string"], "default": null },
            { "name": "at", "type": { "type": "long", "logicalType": "timestamp-millis" } },
            { "name": "tags", "type": { "type": "array", "items": "string" } },
            { "name": "state", "type": { "type": "enum", "name": "State", "symbols": ["OPEN", "PAID"] } },
        ],
    });
    let records: Vec<Value> = (0..RECORDS)
        .map(|number| json!({ "value": order(number) }))
        .collect();
    let body = json!({ "value_schema": schema.to_string(), "records": records });
    let kind = [("content-type", "application/vnd.kafka.avro.v2+json")];
    let produced = send(
        hub,
        ("POST", "rest", "/topics/orders"),
        &kind,
        Some(&body.to_string()),
    );
    let produced = produced.ok();
    let offsets = produced["offsets"].as_array().expect("a list");
    assert!(
        offsets.len() == RECORDS && offsets.iter().all(|it| it["error_code"].is_null()),
        "{produced}"
    );
}

fn avro_sink(store: &Path, more: &[(&str, &str)]) -> Value {
    let mut config = parquet_sink("orders", store);
    let object = config.as_object_mut().expect("an object");
    object.remove("value.converter");
    for (key, value) in more {
        object.insert((*key).to_owned(), json!(value));
    }
    config
}

/// The batches below `store`, in the order of their offsets, once all orders are there.
fn stored_orders(store: &Path) -> Vec<RecordBatch> {
    eventually(&format!("the orders in {}", store.display()), || {
        let mut files = file_names(&store.join("topics").join("orders"), "orders");
        files.sort_by_key(|(_, place)| *place);
        let batches: Vec<RecordBatch> = files
            .iter()
            .flat_map(|(path, _)| {
                let file = fs::File::open(path).expect("a file that is listed");
                let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet");
                reader
                    .build()
                    .expect("Parquet")
                    .map(|batch| batch.expect("sound"))
            })
            .collect();
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        (rows >= RECORDS).then_some(batches)
    })
}

/// Every column has its own type, and every value is there once and in order.
fn check_orders(batches: &[RecordBatch]) {
    let mut number = 0;
    for batch in batches {
        let column = |name: &str| {
            let found = batch.column_by_name(name);
            found
                .unwrap_or_else(|| panic!("no {name} in {:?}", batch.schema()))
                .as_ref()
        };
        // Each of these panics unless the column is of that type.
        let (ids, prices) = (
            column("id").as_primitive::<Int64Type>(),
            column("price").as_primitive::<Float64Type>(),
        );
        let (items, notes) = (
            column("item").as_string::<i32>(),
            column("note").as_string::<i32>(),
        );
        let (gifts, states) = (column("gift").as_boolean(), column("state").as_string::<i32>());
        let at = column("at").as_primitive::<TimestampMillisecondType>();
        let tags = column("tags").as_list::<i32>();
        for row in 0..batch.num_rows() {
            let order = order(number);
            assert_eq!(ids.value(row), order["id"].as_i64().expect("a number"));
            assert_eq!(prices.value(row).to_string(), order["price"].to_string());
            assert_eq!(items.value(row), order["item"]);
            assert_eq!(gifts.value(row), order["gift"]);
            assert_eq!(states.value(row), order["state"]);
            assert_eq!(at.value(row), order["at"].as_i64().expect("a number"));
            assert_eq!(notes.is_null(row), order["note"].is_null());
            if notes.is_valid(row) {
                assert_eq!(notes.value(row), order["note"]["string"]);
            }
            let of_row = tags.value(row);
            let of_row: Vec<&str> = of_row.as_string::<i32>().iter().flatten().collect();
            assert_eq!(json!(of_row), order["tags"]);
            number += 1;
        }
    }
    assert_eq!(number, RECORDS);
}

#[test]
fn avro_of_the_rest_proxy_becomes_typed_columns() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = Hub::start(directory.path(), "broker,registry,rest,connect", &[]);
    produce_orders(&hub);
    let url = hub.url("registry", "");
    let with_url = [
        ("value.converter", AVRO),
        ("value.converter.schema.registry.url", url.as_str()),
    ];
    let (unnamed, named) = (directory.path().join("unnamed"), directory.path().join("named"));
    // Without a word of a registry it is the hub's own.
    create(
        &hub,
        "unnamed",
        &avro_sink(&unnamed, &[("value.converter", "AvroConverter")]),
    );
    create(&hub, "named", &avro_sink(&named, &with_url));
    for (name, store) in [("unnamed", unnamed), ("named", named)] {
        until_states(&hub, name, "RUNNING: RUNNING");
        check_orders(&stored_orders(&store));
    }
}

/// A file source with the worker's converter.
fn source(directory: &Path, topic: &str) -> Value {
    let file = directory.join(format!("{topic}.txt"));
    fs::write(&file, "one\ntwo\n").expect("a file");
    json!({ "connector.class": "FileStreamSource", "file": file, "topic": topic })
}

/// What the subject of a topic's values has, and that the records name it.
fn check_lines(hub: &Hub, registry: &Hub, topic: &str) {
    let records = eventually("the lines", || {
        let records = read_all(&hub.bootstrap(), topic, 1);
        (records.len() == 2).then_some(records)
    });
    let version = get(
        registry,
        "registry",
        &format!("/subjects/{topic}-value/versions/1"),
    )
    .ok();
    assert_eq!(version["schema"], "\"string\"", "{version}");
    let id = u32::try_from(version["id"].as_u64().expect("an id")).expect("small");
    for (record, line) in records.iter().zip(["one", "two"]) {
        let mut expected = vec![0];
        expected.extend(id.to_be_bytes());
        expected.push(6); // A length of three.
        expected.extend(line.as_bytes());
        assert_eq!(record.value.as_ref(), Some(&expected));
    }
}

#[test]
fn a_source_registers_what_it_writes_and_the_worker_may_name_everything() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (first, second) = (directory.path().join("first"), directory.path().join("second"));
    for one in [&first, &second] {
        fs::create_dir(one).expect("a folder");
    }
    let converter = format!("connect.value.converter={AVRO}");
    // The worker's default converter, and nobody names a registry: the hub's own.
    let own = Hub::start(&first, "broker,registry,rest,connect", &[&converter]);
    produce_orders(&own);
    create_topic(&own.bootstrap(), "lines", 1);
    create(&own, "source", &source(&first, "lines"));
    check_lines(&own, &own, "lines");
    let store = first.join("store");
    create(&own, "sink", &avro_sink(&store, &[]));
    check_orders(&stored_orders(&store));

    // The worker names another registry than the hub's own.
    let url = format!(
        "connect.value.converter.schema.registry.url={}",
        own.url("registry", "")
    );
    let other = Hub::start(&second, "broker,registry,connect", &[&converter, &url]);
    create_topic(&other.bootstrap(), "elsewhere", 1);
    create(&other, "source", &source(&second, "elsewhere"));
    check_lines(&other, &own, "elsewhere");
    assert_eq!(get(&other, "registry", "/subjects").ok(), json!([]));
}
