//! What the process counts: the services by the recorder that libraries write to, the broker by itself.

use std::sync::{Arc, OnceLock};

use anyhow::Context;
use forebay_broker_server as broker;
use forebay_console::Scrape;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::runtime::Handle;

/// All counters of the process. Cheap to clone.
#[derive(Clone)]
pub(super) struct Metrics {
    services: PrometheusHandle,
    /// Our own broker's start.
    startup: Option<broker::Startup>,
    /// Our own broker and where it runs, once it serves.
    broker: OwnBroker,
    /// Our own Connect worker, once it serves.
    connect: Arc<OnceLock<forebay_connect_runtime::Metrics>>,
}

/// The broker of this process and where it runs, once it serves.
pub(super) type OwnBroker = Arc<OnceLock<(broker::Handle, Handle)>>;

impl Metrics {
    /// The recorder of the process; a second hub in it (tests) shares the first one's.
    ///
    /// # Errors
    /// If something else in the process records already.
    pub(super) fn new() -> anyhow::Result<Self> {
        static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
        let services = if let Some(known) = RECORDER.get() {
            known.clone()
        } else {
            let handle = PrometheusBuilder::new()
                .install_recorder()
                .context("cannot install the metrics recorder")?;
            RECORDER.get_or_init(|| handle).clone()
        };
        Ok(Self {
            services,
            startup: None,
            broker: OwnBroker::default(),
            connect: Arc::default(),
        })
    }

    /// The same, with a broker that is about to start.
    pub(super) fn with_broker(self, startup: Option<broker::Startup>, broker: OwnBroker) -> Self {
        Self {
            startup,
            broker,
            ..self
        }
    }

    /// Tells of the worker, too, from now on.
    pub(super) fn has_connect(&self, metrics: forebay_connect_runtime::Metrics) {
        let _first = self.connect.set(metrics);
    }

    /// Tidies the recorder's histograms.
    pub(super) fn run_upkeep(&self) {
        self.services.run_upkeep();
    }

    /// Reads all of them.
    pub(super) fn scrape(&self) -> Scrape {
        let Self {
            services,
            startup,
            broker,
            connect,
        } = self.clone();
        Arc::new(move || {
            let (services, startup) = (services.clone(), startup.clone());
            let (broker, connect) = (broker.get().cloned(), connect.get().cloned());
            Box::pin(async move {
                let mut text = services.render();
                if let Some(connect) = connect {
                    text.push_str(&connect.render());
                }
                match (broker, startup) {
                    (Some((broker, runtime)), _) => {
                        // Its coordinators answer on its own runtime.
                        let reading = runtime.spawn(async move { broker.metrics().await });
                        text.push_str(&reading.await.unwrap_or_default());
                    }
                    (None, Some(startup)) => text.push_str(&startup.metrics()),
                    (None, None) => {}
                }
                text
            })
        })
    }
}
