//! Raw values: Avro whose schemas have to be fetched while a batch is taken, and values of which only reading says that they are null.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use forebay_connect_api::{
    AvroReader, AvroSchemas, BoxFuture, Error, Offset, RawRecords, ReadError, Schema, SchemaAndValue,
    SinkBatch, SinkRecords, Struct, Timestamp, Value, ValueFormat, ValueReader, avro,
};
use forebay_connect_avro::{data, from_avro};
use forebay_records::{BatchBuilder, BatchOptions, Record};

use super::bench::{Bench, Flaw, partition, read_objects, reporting, values};

/// A registry with schema 1. It has no schema 9, which it says when it is asked for the second time.
#[derive(Debug)]
struct Registry {
    schemas: AvroSchemas,
    fetched: Mutex<BTreeSet<i32>>,
    asked: Mutex<Vec<i32>>,
}

impl Registry {
    fn new(text: &str) -> Self {
        let avro = avro::Schema::parse(text).expect("it is sound");
        let connect = from_avro::schema(avro.root()).expect("Connect has it");
        Self {
            schemas: AvroSchemas {
                avro: Arc::new(avro),
                connect,
            },
            fetched: Mutex::default(),
            asked: Mutex::default(),
        }
    }
}

const RECORD: &str = r#"{"type":"record","name":"R","fields":[{"name":"value","type":"string"}]}"#;

impl ValueReader for Registry {
    fn read(&self, _topic: &str, value: Option<&[u8]>) -> Result<SchemaAndValue, ReadError> {
        let (head, rest) = value.unwrap_or_default().split_at(5);
        let id = i32::from(head[4]);
        let AvroSchemas { avro, connect } = self.schemas("t", id).ok_or(ReadError::Fetch(id))?;
        let decoded = avro.root().decode(rest);
        let decoded = decoded.map_err(|error| ReadError::Value(Error::fatal(error.to_string())))?;
        let value = data::to_connect(avro.root(), &connect, decoded, rest.len()).expect("it fits");
        Ok(SchemaAndValue::new(connect, value))
    }

    fn fetch(&self, schema_id: i32) -> BoxFuture<'_, Result<(), Error>> {
        let mut asked = self.asked.lock().expect("no panic");
        asked.push(schema_id);
        let answer = match schema_id {
            1 => {
                self.fetched.lock().expect("no panic").insert(1);
                Ok(())
            }
            _ if asked.iter().filter(|id| **id == schema_id).count() == 1 => {
                Err(Error::retriable("the registry is away"))
            }
            _ => Err(Error::fatal("Schema 9 not found")),
        };
        Box::pin(std::future::ready(answer))
    }
}

impl AvroReader for Registry {
    fn schemas(&self, _topic: &str, schema_id: i32) -> Option<AvroSchemas> {
        let fetched = self.fetched.lock().expect("no panic").contains(&schema_id);
        fetched.then(|| self.schemas.clone())
    }
}

fn batch(format: ValueFormat, values: &[Vec<u8>]) -> SinkBatch {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for (offset, value) in (0..).zip(values) {
        let record = Record {
            offset: Offset(offset),
            timestamp: Timestamp(0),
            value: Some(value.clone().into()),
            ..Record::default()
        };
        builder.append_record(&record.as_ref()).expect("offsets grow");
    }
    let end = Offset(i64::try_from(values.len()).expect("a few"));
    let batches = vec![builder.build().expect("records were appended")];
    SinkBatch {
        topic_partition: partition(),
        first_offset: Offset(0),
        next_offset: end,
        records: SinkRecords::Raw(RawRecords::new(format, Offset(0), end, batches)),
    }
}

#[tokio::test]
async fn schemas_are_fetched_on_the_way_and_records_without_one_are_reported_once() {
    let registry = Arc::new(Registry::new(RECORD));
    let good = |text: &str| {
        let value = avro::data::Value::Record(vec![avro::data::Value::String(text.to_owned())]);
        let mut out = vec![0, 0, 0, 0, 1];
        registry
            .schemas
            .avro
            .root()
            .encode(&value, &mut out)
            .expect("it fits");
        out
    };
    let (bad, lost) = (vec![0, 0, 0, 0, 1, 8, b'x'], vec![0, 0, 0, 0, 9, 2, b'x']);
    let values_in = [good("a"), bad, good("b"), lost.clone(), good("c"), lost];
    let batch = batch(ValueFormat::Avro(Arc::clone(&registry) as _), &values_in);
    let bench = Bench::in_memory(Flaw::None);
    let context = reporting();
    let mut task = bench.task(&context, &[]).await;
    let error = task.put(&batch).await.expect_err("the registry is away");
    assert!(error.is_retriable(), "{error}");
    task.put(&batch).await.expect("it came back, without schema 9");
    let reported = context.reported();
    let offsets: Vec<i64> = reported.iter().map(|(offset, _)| offset.value()).collect();
    assert_eq!(offsets, [1, 3, 5], "each once: {reported:?}");
    assert!(reported[1].1.contains("Schema 9 not found"), "{reported:?}");
    assert_eq!(*registry.asked.lock().expect("no panic"), [1, 9, 9]);
    assert_eq!(values(&read_objects(&*bench.objects).await), ["a", "b", "c"]);
}

/// JSON as JsonConverter reads it, in envelopes whose schema is always the same, or bare.
#[derive(Debug)]
struct Json;

impl ValueReader for Json {
    fn read(&self, _topic: &str, value: Option<&[u8]>) -> Result<SchemaAndValue, ReadError> {
        let json = match value {
            None | Some([]) => serde_json::Value::Null,
            Some(text) => serde_json::from_slice(text).expect("JSON"),
        };
        let (json, schema) = match json.get("payload") {
            None => (json, None),
            Some(payload) => {
                let schema = Schema::structure().field("value", Schema::string_schema());
                (payload.clone(), Some(schema.optional().build().expect("fits")))
            }
        };
        let text = |json: &serde_json::Value| Value::from(json.as_str().expect("a text"));
        let value = match (&json, &schema) {
            (serde_json::Value::Null, _) => Value::Null,
            (object, Some(schema)) => {
                let values = vec![text(&object["value"])];
                Struct::from_values(Arc::clone(schema), values)
                    .expect("one")
                    .into()
            }
            (serde_json::Value::String(_), None) => text(&json),
            (object, None) => Value::Map(vec![("value".into(), text(&object["value"]))]),
        };
        Ok(SchemaAndValue { schema, value })
    }
}

#[tokio::test]
async fn what_is_null_only_when_it_is_read_is_treated_as_null() {
    let union = Arc::new(Registry::new(&format!(r#"["null",{RECORD}]"#)));
    union.fetched.lock().expect("no panic").insert(1);
    let in_envelope = |payload: &str| format!(r#"{{"schema":{{}},"payload":{payload}}}"#).into_bytes();
    let object = |text: &str| format!(r#"{{"value":"{text}"}}"#);
    let (bare, enveloped) = (
        ValueFormat::Json(Arc::new(Json)),
        ValueFormat::JsonWithSchemas(Arc::new(Json)),
    );
    let strings = ["a", "b"].map(|text| format!("\"{text}\"").into_bytes());
    let objects = ["a", "b"].map(|text| object(text).into_bytes());
    let envelopes = ["a", "b"].map(|text| in_envelope(&object(text)));
    let records = [*b"a", *b"b"].map(|[text]| vec![0, 0, 0, 0, 1, 2, 2, text]);
    let cases = [
        (&bare, b"null".to_vec(), objects.clone()),
        (&bare, b" null ".to_vec(), strings.clone()),
        (&bare, b"null".to_vec(), strings),
        (&bare, Vec::new(), objects),
        (&enveloped, in_envelope("null"), envelopes.clone()),
        (&enveloped, br#"{"payload":null,"schema":{}}"#.to_vec(), envelopes),
        (
            &ValueFormat::Avro(Arc::clone(&union) as _),
            vec![0, 0, 0, 0, 1, 0],
            records,
        ),
    ];
    for (format, null, [a, b]) in cases {
        let what = format!("{:?} of {format:?}", String::from_utf8_lossy(&null));
        let batch = batch(format.clone(), &[null.clone(), a, null.clone(), b, null]);
        for (behavior, expected) in [("ignore", &[][..]), ("fail", &[0, 2, 4])] {
            let bench = Bench::in_memory(Flaw::None);
            let context = reporting();
            // The first object, of one record, is closed before the second is begun: it must not have left anything behind.
            let keys = [("behavior.on.null.values", behavior), ("flush.size", "1")];
            let mut task = bench.task(&context, &keys).await;
            task.put(&batch).await.expect("taken");
            assert_eq!(values(&read_objects(&*bench.objects).await), ["a", "b"], "{what}");
            let reported = context.reported();
            let offsets: Vec<i64> = reported.iter().map(|(offset, _)| offset.value()).collect();
            assert_eq!(offsets, expected, "{what}");
            assert!(
                reported
                    .iter()
                    .all(|(_, error)| error.contains("it has no value")),
                "{what}: {reported:?}"
            );
        }
    }
}
