//! What only time brings about: transactions that take too long are aborted and their producers fenced; ids that nobody uses are forgotten.

use forebay_protocol::Utf8Bytes;
use forebay_records::Timestamp;

use super::{Deadline, Refusal, TransactionCoordinator};
use crate::Now;
use crate::transaction::{Action, Event, Outcome};

impl TransactionCoordinator {
    /// From now on both are looked for.
    pub(super) fn begin_rounds(&mut self, now: Now) {
        self.look_again(Deadline::AbortTimedOut, now);
        self.look_again(Deadline::RemoveExpired, now);
    }

    fn look_again(&mut self, deadline: Deadline, now: Now) {
        let interval = match deadline {
            Deadline::AbortTimedOut => self.config.abort_timed_out_interval,
            _ => self.config.remove_expired_interval,
        };
        self.deadlines
            .insert((now.elapsed.saturating_add(interval), deadline));
    }

    /// Aborts transactions that are open for longer than they may be.
    pub(super) fn abort_timed_out(&mut self, now: Now, outcome: &mut Outcome) {
        self.look_again(Deadline::AbortTimedOut, now);
        let timed_out = self
            .transactions
            .iter()
            .filter(|(_, one)| one.pending.is_none() && one.metadata.is_timed_out(now.timestamp));
        let timed_out: Vec<_> = timed_out
            .map(|(id, one)| (id.clone(), one.metadata.clone()))
            .collect();
        for (id, metadata) in timed_out {
            let next = match self.fenced(&metadata, now) {
                Ok(next) => next,
                Err(Refusal::NeedsProducerId) => {
                    // The next round finds it.
                    outcome.actions.push(Action::AllocateProducerId);
                    continue;
                }
                Err(Refusal::Error(_)) => continue,
            };
            let state = next.state;
            let event = match self.write(&id, next, None, now, outcome) {
                Ok(()) => Event::TimedOut {
                    transactional_id: id,
                    producer_id: metadata.producer_id,
                },
                Err(refusal) => Event::NotWritten {
                    transactional_id: id,
                    state,
                    error: refusal.error(),
                },
            };
            outcome.events.push(event);
        }
    }

    /// Forgets ids that have had no transaction for as long as they are kept.
    pub(super) fn remove_expired(&mut self, now: Now, outcome: &mut Outcome) {
        self.look_again(Deadline::RemoveExpired, now);
        let kept_ms = i64::try_from(self.config.id_expiration.as_millis()).unwrap_or(i64::MAX);
        let last = Timestamp(now.timestamp.0.saturating_sub(kept_ms));
        let expired = self.transactions.iter().filter(|(_, one)| {
            one.pending.is_none() && one.metadata.state.is_idle() && one.metadata.last_update <= last
        });
        let expired: Vec<Utf8Bytes> = expired.map(|(id, _)| id.clone()).collect();
        self.write_tombstones(expired, outcome);
    }
}
