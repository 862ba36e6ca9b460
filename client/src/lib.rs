//! The Kafka client that every service above the broker uses: transports, metadata, producer, consumer, admin.
//!
//! [`Client`] is where to begin: it holds what all clients of a role share (addresses, time-outs, our own node) and makes
//! [`Producer`]s, [`Consumer`]s and [`Admin`]s. Each of those has connections of its own, so that a fetch that waits for
//! data holds up nobody else. Record batches travel whole ([`Producer::send_batch`], [`Consumer::poll_batches`]); records
//! one by one stand on top. Knows nothing of how a broker works.

mod backoff;
mod chore;
mod client;
mod cluster;
mod error;
mod group_offsets;
mod node;
mod offsets;

pub mod admin;
pub mod config;
pub mod consumer;
pub mod membership;
#[cfg(any(test, feature = "model"))]
#[cfg_attr(not(test), allow(dead_code, reason = "rooms above use a part of it"))]
pub mod model;
pub mod producer;
pub mod topic_table;
pub mod transport;

pub use admin::Admin;
pub use client::{Client, LocalNode};
pub use config::{AdminConfig, ClientConfig, ConsumerConfig, ProducerConfig};
pub use consumer::Consumer;
pub use error::Error;
pub use producer::{Producer, ProducerRecord};
pub use transport::Transport;
