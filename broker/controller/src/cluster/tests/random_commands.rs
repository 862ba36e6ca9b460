//! Random commands: the state that commands were decided on is the state that a replay of the log gives, images that readers hold
//! never change, and what must always hold does.

use std::sync::Arc;

use forebay_protocol::NodeId;
use forebay_protocol::messages::broker_registration_request::BrokerRegistrationRequest;
use forebay_protocol::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use forebay_protocol::messages::delete_topics_request::DeleteTopicsRequest;
use forebay_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use proptest::prelude::*;

use super::fixture::{TestCluster, registration, topic, uuid};
use super::snapshots::restored;
use crate::*;

#[derive(Debug, Clone)]
enum Step {
    Create {
        name: &'static str,
        partitions: i32,
        factor: i16,
    },
    Grow {
        name: &'static str,
        count: i32,
    },
    Delete {
        name: &'static str,
    },
    Configure {
        name: &'static str,
        key: &'static str,
        value: Option<i32>,
    },
    Register {
        id: i32,
        incarnation: u32,
        clean: bool,
    },
    Fence {
        id: i32,
    },
    Unfence {
        id: i32,
    },
    Stop {
        id: i32,
    },
    Unregister {
        id: i32,
    },
    ProducerIds {
        id: i32,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let name = || prop::sample::select(vec!["a", "b", "a.b", "a_b", "c-d"]);
    let key = prop::sample::select(vec![
        "retention.ms",
        "min.insync.replicas",
        "unclean.leader.election.enable",
    ]);
    let id = || 0..4_i32;
    prop_oneof![
        3 => (name(), 1..4_i32, 1..4_i16)
            .prop_map(|(name, partitions, factor)| Step::Create { name, partitions, factor }),
        2 => (name(), 1..8_i32).prop_map(|(name, count)| Step::Grow { name, count }),
        1 => name().prop_map(|name| Step::Delete { name }),
        2 => (name(), key, prop::option::of(1..4_i32))
            .prop_map(|(name, key, value)| Step::Configure { name, key, value }),
        3 => (id(), 0..3_u32, any::<bool>())
            .prop_map(|(id, incarnation, clean)| Step::Register { id, incarnation, clean }),
        2 => id().prop_map(|id| Step::Fence { id }),
        4 => id().prop_map(|id| Step::Unfence { id }),
        1 => id().prop_map(|id| Step::Stop { id }),
        1 => id().prop_map(|id| Step::Unregister { id }),
        1 => id().prop_map(|id| Step::ProducerIds { id }),
    ]
}

/// Takes a step; whether it is refused is not the question here.
fn take(cluster: &mut TestCluster, step: &Step) {
    let image = cluster.image();
    let epoch = |id: i32| image.broker(NodeId(id)).map_or(-1, |broker| broker.epoch);
    match *step {
        Step::Create {
            name,
            partitions,
            factor,
        } => {
            cluster.create(topic(name, partitions, factor));
        }
        Step::Grow { name, count } => {
            let topic = CreatePartitionsTopic {
                name: name.into(),
                count,
                ..Default::default()
            };
            let request = CreatePartitionsRequest {
                topics: vec![topic],
                ..Default::default()
            };
            cluster.run(CreatePartitions { request });
        }
        Step::Delete { name } => {
            let request = DeleteTopicsRequest {
                topic_names: vec![name.into()],
                ..Default::default()
            };
            cluster.run(DeleteTopics {
                request,
                api_version: 5,
            });
        }
        Step::Configure { name, key, value } => {
            cluster.run(IncrementalAlterConfigs {
                request: configure(name, key, value),
                loggers: None,
            });
        }
        Step::Register {
            id,
            incarnation,
            clean,
        } => {
            let request = BrokerRegistrationRequest {
                incarnation_id: uuid(5000 + incarnation),
                previous_broker_epoch: if clean { epoch(id) } else { -1 },
                ..registration(id, None)
            };
            cluster.run(RegisterBroker { request }).expect("registered");
        }
        Step::Fence { id } => drop(cluster.run(FenceBroker {
            broker_id: NodeId(id),
            broker_epoch: epoch(id),
        })),
        Step::Unfence { id } => drop(cluster.run(UnfenceBroker {
            broker_id: NodeId(id),
            broker_epoch: epoch(id),
        })),
        Step::Stop { id } => {
            drop(cluster.run(BeginControlledShutdown {
                broker_id: NodeId(id),
                broker_epoch: epoch(id),
            }));
        }
        Step::Unregister { id } => drop(cluster.run(UnregisterBroker {
            broker_id: NodeId(id),
        })),
        Step::ProducerIds { id } => {
            drop(cluster.run(AllocateProducerIds {
                broker_id: NodeId(id),
                broker_epoch: epoch(id),
            }));
        }
    }
}

fn configure(name: &str, key: &str, value: Option<i32>) -> IncrementalAlterConfigsRequest {
    let boolean = key.ends_with(".enable");
    let text = value.map(|value| {
        if boolean {
            (value % 2 == 0).to_string()
        } else {
            value.to_string()
        }
    });
    let config = AlterableConfig {
        name: key.into(),
        config_operation: i8::from(value.is_none()),
        value: text.map(Into::into),
        ..Default::default()
    };
    let resource = AlterConfigsResource {
        resource_type: ResourceType::Topic.number(),
        resource_name: name.into(),
        configs: vec![config],
        ..Default::default()
    };
    IncrementalAlterConfigsRequest {
        resources: vec![resource],
        ..Default::default()
    }
}

/// What holds of every image.
fn check(image: &MetadataImage) {
    for topic in image.topics() {
        assert_eq!(
            image.topic_by_id(topic.id()).map(|found| found.name()),
            Some(topic.name())
        );
        assert!(
            (0..)
                .zip(topic.partitions())
                .all(|(expected, (index, _))| expected == index)
        );
        for (index, partition) in topic.partitions() {
            let what = format!("{}-{index}: {partition:?}", topic.name());
            assert!(
                partition.isr.iter().all(|id| partition.replicas.contains(id)),
                "{what}"
            );
            assert!(
                partition.elr.iter().all(|id| !partition.isr.contains(id)),
                "{what}"
            );
            assert_eq!(partition.directories.len(), partition.replicas.len(), "{what}");
            if partition.has_leader() {
                assert!(partition.isr.contains(&partition.leader), "{what}");
                assert!(image.is_active(partition.leader), "{what}");
            }
            assert!(partition.leader_epoch.0 <= partition.partition_epoch, "{what}");
        }
    }
    for (resource, properties) in image.config_resources() {
        assert!(!properties.is_empty());
        assert!(
            resource.resource_type != ResourceType::Topic || image.topic(&resource.name).is_some(),
            "{resource:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn replay_gives_the_state_that_was_decided_on(steps in prop::collection::vec(step(), 1..40)) {
        let mut cluster = TestCluster::new();
        let mut seen: Vec<(Arc<MetadataImage>, String)> = Vec::new();
        let mut epochs = std::collections::BTreeMap::new();
        for step in &steps {
            take(&mut cluster, step);
            let image = cluster.image();
            check(&image);
            for topic in image.topics() {
                for (index, partition) in topic.partitions() {
                    let now = (partition.leader_epoch.0, partition.partition_epoch);
                    let before = epochs.insert((topic.id(), index), now).unwrap_or(now);
                    prop_assert!(before.0 <= now.0 && before.1 <= now.1, "epochs only grow");
                }
            }
            seen.push((Arc::clone(&image), format!("{image:?}")));
        }
        let mut reloaded = cluster.reloaded();
        prop_assert_eq!(reloaded.image(), cluster.image());
        prop_assert_eq!(&restored(&cluster.image()), &*cluster.image(), "a snapshot holds all of it");
        for (image, text) in seen {
            prop_assert_eq!(format!("{image:?}"), text, "an image that a reader holds does not change");
        }
    }
}
