//! What the status of a source task says that runs and makes no progress (docs/connect-errors.md), and what becomes of records that come
//! when it is told to stop. Time is virtual.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use bytes::Bytes;

use super::*;
use crate::converter::{self, Converter};
use crate::testing::asked;

/// Waits until the status says something, or nothing any more.
async fn until_says(context: &Context, what: Option<&str>) {
    let is_so = |said: &Option<String>| match (said, what) {
        (None, None) => true,
        (Some(said), Some(what)) => said.starts_with("No progress: ") && said.contains(what),
        _ => false,
    };
    let deadline = Instant::now() + Duration::from_secs(900);
    loop {
        let status = context.statuses.task(&transactional::id());
        let said = status.as_ref().and_then(|status| status.trace.clone());
        if status.is_some_and(|status| status.state == State::Running) && is_so(&said) {
            return;
        }
        assert!(Instant::now() < deadline, "{what:?}: it says {said:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

type Switch = Arc<AtomicBool>;

/// Gives records, unless its system is away.
fn flaky(is_away: Switch) -> Box<dyn SourceTask> {
    let number = Arc::new(AtomicI64::new(0));
    asked(move || {
        let (is_away, number) = (Arc::clone(&is_away), Arc::clone(&number));
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            if is_away.load(Ordering::SeqCst) {
                return Err(Error::retriable("the system is away"));
            }
            Ok(vec![tasks::record(number.fetch_add(1, Ordering::SeqCst) + 1)])
        })
    })
}

/// When something was tried.
type Attempts = Arc<Mutex<Vec<Instant>>>;

/// Has to fetch something first, which cannot be had.
#[derive(Debug)]
struct Waiting(Switch, Attempts);

impl Converter for Waiting {
    fn from_connect_data(&self, _: &str, _: &SchemaAndValue) -> Result<Option<Bytes>, converter::Error> {
        if self.0.load(Ordering::SeqCst) {
            return Err(converter::Error::Wanted(converter::Wanted::Schema(1)));
        }
        Ok(Some(Bytes::from_static(b"x")))
    }

    fn to_connect_data(&self, _: &str, _: Option<&Bytes>) -> Result<SchemaAndValue, converter::Error> {
        Ok(SchemaAndValue::default())
    }

    fn prepare<'a>(&'a self, _: &'a converter::Wanted) -> BoxFuture<'a, Result<(), converter::Error>> {
        self.1.lock().expect("no panic").push(Instant::now());
        let outcome = if self.0.load(Ordering::SeqCst) {
            Err(converter::Error::Unavailable {
                message: "the registry is away".to_owned(),
                source: None,
            })
        } else {
            Ok(())
        };
        Box::pin(std::future::ready(outcome))
    }
}

struct Bench {
    model: Arc<Model>,
    context: Arc<Context>,
    is_away: Switch,
    running: tasks::Running,
    command: watch::Sender<Command>,
}

impl Bench {
    async fn start(exactly_once: bool) -> Self {
        Self::with(exactly_once, |_| None).await
    }

    /// `converter` makes one of a switch that says whether what it needs is away.
    async fn with(exactly_once: bool, converter: impl FnOnce(&Switch) -> Option<Arc<dyn Converter>>) -> Self {
        let model = Model::new(1);
        model.create_topic("t", 1);
        let context = transactional::context(&model.client(&[])).await;
        let is_away = Switch::default();
        let converter = converter(&is_away);
        // Away is the one or the other.
        let flaky = match &converter {
            Some(_) => flaky(Switch::default()),
            None => flaky(Arc::clone(&is_away)),
        };
        let config = transactional::config(&[("errors.retry.delay.max.ms", "1000")]);
        let (running, command) = tasks::spawn_with(&context, exactly_once, config, (flaky, converter));
        let this = Self {
            model,
            context,
            is_away,
            running,
            command,
        };
        until_says(&this.context, None).await;
        this
    }

    async fn says(&self, what: &str) {
        until_says(&self.context, Some(what)).await;
        assert!(!self.running.is_finished());
    }

    async fn says_nothing(&self) {
        until_says(&self.context, None).await;
    }

    async fn end(self) {
        self.command.send_replace(Command::Stop);
        self.running.await.expect("no panic").expect("it ends well");
    }
}

#[tokio::test(start_paused = true)]
async fn a_system_that_is_away_is_told_until_it_is_back() {
    for exactly_once in [true, false] {
        let bench = Bench::start(exactly_once).await;
        bench.is_away.store(true, Ordering::SeqCst);
        bench.says("poll is tried again: ").await;
        bench.says("the system is away").await;
        bench.is_away.store(false, Ordering::SeqCst);
        bench.says_nothing().await;
        bench.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_acknowledges_nothing_is_told() {
    for (exactly_once, says) in [
        (
            true,
            "records wait on their way to the cluster, or for the end of their transaction",
        ),
        (false, "the cluster does not acknowledge records: "),
    ] {
        let bench = Bench::start(exactly_once).await;
        bench.model.faults(|_, request| match request {
            Request::Produce(_) => Fault::Refuse(ErrorCode::NotEnoughReplicas),
            _ => Fault::None,
        });
        bench.says(says).await;
        bench.says("fewer in-sync replicas").await;
        bench.model.faults(|_, _| Fault::None);
        bench.says_nothing().await;
        bench.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn offsets_that_cannot_be_committed_are_told() {
    let bench = Bench::start(false).await;
    bench.model.faults(|_, request| match request {
        // The topic of records has one partition, and that of offsets has 25.
        Request::Produce(produce)
            if produce
                .topic_data
                .iter()
                .any(|topic| topic.partition_data.iter().any(|partition| partition.index > 0)) =>
        {
            Fault::Refuse(ErrorCode::TopicAuthorizationFailed)
        }
        _ => Fault::None,
    });
    bench.says("source offsets cannot be committed: ").await;
    bench.model.faults(|_, _| Fault::None);
    bench.says_nothing().await;
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_converter_that_waits_is_told() {
    let attempts = Attempts::default();
    let seen = Arc::clone(&attempts);
    let bench = Bench::with(false, |is_away| {
        Some(Arc::new(Waiting(Arc::clone(is_away), seen)))
    })
    .await;
    bench.is_away.store(true, Ordering::SeqCst);
    bench.says("the registry is away").await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    // Beyond the longest the pauses are by chance, so that not all tasks come back at once.
    let attempts = attempts.lock().expect("no panic").clone();
    let pauses = attempts
        .windows(2)
        .map(|pair| pair[1].duration_since(pair[0]).as_millis());
    let by_chance: BTreeSet<u128> = pauses.skip(2).collect();
    assert!(by_chance.len() > 2, "{by_chance:?}");
    assert!(
        by_chance.last().is_some_and(|longest| *longest <= 1_001),
        "{by_chance:?}"
    );
    bench.is_away.store(false, Ordering::SeqCst);
    bench.says_nothing().await;
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_converter_that_waits_is_told_and_not_the_cluster() {
    for exactly_once in [true, false] {
        let bench = Bench::with(exactly_once, |is_away| {
            Some(Arc::new(Waiting(Arc::clone(is_away), Attempts::default())))
        })
        .await;
        bench.is_away.store(true, Ordering::SeqCst);
        bench.says("").await;
        let said = || {
            bench
                .context
                .statuses
                .task(&transactional::id())
                .and_then(|status| status.trace)
        };
        assert!(said().is_some_and(|said| said.contains("the registry is away")));
        tokio::time::sleep(SAID_AFTER * 2).await;
        assert!(said().is_some_and(|said| !said.contains("the cluster")));
        bench.is_away.store(false, Ordering::SeqCst);
        bench.says_nothing().await;
        bench.end().await;
    }
}

/// Tries again by itself, until it is told not to.
struct Patient {
    context: Option<Arc<dyn SourceTaskContext>>,
    waits: Switch,
}

impl SourceTask for Patient {
    fn start<'a>(
        &'a mut self,
        context: Arc<dyn SourceTaskContext>,
        _: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.context = Some(context);
        Box::pin(std::future::ready(Ok(())))
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Vec<SourceRecord>, Error>> {
        Box::pin(async {
            let context = self.context.as_ref().expect("it has started");
            context.report_waiting(Some("no answer yet"));
            while self.waits.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            context.report_waiting(None);
            std::future::pending().await
        })
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_task_waits_for_by_itself_is_told_once_it_lasts() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    let context = transactional::context(&model.client(&[])).await;
    let waits = Switch::new(AtomicBool::new(true));
    let task = Patient {
        context: None,
        waits: Arc::clone(&waits),
    };
    let began = Instant::now();
    let (running, command) = tasks::spawn(&context, true, transactional::config(&[]), Box::new(task));
    until_says(&context, Some("no answer yet")).await;
    assert!(began.elapsed() >= SAID_AFTER);
    waits.store(false, Ordering::SeqCst);
    until_says(&context, None).await;
    command.send_replace(Command::Stop);
    running.await.expect("no panic").expect("it ends well");
}

/// S11 of the review of sources: pauses grow to ten seconds, and the interval is shorter.
#[tokio::test(start_paused = true)]
async fn the_interval_of_transactions_ends_while_poll_is_tried_again() {
    let keys = [
        ("transaction.boundary", "interval"),
        ("transaction.boundary.interval.ms", "60000"),
    ];
    let model = Model::new(1);
    model.create_topic("t", 1);
    let context = transactional::context(&model.client(&[])).await;
    let mut is_first = true;
    let task = asked(move || {
        let polled = match std::mem::take(&mut is_first) {
            true => Ok(vec![tasks::record(1)]),
            false => Err(Error::retriable("the system is away")),
        };
        Box::pin(std::future::ready(polled))
    });
    let (running, command) = tasks::spawn(&context, true, transactional::config(&keys), task);
    let begun = Instant::now();
    while model.committed_values("t", 0).is_empty() {
        assert!(
            begun.elapsed() < Duration::from_secs(62),
            "a pause goes from second 59 to 69"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(begun.elapsed() > Duration::from_secs(58), "{:?}", begun.elapsed());
    command.send_replace(Command::Stop);
    running.await.expect("no panic").expect("it ends well");
}

/// Who was told to stop while a call blocked its thread may have a successor by the time that it returns.
#[tokio::test(start_paused = true)]
async fn what_comes_when_the_task_is_told_to_stop_is_not_sent() {
    // Which of both is seen first is chance.
    for _ in 0..20 {
        let model = Model::new(1);
        model.create_topic("t", 1);
        let context = transactional::context(&model.client(&[])).await;
        let (command, commands) = watch::channel(Command::Be(TargetState::Started));
        let (command, mut given) = (Arc::new(command), 0);
        let task = asked(move || {
            given += 1;
            if given == 2 {
                command.send_replace(Command::Stop);
            }
            Box::pin(std::future::ready(Ok(vec![tasks::record(given)])))
        });
        let task = (task, "Task".to_owned());
        let runner = SourceTaskRunner::new(context, transactional::id(), transactional::config(&[]), task)
            .expect("sound");
        let ended = runner.run(Arc::default(), commands).await;
        assert!(ended.is_ok(), "{ended:?}");
        assert_eq!(model.values("t", 0), ["1"]);
    }
}
