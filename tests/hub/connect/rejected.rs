//! Records that a sink cannot take (faults.md C10): with `errors.tolerance=none` the task fails at the first of them and nothing behind it
//! is committed; with `all` each is in the dead letter queue as it was consumed, with headers that say why; if the queue cannot have
//! one, the task fails. And `forebay dlq`, which brings them back, each once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _};
use serde_json::{Value, json};

use super::{call, create, until_states};
use crate::librdkafka::{
    POLL, Record, admin, admin_options, config_with, create_topic, producer, read_all, wait, watermarks,
};
use crate::process::{Hub, PATIENCE, eventually, run};

const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
const AVRO: &str = "io.confluent.connect.avro.AvroConverter";
const CONTEXT: &str = "__connect.errors.";

/// A record: its key, its value, and whether the sink can take it.
type Sent<'a> = (&'a str, Option<&'a [u8]>, bool);

/// A record that was read: key, value, and how many headers.
type Read<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, usize);

/// The records of every test: what is sent, and whether the sink can take it.
const RECORDS: [Sent<'_>; 6] = [
    ("first", Some(b"{\"n\":1}"), true),
    ("no JSON", Some(b"{ bad"), false),
    ("tombstone", None, true),
    ("no text", Some(b"\xff\xfe"), false),
    ("empty", Some(b""), true),
    ("last", Some(b"{\"n\":2}"), true),
];

fn start(directory: &Path) -> Hub {
    let flush = "connect.offset.flush.interval.ms=200";
    Hub::start(directory, "broker,registry,connect", &[flush])
}

/// Sends records with their names as keys, and a header.
fn send_records(hub: &Hub, topic: &str, records: &[Sent<'_>]) {
    let (producer, deliveries) = producer(&hub.bootstrap(), &[("message.max.bytes", "20000000")]);
    for (number, (key, value, _)) in records.iter().enumerate() {
        let headers = OwnedHeaders::new().insert(Header {
            key: "mine",
            value: Some(*key),
        });
        let record = BaseRecord::<str, [u8], _>::with_opaque_to(topic, Box::new(number))
            .key(key)
            .headers(headers);
        let record = match value {
            Some(value) => record.payload(*value),
            None => record,
        };
        producer
            .send(record)
            .map_err(|(error, _)| error)
            .expect("room in the queue");
    }
    producer.flush(PATIENCE).expect("all are delivered in time");
    assert_eq!(deliveries.look(|it| it.acknowledged.len()), records.len());
}

fn sink(directory: &Path, topic: &str, more: &[(&str, &str)]) -> Value {
    let mut config = json!({
        "connector.class": "FileStreamSink",
        "topics": topic,
        "file": directory.join(format!("{topic}.txt")),
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": JSON,
        "value.converter.schemas.enable": "false",
    });
    for (key, value) in more {
        config[*key] = json!(value);
    }
    config
}

fn lines(directory: &Path, topic: &str) -> usize {
    let text = fs::read_to_string(directory.join(format!("{topic}.txt")));
    text.unwrap_or_default().lines().count()
}

/// The committed offset of a sink's only partition.
pub(super) fn committed(hub: &Hub, name: &str) -> Option<u64> {
    let offsets = call(hub, "GET", &format!("/connectors/{name}/offsets"), None).ok();
    offsets["offsets"][0]["offset"]["kafka_offset"].as_u64()
}

pub(super) fn trace(hub: &Hub, name: &str) -> String {
    let status = call(hub, "GET", &format!("/connectors/{name}/tasks/0/status"), None);
    if status.status == 404 {
        return String::new();
    }
    let status = status.ok();
    status["trace"].as_str().unwrap_or_default().to_owned()
}

/// What a queue must hold after these records: each that cannot be taken, once, as it was sent, and why.
fn queued_well(queued: &[Record], topic: &str, connector: &str, records: &[Sent<'_>]) -> Result<(), String> {
    let bad: Vec<(usize, &Sent<'_>)> = records
        .iter()
        .enumerate()
        .filter(|(_, (_, _, is_good))| !is_good)
        .collect();
    if queued.len() != bad.len() {
        return Err(format!("{} letters, not {}", queued.len(), bad.len()));
    }
    for (letter, (offset, (key, value, _))) in queued.iter().zip(bad) {
        let headers: BTreeMap<&str, &str> = letter
            .headers
            .iter()
            .map(|(key, value)| {
                (
                    key.as_str(),
                    std::str::from_utf8(value.as_deref().unwrap_or_default()).unwrap_or("?"),
                )
            })
            .collect();
        let told = |name: &str| {
            headers
                .get(format!("{CONTEXT}{name}").as_str())
                .copied()
                .unwrap_or("nothing")
        };
        let offset = offset.to_string();
        let same = letter.key.as_deref() == Some(key.as_bytes())
            && letter.value.as_deref() == *value
            && headers.get("mine") == Some(key);
        let placed = [
            ("topic", topic),
            ("partition", "0"),
            ("offset", &offset),
            ("connector.name", connector),
            ("task.id", "0"),
        ];
        let wrong = placed.iter().find(|(name, wanted)| told(name) != *wanted);
        let why = [
            ("stage", "VALUE_CONVERTER"),
            ("exception.class.name", "DataException"),
            ("class.name", "Converter"),
        ];
        let wrong_why = why.iter().find(|(name, wanted)| !told(name).ends_with(wanted));
        let mute = ["exception.message", "exception.stacktrace"]
            .iter()
            .any(|name| told(name).len() < 10);
        if !same || wrong.is_some() || wrong_why.is_some() || mute {
            return Err(format!("{key}: {wrong:?} {wrong_why:?} {letter:?}"));
        }
    }
    Ok(())
}

#[test]
fn without_tolerance_the_task_fails_at_the_first_that_it_cannot_take() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = start(directory.path());
    create_topic(&hub.bootstrap(), "t", 1);
    send_records(&hub, "t", &RECORDS);
    create(&hub, "strict", &sink(directory.path(), "t", &[]));
    until_states(&hub, "strict", "RUNNING: FAILED");
    let trace = trace(&hub, "strict");
    assert!(trace.contains("t-0") && trace.contains("offset 1"), "{trace}");
    assert!(lines(directory.path(), "t") <= 1, "nothing behind it is stored");
    assert!(
        committed(&hub, "strict").unwrap_or_default() <= 1,
        "nor committed"
    );
    // The same record again, as nothing has changed.
    call(
        &hub,
        "POST",
        "/connectors/strict/restart?includeTasks=true&onlyFailed=true",
        None,
    )
    .ok();
    until_states(&hub, "strict", "RUNNING: FAILED");
}

#[test]
fn with_tolerance_each_that_it_cannot_take_is_in_the_queue() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = start(directory.path());
    create_topic(&hub.bootstrap(), "t", 1);
    send_records(&hub, "t", &RECORDS);
    let tolerant = [
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "dead"),
        ("errors.deadletterqueue.context.headers.enable", "true"),
    ];
    create(&hub, "tolerant", &sink(directory.path(), "t", &tolerant));
    eventually("all are committed", || {
        (committed(&hub, "tolerant") == Some(6)).then_some(())
    });
    // Made by the worker, before anything is committed.
    let queued = read_all(&hub.bootstrap(), "dead", 1);
    queued_well(&queued, "t", "tolerant", &RECORDS).expect("the queue");
    assert_eq!(lines(directory.path(), "t"), 4);

    // The test can fail: of a queue without context headers it says so, and of one that lacks a letter or has one twice.
    // It has the file to itself.
    call(&hub, "DELETE", "/connectors/tolerant", None).ok();
    let bare = [tolerant[0], ("errors.deadletterqueue.topic.name", "bare")];
    create(&hub, "bare", &sink(directory.path(), "t", &bare));
    eventually("all are committed", || {
        (committed(&hub, "bare") == Some(6)).then_some(())
    });
    let bare = read_all(&hub.bootstrap(), "bare", 1);
    assert_eq!(bare.len(), 2);
    queued_well(&bare, "t", "bare", &RECORDS).expect_err("it has no context");
    queued_well(&queued[1..], "t", "tolerant", &RECORDS).expect_err("one is missing");
    queued_well(&[&queued[..], &queued[..1]].concat(), "t", "tolerant", &RECORDS)
        .expect_err("one is there twice");
}

#[test]
fn avro_of_another_format_is_in_the_queue() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = start(directory.path());
    create_topic(&hub.bootstrap(), "t", 1);
    let records: [Sent<'_>; 4] = [
        ("wrong magic byte", Some(b"\x01\x00\x00\x00\x01abc"), false),
        ("too short", Some(b"\x00\x00"), false),
        ("unknown id", Some(b"\x00\x00\x00\xff\xffabc"), false),
        ("tombstone", None, true),
    ];
    send_records(&hub, "t", &records);
    let tolerant = [
        ("value.converter", AVRO),
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "dead"),
        ("errors.deadletterqueue.context.headers.enable", "true"),
    ];
    create(&hub, "avro", &sink(directory.path(), "t", &tolerant));
    eventually("all are committed", || {
        (committed(&hub, "avro") == Some(4)).then_some(())
    });
    queued_well(&read_all(&hub.bootstrap(), "dead", 1), "t", "avro", &records).expect("the queue");
    call(&hub, "DELETE", "/connectors/avro", None).ok();
    create(&hub, "strict", &sink(directory.path(), "t", &tolerant[..1]));
    until_states(&hub, "strict", "RUNNING: FAILED");
}

/// A topic with a configuration.
fn create_with(hub: &Hub, name: &str, config: (&str, &str)) {
    use rdkafka::admin::{NewTopic, TopicReplication};
    let topic = NewTopic::new(name, 1, TopicReplication::Fixed(1)).set(config.0, config.1);
    let made =
        wait(admin(&hub.bootstrap()).create_topics([&topic], &admin_options())).expect("it is answered");
    assert_eq!(made, [Ok(name.to_owned())]);
}

#[test]
fn what_the_queue_cannot_have_fails_the_task_and_is_not_passed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = start(directory.path());
    create_with(&hub, "t", ("max.message.bytes", "20000000"));
    create_with(&hub, "narrow", ("max.message.bytes", "2000000"));
    create_with(&hub, "wide", ("max.message.bytes", "20000000"));
    let large = vec![b'{'; 10_000_000];
    let records = [RECORDS[0], ("10 MB", Some(large.as_slice()), false), RECORDS[5]];
    send_records(&hub, "t", &records);
    let tolerant = |queue: &'static str| {
        [
            ("errors.tolerance", "all"),
            ("errors.deadletterqueue.topic.name", queue),
            ("errors.deadletterqueue.context.headers.enable", "true"),
            ("producer.override.max.request.size", "20000000"),
        ]
    };
    create(&hub, "narrow", &sink(directory.path(), "t", &tolerant("narrow")));
    until_states(&hub, "narrow", "RUNNING: FAILED");
    let trace = trace(&hub, "narrow");
    assert!(
        trace.contains("dead letter queue") && trace.contains("narrow"),
        "{trace}"
    );
    assert!(
        committed(&hub, "narrow").unwrap_or_default() <= 1,
        "it is not passed"
    );
    assert_eq!(watermarks(&hub.bootstrap(), "narrow", 0), (0, 0));
    // The same with a queue that can have it.
    create(&hub, "wide", &sink(directory.path(), "t", &tolerant("wide")));
    eventually("all are committed", || {
        (committed(&hub, "wide") == Some(3)).then_some(())
    });
    queued_well(&read_all(&hub.bootstrap(), "wide", 1), "t", "wide", &records).expect("the queue");
}

/// What users of Kafka meet first on a single broker.
#[test]
fn a_queue_that_may_not_be_made_fails_the_task_which_says_what_to_do() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = start(directory.path());
    create_topic(&hub.bootstrap(), "t", 1);
    send_records(&hub, "t", &RECORDS);
    let replicas = "errors.deadletterqueue.topic.replication.factor";
    let tolerant = [
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "dead"),
        ("errors.deadletterqueue.context.headers.enable", "true"),
        (replicas, "3"),
    ];
    create(&hub, "tolerant", &sink(directory.path(), "t", &tolerant));
    until_states(&hub, "tolerant", "RUNNING: FAILED");
    let said = trace(&hub, "tolerant");
    for part in [
        "dead letter queue",
        "topic=dead",
        replicas,
        "make the topic yourself",
        "Caused by: cannot create topic dead",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(committed(&hub, "tolerant"), None);
    assert_eq!(lines(directory.path(), "t"), 0);
    // As it says.
    create_topic(&hub.bootstrap(), "dead", 1);
    let restart = "/connectors/tolerant/restart?includeTasks=true&onlyFailed=true";
    call(&hub, "POST", restart, None).ok();
    eventually("all are committed", || {
        (committed(&hub, "tolerant") == Some(6)).then_some(())
    });
    queued_well(&read_all(&hub.bootstrap(), "dead", 1), "t", "tolerant", &RECORDS).expect("the queue");
    assert_eq!(lines(directory.path(), "t"), 4);
}

/// A file source whose second line is no number, with the worker's setting of exactly-once.
fn source_with_letters(support: &str) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let support = format!("connect.exactly.once.source.support={support}");
    let hub = Hub::start(directory.path(), "broker,connect", &[&support]);
    create_topic(&hub.bootstrap(), "numbers", 1);
    let file = directory.path().join("numbers.txt");
    fs::write(&file, "1\nx\n3\n").expect("a file");
    let string = "org.apache.kafka.connect.storage.StringConverter";
    let config = json!({
        "connector.class": "FileStreamSource",
        "file": file,
        "topic": "numbers",
        "key.converter": string,
        "value.converter": string,
        "transforms": "cast",
        "transforms.cast.type": "org.apache.kafka.connect.transforms.Cast$Value",
        "transforms.cast.spec": "int32",
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": "dead",
        "errors.deadletterqueue.context.headers.enable": "true",
    });
    create(&hub, "source", &config);
    let read = read_committed(&hub, "numbers", 2);
    let texts: Vec<&str> = read.iter().map(Record::text).collect();
    assert_eq!(texts, ["1", "3"]);
    let letters = read_committed(&hub, "dead", 1);
    assert_eq!(
        (letters.len(), letters[0].text()),
        (1, "x"),
        "as the task gave it"
    );
    let told: BTreeMap<&str, &str> = letters[0]
        .headers
        .iter()
        .map(|(key, value)| {
            let value = std::str::from_utf8(value.as_deref().unwrap_or_default());
            (key.trim_start_matches(CONTEXT), value.expect("text"))
        })
        .collect();
    assert_eq!(
        (told["topic"], told["connector.name"], told["stage"]),
        ("numbers", "source", "TRANSFORMATION")
    );
    assert!(
        told["class.name"].ends_with("Cast$Value") && told["exception.class.name"].ends_with("DataException"),
        "{told:?}"
    );
    assert!(
        told["source.partition"].contains("numbers.txt") && told["source.offset"].contains("\"position\":4"),
        "{told:?}"
    );
    let topics = call(&hub, "GET", "/connectors/source/topics", None).ok();
    assert_eq!(
        topics["source"]["topics"],
        json!(["numbers"]),
        "the queue is none of its topics"
    );
    assert!(dlq(&hub, &["replay"]).starts_with("1 letters replayed"));
    assert_eq!(read_committed(&hub, "numbers", 3)[2].text(), "x");
}

#[test]
fn what_a_source_cannot_convert_is_in_the_queue() {
    source_with_letters("disabled");
}

#[test]
fn what_a_source_cannot_convert_is_in_the_queue_in_the_same_transaction() {
    source_with_letters("enabled");
}

fn dlq(hub: &Hub, arguments: &[&str]) -> String {
    let server = hub.bootstrap();
    let (command, rest) = arguments.split_first().expect("a command");
    let all = [
        &["dlq", command, "--bootstrap-server", &server, "--topic", "dead"],
        rest,
    ]
    .concat();
    let output = run(&all);
    assert!(output.status.success(), "{all:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn letters_are_listed_and_replayed_each_once() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = start(directory.path());
    for topic in ["t", "u"] {
        create_topic(&hub.bootstrap(), topic, 1);
    }
    send_records(&hub, "t", &RECORDS);
    send_records(&hub, "u", &RECORDS[1..2]);
    let tolerant = [
        ("topics", "t,u"),
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "dead"),
        ("errors.deadletterqueue.context.headers.enable", "true"),
    ];
    create(&hub, "tolerant", &sink(directory.path(), "t", &tolerant));
    let letters = || dlq(&hub, &["list"]).lines().count() - 1;
    until_states(&hub, "tolerant", "RUNNING: RUNNING");
    eventually("the queue is there", || {
        (watermarks(&hub.bootstrap(), "dead", 0).1 == 3).then_some(())
    });
    call(&hub, "DELETE", "/connectors/tolerant", None).ok();

    assert_eq!(letters(), 3);
    let listed = dlq(&hub, &["list", "--from-topic", "t"]);
    assert_eq!(listed.lines().count(), 3, "{listed}");
    for word in ["t-0@1", "t-0@3", "tolerant", "VALUE_CONVERTER", "DataException"] {
        assert!(listed.contains(word), "{word}: {listed}");
    }
    assert_eq!(dlq(&hub, &["list", "--connector", "another"]).lines().count(), 1);
    assert_eq!(
        dlq(&hub, &["list", "--error", "DataException"]).lines().count(),
        4
    );

    assert!(dlq(&hub, &["replay", "--dry-run"]).contains("3 letters to be replayed"));
    // One of them, then all: the one is not sent again, however often.
    assert!(dlq(&hub, &["replay", "--from-topic", "u"]).starts_with("1 letters replayed, 0 replayed before"));
    assert!(dlq(&hub, &["replay"]).starts_with("2 letters replayed, 1 replayed before"));
    assert!(dlq(&hub, &["replay"]).starts_with("0 letters replayed, 3 replayed before"));
    let sent = read_committed(&hub, "t", 8);
    let back: Vec<Read<'_>> = sent[6..]
        .iter()
        .map(|record| {
            (
                record.key.as_deref(),
                record.value.as_deref(),
                record.headers.len(),
            )
        })
        .collect();
    let of = |number: usize| (Some(RECORDS[number].0.as_bytes()), RECORDS[number].1, 1);
    assert_eq!(back, [of(1), of(3)], "as they were, without context");
    assert_eq!(read_committed(&hub, "u", 2).len(), 2);
    assert!(dlq(&hub, &["replay", "--again"]).starts_with("3 letters replayed"));
    assert_eq!(
        read_committed(&hub, "u", 3).len(),
        3,
        "the test sees what is there twice"
    );
}

/// So many records of a topic whose last ones came in transactions: there are offsets without records.
fn read_committed(hub: &Hub, topic: &str, count: usize) -> Vec<Record> {
    use rdkafka::consumer::{BaseConsumer, Consumer as _};
    let pairs = [("group.id", "committed"), ("enable.auto.commit", "false")];
    let consumer: BaseConsumer = config_with(&hub.bootstrap(), &pairs)
        .create()
        .expect("a consumer");
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset(topic, 0, rdkafka::Offset::Beginning)
        .expect("a partition");
    consumer.assign(&list).expect("assigned");
    let mut read = Vec::new();
    eventually("the topic is read", || {
        while let Some(message) = consumer.poll(POLL) {
            read.push(Record::of(&message.expect("a record")));
        }
        (read.len() >= count).then_some(())
    });
    read
}
