//! Each format read back by others' readers, schemas that grow within a file, and `schema.compatibility`.

use std::io::Read;

use arrow_array::types::Int32Type;
use arrow_avro::reader::ReaderBuilder;
use arrow_schema::DataType;
use flate2::read::GzDecoder;

use super::*;

fn avro_rows(content: &[u8]) -> Vec<RecordBatch> {
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

/// Versions 1 to 3: a field goes, and one with a default comes.
fn numbered() -> [SchemaAndValue; 3] {
    let text = Schema::string_schema;
    let default = Schema::string().default_value("d".into()).build().expect("fits");
    let make = |version, fields: &[(&str, Arc<Schema>)]| {
        let schema = structure(Some("r"), fields)
            .to_builder()
            .version(version)
            .build()
            .expect("fits");
        let values = fields.iter().map(|(name, _)| format!("{name}{version}").into());
        row(&schema, values.collect())
    };
    [
        make(1, &[("a", text()), ("b", default.clone())]),
        make(2, &[("a", text())]),
        make(3, &[("a", text()), ("b", default)]),
    ]
}

#[test]
fn compatibility_decides_which_version_a_file_has() {
    let [one, two, three] = numbered();
    let lines = |compatibility, values: &[&SchemaAndValue]| {
        let rules = Rules {
            compatibility,
            ..RULES
        };
        let files = Format {
            encoding: Encoding::Json { gzip: None },
            rules,
        }
        .files();
        let mut contents = Vec::new();
        let mut file = files.writer();
        for value in values {
            if file.write(Cell::Converted(value)).expect("judged") == Written::OtherSchema {
                contents.push(std::mem::replace(&mut file, files.writer()));
                assert_eq!(file.write(Cell::Converted(value)).expect("taken"), Written::Row);
            }
        }
        contents.push(file);
        let text =
            |file: Box<dyn Writer>| String::from_utf8(file.finish().expect("whole").to_vec()).expect("text");
        contents.into_iter().map(text).collect::<Vec<_>>()
    };
    let all = [&two, &one, &three, &one, &two];
    let backward = [
        "{\"a\":\"a2\"}\n{\"a\":\"a1\"}\n",
        "{\"a\":\"a3\",\"b\":\"b3\"}\n{\"a\":\"a1\",\"b\":\"b1\"}\n{\"a\":\"a2\",\"b\":\"d\"}\n",
    ];
    assert_eq!(lines(Compatibility::Backward, &all), backward);
    let forward = [
        "{\"a\":\"a2\"}\n",
        "{\"a\":\"a1\",\"b\":\"b1\"}\n{\"a\":\"a3\",\"b\":\"b3\"}\n{\"a\":\"a1\",\"b\":\"b1\"}\n{\"a\":\"a2\",\"b\":\"d\"}\n",
    ];
    assert_eq!(lines(Compatibility::Forward, &all), forward);
    assert_eq!(lines(Compatibility::None, &all).len(), 1);

    // The version that holds is remembered from file to file.
    let rules = Rules {
        compatibility: Compatibility::Backward,
        ..RULES
    };
    let files = Format {
        encoding: Encoding::Parquet(Compression::SNAPPY),
        rules,
    }
    .files();
    for value in [&three, &one] {
        let mut file = files.writer();
        file.write(Cell::Converted(value)).expect("taken");
        assert_eq!(rows(file.finish().expect("whole"))[0].num_columns(), 2);
    }
    let mut file = files.writer();
    let text = Schema::string_schema;
    let unversioned = row(&structure(Some("r"), &[("z", text())]), vec!["z".into()]);
    let (_, error) = message(file.write(Cell::Converted(&unversioned)).expect_err("no version"));
    assert!(error.contains("schema.compatibility=NONE"), "{error}");
    let old = structure(Some("r"), &[("b", text())])
        .to_builder()
        .version(1)
        .build()
        .expect("fits");
    let (_, error) = message(
        file.write(Cell::Converted(&row(&old, vec!["x".into()])))
            .expect_err("a is missing"),
    );
    assert!(error.contains("Required field `a` is missing"), "{error}");
}

#[test]
fn nulls_before_the_first_value_do_not_say_what_the_others_are() {
    let null = SchemaAndValue::schemaless(Value::Null);
    let number = SchemaAndValue::schemaless(7_i64);
    let required = SchemaAndValue::new(Schema::int64().build().expect("fits"), 7_i64);
    let object = SchemaAndValue::schemaless(Value::Map(vec![("a".into(), 1_i64.into())]));
    let encodings = [
        Encoding::Parquet(Compression::SNAPPY),
        Encoding::Avro(AvroCodec::Null),
        Encoding::Csv {
            options: CsvOptions {
                header: false,
                delimiter: b',',
            },
            gzip: None,
        },
    ];
    for encoding in encodings {
        for value in [&number, &required] {
            let mut file = writer(encoding.clone());
            write_all(
                &mut *file,
                &[null.clone(), null.clone(), value.clone(), null.clone()],
            );
            let content = file.finish().expect("whole");
            match &encoding {
                Encoding::Parquet(_) => {
                    let rows = rows(content);
                    let column = rows[0].column(0).as_primitive::<Int64Type>();
                    assert_eq!(column.iter().collect::<Vec<_>>(), [None, None, Some(7), None]);
                }
                Encoding::Avro(_) => {
                    let has = |part: &[u8]| content.windows(part.len()).any(|window| window == part);
                    // Blocks: a count, a length, and of each value whether it is there.
                    let blocks: [&[u8]; 2] = [&[4, 4, 0, 0], &[4, 6, 2, 14, 0]];
                    assert!(has(br#"["null","long"]"#) && blocks.into_iter().all(has));
                }
                _ => assert_eq!(content, "\n\n7\n\n"),
            }
        }
        // No row is null, so nulls are in a file of their own, and no later file knows of it.
        let rules = RULES;
        let files = Format { encoding, rules }.files();
        let mut nulls = files.writer();
        write_all(&mut *nulls, std::slice::from_ref(&null));
        let other = nulls.write(Cell::Converted(&object)).expect("not at fault");
        assert_eq!(other, Written::OtherSchema);
        nulls.finish().expect("whole");
        write_all(&mut *files.writer(), std::slice::from_ref(&object));
    }
}

/// Rows of one field `f`, of one schema each.
fn of_one_field(rows: &[(&Arc<Schema>, Value)]) -> Vec<SchemaAndValue> {
    let row = |(schema, value): &(&Arc<Schema>, Value)| {
        let schema = Schema::structure()
            .name("t")
            .field("f", Arc::clone(schema))
            .build();
        let schema = schema.expect("fits");
        let row = Struct::from_values(Arc::clone(&schema), vec![value.clone()]).expect("one");
        SchemaAndValue::new(schema, row)
    };
    rows.iter().map(row).collect()
}

#[test]
fn a_default_of_one_version_is_not_what_another_version_means_by_null() {
    let number = Schema::int32;
    let nullable = number().optional().build().expect("fits");
    let defaults = [
        number().default_value(5.into()).build().expect("fits"),
        number().optional().default_value(5.into()).build().expect("fits"),
    ];
    for default in &defaults {
        let (null, one) = ((&nullable, Value::Null), (default, Value::from(1)));
        let orders = [
            (vec![null.clone(), one.clone()], [None, Some(1)]),
            (vec![one, null], [Some(1), None]),
        ];
        for (values, expected) in orders {
            let values = of_one_field(&values);
            let read = |batches: Vec<RecordBatch>| -> Vec<Option<i32>> {
                let columns = batches
                    .iter()
                    .map(|batch| batch.column(0).as_primitive::<Int32Type>());
                columns
                    .flat_map(|column| column.iter().collect::<Vec<_>>())
                    .collect()
            };
            let mut file = parquet();
            write_all(&mut *file, &values);
            assert_eq!(read(rows(file.finish().expect("whole"))), expected, "{default:?}");
            let mut file = writer(Encoding::Avro(AvroCodec::Null));
            write_all(&mut *file, &values);
            assert_eq!(
                read(avro_rows(&file.finish().expect("whole"))),
                expected,
                "{default:?}"
            );
        }
    }
}

#[test]
fn decimals_of_any_precision_beside_those_of_a_small_one_keep_all_their_digits() {
    let decimal = |precision: Option<&str>| {
        let decimal = schema::decimal(2);
        let decimal = match precision {
            Some(precision) => decimal.parameter("connect.decimal.precision", precision),
            None => decimal,
        };
        decimal.build().expect("fits")
    };
    // More digits than 32 bits hold, than 64 bits do, and than the other schema has.
    let cases = [
        (None, "9", 12_345_678_901_i128, 38),
        (None, "10", 12_345_678_901_234_567_890_123, 38),
        (Some("12"), "9", 123_456_789_012, 12),
    ];
    for (of_large, of_small, number, precision) in cases {
        let (large, small) = (decimal(of_large), decimal(Some(of_small)));
        let (encoded, one) = (Decimal::encode(number), Decimal::encode(1));
        let mut values = of_one_field(&[(&large, encoded.into()), (&small, one.into())]);
        for _ in 0..2 {
            let mut file = parquet();
            write_all(&mut *file, &values);
            let batches = rows(file.finish().expect("whole"));
            let column = batches[0].column(0);
            assert_eq!(*column.data_type(), DataType::Decimal128(precision, 2));
            let mut read: Vec<_> = column.as_primitive::<Decimal128Type>().iter().collect();
            read.sort();
            assert_eq!(read, [Some(1), Some(number)]);
            values.reverse();
        }
    }
}

#[test]
fn no_integer_is_rounded_where_fractions_come() {
    let large = (1_i64 << 53) + 1;
    let a = |value: serde_json::Value| object(&serde_json::json!({ "a": value }));
    let cases = [
        // What comes second is at fault.
        (
            vec![a(large.into()), a(0.5.into()), a(large.into())],
            vec![large.to_string(); 2],
        ),
        (
            vec![a(1.into()), a(large.into()), a(0.5.into())],
            vec!["1".to_owned(), large.to_string()],
        ),
        (
            vec![a(0.5.into()), a(large.into()), a(2.into())],
            vec!["0.5".to_owned(), "2.0".to_owned()],
        ),
        (
            vec![a(1.into()), a((large - 1).into()), a(0.5.into())],
            vec!["1.0".to_owned(), format!("{}.0", large - 1), "0.5".to_owned()],
        ),
    ];
    let encodings = [
        Encoding::Parquet(Compression::SNAPPY),
        Encoding::Avro(AvroCodec::Null),
    ];
    for (values, expected) in cases {
        for encoding in &encodings {
            let rules = RULES;
            let files = Format {
                encoding: encoding.clone(),
                rules,
            }
            .files();
            for _ in 0..2 {
                let mut file = files.writer();
                for value in &values {
                    if let Err(refused) = file.write(Cell::Converted(value)) {
                        let (all, text) = message(refused);
                        assert!(
                            !all && text.contains("INT64 beyond 2^53") && text.contains("FLOAT64"),
                            "{text}"
                        );
                    }
                }
                let content = file.finish().expect("whole");
                assert!(
                    !content.windows(13).any(|window| window == b"forebay.exact"),
                    "it is ours alone"
                );
                let batches = match encoding {
                    Encoding::Avro(_) => avro_rows(&content),
                    _ => rows(content),
                };
                let columns = batches.iter().map(|batch| batch.column(0));
                let read = columns.flat_map(|column| match column.data_type() {
                    DataType::Int64 => column
                        .as_primitive::<Int64Type>()
                        .iter()
                        .map(|value| value.expect("it").to_string())
                        .collect::<Vec<_>>(),
                    _ => column
                        .as_primitive::<Float64Type>()
                        .iter()
                        .map(|value| format!("{:?}", value.expect("it")))
                        .collect(),
                });
                assert_eq!(read.collect::<Vec<_>>(), expected, "{encoding:?}");
            }
        }
    }
}

#[test]
fn structs_within_a_null_struct_stay_what_they_are_where_the_schema_grows() {
    let number = |optional| Schema::primitive(schema::Type::Int64, optional).expect("primitive");
    let of = |inner: Arc<Schema>| {
        let outer = Schema::structure().field("inner", inner);
        outer.optional().build().expect("fits")
    };
    let narrow = structure(None, &[("x", number(false))]);
    let wide = structure(None, &[("x", number(false)), ("y", number(true))]);
    let (first, second) = (of(Arc::clone(&narrow)), of(Arc::clone(&wide)));
    let some = |outer: &Arc<Schema>, inner: &Arc<Schema>, values: Vec<Value>| {
        row(outer, vec![row(inner, values).value]).value
    };
    let list = |of: &Arc<Schema>| Schema::array(Arc::clone(of)).build().expect("fits");
    let text = Schema::string_schema;
    // More than is encoded together: what has been encoded is read again for the wider schema.
    let filler: Value = "x".repeat(300_000).into();
    let file = |alone: bool| {
        let mut file = parquet();
        for (outer, value) in [
            (&first, [Value::Null, some(&first, &narrow, vec![1_i64.into()])]),
            (
                &second,
                [
                    Value::Null,
                    some(&second, &wide, vec![2_i64.into(), 3_i64.into()]),
                ],
            ),
        ] {
            match alone {
                true => {
                    let of = structure(None, &[("a", Arc::clone(outer)), ("filler", text())]);
                    for value in value {
                        write_all(&mut *file, &[row(&of, vec![value, filler.clone()])]);
                    }
                }
                false => {
                    let of = structure(None, &[("a", list(outer)), ("filler", text())]);
                    let values = Value::Array(value.into());
                    write_all(&mut *file, &[row(&of, vec![values, filler.clone()])]);
                }
            }
        }
        rows(file.finish().expect("whole"))
    };
    for (alone, items) in [(true, 4), (false, 2)] {
        let batches = file(alone);
        let count = batches.iter().map(RecordBatch::num_rows).sum::<usize>();
        assert_eq!(count, items, "{alone}");
    }
}
