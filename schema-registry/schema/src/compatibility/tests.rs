//! Reader and writer pairs with what Avro's rules say of them, and the levels.

use super::*;
use crate::avro::{IncompatibilityKind as Kind, Kind as NodeKind, Node, Schema};

fn found(reader: &str, writer: &str) -> Vec<(Kind, String)> {
    let (reader, writer) = (Schema::parse(reader).unwrap(), Schema::parse(writer).unwrap());
    let found = reader.incompatibilities_reading(&writer);
    found
        .into_iter()
        .map(|found| (found.kind, found.location))
        .collect()
}

fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)
}

/// Reader, writer, and what is found.
type Case<'a> = (&'a str, &'a str, &'a [(Kind, &'a str)]);

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn pairs() {
    let int = r#"{"name":"a","type":"int"}"#;
    let cases: [Case<'_>; 22] = [
        (r#""long""#, r#""int""#, &[]),
        (r#""int""#, r#""long""#, &[(Kind::TypeMismatch, "/")]),
        (r#""double""#, r#""float""#, &[]),
        (r#""float""#, r#""double""#, &[(Kind::TypeMismatch, "/")]),
        (r#""bytes""#, r#""string""#, &[]),
        (r#""string""#, r#""bytes""#, &[]),
        (r#"["null","int"]"#, r#""int""#, &[]),
        (r#""int""#, r#"["null","int"]"#, &[(Kind::TypeMismatch, "/0")]),
        (
            r#"["null","int"]"#,
            r#"["null","string"]"#,
            &[(Kind::MissingUnionBranch, "/1")],
        ),
        (
            r#"["null","int"]"#,
            r#""string""#,
            &[(Kind::MissingUnionBranch, "/")],
        ),
        (
            r#"{"type":"array","items":"int"}"#,
            r#"{"type":"array","items":"string"}"#,
            &[(Kind::TypeMismatch, "/items")],
        ),
        (
            r#"{"type":"map","values":"int"}"#,
            r#"{"type":"map","values":"string"}"#,
            &[(Kind::TypeMismatch, "/values")],
        ),
        (&record(""), &record(int), &[]),
        (
            &record(int),
            &record(""),
            &[(Kind::ReaderFieldMissingDefaultValue, "/fields/0")],
        ),
        (
            &record(r#"{"name":"a","type":"int","default":1}"#),
            &record(""),
            &[],
        ),
        (
            &record(r#"{"name":"b","type":"long","aliases":["a"]}"#),
            &record(int),
            &[],
        ),
        (
            &record(r#"{"name":"a","type":"string"}"#),
            &record(int),
            &[(Kind::TypeMismatch, "/fields/0/type")],
        ),
        (
            r#"{"type":"enum","name":"E","symbols":["A"]}"#,
            r#"{"type":"enum","name":"E","symbols":["A","B"]}"#,
            &[(Kind::MissingEnumSymbols, "/symbols")],
        ),
        (
            r#"{"type":"enum","name":"E","symbols":["A"],"default":"A"}"#,
            r#"{"type":"enum","name":"E","symbols":["A","B"]}"#,
            &[],
        ),
        (
            r#"{"type":"fixed","name":"x.F","size":4}"#,
            r#"{"type":"fixed","name":"y.G","size":5}"#,
            &[(Kind::NameMismatch, "/name"), (Kind::FixedSizeMismatch, "/size")],
        ),
        (
            r#"{"type":"fixed","name":"x.F","size":4}"#,
            r#"{"type":"fixed","name":"y.F","size":4}"#,
            &[],
        ),
        (
            r#"{"type":"fixed","name":"x.F","aliases":["y.G"],"size":4}"#,
            r#"{"type":"fixed","name":"y.G","size":4}"#,
            &[],
        ),
    ];
    for (reader, writer, expected) in cases {
        let found = found(reader, writer);
        let found: Vec<(Kind, &str)> = found.iter().map(|(kind, at)| (*kind, at.as_str())).collect();
        assert_eq!(found, expected, "reader {reader}, writer {writer}");
    }
}

#[test]
fn logical_types_do_not_count() {
    let decimal = |precision: u8, scale: u8| {
        format!(r#"{{"type":"bytes","logicalType":"decimal","precision":{precision},"scale":{scale}}}"#)
    };
    assert_eq!(found(&decimal(4, 2), &decimal(9, 0)), []);
}

#[test]
fn recursive_schemas_end_and_all_faults_are_found() {
    let list = |value: &str, extra: &str| {
        record(&format!(
            r#"{{"name":"value","type":"{value}"}},{{"name":"next","type":["null","R"]}}{extra}"#
        ))
    };
    assert_eq!(found(&list("long", ""), &list("int", "")), []);
    let faults = found(
        &list("int", r#",{"name":"new","type":"int"}"#),
        &list("string", ""),
    );
    let kinds: Vec<Kind> = faults.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [Kind::TypeMismatch, Kind::ReaderFieldMissingDefaultValue]);
}

#[test]
fn a_level_decides_who_reads_whom() {
    use CompatibilityLevel::{Backward, BackwardTransitive, Forward, ForwardTransitive, Full, None};
    let parse = |text: String| Schema::parse(&text).unwrap();
    let first = parse(record(r#"{"name":"a","type":"int"}"#));
    let second = parse(record(
        r#"{"name":"a","type":"int"},{"name":"b","type":"int","default":0}"#,
    ));
    let third = parse(record(r#"{"name":"a","type":"int"},{"name":"b","type":"int"}"#));
    let previous = [
        Version {
            number: 1,
            schema: &first,
        },
        Version {
            number: 2,
            schema: &second,
        },
    ];
    for (level, compatible) in [
        (None, true),
        (Backward, true),
        (BackwardTransitive, false),
        (Forward, true),
        (ForwardTransitive, true),
        (Full, true),
    ] {
        let messages = check(level, &third, &previous);
        assert_eq!(messages.is_empty(), compatible, "{level}: {messages:?}");
    }
    let messages = check(BackwardTransitive, &third, &previous);
    assert_eq!(
        messages[0],
        "{errorType:'READER_FIELD_MISSING_DEFAULT_VALUE', description:'The field 'b' at path '/fields/1' in the new schema has no default value and is missing in the old schema', additionalInfo:'b'}"
    );
    assert_eq!(messages[1], "{oldSchemaVersion: 1}");
    assert!(
        messages
            .last()
            .unwrap()
            .contains("compatibility: 'BACKWARD_TRANSITIVE'")
    );
    assert_eq!(
        "backward_Transitive".parse::<CompatibilityLevel>().unwrap(),
        BackwardTransitive
    );
    assert!("sideways".parse::<CompatibilityLevel>().is_err());
}

/// Types that refer to each other in a chain of `length`, hidden behind a field that is not compared.
fn chain(length: usize) -> String {
    let link = |i: usize| {
        format!(
            r#"{{"name":"f","type":{{"type":"record","name":"C{i}","fields":[{{"name":"next","type":["null","C{}"]}}]}}}}"#,
            i - 1
        )
    };
    let links: Vec<String> = (1..=length)
        .map(|i| link(i).replace("\"f\"", &format!("\"f{i}\"")))
        .collect();
    let first = r#"{"name":"f0","type":{"type":"record","name":"C0","fields":[]}}"#;
    let store = format!(
        r#"{{"type":"record","name":"Store","fields":[{first},{}]}}"#,
        links.join(",")
    );
    record(&format!(
        r#"{{"name":"x","type":"C{length}"}},{{"name":"store","type":["null",{store}],"default":null}}"#
    ))
}

#[test]
fn long_chains_of_types_are_refused_and_not_followed_to_the_end_of_the_stack() {
    // What is taken can be read back: a registry keeps the canonical text.
    let canonical = Schema::parse(&chain(30)).unwrap().to_string();
    assert_eq!(Schema::parse(&canonical).unwrap().to_string(), canonical);
    for length in [31, 100, 5_000] {
        let error = Schema::parse(&chain(length)).unwrap_err().to_string();
        assert!(error.contains("deeper"), "{error}");
    }
}

#[test]
fn wide_schemas_are_compared_quickly() {
    let fields: Vec<String> = (0..20_000)
        .map(|i| format!(r#"{{"name":"f{i}","type":"int"}}"#))
        .collect();
    let wide = record(&fields.join(","));
    assert_eq!(found(&wide, &wide), []);
    let fixed: Vec<String> = (0..5_000)
        .map(|i| format!(r#"{{"type":"fixed","name":"F{i}","size":1}}"#))
        .collect();
    let union = format!("[{}]", fixed.join(","));
    assert!(
        !found(&union, &union).is_empty(),
        "too many pairs are an incompatibility that says so"
    );
}

/// Records of which each uses the next twice, so that there are `2^levels` ways to the last one, which has a field of type
/// `last`.
fn doubling(levels: usize, last: &str) -> String {
    (0..levels).rev().fold(
        format!(r#"{{"type":"record","name":"R{levels}","fields":[{{"name":"a","type":"{last}"}}]}}"#),
        |inner, level| {
            let next = level + 1;
            format!(
                r#"{{"type":"record","name":"R{level}","fields":[{{"name":"a","type":{inner}}},{{"name":"b","type":"R{next}"}}]}}"#
            )
        },
    )
}

#[test]
fn a_fault_of_two_types_is_reported_once_however_many_ways_lead_there() {
    let faults = found(&doubling(40, "int"), &doubling(40, "string"));
    let place = format!("{}/fields/0/type", "/fields/0/type".repeat(40));
    assert_eq!(faults, [(Kind::TypeMismatch, place)]);

    // First met as a branch of a union, where its faults do not count, and then on its own.
    let inner = |of: &str| record(&format!(r#"{{"name":"x","type":"{of}"}}"#)).replace("\"R\"", "\"Inner\"");
    let outer = |of: &str| {
        record(&format!(
            r#"{{"name":"u","type":["null",{}]}},{{"name":"d","type":"Inner"}},{{"name":"e","type":"Inner"}}"#,
            inner(of)
        ))
    };
    let faults = found(&outer("int"), &outer("string"));
    assert_eq!(
        faults,
        [
            (Kind::MissingUnionBranch, "/fields/0/type/1".to_owned()),
            (Kind::TypeMismatch, "/fields/1/type/fields/0/type".to_owned())
        ]
    );
}

#[test]
fn the_list_of_faults_has_a_bound() {
    let fields = |count: usize| -> String {
        let fields: Vec<String> = (0..count)
            .map(|i| format!(r#"{{"name":"f{i}","type":"int"}}"#))
            .collect();
        record(&fields.join(","))
    };
    let max = avro::INCOMPATIBILITIES_MAX;
    for (count, expected) in [(max, max), (max + 1, max), (3 * max, max)] {
        assert_eq!(found(&fields(count), &record("")).len(), expected);
    }
    // A hundred enums that lack the same hundred thousand symbols.
    let symbols: Vec<String> = (0..100_000).map(|i| format!(r#""S{i}""#)).collect();
    let enums = |fields: &mut dyn Iterator<Item = String>| record(&fields.collect::<Vec<_>>().join(","));
    let reader = enums(
        &mut (0..100)
            .map(|i| format!(r#"{{"name":"f{i}","type":{{"type":"enum","name":"E{i}","symbols":["A"]}}}}"#)),
    );
    let writer = enums(&mut (0..100).map(|i| match i {
        0 => format!(
            r#"{{"name":"f0","type":{{"type":"enum","name":"E","symbols":[{}]}}}}"#,
            symbols.join(",")
        ),
        _ => format!(r#"{{"name":"f{i}","type":"E"}}"#),
    }));
    let (reader, writer) = (Schema::parse(&reader).unwrap(), Schema::parse(&writer).unwrap());
    let found = reader.incompatibilities_reading(&writer);
    let bytes: usize = found.iter().map(|found| found.message.len()).sum();
    assert!((1..4_000_000).contains(&bytes), "{bytes}");
}

/// Avro's rule without memory of what was compared before, for schemas that do not contain themselves.
fn reads(reader: Node<'_>, writer: Node<'_>) -> bool {
    match (reader.kind(), writer.kind()) {
        (_, NodeKind::Union(branches)) => branches.iter().all(|branch| reads(reader, branch)),
        (NodeKind::Union(branches), _) => branches.iter().any(|branch| reads(branch, writer)),
        (NodeKind::Array(reader), NodeKind::Array(writer))
        | (NodeKind::Map(reader), NodeKind::Map(writer)) => reads(reader, writer),
        (NodeKind::Record(fields), NodeKind::Record(written)) => {
            reader.full_name() == writer.full_name()
                && fields.iter().all(|field| {
                    let theirs = written.iter().find(|theirs| theirs.name() == field.name());
                    theirs.map_or(field.default().is_some(), |theirs| {
                        reads(field.node(), theirs.node())
                    })
                })
        }
        (NodeKind::Long, NodeKind::Int) => true,
        (reader, writer) => std::mem::discriminant(&reader) == std::mem::discriminant(&writer),
    }
}

/// A record that defines records of which each uses some of those before it, at places where nothing, one or several of their
/// faults count.
fn random_schema(random: &mut impl FnMut(usize) -> usize) -> String {
    let mut definitions = Vec::new();
    for number in 0..4 {
        let fields: Vec<String> = (0..1 + random(3))
            .map(|field| {
                let base = match random(6) {
                    0 | 1 => r#""int""#.to_owned(),
                    2 => r#""long""#.to_owned(),
                    3 => r#""string""#.to_owned(),
                    _ if number == 0 => r#""int""#.to_owned(),
                    _ => format!(r#""N{}""#, random(number)),
                };
                let of = match random(5) {
                    0 => format!(r#"["null",{base}]"#),
                    1 => format!(r#"{{"type":"array","items":{base}}}"#),
                    2 => format!(r#"{{"type":"map","values":["null",{base}]}}"#),
                    _ => base,
                };
                let default = if of == r#""int""# && random(2) == 0 {
                    r#","default":0"#
                } else {
                    ""
                };
                format!(r#"{{"name":"f{field}","type":{of}{default}}}"#)
            })
            .collect();
        let record = format!(
            r#"{{"type":"record","name":"N{number}","fields":[{}]}}"#,
            fields.join(",")
        );
        // Defined within a union now and then, where its faults are asked for without being wanted.
        let of = if random(2) == 0 {
            format!(r#"["null",{record}]"#)
        } else {
            record
        };
        definitions.push(format!(r#"{{"name":"d{number}","type":{of}}}"#));
    }
    record(&definitions.join(","))
}

#[test]
fn what_is_remembered_changes_no_answer() {
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut answers = [0, 0];
    for _ in 0..1000 {
        let (reader, writer) = (random_schema(&mut random), random_schema(&mut random));
        // Often almost the same, so that faults are few and deep within.
        let writer = match random(3) {
            0 => writer,
            1 => reader.clone(),
            _ => reader
                .replacen(r#""int""#, r#""string""#, 1)
                .replace(r#""default":0"#, r#""default":"""#),
        };
        let Ok(writer_schema) = Schema::parse(&writer) else {
            continue;
        };
        let reader_schema = Schema::parse(&reader).unwrap();
        let found = reader_schema.incompatibilities_reading(&writer_schema);
        let expected = reads(reader_schema.root(), writer_schema.root());
        assert_eq!(
            found.is_empty(),
            expected,
            "reader {reader}, writer {writer}: {found:?}"
        );
        let places: std::collections::BTreeSet<_> = found
            .iter()
            .map(|found| (found.kind.to_string(), &found.location))
            .collect();
        assert_eq!(places.len(), found.len(), "each once: {found:?}");
        answers[usize::from(expected)] += 1;
    }
    assert!(answers.iter().all(|count| *count > 100), "{answers:?}");
}
