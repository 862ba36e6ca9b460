//! Answers requests and keeps the worker in step with the config topic and its group (Kafka's `DistributedHerder`, and its
//! `StandaloneHerder` where there is no group).
//!
//! A request that changes something writes records and returns once they are read back; what follows from them is done by the
//! loop, which compares what should run (`plan`, and of it what the group gives this worker) with what does. So a restart of
//! the process, a change by a user and one by another worker go the same way.

mod chores;
pub(crate) mod cluster;
mod error;
mod internal;
mod member;
mod metrics;
mod offsets;
pub(crate) mod plan;
mod remote;
mod request;
mod view;
mod wakes;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_client::Client;
use forebay_config::Properties;
use forebay_connect_api::{Access, Plugins, TaskId};
use forebay_protocol::ApiKey;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::config::{Config, ExactlyOnceSource, Storage};
use crate::group::{Group, Session};
use crate::loggers::Loggers;
use crate::metrics::Registry;
use crate::provider::Providers;
use crate::service;
use crate::store::config::ConfigStore;
use crate::store::intent::IntentStore;
use crate::store::offset::OffsetStore;
use crate::store::status::StatusStore;
use crate::worker::blocked::Blocked;
use crate::worker::{Context, Worker};
use cluster::Cluster;
pub(crate) use error::{Error, Target, doing};
pub(crate) use internal::RequestSignature;
use member::GroupMember;
pub(crate) use member::Options as MemberOptions;
pub use metrics::Metrics;
pub(crate) use offsets::ConnectorOffsets;
use remote::Remote;
pub(crate) use remote::Request as RemoteRequest;
pub(crate) use request::RawConfig;
use view::{ConnectorInfo, ConnectorStateInfo};
use wakes::Watch;

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
    /// Where other workers reach its REST API.
    pub(crate) url: String,
    /// What its connectors may reach.
    pub(crate) access: Access,
    /// Whether only this machine can create connectors.
    pub(crate) is_loopback: bool,
}

/// The head of the worker.
pub(crate) struct Herder {
    context: Arc<Context>,
    cluster: Arc<Cluster>,
    loggers: Arc<Loggers>,
    orders: mpsc::Sender<Order>,
    cluster_id: Option<String>,
    looping: Mutex<Option<JoinHandle<()>>>,
    chores: JoinHandle<()>,
    _watch: Watch,
}

impl fmt::Debug for Herder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Herder")
            .field("worker_id", &self.context.worker_id)
            .finish_non_exhaustive()
    }
}

impl Drop for Herder {
    fn drop(&mut self) {
        self.chores.abort();
    }
}

impl Herder {
    /// Reads everything that is kept, and starts what should run.
    pub(crate) async fn start(
        client: &Client,
        config: Config,
        plugins: Plugins,
        place: Place,
    ) -> Result<Arc<Self>, service::Error> {
        let mut config = config;
        let admin = client.admin(&Properties::new())?;
        let cluster_id = admin.describe_cluster().await?.cluster_id;
        let offered = admin.describe_features(None).await?.apis;
        let needed = [ApiKey::InitProducerId, ApiKey::AddPartitionsToTxn, ApiKey::EndTxn];
        let has_transactions = needed.iter().all(|api| offered.contains_key(&api.number()));
        if !has_transactions && config.is_exactly_once() && !config.exactly_once_source_is_given {
            tracing::info!(
                "the cluster has no transactions: source connectors may repeat records after a crash"
            );
            config.exactly_once_source = ExactlyOnceSource::Disabled;
        }
        let (configs, statuses, offsets) = open_stores(client, &config).await?;
        let cluster = Arc::new(Cluster::new(configs));
        let providers = Providers::new(&config.originals, &place.access, place.is_loopback)?;
        let remote = Remote::new(config.inter_worker.signature, config.request_timeout)?;
        let member = match config.group(&place.url) {
            Some(options) => Some(GroupMember::new(client, options, Arc::clone(&cluster))?),
            None => None,
        };
        let group = member.as_ref().map_or_else(Group::alone, GroupMember::group);
        let session = member.as_ref().map_or_else(Session::alone, GroupMember::session);
        cluster.join(group, session.clone(), remote);
        let context = Arc::new(Context {
            client: client.clone(),
            intents: IntentStore::new(&config, has_transactions && config.storage == Storage::Topics),
            config,
            providers,
            access: place.access,
            plugins,
            worker_id: place.worker_id,
            statuses,
            offsets,
            metrics: Registry::new(member.as_ref().map(GroupMember::rebalances)),
            session,
            blocked: Blocked::default(),
        });
        let (orders, receiver) = mpsc::channel(ORDERS_MAX);
        let loggers = Arc::new(Loggers::new(context.config.loggers.clone()));
        let looping = Loop {
            worker: Worker::new(Arc::clone(&context), Arc::clone(&cluster)),
            cluster: Arc::clone(&cluster),
            context: Arc::clone(&context),
            restarts_from: cluster.state().offset(),
            loggers: Arc::clone(&loggers),
            member,
        };
        let version = cluster.version();
        Ok(Arc::new(Self {
            looping: Mutex::new(Some(tokio::spawn(looping.run(version, receiver)))),
            chores: tokio::spawn(chores::run(Arc::clone(&context), Arc::clone(&cluster))),
            _watch: Watch::start(),
            context,
            cluster,
            loggers,
            orders,
            cluster_id,
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

    /// The loggers of this worker's process.
    pub(crate) fn loggers(&self) -> &Loggers {
        &self.loggers
    }

    /// The way to other workers.
    pub(crate) fn remote(&self) -> Option<&Remote> {
        self.cluster.remote()
    }

    /// Whether the loop runs.
    pub(crate) fn is_alive(&self) -> bool {
        !self.orders.is_closed()
    }

    /// What runs although it was aborted, and since how many seconds.
    pub(crate) fn blocked(&self) -> Vec<(String, u64)> {
        self.context.blocked.all()
    }

    /// The id of the Kafka cluster.
    pub(crate) fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }
}

async fn open_stores(
    client: &Client,
    config: &Config,
) -> Result<(ConfigStore, StatusStore, OffsetStore), service::Error> {
    if let Storage::Alone { offsets } = &config.storage {
        return Ok((
            ConfigStore::in_memory(),
            StatusStore::in_memory(),
            OffsetStore::in_file(client, config, offsets).await?,
        ));
    }
    Ok(tokio::try_join!(
        ConfigStore::open(client, config),
        StatusStore::open(client, config),
        OffsetStore::open(client, config),
    )?)
}

/// The loop: the only one that makes, changes and ends what runs.
struct Loop {
    worker: Worker,
    cluster: Arc<Cluster>,
    context: Arc<Context>,
    member: Option<GroupMember>,
    loggers: Arc<Loggers>,
    /// Restarts, and levels of loggers, that were asked for before this offset are done, or were not for this process.
    restarts_from: i64,
}

impl Loop {
    async fn run(mut self, mut version: watch::Receiver<u64>, mut orders: mpsc::Receiver<Order>) {
        let mut ending = self.worker.ending();
        let mut is_read = true;
        loop {
            version.borrow_and_update();
            let is_settled = *ending.borrow_and_update() == 0;
            self.look(is_settled);
            tokio::select! {
                changed = version.changed(), if is_read => {
                    is_read = changed.is_ok();
                    if !is_read {
                        // With the next rebalance it leaves its group, as it cannot read to the topic's end.
                        tracing::error!("the config topic is read no more; connectors stay as they are until the worker is started again");
                    }
                }
                // The worker has the sender.
                _ = ending.changed() => {}
                event = event(self.member.as_mut()) => {
                    if let Some(member) = &mut self.member {
                        member.handle(event);
                    }
                }
                order = orders.recv() => match order {
                    Some(Order::RestartConnector(name)) => self.worker.restart_connector(&name),
                    Some(Order::RestartTask(id)) => self.worker.restart_task(&id),
                    Some(Order::Stop(ended)) => {
                        self.stop().await;
                        // Nobody waits any more: fine.
                        let _ = ended.send(());
                        return;
                    }
                    None => return self.stop().await,
                },
            }
        }
    }

    /// Brings what runs in step with what should. `is_settled`: nothing that was told to end before runs any more.
    fn look(&mut self, is_settled: bool) {
        let (all, offset, restarts, levels) = {
            let state = self.cluster.state();
            let restarts = state.restarts_since(self.restarts_from);
            let levels = state.levels_since(self.restarts_from);
            (plan::plan(&state), state.offset(), restarts, levels)
        };
        match &mut self.member {
            Some(member) => {
                member.configured(offset, &all);
                member.look();
                let was_ending = *self.worker.ending().borrow();
                self.worker.apply(all.within(&member.runs()), &all);
                if is_settled && *self.worker.ending().borrow() == was_ending {
                    member.join(&self.context);
                }
            }
            None => self.worker.apply(all.clone(), &all),
        }
        self.restarts_from = self.restarts_from.max(offset);
        for (name, request) in restarts {
            self.worker.restart(&name, request);
        }
        for (name, level) in levels {
            if let Err(error) = self.loggers.set(&name, level, crate::worker::now()) {
                tracing::warn!(%error, logger = name, "the level of a logger that all workers are to have is not set");
            }
        }
    }

    async fn stop(self) {
        self.worker.stop().await;
        if let Some(member) = &self.member {
            // Others may say from now on what becomes of it.
            self.context.statuses.flush(STATUS_FLUSH_TIMEOUT).await;
            member.leave().await;
        }
    }
}

async fn event(member: Option<&mut GroupMember>) -> member::Event {
    match member {
        Some(member) => member.event().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
