//! The transaction coordinator (Kafka's `TransactionCoordinator`, `TransactionStateManager` and `TransactionMarkerChannelManager`,
//! KIP-98, KIP-360, KIP-890) as a pure state machine: one [`TransactionCoordinator`] is one partition of `__transaction_state`. It
//! keeps the crate's contract with its driver; besides writing and answering, the driver has [`Action`]s to carry out, and tells what
//! came of them by [`Command::MarkersWritten`] and [`Command::ProducerIdAllocated`].
//!
//! # A transaction's way
//!
//! `Empty → Ongoing → PrepareCommit | PrepareAbort → CompleteCommit | CompleteAbort → Ongoing …`. Each arrow is one record. Once the record
//! of `Prepare…` is committed the transaction is decided, and nothing can make it end in another way: the markers are written until every
//! partition has one, by this coordinator or by whoever reads its log next; only then comes the record of `Complete…`.
//!
//! What is decided counts once its record is committed, not before. While one is on its way (Kafka's `pendingState`), or markers are,
//! everyone else is told CONCURRENT_TRANSACTIONS. So a record that cannot be written leaves nothing to take back.

mod command;
mod config;
mod coordinator;
mod event;
mod metadata;
mod record;
mod state;
mod version;

#[cfg(test)]
mod tests;

pub use command::{Action, AddPartitions, Command, Markers, Response, add_partitions_results};
pub use config::Config;
pub use coordinator::{ListFilters, Listing, TransactionCoordinator};
pub use event::Event;
pub use record::Error;
pub use state::State;
pub use version::{Features, TransactionVersion};

/// What a call has decided.
pub type Outcome = crate::Outcome<Response, Event, Action>;
/// What is asked, by whom.
pub type Request = crate::Request<Command>;
/// An answer.
pub type Completion = crate::Completion<Response>;
