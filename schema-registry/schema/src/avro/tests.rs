//! Canonical text against what Java prints (Avro 1.12.0 gave every expected text here), refusals, and bounds.

use super::*;

fn canonical(text: &str) -> String {
    Schema::parse(text).unwrap().to_string()
}

#[test]
fn canonical_text_is_javas() {
    for (text, expected) in [
        (r#" "string" "#, r#""string""#),
        (r#"{"type": "string"}"#, r#""string""#),
        (
            r#"{"logicalType":"date","type":"int"}"#,
            r#"{"type":"int","logicalType":"date"}"#,
        ),
        (r#"["null", {"type":"long"}]"#, r#"["null","long"]"#),
        (
            r#"{"name":"a.b.C","fields":[{"type":"int","name":"x","doc":"d","default":0}],"type":"record","doc":"r"}"#,
            r#"{"type":"record","name":"C","namespace":"a.b","doc":"r","fields":[{"name":"x","type":"int","doc":"d","default":0}]}"#,
        ),
        // The namespace of the enclosing record is not repeated; a type met again is named.
        (
            r#"{"type":"record","name":"R","namespace":"n","aliases":["Old","o.Other"],"p":1,"fields":[
                {"name":"f","type":{"type":"fixed","name":"F","namespace":"n","size":4}},
                {"name":"g","type":"F","order":"descending","aliases":["h"],"q":[1.50]},
                {"name":"self","type":["null","n.R"],"default":null}]}"#,
            r#"{"type":"record","name":"R","namespace":"n","fields":[{"name":"f","type":{"type":"fixed","name":"F","size":4}},{"name":"g","type":"F","order":"descending","aliases":["h"],"q":[1.5]},{"name":"self","type":["null","R"],"default":null}],"p":1,"aliases":["Old","o.Other"]}"#,
        ),
        (
            r#"{"type":"enum","name":"E","symbols":["A","B"],"default":"A","z":true}"#,
            r#"{"type":"enum","name":"E","symbols":["A","B"],"default":"A","z":true}"#,
        ),
        // No namespace inside one is said; defaults of fractions are Java's.
        (
            r#"{"type":"record","name":"R","namespace":"n","fields":[
                {"name":"a","type":{"type":"enum","name":"E","namespace":"","symbols":[]}},
                {"name":"b","type":"double","default":1e10},{"name":"c","type":"float","default":"0.5"}]}"#,
            r#"{"type":"record","name":"R","namespace":"n","fields":[{"name":"a","type":{"type":"enum","name":"E","namespace":"","symbols":[]}},{"name":"b","type":"double","default":1.0E10},{"name":"c","type":"float","default":0.5}]}"#,
        ),
        (
            r#"{"type":"map","values":{"type":"array","items":"bytes"}}"#,
            r#"{"type":"map","values":{"type":"array","items":"bytes"}}"#,
        ),
    ] {
        assert_eq!(canonical(text), expected, "of {text}");
        assert_eq!(canonical(expected), expected, "printing is a fixed point");
    }
}

#[test]
fn a_reference_is_known_but_not_part_of_the_text() {
    let address = Schema::parse(r#"{"type":"record","name":"n.Address","fields":[]}"#).unwrap();
    let text = r#"{"type":"record","name":"n.Person","fields":[{"name":"home","type":"Address"}]}"#;
    assert!(Schema::parse(text).is_err());
    let person = Schema::parse_with_references(text, &[address]).unwrap();
    assert_eq!(
        person.to_string(),
        r#"{"type":"record","name":"Person","namespace":"n","fields":[{"name":"home","type":"Address"}]}"#
    );
}

#[test]
fn what_is_no_schema_is_refused_with_the_reason() {
    for (text, reason) in [
        ("", "not JSON"),
        ("7", "not yet supported"),
        ("{}", "No type"),
        (r#""Unknown""#, "Undefined name"),
        (r#"["int","int"]"#, "Duplicate in union"),
        (r#"["int",["null"]]"#, "Nested union"),
        (r#"{"type":"record","name":"R"}"#, "no fields"),
        (
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"a","type":"int"}]}"#,
            "Duplicate field",
        ),
        (
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":"x"}]}"#,
            "Invalid default",
        ),
        (
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":["null","int"],"default":"x"}]}"#,
            "Invalid default",
        ),
        (
            r#"{"type":"record","name":"R","fields":[{"name":"a-b","type":"int"}]}"#,
            "Illegal character",
        ),
        (
            r#"{"type":"enum","name":"E","symbols":["A","A"]}"#,
            "Duplicate enum symbol",
        ),
        (
            r#"{"type":"enum","name":"E","symbols":["A"],"default":"B"}"#,
            "not in the enum symbol set",
        ),
        (r#"{"type":"fixed","name":"F","size":-1}"#, "size"),
        (r#"{"type":"fixed","name":"F","size":4294967296}"#, "size"),
        (
            r#"["int",{"type":"fixed","name":"F","size":1},{"type":"fixed","name":"F","size":2}]"#,
            "redefine",
        ),
    ] {
        let error = Schema::parse(text).expect_err(text).to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn a_recursive_default_ends() {
    let text = r#"{"type":"record","name":"R","fields":[{"name":"next","type":"R","default":{}}]}"#;
    assert_eq!(canonical(text), text);
}

#[test]
fn depth_and_length_are_bounded() {
    let nested = |depth: usize| {
        format!(
            "{}\"int\"{}",
            r#"{"type":"array","items":"#.repeat(depth),
            "}".repeat(depth)
        )
    };
    let deepest = canonical(&nested(127));
    assert_eq!(canonical(&deepest), deepest);
    assert!(matches!(
        Schema::parse(&nested(100_000)),
        Err(Error::Json(_) | Error::TooLarge { .. })
    ));
    let doc = |bytes: usize| {
        let frame = r#"{"type":"fixed","name":"F","size":1,"doc":""}"#;
        frame.replace(
            r#""doc":"""#,
            &format!(r#""doc":"{}""#, "x".repeat(bytes - frame.len())),
        )
    };
    assert!(Schema::parse(&doc(SCHEMA_BYTES_MAX)).is_ok());
    assert!(matches!(
        Schema::parse(&doc(SCHEMA_BYTES_MAX + 1)),
        Err(Error::TooLarge { .. })
    ));
}

#[test]
fn a_default_that_many_ways_lead_to_is_checked_quickly() {
    // Each level is tried with each branch, and each branch asks for the next level: 2^100 ways, none or the last of which fits.
    for (last, fits) in [("1", false), ("null", true)] {
        let value = format!("{}{last}{}", r#"{"a":"#.repeat(100), "}".repeat(100));
        let first = r#"{"type":"record","name":"A","fields":[{"name":"a","type":["null","A","B"]},{"name":"b","type":"int"}]}"#;
        let second = r#"{"type":"record","name":"B","fields":[{"name":"a","type":["null","A","B"]}]}"#;
        let text = format!(
            r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":["null",{first},{second}],"default":{value}}}]}}"#
        );
        let parsed = Schema::parse(&text);
        assert_eq!(parsed.is_ok(), fits, "{:?}", parsed.err());
    }
}

#[test]
fn names_are_bounded_with_their_namespace_which_types_share() {
    let schema = |bytes: usize| {
        let namespace = "n".repeat(bytes - 2);
        format!(r#"{{"type":"fixed","name":"F","namespace":"{namespace}","size":1}}"#)
    };
    assert!(Schema::parse(&schema(NAME_BYTES_MAX)).is_ok());
    let error = Schema::parse(&schema(NAME_BYTES_MAX + 1))
        .unwrap_err()
        .to_string();
    assert!(error.contains("1025 bytes with its namespace"), "{error}");
}

#[test]
fn a_canonical_text_that_could_not_be_parsed_again_is_refused() {
    // Java writes 1e6 as 1000000.0.
    let schema = |count: usize| {
        let numbers = vec!["1e6"; count].join(",");
        format!(r#"{{"type":"fixed","name":"F","size":1,"p":[{numbers}]}}"#)
    };
    let count = (SCHEMA_BYTES_MAX - schema(0).len()).div_ceil(10);
    assert_eq!(
        canonical(&schema(count - 1)),
        canonical(&canonical(&schema(count - 1)))
    );
    assert!(schema(count + 1).len() < SCHEMA_BYTES_MAX);
    assert!(matches!(
        Schema::parse(&schema(count + 1)),
        Err(Error::CanonicalTooLarge)
    ));
    // A name that is the word for a type is written in full.
    let namespace = "n".repeat(1000);
    let aliases = vec!["\"map\""; 170_000].join(",");
    let text =
        format!(r#"{{"type":"fixed","name":"F","namespace":"{namespace}","size":1,"aliases":[{aliases}]}}"#);
    assert!(matches!(Schema::parse(&text), Err(Error::CanonicalTooLarge)));
}
