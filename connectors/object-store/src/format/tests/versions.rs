//! Values of several schemas in one file: `schema.compatibility`, and that what each means is what is read back.

use arrow_array::types::Int32Type;
use arrow_schema::DataType;

use super::{
    files::{avro_rows, object, write_all},
    *,
};

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
