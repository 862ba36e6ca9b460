//! Micro-batch queries: an epoch reads a bounded range of offsets, folds it into keyed state, shows the result, and commits
//! offsets and state together. Names and output are Spark Structured Streaming's. Reaches Kafka through the client only.
//!
//! The order within an epoch makes a query exact through `kill -9`: the plan (which offsets) is on disk before anything is
//! read, the checkpoint (state and next offsets, one file) replaces the one before in one step after the output. A killed
//! epoch is run again with the same plan on the same state, so a batch may be shown twice but never with other counts.

mod checkpoint;
mod error;
mod plan;
mod query;
mod sink;
mod source;
mod state;
mod words;

pub use error::Error;
pub use plan::{Offsets, StartingOffsets, Trigger};
pub use query::{Progress, Query, QueryOptions};
pub use sink::{ConsoleSink, Sink, TopicSink};
pub use state::{MemoryStateStore, StateStore};
