//! The offsets that a group has committed, at its coordinator (OffsetFetch, OffsetCommit).

use std::collections::BTreeMap;

use forebay_protocol::{
    ErrorCode, TopicPartition, Utf8Bytes,
    messages::{
        OffsetCommitRequest, OffsetFetchRequest, OffsetFetchResponse,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics},
    },
};
use forebay_records::{LeaderEpoch, Offset};

use crate::{
    cluster::{Cluster, CoordinatorKind, Lane, Results},
    consumer::{GroupMetadata, OffsetAndMetadata},
    error::Error,
};

/// From version 10 on topics go by their ids; names serve as well, and need no metadata.
const NAMES_VERSION_MAX: i16 = 9;

/// The first version that asks for several groups.
const GROUPS_VERSION: i16 = 8;

pub(crate) type Offsets = BTreeMap<TopicPartition, OffsetAndMetadata>;

pub(crate) fn by_topic<'a>(
    partitions: impl IntoIterator<Item = &'a TopicPartition>,
) -> BTreeMap<&'a Utf8Bytes, Vec<i32>> {
    let mut topics: BTreeMap<&Utf8Bytes, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        topics
            .entry(&partition.topic)
            .or_default()
            .push(partition.partition);
    }
    topics
}

/// One attempt to fetch the offsets of these partitions, or of all that have one. Waits for offsets of transactions that are
/// still open (`require_stable`), as Kafka's consumer does.
pub(crate) async fn fetch(
    cluster: &Cluster,
    group: &str,
    partitions: Option<&[TopicPartition]>,
) -> Result<Offsets, Error> {
    let coordinator = cluster
        .coordinator(CoordinatorKind::Group, group, Lane::Coordinator)
        .await?;
    let node = &coordinator.node;
    let version = node.version::<OffsetFetchRequest>(NAMES_VERSION_MAX)?;
    let request = request(group, partitions, version);
    let answer = node
        .start(version, request, cluster.config().request_timeout)
        .await;
    let result = answer.and_then(|answer| read(group, answer));
    result.inspect_err(|error| coordinator.saw(error))
}

fn request(group: &str, partitions: Option<&[TopicPartition]>, version: i16) -> OffsetFetchRequest {
    let topics = partitions.map(by_topic);
    let require_stable = version >= 7;
    if version < GROUPS_VERSION {
        let topics = topics.map(|topics| {
            let topic = |(name, partition_indexes): (&Utf8Bytes, _)| OffsetFetchRequestTopic {
                name: name.clone(),
                partition_indexes,
                ..Default::default()
            };
            topics.into_iter().map(topic).collect()
        });
        return OffsetFetchRequest {
            group_id: group.into(),
            topics,
            require_stable,
            ..Default::default()
        };
    }
    let topics = topics.map(|topics| {
        let topic = |(name, partition_indexes): (&Utf8Bytes, _)| OffsetFetchRequestTopics {
            name: name.clone(),
            partition_indexes,
            ..Default::default()
        };
        topics.into_iter().map(topic).collect()
    });
    let groups = vec![OffsetFetchRequestGroup {
        group_id: group.into(),
        topics,
        ..Default::default()
    }];
    OffsetFetchRequest {
        groups,
        require_stable,
        ..Default::default()
    }
}

fn read(group: &str, answer: OffsetFetchResponse) -> Result<Offsets, Error> {
    let action = || format!("fetch the offsets of group {group}");
    let check = |code: i16, what: String| match ErrorCode::from_i16(code) {
        ErrorCode::None => Ok(()),
        code => Err(Error::broker(what, code)),
    };
    check(answer.error_code, action())?;
    let mut offsets = Offsets::new();
    let mut take =
        |topic: &Utf8Bytes, partition: i32, (offset, epoch, metadata): (i64, i32, Option<Utf8Bytes>)| {
            if offset >= 0 {
                let leader_epoch = (epoch >= 0).then_some(LeaderEpoch(epoch));
                let metadata = metadata.map(String::from).unwrap_or_default();
                let value = OffsetAndMetadata {
                    offset: Offset(offset),
                    leader_epoch,
                    metadata,
                };
                offsets.insert(
                    TopicPartition {
                        topic: topic.detach(),
                        partition,
                    },
                    value,
                );
            }
        };
    for topic in answer.topics {
        for data in topic.partitions {
            check(
                data.error_code,
                format!("{}, {}-{}", action(), topic.name, data.partition_index),
            )?;
            let value = (data.committed_offset, data.committed_leader_epoch, data.metadata);
            take(&topic.name, data.partition_index, value);
        }
    }
    for answer in answer.groups {
        check(answer.error_code, action())?;
        for topic in answer.topics {
            for data in topic.partitions {
                check(
                    data.error_code,
                    format!("{}, {}-{}", action(), topic.name, data.partition_index),
                )?;
                let value = (data.committed_offset, data.committed_leader_epoch, data.metadata);
                take(&topic.name, data.partition_index, value);
            }
        }
    }
    Ok(offsets)
}

/// One attempt to commit offsets for a member, or for a group without members (a generation of -1).
pub(crate) async fn commit(
    cluster: &Cluster,
    member: &GroupMetadata,
    offsets: &Offsets,
) -> Result<Results<TopicPartition, ()>, Error> {
    let group = &member.group_id;
    let coordinator = cluster
        .coordinator(CoordinatorKind::Group, group, Lane::Coordinator)
        .await?;
    let node = &coordinator.node;
    let version = node.version::<OffsetCommitRequest>(NAMES_VERSION_MAX)?;
    let answer = node
        .start(
            version,
            commit_request(member, offsets),
            cluster.config().request_timeout,
        )
        .await;
    let answer = answer.inspect_err(|error| coordinator.saw(error))?;
    let mut results = Vec::new();
    for topic in answer.topics {
        for data in topic.partitions {
            let partition = TopicPartition {
                topic: topic.name.detach(),
                partition: data.partition_index,
            };
            let result = match ErrorCode::from_i16(data.error_code) {
                ErrorCode::None => Ok(()),
                code => Err(Error::broker(
                    format!("commit the offset of {partition} for group {group}"),
                    code,
                )),
            };
            if let Err(error) = &result {
                coordinator.saw(error);
            }
            results.push((partition, result));
        }
    }
    Ok(results)
}

fn commit_request(member: &GroupMetadata, offsets: &Offsets) -> OffsetCommitRequest {
    let mut topics: BTreeMap<&Utf8Bytes, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
    for (partition, value) in offsets {
        topics
            .entry(&partition.topic)
            .or_default()
            .push(OffsetCommitRequestPartition {
                partition_index: partition.partition,
                committed_offset: value.offset.0,
                committed_leader_epoch: value.leader_epoch.map_or(-1, |epoch| epoch.0),
                committed_metadata: Some(value.metadata.as_str().into()),
                ..Default::default()
            });
    }
    let topics = topics
        .into_iter()
        .map(|(name, partitions)| OffsetCommitRequestTopic {
            name: name.clone(),
            partitions,
            ..Default::default()
        });
    OffsetCommitRequest {
        group_id: member.group_id.as_str().into(),
        generation_id_or_member_epoch: member.generation_id,
        member_id: member.member_id.as_str().into(),
        group_instance_id: member.group_instance_id.as_deref().map(Utf8Bytes::from),
        topics: topics.collect(),
        ..Default::default()
    }
}
