//! The sequence numbers of an idempotent producer (KIP-98, KIP-360): which batch may go next, and what a broker's answer
//! means for those behind it. Pure: the sender asks and tells, nothing here waits.
//!
//! The rules, per partition:
//! - A batch gets its sequence when it is first sent, and keeps it through all retries, so that the broker recognizes it.
//! - Up to five batches are under way. Once one has to be sent again, the others wait behind it: only the oldest goes.
//! - When the broker refuses a sequence for good, or has lost what it knew of us, everything behind gets new sequences
//!   under the next epoch. That happens only when nothing of the partition is at the broker any more and no batch is in
//!   doubt (sent, and no word of it): a batch in doubt is first sent again as it was, until the broker says which.
//! - When a batch in doubt is given up (`delivery.timeout.ms`), new batches wait until those behind it tell whether
//!   it arrived.

use std::collections::{BTreeSet, HashMap, VecDeque};

use forebay_protocol::{ErrorCode, TopicPartition};
use forebay_records::{ProducerEpoch, ProducerId, ProducerIdentity, Sequence};

/// From the oldest unsettled batch of a partition on, so many may be sent: as many as a broker remembers of a producer.
/// One that it has forgotten would be taken for a gap when it is sent again.
const WINDOW_BATCHES: u64 = 5;

/// Who the producer is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) id: ProducerId,
    pub(super) epoch: ProducerEpoch,
}

/// The sequences of all partitions.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    /// Of a transactional producer: the coordinator alone gives epochs, so what would need new sequences is given up.
    is_transactional: bool,
    identity: Option<Identity>,
    partitions: HashMap<TopicPartition, Entry>,
    /// Those that are to be renumbered or have something unresolved.
    unsettled: BTreeSet<TopicPartition>,
}

/// New sequences of a partition's pending batches, oldest first: the base they had, and who they are now.
pub(super) type Renumbering = Vec<(Sequence, ProducerIdentity)>;

/// One partition.
#[derive(Debug)]
struct Entry {
    identity: Identity,
    next: Sequence,
    /// How many batches got a sequence, parts of split ones counted.
    batches: u64,
    last_acked: Option<Sequence>,
    /// Sequenced and not settled, oldest first.
    pending: VecDeque<Pending>,
    /// Everything pending is to get new sequences.
    renumber: bool,
    /// The sequences behind batches that were given up in doubt. New batches wait for them, so they are few.
    unresolved: Vec<Sequence>,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    base: Sequence,
    count: i32,
    /// Counts the partition's batches.
    number: u64,
    /// At the broker, no answer yet.
    sent: bool,
    /// It may have been written although nobody said so.
    in_doubt: bool,
}

/// What to do with a batch that the broker did not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Send it again.
    Retry,
    /// Tell the user.
    Fail,
}

impl Sequences {
    /// Of a producer that has transactions.
    pub(super) fn transactional() -> Self {
        Self {
            is_transactional: true,
            ..Self::default()
        }
    }

    /// Begins anew as this producer. Nothing of the one before may be on its way.
    pub(super) fn begin_anew(&mut self, identity: Identity) {
        debug_assert!(self.partitions.values().all(|entry| entry.pending.is_empty()));
        self.partitions.clear();
        self.unsettled.clear();
        self.identity = Some(identity);
    }

    /// The partitions in which a transaction's sequences have a gap, once nothing of them is at the broker or in doubt: what is
    /// pending there can only be given up.
    pub(super) fn take_broken(&mut self) -> Vec<TopicPartition> {
        if !self.is_transactional {
            return Vec::new();
        }
        let mut broken = Vec::new();
        for partition in std::mem::take(&mut self.unsettled) {
            if let Some(entry) = self.partitions.get_mut(&partition) {
                entry.resolve();
                if entry.renumber && entry.is_at_rest() {
                    self.partitions.remove(&partition);
                    broken.push(partition.clone());
                }
            }
            self.note(&partition);
        }
        broken
    }

    pub(super) fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// A producer id from the broker. Partitions change to it as they come to rest.
    pub(super) fn set_identity(&mut self, identity: Identity) {
        self.identity = Some(identity);
    }

    /// Whether a batch of the partition may be sent now: with its sequence if it has one.
    pub(super) fn may_send(&self, partition: &TopicPartition, base: Option<Sequence>) -> bool {
        let Some(identity) = self.identity else {
            return false;
        };
        let Some(entry) = self.partitions.get(partition) else {
            return true;
        };
        match base {
            None => {
                let stale = entry.identity != identity && !entry.pending.is_empty();
                let retrying = entry.pending.iter().any(|pending| !pending.sent);
                // A broker that knows nothing of a producer takes any sequence for its first: until one batch is in, there
                // must be only one, or the second could overtake a first that is refused for another reason.
                let first = entry.last_acked.is_none() && !entry.pending.is_empty();
                let full = entry
                    .pending
                    .front()
                    .is_some_and(|oldest| entry.batches - oldest.number >= WINDOW_BATCHES);
                !full && !stale && !retrying && !first && !entry.renumber && entry.unresolved.is_empty()
            }
            // What waits to be renumbered is not sent, unless it is in doubt: then the broker has to say which.
            Some(base) if entry.renumber => {
                let quiet = entry.pending.iter().all(|pending| !pending.sent);
                let first = entry.pending.iter().find(|pending| pending.in_doubt);
                quiet && first.is_some_and(|pending| pending.base == base)
            }
            Some(base) => entry
                .pending
                .front()
                .is_some_and(|pending| pending.base == base && !pending.sent),
        }
    }

    /// Gives a batch that is about to be sent its sequence.
    ///
    /// # Panics
    /// If it may not be sent.
    pub(super) fn assign(&mut self, partition: &TopicPartition, count: i32) -> ProducerIdentity {
        let identity = self.identity.expect("may_send was asked");
        let entry = self
            .partitions
            .entry(partition.clone())
            .or_insert_with(|| Entry::new(identity));
        if entry.identity != identity {
            assert!(entry.pending.is_empty(), "may_send was asked");
            *entry = Entry::new(identity);
        }
        let base = entry.next;
        entry.next = base.plus(count);
        let number = entry.batches;
        entry.batches += 1;
        entry.pending.push_back(Pending {
            base,
            count,
            number,
            sent: true,
            in_doubt: false,
        });
        entry.producer(base)
    }

    /// Notes that a batch which has its sequence is sent again.
    pub(super) fn resend(&mut self, partition: &TopicPartition, base: Sequence) {
        if let Some(pending) = self.pending(partition, base) {
            pending.sent = true;
        }
    }

    /// The broker has the batch.
    pub(super) fn acked(&mut self, partition: &TopicPartition, base: Sequence) {
        let Some(entry) = self.partitions.get_mut(partition) else {
            return;
        };
        let Some(settled) = entry.take(base) else { return };
        let last = settled.base.plus(settled.count - 1);
        if entry.last_acked.is_none_or(|acked| is_after(last, acked)) {
            entry.last_acked = Some(last);
        }
    }

    /// No answer came: it may or may not have been written.
    pub(super) fn lost(&mut self, partition: &TopicPartition, base: Sequence) {
        if let Some(pending) = self.pending(partition, base) {
            pending.sent = false;
            pending.in_doubt = true;
        }
    }

    /// The broker refused the batch. Says whether to send it again; the caller may have reasons of its own not to.
    pub(super) fn refused(
        &mut self,
        partition: &TopicPartition,
        base: Sequence,
        refusal: Refusal,
    ) -> Verdict {
        let entry = self.partitions.get_mut(partition);
        let verdict = entry.map_or(Verdict::Fail, |entry| entry.refused(base, refusal));
        self.note(partition);
        verdict
    }

    /// The batch was given up: those behind it go on without it.
    pub(super) fn failed(&mut self, partition: &TopicPartition, base: Sequence) {
        let Some(entry) = self.partitions.get_mut(partition) else {
            return;
        };
        let Some(settled) = entry.take(base) else { return };
        if settled.in_doubt || settled.sent {
            entry.unresolved.push(settled.base.plus(settled.count));
        } else {
            entry.renumber = true;
        }
        self.note(partition);
    }

    /// A batch too large goes on as several, of so many records each, in its place and with its sequences.
    pub(super) fn split(&mut self, partition: &TopicPartition, base: Sequence, counts: &[i32]) {
        let Some(entry) = self.partitions.get_mut(partition) else {
            return;
        };
        let Some(index) = entry.pending.iter().position(|pending| pending.base == base) else {
            return;
        };
        let Some(whole) = entry.pending.remove(index) else {
            return;
        };
        // Those behind it are further from the oldest now.
        let more = counts.len().saturating_sub(1) as u64;
        entry
            .pending
            .iter_mut()
            .skip(index)
            .for_each(|behind| behind.number += more);
        entry.batches += more;
        let (mut base, mut number) = (base, whole.number);
        for (place, count) in (index..).zip(counts) {
            entry.pending.insert(
                place,
                Pending {
                    base,
                    count: *count,
                    number,
                    sent: false,
                    in_doubt: false,
                },
            );
            base = base.plus(*count);
            number += 1;
        }
    }

    /// Settles what can be settled now; gives the partitions whose batches get new sequences. A new producer id may have to
    /// be had first: then [`Sequences::identity`] is none.
    pub(super) fn settle(&mut self) -> Vec<(TopicPartition, Renumbering)> {
        let mut renumbered = Vec::new();
        if self.is_transactional {
            return renumbered;
        }
        for partition in std::mem::take(&mut self.unsettled) {
            if let Some(entry) = self.partitions.get_mut(&partition) {
                entry.resolve();
            }
            if let Some(changes) = self.renumber(&partition) {
                renumbered.push((partition.clone(), changes));
            }
            self.note(&partition);
        }
        renumbered
    }

    /// Begins the next epoch for a partition that waits for it, once nothing of it is at the broker or in doubt.
    fn renumber(&mut self, partition: &TopicPartition) -> Option<Renumbering> {
        let identity = self.identity?;
        let entry = self.partitions.get_mut(partition)?;
        if !entry.renumber || !entry.is_at_rest() {
            return None;
        }
        if entry.identity == identity {
            // Epochs are one for all partitions; the others change to it as they come to rest.
            self.identity = identity.epoch.next().map(|epoch| Identity { epoch, ..identity });
        }
        let mut renumbered = Entry::new(self.identity?);
        let mut changes = Vec::with_capacity(entry.pending.len());
        for pending in &entry.pending {
            let base = renumbered.next;
            changes.push((pending.base, renumbered.producer(base)));
            renumbered.pending.push_back(Pending {
                base,
                number: renumbered.batches,
                ..*pending
            });
            renumbered.batches += 1;
            renumbered.next = base.plus(pending.count);
        }
        *entry = renumbered;
        Some(changes)
    }

    /// Remembers a partition that needs settling.
    fn note(&mut self, partition: &TopicPartition) {
        let unsettled = |entry: &Entry| entry.renumber || !entry.unresolved.is_empty();
        if self.partitions.get(partition).is_some_and(unsettled) {
            self.unsettled.insert(partition.clone());
        }
    }

    fn pending(&mut self, partition: &TopicPartition, base: Sequence) -> Option<&mut Pending> {
        self.partitions
            .get_mut(partition)?
            .pending
            .iter_mut()
            .find(|pending| pending.base == base)
    }
}

/// What the broker said when it did not take a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    pub(super) code: ErrorCode,
    pub(super) log_start_offset_unknown: bool,
}

impl Entry {
    fn new(identity: Identity) -> Self {
        Self {
            identity,
            next: Sequence::ZERO,
            batches: 0,
            last_acked: None,
            pending: VecDeque::new(),
            renumber: false,
            unresolved: Vec::new(),
        }
    }

    /// Whether nothing of it is at the broker, or may be there.
    fn is_at_rest(&self) -> bool {
        !self
            .pending
            .iter()
            .any(|pending| pending.sent || pending.in_doubt)
    }

    fn producer(&self, base_sequence: Sequence) -> ProducerIdentity {
        ProducerIdentity {
            id: self.identity.id,
            epoch: self.identity.epoch,
            base_sequence,
        }
    }

    fn refused(&mut self, base: Sequence, refusal: Refusal) -> Verdict {
        let is_next = self.last_acked.map_or(Sequence::ZERO, |acked| acked.plus(1)) == base;
        let after_doubt = self.unresolved.contains(&base);
        let Some(pending) = self.pending.iter_mut().find(|pending| pending.base == base) else {
            return Verdict::Fail;
        };
        pending.sent = false;
        match refusal.code {
            // Five batches back the broker still knows; had it written this one, it would have said so.
            ErrorCode::OutOfOrderSequenceNumber => {
                pending.in_doubt = false;
                // Behind one that is to be sent again, it failed for that. Otherwise there is a gap that nothing will fill.
                self.renumber |= is_next || after_doubt;
                Verdict::Retry
            }
            // The broker has moved on before it could say what it has; it will.
            ErrorCode::UnknownProducerId if refusal.log_start_offset_unknown => Verdict::Retry,
            ErrorCode::UnknownProducerId => {
                pending.in_doubt = false;
                self.renumber = true;
                Verdict::Retry
            }
            code if code.is_retriable() => {
                pending.in_doubt |= may_be_written(code);
                Verdict::Retry
            }
            code => {
                pending.in_doubt |= may_be_written(code);
                Verdict::Fail
            }
        }
    }

    /// Settles what was in doubt where nothing is pending any more: if those behind it arrived, so did it, and if not, the
    /// partition begins anew.
    fn resolve(&mut self) {
        if !self.unresolved.is_empty() && self.pending.is_empty() {
            self.unresolved.clear();
            let settled = self.last_acked.map_or(Sequence::ZERO, |acked| acked.plus(1));
            self.renumber |= settled != self.next;
        }
    }

    fn take(&mut self, base: Sequence) -> Option<Pending> {
        let index = self.pending.iter().position(|pending| pending.base == base)?;
        self.pending.remove(index)
    }
}

/// Whether the leader may have appended a batch that it answered with this error.
fn may_be_written(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::RequestTimedOut
            | ErrorCode::NotEnoughReplicasAfterAppend
            | ErrorCode::NetworkException
            | ErrorCode::UnknownServerError
            | ErrorCode::KafkaStorageError
    )
}

/// Whether `a` comes after `b` on the circle of sequences, of which only a little is ever in use.
fn is_after(a: Sequence, b: Sequence) -> bool {
    let distance = a.0.wrapping_sub(b.0) & i32::MAX;
    distance != 0 && distance < i32::MAX / 2
}

#[cfg(test)]
mod tests;
