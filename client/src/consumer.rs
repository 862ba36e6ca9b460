//! Reading records (Kafka's `KafkaConsumer`): of partitions given by [`Consumer::assign`], or of a member's share of a
//! classic group by [`Consumer::subscribe`]. Heartbeats go out in the background; everything else takes effect inside a poll,
//! so that nothing changes under the caller's feet. A poll that is dropped halfway loses nothing.

mod buffer;
mod commit;
mod fetch;
mod group;
mod locate;
mod partition;
mod queries;
mod rebalance;
mod record;
mod subscription;
mod take;
mod tasks;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use forebay_protocol::{NodeId, TopicPartition};
use forebay_records::Offset;
use futures_util::stream::FuturesUnordered;
use tokio::{task::JoinHandle, time::Instant};

pub use record::{ConsumerRecord, FetchedBatch, FetchedRecords, OffsetAndMetadata};
pub use subscription::{GroupMetadata, RebalanceEvent, Subscription};
pub use tasks::Wakeup;

use crate::{
    ClientConfig, ConsumerConfig, Error, LocalNode,
    admin::OffsetSpec,
    chore::{Chore, LONGEST},
    cluster::{Cluster, Creates},
};
use group::{AssignedFrom, Group};
use partition::{Partition, Position};
use rebalance::Phase;
use subscription::Topics;
use tasks::{Event, WakeupState};

/// A consumer. Not for several tasks at once, [`Wakeup`] aside.
pub struct Consumer {
    config: Arc<ConsumerConfig>,
    cluster: Cluster,
    partitions: BTreeMap<TopicPartition, Partition>,
    /// What runs beside the polls; each poll picks up what has ended.
    tasks: FuturesUnordered<JoinHandle<Event>>,
    /// Errors that the next poll tells.
    errors: VecDeque<Error>,
    wakeup: Arc<WakeupState>,
    fetching_from: HashSet<NodeId>,
    /// How often it was asked where partitions begin.
    inquiries: u64,
    /// Moves on with each fetch and poll, so that no partition is always the first.
    turn: usize,
    metadata: Chore,
    metadata_wanted: bool,
    /// How many refreshes in a row have not brought what is to be read.
    missing_for: u32,
    // Of the group:
    subscription: Option<Subscription>,
    group: Option<Group>,
    phase: Phase,
    join: Chore,
    /// With a pattern: the moment of the cluster at which it showed that the member has to join.
    join_after: Option<u64>,
    joined_topics: Option<Vec<String>>,
    assigned_from: Option<AssignedFrom>,
    /// What was assigned last, for assignors that members tell it although they have given it up.
    last_owned: Vec<TopicPartition>,
    noticed_version: u64,
    /// The moment of the cluster whose unreadable topic has been told.
    told_version: u64,
    events: Vec<RebalanceEvent>,
    /// An event has come up that no poll has returned for yet.
    untold: bool,
    auto_commit_at: Instant,
    auto_committing: bool,
}

impl Consumer {
    /// A consumer of nothing yet; must be called inside a tokio runtime.
    pub fn new(config: ConsumerConfig, local: Option<LocalNode>) -> Self {
        let cluster = Cluster::new(Self::client_config(&config), local, Self::creates(&config));
        Self::with_cluster(config, cluster)
    }

    /// What its connections are made from.
    pub(crate) fn client_config(config: &ConsumerConfig) -> ClientConfig {
        let kind = config
            .group_id
            .as_ref()
            .map_or_else(|| "consumer".to_owned(), |group| format!("consumer-{group}"));
        config.client.clone().named(&kind)
    }

    /// Which topics it has the broker create.
    pub(crate) fn creates(config: &ConsumerConfig) -> Creates {
        if config.allow_auto_create_topics {
            Creates::Wanted
        } else {
            Creates::Nothing
        }
    }

    pub(crate) fn with_cluster(config: ConsumerConfig, cluster: Cluster) -> Self {
        Self {
            auto_commit_at: Instant::now() + config.auto_commit_interval,
            config: Arc::new(config),
            cluster,
            partitions: BTreeMap::new(),
            tasks: FuturesUnordered::new(),
            errors: VecDeque::new(),
            wakeup: Arc::default(),
            fetching_from: HashSet::new(),
            inquiries: 0,
            turn: 0,
            metadata: Chore::default(),
            metadata_wanted: false,
            missing_for: 0,
            subscription: None,
            group: None,
            phase: Phase::Steady,
            join: Chore::default(),
            join_after: None,
            joined_topics: None,
            assigned_from: None,
            last_owned: Vec::new(),
            noticed_version: 0,
            told_version: 0,
            events: Vec::new(),
            untold: false,
            auto_committing: false,
        }
    }

    /// What it was made from.
    pub fn config(&self) -> &ConsumerConfig {
        &self.config
    }

    /// Reads these partitions from their committed offsets, else as `auto.offset.reset` says. Replaces what was assigned;
    /// a partition that stays keeps its position.
    ///
    /// # Errors
    /// [`Error::IllegalState`] after `subscribe`.
    pub fn assign(&mut self, partitions: impl IntoIterator<Item = TopicPartition>) -> Result<(), Error> {
        if self.subscription.is_some() {
            let reason = "assign and subscribe exclude each other; call unsubscribe first";
            return Err(Error::IllegalState(reason.into()));
        }
        let wanted: BTreeSet<TopicPartition> = partitions.into_iter().collect();
        self.want(wanted.iter().map(|partition| &*partition.topic));
        self.partitions.retain(|partition, _| wanted.contains(partition));
        for partition in wanted {
            self.partitions.entry(partition).or_insert_with(Partition::new);
        }
        Ok(())
    }

    /// Joins the group, with the next polls, and reads what it is given. Called again, it changes what the member wants.
    ///
    /// # Errors
    /// [`Error::IllegalState`] without `group.id`, or after `assign`.
    pub fn subscribe(&mut self, subscription: Subscription) -> Result<(), Error> {
        let group_id = self.check_group("subscribe")?.to_owned();
        if self.subscription.is_none() && !self.partitions.is_empty() {
            let reason = "assign and subscribe exclude each other; call unsubscribe first";
            return Err(Error::IllegalState(reason.into()));
        }
        match &subscription.topics {
            Topics::Named(topics) => self.want(topics.iter().map(String::as_str)),
            Topics::Matching(_) => {
                self.cluster.want_only(None);
                self.metadata_wanted = true;
            }
        }
        self.subscription = Some(subscription);
        match &self.group {
            Some(group) => group.shared.request_join("the subscription has changed"),
            None => self.group = Some(Group::new(&self.config, &self.cluster, &group_id)),
        }
        Ok(())
    }

    /// Leaves the group, or gives up what was assigned.
    pub async fn unsubscribe(&mut self) {
        if let Phase::Joining(task) = std::mem::take(&mut self.phase) {
            task.abort();
        }
        if let Some(group) = self.group.take() {
            group
                .shared
                .leave("the consumer unsubscribed from all topics")
                .await;
        }
        self.subscription = None;
        self.join_after = None;
        self.joined_topics = None;
        self.assigned_from = None;
        self.last_owned.clear();
        self.partitions.clear();
        self.cluster.want_only(Some(BTreeSet::new()));
    }

    /// The next batches, at least one unless `max_wait` passes or an event or error comes first, and no more than it takes
    /// to reach `max.poll.records`. The positions move behind them. Batches without a record to see (control batches,
    /// aborted transactions with `read_committed`) are left out, though the positions move behind them too.
    ///
    /// # Errors
    /// Of the group, of the offsets, or of a partition; a retry of those that [`Error::is_retriable`] happens by polling
    /// again.
    pub async fn poll_batches(&mut self, max_wait: Duration) -> Result<Vec<FetchedBatch>, Error> {
        self.poll_with(max_wait, Self::take_batches).await
    }

    /// The next records, at most `max.poll.records`, else as [`Consumer::poll_batches`].
    ///
    /// # Errors
    /// As [`Consumer::poll_batches`], and [`Error::Corrupt`].
    pub async fn poll(&mut self, max_wait: Duration) -> Result<Vec<ConsumerRecord>, Error> {
        self.poll_with(max_wait, Self::take_records).await
    }

    async fn poll_with<T>(
        &mut self,
        max_wait: Duration,
        take: impl Fn(&mut Self) -> Result<Vec<T>, Error>,
    ) -> Result<Vec<T>, Error> {
        if self.subscription.is_none() && self.partitions.is_empty() {
            let reason = "the consumer reads nothing: call subscribe or assign first";
            return Err(Error::IllegalState(reason.into()));
        }
        let deadline = Instant::now() + max_wait.min(LONGEST);
        self.acknowledge();
        loop {
            self.pick_up();
            self.check_wakeup()?;
            let now = Instant::now();
            let mut next = Some(deadline);
            self.membership(now, &mut next)?;
            self.note_unreadable();
            // Every error is told before anything is taken: what was taken is always given out.
            if let Some(error) = self.errors.pop_front() {
                return Err(error);
            }
            if std::mem::take(&mut self.untold) {
                return Ok(Vec::new());
            }
            self.auto_commit(now, &mut next);
            self.locate(now, &mut next);
            let taken = take(self)?;
            // The next fetch is under way before the caller looks at what this one brought.
            self.fetch(now, &mut next);
            self.refresh(now, &mut next);
            if !taken.is_empty() || now >= deadline {
                return Ok(taken);
            }
            self.wait(next).await;
        }
    }

    /// What has happened to the partitions since the last call, for subscriptions [`Subscription::with_events`].
    pub fn take_events(&mut self) -> Vec<RebalanceEvent> {
        std::mem::take(&mut self.events)
    }

    /// What is assigned, by topic and number.
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.partitions.keys().cloned().collect()
    }

    /// Reads on from here.
    ///
    /// # Errors
    /// [`Error::NotAssigned`].
    pub fn seek(&mut self, partition: &TopicPartition, offset: Offset) -> Result<(), Error> {
        self.assigned(partition)?.move_to(Position::At {
            offset,
            last_epoch: None,
        });
        Ok(())
    }

    /// Reads on from the first record there is; all assigned partitions if none is named.
    ///
    /// # Errors
    /// [`Error::NotAssigned`].
    pub fn seek_to_beginning(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        self.seek_to(partitions, OffsetSpec::Earliest)
    }

    /// Reads on behind the last record there is; all assigned partitions if none is named.
    ///
    /// # Errors
    /// [`Error::NotAssigned`].
    pub fn seek_to_end(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        self.seek_to(partitions, OffsetSpec::Latest)
    }

    fn seek_to(&mut self, partitions: &[TopicPartition], spec: OffsetSpec) -> Result<(), Error> {
        let all = if partitions.is_empty() {
            self.assignment()
        } else {
            partitions.to_vec()
        };
        // All or none.
        for partition in &all {
            self.assigned(partition)?;
        }
        for partition in &all {
            self.assigned(partition)?.move_to(Position::Listed(spec));
        }
        Ok(())
    }

    /// Fetches these no more until they are resumed.
    ///
    /// # Errors
    /// [`Error::NotAssigned`].
    pub fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        self.set_paused(partitions, true)
    }

    /// Fetches these again.
    ///
    /// # Errors
    /// [`Error::NotAssigned`].
    pub fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        self.set_paused(partitions, false)
    }

    fn set_paused(&mut self, partitions: &[TopicPartition], paused: bool) -> Result<(), Error> {
        for partition in partitions {
            self.assigned(partition)?.paused = paused;
        }
        Ok(())
    }

    /// What is paused.
    pub fn paused(&self) -> Vec<TopicPartition> {
        let paused = self.partitions.iter().filter(|(_, partition)| partition.paused);
        paused
            .map(|(topic_partition, _)| topic_partition.clone())
            .collect()
    }

    /// Who it is in its group.
    pub fn group_metadata(&self) -> Option<GroupMetadata> {
        self.group.as_ref().map(|group| group.shared.metadata())
    }

    /// Ends polls from another task.
    pub fn wakeup_handle(&self) -> Wakeup {
        Wakeup(self.wakeup.clone())
    }

    /// Commits, if `enable.auto.commit` is on, and leaves the group, unless the member is static.
    ///
    /// # Errors
    /// Of the commit; the consumer is closed all the same.
    pub async fn close(mut self) -> Result<(), Error> {
        let told = matches!(self.phase, Phase::Told(_));
        let offsets = self.positions();
        let committable = self.group.is_none()
            || self
                .group_metadata()
                .is_some_and(|group| group.generation_id >= 0);
        let committed = if self.config.enable_auto_commit && committable && !told && !offsets.is_empty() {
            self.commit_within(offsets, self.config.client.default_api_timeout)
                .await
        } else {
            Ok(())
        };
        if self.config.leave_group_on_close {
            self.unsubscribe().await;
        }
        committed
    }

    fn assigned(&mut self, partition: &TopicPartition) -> Result<&mut Partition, Error> {
        self.partitions
            .get_mut(partition)
            .ok_or_else(|| Error::NotAssigned(partition.clone()))
    }

    fn check_group(&self, action: &str) -> Result<&str, Error> {
        let missing = || Error::IllegalState(format!("cannot {action} without a group: set group.id").into());
        self.config.group_id.as_deref().ok_or_else(missing)
    }

    fn check_wakeup(&self) -> Result<(), Error> {
        if self.wakeup.asked.swap(false, Ordering::AcqRel) {
            Err(Error::Wakeup)
        } else {
            Ok(())
        }
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("subscription", &self.subscription)
            .field("assignment", &self.partitions.keys())
            .finish_non_exhaustive()
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // A member that nobody polls should not come into being.
        if let Phase::Joining(task) = &self.phase {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests;
