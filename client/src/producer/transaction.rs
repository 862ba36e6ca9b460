//! The transactions of a producer (Kafka's `TransactionManager`; KIP-98, KIP-360, KIP-447, KIP-890): what may be done now, what
//! the coordinators are asked next (`requests.rs`), what errors mean (`class.rs`). Pure: users ask, the sender carries requests
//! and tells what came back, nothing here waits.
//!
//! Two orders must hold. With version 1 a partition's first batch goes only once the coordinator has the partition; and the
//! end is asked for only when no batch of the transaction is on its way any more.

mod class;
mod requests;

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    sync::Arc,
};

use forebay_protocol::TopicPartition;
use tokio::sync::watch;

use super::sequences::Identity;
use crate::{consumer::GroupMetadata, error::Error, group_offsets::Offsets};

pub(super) use class::{Class, Kind};
pub(super) use requests::{Answer, Request, Settled};

/// Where a transactional producer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum State {
    /// Nothing was asked for yet. To Initializing.
    Uninitialized,
    /// The coordinator is asked for a producer id, or for the next epoch. To Ready.
    Initializing,
    /// There is no transaction. To `InTransaction`.
    Ready,
    /// Records are sent. To Committing, Aborting and `AbortableError`.
    InTransaction,
    /// The end waits for batches, offsets and the coordinator. To Ready, Initializing and `AbortableError`.
    Committing,
    /// The same. To Ready and Initializing.
    Aborting,
    /// Something is lost: the transaction can only be aborted. To Aborting.
    AbortableError,
    /// The producer can only be closed. From anywhere, to nowhere.
    FatalError,
}

/// How transactions work in the cluster (the feature `transaction.version`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Version {
    /// Partitions are added before they are written to, and epochs last.
    #[default]
    V1,
    /// Writing adds, and every end brings a new epoch (KIP-890).
    V2,
}

impl Version {
    /// Of the level that the cluster has finalized.
    pub(super) fn of_feature(level: i16) -> Self {
        if level >= 2 { Self::V2 } else { Self::V1 }
    }
}

/// What a user waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Init,
    Commit,
    Abort,
}

impl Operation {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Init => "init_transactions",
            Self::Commit => "commit_transaction",
            Self::Abort => "abort_transaction",
        }
    }
}

/// What becomes of something that was asked for; `None`: nothing yet.
pub(super) type Outcome = watch::Receiver<Option<Result<(), Error>>>;

/// The other end of it.
type Promise = watch::Sender<Option<Result<(), Error>>>;

/// The one operation that is under way, or whose outcome nobody has taken.
#[derive(Debug)]
struct Pending {
    operation: Operation,
    promise: Promise,
    /// Whether a user has waited for the outcome to its end.
    taken: bool,
    /// The transaction has ended as was asked: what fails from here on is what the next one begins with.
    has_ended: bool,
}

/// Offsets to be committed with the transaction.
#[derive(Debug)]
struct PendingOffsets {
    group: GroupMetadata,
    offsets: Offsets,
    /// Whether the transaction's coordinator knows of the group.
    added: bool,
    promise: Promise,
}

/// The state machine.
#[derive(Debug)]
pub(super) struct Transactions {
    id: Arc<str>,
    timeout_ms: i32,
    state: State,
    version: Version,
    identity: Option<Identity>,
    /// Whether the coordinator gives the next epoch to who asks for it (KIP-360).
    can_bump: bool,
    /// Whether the next epoch has to be asked for after the end.
    bump: bool,
    /// Written to, and not yet known to the coordinator.
    new_partitions: BTreeSet<TopicPartition>,
    /// Known to the coordinator, or about to be by being written to.
    partitions: HashSet<TopicPartition>,
    offsets: VecDeque<PendingOffsets>,
    /// Whether the coordinator may know of the transaction.
    started: bool,
    /// An attempt to have the coordinator know of it that went unanswered: before an abort can end anything, it has to be known.
    add_in_doubt: Option<Request>,
    /// What was in doubt was refused when it was asked again, so only an end can tell; it may find nothing to end.
    end_may_be_needless: bool,
    /// Whether the coordinator was asked for the end: what fails now was no part of it.
    end_asked: bool,
    /// Whether an attempt at the end went unanswered.
    end_in_doubt: bool,
    pending: Option<Pending>,
    /// Why it is in an error state.
    error: Option<Error>,
}

impl Transactions {
    pub(super) fn new(id: &str, timeout_ms: i32) -> Self {
        Self {
            id: id.into(),
            timeout_ms,
            state: State::Uninitialized,
            version: Version::V1,
            identity: None,
            can_bump: false,
            bump: false,
            new_partitions: BTreeSet::new(),
            partitions: HashSet::new(),
            offsets: VecDeque::new(),
            started: false,
            add_in_doubt: None,
            end_may_be_needless: false,
            end_asked: false,
            end_in_doubt: false,
            pending: None,
            error: None,
        }
    }

    pub(super) fn id(&self) -> &Arc<str> {
        &self.id
    }

    #[cfg(test)]
    pub(super) fn state(&self) -> State {
        self.state
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// Whether there is a transaction that has not ended.
    pub(super) fn is_open(&self) -> bool {
        matches!(
            self.state,
            State::InTransaction | State::Committing | State::Aborting | State::AbortableError
        )
    }

    /// Whether a request is due, or will be.
    pub(super) fn is_busy(&self) -> bool {
        matches!(
            self.state,
            State::Initializing | State::Committing | State::Aborting
        )
    }

    /// Begins to ask for a producer id; ends what an earlier producer of the id has left open.
    pub(super) fn init(&mut self) -> Result<Outcome, Error> {
        self.operation(Operation::Init, |this| {
            this.check_error()?;
            match this.state {
                State::Uninitialized => this.state = State::Initializing,
                _ => return Err(this.misplaced(Operation::Init.name())),
            }
            Ok(())
        })
    }

    /// Begins a transaction; `version` is what the cluster says now.
    pub(super) fn begin(&mut self, version: Version) -> Result<(), Error> {
        self.check_pending("begin_transaction")?;
        self.check_error()?;
        if self.state != State::Ready {
            return Err(self.misplaced("begin_transaction"));
        }
        self.state = State::InTransaction;
        // Another version holds from the next epoch on, so that nothing of the one is taken for the other's.
        self.bump = version != self.version;
        Ok(())
    }

    /// Whether a record may be sent now.
    pub(super) fn check_send(&self) -> Result<(), Error> {
        self.check_pending("send")?;
        self.check_error()?;
        match self.state {
            State::InTransaction => Ok(()),
            _ => Err(self.misplaced("send")),
        }
    }

    /// Takes offsets to be committed with the transaction.
    pub(super) fn send_offsets(&mut self, offsets: Offsets, group: GroupMetadata) -> Result<Outcome, Error> {
        self.check_pending("send_offsets_to_transaction")?;
        self.check_error()?;
        if self.state != State::InTransaction {
            return Err(self.misplaced("send_offsets_to_transaction"));
        }
        let (promise, outcome) = watch::channel(None);
        if offsets.is_empty() {
            promise.send_replace(Some(Ok(())));
        } else {
            let added = false;
            self.offsets.push_back(PendingOffsets {
                group,
                offsets,
                added,
                promise,
            });
        }
        Ok(outcome)
    }

    /// Begins to commit.
    pub(super) fn commit(&mut self) -> Result<Outcome, Error> {
        self.operation(Operation::Commit, |this| {
            this.check_error()?;
            match this.state {
                State::InTransaction => this.state = State::Committing,
                _ => return Err(this.misplaced(Operation::Commit.name())),
            }
            Ok(())
        })
    }

    /// Begins to abort: what has not been sent will not be.
    pub(super) fn abort(&mut self) -> Result<Outcome, Error> {
        self.operation(Operation::Abort, |this| {
            if this.state != State::AbortableError {
                this.check_error()?;
            }
            match this.state {
                State::InTransaction | State::AbortableError => this.state = State::Aborting,
                _ => return Err(this.misplaced(Operation::Abort.name())),
            }
            this.error = None;
            this.drop_unsent(&Error::TransactionAborted);
            Ok(())
        })
    }

    /// A user has seen how an operation ended: another may begin.
    pub(super) fn taken(&mut self, operation: Operation) {
        if let Some(pending) = self.pending.as_mut().filter(|one| one.operation == operation) {
            pending.taken = pending.promise.borrow().is_some();
        }
    }

    /// Begins an operation, or joins the one of its kind that a user did not wait for to its end.
    fn operation(
        &mut self,
        operation: Operation,
        begin: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<Outcome, Error> {
        if let Some(pending) = self.pending.as_ref().filter(|pending| !pending.taken) {
            if pending.operation == operation {
                return Ok(pending.promise.subscribe());
            }
            self.check_pending(operation.name())?;
        }
        begin(self)?;
        let (promise, outcome) = watch::channel(None);
        self.pending = Some(Pending {
            operation,
            promise,
            taken: false,
            has_ended: false,
        });
        Ok(outcome)
    }

    fn check_pending(&self, attempted: &str) -> Result<(), Error> {
        let Some(pending) = self.pending.as_ref().filter(|pending| !pending.taken) else {
            return Ok(());
        };
        let operation = pending.operation.name();
        Err(Error::IllegalState(
            format!(
                "Cannot attempt operation `{attempted}` because the previous call to `{operation}` timed out and must be retried"
            )
            .into(),
        ))
    }

    fn check_error(&self) -> Result<(), Error> {
        match (&self.error, self.state) {
            (Some(error), State::AbortableError | State::FatalError) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    fn misplaced(&self, attempted: &str) -> Error {
        let (id, state) = (&self.id, self.state);
        Error::IllegalState(
            format!("TransactionalId {id}: Invalid transition attempted from state {state:?} by {attempted}")
                .into(),
        )
    }

    /// Whether a batch that was not sent before may go now; notes that the coordinator has to know of its partition.
    pub(super) fn may_send(&mut self, partition: &TopicPartition) -> bool {
        if !matches!(self.state, State::InTransaction | State::Committing) {
            return false;
        }
        if self.partitions.contains(partition) {
            return true;
        }
        match self.version {
            Version::V2 => {
                self.partitions.insert(partition.clone());
                self.started = true;
                true
            }
            Version::V1 => {
                self.new_partitions.insert(partition.clone());
                false
            }
        }
    }

    /// Why what has not been sent is to fail, if it is.
    pub(super) fn unsendable(&self) -> Option<Error> {
        match self.state {
            State::Aborting | State::AbortableError => Some(Error::TransactionAborted),
            State::FatalError => self.error.clone(),
            _ => None,
        }
    }

    /// Whether nothing is sent any more, not even what was sent before.
    pub(super) fn is_dead(&self) -> bool {
        self.state == State::FatalError
    }

    /// A batch, or a record that was to go into one, has failed: a commit would be a lie.
    pub(super) fn batch_failed(&mut self, error: &Error) {
        match class::of_batch(error) {
            Class::Fenced => self.fenced(),
            Class::Fatal => self.fatal(error),
            _ if self.end_asked => {}
            Class::Retry | Class::Abort | Class::AbortAndBump => {
                // The sequences of its partition have a gap; with version 2 every end brings a new epoch.
                self.bump |= self.version == Version::V1;
                self.abortable(error);
            }
        }
    }

    /// The transaction can only be aborted. Without one, or while it is aborted, that is no news.
    fn abortable(&mut self, error: &Error) {
        if self.bump && !self.can_bump && self.version == Version::V1 {
            return self.fatal(error);
        }
        let was_committing = self.state == State::Committing;
        if !matches!(
            self.state,
            State::InTransaction | State::Committing | State::AbortableError
        ) {
            return;
        }
        let error = Error::TransactionAbortable(Box::new(error.clone()));
        if self.state != State::AbortableError {
            tracing::info!("{}: {error}", self.id);
        }
        self.state = State::AbortableError;
        self.drop_unsent(&error);
        self.error.get_or_insert(error.clone());
        if was_committing {
            self.end(Err(error));
        }
    }

    fn fenced(&mut self) {
        let identity = self.identity.map(|identity| (identity.id, identity.epoch));
        self.die(Error::ProducerFenced {
            transactional_id: Arc::clone(&self.id),
            identity,
        });
    }

    fn fatal(&mut self, error: &Error) {
        self.die(Error::TransactionFatal {
            transactional_id: Arc::clone(&self.id),
            source: Box::new(error.clone()),
        });
    }

    fn die(&mut self, error: Error) {
        if self.state == State::FatalError {
            return;
        }
        let was_committing = self.state == State::Committing;
        tracing::info!("{}: {error}", self.id);
        self.state = State::FatalError;
        self.drop_unsent(&error);
        self.error = Some(error.clone());
        self.end(Err(if was_committing && self.end_in_doubt {
            Error::UnknownOutcome {
                transactional_id: Arc::clone(&self.id),
                source: Box::new(error),
            }
        } else {
            error
        }));
    }

    /// Nobody adds partitions to a transaction that will not be committed, nor offsets.
    fn drop_unsent(&mut self, error: &Error) {
        self.new_partitions.clear();
        for offsets in self.offsets.drain(..) {
            offsets.promise.send_replace(Some(Err(error.clone())));
        }
    }

    /// Tells how the pending operation went.
    fn end(&mut self, outcome: Result<(), Error>) {
        if let Some(pending) = &self.pending {
            let outcome = if pending.has_ended { Ok(()) } else { outcome };
            pending.promise.send_if_modified(|told| {
                let is_news = told.is_none();
                if is_news {
                    *told = Some(outcome);
                }
                is_news
            });
        }
    }
}

#[cfg(test)]
mod tests;
