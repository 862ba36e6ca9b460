//! Groups of the consumer protocol (KIP-848): the broker assigns, nobody takes what another still has, static members come back to
//! their share, and a broker that is killed forgets neither members nor offsets.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::{POLL, Record, config_with, create_topic, produce_values};
use crate::process::{Hub, PATIENCE, eventually};

const TOPIC: &str = "shared";
const PARTITIONS: i32 = 6;
const RECORDS: usize = 20;

/// How often a member was told to give something up.
#[derive(Debug, Default, Clone)]
struct Revocations(Arc<AtomicUsize>);

impl Revocations {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl ClientContext for Revocations {}

impl ConsumerContext for Revocations {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if matches!(rebalance, Rebalance::Revoke(_)) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A member, what it was told to give up, and what it has read.
struct Member {
    consumer: BaseConsumer<Revocations>,
    revocations: Revocations,
    read: BTreeSet<(String, i32, i64)>,
}

impl Member {
    fn new(bootstrap: &str, subscription: &str, more: &[(&str, &str)]) -> Self {
        let mut pairs = vec![
            ("group.id", "group"),
            ("group.protocol", "consumer"),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "earliest"),
            ("topic.metadata.refresh.interval.ms", "500"),
        ];
        pairs.extend(more);
        let revocations = Revocations::default();
        let consumer: BaseConsumer<Revocations> = config_with(bootstrap, &pairs)
            .create_with_context(revocations.clone())
            .expect("a consumer");
        consumer.subscribe(&[subscription]).expect("subscribed");
        Self {
            consumer,
            revocations,
            read: BTreeSet::new(),
        }
    }

    fn static_one(bootstrap: &str, instance: &str) -> Self {
        Self::new(bootstrap, TOPIC, &[("group.instance.id", instance)])
    }

    fn owned(&self) -> BTreeSet<(String, i32)> {
        let assignment = self.consumer.assignment().expect("an assignment");
        let element = |it: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
            (it.topic().to_owned(), it.partition())
        };
        assignment.elements().iter().map(element).collect()
    }

    /// Takes what is there. While the broker is away, the client says so, and goes on.
    fn poll(&mut self) {
        while let Some(message) = self.consumer.poll(POLL / 10) {
            match message {
                Ok(message) => {
                    let record = Record::of(&message);
                    let topic = rdkafka::Message::topic(&message).to_owned();
                    let place = (topic, record.partition, record.offset);
                    assert!(self.read.insert(place), "handed out twice: {record:?}");
                }
                Err(KafkaError::MessageConsumption(
                    RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown,
                )) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Commits everything that it was given.
    fn commit(&self) {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in self.owned() {
            let read = self.read.iter().filter(|it| (&it.0, it.1) == (&topic, partition));
            let next = read.map(|it| it.2 + 1).max().expect("it has read something");
            list.add_partition_offset(&topic, partition, Offset::Offset(next))
                .expect("a partition");
        }
        self.consumer.commit(&list, CommitMode::Sync).expect("committed");
    }
}

/// A broker whose members are told of a new assignment soon.
fn broker(directory: &Path) -> (Hub, String) {
    let overrides = [
        "broker.group.consumer.min.heartbeat.interval.ms=100",
        "broker.group.consumer.heartbeat.interval.ms=200",
    ];
    let hub = Hub::start(directory, "broker", &overrides);
    let bootstrap = hub.bootstrap();
    (hub, bootstrap)
}

/// Sends some records into each partition.
fn fill(bootstrap: &str) {
    let values: Vec<_> = (0..RECORDS).map(|number| number.to_string()).collect();
    for partition in 0..PARTITIONS {
        produce_values(bootstrap, TOPIC, Some(partition), &values, &[]);
    }
}

/// Polls until the members own so many partitions; at no time do two own the same.
fn shared(members: &mut [&mut Member], shares: &[usize]) {
    eventually(&format!("shares of {shares:?}"), || {
        members.iter_mut().for_each(|it| it.poll());
        let owned: Vec<_> = members.iter().map(|it| it.owned()).collect();
        let all: BTreeSet<_> = owned.iter().flatten().collect();
        let counts: Vec<_> = owned.iter().map(BTreeSet::len).collect();
        assert_eq!(
            all.len(),
            counts.iter().sum::<usize>(),
            "two own the same: {owned:?}"
        );
        (counts == shares).then_some(())
    });
}

/// Polls until the members have read so many records.
fn read(members: &mut [&mut Member], count: usize) {
    eventually(&format!("{count} records are read"), || {
        members.iter_mut().for_each(|it| it.poll());
        let read: usize = members.iter().map(|it| it.read.len()).sum();
        assert!(read <= count, "{read} instead of {count}");
        (read == count).then_some(())
    });
}

const IN_ALL: usize = RECORDS * PARTITIONS as usize;

#[test]
fn a_group_goes_on_over_a_killed_broker_as_if_nothing_had_been() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (mut hub, bootstrap) = broker(directory.path());
    create_topic(&bootstrap, TOPIC, PARTITIONS);
    let mut one = Member::new(&bootstrap, TOPIC, &[]);
    shared(&mut [&mut one], &[6]);
    let mut other = Member::new(&bootstrap, TOPIC, &[]);
    shared(&mut [&mut one, &mut other], &[3, 3]);
    fill(&bootstrap);
    read(&mut [&mut one, &mut other], IN_ALL);
    one.commit();
    other.commit();
    let before = (one.owned(), other.owned());
    let revocations = (one.revocations.count(), other.revocations.count());

    hub.process().kill();
    hub.restart();
    fill(&bootstrap);
    read(&mut [&mut one, &mut other], 2 * IN_ALL);
    one.commit();
    other.commit();
    assert_eq!(
        (one.owned(), other.owned()),
        before,
        "the shares are what they were"
    );
    let after = (one.revocations.count(), other.revocations.count());
    assert_eq!(after, revocations, "nobody was told to give anything up");

    // One leaves and commits no more; who takes over begins behind what it has committed.
    drop(one);
    shared(&mut [&mut other], &[6]);
    hub.process().kill();
    hub.restart();
    fill(&bootstrap);
    let seen = other.read.len();
    read(&mut [&mut other], seen + IN_ALL);
    other.commit();
    drop(other);
    let mut last = Member::new(&bootstrap, TOPIC, &[("group.remote.assignor", "range")]);
    shared(&mut [&mut last], &[6]);
    fill(&bootstrap);
    read(&mut [&mut last], IN_ALL);
}

#[test]
fn a_static_member_comes_back_to_its_share_and_keeps_others_out() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (mut hub, bootstrap) = broker(directory.path());
    create_topic(&bootstrap, TOPIC, PARTITIONS);
    let mut one = Member::static_one(&bootstrap, "one");
    let mut other = Member::static_one(&bootstrap, "other");
    shared(&mut [&mut one, &mut other], &[3, 3]);
    fill(&bootstrap);
    read(&mut [&mut one, &mut other], IN_ALL);
    one.commit();
    other.commit();
    let (share, seen, revocations) = (one.owned(), other.read.len(), other.revocations.count());

    // Who takes a name that is in use is told so, and its owner keeps what it has.
    let intruder = Member::static_one(&bootstrap, "one");
    let told = eventually("the intruder is told", || {
        one.poll();
        other.poll();
        // The same error may come this way first.
        let _ = intruder.consumer.poll(POLL);
        intruder.consumer.client().fatal_error()
    });
    assert_eq!(told.0, RDKafkaErrorCode::UnreleasedInstanceId, "{}", told.1);
    drop(intruder);
    assert_eq!(one.owned(), share, "the owner keeps its share");

    // It leaves, the broker is killed, it comes back: to its share, and to what it has committed.
    drop(one);
    hub.process().kill();
    hub.restart();
    fill(&bootstrap);
    let mut again = Member::static_one(&bootstrap, "one");
    shared(&mut [&mut again, &mut other], &[3, 3]);
    assert_eq!(again.owned(), share, "its old share");
    eventually("both read the rest", || {
        again.poll();
        other.poll();
        (again.read.len() + other.read.len() - seen >= IN_ALL).then_some(())
    });
    assert_eq!(other.revocations.count(), revocations, "the other was left alone");
    assert!(
        again.read.iter().all(|it| it.2 >= RECORDS as i64),
        "read again: {:?}",
        again.read
    );
}

#[test]
fn a_pattern_takes_topics_that_come_later() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (_hub, bootstrap) = broker(directory.path());
    create_topic(&bootstrap, "some-first", 2);
    create_topic(&bootstrap, "other", 1);
    let mut member = Member::new(&bootstrap, "^some-.*", &[]);
    shared(&mut [&mut member], &[2]);
    create_topic(&bootstrap, "some-second", 3);
    shared(&mut [&mut member], &[5]);
    assert!(member.owned().iter().all(|(topic, _)| topic.starts_with("some-")));
    assert_eq!(member.revocations.count(), 0, "what it had it keeps");
    member.consumer.unsubscribe();
    member.consumer.subscribe(&["other"]).expect("subscribed");
    eventually("the other topic", || {
        member.poll();
        (member.owned() == BTreeSet::from([("other".to_owned(), 0)])).then_some(())
    });
    assert_eq!(
        member
            .consumer
            .committed(PATIENCE)
            .expect("OffsetFetch is answered")
            .count(),
        1
    );
}
