//! One replica of a partition as a pure state machine: role, leader epoch, in-sync replicas, high watermark, last stable
//! offset, and who waits for what (Kafka's `Partition`, `DelayedProduce`, `DelayedFetch`). No file, clock, lock or `.await`:
//! its driver appends, syncs and reads, tells what happened, and does what the actions say.

mod command;
mod epoch;
mod error;
mod fetch;
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
pub use partition::{AcknowledgeAfter, Config, LogState, Partition, Role};
pub use position::POSITIONS_MAX;
pub use purgatory::FetchPurgatory;
