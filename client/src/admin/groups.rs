//! Groups: list, describe, delete; their offsets and static members.

use std::{collections::BTreeMap, sync::Arc};

use forebay_protocol::{
    ErrorCode, Message, Reader, TopicPartition, Utf8Bytes,
    messages::{
        ConsumerProtocolAssignment, DeleteGroupsRequest, DescribeGroupsRequest, LeaveGroupRequest,
        ListGroupsRequest, OffsetDeleteRequest,
        describe_groups_response::{DescribedGroup, DescribedGroupMember},
        leave_group_request::MemberIdentity,
        offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic},
    },
};
use futures_util::future::join_all;

use super::{
    Admin, GroupDescription, GroupListing, MemberDescription, Node, Outcomes, check, consumer_groups,
};
use crate::{
    cluster::{Coordinator, CoordinatorKind, Lane, Results},
    consumer::{GroupMetadata, OffsetAndMetadata},
    error::Error,
    group_offsets,
};

impl Admin {
    /// All groups of all brokers, by id.
    ///
    /// # Errors
    /// If a broker cannot be asked.
    pub async fn list_groups(&self) -> Result<Vec<GroupListing>, Error> {
        let groups = self.retry("list groups", || async {
            let seen = self.cluster.snapshot();
            let snapshot = if self.cluster.is_old() {
                self.cluster.refresh(seen.version).await?
            } else {
                seen
            };
            let calls = snapshot.brokers.keys().map(|id| async move {
                let node = self.cluster.node(*id, Lane::Main).await?;
                let answer = node.call(|_| ListGroupsRequest::default()).await?;
                check(format!("list the groups of broker {id}"), answer.error_code, None)?;
                Ok(answer.groups)
            });
            join_all(calls)
                .await
                .into_iter()
                .collect::<Result<Vec<_>, Error>>()
        });
        let mut listings: Vec<GroupListing> = groups
            .await?
            .into_iter()
            .flatten()
            .map(|group| GroupListing {
                group_id: group.group_id.into(),
                protocol_type: group.protocol_type.into(),
                state: Some(String::from(group.group_state)).filter(|state| !state.is_empty()),
                group_type: Some(String::from(group.group_type)).filter(|group_type| !group_type.is_empty()),
            })
            .collect();
        listings.sort_by(|a, b| a.group_id.cmp(&b.group_id));
        // A group that moves while the brokers are asked one by one may show up twice.
        listings.dedup_by(|a, b| a.group_id == b.group_id);
        Ok(listings)
    }

    /// What the coordinators know of these groups. A group that does not exist is `Dead`.
    ///
    /// # Errors
    /// Of the call as a whole; each group has its own.
    pub async fn describe_groups(
        &self,
        group_ids: &[&str],
    ) -> Result<Outcomes<String, GroupDescription>, Error> {
        self.for_each_group("describe groups", group_ids, |coordinator, group_id| async move {
            let node = self.known_node(coordinator.id);
            if let Some(group) = consumer_groups::describe(&coordinator, &group_id, node.clone()).await? {
                return Ok(group);
            }
            let groups = vec![group_id.as_str().into()];
            let answer = coordinator
                .node
                .call(|_| DescribeGroupsRequest {
                    groups,
                    ..Default::default()
                })
                .await?;
            let group = first(answer.groups, "DescribeGroups")?;
            let error = ErrorCode::from_i16(group.error_code);
            if error != ErrorCode::None && error != ErrorCode::GroupIdNotFound {
                let action = format!("describe group {group_id}");
                check(action, group.error_code, group.error_message.as_deref())?;
            }
            Ok(description(group, node))
        })
        .await
    }

    /// Deletes groups that have no members.
    ///
    /// # Errors
    /// Of the call as a whole; each group has its own.
    pub async fn delete_groups(&self, group_ids: &[&str]) -> Result<Outcomes<String, ()>, Error> {
        self.for_each_group("delete groups", group_ids, |coordinator, group_id| async move {
            let groups_names = vec![group_id.as_str().into()];
            let answer = coordinator
                .node
                .call(|_| DeleteGroupsRequest {
                    groups_names,
                    ..Default::default()
                })
                .await?;
            let result = first(answer.results, "DeleteGroups")?;
            check(format!("delete group {group_id}"), result.error_code, None)
        })
        .await
    }

    /// The offsets that a group has committed, all or of some partitions. What has none is left out.
    ///
    /// # Errors
    /// Of the call, or of one of the partitions.
    pub async fn list_group_offsets(
        &self,
        group_id: &str,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<BTreeMap<TopicPartition, OffsetAndMetadata>, Error> {
        let action = format!("list the offsets of group {group_id}");
        self.retry(&action, || {
            group_offsets::fetch(&self.cluster, group_id, partitions)
        })
        .await
    }

    /// Commits offsets for a group that has no members.
    ///
    /// # Errors
    /// Of the call as a whole; each partition has its own.
    pub async fn alter_group_offsets(
        &self,
        group_id: &str,
        offsets: &BTreeMap<TopicPartition, OffsetAndMetadata>,
    ) -> Result<Outcomes<TopicPartition, ()>, Error> {
        let nobody = &GroupMetadata {
            group_id: group_id.to_owned(),
            generation_id: -1,
            member_id: String::new(),
            group_instance_id: None,
        };
        self.gather(
            "alter group offsets",
            offsets.keys().cloned(),
            |pending| async move {
                let wanted = pending.into_iter().filter_map(|partition| {
                    let offset = offsets.get(&partition)?.clone();
                    Some((partition, offset))
                });
                group_offsets::commit(&self.cluster, nobody, &wanted.collect()).await
            },
        )
        .await
    }

    /// Forgets offsets of a group; of partitions that none of its members reads.
    ///
    /// # Errors
    /// Of the call as a whole; each partition has its own.
    pub async fn delete_group_offsets(
        &self,
        group_id: &str,
        partitions: &[TopicPartition],
    ) -> Result<Outcomes<TopicPartition, ()>, Error> {
        self.gather(
            "delete group offsets",
            partitions.iter().cloned(),
            |pending| async move {
                let coordinator = self.group_coordinator(group_id).await?;
                let result = delete_offsets(&coordinator, group_id, &pending).await;
                result.inspect_err(|error| coordinator.saw(error))
            },
        )
        .await
    }

    /// Takes members out of a group by their `group.instance.id` (Kafka's `removeMembersFromConsumerGroup`).
    ///
    /// # Errors
    /// Of the call as a whole; each member has its own.
    pub async fn remove_static_members(
        &self,
        group_id: &str,
        group_instance_ids: &[&str],
    ) -> Result<Outcomes<String, ()>, Error> {
        let keys = group_instance_ids.iter().map(|id| (*id).to_owned());
        self.gather("remove members", keys, |instance_ids| async move {
            let coordinator = self.group_coordinator(group_id).await?;
            let result = remove_members(&coordinator, group_id, &instance_ids).await;
            result.inspect_err(|error| coordinator.saw(error))
        })
        .await
    }

    async fn group_coordinator(&self, group_id: &str) -> Result<Coordinator, Error> {
        self.cluster
            .coordinator(CoordinatorKind::Group, group_id, Lane::Coordinator)
            .await
    }

    /// Asks the coordinator of each group.
    async fn for_each_group<T, F>(
        &self,
        action: &str,
        group_ids: &[&str],
        call: impl Fn(Arc<Coordinator>, String) -> F,
    ) -> Result<Outcomes<String, T>, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let call = &call;
        self.gather(
            action,
            group_ids.iter().map(|id| (*id).to_owned()),
            |pending| async move {
                let calls = pending.into_iter().map(|group_id| async move {
                    let result = async {
                        let coordinator = Arc::new(self.group_coordinator(&group_id).await?);
                        call(coordinator.clone(), group_id.clone())
                            .await
                            .inspect_err(|error| coordinator.saw(error))
                    };
                    let result = result.await;
                    (group_id, result)
                });
                Ok(join_all(calls).await)
            },
        )
        .await
    }
}

async fn delete_offsets(
    coordinator: &Coordinator,
    group_id: &str,
    partitions: &[TopicPartition],
) -> Result<Results<TopicPartition, ()>, Error> {
    let mut topics: BTreeMap<&Utf8Bytes, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
    for partition in partitions {
        let partition_index = partition.partition;
        let wanted = OffsetDeleteRequestPartition { partition_index };
        topics.entry(&partition.topic).or_default().push(wanted);
    }
    let topics = topics
        .into_iter()
        .map(|(name, partitions)| OffsetDeleteRequestTopic {
            name: name.clone(),
            partitions,
        })
        .collect();
    let group = group_id.into();
    let answer = coordinator.node.call(|_| OffsetDeleteRequest {
        group_id: group,
        topics,
    });
    let answer = answer.await?;
    check(
        format!("delete offsets of group {group_id}"),
        answer.error_code,
        None,
    )?;
    let mut results = Vec::new();
    for topic in answer.topics {
        for data in topic.partitions {
            let partition = TopicPartition {
                topic: topic.name.detach(),
                partition: data.partition_index,
            };
            let action = format!("delete the offset of {partition} of group {group_id}");
            results.push((partition, check(action, data.error_code, None)));
        }
    }
    Ok(results)
}

async fn remove_members(
    coordinator: &Coordinator,
    group_id: &str,
    instance_ids: &[String],
) -> Result<Results<String, ()>, Error> {
    let members = instance_ids.iter().map(|id| MemberIdentity {
        group_instance_id: Some(id.into()),
        reason: Some("an administrator removes it".into()),
        ..Default::default()
    });
    let (group, members) = (Utf8Bytes::from(group_id), members.collect::<Vec<_>>());
    let answer = coordinator
        .node
        .call(|version| {
            let mut members = members;
            if version < 5 {
                members.iter_mut().for_each(|member| member.reason = None);
            }
            LeaveGroupRequest {
                group_id: group,
                members,
                ..Default::default()
            }
        })
        .await?;
    check(
        format!("remove members of group {group_id}"),
        answer.error_code,
        None,
    )?;
    let results = answer.members.into_iter().map(|member| {
        let id = member.group_instance_id.map(String::from).unwrap_or_default();
        let result = check(
            format!("remove member {id} of group {group_id}"),
            member.error_code,
            None,
        );
        (id, result)
    });
    Ok(results.collect())
}

fn first<T>(items: Vec<T>, action: &str) -> Result<T, Error> {
    items.into_iter().next().ok_or_else(|| Error::InvalidResponse {
        action: action.into(),
        reason: "it does not mention the group".into(),
    })
}

fn description(group: DescribedGroup, coordinator: Option<Node>) -> GroupDescription {
    let missing = ErrorCode::from_i16(group.error_code) == ErrorCode::GroupIdNotFound;
    let of_consumers = group.protocol_type.is_empty() || &*group.protocol_type == "consumer";
    GroupDescription {
        group_id: group.group_id.into(),
        state: if missing {
            "Dead".to_owned()
        } else {
            group.group_state.into()
        },
        protocol_type: group.protocol_type.into(),
        assignor: group.protocol_data.into(),
        coordinator,
        members: group
            .members
            .into_iter()
            .map(|member| member_description(member, of_consumers))
            .collect(),
        group_epoch: None,
        target_assignment_epoch: None,
        error: missing.then_some(ErrorCode::GroupIdNotFound),
    }
}

fn member_description(member: DescribedGroupMember, of_consumers: bool) -> MemberDescription {
    let assignment = if of_consumers {
        assignment(member.member_assignment)
    } else {
        Vec::new()
    };
    MemberDescription {
        member_id: member.member_id.into(),
        group_instance_id: member.group_instance_id.map(String::from),
        client_id: member.client_id.into(),
        client_host: member.client_host.into(),
        assignment,
        member_epoch: None,
        target_assignment: None,
        is_upgraded: None,
    }
}

/// What an assignment says, as far as it can be read: its bytes are the members' own business.
fn assignment(bytes: bytes::Bytes) -> Vec<TopicPartition> {
    let mut reader = Reader::new(bytes);
    let version = reader
        .i16()
        .ok()
        .map(|version| version.min(*ConsumerProtocolAssignment::VERSIONS.end()));
    let assignment =
        version.and_then(|version| ConsumerProtocolAssignment::decode(&mut reader, version).ok());
    let topics = assignment.unwrap_or_default().assigned_partitions.into_iter();
    let mut partitions: Vec<TopicPartition> = topics
        .flat_map(|topic| {
            let name = topic.topic.detach();
            topic.partitions.into_iter().map(move |partition| TopicPartition {
                topic: name.clone(),
                partition,
            })
        })
        .collect();
    partitions.sort_unstable();
    partitions
}
