//! Who runs a task, by the tasks' own account: workers in this process whose tasks do nothing but say, every few milliseconds, that
//! they run.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use forebay_client::{Client, ClientConfig};
use forebay_config::{ConfigDef, ConfigKey, ConfigType, Properties};
use forebay_connect_api::{
    AssignedPartition, BoxFuture, Connector, ConnectorContext, Error, Plugin, Plugins, SinkBatch,
    SinkConnector, SinkTask, SinkTaskContext, SourceConnector, SourceRecord, SourceTask, SourceTaskContext,
    TaskId,
};
use forebay_connect_runtime::{Config, Service};
use forebay_http::{Listeners, Options};
use tokio::runtime::Runtime;

use crate::connect::workers::SESSION;

/// How often a task says that it runs.
const TICK: Duration = Duration::from_millis(5);

/// What the tasks of all workers said.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    runs: Arc<Mutex<Vec<Run>>>,
    is_over: Arc<AtomicBool>,
}

/// A task from its start on.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) task: String,
    pub(super) worker: &'static str,
    /// When it said first that it runs.
    pub(super) first: Instant,
    /// And when last.
    pub(super) last: Instant,
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Vec<Run>> {
        self.runs.lock().expect("nobody panics with it")
    }

    fn begin(&self, worker: &'static str, task: &TaskId) -> Voice {
        let now = Instant::now();
        let mut runs = self.lock();
        runs.push(Run {
            task: task.to_string(),
            worker,
            first: now,
            last: now,
        });
        Voice {
            ledger: self.clone(),
            place: runs.len() - 1,
        }
    }

    /// Who began each task last.
    pub(super) fn owners(&self) -> BTreeMap<String, &'static str> {
        let runs = self.lock();
        runs.iter().map(|run| (run.task.clone(), run.worker)).collect()
    }

    /// The runs of a worker.
    pub(super) fn runs_of(&self, worker: &str) -> impl Iterator<Item = Run> {
        let runs = self.lock().clone();
        runs.into_iter().filter(move |run| run.worker == worker)
    }

    /// The run of the same task that began next.
    pub(super) fn next(&self, run: &Run) -> Option<Run> {
        let runs = self.lock();
        let later = runs
            .iter()
            .find(|other| other.task == run.task && other.first > run.first);
        later.cloned()
    }

    /// Whether every run of a connector's tasks ended before the next of the same task began; else which did not.
    pub(super) fn never_twice(&self, connector: &str) -> Result<(), String> {
        let runs = self.lock().clone();
        for run in runs.iter().filter(|run| run.task.starts_with(connector)) {
            if let Some(next) = self.next(run)
                && next.first <= run.last
            {
                let both = run.last.duration_since(next.first);
                return Err(format!("{run:?} and {next:?} ran both for {both:?}"));
            }
        }
        Ok(())
    }
}

/// With which a task says that it runs.
#[derive(Debug, Clone)]
struct Voice {
    ledger: Ledger,
    place: usize,
}

impl Voice {
    fn say(&self) {
        self.ledger.lock()[self.place].last = Instant::now();
    }
}

/// A worker in this process; dropped, it ends without a word.
#[derive(Debug)]
pub(super) struct InProcess {
    service: Option<Service>,
    runtime: Option<Runtime>,
    url: String,
    ledger: Ledger,
}

impl InProcess {
    pub(super) fn start(name: &'static str, bootstrap: &str, ledger: &Ledger) -> Self {
        let properties: Properties = [
            ("group.id", "ticks".to_owned()),
            ("session.timeout.ms", SESSION.as_millis().to_string()),
            ("heartbeat.interval.ms", "500".to_owned()),
            ("exactly.once.source.support", "disabled".to_owned()),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(name)
            .enable_all()
            .build()
            .expect("a runtime");
        let (of_source, of_sink) = (ledger.clone(), ledger.clone());
        let plugins = Plugins::new([
            Plugin::source("test.TickingSourceConnector", "1", move || {
                Ticking::new(name, &of_source)
            }),
            Plugin::sink("test.TickingSinkConnector", "1", move || {
                Ticking::new(name, &of_sink)
            }),
        ]);
        let service = runtime.block_on(async {
            let bootstrap = ClientConfig::bootstrap(bootstrap).expect("an address");
            let client = Client::new(bootstrap);
            let config = Config::new(&properties).expect("the test's keys");
            let listeners = Listeners::loopback("connect", 0).await.expect("a free port");
            Service::start(&client, config, plugins, listeners, Options::default()).await
        });
        let service = service.expect("it starts");
        Self {
            url: format!("http://{}", service.addresses()[0]),
            service: Some(service),
            runtime: Some(runtime),
            ledger: ledger.clone(),
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        self.ledger.is_over.store(true, Ordering::Release);
        self.service = None;
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The connector, source or sink.
#[derive(Debug)]
struct Ticking {
    worker: &'static str,
    ledger: Ledger,
    properties: Properties,
}

impl Ticking {
    fn new(worker: &'static str, ledger: &Ledger) -> Self {
        Self {
            worker,
            ledger: ledger.clone(),
            properties: Properties::new(),
        }
    }

    fn ticker(&self) -> Box<Ticker> {
        Box::new(Ticker {
            worker: self.worker,
            ledger: self.ledger.clone(),
            voice: None,
            next: Instant::now(),
        })
    }
}

impl Connector for Ticking {
    fn config(&self) -> ConfigDef {
        ConfigDef::new().define(ConfigKey::new("deaf", ConfigType::Boolean).default(false))
    }

    fn start<'a>(
        &'a mut self,
        _context: Arc<dyn ConnectorContext>,
        properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.properties = properties.clone();
        Box::pin(std::future::ready(Ok(())))
    }

    fn task_configs(&self, tasks_max: u32) -> BoxFuture<'_, Result<Vec<Properties>, Error>> {
        let configs = vec![self.properties.clone(); tasks_max as usize];
        Box::pin(std::future::ready(Ok(configs)))
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl SourceConnector for Ticking {
    fn task(&self) -> Box<dyn SourceTask> {
        self.ticker()
    }
}

impl SinkConnector for Ticking {
    fn task(&self) -> Box<dyn SinkTask> {
        self.ticker()
    }
}

/// The task, of source or sink.
#[derive(Debug)]
struct Ticker {
    worker: &'static str,
    ledger: Ledger,
    voice: Option<Voice>,
    /// When a sink says it next.
    next: Instant,
}

impl Ticker {
    fn begin(&mut self, id: &TaskId, properties: &Properties) {
        let voice = self.ledger.begin(self.worker, id);
        if properties.get("deaf").is_some_and(|deaf| deaf == "true") {
            let voice = voice.clone();
            // Nobody who stops the task reaches this.
            std::thread::spawn(move || {
                while !voice.ledger.is_over.load(Ordering::Acquire) {
                    voice.say();
                    std::thread::sleep(TICK);
                }
            });
        }
        self.voice = Some(voice);
    }

    fn say(&self) {
        self.voice.as_ref().expect("it has started").say();
    }
}

impl SourceTask for Ticker {
    fn start<'a>(
        &'a mut self,
        context: Arc<dyn SourceTaskContext>,
        properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.begin(context.task_id(), properties);
        Box::pin(std::future::ready(Ok(())))
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Vec<SourceRecord>, Error>> {
        Box::pin(async {
            loop {
                self.say();
                tokio::time::sleep(TICK).await;
            }
        })
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl SinkTask for Ticker {
    fn start<'a>(
        &'a mut self,
        context: Arc<dyn SinkTaskContext>,
        properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.begin(context.task_id(), properties);
        Box::pin(std::future::ready(Ok(())))
    }

    fn open<'a>(&'a mut self, _partitions: &'a [AssignedPartition]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn put<'a>(&'a mut self, _batch: &'a SinkBatch) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.next)
    }

    fn on_deadline(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        self.say();
        self.next = Instant::now() + TICK;
        Box::pin(std::future::ready(Ok(())))
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
