//! The broker as a service: started from options, stopped by whoever runs it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::config::BrokerConfig;
use crate::core::Core;
use crate::io_pool::IoPool;
use crate::network::acceptor::Gate;
use crate::network::connection;
use crate::network::endpoint::Endpoint;
use crate::network::listener::{self, Bound};
use crate::router::Router;
use crate::shutdown::{self, ShutdownSender};

/// What a broker is made of.
#[derive(Debug, Clone)]
pub struct Options {
    /// Kafka's configuration.
    pub config: BrokerConfig,
}

/// Why a broker does not start, or stops.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A listener cannot be bound.
    #[error(transparent)]
    Listener(#[from] listener::Error),
}

/// A listener that is open.
#[derive(Debug, Clone)]
pub struct OpenListener {
    /// Its name.
    pub name: Arc<str>,
    /// What clients are told.
    pub advertised: Endpoint,
    /// The addresses of its sockets; the ports are never 0.
    pub addresses: Vec<SocketAddr>,
}

/// A broker that serves. Dropping it stops it at once, as a crash would; [`Broker::run`] ends it cleanly.
#[derive(Debug)]
pub struct Broker {
    handle: Handle,
    stop: ShutdownSender,
    tasks: JoinSet<()>,
}

/// What others see of a broker. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    router: Router,
    listeners: Arc<[OpenListener]>,
}

impl Handle {
    /// The way in for callers in this process.
    #[must_use]
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// The listeners for clients; never empty.
    #[must_use]
    pub fn listeners(&self) -> &[OpenListener] {
        &self.listeners
    }
}

impl Broker {
    /// Starts a broker. When this returns it serves.
    ///
    /// # Errors
    /// One line that names cause and cure.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let config = options.config;
        let bound = bind_all(&config).await?;
        let (stop, stopped) = shutdown::channel();
        let reads = IoPool::new("read", config.io_threads);
        let network = config.network.clone();
        let router = Router::new(Arc::new(Core {
            config,
            shutdown: stopped.clone(),
        }));
        let shared = connection::Shared {
            router: router.clone(),
            reads,
            request_bytes_max: network.request_bytes_max,
            idle_max: network.idle_max,
            shutdown: stopped,
        };
        let gate = Arc::new(Gate::new(shared, network));
        let mut tasks = JoinSet::new();
        let mut listeners = Vec::new();
        for Bound {
            name,
            advertised,
            sockets,
            addresses,
        } in bound
        {
            let name: Arc<str> = name.into();
            for socket in sockets {
                tasks.spawn(Arc::clone(&gate).accept(socket, Arc::clone(&name)));
            }
            listeners.push(OpenListener {
                name,
                advertised,
                addresses,
            });
        }
        Ok(Self {
            handle: Handle {
                router,
                listeners: listeners.into(),
            },
            stop,
            tasks,
        })
    }

    /// What others see of it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves until `shutdown` is done, then answers what has been received and ends cleanly.
    ///
    /// # Errors
    /// What made it stop before that.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        shutdown.await;
        self.stop.request();
        while self.tasks.join_next().await.is_some() {}
        Ok(())
    }
}

async fn bind_all(config: &BrokerConfig) -> Result<Vec<Bound>, Error> {
    let mut bound = Vec::new();
    for one in &config.listeners {
        bound.push(listener::bind(one, config.network.backlog).await?);
    }
    Ok(bound)
}
