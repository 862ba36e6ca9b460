//! What a consumer can be asked beside its records: positions, committed offsets, ends, offsets by time.

use std::collections::BTreeMap;

use forebay_protocol::{ErrorCode, TopicPartition, Uuid};
use forebay_records::{Offset, Timestamp};
use tokio::time::Instant;

use super::{Consumer, OffsetAndMetadata};
use crate::{
    admin::{ListedOffset, OffsetSpec},
    cluster::{Attempts, gather, retry},
    error::Error,
    group_offsets,
    offsets::{self, Wanted},
};

impl Consumer {
    /// The next offset to read, found out if it is not known yet.
    ///
    /// # Errors
    /// [`Error::NotAssigned`], or of finding it out within `default.api.timeout.ms`.
    pub async fn position(&mut self, partition: &TopicPartition) -> Result<Offset, Error> {
        let after = self.config.client.default_api_timeout;
        let deadline = Instant::now() + after;
        loop {
            self.pick_up();
            self.check_wakeup()?;
            if let Some(offset) = self.assigned(partition)?.offset() {
                return Ok(offset);
            }
            self.note_unreadable();
            if let Some(error) = self.errors.pop_front() {
                return Err(error);
            }
            let now = Instant::now();
            if now >= deadline {
                let action = format!("find out the position in {partition}").into();
                return Err(Error::Timeout {
                    action,
                    after,
                    last: None,
                });
            }
            let mut next = Some(deadline);
            self.locate(now, &mut next);
            self.refresh(now, &mut next);
            self.wait(next).await;
        }
    }

    /// The group's committed offsets of these partitions; those without one are left out.
    ///
    /// # Errors
    /// Of the call, or [`Error::IllegalState`] without `group.id`.
    pub async fn committed(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, OffsetAndMetadata>, Error> {
        let group_id = self.check_group("fetch committed offsets")?;
        let action = format!("fetch the offsets of group {group_id}");
        let fetch = || group_offsets::fetch(&self.cluster, group_id, Some(partitions));
        retry(&self.cluster, self.attempts(&action), fetch).await
    }

    /// The first offset of each partition.
    ///
    /// # Errors
    /// Of the call.
    pub async fn beginning_offsets(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Offset>, Error> {
        self.end_of(partitions, OffsetSpec::Earliest).await
    }

    /// The offset that the next record of each partition gets; with `read_committed`, the last stable offset.
    ///
    /// # Errors
    /// Of the call.
    pub async fn end_offsets(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Offset>, Error> {
        self.end_of(partitions, OffsetSpec::Latest).await
    }

    async fn end_of(
        &self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
    ) -> Result<BTreeMap<TopicPartition, Offset>, Error> {
        let wanted = partitions
            .iter()
            .map(|partition| (partition.clone(), spec))
            .collect();
        let listed = self.list_offsets(wanted).await?;
        Ok(listed
            .into_iter()
            .filter_map(|(partition, listed)| Some((partition, listed.offset?)))
            .collect())
    }

    /// The first record of each partition at or after a time.
    ///
    /// # Errors
    /// Of the call.
    pub async fn offsets_for_times(
        &mut self,
        times: &BTreeMap<TopicPartition, Timestamp>,
    ) -> Result<BTreeMap<TopicPartition, ListedOffset>, Error> {
        let spec = |time: &Timestamp| OffsetSpec::Timestamp(*time);
        self.list_offsets(
            times
                .iter()
                .map(|(partition, time)| (partition.clone(), spec(time)))
                .collect(),
        )
        .await
    }

    async fn list_offsets(&self, wanted: Wanted) -> Result<BTreeMap<TopicPartition, ListedOffset>, Error> {
        let keys: Vec<TopicPartition> = wanted.keys().cloned().collect();
        let wanted = &wanted;
        let outcome = gather(&self.cluster, self.attempts("list offsets"), keys, |pending| {
            let specs = pending.into_iter().filter_map(|partition| {
                let spec = *wanted.get(&partition)?;
                Some((partition, spec))
            });
            let specs: Wanted = specs.collect();
            async move { offsets::list(&self.cluster, &specs, self.config.isolation_level).await }
        });
        outcome
            .await?
            .into_iter()
            .map(|(partition, result)| Ok((partition, result?)))
            .collect()
    }

    /// The ids that topics which this consumer reads have now, as far as the cluster gives them any. It is asked anew.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub async fn topic_ids(&mut self, topics: &[&str]) -> Result<BTreeMap<String, Uuid>, Error> {
        let find = || async {
            let known = self.cluster.snapshot().version;
            let snapshot = self.cluster.refresh(known).await?;
            let id = |topic: &&str| Some(((*topic).to_owned(), snapshot.topics.get(*topic)?.id));
            let ids = topics.iter().filter_map(id);
            Ok(ids.filter(|(_, id)| *id != Uuid::ZERO).collect())
        };
        retry(&self.cluster, self.attempts("find the ids of topics"), find).await
    }

    /// Whether the partition is there, as far as is known now. Asks nobody.
    pub fn knows(&self, partition: &TopicPartition) -> bool {
        let snapshot = self.cluster.snapshot();
        snapshot
            .partition(&partition.topic, partition.partition)
            .is_some()
    }

    /// How many partitions a topic has.
    ///
    /// # Errors
    /// If that cannot be found out.
    pub async fn partition_count(&mut self, topic: &str) -> Result<i32, Error> {
        let action = format!("find topic {topic}");
        self.cluster.want([topic]);
        let find = || async {
            let mut snapshot = self.cluster.snapshot();
            if snapshot
                .topics
                .get(topic)
                .is_none_or(|topic| topic.error != ErrorCode::None)
            {
                snapshot = self.cluster.refresh(snapshot.version).await?;
            }
            match snapshot.topics.get(topic) {
                Some(found) if found.error == ErrorCode::None => {
                    Ok(i32::try_from(found.partitions.len()).unwrap_or(i32::MAX))
                }
                Some(found) => Err(Error::broker(action.as_str(), found.error)),
                None => Err(Error::broker(action.as_str(), ErrorCode::UnknownTopicOrPartition)),
            }
        };
        retry(&self.cluster, self.attempts(&action), find).await
    }

    fn attempts<'a>(&self, action: &'a str) -> Attempts<'a> {
        Attempts {
            action,
            within: self.config.client.default_api_timeout,
            retries: u32::MAX,
        }
    }
}
