//! Records go in and come out byte for byte, under every compression and every level of acknowledgement.

use std::time::{SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header as SentHeader, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::{Record, broker, config, create_topic, produce_values, producer, read_all, watermarks};
use crate::process::PATIENCE;

/// Records of every shape: null and empty keys and values, large values, headers that repeat and have none.
fn records(began: i64) -> Vec<Record> {
    (0..240_usize)
        .map(|number| {
            let headers = match number % 4 {
                0 => Vec::new(),
                1 => vec![("trace".to_owned(), Some(vec![0, 255, 10]))],
                2 => vec![("none".to_owned(), None), ("empty".to_owned(), Some(Vec::new()))],
                _ => (0..20)
                    .map(|it| ("same".to_owned(), Some(format!("{number}-{it}").into_bytes())))
                    .collect(),
            };
            Record {
                partition: (number % 3) as i32,
                offset: (number / 3) as i64,
                timestamp: Some(began + number as i64),
                key: (number % 5 != 0).then(|| format!("key-{}", number % 7).into_bytes()),
                value: match number % 6 {
                    0 => None,
                    1 => Some(Vec::new()),
                    2 => Some((0..20_000).map(|it| (it * number % 251) as u8).collect()),
                    _ => Some(format!("value {number}").repeat(number % 11).into_bytes()),
                },
                headers,
            }
        })
        .collect()
}

fn send(bootstrap: &str, topic: &str, compression: &str, records: &[Record]) {
    let (producer, deliveries) = producer(
        bootstrap,
        &[
            ("compression.type", compression),
            ("linger.ms", "20"),
            ("acks", "all"),
        ],
    );
    for (number, record) in records.iter().enumerate() {
        let headers = record
            .headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| {
                headers.insert(SentHeader {
                    key,
                    value: value.as_deref(),
                })
            });
        let mut sent = BaseRecord::<[u8], [u8], _>::with_opaque_to(topic, Box::new(number))
            .partition(record.partition)
            .timestamp(record.timestamp.expect("every record has one"))
            .headers(headers);
        sent.key = record.key.as_deref();
        sent.payload = record.value.as_deref();
        producer
            .send(sent)
            .map_err(|(error, _)| error)
            .expect("room in the queue");
    }
    producer.flush(PATIENCE).expect("all are delivered in time");
    deliveries.look(|it| {
        assert_eq!(it.failed, [], "{compression}");
        for (number, record) in records.iter().enumerate() {
            assert_eq!(
                it.acknowledged[&number],
                (record.partition, record.offset),
                "{compression}"
            );
        }
    });
}

#[test]
fn records_of_every_shape_come_back_byte_for_byte_under_every_compression() {
    let (_directory, mut hub) = broker();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let mut expected = records(now.as_millis() as i64);
    let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
    for codec in codecs {
        create_topic(&hub.bootstrap(), codec, 3);
        send(&hub.bootstrap(), codec, codec, &expected);
    }
    expected.sort_by_key(|record| (record.partition, record.offset));
    for codec in codecs {
        assert_same(&read_all(&hub.bootstrap(), codec, 3), &expected, codec);
    }
    // And after a clean stop, from the disk.
    assert!(hub.process().terminate().success(), "{}", hub.process().said());
    hub.restart();
    for codec in codecs {
        assert_same(&read_all(&hub.bootstrap(), codec, 3), &expected, codec);
    }
}

/// `assert_eq` for many records: names the first that differs.
fn assert_same(found: &[Record], expected: &[Record], what: &str) {
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            found == expected,
            "{what}: found {found:?}, expected {expected:?}"
        );
    }
    assert_eq!(found.len(), expected.len(), "{what}");
}

#[test]
fn every_level_of_acknowledgement_delivers() {
    let (_directory, hub) = broker();
    let values: Vec<String> = (0..500).map(|number| format!("line {number}")).collect();
    for acks in ["0", "1", "all"] {
        let topic = format!("acks-{acks}");
        create_topic(&hub.bootstrap(), &topic, 1);
        produce_values(&hub.bootstrap(), &topic, Some(0), &values, &[("acks", acks)]);
        // With acks=0 the client's word says nothing; the records arrive all the same.
        crate::process::eventually("all records are there", || {
            (watermarks(&hub.bootstrap(), &topic, 0) == (0, 500)).then_some(())
        });
        let read = read_all(&hub.bootstrap(), &topic, 1);
        assert!(read.iter().map(Record::text).eq(&values), "acks={acks}");
    }
}

#[test]
fn an_idempotent_producer_keeps_order_over_several_partitions() {
    let (_directory, hub) = broker();
    create_topic(&hub.bootstrap(), "ordered", 4);
    let values: Vec<String> = (0..4000).map(|number| number.to_string()).collect();
    let found = produce_values(
        &hub.bootstrap(),
        "ordered",
        None,
        &values,
        &[
            ("enable.idempotence", "true"),
            ("batch.num.messages", "50"),
            ("linger.ms", "1"),
        ],
    );
    let read = read_all(&hub.bootstrap(), "ordered", 4);
    assert_eq!(read.len(), values.len());
    let at: std::collections::BTreeMap<_, _> = read
        .iter()
        .map(|it| ((it.partition, it.offset), it.text()))
        .collect();
    for (number, place) in found {
        assert_eq!(at[&place], values[number]);
    }
    for pair in read
        .windows(2)
        .filter(|pair| pair[0].partition == pair[1].partition)
    {
        let numbers: Vec<usize> = pair
            .iter()
            .map(|it| it.text().parse().expect("a number"))
            .collect();
        assert!(numbers[0] < numbers[1], "partition {}", pair[0].partition);
    }
}

#[test]
fn a_consumer_begins_at_a_timestamp() {
    let (_directory, hub) = broker();
    create_topic(&hub.bootstrap(), "timed", 1);
    let began = 1_700_000_000_000;
    let (producer, _) = producer(&hub.bootstrap(), &[("batch.num.messages", "10")]);
    for number in 0..100_i64 {
        let value = number.to_string();
        let record = BaseRecord::<str, str, _>::with_opaque_to("timed", Box::new(number as usize))
            .partition(0)
            .payload(&value)
            .timestamp(began + number * 1000);
        producer
            .send(record)
            .map_err(|(error, _)| error)
            .expect("room in the queue");
    }
    producer.flush(PATIENCE).expect("all are delivered in time");
    let consumer: BaseConsumer = config(&hub.bootstrap()).create().expect("a consumer");
    let cases = [
        (began - 1, Offset::Offset(0)),
        (began + 41_500, Offset::Offset(42)),
        (began + 42_000, Offset::Offset(42)),
        (began + 99_000, Offset::Offset(99)),
        (began + 99_001, Offset::End),
    ];
    for (timestamp, expected) in cases {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("timed", 0, Offset::Offset(timestamp))
            .expect("a partition");
        let found = consumer
            .offsets_for_times(list, PATIENCE)
            .expect("ListOffsets is answered");
        assert_eq!(found.elements()[0].offset(), expected, "{timestamp}");
    }
}
