//! Every message at every version against what Apache Kafka 4.3.1's own classes wrote (`kafka-4.3.1-messages.tsv.gz`, made by
//! `tests/peers/kafka messages vectors`): bytes to message to the same bytes, and the fields to the same JSON. The same bytes,
//! damaged, drive the test of hostile input.

#![allow(clippy::print_stdout)] // the counts are what a reader of `--nocapture` is after

mod allocations;
#[path = "../../../fuzz/checks/header.rs"]
mod check_header;
#[path = "../../../fuzz/checks/request.rs"]
mod check_request;
mod frames;
mod hostile;
mod hot;
mod lines;
mod types;

use std::collections::{BTreeMap, BTreeSet};

use self::lines::Line;
use self::types::TYPES;

/// Names the file to read instead of the one in this folder: uncompressed lines of the same form.
const FILE_VARIABLE: &str = "FOREBAY_MESSAGE_VECTORS";

#[test]
fn messages_are_what_kafka_wrote() {
    let given = std::env::var_os(FILE_VARIABLE);
    let text = match &given {
        Some(path) => {
            std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        }
        None => lines::bundled(),
    };
    let mut held: BTreeMap<&str, usize> = BTreeMap::new();
    let mut skipped: BTreeMap<&str, usize> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = Line::parse(line).unwrap_or_else(|error| panic!("line {}: {error}", number + 1));
        let kind = TYPES
            .iter()
            .find(|kind| kind.name == line.name && kind.versions.contains(&line.version));
        let Some(kind) = kind else {
            *skipped.entry(line.name).or_default() += 1;
            continue;
        };
        *held.entry(line.name).or_default() += 1;
        seen.insert((line.name, line.version));
        if let Err(error) = line.check(kind) {
            wrong.push(format!(
                "line {}: {} version {}: {error}",
                number + 1,
                line.name,
                line.version
            ));
        }
    }
    for (what, counts) in [("held", &held), ("skipped", &skipped)] {
        println!(
            "{what}: {} lines of {} types",
            counts.values().sum::<usize>(),
            counts.len()
        );
        for (name, count) in counts {
            println!("  {count:>4} {name}");
        }
    }
    assert!(
        wrong.is_empty(),
        "{} lines differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(!held.is_empty(), "no line was held against a type");
    if given.is_none() {
        let known = TYPES
            .iter()
            .flat_map(|kind| kind.versions.clone().map(move |version| (kind.name, version)));
        let missing: Vec<_> = known.filter(|known| !seen.contains(known)).collect();
        assert!(missing.is_empty(), "no line for {missing:?}");
    }
}
