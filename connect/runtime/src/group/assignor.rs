//! How the leader of the workers shares connectors and tasks out (Kafka's `IncrementalCooperativeAssignor`, KIP-415, and
//! `EagerAssignor`): everybody keeps what he has, but for what there is too much of; that is given to others in the round
//! after the one in which it was taken away. Pure: the clock comes in, equal input gives equal output.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::work::Work;

/// By how much the pause between revocations grows that follow each other.
const REVOCATION_BACKOFF_FACTOR: u32 = 40;

/// What the leader knows when the members have joined.
#[derive(Debug)]
pub(crate) struct Round<'a> {
    /// What there is to be done.
    pub(crate) configured: &'a Work,
    /// What each member says it has, by member id.
    pub(crate) members: &'a BTreeMap<String, Work>,
    /// The last generation of which the leader was told its assignment.
    pub(crate) last_generation: i32,
    /// The generation that begins.
    pub(crate) generation: i32,
}

/// What one member gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Share {
    /// What is new to it.
    pub(crate) assigned: Work,
    /// What it has to give up.
    pub(crate) revoked: Work,
    /// What it then has in all.
    pub(crate) all: Work,
}

/// What all get.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Shares {
    /// By member id.
    pub(crate) members: BTreeMap<String, Share>,
    /// After how long all have to join again; zero: not because of this.
    pub(crate) delay: Duration,
}

/// The leader's memory from round to round.
#[derive(Debug)]
pub(crate) struct Assignor {
    /// `scheduled.rebalance.max.delay.ms`
    delay_max: Duration,
    /// What all had after the previous round, and what nobody has since a worker left.
    previous: Work,
    previous_revocation: Work,
    previous_generation: i32,
    previous_members: BTreeSet<String>,
    /// Members that had nothing while the group waited for a departed worker: likely that one, back under another id.
    candidates: BTreeSet<String>,
    /// Until when it waits.
    scheduled_rebalance: Option<Instant>,
    delay: Duration,
    revoked_in_previous: bool,
    successive_revocations: u32,
}

/// What members have, by member id.
type Loads = BTreeMap<String, Work>;

impl Assignor {
    pub(crate) fn new(delay_max: Duration) -> Self {
        Self {
            delay_max,
            previous: Work::default(),
            previous_revocation: Work::default(),
            previous_generation: -1,
            previous_members: BTreeSet::new(),
            candidates: BTreeSet::new(),
            scheduled_rebalance: None,
            delay: Duration::ZERO,
            revoked_in_previous: false,
            successive_revocations: 0,
        }
    }

    /// Shares out for the generation that begins.
    pub(crate) fn assign(&mut self, round: &Round<'_>, now: Instant) -> Shares {
        if self.previous_generation != round.last_generation {
            // The leader was not told of the last round, or another one led it.
            self.previous = Work::default();
        }
        let active = Work::union(round.members.values());
        let revocation = std::mem::take(&mut self.previous_revocation);
        if !revocation.within(&active).is_empty() {
            // It did not reach everybody: begin again with what there is.
            self.previous = active.clone();
        }
        let deleted = self.previous.without(round.configured);
        let lost = self.previous.without(&active).without(&deleted);
        let created = round.configured.without(&self.previous).without(&active);
        let unwanted = Work::union([
            &deleted,
            &active.without(round.configured),
            &duplicated(round.members),
        ]);

        let mut revoked: Loads = round
            .members
            .iter()
            .map(|(member, work)| (member.clone(), work.within(&unwanted)))
            .collect();
        let mut next: Loads = round
            .members
            .iter()
            .map(|(member, work)| (member.clone(), work.without(&unwanted)))
            .collect();
        let mut to_assign = created;
        to_assign.extend(&self.reassigned(&lost, &mut next, now));
        self.balance(round.configured, &mut next, &mut revoked, now);
        spread(&mut next, &to_assign);

        self.remember(round, &next, &revoked, &lost);
        let members = next.into_iter().map(|(member, all)| {
            let share = Share {
                assigned: all.without(&round.members[&member]),
                revoked: revoked.remove(&member).unwrap_or_default(),
                all,
            };
            (member, share)
        });
        Shares {
            members: members.collect(),
            delay: self.delay,
        }
    }

    fn remember(&mut self, round: &Round<'_>, next: &Loads, revoked: &Loads, lost: &Work) {
        self.previous = Work::union(next.values());
        self.previous_revocation = Work::union(revoked.values());
        self.previous.remove(&self.previous_revocation);
        self.previous.extend(lost);
        self.previous_generation = round.generation;
        self.previous_members = round.members.keys().cloned().collect();
    }

    /// What nobody has any more and is to be given to somebody now. Some of it goes to the candidates at once.
    fn reassigned(&mut self, lost: &Work, next: &mut Loads, now: Instant) -> Work {
        if lost.is_empty() && !self.revoked_in_previous {
            self.reset_delay();
            return Work::default();
        }
        let nobody_left = self
            .previous_members
            .iter()
            .all(|member| next.contains_key(member));
        if self.delay_max.is_zero() || (self.scheduled_rebalance.is_none() && nobody_left) {
            // Who is still there has not got what it was given.
            return lost.clone();
        }
        if self.scheduled_rebalance.is_some_and(|at| at <= now) {
            let mut candidates: Loads = self
                .candidates
                .iter()
                .filter_map(|member| Some((member.clone(), next.get(member)?.clone())))
                .collect();
            self.reset_delay();
            self.revoked_in_previous = false;
            if candidates.is_empty() {
                return lost.clone();
            }
            spread(&mut candidates, lost);
            next.extend(candidates);
            return Work::default();
        }
        let idle = next.iter().filter(|(_, work)| work.is_empty());
        self.candidates.extend(idle.map(|(member, _)| member.clone()));
        self.delay = self.scheduled_rebalance.map_or(self.delay_max, |at| {
            at.saturating_duration_since(now).min(self.delay_max)
        });
        self.scheduled_rebalance = Some(now + self.delay);
        Work::default()
    }

    fn reset_delay(&mut self) {
        self.candidates.clear();
        self.scheduled_rebalance = None;
        self.delay = Duration::ZERO;
    }

    /// Takes from those who have too much, unless the group waits for somebody, or did so in the previous round: then a pause
    /// that grows comes first.
    fn balance(&mut self, configured: &Work, next: &mut Loads, revoked: &mut Loads, now: Instant) {
        if !self.delay.is_zero() {
            self.revoked_in_previous = false;
            return;
        }
        let surplus = surplus(configured, next);
        if surplus.values().all(Work::is_empty) {
            self.revoked_in_previous = false;
            self.successive_revocations = 0;
            return;
        }
        if self.revoked_in_previous {
            self.successive_revocations = self.successive_revocations.saturating_add(1);
            self.delay = self.revocation_pause();
            if !self.delay.is_zero() {
                self.scheduled_rebalance = Some(now + self.delay);
                return;
            }
        }
        self.revoked_in_previous = true;
        for (member, work) in surplus {
            if let Some(has) = next.get_mut(&member) {
                has.remove(&work);
            }
            revoked.entry(member).or_default().extend(&work);
        }
    }

    fn revocation_pause(&self) -> Duration {
        let factor = REVOCATION_BACKOFF_FACTOR.checked_pow(self.successive_revocations);
        let pause = Duration::from_millis(u64::from(factor.unwrap_or(u32::MAX)));
        pause.min(self.delay_max)
    }
}

/// What more than one member says it has.
fn duplicated(members: &Loads) -> Work {
    let (mut seen, mut twice) = (Work::default(), Work::default());
    for work in members.values() {
        twice.extend(&work.within(&seen));
        seen.extend(work);
    }
    twice
}

/// What members have above their share, connectors and tasks each for themselves.
fn surplus(configured: &Work, next: &Loads) -> Loads {
    if next.values().all(Work::is_empty) {
        return Loads::new();
    }
    let (mut connectors, mut tasks) = (
        Limit::new(configured.connectors.len(), next, |work| work.connectors.len()),
        Limit::new(configured.tasks.len(), next, |work| work.tasks.len()),
    );
    next.iter()
        .map(|(member, work)| {
            let surplus = Work {
                connectors: connectors.above(&work.connectors),
                tasks: tasks.above(&work.tasks),
            };
            (member.clone(), surplus)
        })
        .collect()
}

/// How many of one kind each member may keep.
struct Limit {
    least: usize,
    /// How many members may have one more.
    extra: usize,
    is_balanced: bool,
}

impl Limit {
    fn new(total: usize, next: &Loads, count: impl Fn(&Work) -> usize) -> Self {
        let (least, extra) = (total / next.len(), total % next.len());
        let with = |wanted: usize| next.values().filter(|work| count(work) == wanted).count();
        let (at_least, one_more) = (with(least), with(least + 1));
        Self {
            least,
            extra,
            is_balanced: one_more == extra && at_least + one_more == next.len(),
        }
    }

    fn above<T: Clone + Ord>(&mut self, has: &BTreeSet<T>) -> BTreeSet<T> {
        if self.is_balanced || has.len() <= self.least {
            return BTreeSet::new();
        }
        let keeps = if self.extra > 0 {
            self.extra -= 1;
            self.least + 1
        } else {
            self.least
        };
        has.iter().skip(keeps).cloned().collect()
    }
}

/// Gives each connector and each task to the member that has the fewest of its kind.
fn spread(next: &mut Loads, work: &Work) {
    for name in &work.connectors {
        if let Some(least) = next.values_mut().min_by_key(|has| has.connectors.len()) {
            least.connectors.insert(name.clone());
        }
    }
    for id in &work.tasks {
        if let Some(least) = next.values_mut().min_by_key(|has| has.tasks.len()) {
            least.tasks.insert(id.clone());
        }
    }
}

/// For [`Protocol::Eager`](super::protocol::Protocol::Eager): nobody has anything, and each gets its share, in turn.
pub(crate) fn assign_eagerly(configured: &Work, members: &BTreeSet<String>) -> Shares {
    let mut shares: BTreeMap<String, Share> = members
        .iter()
        .map(|member| (member.clone(), Share::default()))
        .collect();
    let mut turn = members.iter().cycle();
    let mut next = |give: &mut dyn FnMut(&mut Work)| {
        if let Some(share) = turn.next().and_then(|member| shares.get_mut(member)) {
            give(&mut share.assigned);
        }
    };
    for name in &configured.connectors {
        next(&mut |work| {
            work.connectors.insert(name.clone());
        });
    }
    for id in &configured.tasks {
        next(&mut |work| {
            work.tasks.insert(id.clone());
        });
    }
    for share in shares.values_mut() {
        share.all = share.assigned.clone();
    }
    Shares {
        members: shares,
        delay: Duration::ZERO,
    }
}

#[cfg(test)]
mod tests;
