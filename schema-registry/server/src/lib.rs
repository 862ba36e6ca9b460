//! The schema registry: subjects, versions and identifiers over the `_schemas` topic, served as Confluent's REST API. It
//! reaches Kafka through the client only, ours or another cluster.
//!
//! A request decides on the current state which records to write, writes them, and is answered once the reader of the
//! topic has applied them: what is answered is what a restart will find.
//!
//! # Several registries on one topic
//! One registry decides at a time, as long as it is the only one: there is no leader among several yet (Confluent's elect
//! one, and the others pass writes on to it). Until then, send writes to one of them. If two write all the same, of either
//! kind, what holds is:
//! - No identifier stands for two schemas. All read the same topic in the same order, and the first record with an identifier
//!   keeps it; a record that loses is written over, so that compaction does not make it the only one.
//! - Ours never answers a registration that has lost: it finds that the state does not hold what it decided, puts the topic
//!   right and decides again, at most six times (then 50001).
//! - Compatibility is checked against what the registry has read: two versions written at the same moment, one of them by
//!   Confluent's, may not have been checked against each other.
//!
//! What does not hold: if ours dies between losing a race and making amends, or Confluent's loses one that it cannot notice
//! (a version that another has just written, with an identifier known from another subject), the version that was answered
//! first is replaced. Deletions and levels are not compared: the last record counts.

mod config;
mod decide;
mod error;
mod record;
mod registry;
mod rest;
mod service;
mod state;
mod topic;

pub use config::{Config, config_def};
pub use service::{Error, Service};
