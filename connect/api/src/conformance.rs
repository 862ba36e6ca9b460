//! The conformance kit for connectors: plays the worker against a task and kills, rewinds, rebalances and cancels it by a seeded
//! schedule, then compares what its store or its records show with what the delivery contract promises. Needs no runtime of
//! its own: the checks are futures, to be awaited in whatever the task needs. What it plays the worker with, [`SourceContext`] and
//! [`SinkContext`], is for the connectors' own tests, too.

mod chance;
mod context;
mod intents;
mod log;
mod sink;
mod source;
mod step;

pub use context::{SinkContext, SourceContext};
pub use intents::{Cluster, Owner};
pub use log::{Delivery, PARTITIONS};
pub use sink::{SinkReport, SinkSubject, check_sink};
pub use source::{SourceReport, SourceSubject, check_source};

/// A broken promise.
#[derive(Debug, thiserror::Error)]
pub enum Violation {
    /// A record is neither stored nor will it be delivered again.
    #[error("lost after {after}: {records:?}")]
    Lost {
        /// The steps that led there, the last ones.
        after: String,
        /// Some of the records.
        records: Vec<String>,
    },
    /// A record is there twice.
    #[error("repeated after {after}: {records:?}")]
    Repeated {
        /// The steps that led there, the last ones.
        after: String,
        /// Some of the records.
        records: Vec<String>,
    },
    /// Something else that the contract of the task forbids.
    #[error("{what} after {after}")]
    Contract {
        /// The steps that led there, the last ones.
        after: String,
        /// What the task did.
        what: String,
    },
    /// The task failed where nothing was wrong.
    #[error("the task failed after {after}: {}", .error.trace())]
    Failed {
        /// The steps that led there, the last ones.
        after: String,
        /// Its error.
        error: crate::Error,
    },
}

#[cfg(test)]
mod tests;
