//! The conformance kit, which kills the task at every step: before a put, after it, before the commit.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use bytes::Bytes;
use forebay_connect_api::{
    Access, SinkConnector, ValueFormat,
    conformance::{Delivery, SinkReport, SinkSubject, Violation, check_sink},
};

use super::bench::{Bench, Flaw, HOUR_MS, TestStore, properties, read_objects, values, values_of_ranges};
use crate::{ObjectStoreSinkConnector, connector::Environment, store::LocalStore};

const JSON: (&str, &str) = ("format.class", "JsonFormat");

/// Every rule closes some files: count, the records' time (a second per offset), the schedule, the memory.
const RULES: &[(&str, &str)] = &[
    ("flush.size", "23"),
    ("rotate.interval.ms", "19000"),
    ("rotate.schedule.interval.ms", "600000"),
];

async fn check(
    bench: &Bench,
    delivery: Delivery,
    more: &[(&str, &str)],
    seed: u64,
) -> Result<SinkReport, Violation> {
    let connector = bench.connector();
    let objects = Arc::clone(&bench.objects);
    let overlaps = bench.flaw == Flaw::ForgetsList;
    let subject = SinkSubject {
        task: &|| connector.task(),
        properties: properties(&[RULES, more].concat()),
        topic: "t",
        delivery,
        read: &move || {
            let objects = Arc::clone(&objects);
            Box::pin(async move {
                let contents = read_objects(&*objects).await;
                if overlaps {
                    values(&contents)
                } else {
                    values_of_ranges(&contents)
                }
            })
        },
        pass_time: &|| bench.clock.advance(HOUR_MS),
        may_repeat: false,
    };
    check_sink(&subject, seed).await
}

#[tokio::test]
async fn every_record_is_stored_exactly_once() {
    let (mut kills_in_flight, mut stored) = (0, 0);
    for seed in 0..24 {
        let flaw = if seed % 2 == 0 {
            Flaw::None
        } else {
            Flaw::FailsNowAndThen
        };
        let (delivery, more): (_, &[_]) = match seed % 6 {
            0 | 1 => (Delivery::Raw(ValueFormat::String), &[]),
            2 | 3 => (Delivery::Converted, &[]),
            4 => (Delivery::Raw(ValueFormat::String), &[JSON]),
            _ => (Delivery::Converted, &[JSON]),
        };
        let names_alone = [more, &[("intents.enable", "false")]].concat();
        let more = if seed % 5 == 0 { &names_alone } else { more };
        let report = check(&Bench::in_memory(flaw), delivery, more, seed).await;
        let report = report.expect("it keeps the contract");
        kills_in_flight += report.kills_in_flight;
        stored += report.stored;
    }
    assert!(
        kills_in_flight > 100,
        "{kills_in_flight} kills hit records in flight"
    );
    assert!(stored > 24 * 3 * 100, "{stored} records");
}

#[tokio::test]
async fn a_store_that_breaks_its_promises_is_found_out() {
    let (mut repeated, mut lost) = (0, 0);
    for seed in 0..8 {
        let forgets = check(
            &Bench::in_memory(Flaw::ForgetsList),
            Delivery::Converted,
            &[("intents.enable", "false")],
            seed,
        )
        .await;
        repeated += u32::from(forgets.is_err());
        let lies = check(&Bench::in_memory(Flaw::Lies), Delivery::Converted, &[], seed).await;
        lost += u32::from(matches!(lies, Err(Violation::Lost { .. })));
    }
    assert_eq!((repeated, lost), (8, 8));
}

fn read_directory(root: &Path, below: &Path, contents: &mut BTreeMap<String, Bytes>) {
    for entry in fs::read_dir(below).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            read_directory(root, &path, contents);
        } else if !name.starts_with('.') {
            let relative = path
                .strip_prefix(root)
                .expect("below")
                .to_string_lossy()
                .into_owned();
            contents.insert(relative, fs::read(&path).expect("read").into());
        }
    }
}

#[tokio::test]
async fn every_record_is_in_the_directory_exactly_once() {
    let mut kills_in_flight = 0;
    for seed in 0..6 {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().join("lake");
        let local = LocalStore::open(root.clone(), Access::unrestricted())
            .await
            .expect("opened");
        let clock = Bench::in_memory(Flaw::None).clock;
        let connector = ObjectStoreSinkConnector::with(Environment {
            store: Some(TestStore::new(Arc::new(local), Flaw::FailsNowAndThen)),
            clock: Arc::clone(&clock) as _,
            budget: Arc::default(),
        });
        let subject = SinkSubject {
            task: &|| connector.task(),
            properties: properties(RULES),
            topic: "t",
            delivery: Delivery::Raw(ValueFormat::String),
            read: &move || {
                let root = root.clone();
                Box::pin(async move {
                    let mut contents = BTreeMap::new();
                    read_directory(&root, &root, &mut contents);
                    values_of_ranges(&contents)
                })
            },
            pass_time: &|| clock.advance(HOUR_MS),
            may_repeat: false,
        };
        let report = check_sink(&subject, seed).await.expect("it keeps the contract");
        kills_in_flight += report.kills_in_flight;
    }
    assert!(
        kills_in_flight > 20,
        "{kills_in_flight} kills hit records in flight"
    );
}
