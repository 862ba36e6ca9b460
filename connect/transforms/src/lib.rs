//! Kafka's single message transforms and predicates, natively: what a connector's `transforms` and `predicates` say, as a
//! [`Chain`] that records go through one by one, and as definitions for those who validate configurations. They see what a
//! connector sees (`connect/api`), and know neither a worker nor a clock.
//!
//! What they answer was compared with Kafka 4.3.1's own classes, error messages included (`tests/kafka-4.3.1.jsonl`). Where ours differ:
//! Java's `NullPointerException`s are errors with words; dates without a schema are the numbers that stand for them, as values of
//! logical types are everywhere here; a regular expression may not look around.

mod big_decimal;
mod chain;
mod date_format;
mod definition;
mod error;
mod field_path;
mod java;
mod literal;
pub mod predicate;
mod record;
mod regular_expression;
mod structure;
pub mod transformation;

pub use chain::definition::{chain_def, check};
pub use chain::{Chain, Failed};
pub use error::Error;
pub use record::Record;

#[cfg(test)]
mod tests;
