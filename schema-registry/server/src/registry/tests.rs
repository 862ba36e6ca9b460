//! Writes whose outcome is not known, and registries that write at the same time, against the client's model cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use forebay_client::model::{Fault, Model};
use forebay_config::Properties;
use forebay_protocol::{ErrorCode, Request};
use forebay_records::{BatchBuilder, BatchOptions, Headers, Timestamp};

use super::*;
use crate::config::Config;
use crate::decide::Submitted;
use crate::state::AVRO;

const TOPIC: &str = "_schemas";

/// Longer than `delivery.timeout.ms`: the request is told what became of its record.
const PATIENT: &str = "300000";

async fn open(model: &Arc<Model>, timeout_ms: &str) -> Registry {
    let properties = [
        ("kafkastore.timeout.ms", timeout_ms),
        ("schema.compatibility.level", "none"),
    ];
    let properties: Properties = properties
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let config = Config::new(&properties).expect("a valid configuration");
    Registry::open(&model.client(&[]), &config).await.expect("opened")
}

/// Registers a named type, so that each name is a schema of its own; gives identifier and version.
async fn register(registry: &Registry, subject: &str, name: &str) -> Result<(i32, i32), Error> {
    let submitted = Submitted {
        schema: schema(name),
        schema_type: None,
        references: Vec::new(),
    };
    let subject = subject.to_owned();
    let decide = move |state: &State| {
        let mut registration = state.register(&subject, &submitted)?;
        let records = std::mem::take(&mut registration.records);
        Ok(((registration.id, registration.version), records))
    };
    registry.change(decide).await
}

fn schema(name: &str) -> String {
    format!(r#"{{"type":"record","name":"{name}","fields":[]}}"#)
}

/// What an answer promised: this identifier is this schema, and this version of the subject has it.
fn assert_holds(registry: &Registry, subject: &str, name: &str, (id, version): (i32, i32)) {
    let state = registry.state();
    let content = state.content(id).unwrap_or_else(|| panic!("no schema {id}"));
    assert_eq!(content.identity.text, schema(name), "schema {id}");
    assert_eq!(content.identity.schema_type, AVRO);
    let found = &state.subjects[subject].versions[&version];
    assert_eq!(found.content.id, id, "{subject}, version {version}");
}

/// A gate: while it is closed, the requests that `stops` picks come to `fault`.
fn gate(model: &Model, fault: Fault, stops: impl Fn(&Request) -> bool + Send + 'static) -> Arc<AtomicBool> {
    let closed = Arc::new(AtomicBool::new(true));
    let seen = closed.clone();
    model.faults(move |_, request| {
        if seen.load(Ordering::SeqCst) && stops(request) {
            fault
        } else {
            Fault::None
        }
    });
    closed
}

#[tokio::test(start_paused = true)]
async fn nothing_is_decided_while_an_earlier_write_is_under_way() {
    for goes_away in [false, true] {
        let model = Model::new(1);
        let registry = Arc::new(open(&model, "3000").await);
        let refused = Fault::Refuse(ErrorCode::NotEnoughReplicas);
        let closed = gate(&model, refused, |request| matches!(request, Request::Produce(_)));
        // Its record stays in the producer.
        if goes_away {
            let client = register(&registry, "a", "First");
            tokio::time::timeout(Duration::from_millis(100), client)
                .await
                .expect_err("the HTTP client went away");
        } else {
            let error = register(&registry, "a", "First").await.expect_err("refused");
            assert!(matches!(error, Error::StoreTimeout { .. }), "{error}");
        }
        let second = tokio::spawn({
            let registry = registry.clone();
            async move { register(&registry, "b", "Second").await }
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
        closed.store(false, Ordering::SeqCst);
        let second = second.await.expect("no panic").expect("registered");
        let first = register(&registry, "a", "First").await.expect("registered");
        assert_eq!((first, second), ((1, 1), (2, 1)), "goes away: {goes_away}");
        assert_holds(&registry, "a", "First", first);
        assert_holds(&registry, "b", "Second", second);
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_in_doubt_is_looked_for_before_the_next_decision() {
    let model = Model::new(1);
    let registry = open(&model, PATIENT).await;
    // It is written, nobody says so, and the reader does not see it.
    let closed = gate(&model, Fault::LoseResponse, |request| {
        matches!(request, Request::Produce(_) | Request::Fetch(_))
    });
    let error = register(&registry, "a", "First")
        .await
        .expect_err("given up after delivery.timeout.ms");
    assert!(matches!(error, Error::Store(_)), "{error}");
    closed.store(false, Ordering::SeqCst);
    let second = register(&registry, "b", "Second").await.expect("registered");
    assert_holds(&registry, "b", "Second", second);
    let first = register(&registry, "a", "First").await.expect("registered");
    assert_eq!(first, (1, 1), "it was there all the time");
    assert_holds(&registry, "a", "First", first);
}

/// The topic as compaction leaves it: the last record of each key.
fn compacted(model: &Model) -> Arc<Model> {
    let mut last = BTreeMap::new();
    for batch in model.batches(TOPIC, 0) {
        for record in batch.records().expect("sound") {
            let record = record.expect("sound");
            last.insert(record.key.clone(), record);
        }
    }
    let mut records: Vec<_> = last.into_values().collect();
    records.sort_by_key(|record| record.offset);
    let compacted = Model::new(1);
    compacted.create_topic(TOPIC, 1);
    for record in records {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        builder
            .append(Timestamp(0), key, value, &Headers::EMPTY)
            .expect("room");
        compacted.append_batch(TOPIC, 0, &builder.build().expect("one record"));
    }
    compacted
}

#[tokio::test(start_paused = true)]
async fn a_race_between_registries_is_noticed_by_the_one_that_loses_it() {
    for (name, subjects) in [("one subject", ["s", "s"]), ("two subjects", ["s", "t"])] {
        let model = Model::new(1);
        let (one, other) = (open(&model, "5000").await, open(&model, "5000").await);
        let mut answers = Vec::new();
        for round in 0..10 {
            let names = [format!("One{round}"), format!("Other{round}")];
            let (first, second) = tokio::join!(
                register(&one, subjects[0], &names[0]),
                register(&other, subjects[1], &names[1])
            );
            for (subject, schema, answer) in
                [(subjects[0], &names[0], first), (subjects[1], &names[1], second)]
            {
                let answer = answer.unwrap_or_else(|error| panic!("{name}, round {round}: {error}"));
                answers.push((subject, schema.clone(), answer));
            }
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        let restarted = open(&compacted(&model), "5000").await;
        for (subject, schema, answer) in answers {
            for registry in [&one, &other, &restarted] {
                assert_holds(registry, subject, &schema, answer);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_that_another_registry_has_just_written_is_given_back() {
    let model = Model::new(1);
    let (one, other) = (open(&model, "5000").await, open(&model, "5000").await);
    let known = register(&one, "elsewhere", "Known").await.expect("registered");
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Both want to be version 1; one with a new identifier, one with a known identifier that nobody disputes.
    let (new, again) = tokio::join!(register(&one, "s", "New"), register(&other, "s", "Known"));
    let (new, again) = (new.expect("registered"), again.expect("registered"));
    assert_eq!(again.0, known.0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let restarted = open(&compacted(&model), "5000").await;
    for registry in [&one, &other, &restarted] {
        assert_holds(registry, "s", "New", new);
        assert_holds(registry, "s", "Known", again);
    }
}

#[tokio::test(start_paused = true)]
async fn what_shadows_a_version_in_the_topic_is_put_right() {
    let model = Model::new(1);
    let registry = open(&model, "5000").await;
    let answer = register(&registry, "s", "First").await.expect("registered");
    // A registry that died before it could notice that it had lost.
    let shadow = crate::record::SchemaValue {
        subject: "s".to_owned(),
        version: 1,
        id: answer.0,
        schema_type: None,
        references: Vec::new(),
        schema: schema("Shadow"),
        deleted: false,
    };
    let shadow = Record::schema(&shadow);
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder
        .append(
            Timestamp(0),
            Some(&shadow.key),
            shadow.value.as_deref(),
            &Headers::EMPTY,
        )
        .expect("room");
    model.append_batch(TOPIC, 0, &builder.build().expect("one record"));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_holds(&registry, "s", "First", answer);
    assert_holds(&open(&compacted(&model), "5000").await, "s", "First", answer);
}
