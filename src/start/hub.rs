//! A running hub: the broker on a runtime of its own, the services on another.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use forebay_broker_server as broker;
use forebay_client::Client;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle};

use super::clients::Clients;
use super::metrics::{Metrics, OwnBroker};
use super::services::{self, Process, Services};
use super::settings::{Role, Settings};
use super::termination;

/// How long threads that block have to end by themselves, once everything is stopped.
pub(super) const THREADS_WAIT: Duration = Duration::from_secs(1);

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
    handle: broker::Handle,
    stop: oneshot::Sender<()>,
    run: JoinHandle<Result<(), broker::Error>>,
}

impl Hub {
    /// Starts the roles of `settings`, in a process whose `loggers` a broker may change; `on_listening` is told each listener as soon as it serves.
    ///
    /// # Errors
    /// One line that names cause and cure; nothing runs then, and what had been started has been stopped in order.
    pub(crate) fn start(
        settings: &Settings,
        loggers: Arc<broker::Loggers>,
        mut on_listening: impl FnMut(Role, &[SocketAddr]),
    ) -> anyhow::Result<Self> {
        let broker_runtime = runtime("broker")?;
        let services_runtime = runtime("services")?;
        let mut ports = services_runtime.block_on(services::bind(settings))?;
        let (startup, own) = (broker::Startup::default(), OwnBroker::default());
        let has_broker = settings.has(Role::Broker);
        let metrics = Metrics::new()?.with_broker(has_broker.then(|| startup.clone()), Arc::clone(&own));
        let has_started = Arc::new(AtomicBool::new(false));
        let is_ready = is_ready(&has_started, &own);
        let mut addresses = Vec::new();
        let console = services_runtime
            .block_on(async { services::begin_console(settings, &mut ports, &metrics, is_ready) });
        if let Some(console) = &console {
            on_listening(Role::Console, console.addresses());
            addresses.push((Role::Console, console.addresses().to_vec()));
        }
        let broker = match has_broker {
            true => Some(RunningBroker::start(
                settings,
                startup,
                Arc::clone(&loggers),
                &broker_runtime,
            )?),
            false => None,
        };
        if let Some(broker) = &broker {
            let bound = broker.addresses();
            on_listening(Role::Broker, &bound);
            addresses.push((Role::Broker, bound));
            let _first = own.set((broker.handle.clone(), broker_runtime.handle().clone()));
        }
        let mut clients = Clients::new(settings, own.get().cloned());
        let start = Services::start(
            settings,
            &mut clients,
            ports,
            Process { metrics, loggers },
            console,
        );
        let services = match services_runtime.block_on(start) {
            Ok(services) => services,
            Err(error) => {
                if let Some(broker) = broker {
                    broker.stop(&broker_runtime)?;
                }
                return Err(error);
            }
        };
        for (role, bound) in services.addresses() {
            on_listening(role, &bound);
            addresses.push((role, bound));
        }
        has_started.store(true, Ordering::Release);
        Ok(Self {
            addresses,
            clients,
            services: Some(services),
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
        let stopped = match self.broker.take() {
            Some(broker) => broker.stop(&self.broker_runtime),
            None => Ok(()),
        };
        self.abandon();
        stopped
    }

    /// Lets everything go as it stands. What a connector has blocked a thread with (a mount that does not answer, standard input) ends with
    /// the process, which does not wait for it.
    pub(crate) fn abandon(self) {
        let Self {
            clients,
            services,
            broker,
            services_runtime,
            broker_runtime,
            ..
        } = self;
        drop((services, broker, clients));
        services_runtime.shutdown_timeout(THREADS_WAIT);
        drop(broker_runtime);
    }
}

impl RunningBroker {
    fn start(
        settings: &Settings,
        startup: broker::Startup,
        loggers: Arc<broker::Loggers>,
        runtime: &Runtime,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&settings.data_dir)
            .with_context(|| format!("cannot create the data directory {}", settings.data_dir.display()))?;
        let config = broker::BrokerConfig::from_values(settings.broker.clone())?;
        let options = broker::Options {
            startup,
            loggers: Some(loggers),
            ..broker::Options::new(config)
        };
        let started = runtime.block_on(broker::Broker::start(options))?;
        let handle = started.handle();
        let (stop, stopped) = oneshot::channel();
        let run = runtime.spawn(started.run(async {
            // The sender going away without a word is a request to stop as well.
            let _ = stopped.await;
        }));
        Ok(Self { handle, stop, run })
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        let listeners = self.handle.listeners().iter();
        listeners
            .flat_map(|listener| listener.addresses.clone())
            .collect()
    }

    fn stop(self, runtime: &Runtime) -> anyhow::Result<()> {
        // A broker that has ended already is joined all the same.
        let _ = self.stop.send(());
        runtime.block_on(self.run).context("the broker has panicked")??;
        Ok(())
    }
}

/// Whether every role that was asked for serves, for `/health/ready`.
fn is_ready(has_started: &Arc<AtomicBool>, own: &OwnBroker) -> services::IsReady {
    let (has_started, own) = (Arc::clone(has_started), Arc::clone(own));
    Arc::new(move || {
        has_started.load(Ordering::Acquire) && own.get().is_none_or(|(broker, _)| broker.is_ready())
    })
}

fn runtime(name: &'static str) -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .thread_name(name)
        .enable_all()
        .build()
        .with_context(|| format!("cannot start the threads of the {name}"))
}
