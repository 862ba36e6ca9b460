//! The proxy as a role.

use std::net::SocketAddr;
use std::sync::Arc;

use forebay_client::{Admin, Client, Producer};
use forebay_config::Properties;
use forebay_http::{Listeners, Options, Server};
use forebay_schema_registry_client as registry;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::error::CONTENT_TYPE;
use crate::instances::Instances;
use crate::v2;

/// Why the proxy does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A client of the cluster cannot be made.
    #[error("the REST proxy cannot use its cluster: {0}")]
    Client(#[from] forebay_client::Error),
    /// A client of the schema registry cannot be made.
    #[error("the REST proxy cannot use its schema registry: {0}")]
    Registry(#[from] registry::Error),
}

/// What the resources work on.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) client: Client,
    pub(crate) admin: Admin,
    pub(crate) producer: Producer,
    pub(crate) registry: registry::Client,
    pub(crate) instances: Instances,
    /// Where consumer instances are: from the listener, never from a request's `Host`.
    pub(crate) base_uri: String,
}

/// A running proxy.
#[derive(Debug)]
pub struct Service {
    server: Server,
    shared: Arc<Shared>,
    expiry: JoinHandle<()>,
}

impl Service {
    /// Serves `listeners`. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// If the clients cannot be made.
    pub fn start(
        client: &Client,
        config: Config,
        listeners: Listeners,
        options: Options,
    ) -> Result<Self, Error> {
        let acks: Properties = [
            ("acks".to_owned(), "all".to_owned()),
            ("linger.ms".to_owned(), "0".to_owned()),
        ]
        .into();
        let base_uri = format!("http://localhost:{}", listeners.port());
        let instances = Instances::new(config.instances_max, config.instance_timeout);
        let shared = Arc::new(Shared {
            client: client.clone(),
            admin: client.admin(&Properties::new())?,
            producer: client.producer(&acks)?,
            registry: registry::Client::new(registry::Options::new(&config.schema_registry_url))?,
            instances,
            base_uri,
            config,
        });
        let expiring = Arc::clone(&shared);
        let expiry = tokio::spawn(async move { expiring.instances.expire().await });
        let options = Options {
            error_content_type: CONTENT_TYPE,
            ..options
        };
        let server = Server::start(listeners, v2::router(Arc::clone(&shared)), options);
        Ok(Self {
            server,
            shared,
            expiry,
        })
    }

    /// Where it is served.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.server.addresses()
    }

    /// Takes no more requests, waits for those in flight, and closes the consumer instances.
    pub async fn stop(self) {
        self.expiry.abort();
        self.server.stop().await;
        self.shared.instances.close_all().await;
    }
}
