//! Transactions: what is committed is seen, what is aborted is not, a producer that was replaced is fenced, and a loop that reads,
//! works and writes does so exactly once, though the broker is killed in the middle of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

use super::{Deliveries, POLL, broker, config_with, create_topic, produce_values, producer, watermarks};
use crate::process::{PATIENCE, eventually};

const SOURCE: &str = "source";
const SINK: &str = "sink";
const PARTITIONS: i32 = 2;
const RECORDS: usize = 600;
/// Records that the loop takes into one transaction.
const AT_ONCE: usize = 7;
/// How many records are through before each kill.
const KILLS_AFTER: [usize; 3] = [50, 200, 400];

fn transactional(bootstrap: &str, id: &str) -> (ThreadedProducer<Deliveries>, Deliveries) {
    let (producer, deliveries) = producer(
        bootstrap,
        &[
            ("transactional.id", id),
            ("transaction.timeout.ms", "30000"),
            ("linger.ms", "1"),
            ("retry.backoff.ms", "20"),
        ],
    );
    step(|| producer.init_transactions(PATIENCE)).expect("the producer has its id");
    (producer, deliveries)
}

fn send(producer: &ThreadedProducer<Deliveries>, partition: i32, value: &str) -> Result<(), KafkaError> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let record = BaseRecord::<str, str, _>::with_opaque_to(SINK, Box::new(number))
        .partition(partition)
        .payload(value);
    producer.send(record).map_err(|(error, _)| error)
}

/// A step of a transaction; tried again while the client says that this helps.
fn step(attempt: impl Fn() -> Result<(), KafkaError>) -> Result<(), KafkaError> {
    loop {
        match attempt() {
            Err(KafkaError::Transaction(error)) if error.is_retriable() => {
                std::thread::sleep(Duration::from_millis(50));
            }
            outcome => return outcome,
        }
    }
}

/// Partition and value of what a reader of the sink is given, in each partition's order, once it has seen `count` and the end.
fn read(bootstrap: &str, isolation: &str, count: usize) -> Vec<(i32, String)> {
    let reader: BaseConsumer = config_with(
        bootstrap,
        &[
            ("group.id", "readers"),
            ("isolation.level", isolation),
            ("enable.auto.commit", "false"),
            ("enable.partition.eof", "true"),
        ],
    )
    .create()
    .expect("a consumer");
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(SINK, partition, Offset::Beginning)
            .expect("a partition");
    }
    reader.assign(&list).expect("assigned");
    let (mut found, mut ends) = (Vec::new(), 0);
    eventually("the sink is read to its end", || {
        while let Some(message) = reader.poll(POLL) {
            match message {
                Ok(message) => {
                    let value = message.payload_view::<str>().expect("a value").expect("UTF-8");
                    found.push((message.partition(), value.to_owned()));
                }
                Err(KafkaError::PartitionEOF(_)) => ends += 1,
                Err(error) => panic!("{error}"),
            }
        }
        (found.len() >= count && ends >= PARTITIONS).then_some(())
    });
    found.sort_by_key(|(partition, _)| *partition);
    found
}

fn values(found: &[(i32, String)]) -> Vec<&str> {
    found.iter().map(|(_, value)| &**value).collect()
}

#[test]
fn what_is_committed_is_seen_and_what_is_aborted_is_not() {
    let (_directory, mut hub) = broker();
    let bootstrap = hub.bootstrap();
    create_topic(&bootstrap, SINK, PARTITIONS);
    let (producer, deliveries) = transactional(&bootstrap, "writer");
    for (number, commits) in [true, false, true, false, true].into_iter().enumerate() {
        producer.begin_transaction().expect("begun");
        for partition in 0..PARTITIONS {
            for half in ["a", "b"] {
                send(&producer, partition, &format!("{number}{half}")).expect("queued");
            }
        }
        producer.flush(PATIENCE).expect("sent");
        if commits {
            step(|| producer.commit_transaction(PATIENCE)).expect("committed");
        } else {
            step(|| producer.abort_transaction(PATIENCE)).expect("aborted");
        }
    }
    deliveries.look(|it| assert_eq!((it.failed.len(), it.acknowledged.len()), (0, 20)));
    let committed = ["0a", "0b", "2a", "2b", "4a", "4b"].repeat(2);
    let check = || {
        assert_eq!(values(&read(&bootstrap, "read_committed", 12)), committed);
        assert_eq!(read(&bootstrap, "read_uncommitted", 20).len(), 20);
        // Two records and a marker for each.
        assert_eq!(watermarks(&bootstrap, SINK, 0), (0, 15));
    };
    check();
    hub.process().kill();
    hub.restart();
    check();
}

#[test]
fn a_producer_that_was_replaced_is_fenced_and_leaves_nothing() {
    let (_directory, hub) = broker();
    let bootstrap = hub.bootstrap();
    create_topic(&bootstrap, SINK, PARTITIONS);
    let (old, _) = transactional(&bootstrap, "writer");
    old.begin_transaction().expect("begun");
    send(&old, 0, "of the old one").expect("queued");
    old.flush(PATIENCE).expect("sent");
    // What the old one has open is aborted by this.
    let (new, _) = transactional(&bootstrap, "writer");
    new.begin_transaction().expect("begun");
    send(&new, 0, "of the new one").expect("queued");
    // Its next batch finds a newer epoch in the log.
    send(&old, 0, "of the old one, late").expect("queued");
    let fenced = step(|| old.commit_transaction(PATIENCE)).expect_err("fenced");
    let code = fenced.rdkafka_error_code();
    assert!(
        matches!(
            code,
            Some(RDKafkaErrorCode::Fenced | RDKafkaErrorCode::ProducerFenced)
        ),
        "{fenced:?}"
    );
    step(|| new.commit_transaction(PATIENCE)).expect("committed");
    assert_eq!(values(&read(&bootstrap, "read_committed", 1)), ["of the new one"]);
}

/// A loop that takes what there is in the source to the sink.
struct Worker {
    consumer: BaseConsumer,
    producer: ThreadedProducer<Deliveries>,
}

impl Worker {
    fn start(bootstrap: &str) -> Self {
        let consumer: BaseConsumer = config_with(
            bootstrap,
            &[
                ("group.id", "workers"),
                ("isolation.level", "read_committed"),
                ("enable.auto.commit", "false"),
                ("retry.backoff.ms", "20"),
            ],
        )
        .create()
        .expect("a consumer");
        let (producer, _) = transactional(bootstrap, "worker");
        let worker = Self { consumer, producer };
        worker.rewind();
        worker
    }

    /// Goes on from where the group stands.
    fn rewind(&self) {
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            list.add_partition(SOURCE, partition);
        }
        let committed = eventually("the group's offsets are known", || {
            self.consumer
                .committed_offsets(list.clone(), Duration::from_secs(5))
                .ok()
        });
        let mut from = TopicPartitionList::new();
        for one in committed.elements() {
            let offset = match one.offset() {
                Offset::Offset(offset) => Offset::Offset(offset),
                _ => Offset::Beginning,
            };
            from.add_partition_offset(SOURCE, one.partition(), offset)
                .expect("a partition");
        }
        self.consumer.assign(&from).expect("assigned");
    }

    /// One transaction; how many records it has taken, or that it has to be aborted.
    fn transact(&self) -> Result<usize, KafkaError> {
        self.producer.begin_transaction()?;
        let (mut taken, mut next) = (0, TopicPartitionList::new());
        let mut last = [None; PARTITIONS as usize];
        while taken < AT_ONCE {
            match self.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    let value = message.payload_view::<str>().expect("a value").expect("UTF-8");
                    send(&self.producer, message.partition(), value)?;
                    last[message.partition() as usize] = Some(message.offset() + 1);
                    taken += 1;
                }
                // The broker is away.
                Some(Err(_)) => {}
                None => break,
            }
        }
        for (partition, offset) in (0..).zip(last) {
            if let Some(offset) = offset {
                next.add_partition_offset(SOURCE, partition, Offset::Offset(offset))?;
            }
        }
        let group = self.consumer.group_metadata().expect("it has a group");
        if taken > 0 {
            step(|| {
                self.producer
                    .send_offsets_to_transaction(&next, &group, Duration::from_secs(10))
            })?;
        }
        step(|| self.producer.commit_transaction(Duration::from_secs(10)))?;
        Ok(taken)
    }

    /// Takes everything, whatever happens to the broker.
    fn run(&self, through: &AtomicUsize) {
        while through.load(Ordering::SeqCst) < RECORDS {
            match self.transact() {
                Ok(taken) => {
                    through.fetch_add(taken, Ordering::SeqCst);
                }
                Err(error) => {
                    let fatal = self.producer.client().fatal_error();
                    assert_eq!(fatal, None, "{error}");
                    step(|| self.producer.abort_transaction(Duration::from_secs(10))).expect("aborted");
                    self.rewind();
                }
            }
        }
    }
}

#[test]
fn a_loop_is_exactly_once_though_the_broker_is_killed_in_the_middle() {
    let (_directory, mut hub) = broker();
    let bootstrap = hub.bootstrap();
    for topic in [SOURCE, SINK] {
        create_topic(&bootstrap, topic, PARTITIONS);
    }
    let halves = [0, 1].map(|partition| -> Vec<String> {
        let all = (0..RECORDS).filter(|number| number % 2 == partition);
        all.map(|number| number.to_string()).collect()
    });
    for (partition, half) in (0..).zip(&halves) {
        produce_values(&bootstrap, SOURCE, Some(partition), half, &[]);
    }
    let worker = Worker::start(&bootstrap);
    let through = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let working = scope.spawn(|| worker.run(&through));
        for after in KILLS_AFTER {
            eventually("records are through", || {
                let is_dead = working.is_finished();
                (is_dead || through.load(Ordering::SeqCst) >= after).then_some(())
            });
            assert!(!working.is_finished(), "the kill came too late to hit anything");
            hub.process().kill();
            hub.restart();
        }
    });
    let found = read(&bootstrap, "read_committed", RECORDS);
    let expected: Vec<&str> = halves.iter().flatten().map(String::as_str).collect();
    assert_eq!(values(&found), expected, "each once, in its order");
}
