//! For authors of connectors: a broker and a worker in the process of a test, on ports that are free and in a directory that goes
//! with them. `examples/connector.rs` has a source, a sink, and their tests.
//!
//! Everything waits until what was asked for is there, at most [`TIMEOUT`], and says what all connectors do when it does not come.

mod broker;
mod rest;
mod worker;

use std::path::Path;
use std::time::{Duration, Instant};

use forebay_client::consumer::ConsumerRecord;
use forebay_client::{Client, ClientConfig, ProducerRecord};
use forebay_config::Properties;
use forebay_connect_api::Plugin;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use broker::RunningBroker;
use worker::RunningWorker;

/// How long anything is waited for.
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// How often it is looked for.
const PAUSE: Duration = Duration::from_millis(20);
/// How long one poll of a consumer may wait.
const POLL: Duration = Duration::from_millis(200);

/// Why a test cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The broker did not start or has failed.
    #[error("the broker: {0}")]
    Broker(String),
    /// The worker did not start.
    #[error("the worker: {0}")]
    Worker(String),
    /// A client could not do what it was asked.
    #[error(transparent)]
    Client(#[from] forebay_client::Error),
    /// The worker refused something; its own words.
    #[error("{request}: {status} {message}")]
    Refused {
        /// What it was asked.
        request: String,
        /// The HTTP status.
        status: u16,
        /// The message of its answer.
        message: String,
    },
    /// The worker could not be asked.
    #[error("the worker's REST API: {0}")]
    Rest(#[from] reqwest::Error),
    /// Something did not come.
    #[error("{what} did not come within {TIMEOUT:?}; {connectors}")]
    Timeout {
        /// What was waited for, and how much of it came.
        what: String,
        /// The status of every connector.
        connectors: String,
    },
    /// A file or a thread.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// What this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A broker and a worker. Dropped, both end as a crash ends them.
#[derive(Debug)]
pub struct Connect {
    worker: Option<RunningWorker>,
    broker: RunningBroker,
    plugins: Vec<Plugin>,
    worker_properties: Properties,
    client: Client,
    http: reqwest::Client,
    runtime: Runtime,
    // Last: it goes when nobody writes into it any more.
    directory: TempDir,
}

impl Connect {
    /// Starts both, the worker with these connectors.
    ///
    /// # Errors
    /// If one of them does not start.
    pub fn start(plugins: impl IntoIterator<Item = Plugin>) -> Result<Self> {
        Self::start_with(plugins, &[])
    }

    /// As [`Connect::start`], with keys of the worker (`offset.flush.interval.ms`, `value.converter`, …). Unless given, offsets are
    /// committed each 100 ms, and converters are those of strings.
    ///
    /// # Errors
    /// If one of them does not start.
    pub fn start_with(
        plugins: impl IntoIterator<Item = Plugin>,
        worker_properties: &[(&str, &str)],
    ) -> Result<Self> {
        const STRINGS: &str = "org.apache.kafka.connect.storage.StringConverter";
        let directory = tempfile::tempdir()?;
        let runtime = runtime("testing")?;
        let broker = RunningBroker::start(&directory.path().join("broker"))?;
        let bootstrap = ClientConfig::bootstrap(broker.bootstrap_servers());
        let mut properties = properties(&[
            ("offset.flush.interval.ms", "100"),
            ("key.converter", STRINGS),
            ("value.converter", STRINGS),
        ]);
        properties.extend(self::properties(worker_properties));
        let mut connect = Self {
            worker: None,
            client: Client::new(bootstrap.map_err(forebay_client::Error::from)?),
            broker,
            plugins: plugins.into_iter().collect(),
            worker_properties: properties,
            http: reqwest::Client::new(),
            runtime,
            directory,
        };
        connect.start_worker()?;
        Ok(connect)
    }

    /// Where Kafka clients find the broker.
    pub fn bootstrap_servers(&self) -> &str {
        self.broker.bootstrap_servers()
    }

    /// A directory for the files of the test; it goes with the rest.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Creates a connector, or changes it, and waits until it and all its tasks are RUNNING.
    ///
    /// # Errors
    /// What the worker says of the configuration, or what made it fail.
    pub fn run(&self, name: &str, config: &[(&str, &str)]) -> Result<()> {
        self.put(
            &format!("/connectors/{name}/config"),
            &serde_json::json!(properties(config)),
        )?;
        self.wait_until(&format!("connector {name} RUNNING"), || {
            let status = match self.get(&format!("/connectors/{name}/status")) {
                // It has not said anything yet.
                Err(Error::Refused { status: 404, .. }) => return Ok(false),
                status => status?,
            };
            let tasks = status["tasks"].as_array().map_or(&[][..], Vec::as_slice);
            let is_running = |part: &serde_json::Value| part["state"] == "RUNNING";
            if let Some(failed) = tasks.iter().find(|task| task["state"] == "FAILED") {
                return Err(Error::Worker(failed["trace"].to_string()));
            }
            Ok(is_running(&status["connector"]) && !tasks.is_empty() && tasks.iter().all(is_running))
        })
    }

    /// Deletes a connector.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn delete(&self, name: &str) -> Result<()> {
        self.request(reqwest::Method::DELETE, &format!("/connectors/{name}"), None)
            .map(drop)
    }

    /// Produces these values, without keys, and waits until they are acknowledged.
    ///
    /// # Errors
    /// If they are not.
    pub fn produce<V: AsRef<[u8]>>(&self, topic: &str, values: impl IntoIterator<Item = V>) -> Result<()> {
        let values: Vec<V> = values.into_iter().collect();
        self.runtime.block_on(async {
            let producer = self.client.producer(&Properties::new())?;
            let mut deliveries = Vec::with_capacity(values.len());
            for value in &values {
                let record = ProducerRecord {
                    topic,
                    partition: None,
                    timestamp: None,
                    key: None,
                    value: Some(value.as_ref()),
                    headers: &Default::default(),
                };
                deliveries.push(producer.send(record).await?);
            }
            for delivery in deliveries {
                delivery.await?;
            }
            producer.close().await;
            Ok(())
        })
    }

    /// The committed records of a topic, from its beginning, once there are so many.
    ///
    /// # Errors
    /// If there are not.
    pub fn records(&self, topic: &str, count: usize) -> Result<Vec<ConsumerRecord>> {
        let deadline = Instant::now() + TIMEOUT;
        let read = self.runtime.block_on(async {
            let settings = properties(&[
                ("auto.offset.reset", "earliest"),
                ("isolation.level", "read_committed"),
            ]);
            let mut records = Vec::new();
            let partitions = self.partitions(topic, deadline).await?;
            let mut consumer = self.client.consumer(&settings)?;
            consumer.assign(partitions)?;
            while records.len() < count && Instant::now() < deadline {
                records.extend(consumer.poll(POLL).await?);
            }
            consumer.close().await?;
            Ok::<_, Error>(records)
        })?;
        if read.len() < count {
            return Err(self.timeout(format!("{count} records in {topic} ({} did)", read.len())));
        }
        Ok(read)
    }

    /// The values of [`Connect::records`] as text.
    ///
    /// # Errors
    /// As [`Connect::records`].
    pub fn values(&self, topic: &str, count: usize) -> Result<Vec<String>> {
        let text = |record: &ConsumerRecord| {
            let value = record.record.value.as_deref().unwrap_or_default();
            String::from_utf8_lossy(value).into_owned()
        };
        Ok(self.records(topic, count)?.iter().map(text).collect())
    }

    /// Looks again and again until it is so.
    ///
    /// # Errors
    /// If it does not become so, or an error of `is_so`.
    pub fn wait_until(&self, what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + TIMEOUT;
        while !is_so()? {
            if Instant::now() >= deadline {
                return Err(self.timeout(what.to_owned()));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Ends the worker as `kill -9` does: tasks are dropped wherever they are, nothing is committed. It starts again by
    /// [`Connect::start_worker`].
    pub fn kill_worker(&mut self) {
        self.worker = None;
    }

    /// Ends the worker as SIGTERM does: tasks stop and offsets are committed.
    pub fn stop_worker(&mut self) {
        if let Some(worker) = self.worker.take() {
            worker.stop();
        }
    }

    /// Starts a worker where none runs; it goes on with the connectors of the one before.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_worker(&mut self) -> Result<()> {
        if self.worker.is_none() {
            let worker = RunningWorker::start(&self.client, &self.worker_properties, self.plugins.clone())?;
            self.worker = Some(worker);
        }
        Ok(())
    }

    fn timeout(&self, what: String) -> Error {
        let statuses = self.get("/connectors?expand=status");
        Error::Timeout {
            what,
            connectors: statuses.map_or_else(|error| error.to_string(), |statuses| statuses.to_string()),
        }
    }
}

fn properties(pairs: &[(&str, &str)]) -> Properties {
    let owned = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    owned.collect()
}

fn runtime(name: &str) -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.thread_name(name).worker_threads(2).enable_all().build()?)
}
