//! The start of a broker: ports first, so that a taken one is told before anything is written, then the data, then the
//! parts that serve.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, Weak};

use forebay_broker_controller::ConfigSchema;
use forebay_broker_log::{
    self as log, DirectoryOptions, LogDirectory, MetaProperties, TAIL_BYTES_DEFAULT,
    TAIL_BYTES_PER_LOG_DEFAULT,
};
use forebay_broker_partition::FetchSessions;
use forebay_config::{Config, Source};
use forebay_protocol::NodeId;
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};

use super::{Broker, Error, Handle, OpenListener, Options};
use crate::config::{self, BrokerConfig};
use crate::coordinators::Surroundings;
use crate::core::Core;
use crate::dynamic::{self, Dynamic};
use crate::groups::Groups;
use crate::io_pool::IoPool;
use crate::metadata::{self, Loaded, Metadata, Start};
use crate::network::acceptor::Gate;
use crate::network::connection;
use crate::network::endpoint::Endpoint;
use crate::network::listener::{self, Bound};
use crate::network::request_memory::RequestMemory;
use crate::producer_ids::ProducerIds;
use crate::quotas::Quotas;
use crate::random::random_uuid;
use crate::replicas::fetch_waits::FetchWaits;
use crate::replicas::{Meters, Shared};
use crate::router::Router;
use crate::transactions::Transactions;
use crate::verification::Verifier;
use crate::{cleaner, clock, shutdown, upkeep};

pub(super) async fn start(options: Options) -> Result<Broker, Error> {
    start_as(spawn_blocking(move || adopt_node_id(options)).await??).await
}

/// Starts the node that the configuration names.
async fn start_as(options: Options) -> Result<Broker, Error> {
    let config = options.config.clone();
    let bound = bind_all(&config).await?;
    let loggers = options.loggers.clone();
    let endpoints: Vec<Endpoint> = bound.iter().map(told).collect();
    let pools = Pools::new(&config);
    let Pools { appends, reads, .. } = pools.clone();
    let schema = Arc::new(schema(&config));
    let startup = options.startup.clone();
    let (shared, loaded) = spawn_blocking({
        let (schema, appends, reads) = (Arc::clone(&schema), appends.clone(), reads.clone());
        move || load(&options, schema, appends, reads, &endpoints)
    })
    .await??;
    let (replicas, broker_epoch) = (Arc::clone(&loaded.replicas), loaded.broker_epoch);

    let (stop, stopped) = shutdown::channel();
    let metadata = Arc::new(Metadata::new(loaded, appends));
    let surroundings = Surroundings {
        metadata: Arc::clone(&metadata),
        replicas: Arc::clone(&replicas),
        shutdown: stopped.clone(),
    };
    let threads = vec![pools.appends.clone(), pools.reads.clone()];
    let dynamic = Dynamic::follow(&config, threads, Arc::clone(&schema), &metadata);
    let groups = Groups::of_broker(config.groups.clone(), surroundings.clone());
    let transactions = config.transactions.clone();
    let core = Arc::new_cyclic(|core| Core {
        cluster_id: shared.directory.meta_properties().cluster_id.as_str().into(),
        schema,
        quotas: Quotas::follow(&config.quotas, &metadata),
        metadata,
        replicas: Arc::clone(&replicas),
        fetch_sessions: Mutex::new(FetchSessions::new(config.fetch_session_slots)),
        groups: Arc::new(groups),
        transactions: Arc::new(Transactions::of_broker(transactions, surroundings, core.clone())),
        listing: Arc::new(tokio::sync::Semaphore::new(1)),
        judging: Arc::new(tokio::sync::Semaphore::new(1)),
        loggers,
        producer_ids: ProducerIds::new(config.node_id, broker_epoch),
        shutdown: stopped.clone(),
        started: clock::now(),
        startup,
        config,
    });
    let mut tasks = JoinSet::new();
    coordinate(&core, &shared, &mut tasks);
    tasks.spawn(upkeep::run(
        core.config.upkeep.clone(),
        replicas,
        Arc::clone(&core.metadata),
        pools.upkeep.clone(),
        stopped.clone(),
    ));
    tasks.spawn(cleaner::run(
        Arc::clone(&dynamic),
        Arc::clone(&shared.directory),
        pools.cleaner.clone(),
        stopped.clone(),
    ));
    let router = Router::new(Arc::clone(&core));
    let connection = connections(&router, &core, reads);
    let buffers = connection.memory.buffers().clone();
    tasks.spawn(buffers.release_idle(stopped.clone()));
    let gate = Arc::new(Gate::new(connection, core.config.network.clone(), dynamic));
    let listeners = accept_all(bound, &gate, &mut tasks);
    let handle = Handle {
        router,
        core,
        listeners: listeners.into(),
    };
    Ok(Broker {
        handle,
        stop,
        tasks,
        pools: pools.all(),
        broker_epoch,
    })
}

/// What every connection needs.
fn connections(router: &Router, core: &Core, reads: IoPool) -> connection::Shared {
    let network = &core.config.network;
    connection::Shared {
        router: router.clone(),
        reads,
        request_bytes_max: network.request_bytes_max,
        memory: RequestMemory::new(network.queued_request_bytes_max),
        idle_max: network.idle_max,
        shutdown: core.shutdown.clone(),
    }
}

/// Threads for what may wait for a disk.
#[derive(Clone)]
struct Pools {
    appends: IoPool,
    reads: IoPool,
    upkeep: IoPool,
    cleaner: IoPool,
}

impl Pools {
    fn new(config: &BrokerConfig) -> Self {
        Self {
            appends: IoPool::new("append", config.io_threads),
            reads: IoPool::new("read", config.io_threads),
            upkeep: IoPool::new("upkeep", 1),
            cleaner: IoPool::new("cleaner", config.cleaner.threads),
        }
    }

    fn all(self) -> Vec<IoPool> {
        vec![self.appends, self.reads, self.upkeep, self.cleaner]
    }
}

/// What was there before is loaded and carried on; the rest begins when somebody asks for it.
fn coordinate(core: &Core, shared: &Shared, tasks: &mut JoinSet<()>) {
    let coordinator: Weak<Transactions> = Arc::downgrade(&core.transactions);
    shared.verifier.set_coordinator(coordinator);
    core.groups.start();
    core.transactions.start();
    tasks.spawn(Arc::clone(&core.groups).follow_deletions());
}

/// A directory that another node has written, Kafka's perhaps, says which node this is, unless somebody has set `node.id`.
/// Blocks.
fn adopt_node_id(mut options: Options) -> Result<Options, Error> {
    let config = &mut options.config;
    if *config.values.source("node.id") == Source::Default
        && let Some(meta) = MetaProperties::of_directory(&*options.disk, &config.log_dir)?
    {
        config.node_id = NodeId(meta.node_id);
    }
    Ok(options)
}

async fn bind_all(config: &BrokerConfig) -> Result<Vec<Bound>, Error> {
    let mut bound = Vec::new();
    for one in &config.listeners {
        bound.push(listener::bind(one, config.network.backlog).await?);
    }
    Ok(bound)
}

/// What clients are told of a listener.
fn told(bound: &Bound) -> Endpoint {
    Endpoint {
        name: bound.name.clone(),
        ..bound.advertised.clone()
    }
}

fn accept_all(bound: Vec<Bound>, gate: &Arc<Gate>, tasks: &mut JoinSet<()>) -> Vec<OpenListener> {
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
            tasks.spawn(Arc::clone(gate).accept(socket, Arc::clone(&name)));
        }
        listeners.push(OpenListener {
            name,
            advertised,
            addresses,
        });
    }
    listeners
}

/// Opens the data directory and loads what is in it. Blocks.
fn load(
    options: &Options,
    schema: Arc<ConfigSchema>,
    appends: IoPool,
    reads: IoPool,
    endpoints: &[Endpoint],
) -> Result<(Arc<Shared>, Loaded), Error> {
    let config = &options.config;
    let directory = LogDirectory::open(DirectoryOptions {
        disk: Arc::clone(&options.disk),
        path: config.log_dir.clone(),
        node_id: config.node_id.0,
        cluster_id: options.cluster_id.clone(),
        new_cluster_id: random_uuid().to_string(),
        new_directory_id: log::Uuid(random_uuid().to_bytes()),
        tail_bytes_per_log: TAIL_BYTES_PER_LOG_DEFAULT,
        tail_bytes: TAIL_BYTES_DEFAULT,
        recovery: Arc::clone(&options.startup.recovery),
    })
    .map_err(|error| match &error {
        log::Error::Storage(cause) if matches!(**cause, forebay_disk::Error::Locked { .. }) => {
            Error::Locked {
                path: config.log_dir.display().to_string(),
            }
        }
        _ => Error::Directory(error),
    })?;
    let directory = Arc::new(directory);
    options.startup.load(directory.path());
    let cluster_id = directory.meta_properties().cluster_id.clone();
    let failure = watch::Sender::new(None);
    directory.on_failure({
        let failure = failure.clone();
        move |reason| {
            failure.send_replace(Some(reason));
        }
    });
    let shared = Arc::new(Shared {
        node_id: config.node_id,
        directory,
        appends,
        reads,
        verifier: Arc::new(Verifier::new(tokio::runtime::Handle::current())),
        fetch_waits: FetchWaits::default(),
        meters: Meters::default(),
        failure,
    });
    let start = Start {
        config,
        schema,
        cluster_id: &cluster_id,
        shared: Arc::clone(&shared),
        endpoints,
    };
    let loaded = metadata::load(&start)?;
    Ok((shared, loaded))
}

/// What Kafka demands of a topic's keys together (`LogConfig.validateValues`, `validateRemoteStorageOnlyIfSystemEnabled`).
fn check_topic(config: &Config) -> Result<(), String> {
    let (min, max) = (
        config.get_long("min.compaction.lag.ms"),
        config.get_long("max.compaction.lag.ms"),
    );
    if min > max {
        return Err(format!(
            "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
        ));
    }
    if config.get_boolean("remote.storage.enable") {
        return Err(
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."
                .to_owned(),
        );
    }
    Ok(())
}

/// What may be configured: all keys of topics; of brokers, the topics' defaults also while it runs.
fn schema(config: &BrokerConfig) -> ConfigSchema {
    let topic = log::config::definition();
    let defaults = topic.keys().iter().filter_map(|key| key.synonyms.first());
    ConfigSchema {
        topic: topic.clone(),
        topic_check: Box::new(check_topic),
        group: config::group_definition(),
        group_check: Box::new(config::check_group),
        broker: config::definition().clone(),
        broker_check: Box::new(dynamic::check),
        broker_properties: config.values.originals().clone(),
        cluster_wide_updates: defaults
            .map(|synonym| synonym.name.clone())
            .chain(dynamic::KEYS.map(str::to_owned))
            .collect(),
        per_broker_updates: BTreeSet::new(),
    }
}
