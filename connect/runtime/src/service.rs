//! The running role: stores, herder and REST server, and how they stop.

use std::net::SocketAddr;
use std::sync::Arc;

use forebay_client::Client;
use forebay_connect_api::Plugins;
use forebay_http::{Listeners, Options, Server};

use crate::config::Config;
use crate::herder::{Herder, Place};
use crate::{rest, store};

/// Why the worker could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// One of the topics in which it keeps its state cannot be used.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A config provider cannot be used.
    #[error(transparent)]
    Config(#[from] forebay_config::Errors),
    /// The cluster does not do what is asked.
    #[error("the Connect worker cannot use its cluster: {0}")]
    Client(#[from] forebay_client::Error),
}

/// A running worker.
#[derive(Debug)]
pub struct Service {
    server: Server,
    herder: Arc<Herder>,
}

impl Service {
    /// Reads configurations, offsets and states of the cluster, starts what should run, and serves `listeners`. Must be called
    /// inside a tokio runtime, which runs the tasks.
    ///
    /// # Errors
    /// If the cluster or one of the storage topics cannot be used. What is wrong with one connector is its own status.
    pub async fn start(
        client: &Client,
        config: Config,
        plugins: Plugins,
        listeners: Listeners,
        options: Options,
    ) -> Result<Self, Error> {
        let place = Place {
            worker_id: worker_id(&config, &listeners),
            access: config.access(listeners.are_loopback()),
            is_loopback: listeners.are_loopback(),
        };
        let herder = Herder::start(client, config, plugins, place).await?;
        let router = rest::router(Arc::clone(&herder));
        Ok(Self {
            server: Server::start(listeners, router, options),
            herder,
        })
    }

    /// Where it is served.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.server.addresses()
    }

    /// Takes no more requests, stops all tasks within `task.shutdown.graceful.timeout.ms`, and commits their offsets.
    pub async fn stop(self) {
        self.server.stop().await;
        self.herder.stop().await;
    }
}

/// What states name as the worker: its advertised host and port.
fn worker_id(config: &Config, listeners: &Listeners) -> String {
    let first = listeners
        .addresses()
        .first()
        .map(|address| address.ip().to_string());
    let host = config.rest_advertised_host.clone().or(first).unwrap_or_default();
    let port = config.rest_advertised_port.unwrap_or_else(|| listeners.port());
    format!("{host}:{port}")
}
