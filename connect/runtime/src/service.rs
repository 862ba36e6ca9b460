//! The running role: stores, herder and REST server, and how they stop.

use std::net::SocketAddr;
use std::sync::Arc;

use forebay_client::Client;
use forebay_config::Properties;
use forebay_connect_api::Plugins;
use forebay_http::{Listeners, Options, Server};
use tokio::sync::watch;

use crate::config::Config;
use crate::herder::{Herder, Metrics, Place};
use crate::store::config::TargetState;
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
    /// Requests to other workers cannot be made.
    #[error("the Connect worker cannot make an HTTP client: {0}")]
    Http(#[from] reqwest::Error),
}

/// A connector to be created.
#[derive(Debug, Clone)]
pub struct NewConnector {
    /// Its name.
    pub name: String,
    /// Its keys.
    pub config: Properties,
    /// `RUNNING`, `PAUSED` or `STOPPED` (KIP-980).
    pub initial_state: Option<String>,
}

/// Why a connector cannot be created.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConnectorError(String);

/// A running worker.
#[derive(Debug)]
pub struct Service {
    server: Server,
    herder: Arc<Herder>,
}

impl Service {
    /// Serves `listeners`, reads configurations, offsets and states of the cluster, and starts what should run; until then requests
    /// wait. Must be called inside a tokio runtime, which runs the tasks.
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
        let worker_id = advertised(&config, &listeners);
        let place = Place {
            url: format!("http://{worker_id}/"),
            worker_id,
            access: config.access(listeners.are_loopback()),
            is_loopback: listeners.are_loopback(),
        };
        let (routes, ready) = watch::channel(None);
        let starting = rest::starting::router(ready, config.request_timeout);
        let options = Options {
            request_bytes_max_at: rest::request_bytes_max_at,
            ..options
        };
        let server = Server::start(listeners, starting, options);
        let herder = Herder::start(client, config, plugins, place).await?;
        routes.send_replace(Some(rest::router(Arc::clone(&herder))));
        Ok(Self { server, herder })
    }

    /// Where it is served.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.server.addresses()
    }

    /// What the worker counts.
    pub fn metrics(&self) -> Metrics {
        Metrics::new(Arc::clone(&self.herder))
    }

    /// Creates a connector, as `POST /connectors` does.
    ///
    /// # Errors
    /// What the REST API would answer.
    pub async fn create(&self, connector: NewConnector) -> Result<(), ConnectorError> {
        let initial_state = connector.initial_state.as_deref().map(|state| {
            TargetState::from_initial(state).ok_or_else(|| {
                ConnectorError(format!(
                    "\"initial_state\" must be RUNNING, PAUSED or STOPPED, not {state}"
                ))
            })
        });
        let config = connector.config.into_iter();
        let config = config.map(|(key, value)| (key, Some(value))).collect();
        let created = self
            .herder
            .put_connector(&connector.name, config, initial_state.transpose()?, false)
            .await;
        created
            .map(drop)
            .map_err(|error| ConnectorError(error.to_string()))
    }

    /// Takes no more requests, stops all tasks within `task.shutdown.graceful.timeout.ms`, and commits their offsets.
    pub async fn stop(self) {
        self.server.stop().await;
        self.herder.stop().await;
    }
}

/// The worker's advertised host and port, by which states name it and other workers reach it.
fn advertised(config: &Config, listeners: &Listeners) -> String {
    let port = config.rest_advertised_port.unwrap_or_else(|| listeners.port());
    if let Some(host) = &config.rest_advertised_host {
        return format!("{host}:{port}");
    }
    match listeners.addresses().first().map(SocketAddr::ip) {
        Some(address) if !address.is_unspecified() => SocketAddr::new(address, port).to_string(),
        // It listens everywhere, and so under the machine's name.
        _ => format!("{}:{port}", host_name().unwrap_or_else(|| "localhost".to_owned())),
    }
}

/// The machine's name, where it can be read.
fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
