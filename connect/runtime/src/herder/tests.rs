//! A worker of a group over the client's model cluster: what it makes of a config topic in which something is wrong.

mod blocked;
mod leader;
mod offsets;
mod reloaded;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use forebay_client::model::{Fault, Model};
use forebay_client::{Producer, ProducerRecord};
use forebay_config::ConfigDef;
use forebay_connect_api::{
    BoxFuture, Connector, ConnectorContext, Error as ConnectorError, Plugin, SourceConnector, SourceRecord,
    SourceTask, SourceTaskContext,
};
use forebay_protocol::{ErrorCode, Request};

use super::*;
use crate::store::config::ClusterConfig;
use crate::store::status::State;
use crate::testing::{Idle, asked, idle_sink, idle_source};

/// How long the worker may take to get somewhere.
const PATIENCE: Duration = Duration::from_secs(60);

const CONFIGS: &str = "connect-configs";

fn idle() -> [Plugin; 2] {
    let idle = || Idle {
        tasks: 2,
        task: idle_source,
    };
    let idle = Plugin::source("org.example.IdleConnector", "1", idle);
    [
        idle,
        Plugin::source("org.example.NoisyConnector", "1", Noisy::default),
    ]
}

async fn worker(client: &Client) -> Arc<Herder> {
    worker_with(client, &[], idle()).await
}

/// A worker with these keys and classes.
async fn worker_with(
    client: &Client,
    keys: &[(&str, &str)],
    plugins: impl IntoIterator<Item = Plugin>,
) -> Arc<Herder> {
    let place = Place {
        worker_id: "w:1".to_owned(),
        url: "http://w:1/".to_owned(),
        access: Access::unrestricted(),
        is_loopback: true,
    };
    let keys = keys
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let config = Config::new(&keys.collect()).expect("every key is sound, or has a default");
    let herder = Herder::start(client, config, Plugins::new(plugins), place);
    herder.await.expect("the model does all that it needs")
}

/// Waits for a state of the config topic.
async fn until(herder: &Herder, what: &str, is_there: impl Fn(&ClusterConfig) -> bool) {
    let mut version = herder.cluster.version();
    let wait = async {
        while !is_there(&herder.cluster.state()) {
            version.changed().await.expect("it is read");
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    waited.unwrap_or_else(|_| panic!("{what}: {:?}", herder.cluster.state()));
}

/// Waits until something holds of which nobody is told.
async fn until_true(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect(what);
}

async fn put(herder: &Herder, class: &str) -> Result<(), Error> {
    let config = [("connector.class", class), ("tasks.max", "2")];
    let config = config.map(|(key, value)| (key.to_owned(), Some(value.to_owned())));
    herder
        .put_connector("c", config.into(), None, false)
        .await
        .map(drop)
}

async fn create(herder: &Herder) {
    put(herder, "Idle").await.expect("it is sound");
    until(herder, "the tasks are published", |state| tasks(state) == 2).await;
}

/// Asks for its tasks to be made anew more often than anybody wants to hear, and then has an error.
#[derive(Default)]
struct Noisy(Option<Arc<dyn ConnectorContext>>);

impl Connector for Noisy {
    fn config(&self) -> ConfigDef {
        ConfigDef::new()
    }

    fn start<'a>(
        &'a mut self,
        context: Arc<dyn ConnectorContext>,
        _: &'a Properties,
    ) -> BoxFuture<'a, Result<(), ConnectorError>> {
        self.0 = Some(context);
        Box::pin(std::future::ready(Ok(())))
    }

    fn task_configs(&self, _: u32) -> BoxFuture<'_, Result<Vec<Properties>, ConnectorError>> {
        let context = self.0.as_ref().expect("it has started");
        for _ in 0..100 {
            context.request_task_reconfiguration();
        }
        context.raise_error(ConnectorError::fatal("it sees its source no more"));
        Box::pin(std::future::pending())
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl SourceConnector for Noisy {
    fn task(&self) -> Box<dyn SourceTask> {
        idle_source()
    }
}

fn tasks(state: &ClusterConfig) -> usize {
    state.get("c").map_or(0, |connector| connector.tasks.len())
}

/// Writes as another worker, or as one that was cut off.
async fn write(producer: &Producer, key: &str, value: &str) {
    let record = ProducerRecord::new(CONFIGS, Some(key.as_bytes()), Some(value.as_bytes()));
    let delivery = producer.send(record).await.expect("there is room");
    delivery.await.expect("the model takes it");
}

/// Finding 1 of the review of 22 November: such a connector was RUNNING without tasks until somebody restarted it.
#[tokio::test]
async fn a_connector_publishes_again_where_its_set_lacks_a_task() {
    let model = Model::new(1);
    let client = model.client(&[]);
    let herder = worker(&client).await;
    create(&herder).await;
    let before = herder.cluster.state().offset();
    let task = herder.cluster.state().task_generation("c");
    let producer = client.producer(&Properties::new()).expect("no property is wrong");
    write(
        &producer,
        "task-c-1",
        r#"{"properties":{"task.class":"x","number":"x"}}"#,
    )
    .await;
    write(&producer, "commit-c", r#"{"tasks":3}"#).await;
    until(&herder, "it publishes again", |state| {
        let is_whole = state
            .get("c")
            .is_some_and(|connector| connector.unpublished.is_none());
        is_whole && state.offset() >= before + 2 + 3 && state.task_generation("c") == task + 1
    })
    .await;
    assert_eq!(tasks(&herder.cluster.state()), 2);
    herder.stop().await;
}

/// Waits until this worker has so many tasks.
async fn until_owned(herder: &Herder, tasks: usize) {
    let mut view = herder.cluster.group().watch().expect("it is in a group");
    let owned = view.wait_for(|view| view.owned.tasks.len() == tasks);
    let waited = tokio::time::timeout(PATIENCE, owned).await;
    assert!(waited.is_ok_and(|view| view.is_ok()), "{tasks} tasks");
}

/// Finding 7 of the review of 22 November: all workers stopped everything for five minutes. Time is virtual.
#[tokio::test(start_paused = true)]
async fn a_config_topic_that_was_away_is_read_soon_after_it_is_back() {
    let model = Model::new(1);
    let herder = worker(&model.client(&[])).await;
    create(&herder).await;
    until_owned(&herder, 2).await;
    let is_away = Arc::new(AtomicBool::new(true));
    let fault = Arc::clone(&is_away);
    model.faults(move |_, request| match request {
        Request::ListOffsets(_) if fault.load(Ordering::SeqCst) => {
            Fault::Refuse(ErrorCode::LeaderNotAvailable)
        }
        _ => Fault::None,
    });
    model.rebalance("connect-cluster");
    until_owned(&herder, 0).await;
    is_away.store(false, Ordering::SeqCst);
    let back = tokio::time::Instant::now();
    until_owned(&herder, 2).await;
    assert!(back.elapsed() < Duration::from_secs(10), "{:?}", back.elapsed());
    herder.stop().await;
}

/// Finding 5 of the review of 22 November: it came two minutes later, over what the next leader had written. Time is virtual.
#[tokio::test(start_paused = true)]
async fn what_a_leader_that_is_cut_off_could_not_write_never_comes() {
    let model = Model::new(1);
    let herder = worker(&model.client(&[])).await;
    // The last thing that a worker writes of itself.
    until(&herder, "it gives its key", |state| state.session_key().is_some()).await;
    assert!(herder.cluster.group().leads());
    let is_cut_off = Arc::new(AtomicBool::new(true));
    let fault = Arc::clone(&is_cut_off);
    model.faults(move |_, _| match fault.load(Ordering::SeqCst) {
        true => Fault::LoseRequest,
        false => Fault::None,
    });
    assert!(put(&herder, "Idle").await.is_err());
    assert!(!herder.cluster.group().leads());
    is_cut_off.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(herder.cluster.state().connectors().is_empty());
    // And it goes on.
    create(&herder).await;
    herder.stop().await;
}

/// Finding 9 of the review of 22 November: the error was dropped behind the other requests, and waited for the tasks. Time is
/// virtual.
#[tokio::test(start_paused = true)]
async fn an_error_of_a_connector_is_heard_at_once() {
    let model = Model::new(1);
    let herder = worker(&model.client(&[])).await;
    put(&herder, "Noisy").await.expect("it is sound");
    let failed = async {
        loop {
            let status = herder.context.statuses.connector("c");
            let Some(status) = status.filter(|status| status.state == State::Failed) else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            return status.trace.expect("it says why");
        }
    };
    let trace = tokio::time::timeout(PATIENCE, failed).await.expect("it fails");
    assert!(trace.contains("it sees its source no more"), "{trace}");
    herder.stop().await;
}

/// Finding 12 of the review of 22 November: it could not even be stopped.
#[tokio::test]
async fn a_worker_that_reads_the_config_topic_no_more_can_be_stopped() {
    let model = Model::new(1);
    let herder = worker(&model.client(&[])).await;
    let looping = Loop {
        worker: Worker::new(Arc::clone(&herder.context), Arc::clone(&herder.cluster)),
        cluster: Arc::clone(&herder.cluster),
        context: Arc::clone(&herder.context),
        loggers: Arc::clone(&herder.loggers),
        restarts_from: 0,
        member: None,
    };
    let (_, version) = watch::channel(0);
    let (orders, receiver) = mpsc::channel(ORDERS_MAX);
    let running = tokio::spawn(looping.run(version, receiver));
    let (ended, wait) = oneshot::channel();
    let sent = orders.send(Order::Stop(ended)).await;
    sent.expect("it takes orders");
    let stopped = tokio::time::timeout(PATIENCE, wait).await;
    stopped.expect("it stops").expect("it says so");
    running.await.expect("it does not panic");
    herder.stop().await;
}
