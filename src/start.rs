//! The hub: every role in one process. This is the only place that knows them all, and the only one that joins the client
//! to the broker of its own node.
//!
//! Broker and services run on a runtime of their own each, so that a sink at full speed does not keep the broker from a
//! heartbeat.

mod arguments;
mod clients;
mod local_node;
mod plugins;
mod server_properties;
mod services;
mod settings;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use forebay_broker_server as broker;
use forebay_client::Client;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle};

pub(crate) use arguments::{Ports, StartArguments};
pub(crate) use server_properties::{BrokerArguments, run as run_broker};
pub(crate) use settings::{Role, Settings};

use clients::Clients;
use services::Services;

/// How often the metrics' histograms are tidied.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// Whether every role that was asked for serves, for `/health/ready`.
type IsReady = Arc<dyn Fn() -> bool + Send + Sync>;

/// A running hub. Stop it by [`Hub::stop`]; dropping it is a crash that the next start recovers from.
pub(crate) struct Hub {
    addresses: Vec<(Role, Vec<SocketAddr>)>,
    clients: Clients,
    services: Option<Services>,
    broker: Option<RunningBroker>,
    // Last: everything above ends before its runtime does.
    services_runtime: Runtime,
    broker_runtime: Runtime,
}

/// What a hub's run has come to.
enum Ended {
    Signal(anyhow::Result<&'static str>),
    Broker(Result<Result<(), broker::Error>, JoinError>),
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
        let own_broker = local.as_ref().map(|(handle, _)| handle.clone());
        let mut clients = Clients::new(settings, local);
        let has_started = Arc::new(AtomicBool::new(false));
        let is_ready: IsReady = {
            let has_started = Arc::clone(&has_started);
            Arc::new(move || {
                has_started.load(Ordering::Acquire)
                    && own_broker.as_ref().is_none_or(broker::Handle::is_ready)
            })
        };
        let started =
            services_runtime.block_on(Services::start(settings, &mut clients, metrics, is_ready))?;
        for (role, bound) in started.addresses() {
            on_listening(role, &bound);
            addresses.push((role, bound));
        }
        has_started.store(true, Ordering::Release);
        let services = Some(started);
        Ok(Self {
            addresses,
            clients,
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

    /// The client of a role.
    ///
    /// # Errors
    /// If the role was given no cluster to work with.
    pub(crate) fn client(&mut self, settings: &Settings, role: Role) -> anyhow::Result<Client> {
        self.clients.of_role(settings, role)
    }

    /// Where services and jobs run.
    pub(crate) fn services_runtime(&self) -> &Runtime {
        &self.services_runtime
    }

    /// Waits for a signal that asks the process to end, and names it.
    ///
    /// # Errors
    /// Why the broker has ended by itself: what needs it cannot go on, and whoever supervises the process must learn of it.
    pub(crate) fn wait(&mut self) -> anyhow::Result<&'static str> {
        let broker = self.broker.as_mut();
        let outcome = self.services_runtime.block_on(async {
            let Some(RunningBroker { run, .. }) = broker else {
                return Ended::Signal(termination().await);
            };
            tokio::select! {
                signal = termination() => Ended::Signal(signal),
                ended = run => Ended::Broker(ended),
            }
        });
        match outcome {
            Ended::Signal(signal) => signal,
            Ended::Broker(ended) => {
                self.broker = None;
                ended.context("the broker has panicked")??;
                bail!("the broker has ended although nobody asked it to")
            }
        }
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

/// `forebay start`: runs until SIGINT or SIGTERM.
pub(crate) fn run(arguments: StartArguments) -> anyhow::Result<()> {
    let began = Instant::now();
    let settings = Settings::new(arguments)?;
    serve(&settings, began)
}

/// Starts the hub, says so, and serves until a signal asks it to end or its broker has to.
fn serve(settings: &Settings, began: Instant) -> anyhow::Result<()> {
    let mut hub = Hub::start(settings, |role, addresses| {
        println!("{}", listener_line(role, addresses));
    })?;
    println!("ready in {} ms", began.elapsed().as_millis());
    // A hub whose broker is gone is dropped as it stands: its services have nothing left to commit to.
    let signal = hub.wait()?;
    println!("{signal}: shutting down");
    hub.services_runtime.spawn(end_at_a_second_signal());
    hub.stop()
}

/// Whoever asks twice does not want to wait; what was acknowledged survives that as it survives a crash.
async fn end_at_a_second_signal() {
    if let Ok(signal) = termination().await {
        eprintln!("{signal} again: ending at once; the next start recovers");
        std::process::exit(1);
    }
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
