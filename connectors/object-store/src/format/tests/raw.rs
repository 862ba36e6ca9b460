//! Raw values are read as the converter reads them: both ways into files, and the files compared.

use std::sync::LazyLock;

use forebay_connect_api::{AvroReader, AvroSchemas, avro};
use forebay_connect_avro::{data, from_avro};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

/// Avro as AvroConverter reads it, with schemas that are there.
#[derive(Debug)]
struct Registry(Vec<AvroSchemas>);

impl Registry {
    fn new(texts: &[&str]) -> Self {
        let parsed = texts.iter().map(|text| {
            let avro = avro::Schema::parse(text).expect("it is sound");
            let connect = from_avro::schema(avro.root()).expect("Connect has it");
            AvroSchemas {
                avro: Arc::new(avro),
                connect,
            }
        });
        Self(parsed.collect())
    }

    fn encode(&self, id: usize, json: &Json) -> Vec<u8> {
        let root = self.0[id].avro.root();
        let value = root.decode_json(json).expect("it fits");
        let mut out = vec![0, 0, 0, 0, u8::try_from(id).expect("a small one")];
        root.encode(&value, &mut out).expect("it fits");
        out
    }
}

impl ValueReader for Registry {
    fn read(&self, _topic: &str, value: Option<&[u8]>) -> Result<SchemaAndValue, ReadError> {
        let Some(value) = value else {
            return Ok(SchemaAndValue::default());
        };
        let strange = |what: String| ReadError::Value(Error::fatal(what));
        let (head, rest) = value
            .split_at_checked(5)
            .ok_or_else(|| strange("short".to_owned()))?;
        let id = i32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let place = usize::try_from(id).ok().filter(|_| head[0] == 0);
        let place = place.ok_or_else(|| strange("magic".to_owned()))?;
        let known = self.0.get(place).ok_or(ReadError::Fetch(id))?;
        let root = known.avro.root();
        let decoded = root.decode(rest).map_err(|error| strange(error.to_string()))?;
        let value = data::to_connect(root, &known.connect, decoded, rest.len());
        let value = value.map_err(|error| strange(error.to_string()))?;
        Ok(SchemaAndValue::new(Arc::clone(&known.connect), value))
    }
}

impl AvroReader for Registry {
    fn schemas(&self, _topic: &str, schema_id: i32) -> Option<AvroSchemas> {
        self.0.get(usize::try_from(schema_id).ok()?).cloned()
    }
}

const FIRST: &str = r#"{"type":"record","name":"n.Person","fields":[
    {"name":"name","type":"string"},{"name":"age","type":["null","int"]},{"name":"tags","type":{"type":"array","items":["null","string"]}},
    {"name":"scores","type":{"type":"map","values":"double"}},{"name":"kind","type":{"type":"enum","name":"Kind","symbols":["A","B"]}},
    {"name":"hash","type":{"type":"fixed","name":"Hash","size":2}},{"name":"raw","type":["bytes","null"],"default":"x"},
    {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":5,"scale":2}},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"noon","type":{"type":"int","logicalType":"time-millis"}},
    {"name":"which","type":["null","int","string",{"type":"record","name":"Inner","fields":[{"name":"ok","type":"boolean"}]}]}]}"#;

/// Another order, one field less, one more, and one that is wider.
const SECOND: &str = r#"{"type":"record","name":"n.Person","fields":[
    {"name":"extra","type":"float","default":1.5},{"name":"age","type":["null","long"]},{"name":"name","type":"string"},
    {"name":"scores","type":{"type":"map","values":"double"}},
    {"name":"kind","type":{"type":"enum","name":"Kind","symbols":["A","B","C"]}}]}"#;

static REGISTRY: LazyLock<Arc<Registry>> =
    LazyLock::new(|| Arc::new(Registry::new(&[FIRST, SECOND, r#"["null","long"]"#])));

fn avro_value() -> impl Strategy<Value = Vec<u8>> {
    let number = -3_i32..70_000;
    let first = (".{0,5}", prop::option::of(number.clone()), prop::collection::vec(prop::option::of("[a-c]{0,3}"), 0..3), 0_usize..4)
        .prop_map(|(name, age, tags, pick)| {
            let which = [json!(null), json!({"int": 7}), json!({"string": name}), json!({"n.Inner": {"ok": true}})];
            let tags: Vec<Json> = tags.into_iter().map(|tag| tag.map_or(Json::Null, |tag| json!({"string": tag}))).collect();
            let raw = [json!(null), json!({"bytes": "y"})];
            // Six digits are too many, and a day has no more milliseconds than it has.
            let price = ["\u{0}", "\u{1}\u{ff}", "\u{f}\u{ff}\u{ff}", "\u{ff}"];
            let noon = [0, 86_399_999, 86_400_000, 5][pick];
            let json = json!({"name": name, "age": age.map(|age| json!({"int": age})), "tags": tags, "scores": {"x": 0.5, "y": pick},
                "kind": "AB"[pick % 2..=pick % 2], "hash": "\u{1}\u{2}", "raw": raw[pick % 2], "price": price[pick], "at": age.unwrap_or(-1),
                "noon": noon, "which": which[pick]});
            REGISTRY.encode(0, &json)
        });
    let second = (".{0,5}", prop::option::of(any::<i64>()), 0_usize..3).prop_map(|(name, age, pick)| {
        let json = json!({"extra": 2.5, "age": age.map(|age| json!({"long": age})), "name": name, "scores": {},
            "kind": "ABC"[pick..=pick]});
        REGISTRY.encode(1, &json)
    });
    let damaged = (
        first.clone(),
        any::<prop::sample::Index>(),
        any::<u8>(),
        any::<bool>(),
    )
        .prop_map(|(mut bytes, at, byte, cut)| {
            let at = at.index(bytes.len());
            match cut {
                true => bytes.truncate(at),
                false => bytes[at] = byte,
            }
            bytes
        });
    let nullable = prop::option::of(any::<i64>())
        .prop_map(|number| REGISTRY.encode(2, &number.map_or(Json::Null, |number| json!({"long": number}))));
    // Mostly records, so that files hold more than one row.
    prop_oneof![8 => first, 6 => second, 4 => damaged, 1 => nullable]
}

fn json_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i32>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        "[a\u{e9}\"\\\\\n ]{0,4}".prop_map(|text| json!(text)),
        Just(json!([])),
        Just(json!({})),
    ];
    let inner = leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::Array),
            prop::collection::vec(("[ab]", inner), 0..3)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    });
    let typed = (
        any::<i16>(),
        prop::option::of("[a-z]{0,6}"),
        prop::option::of(any::<f64>()),
        prop::collection::vec(any::<i8>(), 0..3),
    );
    // Mostly objects of one kind, so that files hold more than one row.
    let usual = typed.prop_map(|(id, name, price, list)| {
        json!({"id": id, "name": name, "price": price, "in": {"list": list}}).to_string()
    });
    let odd = prop::collection::vec(("(id|name|price|in|a|)", inner), 0..4).prop_map(|members| {
        let members: Vec<String> = members
            .into_iter()
            .map(|(key, value)| format!("{} :{value}", json!(key)))
            .collect();
        format!(" {{{}}}", members.join(" , "))
    });
    let number = prop::sample::select(vec![
        "1",
        "-0",
        "01",
        "1.",
        ".5",
        "1e5",
        "-1E-2",
        "10000000000000000000",
        "9223372036854775807",
        "1e999",
        "+1",
        "0.1000000000000000055511151231257827",
        "9007199254740993",
        "\"x",
        "nul",
        "[1,]",
        "{\"a\"}",
        "tru",
        "\"\\u00e9\"",
        "\"\\ud800\"",
        "\"\t\"",
        "1 2",
    ]);
    let strange = ("(id|price|name|in)", number).prop_map(|(key, number)| format!("{{\"{key}\":{number}}}"));
    let null = prop::sample::select(vec!["null", " null", "null\n"]).prop_map(str::to_owned);
    prop_oneof![12 => usual, 4 => odd, 4 => strange, 1 => null]
}

/// JSON as JsonConverter reads it.
#[derive(Debug)]
pub(super) struct JsonReader {
    pub(super) with_schemas: bool,
}

impl ValueReader for JsonReader {
    fn read(&self, _topic: &str, value: Option<&[u8]>) -> Result<SchemaAndValue, ReadError> {
        let strange = || ReadError::Value(Error::fatal("strange"));
        let json: Json = serde_json::from_slice(value.unwrap_or(b"null")).map_err(|_| strange())?;
        if !self.with_schemas {
            return Ok(SchemaAndValue::schemaless(schemaless(json).ok_or_else(strange)?));
        }
        let schema = match json["schema"]["version"].as_i64() {
            Some(1) => Arc::clone(&TYPED[0]),
            _ => Arc::clone(&TYPED[1]),
        };
        let value = typed(&schema, &json["payload"]).ok_or_else(strange)?;
        Ok(SchemaAndValue::new(schema, value))
    }
}

fn schemaless(json: Json) -> Option<Value> {
    Some(match json {
        Json::Null => Value::Null,
        Json::Bool(value) => value.into(),
        Json::String(text) => text.into(),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => integer.into(),
            None if !number.to_string().contains(['.', 'e', 'E']) => return None,
            None => number.as_f64().filter(|number| number.is_finite())?.into(),
        },
        Json::Array(items) => Value::Array(items.into_iter().map(schemaless).collect::<Option<_>>()?),
        Json::Object(members) => {
            let entries = members
                .into_iter()
                .map(|(key, value)| Some((key.into(), schemaless(value)?)));
            Value::Map(entries.collect::<Option<_>>()?)
        }
    })
}

/// Two schemas, of which the second has a field more.
static TYPED: LazyLock<[Arc<Schema>; 2]> = LazyLock::new(|| {
    let base = || {
        Schema::structure()
            .name("t")
            .field(
                "id",
                Schema::primitive(schema::Type::Int32, false).expect("primitive"),
            )
            .field("name", Schema::optional_string_schema())
            .field(
                "price",
                Schema::primitive(schema::Type::Float64, true).expect("primitive"),
            )
            .field("cost", schema::decimal(2).optional().build().expect("fits"))
            .field(
                "map",
                Schema::map(Schema::string_schema(), Schema::string_schema())
                    .optional()
                    .build()
                    .expect("fits"),
            )
    };
    let more = base().field("ok", Schema::boolean().optional().build().expect("fits"));
    [base().build().expect("fits"), more.build().expect("fits")]
});

fn typed(schema: &Arc<Schema>, json: &Json) -> Option<Value> {
    use base64::Engine;
    if json.is_null() {
        return schema.is_optional().then_some(Value::Null);
    }
    Some(match schema.schema_type() {
        schema::Type::Int32 => Value::Int32(json.as_i64()?.try_into().ok()?),
        schema::Type::Float64 => Value::Float64(json.as_number()?.to_string().parse().ok()?),
        schema::Type::Boolean => json.as_bool()?.into(),
        schema::Type::String => json.as_str()?.into(),
        schema::Type::Bytes => Value::Bytes(
            base64::prelude::BASE64_STANDARD
                .decode(json.as_str()?)
                .ok()?
                .into(),
        ),
        schema::Type::Map => {
            let values = schema.value_schema().expect("a MAP has one");
            let entries = json
                .as_object()?
                .iter()
                .map(|(key, value)| Some((key.as_str().into(), typed(values, value)?)));
            Value::Map(entries.collect::<Option<_>>()?)
        }
        _ => {
            let members = json.as_object()?;
            let values = schema
                .fields()
                .iter()
                .map(|field| typed(&field.schema, members.get(&*field.name).unwrap_or(&Json::Null)));
            Struct::from_values(Arc::clone(schema), values.collect::<Option<_>>()?)
                .expect("a value each")
                .into()
        }
    })
}

fn envelope() -> impl Strategy<Value = String> {
    let member = prop_oneof![
        any::<i32>().prop_map(|id| format!("\"id\":{id}")),
        "[a-z]{0,3}".prop_map(|name| format!("\"name\": \"{name}\"")),
        any::<f64>().prop_map(|price| format!("\"price\":{}", json!(price))),
        prop::sample::select(vec![
            "\"price\":1e999",
            "\"price\":12345678901234567890",
            "\"id\":1.0",
            "\"id\":3000000000",
            "\"cost\":\"Ag==\"",
            "\"cost\":\"A\"",
            "\"cost\":\"\"",
            "\"map\":{\"a\":\"x\",\"b\":\"y\"}",
            "\"map\":{\"a\":\"x\",\"a\":\"y\"}",
            "\"map\":{\"a\":null}",
            "\"map\":{}",
            "\"ok\":true",
            "\"ok\":\"x\"",
            "\"else\":[{\"x\":[1,{}]},\"\\n\"]",
            "\"else\":[1,]",
            "\"name\":null",
            "\"name\":\"\\u0041\"",
        ])
        .prop_map(str::to_owned),
    ];
    (1..4_i32, prop::collection::vec(member, 0..4), any::<bool>()).prop_map(|(version, members, with_id)| {
        let id = if with_id {
            vec!["\"id\":5".to_owned()]
        } else {
            vec![]
        };
        let members = [id, members].concat().join(",");
        let payload = if version == 3 {
            "null".to_owned()
        } else {
            format!("{{{members}}}")
        };
        format!("{{\"schema\":{{\"version\":{version}}},\"payload\":{payload}}}")
    })
}

/// Writes values raw and converted, and holds both files against each other.
fn check(format: &ValueFormat, reader: &dyn ValueReader, values: &[Vec<u8>]) -> Result<(), TestCaseError> {
    let reading = reading(format);
    let (mut raw, mut converted) = (parquet(), parquet());
    let mut taken = 0;
    for value in values {
        let one = match raw.write(Cell::Raw(&reading, Some(value))) {
            // As a task with behavior.on.null.values=write does.
            Err(Refused::Null(null)) => raw.write(Cell::Converted(&null)),
            other => other,
        };
        let other = match reader.read("t", Some(value)) {
            Ok(value) => converted.write(Cell::Converted(&value)),
            Err(ReadError::Value(error)) => Err(Refused::Record(error)),
            Err(ReadError::Fetch(id)) => Err(Refused::Fetch(id)),
        };
        let text = String::from_utf8_lossy(value);
        match (&one, &other) {
            (Ok(one), Ok(other)) => prop_assert_eq!(one, other, "{}", text),
            (Err(Refused::Record(one)), Err(Refused::Record(other))) => {
                prop_assert_eq!(one.to_string(), other.to_string(), "{}", text);
            }
            (Err(Refused::Fetch(one)), Err(Refused::Fetch(other))) => prop_assert_eq!(one, other),
            (one, other) => prop_assert!(false, "{one:?} and {other:?} of {text}"),
        }
        taken += usize::from(matches!(one, Ok(Written::Row)));
    }
    if taken > 0 {
        let (raw, converted) = (
            rows(raw.finish().expect("whole")),
            rows(converted.finish().expect("whole")),
        );
        prop_assert_eq!(raw.iter().map(RecordBatch::num_rows).sum::<usize>(), taken);
        // NaN is not itself, but is written the same.
        prop_assert_eq!(format!("{raw:?}"), format!("{converted:?}"));
    }
    Ok(())
}

proptest! {
    #[test]
    fn raw_avro_is_read_as_the_converter_reads_it(values in prop::collection::vec(avro_value(), 1..30)) {
        let reader = Arc::clone(&REGISTRY);
        check(&ValueFormat::Avro(Arc::clone(&reader) as _), &*reader, &values)?;
    }

    #[test]
    fn raw_json_is_read_as_the_converter_reads_it(values in prop::collection::vec(json_value(), 1..30)) {
        let reader = Arc::new(JsonReader { with_schemas: false });
        let values: Vec<Vec<u8>> = values.into_iter().map(String::into_bytes).collect();
        check(&ValueFormat::Json(Arc::clone(&reader) as _), &*reader, &values)?;
    }

    #[test]
    fn raw_json_with_schemas_is_read_as_the_converter_reads_it(values in prop::collection::vec(envelope(), 1..30)) {
        let reader = Arc::new(JsonReader { with_schemas: true });
        let values: Vec<Vec<u8>> = values.into_iter().map(String::into_bytes).collect();
        check(&ValueFormat::JsonWithSchemas(Arc::clone(&reader) as _), &*reader, &values)?;
    }
}

#[test]
fn a_default_instead_of_a_null_that_the_converter_refuses_is_not_written() {
    #[derive(Debug)]
    struct Strict(Arc<Schema>);
    impl ValueReader for Strict {
        fn read(&self, _topic: &str, value: Option<&[u8]>) -> Result<SchemaAndValue, ReadError> {
            let json: Json = serde_json::from_slice(value.unwrap_or_default()).expect("JSON");
            // With replace.null.with.default=false.
            let value = typed(&self.0, &json["payload"]);
            let value =
                value.ok_or_else(|| ReadError::Value(Error::fatal("null used for a required value")))?;
            Ok(SchemaAndValue::new(Arc::clone(&self.0), value))
        }
    }
    let inner = Schema::structure()
        .field(
            "state",
            Schema::string()
                .default_value("new".into())
                .build()
                .expect("fits"),
        )
        .field("note", Schema::optional_string_schema());
    let schema = Schema::structure()
        .field("id", Schema::int32().build().expect("fits"))
        .field("in", inner.build().expect("fits"))
        .build()
        .expect("fits");
    let reader = Arc::new(Strict(schema));
    let values = [
        r#"{"state":"a"}"#,
        r#"{"state":"b"}"#,
        "{}",
        r#"{"state":null}"#,
        r#"{"note":"x"}"#,
        r#"{"state":"c"}"#,
    ];
    let values =
        values.map(|inner| format!(r#"{{"schema":{{}},"payload":{{"id":1,"in":{inner}}}}}"#).into_bytes());
    check(
        &ValueFormat::JsonWithSchemas(Arc::clone(&reader) as _),
        &*reader,
        &values,
    )
    .expect("both ways are the same");
}

#[test]
fn usual_values_do_not_go_through_the_converter() {
    #[derive(Debug)]
    struct Once(Registry, std::sync::atomic::AtomicUsize);
    impl ValueReader for Once {
        fn read(&self, topic: &str, value: Option<&[u8]>) -> Result<SchemaAndValue, ReadError> {
            self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            self.0.read(topic, value)
        }
    }
    impl AvroReader for Once {
        fn schemas(&self, topic: &str, schema_id: i32) -> Option<AvroSchemas> {
            self.0.schemas(topic, schema_id)
        }
    }
    let reader = Arc::new(Once(Registry::new(&[SECOND, FIRST]), 0.into()));
    let second = reader.0.encode(
        0,
        &json!({"extra": 2.5, "age": null, "name": "x", "scores": {}, "kind": "C"}),
    );
    let format = ValueFormat::Avro(Arc::clone(&reader) as _);
    let mut file = parquet();
    for _ in 0..1000 {
        file.write(Cell::Raw(&reading(&format), Some(&second)))
            .expect("taken");
    }
    assert_eq!(reader.1.load(std::sync::atomic::Ordering::Relaxed), 1);
    let missing = [0, 0, 0, 0, 9, 2];
    assert!(matches!(
        file.write(Cell::Raw(&reading(&format), Some(&missing))),
        Err(Refused::Fetch(9))
    ));
    let unreadable = [(9, "it is gone".to_owned())];
    let reading = Reading {
        unreadable: &unreadable,
        ..reading(&format)
    };
    let (of_all, text) = message(
        file.write(Cell::Raw(&reading, Some(&missing)))
            .expect_err("it cannot be had"),
    );
    assert!(!of_all && text.contains("it is gone"), "{text}");
}
