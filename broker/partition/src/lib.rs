//! One replica of a partition as a pure state machine: role, leader epoch, in-sync replicas, high watermark, last stable
//! offset, and who waits for what (Kafka's `Partition`, `DelayedProduce`, `DelayedFetch`). No file, clock, lock or `.await`:
//! its driver appends, syncs and reads, tells what happened, and does what the actions say.
//!
//! A produce: [`Partition::check_append`], append to the log, [`Command::Appended`], and unless acks=0 [`Command::AwaitProduce`],
//! with nothing in between that changes the partition; [`Action::CompleteProduce`] says what to answer. A fetch:
//! [`Partition::check_fetch`], read within its bounds, answer; or wait, as [`FetchPurgatory`]'s module says.
//! [`Action::Sync`] is done elsewhere and reported with [`Command::Synced`]; [`Partition::next_deadline`] says when time matters.

mod command;
mod epoch;
mod error;
mod fetch;
mod fetch_sessions;
mod isr;
mod partition;
mod position;
mod produce;
mod purgatory;
mod replica;

pub use command::{
    Action, AwaitFetch, AwaitProduce, Command, FetchWaiter, LeaderAndIsr, ProduceWaiter, RequiredAcks,
};
pub use epoch::{EpochEndOffset, EpochEntry, end_offset_for};
pub use error::Error;
pub use fetch::{FetchAnswer, FetchBounds, FetchCheck, FetchIsolation};
pub use fetch_sessions::{
    FetchAsk, FetchContext, FetchFinished, FetchFound, FetchKey, FetchSessions, SessionError, SessionRequest,
};
pub use partition::{AcknowledgeAfter, Config, LogState, Partition, Role};
pub use position::POSITIONS_MAX;
pub use purgatory::FetchPurgatory;

#[cfg(test)]
mod tests;
