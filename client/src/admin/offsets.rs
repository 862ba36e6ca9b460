//! Offsets of partitions: list them, and delete the records before one.

use std::collections::BTreeMap;

use forebay_protocol::{
    ErrorCode, NodeId, TopicPartition, Utf8Bytes,
    messages::{
        DeleteRecordsRequest,
        delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic},
    },
};
use forebay_records::Offset;

use super::{Admin, ListedOffset, OffsetSpec, Outcomes};
use crate::{
    cluster::{Lane, Results},
    config::IsolationLevel,
    error::Error,
    offsets::{self, Wanted},
};

impl Admin {
    /// Offsets of partitions, first, last or by time.
    ///
    /// # Errors
    /// Of the call as a whole; each partition has its own.
    pub async fn list_offsets(
        &self,
        partitions: &BTreeMap<TopicPartition, OffsetSpec>,
        isolation_level: IsolationLevel,
    ) -> Result<Outcomes<TopicPartition, ListedOffset>, Error> {
        self.gather("list offsets", partitions.keys().cloned(), |pending| {
            let specs = pending.into_iter().filter_map(|partition| {
                let spec = *partitions.get(&partition)?;
                Some((partition, spec))
            });
            let wanted: Wanted = specs.collect();
            async move { offsets::list(&self.cluster, &wanted, isolation_level).await }
        })
        .await
    }

    /// Deletes the records before an offset of each partition; gives the first offset that is left. `Offset(-1)` means
    /// all there are.
    ///
    /// # Errors
    /// Of the call as a whole; each partition has its own.
    pub async fn delete_records(
        &self,
        before: &BTreeMap<TopicPartition, Offset>,
    ) -> Result<Outcomes<TopicPartition, Offset>, Error> {
        self.gather("delete records", before.keys().cloned(), |pending| async move {
            offsets::at_leaders(
                &self.cluster,
                &pending,
                "delete records",
                |leader, partitions| async move { self.delete_records_at(leader, &partitions, before).await },
            )
            .await
        })
        .await
    }

    async fn delete_records_at(
        &self,
        leader: NodeId,
        partitions: &[TopicPartition],
        before: &BTreeMap<TopicPartition, Offset>,
    ) -> Result<Results<TopicPartition, Offset>, Error> {
        let node = self.cluster.node(leader, Lane::Main).await?;
        let mut topics: BTreeMap<&Utf8Bytes, Vec<DeleteRecordsPartition>> = BTreeMap::new();
        for partition in partitions {
            topics
                .entry(&partition.topic)
                .or_default()
                .push(DeleteRecordsPartition {
                    partition_index: partition.partition,
                    offset: before.get(partition).map_or(-1, |offset| offset.0),
                    ..Default::default()
                });
        }
        let topics = topics.into_iter().map(|(name, partitions)| DeleteRecordsTopic {
            name: name.clone(),
            partitions,
            ..Default::default()
        });
        let (topics, timeout_ms) = (topics.collect(), self.timeout_ms());
        let answer = node
            .call(|_| DeleteRecordsRequest {
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
                    ErrorCode::None => Ok(Offset(data.low_watermark)),
                    code => Err(Error::broker(format!("delete records of {partition}"), code)),
                };
                results.push((partition, result));
            }
        }
        Ok(results)
    }
}
