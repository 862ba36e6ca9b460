//! The hub: every role in one process. This is the only place that knows them all, and the only one that joins the client
//! to the broker of its own node.
//!
//! Broker and services run on a runtime of their own each, so that a sink at full speed does not keep the broker from a
//! heartbeat.

mod arguments;
mod local_node;
mod plugins;
mod services;
mod settings;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use forebay_broker_server as broker;
use forebay_client::{Client, ClientConfig};
use forebay_config::Properties;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) use arguments::{Ports, StartArguments};
pub(crate) use settings::{Role, Settings};

use services::Services;

/// How often the metrics' histograms are tidied.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// A running hub. Stop it by [`Hub::stop`]; dropping it is a crash that the next start recovers from.
pub(crate) struct Hub {
    addresses: Vec<(Role, Vec<SocketAddr>)>,
    client: Client,
    services: Option<Services>,
    broker: Option<RunningBroker>,
    // Last: everything above ends before its runtime does.
    services_runtime: Runtime,
    broker_runtime: Runtime,
}

struct RunningBroker {
    stop: oneshot::Sender<()>,
    run: JoinHandle<Result<(), broker::Error>>,
}

impl Hub {
    /// Starts the roles of `settings`; `on_listening` is told each listener as soon as it serves.
    pub(crate) fn start(
        settings: &Settings,
        on_listening: impl FnMut(Role, &[SocketAddr]),
    ) -> anyhow::Result<Self> {
        let mut on_listening = on_listening;
        let broker_runtime = runtime("broker")?;
        let services_runtime = runtime("services")?;
        let metrics = recorder()?;
        let mut addresses = Vec::new();
        let (broker, local) = if settings.has(Role::Broker) {
            std::fs::create_dir_all(&settings.data_dir).with_context(|| {
                format!("cannot create the data directory {}", settings.data_dir.display())
            })?;
            let options = broker::Options::new(broker::BrokerConfig::from_values(settings.broker.clone())?);
            let started = broker_runtime.block_on(broker::Broker::start(options))?;
            let handle = started.handle();
            let bound: Vec<SocketAddr> = handle
                .listeners()
                .iter()
                .flat_map(|it| it.addresses.clone())
                .collect();
            on_listening(Role::Broker, &bound);
            addresses.push((Role::Broker, bound));
            let (stop, stopped) = oneshot::channel();
            let run = broker_runtime.spawn(started.run(async {
                // The sender going away without a word is a request to stop as well.
                let _ = stopped.await;
            }));
            (
                Some(RunningBroker { stop, run }),
                Some((handle, broker_runtime.handle().clone())),
            )
        } else {
            (None, None)
        };
        let client = client(settings, local)?;
        let is_ready = Arc::new(AtomicBool::new(false));
        let started = services_runtime.block_on(Services::start(settings, &client, metrics, &is_ready))?;
        for (role, bound) in started.addresses() {
            on_listening(role, &bound);
            addresses.push((role, bound));
        }
        is_ready.store(true, Ordering::Release);
        let services = Some(started);
        Ok(Self {
            addresses,
            client,
            services,
            broker,
            services_runtime,
            broker_runtime,
        })
    }

    /// The port of a role that runs.
    pub(crate) fn port(&self, role: Role) -> Option<u16> {
        let (_, addresses) = self.addresses.iter().find(|(known, _)| *known == role)?;
        addresses.first().map(SocketAddr::port)
    }

    /// Clients of the hub's cluster; in-process where that is its own broker.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Where services and jobs run.
    pub(crate) fn services_runtime(&self) -> &Runtime {
        &self.services_runtime
    }

    /// Stops the services, then the broker, so that the services can finish what they have begun.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        if let Some(services) = self.services.take() {
            self.services_runtime.block_on(services.stop());
        }
        if let Some(RunningBroker { stop, run }) = self.broker.take() {
            // A broker that has ended already is joined all the same.
            let _ = stop.send(());
            self.broker_runtime
                .block_on(run)
                .context("the broker has panicked")??;
        }
        Ok(())
    }
}

fn runtime(name: &'static str) -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .thread_name(name)
        .enable_all()
        .build()
        .with_context(|| format!("cannot start the threads of the {name}"))
}

/// One recorder for the process; a second hub in it (tests) shares the first one's.
fn recorder() -> anyhow::Result<PrometheusHandle> {
    static RECORDER: std::sync::OnceLock<PrometheusHandle> = std::sync::OnceLock::new();
    if let Some(known) = RECORDER.get() {
        return Ok(known.clone());
    }
    let handle = PrometheusBuilder::new()
        .install_recorder()
        .context("cannot install the metrics recorder")?;
    Ok(RECORDER.get_or_init(|| handle).clone())
}

/// The services' way to their cluster: `bootstrap.servers` where it is set, else the hub's own broker.
fn client(
    settings: &Settings,
    local: Option<(broker::Handle, tokio::runtime::Handle)>,
) -> anyhow::Result<Client> {
    let mut properties: Properties = settings.client.clone();
    if let Some((handle, _)) = &local
        && !properties.contains_key("bootstrap.servers")
    {
        let own: Vec<String> = handle
            .listeners()
            .iter()
            .map(|it| format!("{}:{}", it.advertised.host, it.advertised.port))
            .collect();
        properties.insert("bootstrap.servers".to_owned(), own.join(","));
    }
    if !properties.contains_key("bootstrap.servers") {
        anyhow::bail!(
            "no broker to work with: add broker to --roles, or name a cluster with --override connect.bootstrap.servers=HOST:PORT (and the same for the other roles)"
        );
    }
    let client = Client::new(ClientConfig::new(
        &properties,
        forebay_config::Origin::CommandLine,
    )?);
    Ok(match local {
        Some((handle, runtime)) => client.with_local_node(local_node::local_node(handle, runtime)),
        None => client,
    })
}

/// `forebay start`: runs until SIGINT or SIGTERM.
pub(crate) fn run(arguments: StartArguments) -> anyhow::Result<()> {
    let began = Instant::now();
    let settings = Settings::new(arguments)?;
    let hub = Hub::start(&settings, |role, addresses| {
        println!("{}", listener_line(role, addresses));
    })?;
    println!("ready in {} ms", began.elapsed().as_millis());
    let signal = hub.services_runtime.block_on(termination())?;
    println!("{signal}: shutting down");
    hub.stop()
}

/// `registry  http://127.0.0.1:8081  http://[::1]:8081`
pub(crate) fn listener_line(role: Role, addresses: &[SocketAddr]) -> String {
    let scheme = if role == Role::Broker { "" } else { "http://" };
    let addresses: Vec<String> = addresses
        .iter()
        .map(|address| format!("{scheme}{address}"))
        .collect();
    format!("{:<9} {}", role.name(), addresses.join("  "))
}

/// Waits for a signal that asks the process to end, and names it.
pub(crate) async fn termination() -> anyhow::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
