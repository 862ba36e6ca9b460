//! The web console: one page of topics, groups, connectors and subjects, from the services' own APIs; `/metrics` for
//! Prometheus; `/health/live` and `/health/ready`. Knows no broker and no worker from inside.

mod overview;
mod service;

pub use service::{Error, Options, Scrape, Service};
