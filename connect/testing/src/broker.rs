//! The broker of a test.

use std::path::Path;

use forebay_broker_server::{Broker, BrokerConfig, Options};
use tokio::runtime::Runtime;

use crate::{Error, Result, properties, runtime};

/// A broker on a runtime of its own: ends with it.
#[derive(Debug)]
pub(crate) struct RunningBroker {
    bootstrap_servers: String,
    runtime: Option<Runtime>,
}

impl RunningBroker {
    pub(crate) fn start(directory: &Path) -> Result<Self> {
        std::fs::create_dir_all(directory)?;
        let given = properties(&[
            ("listeners", "PLAINTEXT://127.0.0.1:0"),
            ("log.dirs", &directory.to_string_lossy()),
            // A new group would wait for more members.
            ("group.initial.rebalance.delay.ms", "0"),
        ]);
        let config = BrokerConfig::parse(&given).map_err(|error| Error::Broker(error.to_string()))?;
        let runtime = runtime("broker")?;
        let broker = runtime
            .block_on(Broker::start(Options::new(config)))
            .map_err(|error| Error::Broker(error.to_string()))?;
        let handle = broker.handle();
        let address = handle
            .listeners()
            .iter()
            .find_map(|listener| listener.addresses.first());
        let address = address.ok_or_else(|| Error::Broker("it listens nowhere".to_owned()))?;
        let bootstrap_servers = address.to_string();
        // It ends with the test, not before.
        runtime.spawn(broker.run(std::future::pending()));
        Ok(Self {
            bootstrap_servers,
            runtime: Some(runtime),
        })
    }

    pub(crate) fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }
}

impl Drop for RunningBroker {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
