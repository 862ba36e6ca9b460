//! Logs that Apache Kafka wrote (one combined node; topics made, changed and deleted; stopped, and for 4.3.1 killed and started
//! again), with the runs of no-ops left out. They are replayed, and at each of Kafka's decisions about brokers and producer ids our
//! own is asked for and must be the same, record for record.

use bytes::Bytes;
use forebay_protocol::NodeId;
use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::RegisterBrokerRecord;
use forebay_protocol::messages::broker_registration_request::{BrokerRegistrationRequest, Feature, Listener};
use forebay_records::{Offset, RecordBatch, Timestamp, batches};

use super::fixture::{options, properties};
use crate::*;

const KAFKA_4_3_1: &[u8] = include_bytes!("kafka-4.3.1.log");
const KAFKA_3_9_1: &[u8] = include_bytes!("kafka-3.9.1.log");

/// Replays a log; gives the controller and how many of Kafka's decisions ours were compared with.
fn replay(log: &'static [u8]) -> (Controller, usize) {
    let mut controller = Controller::new(options());
    let mut compared = 0;
    for batch in batches(Bytes::from_static(log)) {
        let batch = batch.expect("a batch");
        batch.ensure_valid().expect("valid");
        if batch.header().is_control() {
            controller.skip_to(batch.next_offset());
            continue;
        }
        let records = decode(&batch);
        let messages: Vec<_> = records.iter().map(|(_, record)| record.message.clone()).collect();
        if let Some(ours) = decide(&controller, batch.base_offset(), &messages) {
            let theirs: Vec<_> = messages
                .into_iter()
                .filter(|message| !is_beside_the_point(message))
                .collect();
            assert_eq!(ours, theirs, "at offset {}", batch.base_offset());
            compared += 1;
        }
        for (offset, record) in records {
            controller.replay(offset, &record).expect("fits");
        }
    }
    (controller, compared)
}

/// The records of a batch, each of which is written again as Kafka wrote it, byte for byte.
fn decode(batch: &RecordBatch) -> Vec<(Offset, Record)> {
    let records = batch.records().expect("readable");
    let decoded = records.map(|record| {
        let record = record.expect("a record");
        let bytes = record.value.clone().expect("a value");
        let decoded = Record::from_bytes(bytes.clone()).expect("a metadata record");
        assert_eq!(decoded.to_bytes().expect("encodes"), bytes);
        (record.offset, decoded)
    });
    decoded.collect()
}

/// Kafka writes a no-op every half second, into whatever batch is open; and 4.3 says after each registration that no directory is
/// cordoned (KIP-1066), which is what is so anyway.
fn is_beside_the_point(message: &MetadataRecord) -> bool {
    match message {
        MetadataRecord::NoOp(_) => true,
        MetadataRecord::BrokerRegistrationChange(change) => change.cordoned_log_dirs.is_some(),
        _ => false,
    }
}

/// What we decide where Kafka decided `messages`, if it is about a broker or producer ids.
fn decide(
    controller: &Controller,
    next_offset: Offset,
    messages: &[MetadataRecord],
) -> Option<Vec<MetadataRecord>> {
    let context = Context {
        now: Timestamp(0),
        next_offset,
        seed: 0,
    };
    let records = messages.iter().find_map(|message| match message {
        MetadataRecord::RegisterBroker(record) => {
            let request = request_of(controller, record);
            let outcome = controller.handle(RegisterBroker { request }, context);
            assert_eq!(outcome.response, Ok(record.broker_epoch));
            Some(outcome.records)
        }
        MetadataRecord::BrokerRegistrationChange(change) => {
            let (broker_id, broker_epoch) = (NodeId(change.broker_id), change.broker_epoch);
            let outcome = match (change.fenced, change.in_controlled_shutdown) {
                (1, _) => controller.handle(
                    FenceBroker {
                        broker_id,
                        broker_epoch,
                    },
                    context,
                ),
                (-1, _) => controller.handle(
                    UnfenceBroker {
                        broker_id,
                        broker_epoch,
                    },
                    context,
                ),
                (_, 1) => controller.handle(
                    BeginControlledShutdown {
                        broker_id,
                        broker_epoch,
                    },
                    context,
                ),
                _ => return None,
            };
            assert_eq!(outcome.response, Ok(()));
            Some(outcome.records)
        }
        MetadataRecord::ProducerIds(record) => {
            let command = AllocateProducerIds {
                broker_id: NodeId(record.broker_id),
                broker_epoch: record.broker_epoch,
            };
            Some(controller.handle(command, context).records)
        }
        _ => None,
    })?;
    Some(records.into_iter().map(|record| record.message).collect())
}

/// The request that led to a registration. A broker that had handed over its leaderships had stopped cleanly.
fn request_of(controller: &Controller, record: &RegisterBrokerRecord) -> BrokerRegistrationRequest {
    let listener = |endpoint: &forebay_protocol::messages::register_broker_record::BrokerEndpoint| Listener {
        name: endpoint.name.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
        security_protocol: endpoint.security_protocol,
        ..Listener::default()
    };
    let feature = |feature: &forebay_protocol::messages::register_broker_record::BrokerFeature| Feature {
        name: feature.name.clone(),
        min_supported_version: feature.min_supported_version,
        max_supported_version: feature.max_supported_version,
        ..Feature::default()
    };
    let before = controller.latest().broker(NodeId(record.broker_id));
    BrokerRegistrationRequest {
        broker_id: record.broker_id,
        cluster_id: controller.options().cluster_id.as_str().into(),
        incarnation_id: record.incarnation_id,
        listeners: record.end_points.iter().map(listener).collect(),
        features: record.features.iter().map(feature).collect(),
        rack: record.rack.clone(),
        log_dirs: record.log_dirs.clone(),
        previous_broker_epoch: before
            .filter(|broker| broker.in_controlled_shutdown)
            .map_or(-1, |broker| broker.epoch),
        ..BrokerRegistrationRequest::default()
    }
}

#[test]
fn a_log_of_kafka_4_3_1_is_replayed_and_its_decisions_are_ours() {
    let (mut controller, compared) = replay(KAFKA_4_3_1);
    // Three registrations, three unfencings, three fencings, two controlled shutdowns, one block of producer ids.
    assert_eq!(compared, 12);
    let image = controller.image();
    assert_eq!(image.next_offset(), Offset(3252));
    assert_eq!(image.metadata_version().level(), 30);
    assert_eq!(image.feature_level("transaction.version"), 2);
    assert!(image.eligible_leader_replicas_enabled());
    let names: Vec<_> = image
        .topics()
        .map(|topic| (topic.name().as_str(), topic.partition_count()))
        .collect();
    assert_eq!(names, [("foo", 3), ("foo.bar", 1)]);
    let foo = image.topic("foo").expect("there");
    assert_eq!(foo.id().to_string(), "LKBgLuaCTei9VwWaqPV28w");
    assert_eq!(
        image.topic_configs("foo"),
        Some(&properties(&[("retention.ms", "77")]))
    );
    assert_eq!(image.topic_configs("conf"), None, "deleted with its topic");
    let defaults = properties(&[("log.retention.ms", "777"), ("min.insync.replicas", "1")]);
    assert_eq!(image.configs(&ConfigResource::default_broker()), Some(&defaults));
    assert_eq!(image.next_producer_id().0, 1000);
    let partition = image.partition("foo", 2).expect("there");
    // Lost its leader and found it again twice, then lost it.
    assert_eq!((partition.leader_epoch.0, partition.partition_epoch), (5, 6));
    assert_eq!(
        (partition.leader, partition.elr.as_slice()),
        (NodeId::NONE, &[NodeId(0)][..])
    );
    assert_eq!(partition.leader_recovery_state, LeaderRecoveryState::Recovering);
    let broker = image.broker(NodeId(0)).expect("there");
    assert_eq!(
        (broker.epoch, broker.fenced, broker.in_controlled_shutdown),
        (223, true, true)
    );
    assert!(image.skipped_records().is_empty());
}

#[test]
fn a_log_of_kafka_3_9_1_is_replayed_and_its_decisions_are_ours() {
    let (mut controller, compared) = replay(KAFKA_3_9_1);
    assert_eq!(compared, 9);
    let image = controller.image();
    assert_eq!(image.metadata_version().level(), 21);
    assert!(!image.eligible_leader_replicas_enabled());
    let partition = image.partition("foo", 0).expect("there");
    // Without eligible leader replicas the last one stays in sync.
    assert_eq!(
        (partition.leader, partition.isr.as_slice()),
        (NodeId::NONE, &[NodeId(0)][..])
    );
    assert_eq!((partition.leader_epoch.0, partition.partition_epoch), (3, 3));
}

#[test]
fn a_snapshot_holds_all_that_such_a_log_says() {
    for log in [KAFKA_4_3_1, KAFKA_3_9_1] {
        let image = replay(log).0.image();
        assert_eq!(super::snapshots::restored(&image), *image);
    }
}

#[test]
fn such_a_log_goes_on_here() {
    for log in [KAFKA_4_3_1, KAFKA_3_9_1] {
        let (mut controller, _) = replay(log);
        let run = |controller: &mut Controller, records: Vec<Record>| {
            for record in records {
                let offset = controller.image().next_offset();
                controller.replay(offset, &record).expect("fits");
            }
        };
        let context = Context {
            now: Timestamp(0),
            next_offset: controller.image().next_offset(),
            seed: 1,
        };
        let activation = controller.handle(Activate::default(), context);
        assert_eq!(activation.records, [], "nothing to bootstrap, nothing to abort");
        let request = BrokerRegistrationRequest {
            log_dirs: controller
                .image()
                .broker(NodeId(0))
                .expect("there")
                .directories
                .clone(),
            previous_broker_epoch: controller.image().broker(NodeId(0)).expect("there").epoch,
            ..super::fixture::registration(0, None)
        };
        let registration = controller.handle(RegisterBroker { request }, context);
        let broker_epoch = registration.response.expect("registered");
        run(&mut controller, registration.records);
        let context = Context {
            next_offset: controller.image().next_offset(),
            ..context
        };
        let unfence = UnfenceBroker {
            broker_id: NodeId(0),
            broker_epoch,
        };
        let records = controller.handle(unfence, context).records;
        run(&mut controller, records);
        let image = controller.image();
        for topic in image.topics() {
            for (_, partition) in topic.partitions() {
                assert_eq!(
                    (partition.leader, partition.isr.as_slice()),
                    (NodeId(0), &[NodeId(0)][..])
                );
                assert!(partition.elr.is_empty() && partition.last_known_elr.is_empty());
            }
        }
    }
}

#[test]
fn a_log_that_ends_inside_a_transaction_begins_anew() {
    let mut controller = Controller::new(options());
    let bootstrap = batches(Bytes::from_static(KAFKA_4_3_1))
        .map(Result::unwrap)
        .find(|batch| !batch.header().is_control());
    let bootstrap = decode(&bootstrap.expect("there"));
    for (offset, record) in &bootstrap[..bootstrap.len() - 1] {
        controller.replay(*offset, record).expect("fits");
    }
    assert_eq!(
        *controller.image(),
        MetadataImage::default(),
        "readers see nothing of it"
    );
    let next_offset = bootstrap.last().expect("there").0;
    let outcome = controller.handle(
        Activate::default(),
        Context {
            now: Timestamp(0),
            next_offset,
            seed: 0,
        },
    );
    assert!(matches!(
        outcome.records[0].message,
        MetadataRecord::AbortTransaction(_)
    ));
    for (offset, record) in (next_offset.0..).map(Offset).zip(&outcome.records) {
        controller.replay(offset, record).expect("fits");
    }
    let image = controller.image();
    assert_eq!(image.metadata_version(), MetadataVersion::LATEST);
    assert_eq!(
        image.feature_level("share.version"),
        0,
        "what had been aborted is gone"
    );
}
