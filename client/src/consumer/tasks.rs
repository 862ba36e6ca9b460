//! What runs beside the polls, and how a poll picks up what has ended.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use forebay_protocol::{ErrorCode, NodeId, TopicPartition};
use futures_util::{FutureExt, stream::StreamExt};
use tokio::{sync::Notify, task::AbortHandle, time::Instant};

use super::{
    Consumer, fetch,
    group::Joined,
    partition::Inquiry,
    subscription::{Subscription, Topics},
};
use crate::{
    admin::ListedOffset,
    chore::{at, sooner},
    cluster::{Results, Snapshot, Topic},
    error::Error,
    group_offsets::Offsets,
    offsets::Wanted,
};

/// What has ended beside the polls.
pub(super) enum Event {
    Fetched {
        leader: NodeId,
        partitions: Vec<TopicPartition>,
        result: Result<fetch::Answers, Error>,
    },
    OffsetsFetched {
        inquiry: Inquiry,
        partitions: Vec<TopicPartition>,
        result: Result<Offsets, Error>,
    },
    Listed {
        inquiry: Inquiry,
        wanted: Wanted,
        result: Result<Results<TopicPartition, ListedOffset>, Error>,
    },
    Refreshed(Result<Arc<Snapshot>, Error>),
    Joined(Result<Joined, Error>),
    AutoCommitted(Result<(), Error>),
    CommittedBeforeRevocation(Result<(), Error>),
}

/// Ends a poll from another task.
#[derive(Debug, Clone)]
pub struct Wakeup(pub(super) Arc<WakeupState>);

#[derive(Debug, Default)]
pub(super) struct WakeupState {
    pub(super) asked: AtomicBool,
    notify: Notify,
}

impl Wakeup {
    /// The poll under way, or else the next one, fails with [`Error::Wakeup`].
    pub fn wakeup(&self) {
        self.0.asked.store(true, Ordering::Release);
        self.0.notify.notify_one();
    }
}

impl Consumer {
    /// Runs something beside the polls.
    pub(super) fn spawn(&self, work: impl Future<Output = Event> + Send + 'static) -> AbortHandle {
        let task = tokio::spawn(work);
        let abort = task.abort_handle();
        self.tasks.push(task);
        abort
    }

    /// Takes what has ended already.
    pub(super) fn pick_up(&mut self) {
        while let Some(Some(ended)) = self.tasks.next().now_or_never() {
            self.take_event(ended.ok());
        }
    }

    /// Waits for something to happen, at most until `next`.
    pub(super) async fn wait(&mut self, next: Option<Instant>) {
        let shared = self.group.as_ref().map(|group| group.shared.clone());
        let group_changed = async {
            match &shared {
                Some(shared) => shared.changed.notified().await,
                None => std::future::pending().await,
            }
        };
        let wakeup = self.wakeup.clone();
        let ended = tokio::select! {
            Some(ended) = self.tasks.next() => ended.ok(),
            () = group_changed => None,
            () = wakeup.notify.notified() => None,
            () = at(next) => None,
        };
        self.take_event(ended);
    }

    /// A task that was aborted has nothing to say.
    fn take_event(&mut self, event: Option<Event>) {
        match event {
            Some(Event::Fetched {
                leader,
                partitions,
                result,
            }) => self.fetched(leader, &partitions, result),
            Some(Event::OffsetsFetched {
                inquiry,
                partitions,
                result,
            }) => self.located_committed(inquiry, &partitions, result),
            Some(Event::Listed {
                inquiry,
                wanted,
                result,
            }) => self.located_listed(inquiry, &wanted, result),
            Some(Event::Refreshed(result)) => self.refreshed(&result),
            Some(Event::Joined(result)) => self.joined(result),
            Some(Event::AutoCommitted(result)) => self.auto_committed(result),
            Some(Event::CommittedBeforeRevocation(result)) => self.committed_before_revocation(result),
            None => {}
        }
    }

    /// Refreshes what is known of the cluster if that is wanted, or due by age.
    pub(super) fn refresh(&mut self, now: Instant, next: &mut Option<Instant>) {
        let due = self
            .cluster
            .snapshot()
            .fetched_at
            .map(|at| at + self.config.client.metadata_max_age);
        if let Some(due) = due.filter(|due| *due > now) {
            sooner(next, due);
        }
        if (self.metadata_wanted || self.cluster.is_old()) && self.metadata.begin(now, next) {
            let cluster = self.cluster.clone();
            self.spawn(async move { Event::Refreshed(cluster.refresh(cluster.snapshot().version).await) });
        }
    }

    /// A topic that was named and cannot be read is an error, told once for each answer that says so, as Kafka's consumer
    /// does: the other topics are read on in between.
    pub(super) fn note_unreadable(&mut self) {
        let snapshot = self.cluster.snapshot();
        if std::mem::replace(&mut self.told_version, snapshot.version) == snapshot.version
            || !self.subscription.as_ref().is_none_or(Subscription::is_named)
        {
            return;
        }
        let unreadable = |topic: &&Arc<Topic>| {
            matches!(
                topic.error,
                ErrorCode::InvalidTopicException | ErrorCode::TopicAuthorizationFailed
            )
        };
        if let Some(topic) = snapshot.topics.values().find(unreadable) {
            let action = format!("read topic {}", topic.name);
            self.errors.push_back(Error::broker(action, topic.error));
        }
    }

    fn refreshed(&mut self, result: &Result<Arc<Snapshot>, Error>) {
        match result {
            Err(error) if self.metadata.is_failing() => tracing::debug!("{error}"),
            Err(error) => tracing::warn!("{error}; trying again"),
            Ok(_) if self.metadata.is_failing() => tracing::info!("the cluster answers again"),
            Ok(_) => {}
        }
        let backoff = self.cluster.backoff();
        self.metadata
            .ended(result.is_ok(), |failures| backoff.delay(failures));
        if let Ok(snapshot) = result {
            // What is not there yet is looked for again, less and less often: a consumer may come before its topic.
            let missing = self.is_missing(snapshot);
            self.missing_for = if missing {
                self.missing_for.saturating_add(1)
            } else {
                0
            };
            self.metadata_wanted = missing;
            self.metadata.pause(backoff.delay(self.missing_for.max(1)));
        }
    }

    /// Topics that are to be known too, and soon.
    pub(super) fn want<'a>(&mut self, topics: impl IntoIterator<Item = &'a str>) {
        if self.cluster.want(topics) {
            self.metadata_wanted = true;
            self.missing_for = 0;
        }
    }

    /// Whether a topic that is to be read, by any member if this one leads its group, does not exist or is not ready, or a
    /// partition has no leader.
    pub(super) fn is_missing(&self, snapshot: &Snapshot) -> bool {
        let unknown = |topic: &String| {
            let known = snapshot.topics.get(topic.as_str());
            known.is_none_or(|topic| topic.error.is_retriable())
        };
        let subscription = self.subscription.as_ref();
        let subscribed = match subscription.map(|subscription| &subscription.topics) {
            Some(Topics::Named(topics)) => topics.iter().any(unknown),
            // What was under way when the pattern came had not asked for all.
            Some(Topics::Matching(_)) => !snapshot.of_all,
            None => false,
        };
        let of_the_group = self.assigned_from.iter().flatten();
        subscribed
            || of_the_group.map(|(topic, _)| topic).any(unknown)
            || self
                .partitions
                .keys()
                .any(|partition| snapshot.leader(partition).is_none())
    }
}
