//! Admin calls: topics are made, described, widened and deleted; mistakes have Kafka's error codes.

use std::time::Duration;

use rdkafka::admin::{NewPartitions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::types::RDKafkaErrorCode;

use super::{admin, admin_options, broker, config, create_topic, produce_values, read_all, wait, watermarks};
use crate::process::{PATIENCE, eventually};

fn partitions(bootstrap: &str, topic: &str) -> Option<usize> {
    let consumer: BaseConsumer = config(bootstrap).create().expect("a consumer");
    let metadata = consumer
        .fetch_metadata(None, PATIENCE)
        .expect("Metadata is answered");
    let found = metadata.topics().iter().find(|it| it.name() == topic)?;
    Some(found.partitions().len())
}

#[test]
fn topics_are_made_widened_and_deleted() {
    let (_directory, mut hub) = broker();
    let bootstrap = hub.bootstrap();
    let admin = admin(&bootstrap);
    create_topic(&bootstrap, "words", 2);
    let again = NewTopic::new("words", 2, TopicReplication::Fixed(1));
    let outside = NewTopic::new("../words", 1, TopicReplication::Fixed(1));
    let wide = NewTopic::new("wide", 1, TopicReplication::Fixed(3));
    let answers = wait(admin.create_topics([&again, &outside, &wide], &admin_options())).expect("an answer");
    let codes: Vec<_> = answers
        .into_iter()
        .map(|it| it.map_err(|(_, code)| code))
        .collect();
    assert_eq!(
        codes,
        [
            Err(RDKafkaErrorCode::TopicAlreadyExists),
            Err(RDKafkaErrorCode::InvalidTopic),
            Err(RDKafkaErrorCode::InvalidReplicationFactor),
        ]
    );
    produce_values(&bootstrap, "words", Some(1), &["kept".to_owned()], &[]);
    let more = NewPartitions::new("words", 5);
    let widened = wait(admin.create_partitions([&more], &admin_options())).expect("an answer");
    assert_eq!(widened, [Ok("words".to_owned())]);
    assert_eq!(partitions(&bootstrap, "words"), Some(5));
    assert_eq!(watermarks(&bootstrap, "words", 1), (0, 1));
    // All of that is in the metadata log.
    hub.process().kill();
    hub.restart();
    assert_eq!(partitions(&bootstrap, "words"), Some(5));
    assert_eq!(read_all(&bootstrap, "words", 5)[0].text(), "kept");
    let folder = hub.partition_dir("words", 1);
    assert!(folder.is_dir(), "{} holds the record", folder.display());
    let deleted = wait(admin.delete_topics(&["words", "nowhere"], &admin_options())).expect("an answer");
    assert_eq!(deleted[0], Ok("words".to_owned()));
    assert_eq!(
        deleted[1].as_ref().unwrap_err().1,
        RDKafkaErrorCode::UnknownTopicOrPartition
    );
    eventually("the topic is gone", || {
        partitions(&bootstrap, "words").is_none().then_some(())
    });
    // A new one of the same name begins empty.
    create_topic(&bootstrap, "words", 2);
    assert_eq!(watermarks(&bootstrap, "words", 1), (0, 0));
}

#[test]
fn configurations_are_described_with_their_source() {
    let (_directory, hub) = broker();
    let bootstrap = hub.bootstrap();
    let topic = NewTopic::new("kept", 1, TopicReplication::Fixed(1)).set("retention.ms", "86400000");
    let made = wait(admin(&bootstrap).create_topics([&topic], &admin_options())).expect("an answer");
    assert_eq!(made, [Ok("kept".to_owned())]);
    let resources = [ResourceSpecifier::Topic("kept")];
    let found = wait(admin(&bootstrap).describe_configs(&resources, &admin_options())).expect("an answer");
    let kept = found[0].as_ref().expect("the topic is there");
    let value = |key: &str| kept.get(key).and_then(|entry| entry.value.clone());
    assert_eq!(value("retention.ms").as_deref(), Some("86400000"));
    assert_eq!(value("cleanup.policy").as_deref(), Some("delete"));
    // Forebay's own default, where there is no other replica.
    assert_eq!(value("flush.messages").as_deref(), Some("1"));
    assert!(!kept.get("retention.ms").expect("described").is_default);
    assert!(kept.get("cleanup.policy").expect("described").is_default);
}

#[test]
fn groups_are_listed() {
    let (_directory, hub) = broker();
    let bootstrap = hub.bootstrap();
    create_topic(&bootstrap, "read", 1);
    produce_values(&bootstrap, "read", Some(0), &["one".to_owned()], &[]);
    let consumer: BaseConsumer = super::config_with(
        &bootstrap,
        &[("group.id", "listed"), ("auto.offset.reset", "earliest")],
    )
    .create()
    .expect("a consumer");
    consumer.subscribe(&["read"]).expect("subscribed");
    eventually("the record is read", || {
        consumer
            .poll(Duration::from_millis(100))
            .map(|it| it.map(drop).expect("a record"))
    });
    let groups = consumer
        .fetch_group_list(Some("listed"), PATIENCE)
        .expect("an answer");
    let group = &groups.groups()[0];
    assert_eq!(
        (group.name(), group.state(), group.protocol_type()),
        ("listed", "Stable", "consumer")
    );
    assert_eq!(group.members().len(), 1);
}
