//! Offsets of partitions, asked of their leaders (ListOffsets).

use std::collections::BTreeMap;
use std::future::Future;

use forebay_protocol::{
    ErrorCode, NodeId, TopicPartition, Utf8Bytes,
    messages::{
        ListOffsetsRequest,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
    },
};
use forebay_records::{LeaderEpoch, Offset, Timestamp};
use futures_util::future::join_all;

use crate::{
    admin::{ListedOffset, OffsetSpec},
    cluster::{Cluster, Lane, Results},
    config::IsolationLevel,
    error::Error,
};

/// Partitions and what is asked of each.
pub(crate) type Wanted = BTreeMap<TopicPartition, OffsetSpec>;

impl OffsetSpec {
    /// What stands for it in the field of the timestamp.
    fn code(self) -> i64 {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
            Self::MaxTimestamp => -3,
            Self::EarliestLocal => -4,
            Self::LatestTiered => -5,
            Self::EarliestPendingUpload => -6,
            Self::Timestamp(timestamp) => timestamp.0,
        }
    }
}

/// Partitions by their leaders.
type ByLeader = BTreeMap<NodeId, Vec<TopicPartition>>;

/// The leaders of partitions; those that have none get the error of their topic.
pub(crate) fn by_leader<'a>(
    cluster: &Cluster,
    partitions: impl IntoIterator<Item = &'a TopicPartition>,
    action: &str,
) -> (ByLeader, Vec<(TopicPartition, Error)>) {
    let snapshot = cluster.snapshot();
    let mut leaders: BTreeMap<NodeId, Vec<TopicPartition>> = BTreeMap::new();
    let mut without = Vec::new();
    for partition in partitions {
        if let Some(leader) = snapshot.leader(partition) {
            leaders.entry(leader).or_default().push(partition.clone());
            continue;
        }
        let code = match snapshot.topics.get(&partition.topic) {
            Some(topic) if topic.error != ErrorCode::None => topic.error,
            Some(topic)
                if usize::try_from(partition.partition).is_ok_and(|index| index < topic.partitions.len()) =>
            {
                ErrorCode::LeaderNotAvailable
            }
            _ => ErrorCode::UnknownTopicOrPartition,
        };
        without.push((
            partition.clone(),
            Error::broker(format!("{action} of {partition}"), code),
        ));
    }
    (leaders, without)
}

/// Asks for topics whose metadata is not known yet.
pub(crate) async fn ensure_known<'a>(
    cluster: &Cluster,
    partitions: impl IntoIterator<Item = &'a TopicPartition>,
) -> Result<(), Error> {
    let snapshot = cluster.snapshot();
    let unknown: Vec<&str> = partitions
        .into_iter()
        .map(|partition| &*partition.topic)
        .filter(|topic| !snapshot.topics.contains_key(*topic))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    cluster.want(unknown);
    cluster.refresh(snapshot.version).await.map(|_| ())
}

/// One attempt at something of each partition: asks the leaders, all at once. What has no leader fails by itself, and so do the
/// partitions of a leader that cannot be asked.
pub(crate) async fn at_leaders<T, F>(
    cluster: &Cluster,
    partitions: impl IntoIterator<Item = &TopicPartition> + Clone,
    action: &str,
    call: impl Fn(NodeId, Vec<TopicPartition>) -> F,
) -> Result<Results<TopicPartition, T>, Error>
where
    F: Future<Output = Result<Results<TopicPartition, T>, Error>>,
{
    ensure_known(cluster, partitions.clone()).await?;
    let (leaders, without) = by_leader(cluster, partitions, action);
    let without = without.into_iter();
    let mut results: Results<_, _> = without
        .map(|(partition, error)| (partition, Err(error)))
        .collect();
    results.extend(at_brokers(leaders, call).await);
    Ok(results)
}

/// As [`at_leaders`], of brokers that are known.
pub(crate) async fn at_brokers<T, F>(
    by_broker: ByLeader,
    call: impl Fn(NodeId, Vec<TopicPartition>) -> F,
) -> Results<TopicPartition, T>
where
    F: Future<Output = Result<Results<TopicPartition, T>, Error>>,
{
    let calls = by_broker.into_iter().map(|(broker, partitions)| {
        let asked = call(broker, partitions.clone());
        async move {
            asked.await.unwrap_or_else(|error| {
                let failed = partitions.into_iter();
                failed.map(|partition| (partition, Err(error.clone()))).collect()
            })
        }
    });
    join_all(calls).await.into_iter().flatten().collect()
}

/// One attempt at all of them.
pub(crate) async fn list(
    cluster: &Cluster,
    wanted: &Wanted,
    isolation_level: IsolationLevel,
) -> Result<Results<TopicPartition, ListedOffset>, Error> {
    at_leaders(cluster, wanted.keys(), "list offsets", |leader, partitions| async move {
        call(cluster, leader, &partitions, (wanted, isolation_level)).await
    })
    .await
}

async fn call(
    cluster: &Cluster,
    leader: NodeId,
    partitions: &[TopicPartition],
    (wanted, isolation_level): (&Wanted, IsolationLevel),
) -> Result<Results<TopicPartition, ListedOffset>, Error> {
    let snapshot = cluster.snapshot();
    let node = cluster.node(leader, Lane::Main).await?;
    let mut topics: BTreeMap<&Utf8Bytes, Vec<ListOffsetsPartition>> = BTreeMap::new();
    for partition in partitions {
        let known = snapshot.partition(&partition.topic, partition.partition);
        topics
            .entry(&partition.topic)
            .or_default()
            .push(ListOffsetsPartition {
                partition_index: partition.partition,
                current_leader_epoch: known
                    .and_then(|known| known.leader_epoch)
                    .map_or(-1, |epoch| epoch.0),
                timestamp: wanted.get(partition).map_or(-1, |spec| spec.code()),
                ..Default::default()
            });
    }
    let topics = topics.into_iter().map(|(name, partitions)| ListOffsetsTopic {
        name: name.clone(),
        partitions,
        ..Default::default()
    });
    let topics = topics.collect();
    let timeout_ms = cluster
        .config()
        .request_timeout
        .as_millis()
        .try_into()
        .unwrap_or(i32::MAX);
    let answer = node
        .call(|_| ListOffsetsRequest {
            replica_id: -1,
            isolation_level: isolation_level.code(),
            topics,
            timeout_ms,
            ..Default::default()
        })
        .await?;
    let mut results = Vec::new();
    for topic in answer.topics {
        for data in topic.partitions {
            let partition = TopicPartition {
                topic: topic.name.detach(),
                partition: data.partition_index,
            };
            let result = match ErrorCode::from_i16(data.error_code) {
                ErrorCode::None => Ok(ListedOffset {
                    offset: Some(Offset(data.offset)).filter(|offset| offset.0 >= 0),
                    timestamp: Some(Timestamp(data.timestamp)).filter(|timestamp| timestamp.0 >= 0),
                    leader_epoch: Some(LeaderEpoch(data.leader_epoch)).filter(|epoch| epoch.0 >= 0),
                }),
                code => Err(Error::broker(format!("list offsets of {partition}"), code)),
            };
            results.push((partition, result));
        }
    }
    Ok(results)
}
