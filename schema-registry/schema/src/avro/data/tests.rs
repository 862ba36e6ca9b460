//! Golden bytes of the specification, both encodings round trip, hostile bytes.

use super::*;
use crate::avro::Schema;
use serde_json::json;

fn schema(text: &str) -> Schema {
    Schema::parse(text).unwrap()
}

const PERSON: &str = r#"{"type":"record","name":"n.Person","fields":[
    {"name":"name","type":"string"},{"name":"age","type":["null","int"]},{"name":"tags","type":{"type":"array","items":"string"}},
    {"name":"scores","type":{"type":"map","values":"double"}},{"name":"kind","type":{"type":"enum","name":"Kind","symbols":["A","B"]}},
    {"name":"hash","type":{"type":"fixed","name":"Hash","size":2}},{"name":"raw","type":"bytes"},
    {"name":"friend","type":["null","Person"]}]}"#;

#[test]
fn golden_bytes() {
    for (text, json, bytes) in [
        (r#""long""#, json!(0), "00"),
        (r#""long""#, json!(-1), "01"),
        (r#""long""#, json!(64), "8001"),
        (r#""long""#, json!(i64::MAX), "feffffffffffffffff01"),
        (r#""long""#, json!(i64::MIN), "ffffffffffffffffff01"),
        (r#""string""#, json!("foo"), "06666f6f"),
        (r#"{"type":"array","items":"long"}"#, json!([3, 27]), "04063600"),
        (r#"["null","string"]"#, json!(null), "00"),
        (r#"["null","string"]"#, json!({"string": "a"}), "020261"),
        (r#""bytes""#, json!("\u{ff}\u{0}"), "04ff00"),
        (r#""float""#, json!(1.5), "0000c03f"),
    ] {
        let schema = schema(text);
        let value = schema.root().decode_json(&json).unwrap();
        let mut out = Vec::new();
        schema.root().encode(&value, &mut out).unwrap();
        let hex: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, bytes, "{text} {json}");
        assert_eq!(schema.root().decode(&out).unwrap(), value);
        assert_eq!(schema.root().encode_json(&value).unwrap(), json);
    }
}

#[test]
fn a_record_of_everything_round_trips_and_no_part_of_it_is_taken_for_the_whole() {
    let schema = schema(PERSON);
    let json = json!({"name": "größe", "age": {"int": 7}, "tags": ["a", "b"], "scores": {"x": 0.5}, "kind": "B",
        "hash": "\u{1}\u{2}", "raw": "", "friend": {"n.Person": {"name": "", "age": null, "tags": [], "scores": {},
        "kind": "A", "hash": "\u{0}\u{0}", "raw": "z", "friend": null}}});
    let value = schema.root().decode_json(&json).unwrap();
    let mut bytes = Vec::new();
    schema.root().encode(&value, &mut bytes).unwrap();
    assert_eq!(schema.root().decode(&bytes).unwrap(), value);
    assert_eq!(schema.root().encode_json(&value).unwrap(), json);
    for end in 0..bytes.len() {
        assert!(schema.root().decode(&bytes[..end]).is_err(), "{end} bytes");
    }
    bytes.push(0);
    assert!(matches!(
        schema.root().decode(&bytes),
        Err(Error::LeftOver { bytes: 1 })
    ));
}

#[test]
fn json_that_does_not_fit_is_refused_with_its_place() {
    let schema = schema(
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"array","items":"int"}},{"name":"u","type":["null","int"]}]}"#,
    );
    for (json, place) in [
        (json!({"a": [1, "x"], "u": null}), "/a/1"),
        (json!({"a": [2147483648_u64], "u": null}), "/a/0"),
        (json!({"a": [], "u": 1}), "/u"),
        (json!({"a": []}), "a field u"),
        (json!({"a": [], "u": null, "z": 1}), "found z"),
    ] {
        let error = schema.root().decode_json(&json).unwrap_err().to_string();
        assert!(error.contains(place), "{json}: {error}");
    }
}

#[test]
fn hostile_bytes_end_in_an_error() {
    let nulls = schema(r#"{"type":"array","items":"null"}"#);
    // A block of 2^62 nulls in ten bytes.
    assert!(
        nulls
            .root()
            .decode(&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0])
            .is_err()
    );
    let text = schema(r#""string""#);
    assert!(matches!(
        text.root().decode(&[0xfe, 0xff, 0xff, 0xff, 0x0f]),
        Err(Error::Incomplete)
    ));
    assert!(matches!(text.root().decode(&[1]), Err(Error::Impossible { .. })));
    assert!(matches!(text.root().decode(&[2, 0xff]), Err(Error::NotUtf8)));
    let varint = schema(r#""long""#);
    assert!(matches!(
        varint.root().decode(&[0xff; 11]),
        Err(Error::Impossible { .. })
    ));
    let huge = schema(r#"{"type":"fixed","name":"F","size":2147483647}"#);
    assert!(matches!(huge.root().decode(&[0; 10]), Err(Error::Incomplete)));
    let list = schema(r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#);
    assert!(matches!(
        list.root().decode(&vec![2; 1_000_000]),
        Err(Error::TooDeep)
    ));
    let mut nested = json!(null);
    for _ in 0..DEPTH_MAX {
        nested = json!({"L": {"next": nested}});
    }
    assert!(matches!(
        list.root().decode_json(&json!({"next": nested})),
        Err(Error::TooDeep)
    ));
}
