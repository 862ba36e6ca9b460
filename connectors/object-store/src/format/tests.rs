//! What files hold. In `bounds`: what it may cost; in `files` and `python`: each format; in `versions`: several schemas in one; in `raw`: that raw values are read as converted ones.

mod bounds;
mod files;
mod python;
mod random;
mod raw;
mod versions;

use std::sync::Arc;

use arrow_array::{
    Array, RecordBatch,
    cast::AsArray,
    types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMillisecondType},
};
use forebay_connect_api::{
    Schema, Struct, Value,
    schema::{self, Decimal},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;

const RULES: Rules = Rules {
    compatibility: Compatibility::None,
    inference: true,
};

fn writer(encoding: Encoding) -> Box<dyn Writer> {
    let format = Format {
        encoding,
        rules: RULES,
    };
    format.files().writer()
}

fn parquet() -> Box<dyn Writer> {
    writer(Encoding::Parquet(Compression::SNAPPY))
}

fn reading(format: &ValueFormat) -> Reading<'_> {
    Reading {
        format,
        topic: "t",
        unreadable: &[],
    }
}

fn rows(content: Bytes) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(content)
        .expect("Parquet")
        .build()
        .expect("a reader");
    reader.map(|batch| batch.expect("rows")).collect()
}

fn message(refused: Refused) -> (bool, String) {
    match refused {
        Refused::Record(error) => (false, error.trace()),
        Refused::All(error) => (true, error.trace()),
        Refused::Fetch(id) => (false, format!("schema {id} is wanted")),
        Refused::Null(_) => (false, "it is null".to_owned()),
    }
}

#[test]
fn raw_and_schemaless_strings_and_bytes_are_the_one_column_value() {
    let raw = [Some(b"a".as_slice()), None, Some(b"\xff")];
    for (format, nullable_strings) in [(ValueFormat::String, true), (ValueFormat::Bytes, false)] {
        let mut from_raw = parquet();
        let mut converted = parquet();
        for value in raw {
            assert_eq!(
                from_raw
                    .write(Cell::Raw(&reading(&format), value))
                    .expect("taken"),
                Written::Row
            );
            let bytes = value.map(Bytes::copy_from_slice);
            let value: Value = match nullable_strings {
                true => bytes.map(Text::from_utf8_lossy).into(),
                false => bytes.into(),
            };
            let written = converted.write(Cell::Converted(&SchemaAndValue::schemaless(value)));
            assert_eq!(written.expect("taken"), Written::Row);
        }
        let (from_raw, converted) = (
            rows(from_raw.finish().expect("whole")),
            rows(converted.finish().expect("whole")),
        );
        assert_eq!(from_raw, converted);
        let column = from_raw[0].column_by_name("value").expect("the column");
        assert_eq!((column.len(), column.null_count()), (3, 1));
        if nullable_strings {
            assert_eq!(column.as_string::<i32>().value(2), "\u{fffd}");
        } else {
            assert_eq!(column.as_binary::<i32>().value(2), b"\xff");
        }
    }
}

fn order() -> Arc<Schema> {
    let tags = Schema::array(Schema::string_schema())
        .optional()
        .build()
        .expect("fits");
    let counts = Schema::map(
        Schema::string_schema(),
        Schema::primitive(schema::Type::Int64, true).expect("primitive"),
    );
    let place = Schema::structure()
        .field("zip", Schema::string_schema())
        .optional()
        .build()
        .expect("fits");
    Schema::structure()
        .name("order")
        .field("id", Schema::int64().build().expect("fits"))
        .field("price", schema::decimal(2).optional().build().expect("fits"))
        .field("day", schema::date().optional().build().expect("fits"))
        .field("at", schema::timestamp().optional().build().expect("fits"))
        .field(
            "state",
            Schema::string()
                .default_value("new".into())
                .build()
                .expect("fits"),
        )
        .field("tags", tags)
        .field("counts", counts.optional().build().expect("fits"))
        .field("place", place)
        .build()
        .expect("fits")
}

fn full(schema: &Arc<Schema>) -> Struct {
    let place = Arc::clone(&schema.field("place").expect("a field").schema);
    let place = Struct::new(place)
        .expect("a struct")
        .with("zip", "8000")
        .expect("fits");
    let fields: [(&str, Value); 8] = [
        ("id", 7_i64.into()),
        ("price", Decimal::encode(-1_999).into()),
        ("day", 20_000.into()),
        ("at", 1_700_000_000_123_i64.into()),
        ("state", "sent".into()),
        ("tags", vec!["a".into(), "b".into()].into()),
        (
            "counts",
            Value::Map(vec![("x".into(), 1_i64.into()), ("y".into(), Value::Null)]),
        ),
        ("place", place.into()),
    ];
    let empty = Struct::new(Arc::clone(schema)).expect("a struct");
    fields
        .into_iter()
        .fold(empty, |row, (field, value)| row.with(field, value).expect("fits"))
}

#[test]
fn a_schema_becomes_columns_with_logical_types() {
    let schema = order();
    let sparse = Struct::new(Arc::clone(&schema))
        .expect("a struct")
        .with("id", 8_i64)
        .expect("fits");
    let mut file = parquet();
    for row in [full(&schema), sparse] {
        let value = SchemaAndValue::new(Arc::clone(&schema), row);
        assert_eq!(file.write(Cell::Converted(&value)).expect("taken"), Written::Row);
    }
    let batch = &rows(file.finish().expect("whole"))[0];
    let column = |name: &str| batch.column_by_name(name).expect(name);
    assert_eq!(column("id").as_primitive::<Int64Type>().values(), &[7, 8]);
    assert_eq!(
        column("price")
            .as_primitive::<Decimal128Type>()
            .value_as_string(0),
        "-19.99"
    );
    assert_eq!(column("day").as_primitive::<Date32Type>().value(0), 20_000);
    assert_eq!(
        column("at").as_primitive::<TimestampMillisecondType>().value(0),
        1_700_000_000_123
    );
    let states = column("state").as_string::<i32>();
    assert_eq!(
        (states.value(0), states.value(1)),
        ("sent", "new"),
        "a default stands for null"
    );
    assert_eq!(
        column("tags")
            .as_list::<i32>()
            .value(0)
            .as_string::<i32>()
            .value(1),
        "b"
    );
    assert_eq!(
        column("counts")
            .as_map()
            .value(0)
            .column(1)
            .as_primitive::<Int64Type>()
            .value(0),
        1
    );
    assert_eq!(
        column("place").as_struct().column(0).as_string::<i32>().value(0),
        "8000"
    );
    for name in ["price", "day", "at", "tags", "counts", "place"] {
        assert!(column(name).is_null(1), "{name}");
    }
    assert_eq!(column("id").null_count() + column("state").null_count(), 0);
}

fn structure(name: Option<&str>, fields: &[(&str, Arc<Schema>)]) -> Arc<Schema> {
    let mut builder = Schema::structure();
    if let Some(name) = name {
        builder = builder.name(name);
    }
    let fields = fields.iter();
    let builder = fields.fold(builder, |builder, (name, of)| {
        builder.field(*name, Arc::clone(of))
    });
    builder.build().expect("fits")
}

fn row(schema: &Arc<Schema>, values: Vec<Value>) -> SchemaAndValue {
    let row = Struct::from_values(Arc::clone(schema), values).expect("a value each");
    SchemaAndValue::new(Arc::clone(schema), row)
}

/// Three versions of a schema.
fn versions() -> [SchemaAndValue; 3] {
    let int = Schema::primitive(schema::Type::Int32, false).expect("primitive");
    let double = Schema::primitive(schema::Type::Float64, false).expect("primitive");
    let text = Schema::string_schema;
    let state = Schema::string().default_value("new".into());
    [
        row(
            &structure(Some("r"), &[("a", int.clone()), ("b", text())]),
            vec![1.into(), "x".into()],
        ),
        row(
            &structure(
                Some("r"),
                &[("c", text()), ("a", int), ("s", state.build().expect("fits"))],
            ),
            vec!["y".into(), 2.into(), "old".into()],
        ),
        row(
            &structure(Some("r"), &[("a", double), ("b", text())]),
            vec![2.5.into(), "z".into()],
        ),
    ]
}

#[test]
fn records_of_several_versions_lie_in_one_file_in_their_order() {
    let [first, second, third] = versions();
    let mut files: Vec<Box<dyn Writer>> = Vec::new();
    // The schema grows before anything is encoded, and after that.
    for repeated in [1, 9_000] {
        let mut file = parquet();
        for value in [&first, &second, &third] {
            for _ in 0..repeated {
                assert_eq!(file.write(Cell::Converted(value)).expect("taken"), Written::Row);
            }
        }
        for value in [&first, &third, &second, &first] {
            assert_eq!(file.write(Cell::Converted(value)).expect("taken"), Written::Row);
        }
        files.push(file);
    }
    for (file, repeated) in files.into_iter().zip([1, 9_000]) {
        let batches = rows(file.finish().expect("whole"));
        let schema = batches[0].schema();
        let names: Vec<&str> = schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        assert_eq!(names, ["a", "b", "c", "s"]);
        let numbers: Vec<f64> = batches
            .iter()
            .flat_map(|batch| batch.column(0).as_primitive::<Float64Type>().values().to_vec())
            .collect();
        let expected = [1.0, 2.0, 2.5].map(|number| vec![number; repeated]).concat();
        assert_eq!(numbers, [expected, vec![1.0, 2.5, 2.0, 1.0]].concat());
        let texts = |name: &str| -> Vec<Option<String>> {
            let columns = batches.iter().map(|batch| {
                batch
                    .column_by_name(name)
                    .expect("it is there")
                    .as_string::<i32>()
            });
            columns
                .flat_map(|column| {
                    column
                        .iter()
                        .map(|text| text.map(str::to_owned))
                        .collect::<Vec<_>>()
                })
                .collect()
        };
        let (b, c, s) = (texts("b"), texts("c"), texts("s"));
        for (index, number) in numbers.iter().enumerate() {
            let expected = match *number {
                1.0 => (Some("x"), None, Some("new")),
                2.0 => (None, Some("y"), Some("old")),
                _ => (Some("z"), None, Some("new")),
            };
            assert_eq!(
                (b[index].as_deref(), c[index].as_deref(), s[index].as_deref()),
                expected,
                "{index}"
            );
        }
    }
}

#[test]
fn what_cannot_be_one_schema_belongs_into_another_file() {
    let text = Schema::string_schema;
    let int = Schema::primitive(schema::Type::Int32, false).expect("primitive");
    let first = row(&structure(Some("r"), &[("a", text())]), vec!["x".into()]);
    let cases = [
        (
            row(&structure(Some("q"), &[("a", text())]), vec!["x".into()]),
            Written::OtherSchema,
        ),
        (
            row(&structure(Some("r"), &[("a", int)]), vec![1.into()]),
            Written::OtherSchema,
        ),
        (SchemaAndValue::string("x"), Written::OtherSchema),
        (
            row(&structure(None, &[("b", text())]), vec!["x".into()]),
            Written::Row,
        ),
        (first.clone(), Written::Row),
    ];
    let mut file = parquet();
    file.write(Cell::Converted(&first)).expect("taken");
    for (value, expected) in cases {
        assert_eq!(
            file.write(Cell::Converted(&value)).expect("judged"),
            expected,
            "{value:?}"
        );
    }
    assert_eq!(rows(file.finish().expect("whole"))[0].num_rows(), 3);
}

#[test]
fn what_cannot_be_written_says_what_to_do() {
    let object = SchemaAndValue::schemaless(Value::Map(vec![("a".into(), 1.into())]));
    let rules = Rules {
        inference: false,
        ..RULES
    };
    let encoding = Encoding::Parquet(Compression::SNAPPY);
    let mut file = Format { encoding, rules }.files().writer();
    let (all, text) = message(file.write(Cell::Converted(&object)).expect_err("an object"));
    assert!(all, "no other record will do better");
    for way in [
        "json.JsonFormat",
        "value.converter.schemas.enable=true",
        "AvroConverter",
    ] {
        assert!(text.contains(way), "{text}");
    }

    let schema = order();
    let mut file = parquet();
    let good = SchemaAndValue::new(Arc::clone(&schema), full(&schema));
    file.write(Cell::Converted(&good)).expect("taken");
    let long = Bytes::from(vec![0x7f; 20]);
    let bad = full(&schema).with("price", long).expect("bytes are bytes");
    let bad = SchemaAndValue::new(Arc::clone(&schema), bad);
    let (all, text) = message(file.write(Cell::Converted(&bad)).expect_err("too many digits"));
    assert!(!all && text.contains("more than the 38 digits"), "{text}");
    let missing = SchemaAndValue::new(
        Arc::clone(&schema),
        Struct::new(Arc::clone(&schema)).expect("a struct"),
    );
    let (all, text) = message(file.write(Cell::Converted(&missing)).expect_err("no id"));
    assert!(
        !all && text.contains("id: null used for a required value"),
        "{text}"
    );
    file.write(Cell::Converted(&good)).expect("the file is as it was");
    assert_eq!(rows(file.finish().expect("whole"))[0].num_rows(), 2);
}

#[test]
fn json_lines_are_jacksons() {
    let schema = order();
    let struct_line = "{\"id\":7,\"price\":\"+DE=\",\"day\":20000,\"at\":1700000000123,\"state\":\"sent\",\"tags\":[\"a\",\"b\"],\
                       \"counts\":{\"x\":1,\"y\":null},\"place\":{\"zip\":\"8000\"}}";
    let cases: [(Value, &str); 8] = [
        (full(&schema).into(), struct_line),
        (
            Struct::new(schema)
                .expect("a struct")
                .with("id", 8_i64)
                .expect("fits")
                .into(),
            "{\"id\":8,\"price\":null,\"day\":null,\"at\":null,\"state\":\"new\",\"tags\":null,\"counts\":null,\"place\":null}",
        ),
        (
            Value::Map(vec![("a\"".into(), 1.into()), ("b".into(), Value::Array(vec![]))]),
            "{\"a\\\"\":1,\"b\":[]}",
        ),
        (Value::Map(vec![(1.into(), true.into())]), "[[1,true]]"),
        ("li\nne\u{1}é".into(), "\"li\\nne\\u0001é\""),
        (1.0.into(), "1.0"),
        (f64::NAN.into(), "\"NaN\""),
        (Value::Null, "null"),
    ];
    for (value, expected) in cases {
        let mut file = writer(Encoding::Json { gzip: None });
        file.write(Cell::Converted(&SchemaAndValue::schemaless(value)))
            .expect("taken");
        let line = String::from_utf8(file.finish().expect("whole").to_vec()).expect("UTF-8");
        assert_eq!(line, format!("{expected}\n"));
        let _: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    }
    let mut file = writer(Encoding::Json { gzip: None });
    file.write(Cell::Raw(&reading(&ValueFormat::String), Some(b"a\"\xff")))
        .expect("taken");
    file.write(Cell::Raw(&reading(&ValueFormat::Bytes), Some(b"abc")))
        .expect("taken");
    assert_eq!(file.finish().expect("whole"), "\"a\\\"\u{fffd}\"\n\"YWJj\"\n");
}

#[test]
fn a_schema_has_a_bound_however_its_types_share_what_they_hold() {
    let refused = |schema: Arc<Schema>| {
        let value = SchemaAndValue::new(schema, Value::Null);
        parquet().write(Cell::Converted(&value)).err().map(message)
    };
    let wide = |count: usize| {
        let fields = (0..count).fold(Schema::structure(), |builder, number| {
            builder.field(format!("f{number}"), Schema::optional_string_schema())
        });
        fields.optional().build().expect("sound")
    };
    let too_many = |(of_all, message): (bool, String)| of_all && message.contains("more than 10000 fields");
    // What is wrong within the bound is the null, which no row can be made of.
    assert!(!refused(wide(10_000)).is_some_and(too_many));
    assert!(refused(wide(10_001)).is_some_and(too_many));
    let doubled = (0..50).fold(wide(1), |inner, _| {
        let both = Schema::structure()
            .field("a", Arc::clone(&inner))
            .field("b", inner);
        both.build().expect("sound")
    });
    assert!(refused(doubled).is_some_and(too_many));
}
