//! What a poll does for the membership: give up partitions, join, take what is assigned. Between two polls nothing of that
//! happens, so the caller's view of its partitions never changes while it works on them.
//!
//! Giving up goes in steps, each of which may take until the next poll: positions are committed (`enable.auto.commit`), the
//! caller is told and gets the time until its next poll to finish and commit what it has, then the partitions are gone.

use std::collections::BTreeSet;

use forebay_protocol::TopicPartition;
use tokio::{task::AbortHandle, time::Instant};

use super::{
    Consumer, Event, RebalanceEvent,
    group::{Joined, Wish, is_worth_another, join},
    partition::Partition,
    subscription::{Subscription, Topics},
};
use crate::{chore::sooner, error::Error};

/// Where the membership stands.
#[derive(Debug, Default)]
pub(super) enum Phase {
    /// Nothing is going on.
    #[default]
    Steady,
    /// Positions are being committed before partitions are given up.
    Committing(Revocation),
    /// The caller has been told; its next poll says that it is done.
    Told(Revocation),
    /// The member joins.
    Joining(AbortHandle),
}

/// Partitions that are given up.
#[derive(Debug)]
pub(super) struct Revocation {
    partitions: Vec<TopicPartition>,
    lost: bool,
}

impl Consumer {
    /// A poll begins: whoever was told of partitions to give up has done so.
    pub(super) fn acknowledge(&mut self) {
        if let Phase::Told(_) = &self.phase
            && let Phase::Told(revocation) = std::mem::take(&mut self.phase)
        {
            self.give_up(&revocation);
        }
    }

    /// Does what the membership needs now.
    pub(super) fn membership(&mut self, now: Instant, next: &mut Option<Instant>) -> Result<(), Error> {
        let Some(group) = &self.group else { return Ok(()) };
        let shared = group.shared.clone();
        let cooperative = group.is_cooperative();
        let fatal = shared.polled();
        // One long poll is polling all the time, also when nothing happens in it.
        sooner(next, now + self.config.max_poll_interval / 2);
        if !matches!(self.phase, Phase::Steady) {
            return fatal;
        }
        self.notice_changes();
        if shared.take_lost() && !self.partitions.is_empty() {
            let partitions = self.partitions.keys().cloned().collect();
            self.revoke(Revocation {
                partitions,
                lost: true,
            });
            return fatal;
        }
        fatal?;
        if !shared.must_join() {
            return Ok(());
        }
        if let Some(not_before) = self.join.not_before(now) {
            sooner(next, not_before);
            return Ok(());
        }
        if !self.knows_what_matches() {
            return Ok(());
        }
        let Some(topics) = self.wanted_topics() else {
            return Ok(());
        };
        let keeps =
            |partition: &TopicPartition| cooperative && topics.iter().any(|topic| partition.topic == *topic);
        let partitions: Vec<_> = self
            .partitions
            .keys()
            .filter(|partition| !keeps(partition))
            .cloned()
            .collect();
        if partitions.is_empty() {
            self.start_joining(topics);
        } else {
            self.revoke(Revocation {
                partitions,
                lost: false,
            });
        }
        Ok(())
    }

    /// Topics that now match, and partitions that were added, are reasons to join again.
    fn notice_changes(&mut self) {
        let Some(group) = &self.group else { return };
        let snapshot = self.cluster.snapshot();
        if self.noticed_version == snapshot.version {
            return;
        }
        self.noticed_version = snapshot.version;
        let count = |topic: &str| {
            snapshot
                .topics
                .get(topic)
                .map_or(0, |topic| topic.partitions.len())
        };
        let changed = self
            .assigned_from
            .as_ref()
            .is_some_and(|from| from.iter().any(|(topic, before)| count(topic) != *before));
        if changed {
            group
                .shared
                .request_join("the partitions of its topics have changed");
        }
        if let (Some(joined), Some(topics)) = (&self.joined_topics, self.wanted_topics())
            && *joined != topics
        {
            group.shared.request_join("the subscribed topics have changed");
        }
    }

    /// The topics that the subscription means now; `None` while that is not known.
    fn wanted_topics(&self) -> Option<Vec<String>> {
        match &self.subscription.as_ref()?.topics {
            Topics::Named(topics) => Some(topics.clone()),
            Topics::Matching(matches) => {
                let snapshot = self.cluster.snapshot();
                if !snapshot.of_all {
                    return None;
                }
                let exclude_internal = self.config.exclude_internal_topics;
                let visible = snapshot
                    .topics
                    .values()
                    .filter(|topic| !(exclude_internal && topic.is_internal));
                let mut topics: Vec<String> = visible
                    .map(|topic| topic.name.to_string())
                    .filter(|name| matches(name))
                    .collect();
                topics.sort_unstable();
                Some(topics)
            }
        }
    }

    /// With a pattern, what matches is looked for anew before the member joins, as Kafka's consumer does: the leader would share
    /// out topics that are no more, and one member after the other would find the new ones.
    fn knows_what_matches(&mut self) -> bool {
        if self.subscription.as_ref().is_none_or(Subscription::is_named) {
            return true;
        }
        let snapshot = self.cluster.snapshot();
        let before = *self.join_after.get_or_insert(snapshot.version);
        let knows = snapshot.version > before && snapshot.of_all;
        self.metadata_wanted |= !knows;
        knows
    }

    fn start_joining(&mut self, topics: Vec<String>) {
        let Some(group) = &self.group else { return };
        self.join_after = None;
        let shared = group.shared.clone();
        let wish = Wish {
            topics: topics.clone(),
            owned: self.partitions.keys().cloned().collect(),
            last_owned: self.last_owned.clone(),
            assignors: group.assignors.clone(),
        };
        self.joined_topics = Some(topics);
        self.assigned_from = None;
        let abort = self.spawn(async move { Event::Joined(join(shared, wish).await) });
        self.phase = Phase::Joining(abort);
    }

    /// Takes what joining has come to.
    pub(super) fn joined(&mut self, result: Result<Joined, Error>) {
        if !matches!(self.phase, Phase::Joining(_)) {
            return;
        }
        self.phase = Phase::Steady;
        let backoff = self.cluster.backoff();
        let worth_another = result.as_ref().map_or_else(is_worth_another, |_| true);
        self.join
            .ended(result.is_ok(), |failures| backoff.delay(failures));
        match result {
            Ok(joined) => self.take_assignment(joined),
            Err(error) if worth_another => tracing::debug!("{error}; trying again"),
            Err(error) => self.errors.push_back(error),
        }
    }

    fn take_assignment(&mut self, joined: Joined) {
        let Joined {
            assigned,
            cooperative,
            assigned_from,
        } = joined;
        self.assigned_from = assigned_from;
        self.want(assigned.iter().map(|partition| &*partition.topic));
        // The leader looks after the topics of all members.
        self.metadata_wanted |= self.is_missing(&self.cluster.snapshot());
        let wanted: BTreeSet<&TopicPartition> = assigned.iter().collect();
        let revoked: Vec<_> = self
            .partitions
            .keys()
            .filter(|partition| !wanted.contains(partition))
            .cloned()
            .collect();
        let added: Vec<_> = assigned
            .iter()
            .filter(|partition| !self.partitions.contains_key(partition))
            .cloned()
            .collect();
        for partition in &added {
            self.partitions.insert(partition.clone(), Partition::new());
        }
        self.last_owned.clone_from(&assigned);
        self.schedule_auto_commit(Instant::now());
        self.tell(RebalanceEvent::Assigned(added));
        if !revoked.is_empty() {
            if cooperative && let Some(group) = &self.group {
                group
                    .shared
                    .request_join("the member has given up partitions that others get");
            }
            self.revoke(Revocation {
                partitions: revoked,
                lost: false,
            });
        }
    }

    /// Begins to give up partitions.
    fn revoke(&mut self, revocation: Revocation) {
        if revocation.lost || !self.config.enable_auto_commit {
            return self.tell_revocation(revocation);
        }
        let mut offsets = self.positions();
        offsets.retain(|partition, _| revocation.partitions.contains(partition));
        if offsets.is_empty() {
            return self.tell_revocation(revocation);
        }
        let commit = self.commit_within(
            offsets,
            self.config
                .max_poll_interval
                .min(self.config.client.default_api_timeout),
        );
        self.spawn(async move { Event::CommittedBeforeRevocation(commit.await) });
        self.phase = Phase::Committing(revocation);
    }

    pub(super) fn committed_before_revocation(&mut self, result: Result<(), Error>) {
        if let Err(error) = result {
            tracing::warn!("offsets were not committed before partitions were given up: {error}");
        }
        if let Phase::Committing(_) = &self.phase
            && let Phase::Committing(revocation) = std::mem::take(&mut self.phase)
        {
            self.tell_revocation(revocation);
        }
    }

    fn tell_revocation(&mut self, revocation: Revocation) {
        let partitions = revocation.partitions.clone();
        let event = if revocation.lost {
            RebalanceEvent::Lost(partitions)
        } else {
            RebalanceEvent::Revoked(partitions)
        };
        if self.tell(event) {
            self.phase = Phase::Told(revocation);
        } else {
            self.give_up(&revocation);
        }
    }

    fn give_up(&mut self, revocation: &Revocation) {
        self.phase = Phase::Steady;
        for partition in &revocation.partitions {
            self.partitions.remove(partition);
        }
        if revocation.lost {
            self.last_owned.clear();
        }
    }

    /// Keeps an event for the caller, if it wants any.
    fn tell(&mut self, event: RebalanceEvent) -> bool {
        let wanted = self
            .subscription
            .as_ref()
            .is_some_and(|subscription| subscription.tell_events);
        if wanted {
            self.events.push(event);
            self.untold = true;
        }
        wanted
    }
}
