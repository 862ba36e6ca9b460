//! Balanced groups: each partition has exactly one owner, members come and go, committed offsets are where the next one begins.

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};

use super::{POLL, Record, broker, config_with, create_topic, produce_values};
use crate::process::{PATIENCE, eventually};

const TOPIC: &str = "shared";
const PARTITIONS: i32 = 6;

fn member(bootstrap: &str, assignor: &str, id: usize) -> BaseConsumer {
    let consumer: BaseConsumer = config_with(
        bootstrap,
        &[
            ("group.id", &format!("group-{assignor}")),
            ("client.id", &format!("member-{id}")),
            ("partition.assignment.strategy", assignor),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "earliest"),
            ("session.timeout.ms", "10000"),
            ("heartbeat.interval.ms", "200"),
        ],
    )
    .create()
    .expect("a consumer");
    consumer.subscribe(&[TOPIC]).expect("subscribed");
    consumer
}

fn owned(consumer: &BaseConsumer) -> BTreeSet<i32> {
    let assignment = consumer.assignment().expect("an assignment");
    assignment.elements().iter().map(|it| it.partition()).collect()
}

/// Polls all members until every partition has exactly one owner and nobody has more than its share; gives what was read.
fn balanced(members: &[BaseConsumer], read: &mut Vec<Record>) {
    let share = PARTITIONS as usize / members.len();
    eventually("each partition has exactly one owner", || {
        for consumer in members {
            if let Some(message) = consumer.poll(POLL / 4) {
                read.push(Record::of(&message.expect("a record")));
            }
        }
        let owned: Vec<_> = members.iter().map(owned).collect();
        let all: BTreeSet<i32> = owned.iter().flatten().copied().collect();
        let is_balanced = owned.iter().all(|it| it.len() == share) && all.len() == PARTITIONS as usize;
        is_balanced.then_some(())
    });
}

/// Polls until `count` distinct records are read.
fn read_until(members: &[BaseConsumer], read: &mut Vec<Record>, count: usize) {
    eventually("the group reads everything", || {
        for consumer in members {
            while let Some(message) = consumer.poll(POLL / 10) {
                read.push(Record::of(&message.expect("a record")));
            }
        }
        let distinct: BTreeSet<_> = read.iter().map(|it| (it.partition, it.offset)).collect();
        (distinct.len() >= count).then_some(())
    });
}

fn values(of: std::ops::Range<usize>) -> Vec<String> {
    of.map(|number| number.to_string()).collect()
}

#[test]
fn a_group_of_three_is_balanced_and_resumes_where_it_committed() {
    let (_directory, mut hub) = broker();
    let bootstrap = hub.bootstrap();
    create_topic(&bootstrap, TOPIC, PARTITIONS);
    // Known partitions, so that each has work.
    for partition in 0..PARTITIONS {
        let from = partition as usize * 100;
        produce_values(&bootstrap, TOPIC, Some(partition), &values(from..from + 100), &[]);
    }
    for assignor in ["range", "roundrobin", "cooperative-sticky"] {
        let mut read = Vec::new();
        let mut members: Vec<_> = (0..3).map(|id| member(&bootstrap, assignor, id)).collect();
        balanced(&members, &mut read);
        // One leaves: the others take its partitions over.
        drop(members.pop());
        balanced(&members, &mut read);
        // One comes back.
        members.push(member(&bootstrap, assignor, 3));
        balanced(&members, &mut read);
        // Nothing was committed, so partitions that moved are read again; in the end all is read.
        read_until(&members, &mut read, 600);
        let texts: BTreeMap<_, _> = read
            .iter()
            .map(|it| ((it.partition, it.offset), it.text().to_owned()))
            .collect();
        let texts: BTreeSet<_> = texts.into_values().collect();
        assert_eq!(texts, values(0..600).into_iter().collect(), "{assignor}");
        commit_halves(&members);
        drop(members);
    }
    // The commits outlive the broker.
    hub.process().kill();
    hub.restart();
    for assignor in ["range", "roundrobin", "cooperative-sticky"] {
        let members = [member(&bootstrap, assignor, 4)];
        let mut read = Vec::new();
        read_until(&members, &mut read, 300);
        for record in &read {
            assert!(
                record.offset >= 50,
                "{assignor}: committed, read again: {record:?}"
            );
        }
        assert_eq!(read.len(), 300, "{assignor}");
    }
}

/// Every member commits offset 50 of each partition that it owns.
fn commit_halves(members: &[BaseConsumer]) {
    for consumer in members {
        let mut list = TopicPartitionList::new();
        for partition in owned(consumer) {
            list.add_partition_offset(TOPIC, partition, rdkafka::Offset::Offset(50))
                .expect("a partition");
        }
        consumer.commit(&list, CommitMode::Sync).expect("committed");
        let committed = consumer.committed(PATIENCE).expect("OffsetFetch is answered");
        for element in committed.elements() {
            assert_eq!(element.offset(), rdkafka::Offset::Offset(50));
        }
    }
}
