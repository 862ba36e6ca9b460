//! HttpSink: sends each record's value to an endpoint, alone or several as one body. It takes the common part of the configurations
//! of `io.confluent.connect.http.HttpSinkConnector` and `io.aiven.kafka.connect.http.HttpSinkConnector`. At least once:
//! what was sent but not committed is sent again after a kill.
//!
//! A record is done when a request that has it was answered 2xx. Strings and bytes are sent as they are, everything else as JSON,
//! unless there is a template for the body. Failed connections, timeouts and the statuses of `retry.on.status.codes` are tried
//! again `max.retries` times. After that `behavior.on.error` decides. By default, which is `fail`: 401, 403, 407, redirects and
//! what did not pass fail the task, as they are about no record, and so do 404, 405 and 410 if the URL is the same for
//! all. Other statuses are a record's own fault: it goes to the errant record reporter if `errors.tolerance=all`, and
//! if the request had several, halves of it are sent until the one is found; without a reporter the task fails.

mod body;
mod config;
mod fields;
mod pieces;
mod report;
mod task;

use std::sync::Arc;

use forebay_connect_api::{
    BoxFuture, Connector, ConnectorContext, Error, SinkConnector, SinkTask,
    config::{ConfigDef, ConfigValue, Properties},
};

use crate::time::RealTime;

/// The Java class whose configuration it takes.
pub const CLASS: &str = "io.confluent.connect.http.HttpSinkConnector";
/// Other classes that it stands for.
pub const ALIASES: &[&str] = &["io.aiven.kafka.connect.http.HttpSinkConnector"];

/// The connector: one endpoint, as many tasks as are allowed.
#[derive(Debug, Default)]
pub struct HttpSinkConnector {
    properties: Properties,
}

impl Connector for HttpSinkConnector {
    fn config(&self) -> ConfigDef {
        config::definition()
    }

    fn validate(&self, properties: &Properties) -> Vec<ConfigValue> {
        config::validate(properties)
    }

    fn start<'a>(
        &'a mut self,
        _context: Arc<dyn ConnectorContext>,
        properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.properties = properties.clone();
        let parsed = config::Config::parse(properties).map(|_| ());
        Box::pin(std::future::ready(parsed.map_err(Error::from)))
    }

    fn task_configs(&self, tasks_max: u32) -> BoxFuture<'_, Result<Vec<Properties>, Error>> {
        let tasks = (0..tasks_max).map(|_| self.properties.clone()).collect();
        Box::pin(std::future::ready(Ok(tasks)))
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl SinkConnector for HttpSinkConnector {
    fn task(&self) -> Box<dyn SinkTask> {
        Box::new(task::HttpSinkTask::new(Arc::new(RealTime)))
    }
}

#[cfg(test)]
mod tests;
