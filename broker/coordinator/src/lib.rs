//! The group coordinator (Kafka's `GroupCoordinatorShard`) as a pure state machine: one [`GroupCoordinator`] is one
//! partition of `__consumer_offsets`. No clock, socket, lock, `.await` or randomness in here: `now` and the fresh
//! uuid for a new member id are parameters, so one node, a cluster and a seeded simulation run the same code.
//!
//! # The contract with the driver
//!
//! 1. **Load.** Before anything else every batch of the partition is given to [`replay_batch`](GroupCoordinator::replay_batch),
//!    oldest first, then [`activate`](GroupCoordinator::activate) starts the timers. Until then the
//!    driver itself answers COORDINATOR_LOAD_IN_PROGRESS ([`Request::refuse`] builds the answer of each API).
//! 2. **Decide.** `handle(request, now)` and `tick(now)` return an [`Outcome`]: appends to write and
//!    requests that are answered now. A request is answered exactly once, by the [`Completion`] that carries its
//!    [`RequestId`], from this call or from a later one. The driver calls `tick` no earlier than `next_deadline`.
//! 3. **Append.** The records of an [`Append`] go into ONE batch (it is never larger than
//!    [`Config::append_bytes_max`]); several appends may share a batch, unless they are part of a transaction: such an append is a
//!    transactional batch of the transaction's producer, or the marker that ends it ([`TransactionPart`]). Appends are written in the
//!    order of their ids.
//! 4. **Commit.** When the high watermark has passed the last record of an append, `committed(id, now)` says so; what waited for
//!    it is released once all earlier ones are committed, too. If an append cannot be written, `append_failed(id, error, now)`
//!    takes back that append AND every later one (they were decided on top of it), as Kafka's timeline snapshots do, and
//!    answers their requests with the error that Kafka maps `error` to. The driver then throws away the records of those
//!    appends; should the log hold some of them after all, the log is right: the driver resigns this coordinator and loads
//!    another. An append that is part of a transaction is taken back alone, and the driver goes on with the later ones: a log
//!    refuses such for its producer's sake, which any client can bring about; all of which that is known at a time come in one
//!    `appends_refused([(id, error)], now)`. Each call returns an [`Outcome`] of its own.
//! 5. **Act.** What an [`Action`] asks for is done beside the coordinator, and told by a command.
//! 6. **Resign.** When leadership goes, `resign(now)` answers everything that is parked or waits with NOT_COORDINATOR; the
//!    value is then dropped.
//!
//! # What is persisted and what is not
//!
//! `replay` (and the same function for our own records, at the moment they are decided) is the only mutator of what is
//! persisted: group metadata and committed offsets, kept as timelines so that commands decide on the newest state,
//! OffsetFetch, ListGroups and DescribeGroups read the committed one, and a failed append can be undone. Everything else
//! is soft and starts anew when another broker takes over: members that are joining, parked requests, timers, the
//! generation in preparation.
//!
//! # Who does what
//!
//! Authorization, whether a topic exists, topic ids <-> names, and splitting a request over the partitions that its groups belong to
//! ([`partition_for`]) stay with the driver; every other check, and the shape of every answer in its version, is here.
//! [`Event`]s are what an operator may want to read in the log.

mod assignment;
mod assignor;
mod classic;
mod command;
mod config;
mod consumer;
mod contract;
mod coordinator;
mod offset;
mod partition_for;
mod persisted;
mod rebalance;
mod record;
mod subscription;
mod timeline;
mod timers;
pub mod transaction;
mod turn;
mod written;

#[cfg(test)]
mod tests;

pub use assignor::Assignor;
pub use classic::State;
pub use command::{Command, Response};
pub use config::{Config, ConsumerConfig, MigrationPolicy};
pub use consumer::{
    ClusterImage, ConsumerGroupState, GroupConfig, JudgedExpression, NoCluster, ResolvedExpressions, Topic,
    resolve_expressions,
};
pub use contract::{
    Action, Append, AppendId, Completion, Coordinator, EndOfTransaction, Event, Now, Outcome, OutcomeOf,
    Record, Request, RequestContext, RequestId, TransactionPart,
};
pub use coordinator::{Cluster, GroupCoordinator, offset_fetch_groups, offset_fetch_response};
pub use partition_for::partition_for;
pub use persisted::Source;
pub use record::Error;
