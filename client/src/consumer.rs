//! Reading records (Kafka's `KafkaConsumer`): of partitions given by [`Consumer::assign`], or of a member's share of a
//! classic group by [`Consumer::subscribe`]. Heartbeats go out in the background; everything else happens inside a poll, so
//! that nothing changes under the caller's feet. A poll that is dropped halfway loses nothing.

mod record;
mod subscription;

use std::{collections::BTreeMap, time::Duration};

use forebay_protocol::TopicPartition;
use forebay_records::{Offset, Timestamp};

pub use record::{ConsumerRecord, FetchedBatch, FetchedRecords, OffsetAndMetadata};
pub use subscription::{GroupMetadata, RebalanceEvent, Subscription};

use crate::{ConsumerConfig, Error, LocalNode, admin::ListedOffset};

/// A consumer. Not for several tasks at once, [`Wakeup`] aside.
#[derive(Debug)]
pub struct Consumer {
    config: ConsumerConfig,
}

/// Ends a poll from another task.
#[derive(Debug, Clone)]
pub struct Wakeup {}

impl Wakeup {
    /// The poll under way, or else the next one, fails with [`Error::Wakeup`].
    pub fn wakeup(&self) {
        crate::arriving_now(self)
    }
}

impl Consumer {
    /// A consumer of nothing yet; must be called inside a tokio runtime.
    pub fn new(config: ConsumerConfig, local: Option<LocalNode>) -> Self {
        let _ = local;
        Self { config }
    }

    /// Reads these partitions from their committed offsets, else as `auto.offset.reset` says. Replaces what was assigned;
    /// a partition that stays keeps its position.
    ///
    /// # Errors
    /// [`Error::IllegalState`] after `subscribe`.
    pub fn assign(&mut self, partitions: impl IntoIterator<Item = TopicPartition>) -> Result<(), Error> {
        crate::arriving_now((self, partitions.into_iter().count()))
    }

    /// Joins the group, with the next polls, and reads what it is given.
    ///
    /// # Errors
    /// [`Error::IllegalState`] without `group.id`, or after `assign`.
    pub fn subscribe(&mut self, subscription: Subscription) -> Result<(), Error> {
        crate::arriving_now((self, subscription))
    }

    /// Leaves the group, or gives up what was assigned.
    pub async fn unsubscribe(&mut self) {
        crate::arriving::<()>(self).await;
    }

    /// The next batches, at least one unless `max_wait` passes or an event or error comes first, and no more than it takes
    /// to reach `max.poll.records`. The positions move behind them. Batches without a record to see (control batches,
    /// aborted transactions with `read_committed`) are left out, though the positions move behind them too.
    ///
    /// # Errors
    /// Of the group, of the offsets, or of a partition; a retry of those that [`Error::is_retriable`] happens by polling
    /// again.
    pub async fn poll_batches(&mut self, max_wait: Duration) -> Result<Vec<FetchedBatch>, Error> {
        crate::arriving((self, max_wait)).await
    }

    /// The next records, at most `max.poll.records`, else as [`Consumer::poll_batches`].
    ///
    /// # Errors
    /// As [`Consumer::poll_batches`], and [`Error::Corrupt`].
    pub async fn poll(&mut self, max_wait: Duration) -> Result<Vec<ConsumerRecord>, Error> {
        crate::arriving((self, max_wait)).await
    }

    /// What has happened to the partitions since the last call, for subscriptions [`Subscription::with_events`].
    pub fn take_events(&mut self) -> Vec<RebalanceEvent> {
        crate::arriving_now(self)
    }

    /// What is assigned, by topic and number.
    pub fn assignment(&self) -> Vec<TopicPartition> {
        crate::arriving_now(self)
    }

    /// Reads on from here.
    ///
    /// # Errors
    /// [`Error::NotAssigned`].
    pub fn seek(&mut self, partition: &TopicPartition, offset: Offset) -> Result<(), Error> {
        crate::arriving_now((self, partition, offset))
    }

    /// Reads on from the first record there is; all assigned partitions if none is named.
    ///
    /// # Errors
    /// [`Error::NotAssigned`].
    pub fn seek_to_beginning(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        crate::arriving_now((self, partitions))
    }

    /// Reads on behind the last record there is; all assigned partitions if none is named.
    ///
    /// # Errors
    /// [`Error::NotAssigned`].
    pub fn seek_to_end(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        crate::arriving_now((self, partitions))
    }

    /// The next offset to read, found out if it is not known yet.
    ///
    /// # Errors
    /// [`Error::NotAssigned`], or of finding it out within `default.api.timeout.ms`.
    pub async fn position(&mut self, partition: &TopicPartition) -> Result<Offset, Error> {
        crate::arriving((self, partition)).await
    }

    /// The positions that are known: what [`Consumer::commit_positions`] would commit.
    pub fn positions(&self) -> BTreeMap<TopicPartition, OffsetAndMetadata> {
        crate::arriving_now(self)
    }

    /// The group's committed offsets of these partitions; those without one are left out.
    ///
    /// # Errors
    /// Of the call, or [`Error::IllegalState`] without `group.id`.
    pub async fn committed(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, OffsetAndMetadata>, Error> {
        crate::arriving((self, partitions)).await
    }

    /// Commits these offsets for the group and waits for it.
    ///
    /// # Errors
    /// Of the call; when the member was replaced, the partitions belong to somebody else.
    pub async fn commit(
        &mut self,
        offsets: &BTreeMap<TopicPartition, OffsetAndMetadata>,
    ) -> Result<(), Error> {
        crate::arriving((self, offsets)).await
    }

    /// Commits all positions and waits for it (Kafka's `commitSync()`).
    ///
    /// # Errors
    /// As [`Consumer::commit`].
    pub async fn commit_positions(&mut self) -> Result<(), Error> {
        crate::arriving(self).await
    }

    /// Fetches these no more until they are resumed.
    ///
    /// # Errors
    /// [`Error::NotAssigned`].
    pub fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        crate::arriving_now((self, partitions))
    }

    /// Fetches these again.
    ///
    /// # Errors
    /// [`Error::NotAssigned`].
    pub fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        crate::arriving_now((self, partitions))
    }

    /// What is paused.
    pub fn paused(&self) -> Vec<TopicPartition> {
        crate::arriving_now(self)
    }

    /// The first offset of each partition.
    ///
    /// # Errors
    /// Of the call.
    pub async fn beginning_offsets(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Offset>, Error> {
        crate::arriving((self, partitions)).await
    }

    /// The offset that the next record of each partition gets; with `read_committed`, the last stable offset.
    ///
    /// # Errors
    /// Of the call.
    pub async fn end_offsets(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Offset>, Error> {
        crate::arriving((self, partitions)).await
    }

    /// The first record of each partition at or after a time.
    ///
    /// # Errors
    /// Of the call.
    pub async fn offsets_for_times(
        &mut self,
        times: &BTreeMap<TopicPartition, Timestamp>,
    ) -> Result<BTreeMap<TopicPartition, ListedOffset>, Error> {
        crate::arriving((self, times)).await
    }

    /// How many partitions a topic has.
    ///
    /// # Errors
    /// If that cannot be found out.
    pub async fn partition_count(&mut self, topic: &str) -> Result<i32, Error> {
        crate::arriving((self, topic)).await
    }

    /// Who it is in its group.
    pub fn group_metadata(&self) -> Option<GroupMetadata> {
        crate::arriving_now(self)
    }

    /// Ends polls from another task.
    pub fn wakeup_handle(&self) -> Wakeup {
        crate::arriving_now(self)
    }

    /// Commits, if `enable.auto.commit` is on, and leaves the group, unless the member is static.
    ///
    /// # Errors
    /// Of the commit; the consumer is closed all the same.
    pub async fn close(self) -> Result<(), Error> {
        crate::arriving(self).await
    }

    /// What it was made from.
    pub fn config(&self) -> &ConsumerConfig {
        &self.config
    }
}
