//! Replays what Kafka's own classes answered (`kafka-4.3.1.jsonl`, made by `tests/peers/Transforms.java`): the same records and
//! configurations must give the same records, or the same errors.

mod data;

use std::collections::BTreeMap;
use std::sync::Arc;

use forebay_connect_api::config::Properties;
use forebay_connect_api::{Headers, Offset, SchemaAndValue, Timestamp};
use serde_json::Value as Json;

use crate::{Chain, Record, chain_def, predicate, transformation};
use data::{normalized, read};

const TABLE: &str = include_str!("tests/kafka-4.3.1.jsonl");
const PACKAGE: &str = "org.apache.kafka.connect.transforms.";
const MOMENT: Timestamp = Timestamp(1_709_211_845_678);

/// What is not compared word by word: the text that Kafka's message has, and how far ours has to be the same.
const OTHER_WORDS: [(&str, &str); 4] = [
    // Java's hash of an object.
    (
        "InsertField$InsertionSpec@",
        "No value specified for static field: ",
    ),
    // Java's whole record.
    ("Timestamp missing on record: ", "Timestamp missing on record: "),
    // Another engine says what is wrong with the expression.
    ("Invalid regex: ", "Invalid regex: "),
    // An exception took the place of the key.
    ("java.lang.IllegalArgumentException: ", ""),
];

struct Table {
    samples: BTreeMap<String, SchemaAndValue>,
    cases: Vec<Json>,
    definitions: Vec<Json>,
}

fn table() -> Table {
    let mut table = Table {
        samples: BTreeMap::new(),
        cases: Vec::new(),
        definitions: Vec::new(),
    };
    for line in TABLE.lines() {
        let line: Json = serde_json::from_str(line).expect("a line is JSON");
        if let Some(data) = line.get("data") {
            table.samples.insert(text(&line, "sample").to_owned(), read(data));
        } else if line.get("definition").is_some() {
            table.definitions.push(line);
        } else {
            table.cases.push(line);
        }
    }
    table
}

fn text<'a>(json: &'a Json, key: &str) -> &'a str {
    json[key].as_str().expect(key)
}

fn properties(case: &Json, kind: &str) -> Properties {
    let mut properties = Properties::from([
        (kind.to_owned(), "x".to_owned()),
        (
            format!("{kind}.x.type"),
            format!("{PACKAGE}{}", text(case, "class")),
        ),
    ]);
    for (key, value) in case["config"].as_object().expect("an object") {
        properties.insert(
            format!("{kind}.x.{key}"),
            value.as_str().expect("a string").to_owned(),
        );
    }
    properties
}

fn record(case: &Json, data: SchemaAndValue) -> Record {
    let is_source = case.get("source").is_some();
    let mut headers = Headers::new();
    headers.add("h", SchemaAndValue::string("1"));
    let int = forebay_connect_api::Schema::primitive(forebay_connect_api::schema::Type::Int32, false);
    headers.add("i", SchemaAndValue::new(int.expect("primitive"), 2));
    headers.add("h", SchemaAndValue::string("3"));
    let (key, value) = if text(case, "class").ends_with("$Key") {
        (data, SchemaAndValue::default())
    } else {
        (SchemaAndValue::default(), data)
    };
    Record {
        topic: "orders-eu".into(),
        partition: (!is_source).then_some(3),
        timestamp: (!is_source).then_some(MOMENT),
        key,
        value,
        headers,
        offset: (!is_source).then_some(Offset(7)),
    }
}

/// What a record should be, given what has changed.
fn expected(before: &Record, changes: &Json) -> Record {
    let mut expected = before.clone();
    for (part, value) in changes.as_object().expect("an object") {
        match part.as_str() {
            "topic" => expected.topic = value.as_str().expect("a topic").into(),
            "key" => expected.key = read(value),
            "value" => expected.value = read(value),
            "headers" => {
                expected.headers = Headers::new();
                for header in value.as_array().expect("an array") {
                    expected
                        .headers
                        .add(header[0].as_str().expect("a name"), read(&header[1]));
                }
            }
            other => panic!("{other} never changes"),
        }
    }
    expected
}

/// What is to be compared of a record: the order of a map's entries is not.
fn comparable(record: Record) -> Record {
    let headers = record.headers.iter().cloned().map(|mut header| {
        header.value = normalized(header.value);
        header
    });
    Record {
        headers: headers.collect(),
        key: normalized(record.key),
        value: normalized(record.value),
        ..record
    }
}

fn is_same_error(kafkas: &str, class: Option<&str>, ours: &str) -> bool {
    let (exception, message) = kafkas.split_once(": ").expect("a class and a message");
    if exception == "NullPointerException" {
        return true;
    }
    let has_same_class = class.is_none_or(|class| {
        class.ends_with(&format!(".{exception}")) || exception == "IndexOutOfBoundsException"
    });
    let ours = ours.replace("transforms.x.", "").replace("predicates.x.", "");
    let other = OTHER_WORDS.iter().find(|(text, _)| message.contains(text));
    has_same_class
        && match other {
            Some((_, same)) => ours.contains(same),
            None => ours == message,
        }
}

#[test]
fn transformations_answer_as_kafkas_do() {
    let table = table();
    let mut wrong = Vec::new();
    let (mut count, mut errors) = (0, 0);
    let cases = table
        .cases
        .iter()
        .filter(|case| !text(case, "class").starts_with("predicates."));
    for case in cases {
        count += 1;
        let made = Chain::new(&properties(case, "transforms"), MOMENT);
        let sample = case
            .get("sample")
            .map(|_| table.samples[text(case, "sample")].clone());
        let kafkas = case.get("error").map(|error| error.as_str().expect("a string"));
        errors += usize::from(kafkas.is_some());
        let outcome = match (made, sample) {
            (Err(errors), _) => Err((None, errors.iter().next().expect("one").to_string())),
            (Ok(_), None) => Ok(None),
            (Ok(mut chain), Some(data)) => {
                let before = record(case, data);
                let after = chain.apply(before.clone());
                after
                    .map(|after| Some((before, after)))
                    .map_err(|failed| (Some(failed.error.class()), failed.error.to_string()))
            }
        };
        let is_same = match (&outcome, kafkas) {
            (Err((class, ours)), Some(kafkas)) => is_same_error(kafkas, *class, ours),
            // Kafka's converter could not take what its own transformation made.
            _ if case.get("unconvertible").is_some() => true,
            (Ok(None), None) => true,
            (Ok(Some((before, after))), None) => {
                let expected = (!case["after"].is_null()).then(|| expected(before, &case["after"]));
                after.clone().map(comparable) == expected.map(comparable)
            }
            _ => false,
        };
        if !is_same {
            wrong.push(format!("{case}\n   ours: {outcome:?}"));
        }
    }
    assert!(count > 1000 && errors > 200, "{count} cases, {errors} errors");
    let shown: Vec<&String> = wrong.iter().take(20).collect();
    assert!(wrong.is_empty(), "{} of {count} differ:\n{shown:#?}", wrong.len());
}

#[test]
fn predicates_answer_as_kafkas_do() {
    let table = table();
    let cases = table
        .cases
        .iter()
        .filter(|case| text(case, "class").starts_with("predicates."));
    let mut count = 0;
    for case in cases {
        count += 1;
        let mut properties = properties(case, "predicates");
        properties.extend([
            ("transforms".to_owned(), "f".to_owned()),
            ("transforms.f.type".to_owned(), "Filter".to_owned()),
            ("transforms.f.predicate".to_owned(), "x".to_owned()),
        ]);
        let made = Chain::new(&properties, MOMENT);
        match (made, case.get("error")) {
            (Err(errors), Some(kafkas)) => {
                let ours = errors.iter().next().expect("one").to_string();
                assert!(
                    is_same_error(kafkas.as_str().expect("a string"), None, &ours),
                    "{case}: {ours}"
                );
            }
            (Ok(mut chain), None) => {
                let data = table.samples[text(case, "sample")].clone();
                let is_filtered = chain
                    .apply(record(case, data.clone()))
                    .expect("it cannot fail")
                    .is_none();
                assert_eq!(Some(is_filtered), case["test"].as_bool(), "{case}");
                properties.insert("transforms.f.negate".to_owned(), "true".to_owned());
                let mut negated = Chain::new(&properties, MOMENT).expect("as before");
                let is_filtered = negated
                    .apply(record(case, data))
                    .expect("it cannot fail")
                    .is_none();
                assert_eq!(Some(!is_filtered), case["test"].as_bool(), "{case}");
            }
            (made, error) => panic!("{case}: {made:?} {error:?}"),
        }
    }
    assert!(count > 10);
}

#[test]
fn keys_are_defined_as_kafkas_are() {
    let definitions = table().definitions;
    assert_eq!(
        definitions.len(),
        transformation::CLASSES.len() + predicate::CLASSES.len()
    );
    for line in definitions {
        let name = format!("{PACKAGE}{}", text(&line, "class"));
        let def = transformation::find(&name).map(|class| (class.config_def)());
        let def = def.or_else(|| predicate::find(&name).map(|class| (class.config_def)()));
        let def = def.expect(&name);
        let keys: Vec<Json> = def
            .keys()
            .iter()
            .map(|key| {
                let default = key
                    .default
                    .as_ref()
                    .and_then(Option::as_ref)
                    .map(ToString::to_string);
                serde_json::json!({
                    "name": key.name, "type": key.config_type.name(), "importance": key.importance.name(),
                    "required": key.is_required(), "default": default, "group": key.group,
                    "order": key.order_in_group, "width": key.width.name(), "display": key.display_name,
                })
            })
            .collect();
        assert_eq!(Json::from(keys), line["definition"], "{name}");
    }
}

#[test]
fn a_chain_goes_on_where_a_predicate_lets_it() {
    let properties: Properties = [
        ("transforms", "drop, route ,copy,drop"),
        (
            "transforms.drop.type",
            "org.apache.kafka.connect.transforms.Filter",
        ),
        ("transforms.drop.predicate", "tombstone"),
        ("transforms.route.type", "RegexRouter"),
        ("transforms.route.regex", "(.*)-eu"),
        ("transforms.route.replacement", "$1"),
        ("transforms.route.predicate", "marked"),
        ("transforms.route.negate", "true"),
        ("transforms.copy.type", "InsertField$Value"),
        ("transforms.copy.topic.field", "topic"),
        ("predicates", "tombstone,marked"),
        ("predicates.tombstone.type", "RecordIsTombstone"),
        ("predicates.marked.type", "HasHeaderKey"),
        ("predicates.marked.name", "x"),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect();
    let mut chain = Chain::new(&properties, MOMENT).expect("all are known");
    let case = serde_json::json!({"class": "any"});
    let map = read(&serde_json::json!({"schema": null, "payload": {"a": 1}}));
    let after = chain
        .apply(record(&case, map.clone()))
        .expect("it fits")
        .expect("not filtered");
    assert_eq!(after.topic, Arc::from("orders"));
    assert_eq!(after.value.value.entry("topic"), Some(&"orders".into()));
    assert!(
        chain
            .apply(record(&case, SchemaAndValue::default()))
            .expect("it fits")
            .is_none()
    );
    let mut marked = record(&case, map);
    marked.headers.add("x", SchemaAndValue::default());
    let after = chain.apply(marked).expect("it fits").expect("not filtered");
    assert_eq!(after.topic, Arc::from("orders-eu"));

    let def = chain_def(&properties);
    let group = |name: &str| def.key(name).and_then(|key| key.group.clone()).expect(name);
    assert_eq!(group("transforms.route.regex"), "Transforms: route");
    assert_eq!(group("predicates.marked.name"), "Predicates: marked");
    let mut unknown = properties;
    unknown.insert("transforms.copy.predicate".to_owned(), "none".to_owned());
    unknown.insert("transforms.route.type".to_owned(), "Route".to_owned());
    let errors = Chain::new(&unknown, MOMENT)
        .expect_err("two are wrong")
        .to_string();
    assert_eq!(
        errors,
        "Invalid value Route for configuration transforms.route.type: Class Route could not be found.\n\
         Unknown configuration 'predicates.none.type'"
    );
}
