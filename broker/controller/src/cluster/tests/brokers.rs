//! Brokers' lives, and what becomes of partitions meanwhile. What Kafka does on one node is in `kafka_logs`.

use forebay_protocol::messages::broker_registration_request::{BrokerRegistrationRequest, Feature};
use forebay_protocol::{ErrorCode, NodeId, Uuid};

use super::fixture::{TestCluster, assigned, registration, uuid};
use crate::*;

#[test]
fn registrations_are_refused_in_kafkas_words() {
    use ErrorCode as E;
    let mut cluster = TestCluster::with_brokers(1);
    let request = |change: &dyn Fn(&mut BrokerRegistrationRequest)| {
        let mut request = registration(1, None);
        change(&mut request);
        request
    };
    let metadata_version = |max| Feature {
        name: METADATA_VERSION.into(),
        min_supported_version: 7,
        max_supported_version: max,
        ..Feature::default()
    };
    let cases = [
        (
            request(&|request| request.cluster_id = "other".into()),
            E::InconsistentClusterId,
            "Expected cluster ID Zm9yZWJheS1wZWVyLWt1YQ, but got cluster ID other",
        ),
        (
            request(&|request| request.is_migrating_zk_broker = true),
            E::BrokerIdNotRegistered,
            "Controller does not support registering ZK brokers.",
        ),
        (
            request(&|request| request.log_dirs.clear()),
            E::InvalidRegistration,
            "No directories specified in request",
        ),
        (
            request(&|request| request.log_dirs = vec![uuid(99)]),
            E::InvalidRegistration,
            "Reserved directory ID in request",
        ),
        (
            request(&|request| request.log_dirs = vec![uuid(100), uuid(100)]),
            E::InvalidRegistration,
            "Duplicate directory ID in request",
        ),
        (
            request(&|request| request.log_dirs = vec![uuid(2000)]),
            E::InvalidRegistration,
            "Broker 0 is already registered with directory AAAAAAAAAAAAAAAAAAAH0A",
        ),
        (
            request(&|request| request.features = vec![metadata_version(29)]),
            E::UnsupportedVersion,
            "Unable to register because the broker does not support finalized version 1 of \
             eligible.leader.replicas.version. The broker wants a version between 0 and 0, inclusive.",
        ),
        (
            request(&|request| {
                request
                    .features
                    .retain(|feature| feature.name != *METADATA_VERSION);
                request.features.push(metadata_version(29));
            }),
            E::UnsupportedVersion,
            "Unable to register because the broker does not support finalized version 30 of metadata.version. The broker \
             wants a version between 7 and 29, inclusive.",
        ),
        (
            request(&|request| request.features.clear()),
            E::InvalidRegistration,
            "Request features do not contain 'metadata.version'",
        ),
    ];
    for (request, code, message) in cases {
        assert_eq!(
            cluster.run(RegisterBroker { request }),
            Err(ApiError::new(code, message))
        );
    }
}

#[test]
fn stale_epochs_are_refused() {
    let mut cluster = TestCluster::with_brokers(1);
    let epoch = cluster.image().broker(NodeId(0)).expect("there").epoch;
    let stale = |text: String| Err(ApiError::new(ErrorCode::StaleBrokerEpoch, text));
    let other = format!(
        "Expected broker epoch {epoch}, but got broker epoch {}",
        epoch + 1
    );
    let command = FenceBroker {
        broker_id: NodeId(0),
        broker_epoch: epoch + 1,
    };
    assert_eq!(cluster.run(command), stale(other));
    let command = UnfenceBroker {
        broker_id: NodeId(7),
        broker_epoch: epoch,
    };
    assert_eq!(
        cluster.run(command),
        stale("No broker registration found for broker id 7".to_owned())
    );
    let command = AllocateProducerIds {
        broker_id: NodeId(0),
        broker_epoch: -1,
    };
    assert!(cluster.run(command).is_err());
    let gone = cluster.run(UnregisterBroker { broker_id: NodeId(7) });
    let text = "Broker ID 7 is not currently registered";
    assert_eq!(gone, Err(ApiError::new(ErrorCode::BrokerIdNotRegistered, text)));
}

#[test]
fn the_same_process_again_keeps_its_epoch() {
    let mut cluster = TestCluster::with_brokers(1);
    let before = cluster.image().broker(NodeId(0)).expect("there").clone();
    let request = BrokerRegistrationRequest {
        rack: Some("east".into()),
        ..registration(0, None)
    };
    assert_eq!(cluster.run(RegisterBroker { request }), Ok(before.epoch));
    let after = cluster.image().broker(NodeId(0)).expect("there").clone();
    assert_eq!((after.fenced, after.rack.as_deref()), (false, Some("east")));
}

#[test]
fn leadership_moves_with_the_brokers() {
    let mut cluster = TestCluster::with_brokers(3);
    let mut create = assigned("a", &[(0, &[0, 1, 2])]);
    create.configs.push(
        forebay_protocol::messages::create_topics_request::CreatableTopicConfig {
            name: "min.insync.replicas".into(),
            value: Some("2".into()),
            ..Default::default()
        },
    );
    assert_eq!(cluster.create(create).error_code, 0);
    let epochs: Vec<i64> = (0..3)
        .map(|id| cluster.image().broker(NodeId(id)).expect("there").epoch)
        .collect();
    let broker = |id: i32| (NodeId(id), epochs[id.unsigned_abs() as usize]);
    let state = |cluster: &mut TestCluster| {
        let image = cluster.image();
        let partition = image.partition("a", 0).expect("there");
        let ids = |nodes: &[NodeId]| nodes.iter().map(|id| id.0).collect::<Vec<_>>();
        let epochs = (partition.leader_epoch.0, partition.partition_epoch);
        (
            partition.leader.0,
            ids(&partition.isr),
            ids(&partition.elr),
            epochs,
        )
    };
    let fence = |cluster: &mut TestCluster, id| {
        let (broker_id, broker_epoch) = broker(id);
        cluster
            .run(FenceBroker {
                broker_id,
                broker_epoch,
            })
            .expect("fenced");
    };
    let unfence = |cluster: &mut TestCluster, id| {
        let (broker_id, broker_epoch) = broker(id);
        cluster
            .run(UnfenceBroker {
                broker_id,
                broker_epoch,
            })
            .expect("unfenced");
    };
    // A follower leaves: no new leader, so the leader epoch stays.
    fence(&mut cluster, 2);
    assert_eq!(state(&mut cluster), (0, vec![0, 1], vec![], (0, 1)));
    // Below the minimum whoever leaves stays eligible.
    let (broker_id, broker_epoch) = broker(0);
    cluster
        .run(BeginControlledShutdown {
            broker_id,
            broker_epoch,
        })
        .expect("begun");
    assert_eq!(state(&mut cluster), (1, vec![1], vec![0], (1, 2)));
    fence(&mut cluster, 1);
    assert_eq!(state(&mut cluster), (-1, vec![], vec![0, 1], (2, 3)));
    // One that was not in sync may not lead, an eligible one may.
    unfence(&mut cluster, 2);
    assert_eq!(state(&mut cluster), (-1, vec![], vec![0, 1], (2, 3)));
    unfence(&mut cluster, 1);
    assert_eq!(state(&mut cluster), (1, vec![1], vec![0], (3, 4)));
    // A broker that lost what it had is not eligible any more.
    let request = BrokerRegistrationRequest {
        incarnation_id: uuid(9),
        ..registration(0, None)
    };
    cluster.run(RegisterBroker { request }).expect("registered");
    assert_eq!(state(&mut cluster), (1, vec![1], vec![], (3, 5)));
    cluster
        .run(UnregisterBroker { broker_id: NodeId(1) })
        .expect("unregistered");
    assert_eq!(state(&mut cluster), (-1, vec![], vec![1], (4, 6)));
    assert!(cluster.image().broker(NodeId(1)).is_none());
}

#[test]
fn producer_ids_come_in_blocks_of_a_thousand() {
    let mut cluster = TestCluster::with_brokers(2);
    let image = cluster.image();
    let mut take = |id: i32| {
        let broker_epoch = image.broker(NodeId(id)).expect("there").epoch;
        let block = cluster
            .run(AllocateProducerIds {
                broker_id: NodeId(id),
                broker_epoch,
            })
            .expect("a block");
        (block.first.0, block.ids().count())
    };
    assert_eq!(
        [take(0), take(1), take(0)],
        [(0, 1000), (1000, 1000), (2000, 1000)]
    );
}

#[test]
fn an_empty_log_is_bootstrapped_once() {
    let mut cluster = TestCluster::unactivated(super::fixture::options());
    let (records, ()) = cluster.run_with_records(Activate::default());
    let names: Vec<_> = records
        .iter()
        .map(forebay_protocol::internal_record::MetadataRecord::record_type)
        .collect();
    assert_eq!(
        names,
        [23, 12, 12, 12, 12, 4, 24],
        "begin, four features, min.insync.replicas, end"
    );
    assert_eq!(cluster.image().metadata_version(), MetadataVersion::LATEST);
    assert_eq!(cluster.run_with_records(Activate::default()).0, []);
    assert_ne!(cluster.image().next_offset(), forebay_records::Offset::ZERO);
    assert_eq!(cluster.image().topic_by_id(Uuid::ZERO), None);
}
