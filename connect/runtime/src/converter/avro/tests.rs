use forebay_connect_api::schema::{self, Decimal};
use forebay_connect_api::{SchemaBuilder, Struct};

use super::*;

fn built(builder: SchemaBuilder) -> Arc<Schema> {
    builder.build().expect("the test's schema")
}

/// Connect schemas, what Confluent's AvroData makes of them, a value, and its Avro bytes.
fn golden() -> Vec<(Arc<Schema>, &'static str, Value, Vec<u8>)> {
    let string = Schema::string_schema;
    let row = built(
        Schema::structure()
            .name("com.example.Row")
            .field("id", built(Schema::int8()))
            .field("name", Schema::optional_string_schema())
            .field("n", built(Schema::int64().default_value(Value::Int64(7))))
            .field("at", built(schema::timestamp())),
    );
    let value = Struct::from_values(
        Arc::clone(&row),
        vec![3_i8.into(), "x".into(), 8_i64.into(), 1_i64.into()],
    );
    vec![
        (string(), r#""string""#, "hi".into(), vec![4, b'h', b'i']),
        (
            built(Schema::int32().optional()),
            r#"["null","int"]"#,
            1.into(),
            vec![2, 2],
        ),
        (
            built(schema::decimal(2)),
            r#"{"type":"bytes","scale":2,"precision":64,"connect.version":1,"connect.parameters":{"scale":"2"},"connect.name":"org.apache.kafka.connect.data.Decimal","logicalType":"decimal"}"#,
            Decimal::encode(156).into(),
            vec![4, 0, 156],
        ),
        (
            built(schema::date()),
            r#"{"type":"int","connect.version":1,"connect.name":"org.apache.kafka.connect.data.Date","logicalType":"date"}"#,
            1.into(),
            vec![2],
        ),
        (
            built(Schema::map(string(), built(Schema::boolean()))),
            r#"{"type":"map","values":"boolean"}"#,
            Value::Map(vec![("k".into(), true.into())]),
            vec![2, 2, b'k', 1, 0],
        ),
        (
            built(Schema::map(built(Schema::int32()), string())),
            r#"{"type":"array","items":{"type":"record","name":"io.confluent.connect.avro.MapEntry","fields":[{"name":"key","type":"int"},{"name":"value","type":"string"}],"connect.internal.type":"MapEntry"}}"#,
            Value::Map(vec![(1.into(), "a".into())]),
            vec![2, 2, 2, b'a', 0],
        ),
        (
            row,
            r#"{"type":"record","name":"Row","namespace":"com.example","fields":[{"name":"id","type":{"type":"int","connect.type":"int8"}},{"name":"name","type":["null","string"],"default":null},{"name":"n","type":"long","default":7},{"name":"at","type":{"type":"long","connect.version":1,"connect.name":"org.apache.kafka.connect.data.Timestamp","logicalType":"timestamp-millis"}}],"connect.name":"com.example.Row"}"#,
            Value::Struct(value.expect("a value for each field")),
            vec![6, 2, 2, b'x', 16, 2],
        ),
    ]
}

#[test]
fn schemas_and_bytes_are_confluents_and_come_back() {
    for (schema, text, value, bytes) in golden() {
        let json = to_avro::schema(&schema).expect(text);
        assert_eq!(json.to_string(), text);
        let avro = avro::Schema::parse(text).expect(text);
        let mut out = Vec::new();
        let written = data::to_avro(&schema, &value).expect(text);
        avro.root().encode(&written, &mut out).expect(text);
        assert_eq!(out, bytes, "{text}");
        let back = from_avro::schema(avro.root()).expect(text);
        assert_eq!(back, schema, "{text}");
        let read = avro.root().decode(&bytes).expect(text);
        assert_eq!(
            data::to_connect(avro.root(), &back, read, bytes.len()).expect(text),
            value
        );
    }
}

#[test]
fn what_connect_lacks_is_kept_as_parameters_and_structs() {
    let read = |text: &str, bytes: &[u8]| {
        let avro = avro::Schema::parse(text).expect(text);
        let schema = from_avro::schema(avro.root()).expect(text);
        let value = avro.root().decode(bytes).expect(text);
        let value = data::to_connect(avro.root(), &schema, value, bytes.len()).expect(text);
        SchemaAndValue::new(schema, value)
    };
    let of_enum = read(r#"{"type":"enum","name":"a.E","symbols":["X","Y"]}"#, &[2]);
    assert_eq!(of_enum.value, "Y".into());
    let schema = of_enum.schema.expect("it has one");
    assert_eq!(&*schema.parameters()["io.confluent.connect.avro.Enum"], "a.E");
    assert_eq!(&*schema.parameters()["io.confluent.connect.avro.Enum.X"], "X");
    let fixed = read(r#"{"type":"fixed","name":"F","size":2}"#, &[1, 2]);
    assert_eq!(fixed.value, Bytes::from_static(&[1, 2]).into());
    let union = read(r#"["null","int","string"]"#, &[4, 2, b'a']);
    assert_eq!(union.value.to_string(), "Struct{string=a}");
    assert!(read(r#"["null","int","string"]"#, &[0]).value.is_null());
}

#[test]
fn a_record_is_defined_once_and_unnamed_ones_get_names() {
    let named = |fields: &[&str]| {
        let builder = Schema::structure().name("a.N");
        fields.iter().fold(builder, |builder, field| {
            builder.field(*field, Schema::string_schema())
        })
    };
    let unnamed = |field: &str| built(Schema::structure().field(field, Schema::string_schema()));
    let both = |first: Arc<Schema>, second: Arc<Schema>| {
        built(Schema::structure().field("a", first).field("b", second))
    };
    let twice = both(built(named(&["x"])), built(named(&["x"]).optional()));
    let text = to_avro::schema(&twice).expect("they are the same").to_string();
    assert!(
        text.contains(r#"{"name":"b","type":["null","a.N"],"default":null}"#),
        "{text}"
    );
    avro::Schema::parse(&text).expect("Avro takes it");
    let other = both(built(named(&["x"])), built(named(&["x", "y"])));
    assert!(to_avro::schema(&other).is_err());
    let text = to_avro::schema(&both(unnamed("x"), unnamed("y")))
        .expect("they get names")
        .to_string();
    assert!(
        text.contains("ConnectDefault2") && text.contains("ConnectDefault3"),
        "{text}"
    );
    avro::Schema::parse(&text).expect("Avro takes it");
}

#[test]
fn what_cannot_be_is_refused() {
    let recursive = r#"{"type":"record","name":"R","fields":[{"name":"r","type":["null","R"]}]}"#;
    let avro = avro::Schema::parse(recursive).expect("it is sound");
    let error = from_avro::schema(avro.root())
        .expect_err("it has no end")
        .to_string();
    assert!(error.contains("contains itself"), "{error}");
    let properties = [("schema.registry.url".to_owned(), "http://127.0.0.1:1".to_owned())].into();
    let config = config_def().parse(&properties).expect("the test's keys");
    let converter = AvroConverter::new(Role::Value, &config).expect("it is not asked yet");
    for bytes in [&b""[..], b"\0\0\0", b"{\"a\":1}"] {
        let error = converter.to_connect_data("t", Some(&Bytes::copy_from_slice(bytes)));
        assert!(matches!(error, Err(Error::Data { .. })), "{bytes:?}");
    }
    let known = converter.to_connect_data("t", Some(&Bytes::from_static(b"\0\0\0\0\x07\x02")));
    assert!(matches!(known, Err(Error::Wanted(Wanted::Schema(7)))));
    let schemaless = SchemaAndValue::schemaless("x");
    assert!(matches!(
        converter.from_connect_data("t", &schemaless),
        Err(Error::Data { .. })
    ));
    let null = SchemaAndValue::new(Schema::optional_string_schema(), Value::Null);
    assert_eq!(
        converter.from_connect_data("t", &null).expect("null is null"),
        None
    );
    let none = config_def()
        .parse(&forebay_config::Properties::new())
        .expect("optional");
    assert!(AvroConverter::new(Role::Key, &none).is_err());
}

/// Records of which each uses the next twice: `2^levels` uses of the last.
fn doubling(levels: usize) -> String {
    let last = format!(r#"{{"type":"record","name":"R{levels}","fields":[{{"name":"a","type":"int"}}]}}"#);
    (0..levels).rev().fold(last, |inner, level| {
        let next = level + 1;
        format!(
            r#"{{"type":"record","name":"R{level}","fields":[{{"name":"a","type":{inner}}},{{"name":"b","type":"R{next}"}}]}}"#
        )
    })
}

/// A record of records, of which each is used by the one before it; the last is met first, so that none is met deep within.
fn flat_chain(length: usize) -> String {
    let fields: Vec<String> = (0..length)
        .map(|number| {
            let of = match number {
                0 => r#""int""#.to_owned(),
                _ => format!(r#""C{}""#, number - 1),
            };
            format!(
                r#"{{"name":"f{number}","type":{{"type":"record","name":"C{number}","fields":[{{"name":"next","type":{of}}}]}}}}"#
            )
        })
        .collect();
    format!(
        r#"{{"type":"record","name":"R","fields":[{}]}}"#,
        fields.join(",")
    )
}

#[test]
fn named_types_are_shared_and_their_uses_are_bounded() {
    let of = |text: &str| from_avro::schema(avro::Schema::parse(text).expect("it is sound").root());
    let doubled = of(&doubling(5)).expect("it is small");
    let of_field = |name| &doubled.field(name).expect("it is there").schema;
    assert!(Arc::ptr_eq(of_field("a"), of_field("b")));

    let optional = r#"{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"fixed","name":"F","size":1}},
        {"name":"b","type":["null","F"],"default":null},{"name":"c","type":"F","doc":"d"},{"name":"d","type":"F","default":"x"}]}"#;
    let optional = of(optional).expect("it is small");
    let said: Vec<(bool, Option<&str>, bool)> = optional
        .fields()
        .iter()
        .map(|field| {
            (
                field.schema.is_optional(),
                field.schema.doc(),
                field.schema.default_value().is_some(),
            )
        })
        .collect();
    let expected = [
        (false, None, false),
        (true, None, false),
        (false, Some("d"), false),
        (false, None, true),
    ];
    assert_eq!(said, expected, "a use has what its field says");

    let long = "x".repeat(100_000);
    let documented: Vec<String> = (0..1000)
        .map(|number| format!(r#"{{"name":"f{number}","type":"F"}}"#))
        .collect();
    let documented = format!(
        r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{{"type":"record","name":"F","doc":"{long}","fields":[]}}}},{}]}}"#,
        documented.join(",")
    );
    for text in [doubling(40), documented] {
        let error = of(&text).expect_err("it is too large").to_string();
        assert!(error.contains("uses its named types so often"), "{error}");
    }
    assert!(of(&flat_chain(190)).is_ok());
    let error = of(&flat_chain(5_000)).expect_err("it is too deep").to_string();
    assert!(error.contains("nested deeper than 200 levels"), "{error}");
}

#[test]
fn values_of_wide_unions_are_bounded_by_the_bytes_that_came() {
    const BRANCHES: usize = 1000;
    let branches: Vec<String> = (0..BRANCHES)
        .map(|number| format!(r#"{{"type":"fixed","name":"F{number}","size":0}}"#))
        .collect();
    let text = format!(r#"{{"type":"array","items":[{}]}}"#, branches.join(","));
    let avro = avro::Schema::parse(&text).expect("it is sound");
    let schema = from_avro::schema(avro.root()).expect("it is small");
    let read = |count: usize| {
        // A block of `count` values, each of which is the index of the first branch: one byte.
        let value = avro::data::Value::Array(vec![
            avro::data::Value::Union(
                0,
                Box::new(avro::data::Value::Fixed(Vec::new()))
            );
            count
        ]);
        let mut bytes = Vec::new();
        avro.root().encode(&value, &mut bytes).expect("it fits");
        let value = avro.root().decode(&bytes).expect("it is whole");
        data::to_connect(avro.root(), &schema, value, bytes.len())
    };
    assert!(read(1000).is_ok());
    let error = read(2000).expect_err("two million fields of 2 kB").to_string();
    assert!(error.contains("too many values of unions"), "{error}");
}

#[test]
fn a_schema_has_the_version_that_the_registry_says_unless_it_says_one_itself() {
    let read = |text: &str| {
        let avro = avro::Schema::parse(text).expect("it is sound");
        Read::new(avro, vec![("t-value".to_owned(), 3)]).expect("Connect has it")
    };
    let silent = read(r#"{"type":"record","name":"R","fields":[]}"#);
    let version = |read: &Read, topic| read.schema(topic, "value").version();
    assert_eq!((version(&silent, "t"), version(&silent, "u")), (Some(3), None));
    assert_eq!(silent.schema("t", "key").version(), None);
    let said = read(r#"{"type":"record","name":"R","fields":[],"connect.version":7}"#);
    assert_eq!(version(&said, "t"), Some(7));
}
