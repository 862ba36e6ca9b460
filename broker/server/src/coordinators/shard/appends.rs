//! What a coordinator has decided is written in the order of its decisions, and it is told of each what became of it, in that order.

use std::sync::Arc;

use forebay_broker_coordinator::{Append, AppendId, Coordinator};
use forebay_protocol::ErrorCode;
use tokio::sync::oneshot;

use super::{Active, Driver, Shard, State, batch};
use crate::error_code::HasErrorCode;
use crate::replicas;

/// Hears when an append is committed, or is not.
type Written = oneshot::Receiver<Result<forebay_broker_log::Appended, replicas::Error>>;

/// An append that is on its way.
pub(super) struct InFlight {
    id: AppendId,
    result: Written,
    /// What has come of it, where somebody has looked before its turn.
    known: Option<Result<(), replicas::Error>>,
    /// If it fails, those after it stand.
    alone: bool,
    /// One before it has failed, and the coordinator has taken back all that were decided on top of that.
    taken_back: bool,
}

impl InFlight {
    /// Its error, if it is one that fails alone and that is known already.
    fn refused(&mut self) -> Option<(AppendId, ErrorCode)> {
        if !self.alone || self.taken_back {
            return None;
        }
        if self.known.is_none() {
            self.known = self.result.try_recv().ok().map(|result| result.map(drop));
        }
        match &self.known {
            Some(Err(error)) => Some((self.id, error.error_code())),
            _ => None,
        }
    }

    pub(super) async fn result(self) -> Result<(), replicas::Error> {
        match self.known {
            Some(known) => known,
            None => self.result.await.unwrap_or(Err(replicas::Error::Lost)).map(drop),
        }
    }
}

impl<D: Driver> Shard<D> {
    /// Writes, and sees to it that somebody waits for it.
    pub(super) fn write(self: &Arc<Self>, active: &mut Active<D>, appends: Vec<Append>) {
        for append in appends {
            let (id, alone) = (append.id, append.transaction.is_some());
            let result = self.append(append);
            active.appends.push_back(InFlight {
                id,
                result,
                known: None,
                alone,
                taken_back: false,
            });
        }
        if !active.committing && !active.appends.is_empty() {
            active.committing = true;
            tokio::spawn(Arc::clone(self).commit());
        }
    }

    /// Queues the records of an append. One that cannot be queued is one that fails in its turn.
    fn append(&self, append: Append) -> Written {
        let new = batch::of(append).map_err(|error| {
            tracing::error!(partition = self.partition, %error, "records of a {} cannot be encoded", D::WHAT);
            replicas::Error::Lost
        });
        let queued = new.and_then(|new| self.replica.append(new));
        queued.unwrap_or_else(|error| {
            let (sender, receiver) = oneshot::channel();
            // The receiver is right here.
            let _kept = sender.send(Err(error));
            receiver
        })
    }

    /// Tells the coordinator what became of its appends, one after the other, until none is on its way.
    async fn commit(self: Arc<Self>) {
        loop {
            let next = match &mut *self.state() {
                State::Active(active) => {
                    let next = active.appends.pop_front();
                    active.committing = next.is_some();
                    next
                }
                State::Loading | State::Resigned => None,
            };
            let Some(next) = next else { return };
            let InFlight {
                id,
                alone,
                taken_back,
                ..
            } = next;
            match next.result().await {
                // It was decided on top of one that failed, and taken back; yet it is in the log. The log is right.
                Ok(()) if taken_back => return self.reload().await,
                Err(_) if taken_back => {}
                result => self.settle(id, alone, result),
            }
        }
    }

    /// An append is in the log and committed, or is not.
    fn settle(self: &Arc<Self>, id: AppendId, alone: bool, result: Result<(), replicas::Error>) {
        let mut state = self.state();
        let State::Active(active) = &mut *state else {
            return;
        };
        let outcome = match result {
            Ok(()) => active.coordinator.committed(id, self.now()),
            Err(error) if alone => {
                // All that the same write has refused, at once: each time, all that was decided later is decided once more.
                let mut refused = vec![(id, error.error_code())];
                active.appends.retain_mut(|later| match later.refused() {
                    Some(one) => {
                        refused.push(one);
                        false
                    }
                    None => true,
                });
                active.coordinator.appends_refused(&refused, self.now())
            }
            Err(error) => {
                for later in &mut active.appends {
                    later.taken_back = true;
                }
                active
                    .coordinator
                    .append_failed(id, error.error_code(), self.now())
            }
        };
        self.carry_out(active, outcome);
    }
}
