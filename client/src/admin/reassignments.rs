//! Who leads partitions and who has replicas of them: elections (KIP-460) and reassignments (KIP-455). What is denied by an
//! authorizer is here too, as long as there is none.

use std::collections::BTreeMap;

use forebay_protocol::{
    NodeId, TopicPartition, Utf8Bytes,
    messages::{
        AlterPartitionReassignmentsRequest, DescribeAclsRequest, ElectLeadersRequest,
        ListPartitionReassignmentsRequest,
        alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic},
        elect_leaders_request::TopicPartitions,
        list_partition_reassignments_request::ListPartitionReassignmentsTopics,
    },
};

use super::{Admin, Outcomes, check};
use crate::error::Error;

/// Who may become leader (Kafka's `ElectionType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElectionType {
    /// The first replica, if it is in sync.
    Preferred,
    /// Any replica that is up, whatever is lost.
    Unclean,
}

/// What is going on with a partition's replicas (Kafka's `PartitionReassignment`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionReassignment {
    /// All of them now.
    pub replicas: Vec<NodeId>,
    /// Those that are on their way in.
    pub adding: Vec<NodeId>,
    /// Those that are on their way out.
    pub removing: Vec<NodeId>,
}

impl Admin {
    /// Elects leaders; of all partitions that need it where none are named. What needs none says ELECTION_NOT_NEEDED.
    ///
    /// # Errors
    /// Of the call as a whole; each partition has its own.
    pub async fn elect_leaders(
        &self,
        election: ElectionType,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<Outcomes<TopicPartition, ()>, Error> {
        self.retry("elect leaders", || async {
            let topics = partitions.map(|partitions| {
                let topics = by_topic(
                    partitions
                        .iter()
                        .map(|partition| (partition, partition.partition)),
                );
                let topics = topics.into_iter().map(|(topic, partitions)| TopicPartitions {
                    topic,
                    partitions,
                    ..Default::default()
                });
                topics.collect()
            });
            let request = ElectLeadersRequest {
                election_type: match election {
                    ElectionType::Preferred => 0,
                    ElectionType::Unclean => 1,
                },
                topic_partitions: topics,
                timeout_ms: self.timeout_ms(),
                ..Default::default()
            };
            let answer = self.controller().await?.call(|_| request).await?;
            check("elect leaders", answer.error_code, None)?;
            let mut outcomes = BTreeMap::new();
            for topic in answer.replica_election_results {
                for result in topic.partition_result {
                    let partition = TopicPartition {
                        topic: topic.topic.detach(),
                        partition: result.partition_id,
                    };
                    let action = format!("elect the leader of {partition}");
                    let checked = check(action, result.error_code, result.error_message.as_deref());
                    outcomes.insert(partition, checked);
                }
            }
            Ok(outcomes)
        })
        .await
    }

    /// Gives partitions other replicas; `None` cancels what is under way.
    ///
    /// # Errors
    /// Of the call as a whole; each partition has its own.
    pub async fn alter_partition_reassignments(
        &self,
        wanted: &BTreeMap<TopicPartition, Option<Vec<NodeId>>>,
    ) -> Result<Outcomes<TopicPartition, ()>, Error> {
        self.retry("reassign partitions", || async {
            let partitions = wanted.iter().map(|(partition, replicas)| {
                let replicas = replicas
                    .as_ref()
                    .map(|replicas| replicas.iter().map(|id| id.0).collect());
                let reassigned = ReassignablePartition {
                    partition_index: partition.partition,
                    replicas,
                    ..Default::default()
                };
                (partition, reassigned)
            });
            let topics = by_topic(partitions)
                .into_iter()
                .map(|(name, partitions)| ReassignableTopic {
                    name,
                    partitions,
                    ..Default::default()
                });
            let (topics, timeout_ms) = (topics.collect(), self.timeout_ms());
            let request = AlterPartitionReassignmentsRequest {
                timeout_ms,
                topics,
                ..Default::default()
            };
            let answer = self.controller().await?.call(|_| request).await?;
            check(
                "reassign partitions",
                answer.error_code,
                answer.error_message.as_deref(),
            )?;
            let mut outcomes = BTreeMap::new();
            for topic in answer.responses {
                for result in topic.partitions {
                    let partition = TopicPartition {
                        topic: topic.name.detach(),
                        partition: result.partition_index,
                    };
                    let action = format!("reassign {partition}");
                    let checked = check(action, result.error_code, result.error_message.as_deref());
                    outcomes.insert(partition, checked);
                }
            }
            Ok(outcomes)
        })
        .await
    }

    /// The reassignments that are under way, of all partitions or of some.
    ///
    /// # Errors
    /// Of the call.
    pub async fn list_partition_reassignments(
        &self,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<BTreeMap<TopicPartition, PartitionReassignment>, Error> {
        self.retry("list reassignments", || async {
            let topics = partitions.map(|partitions| {
                let topics = by_topic(
                    partitions
                        .iter()
                        .map(|partition| (partition, partition.partition)),
                );
                let topics =
                    topics
                        .into_iter()
                        .map(|(name, partition_indexes)| ListPartitionReassignmentsTopics {
                            name,
                            partition_indexes,
                            ..Default::default()
                        });
                topics.collect()
            });
            let request = ListPartitionReassignmentsRequest {
                timeout_ms: self.timeout_ms(),
                topics,
                ..Default::default()
            };
            let answer = self.controller().await?.call(|_| request).await?;
            check(
                "list reassignments",
                answer.error_code,
                answer.error_message.as_deref(),
            )?;
            let ids = |ids: Vec<i32>| ids.into_iter().map(NodeId).collect();
            let mut found = BTreeMap::new();
            for topic in answer.topics {
                for partition in topic.partitions {
                    let key = TopicPartition {
                        topic: topic.name.detach(),
                        partition: partition.partition_index,
                    };
                    let reassignment = PartitionReassignment {
                        replicas: ids(partition.replicas),
                        adding: ids(partition.adding_replicas),
                        removing: ids(partition.removing_replicas),
                    };
                    found.insert(key, reassignment);
                }
            }
            Ok(found)
        })
        .await
    }

    /// Whether access lists can be asked for at all: the error is SECURITY_DISABLED where no broker has an authorizer.
    ///
    /// # Errors
    /// Of the call.
    pub async fn describe_acls(&self) -> Result<usize, Error> {
        self.retry("describe ACLs", || async {
            let node = self.cluster.any_node().await?;
            let answer = node
                .call(|_| DescribeAclsRequest {
                    resource_type_filter: 1,
                    pattern_type_filter: 1,
                    operation: 1,
                    permission_type: 1,
                    ..Default::default()
                })
                .await?;
            check(
                "describe ACLs",
                answer.error_code,
                answer.error_message.as_deref(),
            )?;
            Ok(answer.resources.len())
        })
        .await
    }
}

fn by_topic<'a, T>(items: impl Iterator<Item = (&'a TopicPartition, T)>) -> BTreeMap<Utf8Bytes, Vec<T>> {
    let mut by_topic: BTreeMap<_, Vec<T>> = BTreeMap::new();
    for (partition, item) in items {
        by_topic.entry(partition.topic.clone()).or_default().push(item);
    }
    by_topic
}
