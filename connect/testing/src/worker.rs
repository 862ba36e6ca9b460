//! The worker of a test.

use forebay_client::Client;
use forebay_config::Properties;
use forebay_connect_api::{Plugin, Plugins};
use forebay_connect_runtime::{Config, Service};
use forebay_http::{Listeners, Options};
use tokio::runtime::Runtime;

use crate::{Error, Result, runtime};

/// A worker on a runtime of its own. Dropped, its tasks are dropped wherever they are.
#[derive(Debug)]
pub(crate) struct RunningWorker {
    service: Option<Service>,
    runtime: Option<Runtime>,
    url: String,
}

impl RunningWorker {
    pub(crate) fn start(client: &Client, properties: &Properties, plugins: Vec<Plugin>) -> Result<Self> {
        let failed = |error: &dyn std::fmt::Display| Error::Worker(error.to_string());
        // One that is started again takes the place of the one that was dropped, and need not wait for its session.
        let mut properties = properties.clone();
        let instance_id = properties.entry("group.instance.id".to_owned());
        instance_id.or_insert_with(|| "worker".to_owned());
        let config = Config::new(&properties).map_err(|error| failed(&error))?;
        let runtime = runtime("worker")?;
        let service = runtime.block_on(async {
            let listeners = Listeners::loopback("connect", 0)
                .await
                .map_err(|error| failed(&error))?;
            Service::start(
                client,
                config,
                Plugins::new(plugins),
                listeners,
                Options::default(),
            )
            .await
            .map_err(|error| failed(&error))
        })?;
        let address = service.addresses().first().copied();
        let address = address.ok_or_else(|| Error::Worker("it listens nowhere".to_owned()))?;
        Ok(Self {
            service: Some(service),
            runtime: Some(runtime),
            url: format!("http://{address}"),
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn stop(mut self) {
        if let (Some(runtime), Some(service)) = (&self.runtime, self.service.take()) {
            runtime.block_on(service.stop());
        }
    }
}

impl Drop for RunningWorker {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // The service goes first, without a word; what it has spawned is dropped at its next await.
            self.service = None;
            runtime.shutdown_background();
        }
    }
}
