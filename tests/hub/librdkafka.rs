//! librdkafka, an independent client, against the broker: produce, consume, groups, admin calls, and a broker that is killed
//! under a producer.

mod admin;
mod consumer_protocol;
mod groups;
mod kill;
mod records;
mod transactions;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

use crate::process::{Hub, PATIENCE, eventually};

/// How long one poll waits.
pub(crate) const POLL: Duration = Duration::from_millis(100);

/// A header: key and value.
pub(crate) type Header = (String, Option<Vec<u8>>);

/// A record, as it was sent or read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp: Option<i64>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<Header>,
}

impl Record {
    pub(crate) fn of(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().map_or_else(Vec::new, |headers| {
            let header =
                |it: rdkafka::message::Header<'_, &[u8]>| (it.key.to_owned(), it.value.map(<[u8]>::to_vec));
            headers.iter().map(header).collect()
        });
        Self {
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers,
        }
    }

    /// The value as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(self.value.as_deref().expect("a value")).expect("UTF-8")
    }
}

/// What is common to all clients of a hub.
pub(crate) fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("broker.address.family", "v4")
        .set("allow.auto.create.topics", "false")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "200");
    config
}

/// The same with some more keys.
pub(crate) fn config_with(bootstrap: &str, pairs: &[(&str, &str)]) -> ClientConfig {
    let mut all = config(bootstrap);
    for (key, value) in pairs {
        all.set(*key, *value);
    }
    all
}

pub(crate) fn admin(bootstrap: &str) -> AdminClient<DefaultClientContext> {
    config(bootstrap).create().expect("an admin client")
}

pub(crate) fn admin_options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE))
}

/// Runs a future of the admin client.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// Makes a topic.
pub(crate) fn create_topic(bootstrap: &str, name: &str, partitions: i32) {
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    let made =
        wait(admin(bootstrap).create_topics([&topic], &admin_options())).expect("CreateTopics is answered");
    assert_eq!(made, [Ok(name.to_owned())]);
}

/// Partition and offset of each acknowledged record, by the number that was given with it; and the failures.
#[derive(Debug, Default, Clone)]
pub(crate) struct Deliveries(Arc<Mutex<Delivered>>);

#[derive(Debug, Default)]
pub(crate) struct Delivered {
    pub(crate) acknowledged: BTreeMap<usize, (i32, i64)>,
    pub(crate) failed: Vec<(usize, KafkaError)>,
}

impl Deliveries {
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Delivered) -> T) -> T {
        look(&self.0.lock().expect("no panic under this lock"))
    }
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, number: Self::DeliveryOpaque) {
        let mut delivered = self.0.lock().expect("no panic under this lock");
        match result {
            Ok(message) => {
                let before = delivered
                    .acknowledged
                    .insert(*number, (message.partition(), message.offset()));
                assert_eq!(before, None, "record {number} is acknowledged twice");
            }
            Err((error, _)) => delivered.failed.push((*number, error.clone())),
        }
    }
}

/// A producer that polls itself, and what became of its records.
pub(crate) fn producer(
    bootstrap: &str,
    pairs: &[(&str, &str)],
) -> (ThreadedProducer<Deliveries>, Deliveries) {
    let deliveries = Deliveries::default();
    let producer = config_with(bootstrap, pairs)
        .create_with_context(deliveries.clone())
        .expect("a producer");
    (producer, deliveries)
}

/// Sends values to a topic, waits for all, and gives where they are.
pub(crate) fn produce_values<V: AsRef<[u8]>>(
    bootstrap: &str,
    topic: &str,
    partition: Option<i32>,
    values: &[V],
    pairs: &[(&str, &str)],
) -> BTreeMap<usize, (i32, i64)> {
    let (producer, deliveries) = producer(bootstrap, pairs);
    for (number, value) in values.iter().enumerate() {
        let record =
            BaseRecord::<str, [u8], _>::with_opaque_to(topic, Box::new(number)).payload(value.as_ref());
        let record = match partition {
            Some(partition) => record.partition(partition),
            None => record,
        };
        producer
            .send(record)
            .map_err(|(error, _)| error)
            .expect("room in the queue");
    }
    producer.flush(PATIENCE).expect("all are delivered in time");
    deliveries.look(|it| {
        assert_eq!(it.failed, []);
        assert_eq!(it.acknowledged.len(), values.len());
        it.acknowledged.clone()
    })
}

/// First and end offset of a partition.
pub(crate) fn watermarks(bootstrap: &str, topic: &str, partition: i32) -> (i64, i64) {
    let consumer: BaseConsumer = config(bootstrap).create().expect("a consumer");
    consumer
        .fetch_watermarks(topic, partition, PATIENCE)
        .expect("ListOffsets is answered")
}

/// Everything committed that a topic holds now, in the order of each partition.
pub(crate) fn read_all(bootstrap: &str, topic: &str, partitions: i32) -> Vec<Record> {
    let consumer: BaseConsumer = config_with(
        bootstrap,
        &[
            ("group.id", "readers"),
            ("enable.auto.commit", "false"),
            ("enable.partition.eof", "true"),
            ("check.crcs", "true"),
        ],
    )
    .create()
    .expect("a consumer");
    let mut left: std::collections::BTreeSet<i32> = (0..partitions).collect();
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning)
            .expect("a partition");
    }
    consumer.assign(&list).expect("assigned");
    let mut read = Vec::new();
    eventually("the topic is read to its end", || {
        while let Some(message) = consumer.poll(POLL) {
            match message {
                Ok(message) => read.push(Record::of(&message)),
                // Not by counting: the ends of transactions have offsets, too.
                Err(KafkaError::PartitionEOF(partition)) => {
                    left.remove(&partition);
                }
                Err(error) => panic!("{topic}: {error}"),
            }
            if left.is_empty() {
                return Some(());
            }
        }
        None
    });
    read.sort_by_key(|record| (record.partition, record.offset));
    read
}

/// A broker and the directory that it lives in, for one test.
pub(crate) fn broker() -> (tempfile::TempDir, Hub) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = Hub::broker(directory.path());
    (directory, hub)
}
