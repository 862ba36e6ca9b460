//! `kill -9` under a producer: what was acknowledged is there after the restart, where it was said to be, and once.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer};

use super::{broker, create_topic, producer, read_all};
use crate::process::{PATIENCE, eventually};

const TOPIC: &str = "killed";
const PARTITIONS: i32 = 3;
const RECORDS: usize = 12_000;

/// How many acknowledgements are waited for before each kill.
const KILLS_AFTER: [usize; 3] = [500, 3000, 7000];

#[test]
fn a_killed_broker_keeps_what_it_acknowledged_and_takes_repeats_once() {
    let (_directory, mut hub) = broker();
    let bootstrap = hub.bootstrap();
    create_topic(&bootstrap, TOPIC, PARTITIONS);
    let (producer, deliveries) = producer(
        &bootstrap,
        &[
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("batch.num.messages", "20"),
            ("linger.ms", "1"),
            ("queue.buffering.max.messages", "1000"),
            ("retry.backoff.ms", "20"),
            ("message.timeout.ms", "120000"),
        ],
    );
    let acknowledged = || deliveries.look(|it| it.acknowledged.len());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..RECORDS {
                send(&producer, number);
            }
            producer
                .flush(PATIENCE)
                .expect("everything is delivered in the end");
        });
        for after in KILLS_AFTER {
            eventually("records are acknowledged", || {
                (acknowledged() >= after).then_some(())
            });
            hub.process().kill();
            let at_kill = acknowledged();
            assert!(at_kill < RECORDS, "the kill came too late to hit anything");
            hub.restart();
        }
    });
    let at: BTreeMap<(i32, i64), usize> = read_all(&bootstrap, TOPIC, PARTITIONS)
        .iter()
        .map(|it| ((it.partition, it.offset), it.text().parse().expect("a number")))
        .collect();
    deliveries.look(|it| {
        assert_eq!(it.failed, []);
        assert_eq!(it.acknowledged.len(), RECORDS);
        for (number, place) in &it.acknowledged {
            assert_eq!(at.get(place), Some(number), "acknowledged at {place:?}");
        }
    });
    assert_eq!(at.len(), RECORDS, "records that were sent again are there twice");
}

fn send(producer: &rdkafka::producer::ThreadedProducer<super::Deliveries>, number: usize) {
    let value = number.to_string();
    let partition = (number % PARTITIONS as usize) as i32;
    loop {
        let record = BaseRecord::<str, str, _>::with_opaque_to(TOPIC, Box::new(number))
            .partition(partition)
            .payload(&value);
        match producer.send(record) {
            Ok(()) => return,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                producer.poll(Duration::from_millis(5));
            }
            Err((error, _)) => panic!("record {number}: {error}"),
        }
    }
}
