//! The registry as a role: opened on a cluster, served on a port, stopped.

use std::net::SocketAddr;
use std::sync::Arc;

use forebay_client::Client;
use forebay_http::{Listeners, Options, Server};

use crate::config::Config;
use crate::error::CONTENT_TYPE;
use crate::registry::Registry;
use crate::rest;

/// Why the registry does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cluster does not do what is asked.
    #[error("the schema registry cannot use its cluster: {0}")]
    Client(#[from] forebay_client::Error),
    /// Retention would delete schemas.
    #[error(
        "the topic {topic} has cleanup.policy={policy}, which deletes schemas in time; set it to compact (forebay configs, or kafka-configs --alter --topic {topic} --add-config cleanup.policy=compact)"
    )]
    NotCompacted {
        /// The topic.
        topic: String,
        /// Its policy.
        policy: String,
    },
    /// The order of records, and with it that of identifiers, would be lost.
    #[error(
        "the topic {topic} has {partitions} partitions, and schemas need the order of one; name another with kafkastore.topic"
    )]
    NotOnePartition {
        /// The topic.
        topic: String,
        /// How many it has.
        partitions: usize,
    },
    /// The topic could not be read to its end in time.
    #[error(
        "the topic {topic} could not be read within {timeout_ms} ms (kafkastore.init.timeout.ms); is its leader available?"
    )]
    NotRead {
        /// The topic.
        topic: String,
        /// How long was waited.
        timeout_ms: u128,
    },
}

/// A running registry.
#[derive(Debug)]
pub struct Service {
    server: Server,
}

impl Service {
    /// Reads all schemas of the cluster, then serves `listeners`.
    ///
    /// # Errors
    /// If the cluster or the topic cannot be used.
    pub async fn start(
        client: &Client,
        config: Config,
        listeners: Listeners,
        options: Options,
    ) -> Result<Self, Error> {
        let registry = Arc::new(Registry::open(client, &config).await?);
        let options = Options {
            error_content_type: CONTENT_TYPE,
            ..options
        };
        Ok(Self {
            server: Server::start(listeners, rest::router(registry), options),
        })
    }

    /// Where it is served.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.server.addresses()
    }

    /// Takes no more requests and waits for those in flight.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}
