//! Where a source task's transactions end (`transaction.boundary`, KIP-618): with each batch, after a time, or where the task says.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use forebay_connect_api::TransactionContext;
use tokio::time::Instant;

use crate::connector_config::TransactionBoundary;

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With its records.
    Commit,
    /// Without them; their offsets are committed all the same.
    Abort,
}

/// Decides.
#[derive(Debug)]
pub(super) enum Boundary {
    Poll,
    /// After so long, and when that is next.
    Interval(Duration, Instant),
    Connector(Arc<Requests>),
}

impl Boundary {
    /// `interval` is the worker's, for who gives none.
    pub(super) fn new(boundary: TransactionBoundary, interval: Duration) -> Self {
        match boundary {
            TransactionBoundary::Poll => Self::Poll,
            TransactionBoundary::Interval(own) => {
                let interval = own.unwrap_or(interval);
                Self::Interval(interval, Instant::now() + interval)
            }
            TransactionBoundary::Connector => Self::Connector(Arc::default()),
        }
    }

    /// Whether each batch is to be committed as soon as it can be.
    pub(super) fn is_poll(&self) -> bool {
        matches!(self, Self::Poll)
    }

    /// Where the task says.
    pub(super) fn requests(&self) -> Option<&Arc<Requests>> {
        match self {
            Self::Connector(requests) => Some(requests),
            _ => None,
        }
    }

    /// When a transaction is to end at the latest.
    pub(super) fn due(&self) -> Option<Instant> {
        match self {
            Self::Interval(_, next) => Some(*next),
            _ => None,
        }
    }

    /// A transaction has ended, or there was none: the next interval begins.
    pub(super) fn ended(&mut self) {
        if let Self::Interval(interval, next) = self {
            *next = Instant::now() + *interval;
        }
    }

    /// What to do after the record at this place of the batch.
    pub(super) fn after_record(&self, place: usize) -> Option<End> {
        self.requests()
            .and_then(|requests| requests.lock().after_record(place))
    }

    /// What to do after the batch.
    pub(super) fn after_batch(&self) -> Option<End> {
        match self {
            Self::Poll => Some(End::Commit),
            Self::Interval(_, next) => (*next <= Instant::now()).then_some(End::Commit),
            Self::Connector(requests) => requests.lock().after_batch(),
        }
    }

    /// What to do with what was sent before the task stops or pauses, in the middle of a batch or not.
    pub(super) fn at_end(&self, is_cut: bool) -> Option<End> {
        match self {
            Self::Poll => (!is_cut).then_some(End::Commit),
            Self::Interval(..) => Some(End::Commit),
            Self::Connector(requests) => {
                // What was asked for about a batch that did not come.
                *requests.lock() = Asked::default();
                None
            }
        }
    }
}

/// What the task has asked for about the batch that it gave last.
#[derive(Debug, Default)]
pub(super) struct Requests(Mutex<Asked>);

#[derive(Debug, Default)]
struct Asked {
    commit_on: BTreeSet<usize>,
    abort_on: BTreeSet<usize>,
    commit: bool,
    abort: bool,
}

impl Asked {
    fn after_record(&mut self, place: usize) -> Option<End> {
        let (commit, abort) = (self.commit_on.remove(&place), self.abort_on.remove(&place));
        end(commit, abort)
    }

    fn after_batch(&mut self) -> Option<End> {
        // What was asked about places that the batch does not have was about nothing.
        let asked = std::mem::take(self);
        end(asked.commit, asked.abort)
    }
}

fn end(commit: bool, abort: bool) -> Option<End> {
    if abort {
        Some(End::Abort)
    } else {
        commit.then_some(End::Commit)
    }
}

impl Requests {
    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.0.lock().expect("nobody panics with it")
    }
}

impl TransactionContext for Requests {
    fn commit_transaction(&self) {
        self.lock().commit = true;
    }

    fn commit_transaction_on(&self, place: usize) {
        self.lock().commit_on.insert(place);
    }

    fn abort_transaction(&self) {
        self.lock().abort = true;
    }

    fn abort_transaction_on(&self, place: usize) {
        self.lock().abort_on.insert(place);
    }
}
