//! The group coordinator (Kafka's `GroupCoordinatorShard`) as a pure state machine: one [`GroupCoordinator`] is one
//! partition of `__consumer_offsets`. No clock, socket, lock, `.await` or randomness in here: `now` and the fresh
//! uuid for a new member id are parameters, so one node, a cluster and a seeded simulation run the same code.
//!
//! # The contract with the driver
//!
//! 1. **Load.** Before anything else every record of the partition is given to `replay`, oldest first, then
//!    [`activate`](GroupCoordinator::activate) starts the timers. Until then the driver itself answers
//!    COORDINATOR_LOAD_IN_PROGRESS (`Command::refuse` builds the answer of each API).
//! 2. **Decide.** `handle(request, command, now)` and `tick(now)` return an [`Outcome`]: appends to write and
//!    requests that are answered now. A request is answered exactly once, by the [`Completion`] that carries its
//!    [`RequestId`], from this call or from a later one. The driver calls `tick` no earlier than `next_deadline`.
//! 3. **Append.** The records of an [`Append`] go into ONE batch (it is never larger than
//!    [`Config::append_bytes_max`]); several appends may share a batch. Appends are written in the order of their ids.
//! 4. **Commit.** When the high watermark has passed the last record of an append, `committed(id, now)` releases what
//!    waited for it and for all before it. If an append cannot be written, `append_failed(id, error, now)` takes
//!    back that append AND every later one (they were decided on top of it), as Kafka's timeline snapshots do,
//!    and answers their requests with the error that Kafka maps `error` to. The driver then throws away the records
//!    of those appends. Both calls return an [`Outcome`] of their own.
//! 5. **Resign.** When leadership goes, `resign()` answers everything that is parked or waits with NOT_COORDINATOR; the
//!    value is then dropped.
//!
//! # What is persisted and what is not
//!
//! `replay` (and the same function for our own records, at the moment they are decided) is the only mutator of what is
//! persisted: group metadata and committed offsets, kept as timelines so that commands decide on the newest state,
//! OffsetFetch, ListGroups and DescribeGroups read the committed one, and a failed append can be undone. Everything else
//! is soft and starts anew when another broker takes over: members that are joining, parked requests, timers, the
//! generation in preparation.

//! # Commands (they arrive with the message types of `forebay-protocol`)
//!
//! `GroupCoordinator::handle(&mut self, request: RequestId, command: Command, now: Timestamp) -> Outcome`, where `Command` has the
//! [`RequestContext`] and a variant per API: `JoinGroup(JoinGroupRequest, Uuid)` (the uuid is fresh, for a new member
//! id), `SyncGroup`, `Heartbeat`, `LeaveGroup`, `OffsetCommit`, `OffsetFetch(OffsetFetchRequestGroup, require_stable)`, `OffsetDelete`,
//! `DeleteGroups(Vec<group id>)`, `DescribeGroups(Vec<group id>)`, `ListGroups(ListGroupsRequest)`, `PartitionsDeleted(Vec<TopicPartition>)`.
//! Every response is the API's own response message, already shaped for `api_version`; for the APIs that span
//! partitions (fetch, delete, describe, list) it is this partition's share of it. `partition_for(group_id, count)` says which
//! partition has a group. Authorization, whether a topic exists, and topic ids <-> names stay with the server.

mod config;
mod driver;

pub use config::Config;
pub use driver::{Append, AppendId, Completion, Outcome, Record, RequestContext, RequestId};
