//! What the process counts: the services by the recorder that libraries write to, the broker by itself.

use std::sync::Arc;

use anyhow::Context;
use forebay_broker_server as broker;
use forebay_console::Scrape;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::runtime::Handle;

/// All counters of the process. Cheap to clone.
#[derive(Clone)]
pub(super) struct Metrics {
    services: PrometheusHandle,
    /// Our own broker and where it runs.
    broker: Option<(broker::Handle, Handle)>,
}

impl Metrics {
    /// The recorder of the process; a second hub in it (tests) shares the first one's.
    ///
    /// # Errors
    /// If something else in the process records already.
    pub(super) fn new() -> anyhow::Result<Self> {
        static RECORDER: std::sync::OnceLock<PrometheusHandle> = std::sync::OnceLock::new();
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
            broker: None,
        })
    }

    /// The same, with a broker.
    pub(super) fn with_broker(self, broker: Option<(broker::Handle, Handle)>) -> Self {
        Self { broker, ..self }
    }

    /// Tidies the recorder's histograms.
    pub(super) fn run_upkeep(&self) {
        self.services.run_upkeep();
    }

    /// Reads all of them.
    pub(super) fn scrape(&self) -> Scrape {
        let Self { services, broker } = self.clone();
        Arc::new(move || {
            let (services, broker) = (services.clone(), broker.clone());
            Box::pin(async move {
                let mut text = services.render();
                if let Some((broker, runtime)) = broker {
                    // Its coordinators answer on its own runtime.
                    let reading = runtime.spawn(async move { broker.metrics().await });
                    text.push_str(&reading.await.unwrap_or_default());
                }
                text
            })
        })
    }
}
