//! Answers requests and keeps the worker in step with the config topic (Kafka's `DistributedHerder`, of one worker so far).
//!
//! A request that changes something writes records and returns once they are read back; what follows from them is done by the
//! loop, which compares what should run (`plan`) with what does. So a restart of the process, a change by a user and, later,
//! one by another worker go the same way.

pub(crate) mod cluster;
mod error;
mod offsets;
pub(crate) mod plan;
mod request;
mod view;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_client::Client;
use forebay_config::Properties;
use forebay_connect_api::{Access, Plugins, TaskId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::provider::Providers;
use crate::service;
use crate::store::config::ConfigStore;
use crate::store::offset::OffsetStore;
use crate::store::status::StatusStore;
use crate::worker::{Context, Worker};
use cluster::Cluster;
pub(crate) use error::Error;
pub(crate) use offsets::ConnectorOffsets;
pub(crate) use request::{RawConfig, RestartRequest};
use view::{ConnectorInfo, ConnectorStateInfo};

/// How many restarts may wait for the loop.
const ORDERS_MAX: usize = 64;

/// How long states that were said last may take to be written when the worker stops.
const STATUS_FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// What the loop is told beside what the config topic says.
#[derive(Debug)]
enum Order {
    RestartConnector(Arc<str>),
    RestartTask(TaskId),
    /// End everything, and answer when it has ended.
    Stop(oneshot::Sender<()>),
}

/// Where the worker is.
#[derive(Debug)]
pub(crate) struct Place {
    /// What states name as the worker.
    pub(crate) worker_id: String,
    /// What its connectors may reach.
    pub(crate) access: Access,
    /// Whether only this machine can create connectors.
    pub(crate) is_loopback: bool,
}

/// The head of the worker.
pub(crate) struct Herder {
    context: Arc<Context>,
    cluster: Arc<Cluster>,
    orders: mpsc::Sender<Order>,
    cluster_id: Option<String>,
    looping: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Herder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Herder")
            .field("worker_id", &self.context.worker_id)
            .finish_non_exhaustive()
    }
}

impl Herder {
    /// Reads everything that the cluster keeps, and starts what should run.
    pub(crate) async fn start(
        client: &Client,
        config: Config,
        plugins: Plugins,
        place: Place,
    ) -> Result<Arc<Self>, service::Error> {
        let cluster_id = client
            .admin(&Properties::new())?
            .describe_cluster()
            .await?
            .cluster_id;
        let (configs, statuses, offsets) = tokio::try_join!(
            ConfigStore::open(client, &config),
            StatusStore::open(client, &config),
            OffsetStore::open(client, &config),
        )?;
        let cluster = Arc::new(Cluster::new(configs));
        let providers = Providers::new(&config.originals, &place.access, place.is_loopback)?;
        let context = Arc::new(Context {
            client: client.clone(),
            config,
            providers,
            access: place.access,
            plugins,
            worker_id: place.worker_id,
            statuses,
            offsets,
        });
        forget_the_gone(&context, &cluster);
        let worker = Worker::new(Arc::clone(&context), Arc::clone(&cluster));
        let (orders, receiver) = mpsc::channel(ORDERS_MAX);
        let version = cluster.version();
        let looping = tokio::spawn(run(worker, Arc::clone(&cluster), version, receiver));
        Ok(Arc::new(Self {
            context,
            cluster,
            orders,
            cluster_id,
            looping: Mutex::new(Some(looping)),
        }))
    }

    /// Stops all connectors and tasks and says so.
    pub(crate) async fn stop(&self) {
        let (ended, wait) = oneshot::channel();
        if self.orders.send(Order::Stop(ended)).await.is_ok() {
            // An error: the loop has ended, and with it everything.
            let _ = wait.await;
        }
        let looping = self.looping.lock().expect("nobody panics with it").take();
        if let Some(looping) = looping
            && let Err(error) = looping.await
        {
            tracing::error!(%error, "the herder's loop has failed");
        }
        self.context.statuses.flush(STATUS_FLUSH_TIMEOUT).await;
    }

    /// The worker's configuration.
    pub(crate) fn config(&self) -> &Config {
        &self.context.config
    }

    /// The connectors that there are.
    pub(crate) fn plugins(&self) -> &Plugins {
        &self.context.plugins
    }

    /// Whether the loop runs.
    pub(crate) fn is_alive(&self) -> bool {
        !self.orders.is_closed()
    }

    /// The id of the Kafka cluster.
    pub(crate) fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }
}

/// States of connectors and tasks that are deleted may be left where a worker was killed in between.
fn forget_the_gone(context: &Context, cluster: &Cluster) {
    let plan = plan::plan(&cluster.state());
    for name in context.statuses.connectors() {
        if !plan.connectors.contains_key(&*name) {
            context.statuses.remove_connector(&name);
            continue;
        }
        for id in context.statuses.tasks(&name) {
            if !plan.tasks.contains_key(&id) {
                context.statuses.remove_task(&id);
            }
        }
    }
}

/// The loop: the only one that makes, changes and ends what runs.
async fn run(
    mut worker: Worker,
    cluster: Arc<Cluster>,
    mut version: watch::Receiver<u64>,
    mut orders: mpsc::Receiver<Order>,
) {
    loop {
        version.borrow_and_update();
        let plan = plan::plan(&cluster.state());
        worker.apply(plan);
        tokio::select! {
            changed = version.changed() => {
                if changed.is_err() {
                    tracing::error!("the config topic is read no more; connectors stay as they are");
                    std::future::pending::<()>().await;
                }
            }
            order = orders.recv() => match order {
                Some(Order::RestartConnector(name)) => worker.restart_connector(&name),
                Some(Order::RestartTask(id)) => worker.restart_task(&id),
                Some(Order::Stop(ended)) => {
                    worker.stop().await;
                    // Nobody waits any more: fine.
                    let _ = ended.send(());
                    return;
                }
                None => return worker.stop().await,
            },
        }
    }
}
