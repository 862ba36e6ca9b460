//! A sink task against the client's model cluster: rebalances, retries, moves and pauses at any moment, and a task that sees
//! every broken promise. Time is virtual.

mod intents;
mod ledger;
mod letters;
mod ownership;
mod transformed;
mod waiting;

use std::sync::{Mutex, MutexGuard};

use forebay_client::admin::TransactionFilter;
use forebay_client::model::{Fault, Model};
use forebay_connect_api::{PluginType, TopicPartition};
use forebay_protocol::{ApiKey, ErrorCode, Request};
use forebay_records::{
    BatchBuilder, BatchOptions, ControlRecordType, EndTransactionMarker, ProducerEpoch, ProducerId,
    ProducerIdentity, Sequence, Timestamp,
};

use super::*;
use crate::config::Config;
use crate::store::intent::IntentStore;
use crate::store::offset::OffsetStore;
use ledger::{Answer, Book, Ledger};

const GROUP: &str = "connect-c";

/// Keys of a connector for JSON, with a dead letter queue.
const TOLERANT: [(&str, &str); 4] = [
    ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
    ("value.converter.schemas.enable", "false"),
    ("errors.tolerance", "all"),
    ("errors.deadletterqueue.topic.name", "dead"),
];

/// A task that runs.
struct Bench {
    model: Arc<Model>,
    book: Arc<Mutex<Book>>,
    context: Arc<Context>,
    command: watch::Sender<Command>,
    running: tokio::task::JoinHandle<Result<(), Failure>>,
}

fn partition(number: i32) -> TopicPartition {
    TopicPartition::new("t", number)
}

fn context(model: &Arc<Model>) -> Arc<Context> {
    let client = model.client(&[]);
    crate::testing::context(&client, OffsetStore::detached(&client))
}

impl Bench {
    /// A topic of so many partitions, and a task that reads it.
    fn start(partitions: usize, book: Book) -> Self {
        Self::with(partitions, book, &[])
    }

    /// The same with some more keys of the connector.
    fn with(partitions: usize, book: Book, more: &[(&str, &str)]) -> Self {
        Self::start_with(&[("t", partitions)], book, more)
    }

    /// The same with several topics.
    fn start_with(topics: &[(&str, usize)], book: Book, more: &[(&str, &str)]) -> Self {
        let model = Model::new(1);
        for (topic, partitions) in topics {
            model.create_topic(topic, *partitions);
        }
        let names: Vec<&str> = topics.iter().map(|(topic, _)| *topic).collect();
        let names = names.join(",");
        let properties = [
            ("name", "c"),
            ("connector.class", "Ledger"),
            ("topics", &names),
            (
                "key.converter",
                "org.apache.kafka.connect.storage.StringConverter",
            ),
            (
                "value.converter",
                "org.apache.kafka.connect.storage.StringConverter",
            ),
        ];
        let properties: Properties = properties
            .iter()
            .chain(more)
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let properties = Arc::new(properties);
        let config = ConnectorConfig::new(PluginType::Sink, Arc::clone(&properties)).expect("sound");
        let id = TaskId {
            connector: "c".into(),
            task: 0,
        };
        let (context, book) = (context(&model), Arc::new(Mutex::new(book)));
        let (command, commands) = watch::channel(Command::Be(TargetState::Started));
        let parts = Parts {
            task: Box::new(Ledger {
                book: Arc::clone(&book),
                context: None,
            }),
            task_class: "LedgerTask".to_owned(),
            command: commands,
        };
        let runner = SinkTaskRunner::new(Arc::clone(&context), id, config, parts).expect("sound converters");
        Self {
            model,
            book,
            context,
            command,
            running: tokio::spawn(runner.run(properties)),
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("nobody panics with the book")
    }

    /// Appends a batch of so many records.
    fn append(&self, number: i32, count: i64) {
        self.append_to("t", number, count);
    }

    fn append_to(&self, topic: &str, number: i32, count: i64) {
        let mut book = self.book();
        let name = TopicPartition::new(topic, number);
        let end = book.log_ends.entry(name.clone()).or_default();
        let next = *end;
        *end += count;
        let log = book.log.entry(name).or_default();
        log.extend(next..next + count);
        let values: Vec<String> = (next..next + count).map(|offset| offset.to_string()).collect();
        let place = usize::try_from(number).expect("a partition");
        self.model.append(topic, place, &values);
    }

    /// Appends a batch that nobody sees.
    fn append_marker(&self, number: i32) {
        let options = BatchOptions {
            producer: ProducerIdentity {
                id: ProducerId(7),
                epoch: ProducerEpoch(0),
                base_sequence: Sequence(-1),
            },
            transactional: true,
            ..BatchOptions::default()
        };
        let marker = EndTransactionMarker { coordinator_epoch: 0 };
        let batch = BatchBuilder::end_transaction(options, Timestamp(0), ControlRecordType::Commit, marker);
        let place = usize::try_from(number).expect("a partition");
        self.model.append_batch("t", place, &batch.expect("a marker"));
        *self.book().log_ends.entry(partition(number)).or_default() += 1;
    }

    /// Appends a record that is no JSON.
    fn append_bad(&self, number: i32) {
        let place = usize::try_from(number).expect("a partition");
        self.model.append("t", place, &["{ bad"]);
        *self.book().log_ends.entry(partition(number)).or_default() += 1;
    }

    /// Waits until something is so.
    async fn until(&self, what: &str, so: impl Fn(&Book) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(600);
        while !so(&self.book()) {
            assert!(!self.running.is_finished(), "the task has ended before {what}");
            let violations = self.book().violations.clone();
            assert!(violations.is_empty(), "before {what}: {violations:#?}");
            assert!(Instant::now() < deadline, "{what}: {:?}", self.book().puts);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Lets everything become durable, stops the task, and checks what it saw.
    async fn finish(self) {
        self.book().holds = false;
        self.book().answer(|_, _| Answer::Take);
        self.until("everything is stored", Book::is_complete).await;
        let model = Arc::clone(&self.model);
        self.until("everything is committed", |book| {
            book.log_ends
                .iter()
                .all(|(name, end)| model.committed(GROUP, &name.topic, name.partition) == Some(*end))
        })
        .await;
        // Who says no intents needs no transactions, nor the right to them.
        let admin = model.client(&[]).admin(&Properties::new()).expect("sound");
        let listed = admin.list_transactions(&TransactionFilter::default()).await;
        assert!(listed.expect("told").values().all(Vec::is_empty));
        self.command.send_replace(Command::Stop);
        let ended = self.running.await.expect("it does not panic");
        assert!(ended.is_ok(), "{ended:?}");
        self.book.lock().expect("nobody panics with the book").check();
    }
}

fn book(raw: bool) -> Book {
    let mut book = Book::default();
    book.raw = raw;
    book
}

/// HIGH 2 (a): A and B come in one poll; while A is delivered again, the group rebalances, and B begins anew before what
/// the poll brought.
#[tokio::test(start_paused = true)]
async fn a_batch_polled_before_a_rebalance_is_not_delivered_after_it() {
    for raw in [false, true] {
        let bench = Bench::start(2, book(raw));
        bench.book().holds = true;
        bench.append(1, 10);
        bench.until("B is open", |book| !book.puts.is_empty()).await;
        let model = Arc::clone(&bench.model);
        bench.book().answer(move |book, batch| {
            if batch.topic_partition.partition == 0 && book.opens < 2 {
                model.rebalance(GROUP);
                return Answer::Refuse;
            }
            Answer::Take
        });
        bench.append(0, 5);
        bench.append(1, 5);
        bench.until("the rebalance", |book| book.opens == 2).await;
        bench.finish().await;
    }
}

/// HIGH 2 (b): A itself begins anew at its old place, and when it is read again there is more of it.
#[tokio::test(start_paused = true)]
async fn what_a_rebalance_gives_back_is_delivered_from_there_on() {
    for raw in [false, true] {
        let bench = Bench::start(1, book(raw));
        let model = Arc::clone(&bench.model);
        bench.book().answer(move |book, _| {
            if book.opens < 2 {
                model.rebalance(GROUP);
                return Answer::Refuse;
            }
            Answer::Take
        });
        bench.append(0, 5);
        bench.until("the first put", |book| !book.puts.is_empty()).await;
        bench.append(0, 3);
        bench.until("the rebalance", |book| book.opens == 2).await;
        bench.append(0, 2);
        bench.finish().await;
    }
}

/// As (a), with offsets that have no record.
#[tokio::test(start_paused = true)]
async fn a_gap_seen_before_a_rebalance_is_not_delivered_after_it() {
    let bench = Bench::start(2, book(false));
    bench.book().holds = true;
    bench.append(1, 10);
    bench.append(0, 1);
    bench
        .until("both are delivered", |book| book.puts.len() == 2)
        .await;
    let model = Arc::clone(&bench.model);
    bench.book().answer(move |book, batch| {
        if batch.topic_partition.partition == 0 && book.opens < 2 {
            model.rebalance(GROUP);
            return Answer::Refuse;
        }
        Answer::Take
    });
    bench.append_marker(0);
    bench.append_marker(1);
    bench.until("the rebalance", |book| book.opens == 2).await;
    bench.finish().await;
}

/// Of the partitions of one poll, those that the task pauses meanwhile wait.
#[tokio::test(start_paused = true)]
async fn a_partition_that_is_paused_gets_nothing_of_the_same_poll() {
    let bench = Bench::start(3, book(false));
    for round in 0..3 {
        bench.book().answer(move |book, _| match book.paused.is_empty() {
            true => Answer::TakeAndPause,
            false => Answer::Take,
        });
        for number in 0..3 {
            bench.append(number, 4 + round);
        }
        bench.until("all of it", Book::is_complete).await;
    }
    bench.finish().await;
}

/// The log begins again at 0: the task is told so by a close and an open, and gets all of it.
#[tokio::test(start_paused = true)]
async fn a_topic_that_is_made_anew_is_delivered_from_its_beginning() {
    let bench = Bench::start(1, book(false));
    bench.append(0, 20);
    bench.until("all of it", Book::is_complete).await;
    bench.book().forget();
    bench.model.create_topic("t", 1);
    bench.append(0, 7);
    bench.until("all of the new one", Book::is_complete).await;
    bench.finish().await;
}

/// As before, but the store has more than the new log: nothing tells which records are which.
#[tokio::test(start_paused = true)]
async fn a_topic_that_is_made_anew_below_a_store_fails_the_task() {
    let bench = Bench::start(1, book(false));
    bench.append(0, 20);
    bench.until("all of it", Book::is_complete).await;
    bench.book().log_ends.clear();
    bench.model.create_topic("t", 1);
    bench.append(0, 7);
    let ended = bench.running.await.expect("it does not panic");
    let Err(Failure::Run(error)) = ended else {
        panic!("{ended:?}");
    };
    let message = error.to_string();
    assert!(message.contains("offset 20 of t-0, which ends at 7"), "{message}");
    assert_eq!(bench.model.committed(GROUP, "t", 0), Some(20));
}

/// What cannot be converted is in the dead letter queue once, though it is consumed again after a rebalance.
#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_sent_once_through_a_rebalance() {
    let bench = Bench::with(1, book(false), &TOLERANT);
    bench.book().holds = true;
    for _ in 0..3 {
        bench.append(0, 3);
        bench.append_bad(0);
    }
    bench
        .until("the first delivery", |book| !book.puts.is_empty())
        .await;
    bench.model.rebalance(GROUP);
    bench
        .until("it comes again", |book| {
            book.opens == 2 && book.puts.last().is_some_and(|put| put.1 == 0)
        })
        .await;
    let model = Arc::clone(&bench.model);
    bench.finish().await;
    assert_eq!(model.values("dead", 0), ["{ bad"; 3]);
}

/// Everything is stored, but while the cluster does not take what is told of it, nothing is committed.
#[tokio::test(start_paused = true)]
async fn nothing_is_committed_before_its_results_are_told() {
    let bench = Bench::start(1, book(true));
    bench.book().tells = true;
    bench.model.faults(|_, request| match request {
        Request::Produce(_) => Fault::Refuse(ErrorCode::NotLeaderOrFollower),
        _ => Fault::None,
    });
    bench.append(0, 10);
    bench.until("the delivery", |book| !book.puts.is_empty()).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(bench.model.committed(GROUP, "t", 0).unwrap_or_default(), 0);
    bench.model.faults(|_, _| Fault::None);
    let model = Arc::clone(&bench.model);
    bench.finish().await;
    assert_eq!(model.values("results", 0).last().map(String::as_str), Some("10"));
}

/// MEDIUM 22: a configuration from before it was refused; what was fetched and is not stored is not committed.
#[tokio::test(start_paused = true)]
async fn nothing_is_committed_that_is_not_stored_whatever_the_consumer_is_told() {
    let keys = [
        ("consumer.override.enable.auto.commit", "true"),
        ("consumer.override.auto.commit.interval.ms", "100"),
    ];
    let bench = Bench::with(1, book(false), &keys);
    bench.book().holds = true;
    bench.append(0, 10);
    bench.until("the delivery", |book| !book.puts.is_empty()).await;
    bench.append(0, 10);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(bench.book().puts.last().map(|put| put.2), Some(20));
    // What the task returns while its store is empty.
    assert_eq!(bench.model.committed(GROUP, "t", 0).unwrap_or_default(), 0);
    bench.finish().await;
}

/// Refuses to say where partitions begin and end.
fn refuse_offsets(bench: &Bench) {
    bench.model.faults(|_, request| match request {
        Request::ListOffsets(_) => Fault::Refuse(ErrorCode::UnknownTopicOrPartition),
        _ => Fault::None,
    });
}

/// HIGH 4: while new partitions cannot be looked at, the user is heard.
#[tokio::test(start_paused = true)]
async fn a_pause_is_heard_while_partitions_wait_to_be_opened() {
    let bench = Bench::start(1, book(false));
    bench.append(0, 3);
    bench.until("all of it", Book::is_complete).await;
    refuse_offsets(&bench);
    bench.model.rebalance(GROUP);
    let count = bench.model.count(ApiKey::ListOffsets);
    while bench.model.count(ApiKey::ListOffsets) == count {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let id = TaskId {
        connector: "c".into(),
        task: 0,
    };
    for (state, said) in [
        (TargetState::Paused, State::Paused),
        (TargetState::Started, State::Running),
        (TargetState::Paused, State::Paused),
    ] {
        bench.command.send_replace(Command::Be(state));
        let context = Arc::clone(&bench.context);
        let began = Instant::now();
        bench
            .until("it is heard", |_| {
                context
                    .statuses
                    .task(&id)
                    .is_some_and(|status| status.state == said)
            })
            .await;
        let lasted = began.elapsed();
        assert!(lasted < Duration::from_secs(2), "{said:?}: {lasted:?}");
    }
    bench.model.faults(|_, _| Fault::None);
    bench.append(0, 3);
    bench.until("it is open", |book| book.opens == 2).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!bench.book().is_complete(), "it is still paused");
    bench.command.send_replace(Command::Be(TargetState::Started));
    bench.finish().await;
}

/// HIGH 4: and so is a stop, however long a look may take.
#[tokio::test(start_paused = true)]
async fn a_stop_is_heard_while_partitions_wait_to_be_opened() {
    let bench = Bench::start(1, book(false));
    bench.append(0, 3);
    bench.until("all of it", Book::is_complete).await;
    refuse_offsets(&bench);
    bench.model.rebalance(GROUP);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let began = Instant::now();
    bench.command.send_replace(Command::Stop);
    let ended = bench.running.await.expect("it does not panic");
    assert!(ended.is_ok(), "{ended:?}");
    let lasted = began.elapsed();
    assert!(lasted < Duration::from_secs(2), "{lasted:?}");
}

/// A task whose store is away when it is given partitions: it is heard, and gets them later.
#[tokio::test(start_paused = true)]
async fn a_pause_is_heard_while_the_store_cannot_be_opened() {
    let bench = Bench::start(1, book(false));
    bench.book().refuses_to_open = true;
    bench.append(0, 3);
    bench.until("it is tried", |book| book.refused_opens > 1).await;
    bench.command.send_replace(Command::Be(TargetState::Paused));
    let id = TaskId {
        connector: "c".into(),
        task: 0,
    };
    let context = Arc::clone(&bench.context);
    bench
        .until("it is paused", |_| {
            let status = context.statuses.task(&id);
            status.is_some_and(|status| status.state == State::Paused)
        })
        .await;
    bench.command.send_replace(Command::Be(TargetState::Started));
    bench.book().refuses_to_open = false;
    bench.finish().await;
}

/// A user who pauses a connector whose store is away sees it paused, and its batch comes again after that.
#[tokio::test(start_paused = true)]
async fn a_pause_is_heard_while_a_batch_is_delivered_again() {
    let bench = Bench::start(1, book(false));
    bench.book().answer(|_, _| Answer::Refuse);
    bench.append(0, 5);
    bench.until("the first put", |book| !book.puts.is_empty()).await;
    bench.command.send_replace(Command::Be(TargetState::Paused));
    let id = TaskId {
        connector: "c".into(),
        task: 0,
    };
    let state = |bench: &Bench| bench.context.statuses.task(&id).map(|status| status.state);
    let context = Arc::clone(&bench.context);
    let paused = context.clone();
    let of = id.clone();
    bench
        .until("it is paused", move |_| {
            paused
                .statuses
                .task(&of)
                .is_some_and(|status| status.state == State::Paused)
        })
        .await;
    let puts = bench.book().puts.len();
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(bench.book().puts.len(), puts, "a paused task gets nothing");
    bench.command.send_replace(Command::Be(TargetState::Started));
    bench.until("the next put", |book| book.puts.len() > puts).await;
    assert_eq!(state(&bench), Some(State::Running));
    bench.finish().await;
}

/// Stopped while a batch is delivered again: nothing after it is delivered, and nothing of it is committed.
#[tokio::test(start_paused = true)]
async fn a_stop_while_a_batch_is_delivered_again_commits_nothing_of_it() {
    let bench = Bench::start(2, book(false));
    bench.append(0, 3);
    bench.until("all of it", Book::is_complete).await;
    bench
        .book()
        .answer(|_, batch| match batch.topic_partition.partition {
            0 => Answer::Refuse,
            _ => Answer::Take,
        });
    bench.append(0, 5);
    bench.append(1, 5);
    bench.until("the put", |book| book.puts.len() > 1).await;
    bench.command.send_replace(Command::Stop);
    bench
        .running
        .await
        .expect("it does not panic")
        .expect("it ends well");
    assert_eq!(bench.model.committed(GROUP, "t", 0), Some(3));
    let book = bench.book.lock().expect("nobody panics with the book");
    assert!(book.violations.is_empty(), "{:?}", book.violations);
    let of_b = book.puts.iter().filter(|(name, ..)| name.partition == 1);
    assert_eq!(of_b.count(), 0, "{:?}", book.puts);
}

/// HIGH 4 of the second attack review: the group gives the task a partition of a topic that was deleted a moment ago.
#[tokio::test(start_paused = true)]
async fn a_deleted_topic_does_not_hold_up_the_others() {
    let bench = Bench::start_with(&[("t", 1), ("u", 1)], book(false), &[]);
    bench.append(0, 3);
    bench.until("all of it", Book::is_complete).await;
    // The leader shares out before it hears of it.
    let deleted = Instant::now();
    bench.model.faults(move |_, request| match request {
        Request::Metadata(_) if deleted.elapsed() < Duration::from_secs(20) => {
            Fault::Delay(Duration::from_secs(20))
        }
        _ => Fault::None,
    });
    bench.model.delete_topic("u");
    bench.model.rebalance(GROUP);
    bench.until("the rebalance", |book| book.opens == 2).await;
    bench.append(0, 3);
    bench.until("what comes after", Book::is_complete).await;
    bench.model.create_topic("u", 1);
    bench.append_to("u", 0, 4);
    bench.append(0, 3);
    bench.until("both", Book::is_complete).await;
    bench.finish().await;
}

fn chance(seed: u64) -> impl FnMut(u64) -> u64 + Send {
    let mut state = seed;
    move |below| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}

/// Appends, rebalances, pauses and lets the task refuse, go back and pause at random, then checks everything.
async fn live_through(seed: u64, raw: bool) {
    let bench = Bench::start(3, book(raw));
    let mut of_task = chance(seed);
    let model = Arc::clone(&bench.model);
    bench.append(0, 1);
    bench
        .until("the group is there", |book| !book.puts.is_empty())
        .await;
    bench.book().answer(move |_, _| {
        if of_task(10) == 0 {
            model.rebalance(GROUP);
        }
        match of_task(20) {
            0..4 => Answer::Refuse,
            4..7 => Answer::TakeAndRefuse,
            7 => Answer::TakeAndGoBack,
            8 => Answer::RefuseAndGoBack,
            9..11 => Answer::TakeAndPause,
            _ => Answer::Take,
        }
    });
    let mut random = chance(seed ^ 0x5555);
    for _ in 0..60 {
        let number = i32::try_from(random(3)).expect("small");
        match random(12) {
            0..6 => bench.append(number, i64::try_from(1 + random(9)).expect("small")),
            6 => bench.append_marker(number),
            7 => bench.model.rebalance(GROUP),
            8 => {
                let holds = random(2) == 0;
                bench.book().holds = holds;
            }
            9 => drop(bench.command.send_replace(Command::Be(TargetState::Paused))),
            _ => drop(bench.command.send_replace(Command::Be(TargetState::Started))),
        }
        tokio::time::sleep(Duration::from_millis(random(4) * random(700))).await;
    }
    bench.command.send_replace(Command::Be(TargetState::Started));
    bench.finish().await;
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 32, failure_persistence: None, ..Default::default() })]

    /// Whatever happens, the task gets every record in order and without a gap.
    #[test]
    fn nothing_is_lost_or_doubled_whatever_happens(seed: u64, raw: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime").block_on(live_through(seed, raw));
    }
}
