//! Each format read back by others' readers, and schemas that grow within a file.

use std::io::Read;

use arrow_avro::reader::ReaderBuilder;
use flate2::read::GzDecoder;

use super::*;

pub(super) fn avro_rows(content: &[u8]) -> Vec<RecordBatch> {
    let reader = ReaderBuilder::new()
        .build(std::io::Cursor::new(content))
        .expect("a container");
    reader.map(|batch| batch.expect("rows")).collect()
}

pub(super) fn write_all(file: &mut dyn Writer, values: &[SchemaAndValue]) {
    for value in values {
        assert_eq!(
            file.write(Cell::Converted(value)).expect("taken"),
            Written::Row,
            "{value:?}"
        );
    }
}

/// An object without schema.
pub(super) fn object(json: &serde_json::Value) -> SchemaAndValue {
    fn value(json: &serde_json::Value) -> Value {
        match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => (*value).into(),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(integer) => integer.into(),
                None => number.as_f64().expect("a float").into(),
            },
            serde_json::Value::String(text) => text.as_str().into(),
            serde_json::Value::Array(items) => Value::Array(items.iter().map(value).collect()),
            serde_json::Value::Object(members) => Value::Map(
                members
                    .iter()
                    .map(|(name, of)| (name.as_str().into(), value(of)))
                    .collect(),
            ),
        }
    }
    SchemaAndValue::schemaless(value(json))
}

#[test]
fn avro_files_are_read_by_others_with_every_codec_and_where_their_schema_grew() {
    let schema = order();
    let sparse = Struct::new(Arc::clone(&schema))
        .expect("a struct")
        .with("id", 8_i64)
        .expect("fits");
    let orders = [full(&schema), sparse].map(|row| SchemaAndValue::new(Arc::clone(&schema), row));
    for codec in [
        AvroCodec::Null,
        AvroCodec::Deflate,
        AvroCodec::Snappy,
        AvroCodec::Bzip2,
        AvroCodec::Zstandard,
    ] {
        let mut file = writer(Encoding::Avro(codec));
        for _ in 0..1000 {
            write_all(&mut *file, &orders);
        }
        let batches = avro_rows(&file.finish().expect("whole"));
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 2000);
        let column = |name: &str| Arc::clone(batches[0].column_by_name(name).expect(name));
        assert_eq!(column("id").as_primitive::<Int64Type>().value(1), 8);
        assert_eq!(column("day").as_primitive::<Date32Type>().value(0), 20_000);
        assert_eq!(
            column("at").as_primitive::<TimestampMillisecondType>().value(0),
            1_700_000_000_123
        );
        assert_eq!(column("state").as_string::<i32>().value(1), "new");
        assert_eq!(
            column("tags")
                .as_list::<i32>()
                .value(0)
                .as_string::<i32>()
                .value(1),
            "b"
        );
        assert_eq!(
            column("place").as_struct().column(0).as_string::<i32>().value(0),
            "8000"
        );
        assert!(column("place").is_null(1) && column("tags").is_null(1));

        let [first, second, third] = versions();
        let mut file = writer(Encoding::Avro(codec));
        for _ in 0..10_000 {
            write_all(&mut *file, std::slice::from_ref(&first));
        }
        write_all(&mut *file, &[second, third, first]);
        let batches = avro_rows(&file.finish().expect("whole"));
        let numbers: Vec<f64> = batches
            .iter()
            .flat_map(|batch| {
                batch
                    .column_by_name("a")
                    .expect("a")
                    .as_primitive::<Float64Type>()
                    .values()
                    .to_vec()
            })
            .collect();
        assert_eq!(numbers, [vec![1.0; 10_000], vec![2.0, 2.5, 1.0]].concat());
        let last = batches.last().expect("some");
        let state = last.column_by_name("s").expect("s").as_string::<i32>();
        let from_last = |place: usize| state.value(state.len() - place);
        assert_eq!([from_last(4), from_last(3), from_last(2)], ["new", "old", "new"]);
    }
}

/// Objects of which the schema grows, and the file that they become; what fits no widening is at fault and leaves no trace.
fn growing(encoding: Encoding) -> Bytes {
    let objects = [
        serde_json::json!({"a": 1, "empty": [], "nothing": null, "in": {"x": true}}),
        serde_json::json!({"a": 2.5, "b": "t", "in": {"y": [1, null, 2.5]}}),
        serde_json::json!({"b": null, "empty": ["e"], "in": null}),
    ]
    .map(|json| object(&json));
    let at_fault = [
        (
            serde_json::json!({"a": "x"}),
            "field a is STRING, which does not go with the FLOAT64",
        ),
        (
            serde_json::json!({"a": 1, "in": {"y": 7}}),
            "field in.y is INT64, which does not go with the ARRAY",
        ),
        (
            serde_json::json!({"in": {"y": [true]}}),
            "field in.y.[] is BOOLEAN, which does not go with the FLOAT64",
        ),
        (
            serde_json::json!({"new": 1, "b": {"c": 1}}),
            "field b is STRUCT, which does not go with the STRING",
        ),
        (
            serde_json::json!([1, "x"]),
            "is STRING, which does not go with the INT64",
        ),
        (
            serde_json::json!("text"),
            "the value is STRING, which does not go with the STRUCT",
        ),
    ];
    let mut file = writer(encoding);
    write_all(&mut *file, &objects);
    for (json, expected) in &at_fault {
        let (all, text) = message(
            file.write(Cell::Converted(&object(json)))
                .expect_err("it does not fit"),
        );
        assert!(!all && text.contains(expected), "{text}");
    }
    write_all(&mut *file, &objects[..1]);
    file.finish().expect("whole")
}

#[test]
fn schemaless_objects_become_columns_by_what_is_in_them() {
    let in_parquet = rows(growing(Encoding::Parquet(Compression::SNAPPY)));
    let in_avro = avro_rows(&growing(Encoding::Avro(AvroCodec::Null)));
    for batches in [in_parquet, in_avro] {
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 4);
        let batch = &batches[0];
        assert!(batch.column_by_name("nothing").is_none() && batch.column_by_name("new").is_none());
        let numbers = batch
            .column_by_name("a")
            .expect("a")
            .as_primitive::<Float64Type>();
        assert_eq!(
            numbers.iter().collect::<Vec<_>>(),
            [Some(1.0), Some(2.5), None, Some(1.0)]
        );
        let inner = batch.column_by_name("in").expect("in").as_struct();
        let list = inner.column_by_name("y").expect("y").as_list::<i32>().value(1);
        assert_eq!(
            list.as_primitive::<Float64Type>().iter().collect::<Vec<_>>(),
            [Some(1.0), None, Some(2.5)]
        );
        let empty = batch.column_by_name("empty").expect("empty").as_list::<i32>();
        assert!(
            empty.is_null(0) && empty.is_valid(3) && empty.value(3).is_empty(),
            "known by then"
        );
    }
    let options = CsvOptions {
        header: true,
        delimiter: b',',
    };
    let expected = "a,in,b,empty\n1,\"{\"\"x\"\":true}\",,\n2.5,\"{\"\"x\"\":null,\"\"y\"\":[1.0,null,2.5]}\",t,\n\
                    ,,,\"[\"\"e\"\"]\"\n1.0,\"{\"\"x\"\":true,\"\"y\"\":null}\",,[]\n";
    assert_eq!(growing(Encoding::Csv { options, gzip: None }), expected);
}

#[test]
fn csv_is_quoted_and_lines_get_the_columns_that_came_later() {
    let text = Schema::optional_string_schema;
    let narrow = structure(
        Some("r"),
        &[
            ("a,b", text()),
            ("n", schema::decimal(2).optional().build().expect("fits")),
        ],
    );
    let state = Schema::string()
        .default_value("new \"one\"".into())
        .build()
        .expect("fits");
    let wide = structure(
        Some("r"),
        &[
            ("a,b", text()),
            ("at", schema::timestamp().optional().build().expect("fits")),
            ("s", state),
        ],
    );
    let records = [
        row(&narrow, vec!["li\nne \"q\"".into(), Value::Null]),
        row(&narrow, vec!["".into(), Decimal::encode(-150).into()]),
        row(&wide, vec![Value::Null, 0_i64.into(), "x".into()]),
        row(&narrow, vec!["plain; text".into(), Value::Null]),
    ];
    let options = CsvOptions {
        header: true,
        delimiter: b',',
    };
    let mut file = writer(Encoding::Csv {
        options,
        gzip: Some(GzipLevel::default()),
    });
    write_all(&mut *file, &records);
    let content = file.finish().expect("whole");
    let mut csv = String::new();
    GzDecoder::new(&content[..])
        .read_to_string(&mut csv)
        .expect("gzip");
    let expected = "\"a,b\",n,at,s\n\"li\nne \"\"q\"\"\",,,\"new \"\"one\"\"\"\n\"\",-1.50,,\"new \"\"one\"\"\"\n,,1970-01-01T00:00:00.000Z,x\n\
                    plain; text,,,\"new \"\"one\"\"\"\n";
    assert_eq!(csv, expected);
    let options = CsvOptions {
        header: false,
        delimiter: b';',
    };
    let mut file = writer(Encoding::Csv { options, gzip: None });
    write_all(
        &mut *file,
        &[
            SchemaAndValue::schemaless("a;b"),
            SchemaAndValue::schemaless(Value::Null),
            SchemaAndValue::schemaless("c,d"),
        ],
    );
    assert_eq!(file.finish().expect("whole"), "\"a;b\"\n\nc,d\n");
}

#[test]
fn bytes_are_as_they_are_and_gzip_is_gzip() {
    let encoding = |gzip| Encoding::Bytes {
        separator: "--".into(),
        extension: ".dat".into(),
        gzip,
    };
    for gzip in [None, Some(GzipLevel::new(1))] {
        let mut file = writer(encoding(gzip));
        let format = ValueFormat::Bytes;
        file.write(Cell::Raw(&reading(&format), Some(b"a\xff")))
            .expect("taken");
        file.write(Cell::Converted(&SchemaAndValue::schemaless(Bytes::from_static(
            b"b",
        ))))
        .expect("taken");
        let (all, text) = message(
            file.write(Cell::Converted(&SchemaAndValue::string("x")))
                .expect_err("a string"),
        );
        assert!(!all && text.contains("ByteArrayConverter"), "{text}");
        file.write(Cell::Raw(&reading(&format), None)).expect("taken");
        let mut content = file.finish().expect("whole").to_vec();
        if gzip.is_some() {
            let mut plain = Vec::new();
            GzDecoder::new(&content[..])
                .read_to_end(&mut plain)
                .expect("gzip");
            content = plain;
        }
        assert_eq!(content, b"a\xff--b----");
    }
    let format = |encoding| {
        Format {
            encoding,
            rules: RULES,
        }
        .extension()
    };
    assert_eq!(format(encoding(Some(GzipLevel::default()))), "dat.gz");
    assert_eq!(
        format(Encoding::Json {
            gzip: Some(GzipLevel::default())
        }),
        "json.gz"
    );
    assert_eq!(format(Encoding::Avro(AvroCodec::Snappy)), "avro");

    // More than one chunk.
    let mut file = writer(Encoding::Json {
        gzip: Some(GzipLevel::default()),
    });
    for _ in 0..10_000 {
        write_all(&mut *file, &[SchemaAndValue::schemaless("0123456789")]);
    }
    assert!(file.bytes() > 300 * 1024, "a compressor takes memory");
    let mut lines = String::new();
    GzDecoder::new(&file.finish().expect("whole")[..])
        .read_to_string(&mut lines)
        .expect("gzip");
    assert_eq!(lines, "\"0123456789\"\n".repeat(10_000));
}
