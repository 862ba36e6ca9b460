//! What the benchmarks share: figures and their table, what Linux tells of a process, how Forebay and a real Kafka are started.

pub(crate) mod goal;
pub(crate) mod peer;
pub(crate) mod process;
pub(crate) mod report;
pub(crate) mod statistics;
