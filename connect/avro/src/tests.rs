//! Unions there and back.

use forebay_schema_registry_schema::avro::Schema as AvroSchema;
use forebay_schema_registry_schema::avro::data::Value as Avro;
use serde_json::{Value as Json, json};

use crate::{data, from_avro, to_avro};

/// A field of each type.
fn record(types: &[Json]) -> Json {
    let fields = types.iter().enumerate();
    let fields: Vec<Json> = fields
        .map(|(index, of)| json!({"name": format!("f{index}"), "type": of}))
        .collect();
    json!({"type": "record", "name": "R", "fields": fields})
}

#[test]
fn unions_are_written_as_unions() {
    let inner = json!({"type": "record", "name": "n.Inner", "fields": [{"name": "ok", "type": "boolean"}]});
    let types = [
        json!(["null", "int", "string"]),
        json!(["null", "long", "string"]),
        json!(["double", "null", inner, {"type": "array", "items": ["int", "bytes"]}, {"type": "map", "values": "n.Inner"}]),
        json!(["float", "n.Inner"]),
    ];
    let text = record(&types).to_string();
    let avro = AvroSchema::parse(&text).expect("sound");
    let connect = from_avro::schema(avro.root()).expect("a Connect schema");
    let written = to_avro::schema(&connect)
        .expect("unions have no names")
        .to_string();
    let again = AvroSchema::parse(&written).expect("sound");
    let json: Json = serde_json::from_str(&written).expect("JSON");
    assert_eq!(json["fields"][0]["type"], json!(["null", "int", "string"]));
    assert_eq!(json["fields"][1]["type"], json!(["null", "long", "string"]));
    assert_eq!(json["fields"][3]["type"], json!(["float", "n.Inner"]));

    let branch = |index, value| Avro::Union(index, Box::new(value));
    let ok = || Avro::Record(vec![Avro::Boolean(true)]);
    let records = [
        [
            branch(0, Avro::Null),
            branch(1, Avro::Long(7)),
            branch(0, Avro::Double(0.5)),
            branch(1, ok()),
        ],
        [
            branch(1, Avro::Int(7)),
            branch(2, Avro::String("x".to_owned())),
            branch(1, Avro::Null),
            branch(0, Avro::Float(1.5)),
        ],
        [
            branch(2, Avro::String("y".to_owned())),
            branch(0, Avro::Null),
            branch(
                3,
                Avro::Array(vec![branch(1, Avro::Bytes(vec![1])), branch(0, Avro::Int(2))]),
            ),
            branch(1, ok()),
        ],
        [
            branch(0, Avro::Null),
            branch(0, Avro::Null),
            branch(4, Avro::Map(vec![("k".to_owned(), ok())])),
            branch(1, ok()),
        ],
    ];
    for record in records {
        let record = Avro::Record(record.to_vec());
        let value = data::to_connect(avro.root(), &connect, record, 100).expect("it fits");
        let mut bytes = Vec::new();
        let written = data::to_avro(&connect, &value).expect("it fits");
        again.root().encode(&written, &mut bytes).expect("it fits");
        let read = again
            .root()
            .decode_next(&mut bytes.as_slice())
            .expect("what was written");
        let read = data::to_connect(again.root(), &connect, read, 100).expect("it fits");
        assert_eq!(read, value);
    }
}

#[test]
fn different_unions_with_enums_are_different_records() {
    let kind = json!({"type": "enum", "name": "Kind", "symbols": ["A", "B"]});
    let types = [
        json!(["null", kind, "string"]),
        json!(["null", "int", "Kind"]),
        json!(["null", "Kind", "string"]),
    ];
    let text = record(&types).to_string();
    let avro = AvroSchema::parse(&text).expect("sound");
    let connect = from_avro::schema(avro.root()).expect("a Connect schema");
    let written = to_avro::schema(&connect).expect("they have different names");
    AvroSchema::parse(&written.to_string()).expect("sound");
    assert_eq!(written["fields"][0]["type"][1]["name"], "Union");
    assert_eq!(written["fields"][1]["type"][1]["name"], "Union2");
    assert_eq!(written["fields"][2]["type"][1], "io.confluent.connect.avro.Union");
}
