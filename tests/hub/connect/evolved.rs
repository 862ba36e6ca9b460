//! Schemas that change while records come (faults.md C9), from the topic to Parquet: fields that come and go, types that change, nulls of
//! unions, identifiers that nobody knows, and a registry that is away. Each way through the sink: raw Avro straight to columns,
//! and through the converter.

use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use super::rejected::{committed, trace};
use super::{call, create, parquet_sink, until_states};
use crate::crash::check::file_names;
use crate::librdkafka::{Record, create_topic, produce_values, read_all};
use crate::process::{Hub, eventually};
use crate::rest::send;

const AVRO: &str = "io.confluent.connect.avro.AvroConverter";

/// The way of records through the sink.
#[derive(Debug, Clone, Copy)]
enum Way {
    Raw,
    Converted,
}

const WAYS: [Way; 2] = [Way::Raw, Way::Converted];

/// Versions of one record: a field comes, a field goes, and a type changes to one that goes with no other.
const VERSIONS: [&str; 4] = [
    r#"[{"name":"id","type":"long"},{"name":"name","type":"string","default":"nobody"}]"#,
    r#"[{"name":"id","type":"long"},{"name":"name","type":"string","default":"nobody"},
        {"name":"mail","type":["null","string"],"default":null}]"#,
    r#"[{"name":"id","type":"long"},{"name":"mail","type":["null","string"],"default":null}]"#,
    r#"[{"name":"id","type":"string"},{"name":"mail","type":["null","string"],"default":null}]"#,
];

/// Registers a version of the record; gives its identifier.
fn register(registry: &Hub, topic: &str, fields: &str) -> u32 {
    let json_type = [("content-type", "application/vnd.schemaregistry.v1+json")];
    let ask = |method, path: &str, body: &Value| {
        send(
            registry,
            (method, "registry", path),
            &json_type,
            Some(&body.to_string()),
        )
        .ok()
    };
    ask("PUT", "/config", &json!({ "compatibility": "NONE" }));
    let schema = format!(r#"{{"type":"record","name":"R","fields":{fields}}}"#);
    let path = format!("/subjects/{topic}-value/versions");
    let answer = ask("POST", &path, &json!({ "schema": schema }));
    u32::try_from(answer["id"].as_u64().expect("an id")).expect("small")
}

/// What a field has.
#[derive(Debug, Clone, Copy)]
enum Field<'a> {
    Long(i64),
    Text(&'a str),
    /// Of a union with null.
    Some(&'a str),
    None,
}

/// A record in Confluent's format.
fn encode(id: u32, fields: &[Field<'_>]) -> Vec<u8> {
    fn long(out: &mut Vec<u8>, value: i64) {
        let mut left = (value << 1) ^ (value >> 63);
        while !(0..0x80).contains(&left) {
            out.push((left & 0x7f) as u8 | 0x80);
            left = (left as u64 >> 7) as i64;
        }
        out.push(left as u8);
    }
    fn text(out: &mut Vec<u8>, value: &str) {
        long(out, value.len() as i64);
        out.extend(value.as_bytes());
    }
    let mut out = vec![0];
    out.extend(id.to_be_bytes());
    for field in fields {
        match field {
            Field::Long(value) => long(&mut out, *value),
            Field::Text(value) => text(&mut out, value),
            Field::None => long(&mut out, 0),
            Field::Some(value) => {
                long(&mut out, 1);
                text(&mut out, value);
            }
        }
    }
    out
}

fn sink(topic: &str, store: &Path, way: Way, more: &[(&str, &str)]) -> Value {
    let mut config = parquet_sink(topic, store);
    let transform = [
        ("transforms", "header"),
        (
            "transforms.header.type",
            "org.apache.kafka.connect.transforms.InsertHeader",
        ),
        ("transforms.header.header", "h"),
        ("transforms.header.value.literal", "1"),
    ];
    let transform = match way {
        Way::Raw => &[][..],
        // With a transform there is a record of each value.
        Way::Converted => &transform,
    };
    for (key, value) in [("value.converter", AVRO)].iter().chain(transform).chain(more) {
        config[*key] = json!(value);
    }
    config
}

/// First and last offset of an object, and its rows, such as `id=1 name=a mail=-`.
type Object = (i64, i64, Vec<String>);

/// The objects of a topic's only partition, in their order.
fn objects(store: &Path, topic: &str) -> Vec<Object> {
    let mut files = file_names(&store.join("topics").join(topic), topic);
    files.sort_by_key(|(_, place)| *place);
    let objects = files.iter().map(|(path, (_, start, end))| {
        let file = std::fs::File::open(path).expect("a file that is listed");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet");
        let batches = reader.build().expect("Parquet");
        let rows = batches.flat_map(|batch| {
            let batch = batch.expect("sound");
            (0..batch.num_rows())
                .map(|row| describe(&batch, row))
                .collect::<Vec<_>>()
        });
        (*start, *end, rows.collect())
    });
    objects.collect()
}

fn describe(batch: &RecordBatch, row: usize) -> String {
    let schema = batch.schema();
    let fields = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| {
            let (numbers, texts) = (
                column.as_primitive_opt::<Int64Type>(),
                column.as_string_opt::<i32>(),
            );
            let value = match (numbers, texts) {
                _ if column.is_null(row) => "-".to_owned(),
                (Some(numbers), _) => numbers.value(row).to_string(),
                (_, Some(texts)) => format!("'{}'", texts.value(row)),
                _ => panic!("{field} is of none of the test's types"),
            };
            format!("{}={value}", field.name())
        });
    fields.collect::<Vec<_>>().join(" ")
}

/// Waits until so many rows are stored.
fn until_rows(store: &Path, topic: &str, count: usize) -> Vec<Object> {
    eventually(&format!("{count} rows in {}", store.display()), || {
        let objects = objects(store, topic);
        let rows: usize = objects.iter().map(|(_, _, rows)| rows.len()).sum();
        (rows >= count).then_some(objects)
    })
}

fn object(start: i64, rows: &[&str]) -> Object {
    let rows: Vec<String> = rows.iter().map(|row| (*row).to_owned()).collect();
    (start, start + rows.len() as i64 - 1, rows)
}

/// What becomes of eight records of four versions, by `schema.compatibility`.
fn expected(policy: &str) -> Vec<Object> {
    match policy {
        // The union of what goes together, missing fields with their defaults; what does not go with it begins the next object.
        "NONE" => vec![
            object(
                0,
                &[
                    "id=1 name='a' mail=-",
                    "id=2 name='b' mail=-",
                    "id=3 name='c' mail=-",
                    "id=4 name='d' mail='d@x'",
                    "id=5 name='nobody' mail='e@x'",
                    "id=6 name='f' mail=-",
                ],
            ),
            object(6, &["id='seven' mail=-", "id='eight' mail='h@x'"]),
        ],
        // A newer version begins the next object, in which an older record has the newer one's columns.
        "BACKWARD" => vec![
            object(0, &["id=1 name='a'", "id=2 name='b'"]),
            object(2, &["id=3 name='c' mail=-", "id=4 name='d' mail='d@x'"]),
            object(4, &["id=5 mail='e@x'", "id=6 mail=-"]),
            object(6, &["id='seven' mail=-", "id='eight' mail='h@x'"]),
        ],
        // All have the columns of the oldest, which the last two do not fit.
        "FORWARD" => vec![object(
            0,
            &[
                "id=1 name='a'",
                "id=2 name='b'",
                "id=3 name='c'",
                "id=4 name='d'",
                "id=5 name='nobody'",
                "id=6 name='f'",
            ],
        )],
        other => panic!("{other}"),
    }
}

#[test]
fn schemas_that_change_end_an_object_where_the_policy_says_so() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = Hub::start(directory.path(), "broker,registry,connect", &[]);
    create_topic(&hub.bootstrap(), "t", 1);
    let ids = VERSIONS.map(|fields| register(&hub, "t", fields));
    let records = [
        encode(ids[0], &[Field::Long(1), Field::Text("a")]),
        encode(ids[0], &[Field::Long(2), Field::Text("b")]),
        encode(ids[1], &[Field::Long(3), Field::Text("c"), Field::None]),
        encode(ids[1], &[Field::Long(4), Field::Text("d"), Field::Some("d@x")]),
        encode(ids[2], &[Field::Long(5), Field::Some("e@x")]),
        encode(ids[0], &[Field::Long(6), Field::Text("f")]),
        encode(ids[3], &[Field::Text("seven"), Field::None]),
        encode(ids[3], &[Field::Text("eight"), Field::Some("h@x")]),
    ];
    // All are there before the sinks are, so that no clock comes between them.
    produce_values(&hub.bootstrap(), "t", Some(0), &records, &[]);
    for policy in ["NONE", "BACKWARD", "FORWARD"] {
        for way in WAYS {
            let name = format!("{policy}-{way:?}");
            let store = directory.path().join(&name);
            let queue = format!("dead-{name}");
            let more = [
                ("schema.compatibility", policy),
                ("errors.tolerance", "all"),
                ("errors.deadletterqueue.topic.name", &queue),
            ];
            create(&hub, &name, &sink("t", &store, way, &more));
            let expected = expected(policy);
            let count = expected.iter().map(|(_, _, rows)| rows.len()).sum();
            let found = until_rows(&store, "t", count);
            eventually("everything is committed", || {
                (committed(&hub, &name) == Some(8)).then_some(())
            });
            assert_eq!(rows_of(&found), rows_of(&expected), "{name}");
            // The last range may go on over records that are in the queue.
            let starts = |objects: &[Object]| objects.iter().map(|(start, ..)| *start).collect::<Vec<_>>();
            assert_eq!(starts(&found), starts(&expected), "{name}");
            if policy == "FORWARD" {
                let letters = read_all(&hub.bootstrap(), &queue, 1);
                let letters: Vec<Vec<u8>> = letters.into_iter().filter_map(|it| it.value).collect();
                assert_eq!(letters, records[6..], "{name}: as they were");
            }
        }
    }
}

fn rows_of(objects: &[Object]) -> Vec<&[String]> {
    objects.iter().map(|(_, _, rows)| rows.as_slice()).collect()
}

#[test]
fn records_of_an_unknown_schema_go_to_the_queue_or_fail_the_task() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = Hub::start(directory.path(), "broker,registry,connect", &[]);
    create_topic(&hub.bootstrap(), "t", 1);
    let id = register(&hub, "t", VERSIONS[0]);
    let good = |number: i64| encode(id, &[Field::Long(number), Field::Text("x")]);
    let unknown = encode(id + 1000, &[Field::Long(2), Field::Text("x")]);
    let records = [good(1), unknown.clone(), good(3)];
    produce_values(&hub.bootstrap(), "t", Some(0), &records, &[]);
    for way in WAYS {
        let (tolerant, strict) = (format!("tolerant-{way:?}"), format!("strict-{way:?}"));
        let store = |name: &str| directory.path().join(name);
        let queue = format!("dead-{way:?}");
        let all = [
            ("errors.tolerance", "all"),
            ("errors.deadletterqueue.topic.name", queue.as_str()),
        ];
        create(&hub, &tolerant, &sink("t", &store(&tolerant), way, &all));
        let found = until_rows(&store(&tolerant), "t", 2);
        assert_eq!(
            rows_of(&found).concat(),
            ["id=1 name='x'", "id=3 name='x'"],
            "{way:?}"
        );
        eventually("everything is committed", || {
            (committed(&hub, &tolerant) == Some(3)).then_some(())
        });
        let letters = read_all(&hub.bootstrap(), &queue, 1);
        assert_eq!(letters.len(), 1, "{way:?}");
        assert_eq!(letters[0].value.as_ref(), Some(&unknown), "{way:?}: as it was");

        create(&hub, &strict, &sink("t", &store(&strict), way, &[]));
        until_states(&hub, &strict, "RUNNING: FAILED");
        let trace = trace(&hub, &strict);
        assert!(
            trace.contains("offset 1") && trace.contains(&(id + 1000).to_string()),
            "{trace}"
        );
        assert!(
            committed(&hub, &strict).unwrap_or_default() <= 1,
            "{way:?}: it is not passed"
        );
    }
}

/// A hub without a registry, and one in a process of its own.
fn start_apart(directory: &Path) -> (Hub, Hub) {
    let folder = |name: &str| {
        let folder = directory.join(name);
        std::fs::create_dir(&folder).expect("a folder");
        folder
    };
    let hub = Hub::start(&folder("hub"), "broker,connect", &[]);
    let servers = format!("registry.bootstrap.servers={}", hub.bootstrap());
    let registry = Hub::start(&folder("registry"), "registry", &[&servers]);
    (hub, registry)
}

const REGISTRY: &str = "value.converter.schema.registry.url";

/// Waits until a task that runs says that it waits for its registry.
fn until_it_waits(hub: &Hub, name: &str) {
    eventually(&format!("{name} says that it waits"), || {
        let said = trace(hub, name);
        (said.contains("registry") || said.contains("schema")).then_some(())
    });
    until_states(hub, name, "RUNNING: RUNNING");
}

/// Two records, of which one has a null.
fn pair(registry: &Hub, topic: &str, number: i64, fields: &str) -> [Vec<u8>; 2] {
    let id = register(registry, topic, fields);
    [Field::None, Field::Some("m")].map(|mail| encode(id, &[Field::Long(number), Field::Text("x"), mail]))
}

#[test]
fn a_registry_that_is_away_is_waited_for() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (hub, mut registry) = start_apart(directory.path());
    let url = registry.url("registry", "");
    let store = |topic: &str, way: Way| directory.path().join(format!("{topic}-{way:?}"));
    let name = |topic: &str, way: Way| format!("{topic}-{way:?}");
    let mut later = Vec::new();
    for (topic, more) in [
        ("patient", &[][..]),
        ("hasty", &[("errors.retry.timeout", "1000")]),
    ] {
        create_topic(&hub.bootstrap(), topic, 1);
        let more = [&[(REGISTRY, url.as_str())], more].concat();
        let first = pair(&registry, topic, 1, VERSIONS[1]);
        produce_values(&hub.bootstrap(), topic, Some(0), &first, &[]);
        for way in WAYS {
            create(
                &hub,
                &name(topic, way),
                &sink(topic, &store(topic, way), way, &more),
            );
            until_rows(&store(topic, way), topic, 2);
        }
        // Registered while that can be; nobody has asked for it yet.
        let documented = VERSIONS[1].replace("\"long\"}", "\"long\",\"doc\":\"d\"}");
        later.push((topic, pair(&registry, topic, 2, &documented)));
    }
    registry.process().kill();
    for (topic, records) in &later {
        produce_values(&hub.bootstrap(), topic, Some(0), records, &[]);
    }
    for way in WAYS {
        until_it_waits(&hub, &name("patient", way));
        // Its user does not want to wait any longer.
        let hasty = name("hasty", way);
        until_states(&hub, &hasty, "RUNNING: FAILED");
        assert_eq!(committed(&hub, &hasty), Some(2), "{way:?}: nothing is passed");
    }
    registry.restart();
    let all = [
        "1 name='x' mail=-",
        "1 name='x' mail='m'",
        "2 name='x' mail=-",
        "2 name='x' mail='m'",
    ];
    let all = all.map(|row| format!("id={row}"));
    for way in WAYS {
        let hasty = format!(
            "/connectors/{}/restart?includeTasks=true&onlyFailed=true",
            name("hasty", way)
        );
        call(&hub, "POST", &hasty, None).ok();
        for topic in ["patient", "hasty"] {
            let found = until_rows(&store(topic, way), topic, 4);
            assert_eq!(rows_of(&found).concat(), all, "{topic} {way:?}");
        }
    }
}

#[test]
fn a_source_waits_for_the_registry_that_it_needs() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (hub, mut registry) = start_apart(directory.path());
    create_topic(&hub.bootstrap(), "lines", 1);
    let file = directory.path().join("lines.txt");
    std::fs::write(&file, "one\ntwo\n").expect("a file");
    let mut source = json!({
        "connector.class": "FileStreamSource",
        "file": file,
        "topic": "lines",
        "value.converter": AVRO,
    });
    source[REGISTRY] = json!(registry.url("registry", ""));
    registry.process().kill();
    create(&hub, "lines", &source);
    until_it_waits(&hub, "lines");
    assert_eq!(read_all(&hub.bootstrap(), "lines", 1), []);
    registry.restart();
    let lines = eventually("the lines", || {
        let records = read_all(&hub.bootstrap(), "lines", 1);
        (records.len() >= 2).then_some(records)
    });
    let text = |line: &Record| line.value.as_ref().expect("a value")[6..].to_vec();
    let texts: Vec<Vec<u8>> = lines.iter().map(text).collect();
    assert_eq!(texts, [b"one", b"two"]);
}
