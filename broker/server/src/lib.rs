//! The broker's listeners, router, handlers and timers: moves bytes, decides nothing.

#![allow(dead_code)] // Until the rooms below are joined.

mod broker;
mod config;
mod core;
mod handlers;
mod io_pool;
mod metrics;
pub mod network;
mod router;
mod shutdown;
mod waiters;

pub use broker::{Broker, Error, Handle, OpenListener, Options};
pub use config::{BrokerConfig, Error as ConfigError, NetworkConfig, UpkeepConfig, definition};
pub use router::{ANONYMOUS, CallContext, Origin, Reply, Router};
