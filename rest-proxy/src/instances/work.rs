//! What an instance does: it fetches, shows, and commits how far its reader came.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use forebay_client::Consumer;
use forebay_client::consumer::{ConsumerRecord, OffsetAndMetadata, RebalanceEvent, Subscription};
use forebay_protocol::TopicPartition;
use forebay_records::Offset;
use tokio::time::Instant;

use crate::error::Error;

/// How often offsets are committed where `auto.commit.enable` is on: Kafka's `auto.commit.interval.ms`.
const AUTO_COMMIT_INTERVAL: Duration = Duration::from_secs(5);

/// What a reader asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadLimits {
    pub(crate) timeout: Duration,
    pub(crate) bytes_max: u64,
    pub(crate) bytes_min: u64,
}

/// What only one request at a time may touch.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) consumer: Consumer,
    pub(crate) topics: Vec<String>,
    fetched: VecDeque<ConsumerRecord>,
    /// The next offset after the records that were given to the reader: what a commit without offsets commits.
    given: BTreeMap<TopicPartition, Offset>,
    /// Where partitions that are about to be given up go on for the reader: to be committed before the next poll.
    parting: BTreeMap<TopicPartition, OffsetAndMetadata>,
    last_commit: Instant,
    /// `auto.commit.enable`: also before partitions are given up, whatever takes them away.
    auto_commit: bool,
}

impl Work {
    pub(super) fn new(consumer: Consumer, auto_commit: bool) -> Self {
        Self {
            consumer,
            topics: Vec::new(),
            fetched: VecDeque::new(),
            given: BTreeMap::new(),
            parting: BTreeMap::new(),
            last_commit: Instant::now(),
            auto_commit,
        }
    }

    /// Reads these topics from now on, as a member of the group.
    pub(crate) async fn subscribe(&mut self, topics: Vec<String>) -> Result<(), Error> {
        let subscription = Subscription::topics(topics.iter().cloned()).with_events();
        self.auto_commit().await;
        self.consumer
            .subscribe(subscription)
            .map_err(|_| Error::SubscriptionConflict)?;
        self.forget_all()?;
        self.topics = topics;
        Ok(())
    }

    /// Reads these partitions from now on.
    pub(crate) async fn assign(&mut self, partitions: Vec<TopicPartition>) -> Result<(), Error> {
        self.auto_commit().await;
        self.consumer
            .assign(partitions)
            .map_err(|_| Error::SubscriptionConflict)?;
        self.forget_all()
    }

    /// Reads nothing from now on.
    pub(crate) async fn unsubscribe(&mut self) -> Result<(), Error> {
        self.auto_commit().await;
        self.consumer.unsubscribe().await;
        self.forget_all()?;
        self.topics.clear();
        Ok(())
    }

    /// Moves these partitions, all if none is named, to where `seek` does.
    pub(crate) fn seek_to(
        &mut self,
        partitions: &[TopicPartition],
        seek: impl FnOnce(&mut Consumer, &[TopicPartition]) -> Result<(), forebay_client::Error>,
    ) -> Result<(), Error> {
        seek(&mut self.consumer, partitions)?;
        if partitions.is_empty() {
            self.forget(&self.consumer.assignment());
        } else {
            self.forget(partitions);
        }
        Ok(())
    }

    /// Waits for records and says how many may be given now: as many as are there in time, at most `bytes_max` but always
    /// one if there is one. They stay here until [`Work::give`].
    pub(crate) async fn fill(&mut self, limits: ReadLimits) -> Result<usize, Error> {
        let deadline = Instant::now() + limits.timeout;
        loop {
            self.part().await;
            let (count, bytes) = self.measure(limits.bytes_max);
            let left = deadline.saturating_duration_since(Instant::now());
            let enough = count > 0 && (bytes >= limits.bytes_min || count < self.fetched.len());
            if enough || left.is_zero() {
                return Ok(count);
            }
            match self.consumer.poll(left).await {
                Ok(polled) => self.fetched.extend(polled),
                Err(error) if error.is_retriable() => {
                    tracing::debug!(%error, "a consumer instance polls again");
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// How many records, and of how many bytes, fit into `bytes_max`.
    fn measure(&self, bytes_max: u64) -> (usize, u64) {
        let length = |part: Option<&[u8]>| part.map_or(0, |part| part.len() as u64);
        let (mut count, mut bytes) = (0, 0);
        for ConsumerRecord { record, .. } in &self.fetched {
            let size = length(record.key.as_deref()) + length(record.value.as_deref());
            if count > 0 && bytes + size > bytes_max {
                break;
            }
            count += 1;
            bytes += size;
        }
        (count, bytes)
    }

    /// The records that [`Work::fill`] counted.
    pub(crate) fn fetched(&self, count: usize) -> impl Iterator<Item = &ConsumerRecord> {
        self.fetched.iter().take(count)
    }

    /// The first `count` records are shown to the reader now: they are not shown again, and may be committed from the next
    /// read on. A commit that fails here is tried again by the next read, and takes nothing from this one.
    pub(crate) async fn give(&mut self, count: usize) {
        if self.last_commit.elapsed() >= AUTO_COMMIT_INTERVAL {
            self.auto_commit().await;
        }
        for record in self.fetched.drain(..count) {
            self.given
                .insert(record.topic_partition(), Offset(record.record.offset.0 + 1));
        }
    }

    /// What the last poll said of partitions that are given up takes effect: their records are not given any more, and how
    /// far the reader came is committed. That is allowed until the next poll, which gives them up; so this comes before it,
    /// also if a reader that went away ended the first attempt.
    async fn part(&mut self) {
        for event in self.consumer.take_events() {
            let (partitions, lost) = match event {
                RebalanceEvent::Revoked(partitions) => (partitions, false),
                RebalanceEvent::Lost(partitions) => (partitions, true),
                RebalanceEvent::Assigned(_) => continue,
            };
            let mut shown = self.shown();
            shown.retain(|partition, _| partitions.contains(partition));
            if self.auto_commit && !lost {
                self.parting.append(&mut shown);
            }
            self.forget(&partitions);
        }
        if self.parting.is_empty() {
            return;
        }
        if let Err(error) = self.consumer.commit(&self.parting).await {
            tracing::warn!(%error, "offsets of a consumer instance could not be committed before a rebalance");
        }
        self.parting.clear();
    }

    /// Where the assigned partitions go on for the reader: with the first record that was not given.
    fn shown(&self) -> BTreeMap<TopicPartition, OffsetAndMetadata> {
        let mut shown = self.consumer.positions();
        for record in self.fetched.iter().rev() {
            if let Some(offset) = shown.get_mut(&record.topic_partition()) {
                *offset = record.record.offset.into();
            }
        }
        shown
    }

    /// Commits how far the reader came, if that is to happen by itself. As Kafka's consumer does, of all its partitions: one of
    /// which nothing has come yet begins there the next time, and not at what is the end by then.
    pub(super) async fn auto_commit(&mut self) {
        self.part().await;
        let shown = self.shown();
        self.last_commit = Instant::now();
        if self.auto_commit
            && !shown.is_empty()
            && let Err(error) = self.consumer.commit(&shown).await
        {
            tracing::warn!(%error, "offsets of a consumer instance could not be committed");
        }
    }

    /// Forgets what was fetched of these partitions: their position moves.
    pub(crate) fn forget(&mut self, partitions: &[TopicPartition]) {
        self.fetched
            .retain(|record| !partitions.contains(&record.topic_partition()));
        self.given.retain(|partition, _| !partitions.contains(partition));
    }

    /// Forgets everything: the subscription changes. Partitions that stay go on with the first record that was not given.
    pub(crate) fn forget_all(&mut self) -> Result<(), Error> {
        let assigned = self.consumer.assignment();
        let mut seen = std::collections::BTreeSet::new();
        for record in std::mem::take(&mut self.fetched) {
            let partition = record.topic_partition();
            if assigned.contains(&partition) && seen.insert(partition.clone()) {
                self.consumer.seek(&partition, record.record.offset)?;
            }
        }
        self.given.clear();
        Ok(())
    }

    /// Commits what was given so far.
    pub(crate) async fn commit_given(&mut self) -> Result<(), Error> {
        let offsets = self
            .given
            .iter()
            .map(|(partition, offset)| (partition.clone(), OffsetAndMetadata::from(*offset)));
        let offsets: BTreeMap<_, _> = offsets.collect();
        self.last_commit = Instant::now();
        if !offsets.is_empty() {
            self.consumer.commit(&offsets).await?;
        }
        Ok(())
    }
}
