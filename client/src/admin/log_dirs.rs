//! Where brokers keep their logs, and how large they are.

use std::collections::BTreeMap;

use forebay_protocol::{NodeId, TopicPartition, messages::DescribeLogDirsRequest};

use super::{Admin, Outcomes, check};
use crate::error::Error;

/// A log directory (Kafka's `LogDirDescription`).
#[derive(Debug, Clone)]
pub struct LogDirDescription {
    /// Why it is offline.
    pub error: Option<Error>,
    /// The replicas in it.
    pub replicas: BTreeMap<TopicPartition, ReplicaInfo>,
    /// Size of the volume it is on, if the broker says it.
    pub total_bytes: Option<i64>,
    /// What is free there.
    pub usable_bytes: Option<i64>,
}

/// A replica in a log directory (Kafka's `ReplicaInfo`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicaInfo {
    /// Bytes of its segments.
    pub size_bytes: i64,
    /// How far its end is behind the high watermark, or, where it is being moved, behind the replica it replaces.
    pub offset_lag: i64,
    /// Whether it is being moved here.
    pub is_future: bool,
}

impl Admin {
    /// The log directories of brokers, by their paths.
    ///
    /// # Errors
    /// Of the call as a whole; each broker has its own.
    pub async fn describe_log_dirs(
        &self,
        brokers: &[NodeId],
    ) -> Result<Outcomes<NodeId, BTreeMap<String, LogDirDescription>>, Error> {
        self.gather(
            "describe log dirs",
            brokers.iter().copied(),
            |pending| async move {
                let calls = pending
                    .into_iter()
                    .map(|id| async move { (id, self.describe_log_dirs_of(id).await) });
                Ok(futures_util::future::join_all(calls).await)
            },
        )
        .await
    }

    async fn describe_log_dirs_of(&self, id: NodeId) -> Result<BTreeMap<String, LogDirDescription>, Error> {
        let action = format!("describe the log dirs of broker {id}");
        let node = self.broker(id).await?;
        let answer = node
            .call(|_| DescribeLogDirsRequest {
                topics: None,
                ..Default::default()
            })
            .await?;
        check(action.as_str(), answer.error_code, None)?;
        let directories = answer.results.into_iter().map(|result| {
            let replicas = result.topics.into_iter().flat_map(|topic| {
                let name = topic.name.detach();
                topic.partitions.into_iter().map(move |partition| {
                    let key = TopicPartition {
                        topic: name.clone(),
                        partition: partition.partition_index,
                    };
                    let replica = ReplicaInfo {
                        size_bytes: partition.partition_size,
                        offset_lag: partition.offset_lag,
                        is_future: partition.is_future_key,
                    };
                    (key, replica)
                })
            });
            let described = LogDirDescription {
                error: check(action.as_str(), result.error_code, None).err(),
                replicas: replicas.collect(),
                total_bytes: Some(result.total_bytes).filter(|bytes| *bytes >= 0),
                usable_bytes: Some(result.usable_bytes).filter(|bytes| *bytes >= 0),
            };
            (String::from(result.log_dir), described)
        });
        Ok(directories.collect())
    }
}
