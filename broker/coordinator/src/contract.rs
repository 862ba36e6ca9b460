//! The words between the coordinator and whoever drives it: what goes in with a request, what comes out of a call.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use forebay_protocol::{ErrorCode, Utf8Bytes};
use forebay_records::{ProducerEpoch, ProducerId, RecordBatch, Timestamp};

use crate::{Command, Response};

/// A coordinator over one partition of its topic, as its driver sees it; the crate's documentation says in which order to call what.
pub trait Coordinator: Sized {
    /// What can be asked.
    type Command;
    /// What is answered.
    type Response;
    /// What an operator may want to read.
    type Event: fmt::Display;
    /// What the driver is to do besides writing and answering.
    type Action;
    /// Why a partition cannot be read back.
    type Error;

    /// The answer of a coordinator that is not there, or still loads.
    fn refuse(request: Request<Self::Command>, error: ErrorCode) -> Completion<Self::Response>;
    /// Reads back a batch of the partition, before `activate`.
    ///
    /// # Errors
    /// What cannot be read: the partition should not be coordinated from here.
    fn replay_batch(&mut self, batch: &RecordBatch) -> Result<(), Self::Error>;
    /// All records are read.
    fn activate(&mut self, now: Now) -> OutcomeOf<Self>;
    /// How large a batch may be from now on: an append of more bytes is not decided.
    fn set_append_bytes_max(&mut self, bytes: usize);
    /// Decides what a request asks.
    fn handle(&mut self, request: Request<Self::Command>, now: Now) -> OutcomeOf<Self>;
    /// When `tick` has something to do, on the monotonic clock.
    fn next_deadline(&self) -> Option<Duration>;
    /// Does what the time has come for.
    fn tick(&mut self, now: Now) -> OutcomeOf<Self>;
    /// An append is committed.
    fn committed(&mut self, append: AppendId, now: Now) -> OutcomeOf<Self>;
    /// An append could not be written, and no later one is to be; but one that is part of a transaction is alone in this.
    fn append_failed(&mut self, from: AppendId, error: ErrorCode, now: Now) -> OutcomeOf<Self>;
    /// Appends that are parts of transactions could not be written, and all others stand.
    fn appends_refused(&mut self, refused: &[(AppendId, ErrorCode)], now: Now) -> OutcomeOf<Self>;
    /// Leadership is lost.
    fn resign(self, now: Now) -> Vec<Completion<Self::Response>>;
    /// Whether an operator should act on an event, not only be able to find it.
    fn is_alarming(event: &Self::Event) -> bool;
}

/// What a call of a kind of coordinator has decided.
pub type OutcomeOf<C> =
    Outcome<<C as Coordinator>::Response, <C as Coordinator>::Event, <C as Coordinator>::Action>;

/// The two clocks at the moment of a call. Timers follow the monotonic one, records and expiry the wall clock, so that a step of the
/// wall clock ends nobody's session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The wall clock.
    pub timestamp: Timestamp,
    /// The monotonic clock, from an origin that stays the same for one coordinator. `next_deadline` is on it.
    pub elapsed: Duration,
}

/// A request as its driver numbers it: unique among the requests that one coordinator has not answered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Where a request comes from and which version of its API it speaks (Kafka's `RequestContext`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestContext {
    /// The version of the request.
    pub api_version: i16,
    /// The client id of the request header, empty where it has none; new member ids open with it.
    pub client_id: Utf8Bytes,
    /// The client's address as Kafka prints it, `/127.0.0.1`.
    pub client_host: Utf8Bytes,
}

/// A request that has arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Request<C = Command> {
    /// Its [`Completion`] will carry it.
    pub id: RequestId,
    /// Who asks.
    pub context: RequestContext,
    /// What is asked.
    pub command: C,
}

/// The answer to a request; sent at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion<R = Response> {
    /// Whose answer it is.
    pub request: RequestId,
    /// What to send.
    pub response: R,
}

/// A set of records that is written as one. Ids grow by one in the order in which appends must be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppendId(pub u64);

/// One record of a coordinator's topic, encoded; no value: a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The key, opening with its two-byte version, which is also the type of the record.
    pub key: Bytes,
    /// The value, opening with its two-byte version; `None` deletes what the key names.
    pub value: Option<Bytes>,
}

/// Records to write in one batch, in this order, after those of every append with a smaller id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// To be given back in `committed` or `append_failed`.
    pub id: AppendId,
    /// Empty only at the end of a transaction.
    pub records: Vec<Record>,
    /// The transaction that the records are part of or that ends here.
    pub transaction: Option<TransactionPart>,
}

/// What an append is to a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionPart {
    /// Its records are of the transaction: a transactional batch of this producer, which shares its batch with nothing else.
    Records {
        /// Whose transaction.
        producer_id: ProducerId,
        /// The producer's epoch.
        producer_epoch: ProducerEpoch,
        /// As it came with the command: the log's affair.
        verification: u64,
    },
    /// The marker that ends it; without records.
    End(EndOfTransaction),
}

/// The end of a transaction as its coordinator decided it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndOfTransaction {
    /// Whose transaction.
    pub producer_id: ProducerId,
    /// The epoch of the marker.
    pub producer_epoch: ProducerEpoch,
    /// The epoch of the coordinator.
    pub coordinator_epoch: i32,
    /// The `transaction.version` by which it was decided.
    pub transaction_version: u16,
    /// Committed, or aborted.
    pub commit: bool,
}

/// What a call has decided. Answers that have to wait for an append are not in here: they come out of `committed`.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "its appends must be written and its completions sent"]
pub struct Outcome<R = Response, E = Event, A = Action> {
    /// To be written, in order.
    pub appends: Vec<Append>,
    /// To be sent, in order.
    pub completed: Vec<Completion<R>>,
    /// What an operator may want to read in the log.
    pub events: Vec<E>,
    /// To be begun, in order; what comes of them is told by commands.
    pub actions: Vec<A>,
}

impl<R, E, A> Default for Outcome<R, E, A> {
    fn default() -> Self {
        Self {
            appends: Vec::new(),
            completed: Vec::new(),
            events: Vec::new(),
            actions: Vec::new(),
        }
    }
}

/// What the driver of a group coordinator is to do beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Hold regular expressions against the names of all topics ([`resolve_expressions`](crate::resolve_expressions)), which takes time,
    /// and tell [`Command::ExpressionsResolved`].
    ResolveExpressions {
        /// Whose members subscribe to them.
        group: Utf8Bytes,
        /// To be told with what comes of it.
        number: u64,
        /// The expressions.
        expressions: Vec<Utf8Bytes>,
        /// None of them has ever been: members wait for it.
        are_new: bool,
    },
}

/// Something that happened to a group; prints as the line that Kafka logs for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A rebalance begins.
    PreparingRebalance {
        /// The group.
        group: Utf8Bytes,
        /// The generation that ends.
        generation: i32,
        /// Why, with the client's own words (KIP-800).
        reason: String,
    },
    /// A generation has its members; they may sync.
    Stabilized {
        /// The group.
        group: Utf8Bytes,
        /// The generation that begins.
        generation: i32,
        /// How many members it has.
        members: usize,
    },
    /// The last member is gone.
    Empty {
        /// The group.
        group: Utf8Bytes,
        /// The generation without members.
        generation: i32,
    },
    /// Members are out.
    MembersRemoved {
        /// The group.
        group: Utf8Bytes,
        /// Their ids.
        members: Vec<Utf8Bytes>,
        /// Why.
        reason: String,
    },
    /// A static member's id gave way to that of its successor, which fences it.
    StaticMemberReplaced {
        /// The group.
        group: Utf8Bytes,
        /// Its `group.instance.id`.
        instance: Utf8Bytes,
        /// The id that is fenced.
        old: Utf8Bytes,
        /// The id that is valid.
        new: Utf8Bytes,
    },
    /// A group goes from one protocol to the other.
    Converted {
        /// The group.
        group: Utf8Bytes,
        /// The type that it had.
        from: &'static str,
        /// The type that it has.
        to: &'static str,
    },
    /// The metadata of a group could not be written.
    MetadataNotWritten {
        /// The group.
        group: Utf8Bytes,
        /// Why.
        error: ErrorCode,
    },
    /// Tombstones were written for offsets and groups that nobody uses any more.
    Expired {
        /// How many offsets.
        offsets: usize,
        /// How many groups.
        groups: usize,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PreparingRebalance {
                group,
                generation,
                reason,
            } => write!(
                formatter,
                "Preparing to rebalance group {group} in state PreparingRebalance with old generation {generation} \
                 (reason: {reason})."
            ),
            Self::Stabilized {
                group,
                generation,
                members,
            } => {
                write!(
                    formatter,
                    "Stabilized group {group} generation {generation} with {members} members."
                )
            }
            Self::Empty { group, generation } => {
                write!(
                    formatter,
                    "Group {group} with generation {generation} is now empty."
                )
            }
            Self::MembersRemoved {
                group,
                members,
                reason,
            } => {
                let members = members
                    .iter()
                    .map(|member| &**member)
                    .collect::<Vec<_>>()
                    .join(", ");
                write!(formatter, "Group {group} removed members {members}: {reason}")
            }
            Self::StaticMemberReplaced {
                group,
                instance,
                old,
                new,
            } => write!(
                formatter,
                "Static member with groupInstanceId={instance} of group {group}: member id {new} replaces {old}."
            ),
            Self::Converted { group, from, to } => {
                write!(formatter, "Converted the {from} group {group} to a {to} group.")
            }
            Self::MetadataNotWritten { group, error } => {
                write!(formatter, "Failed to write metadata for group {group}: {error:?}")
            }
            Self::Expired { offsets, groups } => {
                write!(
                    formatter,
                    "Removed {offsets} expired offsets and {groups} groups."
                )
            }
        }
    }
}
