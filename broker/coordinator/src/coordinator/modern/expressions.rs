//! Regular expressions of a group's members are held against the topics beside the coordinator (Kafka's executor): heartbeats ask for it, go on
//! with what is known, and what comes of it is written by itself, in as many appends as it needs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use forebay_protocol::{ErrorCode, Utf8Bytes};

use crate::consumer::{
    ConsumerKey, ConsumerValue, Part, ResolvedExpressions, ResolvedRegularExpression, Work,
};
use crate::coordinator::GroupCoordinator;
use crate::record::CoordinatorRecord;
use crate::{Action, Event, Now, Outcome};

/// After all expressions of a group were held against the topics they are not so again for a while, however many topics are created.
const REFRESH_INTERVAL_MIN: Duration = Duration::from_secs(10);

/// How far each group's expressions have been looked at. Nothing of it is written: whoever takes over looks anew.
#[derive(Debug, Default)]
pub(in crate::coordinator) struct Expressions {
    groups: BTreeMap<Utf8Bytes, Progress>,
    /// How often the driver was asked.
    asked: u64,
}

#[derive(Debug, Default)]
struct Progress {
    /// The driver is at it: by this number.
    running: Option<(u64, Scope)>,
    /// When all were last looked at.
    last: Option<Refresh>,
    /// Those that match more than can be written, or take too long: not to be tried before it is time for all.
    unwritten: BTreeSet<Utf8Bytes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    All,
    /// Those that have never been.
    New,
}

#[derive(Debug, Clone, Copy)]
struct Refresh {
    /// Of the image that was looked at.
    version: i64,
    at: Duration,
}

impl Expressions {
    /// The group is no more.
    pub(in crate::coordinator) fn remove(&mut self, group: &Utf8Bytes) {
        self.groups.remove(group);
    }

    /// What was found for a group was not written after all.
    pub(in crate::coordinator) fn taken_back(&mut self, group: &Utf8Bytes) {
        if let Some(progress) = self.groups.get_mut(group) {
            progress.last = None;
        }
    }
}

impl GroupCoordinator {
    /// Has the driver look at a group's expressions: at those that never were, and at all when there may be new topics.
    pub(super) fn resolve_expressions(&mut self, id: &Utf8Bytes, now: Now, outcome: &mut Outcome) {
        let Some(group) = self.consumer_group(id) else {
            return;
        };
        let progress = self.expressions.groups.get(id);
        if progress.is_some_and(|progress| progress.running.is_some()) {
            return;
        }
        let is_due = progress
            .and_then(|progress| progress.last)
            .is_none_or(|last| self.is_due(last, now));
        let is_new = |regex: &Utf8Bytes| {
            !group.resolved().contains_key(regex)
                && !progress.is_some_and(|progress| progress.unwritten.contains(regex))
        };
        let mut expressions: Vec<Utf8Bytes> =
            group.regexes().filter(|regex| is_new(regex)).cloned().collect();
        let are_new = !expressions.is_empty();
        if is_due && !are_new {
            expressions = group.regexes().cloned().collect();
        }
        if expressions.is_empty() {
            return;
        }
        // Members wait for what is new: all others have their turn after it.
        let scope = if expressions.len() == group.regexes().count() {
            Scope::All
        } else {
            Scope::New
        };
        let number = self.expressions.asked;
        self.expressions.asked += 1;
        self.expressions.groups.entry(id.clone()).or_default().running = Some((number, scope));
        outcome.actions.push(Action::ResolveExpressions {
            group: id.clone(),
            number,
            expressions,
            are_new,
        });
    }

    fn is_due(&self, last: Refresh, now: Now) -> bool {
        let age = now.elapsed.saturating_sub(last.at);
        let has_new_topics = last.version < self.image.version();
        age > REFRESH_INTERVAL_MIN && (has_new_topics || age > self.config.consumer.regex_refresh_interval)
    }

    /// The driver has looked, as it was asked to by this number: what it was asked before the group was another is of no use. Expressions that mean other topics than before begin a new epoch; those that nobody subscribes to any more
    /// are left alone.
    pub(in crate::coordinator) fn expressions_resolved(
        &mut self,
        (id, number): (&Utf8Bytes, u64),
        resolved: Option<ResolvedExpressions>,
        now: Now,
        outcome: &mut Outcome,
    ) {
        let progress = self.expressions.groups.get_mut(id);
        let running =
            progress.and_then(|progress| progress.running.take_if(|(running, _)| *running == number));
        let Some((_, scope)) = running else {
            return;
        };
        let Some(resolved) = resolved else {
            return;
        };
        let version = resolved.version;
        let asked: Vec<Utf8Bytes> = resolved.expressions().cloned().collect();
        let Some((records, too_large)) = self.decide_expressions(id, resolved, now) else {
            self.expressions.remove(id);
            return;
        };
        if !records.is_empty() {
            self.append_in_parts(&records, now, outcome);
        }
        if too_large {
            outcome.events.push(Event::MetadataNotWritten {
                group: id.clone(),
                error: ErrorCode::MessageTooLarge,
            });
        }
        let Some(Group { group, progress }) = self.group_and_progress(id) else {
            return;
        };
        let asked = asked.into_iter();
        progress
            .unwritten
            .extend(asked.filter(|regex| !group.resolved().contains_key(regex)));
        progress
            .unwritten
            .retain(|regex| group.subscribers_of_regex(regex) > 0 && !group.resolved().contains_key(regex));
        if scope == Scope::All {
            let at = now.elapsed;
            progress.last = Some(Refresh { version, at });
        }
        // Others may have come meanwhile.
        self.resolve_expressions(id, now, outcome);
    }

    /// The records of expressions whose topics have changed, the epoch last, and whether some are too large to write; `None` without the group.
    fn decide_expressions(
        &self,
        id: &Utf8Bytes,
        resolved: ResolvedExpressions,
        now: Now,
    ) -> Option<(Vec<CoordinatorRecord>, bool)> {
        let image = Arc::clone(&self.image);
        let mut work = Work::on(self.consumer_group(id)?, &*image);
        let (mut bump, mut too_large) = (false, false);
        for (regex, topics) in resolved.topics {
            let before = work.resolved().get(&regex);
            if work.subscribers_of_regex(&regex) == 0 || before.is_some_and(|before| before.topics == topics)
            {
                continue;
            }
            let changes = before.is_some() || !topics.is_empty();
            let value = ResolvedRegularExpression {
                topics,
                version: resolved.version,
                timestamp: now.timestamp,
            };
            let key = ConsumerKey {
                group: id.clone(),
                part: Part::RegularExpression(regex),
            };
            let value = ConsumerValue::RegularExpression(Arc::new(value));
            if self.fits_into_an_append(&CoordinatorRecord::Consumer(key.clone(), Some(value.clone()))) {
                work.write(key.part, Some(value));
                bump |= changes;
            } else {
                too_large = true;
            }
        }
        work.refresh_topics(bump);
        Some((work.into_records(), too_large))
    }

    fn group_and_progress(&mut self, id: &Utf8Bytes) -> Option<Group<'_>> {
        let group = self.groups.get(id)?.as_consumer()?;
        let progress = self.expressions.groups.entry(id.clone()).or_default();
        Some(Group { group, progress })
    }
}

/// A group, and how far its expressions have been looked at.
struct Group<'a> {
    group: &'a crate::consumer::ConsumerGroup,
    progress: &'a mut Progress,
}
