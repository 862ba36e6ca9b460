//! What a worker has, and what it may run of it, from one assignment to the next (Kafka's `WorkerCoordinator` and the part of
//! `DistributedHerder` that follows a rebalance). Pure.
//!
//! The orders that must hold, so that nothing ever runs twice: what is taken from a worker has stopped before it joins again;
//! a task whose configuration changed stops at once and starts again only after a rebalance, which all workers join after
//! having read and done the same; what a worker is given it starts once it has read as far as the leader had.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_connect_api::TaskId;

use super::protocol::{Assignment, Outcome, Protocol, WorkerState};
use super::work::Work;

/// What joining has come to.
#[derive(Debug, Clone)]
pub(crate) struct Joined {
    /// The generation.
    pub(crate) generation: i32,
    /// Who the worker is in it.
    pub(crate) member_id: String,
    /// What all agreed upon.
    pub(crate) protocol: Protocol,
    /// What the leader says.
    pub(crate) assignment: Assignment,
    /// Whether this worker was asked to share out, and so the assignment is new.
    pub(crate) led: bool,
}

/// The last assignment, without its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Last {
    /// The generation.
    pub(crate) generation: i32,
    /// Who the worker is in it.
    pub(crate) member_id: String,
    /// The leader's member id.
    pub(crate) leader: String,
    /// Where its REST API is.
    pub(crate) leader_url: String,
    /// The config offset that it was made from.
    pub(crate) offset: i64,
}

/// What a leader knows of the configuration when it joins.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    /// How far it has read the config topic.
    pub(crate) offset: i64,
    /// Where it was when a connector or task was last seen to come, go or change.
    changed_at: i64,
    /// What there is to be done.
    pub(crate) all: Work,
}

impl Snapshot {
    /// Whether it may share out for members that have read up to these offsets: it knows what they know, and they know all
    /// that it does of connectors and tasks. Otherwise one would start what another has not stopped yet.
    pub(crate) fn is_good_for(&self, offsets: impl IntoIterator<Item = i64>) -> bool {
        let known = self.changed_at..=self.offset;
        offsets.into_iter().all(|offset| known.contains(&offset))
    }
}

/// A worker. `S` is what a task is run with.
#[derive(Debug)]
pub(crate) struct State<S> {
    url: String,
    /// A static member comes back into the generation of the one that it replaces, and is told what that one was told last.
    is_static: bool,
    /// What all agreed upon last.
    protocol: Protocol,
    /// How far the config topic is read.
    offset: i64,
    /// Where it was when a connector or task was last seen to come, go or change.
    changed_at: i64,
    connectors: BTreeSet<Arc<str>>,
    tasks: BTreeMap<TaskId, S>,
    /// What the leader takes to be this worker's.
    owned: Work,
    /// What of it must not run before the next rebalance has settled.
    held: Work,
    last: Option<Last>,
    /// Whether the leader has shared out in it, and so what was held may go on.
    is_shared_out: bool,
    /// Why it has to join, if it has to.
    rejoin: Option<&'static str>,
    rejoin_at: Option<Instant>,
}

impl<S: Clone + PartialEq> State<S> {
    pub(crate) fn new(url: String, mode: Protocol, is_static: bool) -> Self {
        Self {
            url,
            is_static,
            protocol: mode,
            offset: -1,
            changed_at: -1,
            connectors: BTreeSet::new(),
            tasks: BTreeMap::new(),
            owned: Work::default(),
            held: Work::default(),
            last: None,
            is_shared_out: false,
            rejoin: Some("the worker is new"),
            rejoin_at: None,
        }
    }

    /// The config topic was read up to `offset`, and says so.
    pub(crate) fn configured(
        &mut self,
        offset: i64,
        connectors: BTreeSet<Arc<str>>,
        tasks: BTreeMap<TaskId, S>,
    ) {
        self.offset = offset;
        let changed = self.tasks.iter().filter(|(id, spec)| tasks.get(id) != Some(spec));
        let changed: Vec<TaskId> = changed.map(|(id, _)| id.clone()).collect();
        let is_same = changed.is_empty() && self.tasks.len() == tasks.len() && self.connectors == connectors;
        let gone = self
            .connectors
            .difference(&connectors)
            .cloned()
            .collect::<Vec<_>>();
        if !is_same {
            self.changed_at = offset;
            let owned = changed.into_iter().filter(|id| self.owned.tasks.contains(id));
            self.held.tasks.extend(owned);
            // One that is made anew under its name begins as a new one.
            let owned = gone
                .into_iter()
                .filter(|name| self.owned.connectors.contains(name));
            self.held.connectors.extend(owned);
            (self.connectors, self.tasks) = (connectors, tasks);
            if self.last.is_some() {
                self.rejoin.get_or_insert("what is configured has changed");
            }
        }
        self.settle();
    }

    /// What there is to be done.
    pub(crate) fn all(&self) -> Work {
        Work {
            connectors: self.connectors.clone(),
            tasks: self.tasks.keys().cloned().collect(),
        }
    }

    /// What it would share out as the leader.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            offset: self.offset,
            changed_at: self.changed_at,
            all: self.all(),
        }
    }

    /// What this worker has to run now; everything else it must not.
    pub(crate) fn runs(&self) -> Work {
        self.owned.without(&self.held).within(&self.all())
    }

    /// What all agreed upon last; before that, what the worker would have.
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The last assignment, if it still holds.
    pub(crate) fn last(&self) -> Option<&Last> {
        self.last.as_ref()
    }

    /// Whether it has read as far as its assignment was made from.
    pub(crate) fn is_behind(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.offset > self.offset)
    }

    /// Why it has to join, if it has to.
    pub(crate) fn wants_join(&self) -> Option<&'static str> {
        self.rejoin
    }

    /// Looks at the clock.
    pub(crate) fn look(&mut self, now: Instant) {
        if self.rejoin_at.is_some_and(|at| at <= now) {
            self.rejoin_at = None;
            self.request_join("the leader has scheduled a rebalance");
        }
    }

    /// When it has to join, if nothing happens before.
    pub(crate) fn joins_at(&self) -> Option<Instant> {
        self.rejoin_at
    }

    /// Has it join.
    pub(crate) fn request_join(&mut self, reason: &'static str) {
        self.rejoin.get_or_insert(reason);
    }

    /// It is going to join: under the old protocol it gives up everything first.
    pub(crate) fn prepare_join(&mut self) {
        if self.protocol == Protocol::Eager {
            self.owned = Work::default();
            self.held = Work::default();
        }
    }

    /// It joins, what it does not run has stopped; gives what it tells the others.
    pub(crate) fn begin_join(&mut self) -> WorkerState {
        (self.rejoin, self.rejoin_at) = (None, None);
        // What is deleted need not be taken from it.
        let all = self.all();
        self.owned = self.owned.within(&all);
        self.held = self.held.within(&all);
        let assignment = self.last.as_ref().map(|last| Assignment {
            outcome: Outcome::Assigned,
            leader: last.leader.clone(),
            leader_url: last.leader_url.clone(),
            offset: last.offset,
            assigned: self.owned.clone(),
            revoked: Work::default(),
            delay_ms: 0,
        });
        WorkerState {
            url: self.url.clone(),
            offset: self.offset,
            assignment,
        }
    }

    /// It has joined.
    pub(crate) fn joined(&mut self, joined: Joined, now: Instant) {
        let Assignment {
            outcome,
            leader,
            leader_url,
            offset,
            assigned,
            revoked,
            delay_ms,
        } = joined.assignment;
        self.is_shared_out = false;
        let is_stale = self.is_static && self.last.is_none() && !joined.led;
        self.protocol = joined.protocol;
        self.last = Some(Last {
            generation: joined.generation,
            member_id: joined.member_id,
            leader,
            leader_url,
            offset,
        });
        if is_stale {
            self.request_join("the worker is back, and has nothing");
            return;
        }
        if outcome != Outcome::Assigned {
            self.request_join("the leader could not assign");
            return;
        }
        if joined.protocol == Protocol::Eager {
            (self.owned, self.held) = (Work::default(), Work::default());
        }
        self.owned.remove(&revoked);
        self.held.remove(&revoked);
        // What it runs already it may be told again.
        self.held.extend(&assigned.without(&self.owned));
        self.owned.extend(&assigned);
        if !revoked.is_empty() {
            self.request_join("the worker has given up what others get");
        }
        self.is_shared_out = true;
        let delay = u64::try_from(delay_ms).ok().filter(|delay_ms| *delay_ms > 0);
        self.rejoin_at = delay.map(|delay_ms| now + Duration::from_millis(delay_ms));
        self.settle();
    }

    /// Joining has failed; nothing was told.
    pub(crate) fn join_failed(&mut self) {
        self.request_join("joining failed");
    }

    /// What it had may be somebody else's.
    pub(crate) fn lost(&mut self) {
        self.owned = Work::default();
        self.held = Work::default();
        self.last = None;
        self.rejoin_at = None;
        self.request_join("the worker was out of the group");
    }

    /// Lets go what was held, if all that is known was known to the leader, and the other way round.
    fn settle(&mut self) {
        let Some(last) = self.last.as_ref().filter(|_| self.is_shared_out) else {
            return;
        };
        if self.changed_at > last.offset {
            self.request_join("what is configured has changed since the assignment was made");
        } else if last.offset <= self.offset {
            self.held = Work::default();
        }
    }
}

#[cfg(test)]
mod tests;
