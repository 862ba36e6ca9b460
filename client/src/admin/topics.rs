//! Topics: create, delete, list, describe; and more partitions for them.

use std::collections::BTreeMap;

use forebay_protocol::{
    NodeId, Utf8Bytes,
    messages::{
        CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeTopicPartitionsRequest,
        MetadataRequest,
        create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic},
        create_topics_request::{CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig},
        delete_topics_request::DeleteTopicState,
        describe_topic_partitions_request::{Cursor, TopicRequest},
        describe_topic_partitions_response::{
            DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
        },
        metadata_request::MetadataRequestTopic,
        metadata_response::{MetadataResponsePartition, MetadataResponseTopic},
    },
};
use forebay_records::LeaderEpoch;

use super::{
    Admin, CreatedTopic, NewPartitions, NewTopic, Outcomes, PartitionDescription, TopicDescription,
    TopicListing, check,
};
use crate::{error::Error, node::Node};

/// The first version of DeleteTopics that knows topics by their ids.
const DELETE_BY_ID_VERSION: i16 = 6;

impl Admin {
    /// Creates topics; with `validate_only`, says only whether that would succeed.
    ///
    /// # Errors
    /// Of the call as a whole; each topic has its own.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<Outcomes<String, CreatedTopic>, Error> {
        let by_name: BTreeMap<&str, &NewTopic> =
            topics.iter().map(|topic| (topic.name.as_str(), topic)).collect();
        let keys = by_name.keys().map(|name| (*name).to_owned());
        self.gather("create topics", keys, |names| {
            let wanted = names
                .iter()
                .filter_map(|name| by_name.get(name.as_str()))
                .map(|topic| creatable(topic));
            let topics: Vec<_> = wanted.collect();
            async move {
                let node = self.controller().await?;
                let timeout_ms = self.timeout_ms();
                let request = CreateTopicsRequest {
                    topics,
                    timeout_ms,
                    validate_only,
                    ..Default::default()
                };
                let answer = node.call(|_| request).await?;
                let results = answer.topics.into_iter().map(|topic| {
                    let name = String::from(topic.name);
                    let action = format!("create topic {name}");
                    let result = check(action, topic.error_code, topic.error_message.as_deref());
                    let created = CreatedTopic {
                        topic_id: topic.topic_id,
                        partitions: topic.num_partitions,
                        replication_factor: topic.replication_factor,
                    };
                    (name, result.map(|()| created))
                });
                Ok(results.collect())
            }
        })
        .await
    }

    /// Creates one topic.
    ///
    /// # Errors
    /// TOPIC_ALREADY_EXISTS, INVALID_REPLICATION_FACTOR, …, as [`Error::code`] says.
    pub async fn create_topic(&self, topic: NewTopic) -> Result<CreatedTopic, Error> {
        self.create_topics(std::slice::from_ref(&topic), false)
            .await?
            .remove(&topic.name)
            .unwrap_or_else(|| {
                let reason = "it does not mention the topic".into();
                Err(Error::InvalidResponse {
                    action: "CreateTopics".into(),
                    reason,
                })
            })
    }

    /// Deletes topics.
    ///
    /// # Errors
    /// Of the call as a whole; each topic has its own.
    pub async fn delete_topics(&self, names: &[&str]) -> Result<Outcomes<String, ()>, Error> {
        self.gather(
            "delete topics",
            names.iter().map(|name| (*name).to_owned()),
            |names| async move {
                let node = self.controller().await?;
                let timeout_ms = self.timeout_ms();
                let names: Vec<Utf8Bytes> = names.iter().map(Utf8Bytes::from).collect();
                let answer = node
                    .call(|version| {
                        if version < DELETE_BY_ID_VERSION {
                            return DeleteTopicsRequest {
                                topic_names: names,
                                timeout_ms,
                                ..Default::default()
                            };
                        }
                        let topics = names.into_iter().map(|name| DeleteTopicState {
                            name: Some(name),
                            ..Default::default()
                        });
                        DeleteTopicsRequest {
                            topics: topics.collect(),
                            timeout_ms,
                            ..Default::default()
                        }
                    })
                    .await?;
                let results = answer.responses.into_iter().map(|topic| {
                    let name = topic.name.map(String::from).unwrap_or_default();
                    let action = format!("delete topic {name}");
                    let result = check(action, topic.error_code, topic.error_message.as_deref());
                    (name, result)
                });
                Ok(results.collect())
            },
        )
        .await
    }

    /// Adds partitions to topics.
    ///
    /// # Errors
    /// Of the call as a whole; each topic has its own.
    pub async fn create_partitions(
        &self,
        topics: &BTreeMap<String, NewPartitions>,
        validate_only: bool,
    ) -> Result<Outcomes<String, ()>, Error> {
        self.gather("create partitions", topics.keys().cloned(), |names| {
            let wanted = names
                .iter()
                .filter_map(|name| Some(partitions(name, topics.get(name)?)));
            let topics: Vec<_> = wanted.collect();
            async move {
                let node = self.controller().await?;
                let timeout_ms = self.timeout_ms();
                let request = CreatePartitionsRequest {
                    topics,
                    timeout_ms,
                    validate_only,
                    ..Default::default()
                };
                let answer = node.call(|_| request).await?;
                let results = answer.results.into_iter().map(|topic| {
                    let name = String::from(topic.name);
                    let action = format!("add partitions to topic {name}");
                    let result = check(action, topic.error_code, topic.error_message.as_deref());
                    (name, result)
                });
                Ok(results.collect())
            }
        })
        .await
    }

    /// All topics, by name.
    ///
    /// # Errors
    /// Of the call.
    pub async fn list_topics(&self) -> Result<Vec<TopicListing>, Error> {
        let topics = self.retry("list topics", || self.metadata(None)).await?;
        let mut listings: Vec<TopicListing> = topics
            .into_iter()
            .filter(|topic| topic.error_code == 0)
            .map(|topic| TopicListing {
                name: topic.name.map(String::from).unwrap_or_default(),
                topic_id: topic.topic_id,
                is_internal: topic.is_internal,
            })
            .collect();
        listings.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listings)
    }

    /// What the cluster knows of these topics.
    ///
    /// # Errors
    /// Of the call as a whole; each topic has its own, such as UNKNOWN_TOPIC_OR_PARTITION.
    pub async fn describe_topics(&self, names: &[&str]) -> Result<Outcomes<String, TopicDescription>, Error> {
        // One answer is final here: whoever asks whether a topic exists wants to hear that it does not.
        self.retry("describe topics", || async {
            let node = self.cluster.any_node().await?;
            if node.version::<DescribeTopicPartitionsRequest>(i16::MAX).is_ok() {
                return describe(&node, names).await;
            }
            let topics = self.metadata(Some(names)).await?.into_iter().map(|topic| {
                let name = topic.name.clone().map(String::from).unwrap_or_default();
                let result = check(format!("describe topic {name}"), topic.error_code, None);
                (name, result.map(|()| TopicDescription::from(topic)))
            });
            Ok(topics.collect())
        })
        .await
    }

    async fn metadata(&self, names: Option<&[&str]>) -> Result<Vec<MetadataResponseTopic>, Error> {
        let node = self.cluster.any_node().await?;
        let topics = names.map(|names| {
            let topic = |name: &&str| MetadataRequestTopic {
                name: Some((*name).into()),
                ..Default::default()
            };
            names.iter().map(topic).collect()
        });
        let answer = node
            .call(|version| MetadataRequest {
                topics,
                allow_auto_topic_creation: version < 4,
                ..Default::default()
            })
            .await?;
        check("get metadata", answer.error_code, None)?;
        Ok(answer.topics)
    }
}

/// Asks page by page: an answer has a bounded number of partitions, and says where the next one begins.
async fn describe(node: &Node, names: &[&str]) -> Result<Outcomes<String, TopicDescription>, Error> {
    let mut described: Outcomes<String, TopicDescription> = BTreeMap::new();
    let mut cursor = None;
    loop {
        let topics = names.iter().map(|name| TopicRequest {
            name: (*name).into(),
            ..Default::default()
        });
        let request = DescribeTopicPartitionsRequest {
            topics: topics.collect(),
            cursor: cursor.clone(),
            ..Default::default()
        };
        let answer = node.call(|_| request).await?;
        for topic in answer.topics {
            let name = topic.name.clone().map(String::from).unwrap_or_default();
            if let Err(error) = check(format!("describe topic {name}"), topic.error_code, None) {
                described.insert(name, Err(error));
                continue;
            }
            let topic = TopicDescription::from(topic);
            match described.get_mut(&name) {
                // The rest of a topic that the page before ended in.
                Some(Ok(begun)) => begun.partitions.extend(topic.partitions),
                _ => drop(described.insert(name, Ok(topic))),
            }
        }
        let next = answer.next_cursor.map(|next| Cursor {
            topic_name: next.topic_name,
            partition_index: next.partition_index,
            ..Default::default()
        });
        if next.is_none() || next == cursor {
            return Ok(described);
        }
        cursor = next;
    }
}

fn creatable(topic: &NewTopic) -> CreatableTopic {
    let assigned = !topic.replica_assignments.is_empty();
    let assignments = topic
        .replica_assignments
        .iter()
        .map(|(partition, nodes)| CreatableReplicaAssignment {
            partition_index: *partition,
            broker_ids: nodes.iter().map(|node| node.0).collect(),
            ..Default::default()
        });
    let configs = topic.configs.iter().map(|(name, value)| CreatableTopicConfig {
        name: name.into(),
        value: Some(value.into()),
        ..Default::default()
    });
    CreatableTopic {
        name: topic.name.as_str().into(),
        num_partitions: topic.partitions.filter(|_| !assigned).unwrap_or(-1),
        replication_factor: topic.replication_factor.filter(|_| !assigned).unwrap_or(-1),
        assignments: assignments.collect(),
        configs: configs.collect(),
        ..Default::default()
    }
}

fn partitions(name: &str, new: &NewPartitions) -> CreatePartitionsTopic {
    let assignments = new.assignments.as_ref().map(|assignments| {
        let assignment = |nodes: &Vec<NodeId>| CreatePartitionsAssignment {
            broker_ids: nodes.iter().map(|node| node.0).collect(),
            ..Default::default()
        };
        assignments.iter().map(assignment).collect()
    });
    CreatePartitionsTopic {
        name: name.into(),
        count: new.total_count,
        assignments,
        ..Default::default()
    }
}

impl From<MetadataResponseTopic> for TopicDescription {
    fn from(topic: MetadataResponseTopic) -> Self {
        let mut partitions: Vec<_> = topic
            .partitions
            .into_iter()
            .map(PartitionDescription::from)
            .collect();
        partitions.sort_by_key(|partition| partition.partition);
        Self {
            name: topic.name.map(String::from).unwrap_or_default(),
            topic_id: topic.topic_id,
            is_internal: topic.is_internal,
            partitions,
        }
    }
}

impl From<MetadataResponsePartition> for PartitionDescription {
    fn from(partition: MetadataResponsePartition) -> Self {
        Self {
            partition: partition.partition_index,
            leader: (partition.leader_id >= 0).then_some(NodeId(partition.leader_id)),
            leader_epoch: (partition.leader_epoch >= 0).then_some(LeaderEpoch(partition.leader_epoch)),
            replicas: nodes(partition.replica_nodes),
            in_sync_replicas: nodes(partition.isr_nodes),
            offline_replicas: nodes(partition.offline_replicas),
            eligible_leader_replicas: None,
            last_known_elr: None,
        }
    }
}

impl From<DescribeTopicPartitionsResponseTopic> for TopicDescription {
    fn from(topic: DescribeTopicPartitionsResponseTopic) -> Self {
        let mut partitions: Vec<_> = topic
            .partitions
            .into_iter()
            .map(PartitionDescription::from)
            .collect();
        partitions.sort_by_key(|partition| partition.partition);
        Self {
            name: topic.name.map(String::from).unwrap_or_default(),
            topic_id: topic.topic_id,
            is_internal: topic.is_internal,
            partitions,
        }
    }
}

impl From<DescribeTopicPartitionsResponsePartition> for PartitionDescription {
    fn from(partition: DescribeTopicPartitionsResponsePartition) -> Self {
        Self {
            partition: partition.partition_index,
            leader: (partition.leader_id >= 0).then_some(NodeId(partition.leader_id)),
            leader_epoch: (partition.leader_epoch >= 0).then_some(LeaderEpoch(partition.leader_epoch)),
            replicas: nodes(partition.replica_nodes),
            in_sync_replicas: nodes(partition.isr_nodes),
            offline_replicas: nodes(partition.offline_replicas),
            eligible_leader_replicas: partition.eligible_leader_replicas.map(nodes),
            last_known_elr: partition.last_known_elr.map(nodes),
        }
    }
}

fn nodes(ids: Vec<i32>) -> Vec<NodeId> {
    ids.into_iter().map(NodeId).collect()
}
