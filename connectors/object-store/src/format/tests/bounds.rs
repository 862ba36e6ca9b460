//! What one record, or one more version of a schema, may cost: it is counted, and what goes beyond a bound is refused by itself.

use serde_json::{Value as Json, json};

use super::{
    files::{object, write_all},
    raw::JsonReader,
    *,
};
use crate::format::columns::Rows;

const FORMATS: [Encoding; 2] = [
    Encoding::Parquet(Compression::SNAPPY),
    Encoding::Avro(AvroCodec::Null),
];

/// An object of so many members.
fn wide(members: usize) -> Json {
    Json::Object(
        (0..members)
            .map(|index| (format!("f{index}"), json!(1)))
            .collect(),
    )
}

/// An array of that many empty objects after one with a member.
fn sparse(items: usize) -> Json {
    let mut all = vec![json!({"x": 1})];
    all.resize(items, json!({}));
    json!({ "a": all })
}

#[test]
fn what_a_record_lacks_is_bounded() {
    for encoding in FORMATS {
        let mut file = writer(encoding);
        write_all(&mut *file, &[object(&json!({"a": [wide(1000)]}))]);
        write_all(&mut *file, &[object(&json!({"a": vec![json!({}); 500]}))]);
        let beyond = object(&json!({"a": vec![json!({}); 5000]}));
        let (all, text) = message(file.write(Cell::Converted(&beyond)).expect_err("too sparse"));
        assert!(!all && text.contains("lacks so many fields"), "{text}");
        write_all(&mut *file, &[object(&json!({"a": []}))]);
        file.finish().expect("whole");
    }

    // Raw as converted.
    let reader = Arc::new(JsonReader { with_schemas: false });
    let format = ValueFormat::Json(Arc::clone(&reader) as _);
    let mut file = parquet();
    let items = |count: usize| format!("{{\"a\":[{}{{}}]}}", "{},".repeat(count - 1));
    let first = json!({"a": [wide(1000)]}).to_string();
    for (value, taken) in [(first, true), (items(4000), true), (items(5000), false)] {
        let written = file.write(Cell::Raw(&reading(&format), Some(value.as_bytes())));
        match written {
            Ok(written) => assert!(taken && written == Written::Row),
            Err(refused) => {
                let (all, text) = message(refused);
                assert!(!taken && !all && text.contains("lacks so many fields"), "{text}");
            }
        }
    }
}

#[test]
fn a_wider_schema_does_not_make_sparse_records_large() {
    for encoding in FORMATS {
        let files = Format {
            encoding,
            rules: RULES,
        }
        .files();
        let mut file = files.writer();
        write_all(
            &mut *file,
            &[object(&sparse(5000)), object(&json!({"a": [{"y": 1}]}))],
        );
        let wide = object(&json!({"a": [wide(1000)]}));
        let written = file.write(Cell::Converted(&wide)).expect("judged");
        assert_eq!(written, Written::OtherSchema);
        write_all(&mut *file, &[object(&json!({"a": []}))]);
        file.finish().expect("whole");
        write_all(&mut *files.writer(), &[wide]);
    }
}

#[test]
fn a_record_that_was_encoded_at_once_is_not_forgotten_when_the_schema_grows() {
    let mut file = parquet();
    // Longer than what is encoded together, so none of its rows waits for the wider schema.
    let large = object(&json!({"a": vec![json!({"x": 1}); 30_000]}));
    write_all(&mut *file, &[large, object(&json!({"a": [{"y": 1}]}))]);
    let wide = object(&json!({"a": [wide(1000)]}));
    let written = file.write(Cell::Converted(&wide)).expect("judged");
    assert_eq!(
        written,
        Written::OtherSchema,
        "it would ask for 240 MB of nulls in one row"
    );
    file.finish().expect("whole");
}

#[test]
fn columns_of_which_a_record_says_nothing_are_counted() {
    let of = structure(
        None,
        &(0..1000)
            .map(|index| -> (&str, Arc<Schema>) {
                let name: &'static str = Box::leak(format!("f{index}").into_boxed_str());
                (
                    name,
                    Schema::primitive(schema::Type::Int64, true).expect("primitive"),
                )
            })
            .collect::<Vec<_>>(),
    );
    let mut rows = Rows::new(&of).expect("columns");
    for _ in 0..10 {
        rows.append(&object(&json!({"f1": 1})).value).expect("fits");
    }
    assert!(rows.bytes() >= 10 * 999 * 8, "{}", rows.bytes());

    // A default is as large as the schema likes.
    let large = Schema::string().default_value("x".repeat(1000).into());
    let of = structure(None, &[("a", large.build().expect("fits"))]);
    let mut rows = Rows::new(&of).expect("columns");
    rows.append(&row(&of, vec![Value::Null]).value).expect("fits");
    assert!(rows.bytes() >= 1000, "{}", rows.bytes());
}

#[test]
fn an_open_file_counts_its_columns() {
    let mut file = parquet();
    write_all(&mut *file, &[object(&wide(20))]);
    assert!(file.bytes() >= 20 * 400, "{}", file.bytes());
}

#[test]
fn a_value_that_is_too_deep_is_at_fault_alone() {
    let deep = (0..70).fold(json!(1), |inner, _| json!([inner]));
    let mut file = parquet();
    let deep = object(&json!({ "a": deep }));
    for _ in 0..2 {
        let (all, text) = message(file.write(Cell::Converted(&deep)).expect_err("too deep"));
        assert!(!all && text.contains("levels deep"), "{text}");
        write_all(&mut *file, &[object(&json!({"b": 1}))]);
    }
    assert_eq!(rows(file.finish().expect("whole"))[0].num_rows(), 2);
}

#[test]
fn a_schema_that_grows_with_each_record_makes_one_file() {
    for encoding in FORMATS {
        let mut file = writer(encoding.clone());
        for index in 0..100 {
            write_all(&mut *file, &[object(&json!({ format!("k{index}"): index }))]);
        }
        let content = file.finish().expect("whole");
        if encoding == FORMATS[0] {
            let batches = rows(content);
            assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 100);
            for (index, column) in batches[0].columns().iter().enumerate() {
                assert_eq!(column.null_count(), 99);
                assert_eq!(
                    column.as_primitive::<Int64Type>().value(index),
                    i64::try_from(index).expect("small")
                );
            }
        }
    }
}

#[test]
fn versions_whose_union_avro_cannot_say_lie_in_different_files() {
    let text = Schema::string_schema;
    let long = structure(Some("Address"), &[("street", text()), ("zip", text())]);
    let short = structure(Some("Address"), &[("street", text())]);
    let address = |of: &Arc<Schema>| {
        let values = of.fields().iter().map(|_| "x".into()).collect();
        row(of, values).value
    };
    let first = row(
        &structure(Some("r"), &[("home", long.clone()), ("work", long.clone())]),
        vec![address(&long), address(&long)],
    );
    let second = row(
        &structure(Some("r"), &[("home", short.clone())]),
        vec![address(&short)],
    );
    let files = Format {
        encoding: Encoding::Avro(AvroCodec::Null),
        rules: RULES,
    }
    .files();
    let mut file = files.writer();
    write_all(&mut *file, std::slice::from_ref(&first));
    let written = file.write(Cell::Converted(&second)).expect("judged");
    assert_eq!(written, Written::OtherSchema);
    write_all(&mut *files.writer(), &[second.clone(), second]);
    write_all(&mut *files.writer(), &[first]);
}
