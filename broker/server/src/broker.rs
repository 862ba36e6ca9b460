//! The broker as a service: started from options, stopped by whoever runs it.

mod start;
mod startup;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use forebay_broker_log::{self as log, LogDirectory};
use forebay_disk::{Disk, RealDisk};
use forebay_protocol::NodeId;
use tokio::task::{JoinError, JoinSet, spawn_blocking};

use crate::clock;
use crate::config::BrokerConfig;
use crate::core::Core;
use crate::io_pool::IoPool;
use crate::loggers::Loggers;
use crate::metadata;
use crate::network::endpoint::Endpoint;
use crate::network::listener;
use crate::router::Router;
use crate::shutdown::ShutdownSender;
use crate::upkeep;
pub use startup::Startup;

/// What a broker is made of.
#[derive(Debug, Clone)]
pub struct Options {
    /// Kafka's configuration.
    pub config: BrokerConfig,
    /// Where its files are.
    pub disk: Arc<dyn Disk>,
    /// The cluster that the data must belong to; none takes the one it belongs to, or makes one.
    pub cluster_id: Option<String>,
    /// Told how far the start is; a clone of it can be asked meanwhile.
    pub startup: Startup,
    /// What logs in this process, if tools may see and change its levels.
    pub loggers: Option<Arc<Loggers>>,
}

impl Options {
    /// A broker on the real disk, of whichever cluster its data belongs to.
    #[must_use]
    pub fn new(config: BrokerConfig) -> Self {
        Self {
            config,
            disk: Arc::new(RealDisk),
            cluster_id: None,
            startup: Startup::default(),
            loggers: None,
        }
    }
}

/// Why a broker does not start, or stops.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A listener cannot be bound.
    #[error(transparent)]
    Listener(#[from] listener::Error),
    /// Another process has the data directory.
    #[error(
        "the data directory {path} is locked: another process (another Forebay or Kafka?) uses it: stop that one, or choose \
         another directory by --data-dir or in log.dirs"
    )]
    Locked {
        /// `log.dirs`.
        path: String,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] log::Error),
    /// The metadata cannot be loaded.
    #[error(transparent)]
    Metadata(#[from] metadata::LoadError),
    /// A write or sync failed while the broker ran; what was not acknowledged may be lost.
    #[error(
        "the data directory was given up: {0}: once that is put right, a restart recovers what was acknowledged and is still there"
    )]
    DirectoryFailed(Arc<str>),
    /// A part of the broker panicked.
    #[error("a part of the broker failed: {0}")]
    Task(#[from] JoinError),
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
    pools: Vec<IoPool>,
    broker_epoch: i64,
}

/// What others see of a broker. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    router: Router,
    core: Arc<Core>,
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

    /// The cluster that this broker is.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.core.cluster_id
    }

    /// The id of this broker.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.core.config.node_id
    }

    /// What is counted in it, in Prometheus' text form.
    pub async fn metrics(&self) -> String {
        self.router.exposition().render().await
    }

    /// Whether it serves: it does from the moment it is started until it is stopped or its disk fails.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.core.shutdown.is_requested() && self.core.replicas.shared().failure.borrow().is_none()
    }

    /// The group coordinators, to ask them what no client may.
    #[cfg(test)]
    pub(crate) fn groups(&self) -> &crate::groups::Groups {
        &self.core.groups
    }

    /// The broker behind the router.
    #[cfg(test)]
    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// A partition, to do with it what no client may.
    #[cfg(test)]
    pub(crate) fn replica(&self, topic: &str, partition: i32) -> Option<Arc<crate::replicas::Replica>> {
        self.core.replicas.get(topic, partition)
    }
}

impl Broker {
    /// Starts a broker. When this returns it serves.
    ///
    /// # Errors
    /// One line that names cause and cure.
    pub async fn start(options: Options) -> Result<Self, Error> {
        start::start(options).await
    }

    /// What others see of it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves until `shutdown` is done, then answers what has been received, closes the logs and marks them as clean.
    ///
    /// # Errors
    /// [`Error::DirectoryFailed`] or [`Error::Task`] if the disk or a panic ends it before that, or what keeps it from closing
    /// cleanly.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let core = Arc::clone(&self.handle.core);
        let mut failure = core.replicas.shared().failure.subscribe();
        let panicked = tokio::select! {
            () = shutdown => None,
            _failed = failure.wait_for(Option::is_some) => None,
            // Each of them goes on until the shutdown; a broker without it would only seem to serve.
            Some(Err(panic)) = self.tasks.join_next() => Some(panic),
        };
        self.stop_serving().await;
        let directory = Arc::clone(&core.replicas.shared().directory);
        if let Some(reason) = failure.borrow().clone() {
            return Err(Error::DirectoryFailed(reason));
        }
        let (threads, epoch) = (core.config.upkeep.recovery_threads, self.broker_epoch);
        spawn_blocking(move || close(&core, &directory, threads, epoch)).await??;
        panicked.map_or(Ok(()), |panic| Err(Error::Task(panic)))
    }

    /// Has one part more.
    #[cfg(test)]
    pub(crate) fn spawn(&mut self, part: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(part);
    }

    /// Ends as a crash does, but waits until nothing runs any more, so that the directory can be opened again.
    #[cfg(test)]
    pub(crate) async fn crash(mut self) {
        self.stop.request();
        self.tasks.shutdown().await;
        self.handle.core.groups.resign();
        self.handle.core.transactions.resign();
        for pool in self.pools.drain(..) {
            spawn_blocking(move || pool.close())
                .await
                .expect("closing does not panic");
        }
    }

    async fn stop_serving(&mut self) {
        self.stop.request();
        self.handle.core.groups.resign();
        self.handle.core.transactions.resign();
        while self.tasks.join_next().await.is_some() {}
        self.handle.core.replicas.stop();
        for pool in self.pools.drain(..) {
            if spawn_blocking(move || pool.close()).await.is_err() {
                tracing::error!("an I/O pool did not end as it should");
            }
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop.request();
        for pool in &self.pools {
            pool.abandon();
        }
    }
}

fn close(core: &Core, directory: &LogDirectory, threads: usize, broker_epoch: i64) -> Result<(), log::Error> {
    upkeep::write_checkpoints(&core.replicas);
    directory.shutdown(threads, broker_epoch, clock::now())
}
