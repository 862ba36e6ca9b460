//! Source tasks with transactions against the client's model cluster: killed anywhere, taken for dead, with each boundary.
//! `FOREBAY_TEST_BREAK=transaction` runs the first without transactions, and it must fail.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use forebay_client::Client;

use super::*;
use crate::herder::cluster::Cluster;
use crate::store::config::ConfigStore;
use crate::worker::fencing;

const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";

/// Gives the numbers from where its offset says, some with each poll, the next not before a pause.
struct Numbers {
    next: i64,
    end: i64,
    batch: i64,
    pause: Duration,
    context: Option<Arc<dyn SourceTaskContext>>,
    ask: fn(&dyn TransactionContext, i64),
    /// How often it was asked.
    polls: Arc<AtomicUsize>,
    /// How long it takes to hear of a commit.
    hears: Duration,
    committed: Arc<Mutex<Vec<i64>>>,
}

fn numbers(end: i64, batch: i64) -> Numbers {
    Numbers {
        next: 0,
        end,
        batch,
        pause: Duration::from_millis(3),
        context: None,
        ask: |_, _| {},
        polls: Arc::default(),
        hears: Duration::ZERO,
        committed: Arc::default(),
    }
}

fn partition() -> OffsetMap {
    OffsetMap::new().with("name", "numbers")
}

impl SourceTask for Numbers {
    fn start<'a>(
        &'a mut self,
        context: Arc<dyn SourceTaskContext>,
        _: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let known = context.offset_reader().offsets(&[partition()]).await?;
            self.next = known[0]
                .as_ref()
                .and_then(|offset| offset.get_int64("next"))
                .unwrap_or(0);
            self.context = Some(context);
            Ok(())
        })
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Vec<SourceRecord>, Error>> {
        Box::pin(async move {
            self.polls.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(self.pause).await;
            if self.next >= self.end {
                std::future::pending::<()>().await;
            }
            let (from, partition) = (self.next, Arc::new(partition()));
            self.next = self.end.min(from + self.batch);
            let context = self.context.as_ref().expect("started");
            if let Some(boundaries) = context.transaction_context() {
                (self.ask)(boundaries, from);
            }
            let records = (from..self.next).map(|number| {
                let offset = OffsetMap::new().with("next", number + 1);
                let value = SchemaAndValue::string(number.to_string());
                SourceRecord::new(Arc::clone(&partition), Some(offset), "t".into(), value)
            });
            Ok(records.collect())
        })
    }

    fn commit<'a>(
        &'a mut self,
        offsets: &'a [(Arc<OffsetMap>, OffsetMap)],
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            tokio::time::sleep(self.hears).await;
            let next = offsets.iter().filter_map(|(_, offset)| offset.get_int64("next"));
            self.committed.lock().expect("no panic").extend(next);
            Ok(())
        })
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

fn properties(pairs: &[(&str, &str)]) -> Properties {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

pub(super) async fn context(client: &Client) -> Arc<Context> {
    let config = Config::new(&Properties::new()).expect("every key has a default");
    assert!(config.is_exactly_once(), "unless it is told otherwise");
    let offsets = OffsetStore::open(client, &config).await.expect("it can be made");
    crate::testing::context(client, offsets)
}

fn model(level: i16) -> Arc<Model> {
    let model = Model::new(1);
    model.set_transaction_version(level);
    model.create_topic("t", 1);
    model
}

pub(super) fn id() -> TaskId {
    TaskId {
        connector: "c".into(),
        task: 0,
    }
}

pub(super) fn config(more: &[(&str, &str)]) -> ConnectorConfig {
    let mut all = properties(&[
        ("name", "c"),
        ("connector.class", "Numbers"),
        ("key.converter", STRING),
        ("value.converter", STRING),
    ]);
    all.extend(properties(more));
    ConnectorConfig::new(PluginType::Source, Arc::new(all)).expect("sound")
}

/// A task that runs, and what tells it to stop.
fn start(
    context: &Arc<Context>,
    more: &[(&str, &str)],
    task: Numbers,
) -> (
    tokio::task::JoinHandle<Result<(), Failure>>,
    watch::Sender<Command>,
) {
    let runner = TransactionalRunner::new(
        Arc::clone(context),
        id(),
        config(more),
        (Box::new(task), "Task".to_owned()),
    );
    let (command, commands) = watch::channel(Command::Be(TargetState::Started));
    let verified = std::future::ready(Ok(()));
    let runner = runner.expect("sound converters");
    let running = tokio::spawn(runner.run(Arc::default(), commands, verified));
    (running, command)
}

fn expected(end: i64) -> Vec<String> {
    (0..end).map(|number| number.to_string()).collect()
}

async fn until_committed(model: &Model, count: usize) {
    for _ in 0..100_000 {
        if model.committed_values("t", 0).len() >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!(
        "{} of {count} are committed",
        model.committed_values("t", 0).len()
    );
}

/// Starts the task again and again, and kills it after some moments: neither its records nor its producer get an end.
async fn killed(level: i16, exactly_once: bool) -> Vec<String> {
    const END: i64 = 300;
    let model = model(level);
    let mut chance = 17_u64;
    model.faults(move |_, request| {
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        match (request, (chance >> 33) % 25) {
            (Request::Produce(_) | Request::EndTxn(_) | Request::AddPartitionsToTxn(_), 0) => {
                Fault::LoseRequest
            }
            (Request::Produce(_) | Request::EndTxn(_) | Request::AddPartitionsToTxn(_), 1) => {
                Fault::LoseResponse
            }
            _ => Fault::None,
        }
    });
    let client = model.client(&[]);
    let context = context(&client).await;
    for life in 0..60_u64 {
        let (running, _command) = if exactly_once {
            start(&context, &[], numbers(END, 5))
        } else {
            let task = Box::new(numbers(END, 5));
            let runner =
                SourceTaskRunner::new(Arc::clone(&context), id(), config(&[]), (task, "Task".to_owned()));
            let (command, commands) = watch::channel(Command::Be(TargetState::Started));
            let running = tokio::spawn(runner.expect("sound converters").run(Arc::default(), commands));
            (running, command)
        };
        tokio::time::sleep(Duration::from_millis(10 + life * 7 % 97 * 3)).await;
        running.abort();
        assert!(
            running.await.is_err_and(|error| error.is_cancelled()),
            "nothing fails"
        );
    }
    let (running, command) = start(&context, &[], numbers(END, 5));
    until_committed(&model, usize::try_from(END).expect("small")).await;
    command.send_replace(Command::Stop);
    running.await.expect("no panic").expect("it ends well");
    model.committed_values("t", 0)
}

#[tokio::test(start_paused = true)]
async fn killed_anywhere_it_repeats_nothing_and_loses_nothing() {
    let exactly_once = std::env::var("FOREBAY_TEST_BREAK").as_deref() != Ok("transaction");
    for level in [0, 2] {
        assert_eq!(
            killed(level, exactly_once).await,
            expected(300),
            "version {level}"
        );
    }
}

/// If the test above finds nothing here, it proves nothing.
#[tokio::test(start_paused = true)]
async fn without_transactions_it_does_repeat() {
    assert!(killed(2, false).await.len() > 300);
}

#[tokio::test(start_paused = true)]
async fn who_was_taken_for_dead_writes_nothing_any_more() {
    for level in [0, 2] {
        let model = model(level);
        let client = model.client(&[]);
        let context = context(&client).await;
        let slow = Numbers {
            pause: Duration::from_millis(200),
            ..numbers(100, 4)
        };
        let (zombie, _command) = start(&context, &[], slow);
        until_committed(&model, 8).await;
        let (alive, command) = start(&context, &[], numbers(100, 4));
        let failed = zombie.await.expect("no panic").expect_err("it is fenced");
        let Failure::Run(error) = failed else {
            panic!("it ran")
        };
        let trace = error.trace();
        assert!(
            trace.contains("has been fenced by another producer with the same transactionalId")
                || trace.contains("transaction expired"),
            "{trace}"
        );
        until_committed(&model, 100).await;
        assert_eq!(model.committed_values("t", 0), expected(100));
        command.send_replace(Command::Stop);
        alive.await.expect("no panic").expect("it ends well");
    }
}

#[tokio::test(start_paused = true)]
async fn transactions_end_where_the_boundary_says() {
    let model = model(2);
    let client = model.client(&[]);
    let context = context(&client).await;
    // After an interval, and then also without more records.
    let interval = [
        ("transaction.boundary", "interval"),
        ("transaction.boundary.interval.ms", "5000"),
    ];
    let (running, command) = start(&context, &interval, numbers(20, 2));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(model.committed_values("t", 0), [""; 0]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(model.committed_values("t", 0), expected(20));
    command.send_replace(Command::Be(TargetState::Paused));
    command.send_replace(Command::Stop);
    running.await.expect("no panic").expect("it ends well");
    // Where the task says: batches of ten; the third and the sixth record end something.
    let connector = [("transaction.boundary", "connector")];
    let asking = Numbers {
        ask: |boundaries, from| match from {
            20 => {
                boundaries.commit_transaction_on(2);
                boundaries.abort_transaction_on(5);
            }
            30 => boundaries.commit_transaction(),
            _ => {}
        },
        ..numbers(45, 10)
    };
    let committed = Arc::clone(&asking.committed);
    let (running, command) = start(&context, &connector, asking);
    until_committed(&model, 37).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    let mut wanted = expected(40);
    wanted.drain(23..26);
    assert_eq!(model.committed_values("t", 0), wanted);
    assert_eq!(*committed.lock().expect("no panic"), [23, 26, 40]);
    command.send_replace(Command::Stop);
    running.await.expect("no panic").expect("it ends well");
    assert_eq!(
        model.committed_values("t", 0),
        wanted,
        "what the task did not end is not committed"
    );
    // It comes again.
    let (running, command) = start(&context, &[], numbers(45, 10));
    until_committed(&model, 42).await;
    wanted.extend((40..45).map(|number| number.to_string()));
    assert_eq!(model.committed_values("t", 0), wanted);
    command.send_replace(Command::Stop);
    running.await.expect("no panic").expect("it ends well");
}

/// A commit of 100 ms, a batch every 3: whoever waits for the one before the other commits ten batches a second.
#[tokio::test(start_paused = true)]
async fn what_comes_during_a_commit_shares_the_next_one() {
    let model = model(2);
    let slow = Duration::from_millis(100);
    model.faults(move |_, request| match request {
        Request::EndTxn(_) => Fault::Delay(slow),
        _ => Fault::None,
    });
    let context = context(&model.client(&[])).await;
    let before = Instant::now();
    let task = numbers(200, 2);
    let committed = Arc::clone(&task.committed);
    let (running, command) = start(&context, &[], task);
    until_committed(&model, 200).await;
    assert!(
        before.elapsed() < Duration::from_secs(2),
        "{:?}",
        before.elapsed()
    );
    assert_eq!(model.committed_values("t", 0), expected(200));
    command.send_replace(Command::Stop);
    running.await.expect("no panic").expect("it ends well");
    let committed = committed.lock().expect("no panic");
    assert_eq!(committed.first(), Some(&2), "the first batch waits for nothing");
    assert_eq!(committed.last(), Some(&200));
    assert!(committed.len() < 20, "{committed:?}");
}

/// Who follows a source to its end must not take what waits for the next transaction for done.
#[tokio::test(start_paused = true)]
async fn what_was_read_ahead_is_under_way() {
    let model = model(2);
    model.faults(|_, request| match request {
        Request::EndTxn(_) => Fault::Delay(Duration::from_millis(100)),
        _ => Fault::None,
    });
    let context = context(&model.client(&[])).await;
    let task = Numbers {
        hears: Duration::from_secs(10),
        ..numbers(6, 2)
    };
    let (running, command) = start(&context, &[], task);
    let active = || {
        let mut text = forebay_metrics::Text::default();
        context.metrics.render(&mut text);
        let text = text.finish();
        let mut lines = text.lines();
        let line = lines
            .find(|line| line.contains("source_record_active_count{"))
            .expect("told");
        line.rsplit_once(' ').expect("a value").1.to_owned()
    };
    until_committed(&model, 2).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        (model.committed_values("t", 0).len(), active()),
        (2, "4".to_owned())
    );
    until_committed(&model, 6).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(active(), "0");
    command.send_replace(Command::Stop);
    running.await.expect("no panic").expect("it ends well");
}

#[tokio::test(start_paused = true)]
async fn what_was_read_ahead_survives_a_pause_and_comes_again_after_a_stop() {
    let model = model(2);
    model.faults(|_, request| match request {
        Request::EndTxn(_) => Fault::Delay(Duration::from_millis(50)),
        _ => Fault::None,
    });
    let context = context(&model.client(&[])).await;
    let (running, command) = start(&context, &[], numbers(400, 2));
    for step in 0..30 {
        tokio::time::sleep(Duration::from_millis(17 + step % 5 * 9)).await;
        command.send_replace(Command::Be(TargetState::Paused));
        tokio::time::sleep(Duration::from_millis(200)).await;
        command.send_replace(Command::Be(TargetState::Started));
    }
    command.send_replace(Command::Stop);
    running.await.expect("no panic").expect("it ends well");
    let (running, command) = start(&context, &[], numbers(400, 2));
    until_committed(&model, 400).await;
    assert_eq!(model.committed_values("t", 0), expected(400));
    command.send_replace(Command::Stop);
    running.await.expect("no panic").expect("it ends well");
}

/// S7 of the review of sources.
#[tokio::test(start_paused = true)]
async fn a_stop_behind_a_commit_does_not_keep_the_task_from_hearing_of_it() {
    let model = model(2);
    let context = context(&model.client(&[])).await;
    let slow = Numbers {
        hears: Duration::from_millis(500),
        ..numbers(5, 5)
    };
    let committed = Arc::clone(&slow.committed);
    let (running, command) = start(&context, &[], slow);
    until_committed(&model, 5).await;
    command.send_replace(Command::Stop);
    running.await.expect("no panic").expect("it ends well");
    assert_eq!(*committed.lock().expect("no panic"), [5]);
}

/// S8 of the review of sources: what is asked for during a commit is for the time behind it, and there is none.
#[tokio::test(start_paused = true)]
async fn a_pause_during_a_commit_ends_the_asking_for_more() {
    let model = model(2);
    model.faults(|_, request| match request {
        Request::EndTxn(_) => Fault::Delay(Duration::from_secs(10)),
        _ => Fault::None,
    });
    let context = context(&model.client(&[])).await;
    let task = numbers(100_000, 2);
    let polls = Arc::clone(&task.polls);
    let (running, command) = start(&context, &[], task);
    while polls.load(Ordering::Relaxed) < 20 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    command.send_replace(Command::Be(TargetState::Paused));
    // One is under way.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let asked = polls.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(polls.load(Ordering::Relaxed), asked);
    command.send_replace(Command::Stop);
    running.await.expect("no panic").expect("it ends well");
}

/// The connector's own partitioner is for its records: an offset that moved to another partition of its topic would be found there or here.
#[tokio::test(start_paused = true)]
async fn offsets_go_where_the_worker_looks_for_them() {
    let model = model(2);
    let context = context(&model.client(&[])).await;
    let round_robin = [(
        "producer.override.partitioner.class",
        "org.apache.kafka.clients.producer.RoundRobinPartitioner",
    )];
    let (running, command) = start(&context, &round_robin, numbers(60, 2));
    until_committed(&model, 60).await;
    command.send_replace(Command::Stop);
    running.await.expect("no panic").expect("it ends well");
    let topic = context
        .offsets
        .of("c", None)
        .await
        .expect("it is there")
        .topic()
        .to_owned();
    let used = (0..25).filter(|partition| !model.values(&topic, *partition).is_empty());
    assert_eq!(used.count(), 1);
}

/// Stopped at any moment, a connector that says where transactions end has all of one or nothing of it.
#[tokio::test(start_paused = true)]
async fn a_stop_leaves_no_part_of_what_the_connector_wants_whole() {
    const EACH: usize = 10;
    for moment in 0..60 {
        let model = model(2);
        model.faults(|_, request| match request {
            Request::EndTxn(_) | Request::AddPartitionsToTxn(_) => Fault::Delay(Duration::from_millis(7)),
            Request::Produce(_) => Fault::Delay(Duration::from_millis(5)),
            _ => Fault::None,
        });
        let context = context(&model.client(&[])).await;
        let asking = || Numbers {
            ask: |boundaries, from| {
                if from % 10 == 5 {
                    boundaries.commit_transaction();
                }
            },
            ..numbers(60, 5)
        };
        // Little room for what is under way: a stop meets batches that are sent in part.
        let connector = [
            ("transaction.boundary", "connector"),
            ("producer.override.batch.size", "1"),
            ("producer.override.buffer.memory", "200"),
        ];
        let (running, command) = start(&context, &connector, asking());
        tokio::time::sleep(Duration::from_millis(moment * 3)).await;
        command.send_replace(Command::Stop);
        running.await.expect("no panic").expect("it ends well");
        let committed = model.committed_values("t", 0).len();
        assert_eq!(committed % EACH, 0, "stopped after {} ms", moment * 3);
        // Nothing is left open, so nobody waits for a time-out.
        let before = Instant::now();
        let offsets = context.offsets.of("c", None).await.expect("it is there");
        offsets.refresh().await.expect("it can be read");
        assert!(
            before.elapsed() < Duration::from_secs(1),
            "stopped after {} ms",
            moment * 3
        );
        let (running, command) = start(&context, &connector, asking());
        until_committed(&model, 60).await;
        assert!(
            before.elapsed() < Duration::from_secs(20),
            "{:?}",
            before.elapsed()
        );
        assert_eq!(model.committed_values("t", 0), expected(60));
        command.send_replace(Command::Stop);
        running.await.expect("no panic").expect("it ends well");
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_of_its_own_has_the_offsets_first() {
    let model = model(2);
    let client = model.client(&[]);
    let context = context(&client).await;
    let own = [("offsets.storage.topic", "own")];
    let (running, command) = start(&context, &own, numbers(10, 5));
    until_committed(&model, 10).await;
    command.send_replace(Command::Stop);
    running.await.expect("no panic").expect("it ends well");
    let offset = |next: i64| OffsetMap::new().with("next", next);
    for topic in [Some("own"), None] {
        let offsets = context.offsets.of("c", topic).await.expect("it is there");
        offsets.refresh().await.expect("it can be read");
        assert_eq!(
            offsets.known(),
            [(partition(), offset(10))],
            "{topic:?}: a copy is in the worker's"
        );
    }
    // Behind the back of the connector's own topic the worker's says something else.
    let worker = context.offsets.of("c", None).await.expect("it is there");
    let records = worker.records([(&partition(), Some(&offset(3)))]);
    worker.write_and_read(&records).await.expect("it can be written");
    let (running, command) = start(&context, &own, numbers(12, 5));
    until_committed(&model, 12).await;
    assert_eq!(model.committed_values("t", 0), expected(12));
    command.send_replace(Command::Stop);
    running.await.expect("no panic").expect("it ends well");
    // A record for that very topic would lock the task out.
    let (running, _command) = start(&context, &[("offsets.storage.topic", "t")], numbers(20, 5));
    let failed = running.await.expect("no panic").expect_err("refused");
    assert!(
        format!("{failed:?}").contains("may not produce to their own offsets topics"),
        "{failed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_tasks_before_the_present_ones_are_fenced_once() {
    let model = model(2);
    let client = model.client(&[]);
    let context = context(&client).await;
    let configs = ConfigStore::open(&client, &context.config)
        .await
        .expect("it can be made");
    let cluster = Arc::new(Cluster::new(configs));
    let publish = |tasks: usize| {
        let cluster = Arc::clone(&cluster);
        async move {
            let change = cluster.change("").await.expect("it is alone");
            let connector = properties(&[
                ("name", "c"),
                ("connector.class", "Numbers"),
                ("tasks.max", &tasks.to_string()),
            ]);
            change
                .configs
                .put_connector("c", &connector, None)
                .await
                .expect("written");
            change
                .put_tasks("c", &vec![Properties::new(); tasks])
                .await
                .expect("written");
        }
    };
    publish(3).await;
    assert!(cluster.state().is_fencing_pending("c"));
    fencing::fence(&context, &cluster, "c")
        .await
        .expect("nobody to fence");
    assert_eq!(cluster.state().task_count("c"), Some(3));
    // The second of them is at work when there is to be but one.
    let producer = client
        .producer(&properties(&[("transactional.id", "connect-cluster-c-1")]))
        .expect("sound");
    producer.init_transactions().await.expect("its own");
    producer.begin_transaction().expect("ready");
    let record = || ProducerRecord::new("t", None, Some(b"zombie"));
    drop(producer.send(record()).await.expect("accepted"));
    producer.flush().await;
    publish(1).await;
    fencing::fence(&context, &cluster, "c").await.expect("fenced");
    assert_eq!(
        (
            cluster.state().task_count("c"),
            cluster.state().is_fencing_pending("c")
        ),
        (Some(1), false)
    );
    assert!(producer.commit_transaction().await.is_err());
    assert_eq!(model.committed_values("t", 0), [""; 0]);
    // One for one: the successor fences by beginning.
    let before = model.count(forebay_protocol::ApiKey::InitProducerId);
    publish(1).await;
    fencing::fence(&context, &cluster, "c")
        .await
        .expect("nothing to do");
    fencing::fence(&context, &cluster, "c")
        .await
        .expect("done already");
    assert_eq!(model.count(forebay_protocol::ApiKey::InitProducerId), before);
    // Who began before has its transactional id by now, and looks whether it may go on.
    let now = cluster.state().task_generation("c");
    let task = id();
    let verify = |generation| fencing::verify(&context, &cluster, &task, generation);
    verify(now).await.expect("it is of these");
    let error = verify(now - 1).await.expect_err("it is of those before");
    assert!(error.is_retriable(), "{}", error.trace());
    assert!(
        error.trace().contains("a new set of task configs"),
        "{}",
        error.trace()
    );
}

#[tokio::test(start_paused = true)]
async fn who_may_not_go_on_after_it_has_its_id_never_begins() {
    let model = model(2);
    let client = model.client(&[]);
    let context = context(&client).await;
    let task = Box::new(numbers(10, 5));
    let runner = TransactionalRunner::new(Arc::clone(&context), id(), config(&[]), (task, "Task".to_owned()))
        .expect("sound converters");
    let (_command, commands) = watch::channel(Command::Be(TargetState::Started));
    let refused = std::future::ready(Err(Error::retriable("another has it")));
    let failed = runner.run(Arc::default(), commands, refused).await;
    assert!(matches!(failed, Err(Failure::Start(_))), "{failed:?}");
    assert_eq!(model.values("t", 0), [""; 0]);
}
