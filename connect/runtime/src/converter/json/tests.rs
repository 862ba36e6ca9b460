use forebay_config::Properties;
use forebay_connect_api::schema::{self, Decimal, Type};
use forebay_connect_api::{Struct, Value};

use super::*;

fn converter(pairs: &[(&str, &str)]) -> JsonConverter {
    let properties: Properties = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    JsonConverter::new(&config_def().parse(&properties).expect("the test's keys"))
}

fn written(converter: &JsonConverter, data: &SchemaAndValue) -> String {
    let bytes = converter.from_connect_data("t", data).expect("it can be written");
    String::from_utf8(bytes.expect("not null").to_vec()).expect("JSON is UTF-8")
}

fn read(converter: &JsonConverter, json: &str) -> Result<SchemaAndValue, Error> {
    converter.to_connect_data("t", Some(&Bytes::copy_from_slice(json.as_bytes())))
}

fn built(builder: forebay_connect_api::SchemaBuilder) -> Arc<Schema> {
    builder.build().expect("the test's schema")
}

/// Envelopes as Kafka's JsonConverter writes them (JsonConverterTest), and the data in them.
fn golden() -> Vec<(&'static str, SchemaAndValue)> {
    let string = Schema::string_schema();
    let structure = built(
        Schema::structure()
            .field(
                "id",
                built(Schema::int32().doc("d").default_value(Value::Int32(7))),
            )
            .field("tags", built(Schema::array(Arc::clone(&string)).optional())),
    );
    let row = Struct::from_values(
        Arc::clone(&structure),
        vec![Value::Int32(1), Value::Array(vec!["a\"\u{1f}\n".into()])],
    );
    let int_keys = built(Schema::map(built(Schema::int32()), built(Schema::boolean())));
    let string_keys = built(Schema::map(Arc::clone(&string), built(Schema::int64())));
    vec![
        (
            r#"{"schema":{"type":"boolean","optional":false},"payload":true}"#,
            SchemaAndValue::new(built(Schema::boolean()), true),
        ),
        (
            r#"{"schema":{"type":"int8","optional":true},"payload":null}"#,
            SchemaAndValue::new(built(Schema::int8().optional()), Value::Null),
        ),
        (
            r#"{"schema":{"type":"float","optional":false},"payload":12.34}"#,
            SchemaAndValue::new(built(Schema::float32()), 12.34_f32),
        ),
        (
            r#"{"schema":{"type":"double","optional":false},"payload":1.0E10}"#,
            SchemaAndValue::new(built(Schema::float64()), 1e10),
        ),
        (
            r#"{"schema":{"type":"double","optional":false},"payload":"-Infinity"}"#,
            SchemaAndValue::new(built(Schema::float64()), f64::NEG_INFINITY),
        ),
        (
            r#"{"schema":{"type":"bytes","optional":false},"payload":"dGVzdC1zdHJpbmc="}"#,
            SchemaAndValue::new(built(Schema::bytes()), Bytes::from_static(b"test-string")),
        ),
        (
            r#"{"schema":{"type":"map","keys":{"type":"int32","optional":false},"values":{"type":"boolean","optional":false},"optional":false},"payload":[[1,true],[2,false]]}"#,
            SchemaAndValue::new(
                int_keys,
                Value::Map(vec![(1.into(), true.into()), (2.into(), false.into())]),
            ),
        ),
        (
            r#"{"schema":{"type":"map","keys":{"type":"string","optional":false},"values":{"type":"int64","optional":false},"optional":false},"payload":{"k":-5}}"#,
            SchemaAndValue::new(string_keys, Value::Map(vec![("k".into(), (-5_i64).into())])),
        ),
        (
            r#"{"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"doc":"d","default":7,"field":"id"},{"type":"array","items":{"type":"string","optional":false},"optional":true,"field":"tags"}],"optional":false},"payload":{"id":1,"tags":["a\"\u001F\n"]}}"#,
            SchemaAndValue::new(structure, row.expect("a value for each field")),
        ),
        (
            r#"{"schema":{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"}},"payload":"AJw="}"#,
            SchemaAndValue::new(built(schema::decimal(2)), Decimal::encode(156)),
        ),
        (
            r#"{"schema":{"type":"int32","optional":false,"name":"org.apache.kafka.connect.data.Date","version":1},"payload":10000}"#,
            SchemaAndValue::new(built(schema::date()), 10_000),
        ),
        (
            r#"{"schema":{"type":"int64","optional":false,"name":"org.apache.kafka.connect.data.Timestamp","version":1},"payload":4000000000}"#,
            SchemaAndValue::new(built(schema::timestamp()), 4_000_000_000_i64),
        ),
        (
            r#"{"schema":null,"payload":{"a":[1,2.5,"x",null]}}"#,
            SchemaAndValue::schemaless(Value::Map(vec![(
                "a".into(),
                Value::Array(vec![1_i64.into(), 2.5.into(), "x".into(), Value::Null]),
            )])),
        ),
    ]
}

#[test]
fn envelopes_are_kafkas_both_ways() {
    let converter = converter(&[]);
    for (json, data) in golden() {
        assert_eq!(written(&converter, &data), json);
        assert_eq!(read(&converter, json).expect(json), data);
        // Again, now that the schema is known.
        assert_eq!(written(&converter, &data), json);
        assert_eq!(read(&converter, json).expect(json), data);
    }
    let null = SchemaAndValue::default();
    assert_eq!(converter.from_connect_data("t", &null).expect("null"), None);
    assert_eq!(converter.to_connect_data("t", None).expect("null"), null);
}

#[test]
fn without_schemas_the_payload_is_all() {
    let converter = converter(&[("schemas.enable", "false")]);
    for (envelope, data) in golden() {
        let (_, payload) = envelope.split_once("\"payload\":").expect("an envelope");
        assert_eq!(written(&converter, &data), payload[..payload.len() - 1]);
    }
    let read = |json: &str| read(&converter, json).map(|data| (data.schema, data.value));
    assert_eq!(
        read(r#"{"b":1,"a":[true,1e2]}"#).expect("it is JSON"),
        (
            None,
            Value::Map(vec![
                ("b".into(), 1_i64.into()),
                ("a".into(), Value::Array(vec![true.into(), 100.0.into()])),
            ])
        )
    );
    assert_eq!(read("null").expect("it is JSON"), (None, Value::Null));
    assert_eq!(
        read("").expect("nothing is null, as in Kafka"),
        (None, Value::Null)
    );
    assert_eq!(
        read("9223372036854775807").expect("it fits"),
        (None, i64::MAX.into())
    );
    for bad in ["9223372036854775808", "{", "1 2", "nope", "1e999"] {
        assert!(read(bad).is_err(), "{bad}");
    }
}

#[test]
fn decimals_may_be_numbers() {
    let numeric = converter(&[("decimal.format", "numeric")]);
    let schema = built(schema::decimal(2));
    for (unscaled, text) in [(156, "1.56"), (-5, "-0.05"), (100, "1.00"), (0, "0.00")] {
        let data = SchemaAndValue::new(Arc::clone(&schema), Decimal::encode(unscaled));
        let json = written(&numeric, &data);
        assert!(json.ends_with(&format!("\"payload\":{text}}}")), "{json}");
        // Read by a converter that writes the other form, too.
        for converter in [&numeric, &converter(&[])] {
            assert_eq!(read(converter, &json).expect(text), data);
        }
    }
    let envelope = |payload: &str| {
        format!(
            r#"{{"schema":{{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{{"scale":"2"}}}},"payload":{payload}}}"#
        )
    };
    for (payload, unscaled) in [
        ("1.5", 150),
        ("2", 200),
        ("1.5e3", 150_000),
        ("10e-1", 100),
        ("0e99", 0),
    ] {
        let value = read(&numeric, &envelope(payload)).expect(payload).value;
        assert_eq!(value, Value::Bytes(Decimal::encode(unscaled)), "{payload}");
    }
    for bad in ["1.234", "1e60", "1e99999999999", "true"] {
        assert!(read(&numeric, &envelope(bad)).is_err(), "{bad}");
    }
}

#[test]
fn defaults_stand_for_null_where_wanted() {
    let schema = built(Schema::int32().optional().default_value(Value::Int32(7)));
    let null = SchemaAndValue::new(Arc::clone(&schema), Value::Null);
    let json = r#"{"schema":{"type":"int32","optional":true,"default":7},"payload":null}"#;
    let replacing = converter(&[]);
    assert!(written(&replacing, &null).ends_with("\"payload\":7}"));
    assert_eq!(
        read(&replacing, json).expect("it is sound").value,
        Value::Int32(7)
    );
    let keeping = converter(&[("replace.null.with.default", "false")]);
    assert_eq!(written(&keeping, &null), json);
    assert_eq!(read(&keeping, json).expect("it is sound").value, Value::Null);
}

#[test]
fn what_does_not_fit_is_refused_and_named() {
    let converter = converter(&[]);
    let row = |field: &str, payload: &str| {
        format!(r#"{{"schema":{{"type":"struct","fields":[{field}]}},"payload":{payload}}}"#)
    };
    let number = |of: &str| format!(r#"{{"type":"{of}","field":"n"}}"#);
    for (json, message) in [
        (
            r#"{"a":1}"#.to_owned(),
            "requires \"schema\" and \"payload\" fields",
        ),
        (
            r#"{"schema":null,"payload":1,"more":2}"#.to_owned(),
            "may not contain additional fields",
        ),
        (
            "not json".to_owned(),
            "are not JSON; StringConverter takes any text",
        ),
        ("\0\0\0\0\u{1}\u{2}x".to_owned(), "is AvroConverter meant?"),
        (
            r#"{"schema":{"optional":true},"payload":1}"#.to_owned(),
            "Schema must contain 'type' field",
        ),
        (
            r#"{"schema":{"type":"int7"},"payload":1}"#.to_owned(),
            "Unknown schema type: int7",
        ),
        (
            r#"{"schema":{"type":"array"},"payload":[]}"#.to_owned(),
            "did not specify the element type",
        ),
        (
            row(&number("int8"), r#"{"n":128}"#),
            "n: Invalid value for a field of type INT8: 128",
        ),
        (
            row(&number("int32"), r#"{"n":1.5}"#),
            "n: Invalid value for a field of type INT32",
        ),
        (
            row(&number("int64"), r#"{"n":"1"}"#),
            "n: Invalid value for a field of type INT64",
        ),
        (
            row(&number("boolean"), r#"{"n":0}"#),
            "n: Invalid value for a field of type BOOLEAN",
        ),
        (
            row(&number("string"), r#"{"n":1}"#),
            "n: Invalid value for a field of type STRING",
        ),
        (row(&number("bytes"), r#"{"n":"%"}"#), "n: Invalid bytes field"),
        (
            row(&number("string"), r"{}"),
            "n: Invalid null value for required STRING field",
        ),
        (
            row(&number("string"), "7"),
            "Invalid value for a field of type STRUCT",
        ),
        (
            row(&format!("{},{}", number("int8"), number("int8")), r#"{"n":1}"#),
            "a schema in the JSON is not sound",
        ),
    ] {
        let error = read(&converter, &json).expect_err(&json).to_string();
        assert!(error.contains(message), "{json}: {error}");
    }
    let required = SchemaAndValue::new(Schema::string_schema(), Value::Null);
    assert!(converter.from_connect_data("t", &required).is_err());
    let other = SchemaAndValue::new(Schema::string_schema(), 7);
    assert!(converter.from_connect_data("t", &other).is_err());
    let deep = format!(
        r#"{{"schema":null,"payload":{}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert!(read(&converter, &deep).is_err());
    assert_eq!(Type::Int8.name(), "INT8");
}
