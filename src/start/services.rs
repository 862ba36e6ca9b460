//! The HTTP services, in the order in which they need each other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use forebay_broker_server::Loggers;
use forebay_client::Client;
use forebay_config::Properties;
use forebay_http::Listeners;
use forebay_schema_registry_server as registry;
use tokio::task::JoinHandle;

use super::clients::Clients;
use super::loggers::WorkerLoggers;
use super::metrics::Metrics;
use super::settings::{Role, Settings};

/// How often the metrics' histograms are tidied.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// Whether every role that was asked for serves.
pub(super) type IsReady = Arc<dyn Fn() -> bool + Send + Sync>;

/// The ports of the services, before anything else is begun: one in use is told while there is nothing to stop yet.
///
/// # Errors
/// Which port cannot be had, and what to do.
pub(super) async fn bind(settings: &Settings) -> anyhow::Result<Bound> {
    let mut bound = Bound::default();
    for role in settings
        .roles
        .iter()
        .copied()
        .filter(|role| *role != Role::Broker)
    {
        let listeners = Listeners::loopback(role.name(), settings.port(role)).await?;
        bound.0.push((role, listeners));
    }
    Ok(bound)
}

/// The console, before there is a broker: what it tells of the process can be asked from now on. Must be called inside a runtime.
pub(super) fn begin_console(
    settings: &Settings,
    listeners: &mut Bound,
    metrics: &Metrics,
    is_ready: IsReady,
) -> Option<forebay_console::Service> {
    let options = forebay_console::Options {
        connect_url: url(listeners.port(Role::Connect)),
        registry_url: url(listeners.port(Role::Registry)),
        metrics: metrics.scrape(),
        is_ready,
        http: settings.http(Role::Console),
    };
    let bound = listeners.take(Role::Console)?;
    Some(forebay_console::Service::start(bound, options))
}

fn url(port: Option<u16>) -> Option<String> {
    port.map(|port| format!("http://localhost:{port}"))
}

/// What services share of the process that they run in.
pub(super) struct Process {
    pub(super) metrics: Metrics,
    pub(super) loggers: Arc<Loggers>,
}

/// What is running above the broker.
pub(super) struct Services {
    registry: Option<registry::Service>,
    rest: Option<forebay_rest_proxy::Service>,
    connect: Option<forebay_connect_runtime::Service>,
    console: Option<forebay_console::Service>,
    upkeep: JoinHandle<()>,
}

impl Services {
    pub(super) async fn start(
        settings: &Settings,
        clients: &mut Clients,
        mut listeners: Bound,
        Process { metrics, loggers }: Process,
        console: Option<forebay_console::Service>,
    ) -> anyhow::Result<Self> {
        let registry_url = url(listeners.port(Role::Registry));
        let registry = async {
            let Some(bound) = listeners.take(Role::Registry) else {
                return Ok(None);
            };
            let config = registry::Config::new(&settings.of_service(Role::Registry))?;
            let client = clients.of_role(settings, Role::Registry)?;
            let started =
                registry::Service::start(&client, config, bound, settings.http(Role::Registry)).await?;
            anyhow::Ok(Some(started))
        };
        let registry = registry.await?;
        let connect = match listeners.take(Role::Connect) {
            Some(bound) => {
                let client = clients.of_role(settings, Role::Connect)?;
                let of_hub = OfHub {
                    registry_url: registry_url.as_deref(),
                    loggers,
                };
                Some(start_connect(settings, &client, bound, of_hub).await?)
            }
            None => None,
        };
        if let Some(connect) = &connect {
            metrics.has_connect(connect.metrics());
        }
        let rest = match listeners.take(Role::Rest) {
            Some(bound) => {
                let own = with_registry(
                    settings.of_service(Role::Rest),
                    "schema.registry.url",
                    registry_url.as_deref(),
                );
                let config = forebay_rest_proxy::Config::new(&own)?;
                Some(forebay_rest_proxy::Service::start(
                    &clients.of_role(settings, Role::Rest)?,
                    config,
                    bound,
                    settings.http(Role::Rest),
                )?)
            }
            None => None,
        };
        let upkeep = tokio::spawn(upkeep(metrics.clone()));
        if let Some(console) = &console {
            console.use_cluster(&clients.of_role(settings, Role::Console)?)?;
        }
        Ok(Self {
            registry,
            rest,
            connect,
            console,
            upkeep,
        })
    }

    /// Of those that serve since the broker does.
    pub(super) fn addresses(&self) -> Vec<(Role, Vec<SocketAddr>)> {
        let all = [
            (
                Role::Registry,
                self.registry.as_ref().map(registry::Service::addresses),
            ),
            (
                Role::Rest,
                self.rest.as_ref().map(forebay_rest_proxy::Service::addresses),
            ),
            (
                Role::Connect,
                self.connect
                    .as_ref()
                    .map(forebay_connect_runtime::Service::addresses),
            ),
        ];
        all.into_iter()
            .filter_map(|(role, bound)| Some((role, bound?.to_vec())))
            .collect()
    }

    /// Connect first: its tasks commit what they have done.
    pub(super) async fn stop(self) {
        self.upkeep.abort();
        if let Some(connect) = self.connect {
            connect.stop().await;
        }
        if let Some(rest) = self.rest {
            rest.stop().await;
        }
        if let Some(registry) = self.registry {
            registry.stop().await;
        }
        if let Some(console) = self.console {
            console.stop().await;
        }
    }
}

/// What a worker has of the hub that it runs in.
struct OfHub<'a> {
    registry_url: Option<&'a str>,
    loggers: Arc<Loggers>,
}

async fn start_connect(
    settings: &Settings,
    client: &Client,
    bound: Listeners,
    of_hub: OfHub<'_>,
) -> anyhow::Result<forebay_connect_runtime::Service> {
    let own = with_registry(
        settings.of_service(Role::Connect),
        "schema.registry.url",
        of_hub.registry_url,
    );
    let own = with_instance_id(own, settings);
    let config = forebay_connect_runtime::Config::new(&own)?;
    let config = config.with_loggers(Arc::new(WorkerLoggers(of_hub.loggers)));
    let options = settings.http(Role::Connect);
    Ok(
        forebay_connect_runtime::Service::start(client, config, super::plugins::all(), bound, options)
            .await?,
    )
}

/// The hub's worker is started again where its broker is, whose id no other one of the cluster has: it need not wait for its own
/// session of before, after a crash either.
fn with_instance_id(mut own: Properties, settings: &Settings) -> Properties {
    let is_own = !settings
        .of_client(Role::Connect)
        .contains_key("bootstrap.servers");
    if settings.has(Role::Broker) && is_own {
        let id = settings.broker.get_int("node.id");
        own.entry("group.instance.id".to_owned())
            .or_insert_with(|| format!("forebay-{id}"));
    }
    own
}

/// Ports that are bound and wait for their service.
#[derive(Default)]
pub(super) struct Bound(Vec<(Role, Listeners)>);

impl Bound {
    fn port(&self, role: Role) -> Option<u16> {
        self.0
            .iter()
            .find(|(known, _)| *known == role)
            .map(|(_, listeners)| listeners.port())
    }

    fn take(&mut self, role: Role) -> Option<Listeners> {
        let index = self.0.iter().position(|(known, _)| *known == role)?;
        Some(self.0.swap_remove(index).1)
    }
}

fn with_registry(mut own: Properties, key: &str, url: Option<&str>) -> Properties {
    if let Some(url) = url {
        own.entry(key.to_owned()).or_insert_with(|| url.to_owned());
    }
    own
}

async fn upkeep(metrics: Metrics) {
    let mut ticks = tokio::time::interval(METRICS_UPKEEP);
    loop {
        ticks.tick().await;
        metrics.run_upkeep();
    }
}
