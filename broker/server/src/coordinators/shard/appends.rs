//! What a coordinator has decided is written in the order of its decisions, and it is told of each what became of it, in that order.

use std::sync::Arc;

use forebay_broker_coordinator::{Append, AppendId, Coordinator};
use tokio::sync::oneshot;

use super::{Active, Driver, Shard, State, batch};
use crate::error_code::HasErrorCode;
use crate::replicas;

/// Hears when an append is committed, or is not.
type Written = oneshot::Receiver<Result<forebay_broker_log::Appended, replicas::Error>>;

/// An append that is on its way.
pub(super) struct InFlight {
    id: AppendId,
    pub(super) result: Written,
    /// If it fails, those after it stand.
    alone: bool,
    /// One before it has failed, and the coordinator has taken back all that were decided on top of that.
    taken_back: bool,
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
            let Some(InFlight {
                id,
                result,
                alone,
                taken_back,
            }) = next
            else {
                return;
            };
            let result = result.await.unwrap_or(Err(replicas::Error::Lost));
            match result {
                // It was decided on top of one that failed, and taken back; yet it is in the log. The log is right.
                Ok(_) if taken_back => return self.reload().await,
                Err(_) if taken_back => {}
                result => self.settle(id, alone, result.map(drop)),
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
            Err(error) => {
                for later in active.appends.iter_mut().filter(|_| !alone) {
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
