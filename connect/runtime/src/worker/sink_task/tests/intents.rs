//! Tasks that say what they intend, over the client's model cluster: two workers whose tasks both believe that they own a partition,
//! transactions that fail or hang, and what an operator sets anew.

mod predecessors;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use forebay_client::ProducerRecord;
use forebay_client::model::Fault;
use forebay_connect_api::{
    AssignedPartition, BoxFuture, Error, Intent, Offset, Offsets, SinkBatch, SinkRecords, SinkTask,
    SinkTaskContext,
};
use forebay_protocol::{ApiKey, ErrorCode, Request};
use tokio::sync::watch;

use super::*;

const INTENTS: &str = "connect-offsets-intents";

/// Before what a task is to stop until it is let go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    Intent,
    Object,
    Done,
}

/// A store, and what the test does to those who use it.
#[derive(Default)]
struct Shelf {
    /// Offsets of records by object.
    objects: BTreeMap<String, Vec<i64>>,
    /// Names that were put again.
    again: usize,
    outstanding_seen: usize,
    holds: Option<(u32, Gate)>,
    is_held: bool,
    /// Of the task that has started last.
    context: Option<Arc<dyn SinkTaskContext>>,
}

/// One object per batch, named by its range.
struct Announcer {
    number: u32,
    shelf: Arc<Mutex<Shelf>>,
    released: watch::Receiver<bool>,
    context: Option<Arc<dyn SinkTaskContext>>,
    /// What is to be made first, and what was gathered for it.
    promised: BTreeMap<TopicPartition, Vec<(Intent, Vec<i64>)>>,
}

impl Announcer {
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().expect("nobody panics with the shelf")
    }

    async fn gate(&mut self, gate: Gate) {
        if self.shelf().holds != Some((self.number, gate)) {
            return;
        }
        {
            let mut shelf = self.shelf();
            (shelf.holds, shelf.is_held) = (None, true);
        }
        let _ = self.released.wait_for(|released| *released).await;
    }

    fn store(&self, object: &str, offsets: Vec<i64>) {
        let mut shelf = self.shelf();
        if shelf.objects.contains_key(object) {
            shelf.again += 1;
        } else {
            shelf.objects.insert(object.to_owned(), offsets);
        }
    }

    async fn make(
        &mut self,
        of: &TopicPartition,
        intent: Intent,
        offsets: Vec<i64>,
        is_said: bool,
    ) -> Result<(), Error> {
        let context = self.context.clone().expect("started");
        let intents = context.intents().expect("offered");
        let one = std::slice::from_ref(&intent);
        if !is_said {
            self.gate(Gate::Intent).await;
            intents.intend(of, one, intent.start).await?;
        }
        self.gate(Gate::Object).await;
        self.store(&intent.object, offsets);
        self.gate(Gate::Done).await;
        intents.done(of, one, intent.end.next()).await
    }
}

impl SinkTask for Announcer {
    fn start<'a>(
        &'a mut self,
        context: Arc<dyn SinkTaskContext>,
        _properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.shelf().context = Some(Arc::clone(&context));
        self.context = Some(context);
        Box::pin(std::future::ready(Ok(())))
    }

    fn says_intents(&self) -> bool {
        true
    }

    fn open<'a>(&'a mut self, partitions: &'a [AssignedPartition]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let context = self.context.clone().expect("started");
            let intents = context.intents().expect("offered");
            for one in partitions {
                let of = &one.topic_partition;
                let outstanding = intents.outstanding(of);
                self.shelf().outstanding_seen += outstanding.len();
                let (made, missing): (Vec<Intent>, Vec<Intent>) = outstanding
                    .into_iter()
                    .partition(|intent| self.shelf().objects.contains_key(&*intent.object));
                if let Some(last) = made.last() {
                    intents.done(of, &made, last.end.next()).await?;
                    context.offset(of, last.end.next());
                }
                // Only now it is open.
                let missing = missing.into_iter().map(|intent| (intent, Vec::new())).collect();
                let open = self.promised.insert(of.clone(), missing);
                assert!(open.is_none(), "{of} is opened again, and was not closed");
            }
            Ok(())
        })
    }

    fn put<'a>(&'a mut self, batch: &'a SinkBatch) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let of = &batch.topic_partition;
            let SinkRecords::Converted(records) = &batch.records else {
                panic!("converted")
            };
            let mut offsets: Vec<i64> = records.iter().map(|record| record.offset.value()).collect();
            let mut start = batch.first_offset;
            while let Some((intent, _)) = self.promised.get(of).and_then(|promised| promised.first()) {
                let end = intent.end;
                let after = offsets.partition_point(|offset| *offset <= end.value());
                let rest = offsets.split_off(after);
                let promised = self.promised.get_mut(of).expect("it is there");
                promised[0].1.append(&mut offsets);
                offsets = rest;
                if batch.next_offset <= end {
                    return Ok(());
                }
                let (intent, gathered) = promised.remove(0);
                self.make(of, intent, gathered, true).await?;
                start = end.next();
            }
            if offsets.is_empty() {
                return Ok(());
            }
            let end = Offset(batch.next_offset.value() - 1);
            let intent = Intent {
                object: format!("{of}+{start}+{end}").into(),
                part: "all".into(),
                start,
                end,
            };
            self.make(of, intent, offsets, false).await
        })
    }

    fn pre_commit<'a>(&'a mut self, current: &'a Offsets) -> BoxFuture<'a, Result<Offsets, Error>> {
        for of in current.keys() {
            assert!(self.promised.contains_key(of), "{of} is not open");
        }
        Box::pin(std::future::ready(Ok(current.clone())))
    }

    fn close<'a>(&'a mut self, partitions: &'a [TopicPartition]) -> BoxFuture<'a, Result<(), Error>> {
        self.promised.retain(|of, _| !partitions.contains(of));
        Box::pin(std::future::ready(Ok(())))
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// What a task is told, and how it ends.
type Running = (
    watch::Sender<Command>,
    tokio::task::JoinHandle<Result<(), Failure>>,
);

/// A cluster, a store, and tasks of one connector on workers of their own.
struct Two {
    model: Arc<Model>,
    shelf: Arc<Mutex<Shelf>>,
    release: watch::Sender<bool>,
    appended: i64,
    running: Vec<Running>,
}

impl Two {
    fn new() -> Self {
        let model = Model::new(1);
        model.create_topic("t", 1);
        Self {
            model,
            shelf: Arc::default(),
            release: watch::channel(false).0,
            appended: 0,
            running: Vec::new(),
        }
    }

    fn properties() -> Properties {
        let string = "org.apache.kafka.connect.storage.StringConverter";
        let properties = [
            ("name", "c"),
            ("connector.class", "Announcer"),
            ("topics", "t"),
            ("key.converter", string),
            ("value.converter", string),
        ];
        properties
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    }

    fn start(&mut self, number: u32) {
        let properties = Arc::new(Self::properties());
        let config = ConnectorConfig::new(PluginType::Sink, Arc::clone(&properties)).expect("sound");
        let id = TaskId {
            connector: "c".into(),
            task: number,
        };
        let (command, commands) = watch::channel(Command::Be(TargetState::Started));
        let task = Announcer {
            number,
            shelf: Arc::clone(&self.shelf),
            released: self.release.subscribe(),
            context: None,
            promised: BTreeMap::new(),
        };
        let parts = Parts {
            task: Box::new(task),
            task_class: "AnnouncerTask".to_owned(),
            command: commands,
        };
        let runner = SinkTaskRunner::new(context(&self.model), id, config, parts).expect("sound converters");
        self.running.push((command, tokio::spawn(runner.run(properties))));
    }

    fn append(&mut self, count: i64) {
        let values: Vec<String> = (self.appended..self.appended + count)
            .map(|offset| offset.to_string())
            .collect();
        self.model.append("t", 0, &values);
        self.appended += count;
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().expect("nobody panics with the shelf")
    }

    fn hold(&self, number: u32, gate: Gate) {
        self.shelf().holds = Some((number, gate));
    }

    async fn until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(600);
        while !so(self) {
            for (_, running) in &self.running {
                assert!(!running.is_finished(), "a task has ended before {what}");
            }
            assert!(Instant::now() < deadline, "{what}: {:?}", self.shelf().objects);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn stored(&self) -> Vec<i64> {
        let mut stored: Vec<i64> = self.shelf().objects.values().flatten().copied().collect();
        stored.sort_unstable();
        stored
    }

    /// Everything is stored once and committed, and nothing is outstanding; then all tasks stop.
    async fn finish(self) {
        let end = self.appended;
        self.until("everything is committed", |two| {
            two.model.committed(GROUP, "t", 0) == Some(end)
        })
        .await;
        assert_eq!(self.stored(), (0..end).collect::<Vec<_>>());
        for (command, running) in self.running {
            command.send_replace(Command::Stop);
            let ended = running.await.expect("it does not panic");
            assert!(ended.is_ok(), "{ended:?}");
        }
        let client = self.model.client(&[]);
        let store = IntentStore::new(&Config::new(&Properties::new()).expect("defaults"), true);
        store.refresh(&client).await.expect("read");
        assert_eq!(store.of("c", &partition(0)), []);
    }
}

/// faults.md, C6: the first task is held at each step, its session ends, the second one takes over, and the first goes on.
#[tokio::test(start_paused = true)]
async fn a_task_that_lost_its_partition_unknowingly_changes_nothing() {
    for gate in [Gate::Intent, Gate::Object, Gate::Done] {
        let mut two = Two::new();
        two.append(5);
        two.hold(0, gate);
        two.start(0);
        two.until("the first is held", |two| two.shelf().is_held).await;
        two.append(7);
        two.model.expire_members(GROUP);
        two.start(1);
        let committed = |two: &Two| two.model.committed(GROUP, "t", 0);
        two.until("the second has all", |two| committed(two) == Some(12))
            .await;
        let seen = two.shelf().outstanding_seen;
        assert_eq!(seen, usize::from(gate != Gate::Intent), "{gate:?}");
        two.append(3);
        two.release.send_replace(true);
        two.until("somebody has the rest", |two| committed(two) == Some(15))
            .await;
        two.append(4);
        assert_eq!(two.shelf().again, usize::from(gate == Gate::Object), "{gate:?}");
        two.finish().await;
    }
}

/// Whatever becomes of a transaction's requests: it is taken over anew, and what is true is read.
#[tokio::test(start_paused = true)]
async fn transactions_that_fail_or_hang_lose_and_repeat_nothing() {
    let faults = [
        Fault::LoseRequest,
        Fault::LoseResponse,
        Fault::Hang,
        Fault::Refuse(ErrorCode::InvalidProducerEpoch),
        Fault::Refuse(ErrorCode::CoordinatorNotAvailable),
    ];
    let apis = [
        ApiKey::InitProducerId,
        ApiKey::AddPartitionsToTxn,
        ApiKey::AddOffsetsToTxn,
        ApiKey::TxnOffsetCommit,
        ApiKey::EndTxn,
    ];
    // Nobody who asks for an epoch has a wrong one.
    let is_possible = |api: ApiKey, fault: Fault| {
        api != ApiKey::InitProducerId || fault != Fault::Refuse(ErrorCode::InvalidProducerEpoch)
    };
    for api in apis {
        for fault in faults.into_iter().filter(|fault| is_possible(api, *fault)) {
            for nth in [0, 1, 2] {
                let mut two = Two::new();
                let mut count = 0;
                two.model.faults(move |_, request: &Request| {
                    if request.api_key() != api {
                        return Fault::None;
                    }
                    count += 1;
                    match count == nth + 1 {
                        true => fault,
                        false => Fault::None,
                    }
                });
                two.append(5);
                two.start(0);
                two.until("the first objects", |two| {
                    two.model.committed(GROUP, "t", 0) == Some(5)
                })
                .await;
                two.append(5);
                two.until("the next ones", |two| {
                    two.model.committed(GROUP, "t", 0) == Some(10)
                })
                .await;
                two.append(3);
                two.finish().await;
            }
        }
    }
}

/// A killed task's transaction is ended by whoever comes next, and its intent is finished.
#[tokio::test(start_paused = true)]
async fn what_a_killed_task_intended_is_finished() {
    for gate in [Gate::Object, Gate::Done] {
        let mut two = Two::new();
        two.append(5);
        two.hold(0, gate);
        two.start(0);
        two.until("the first is held", |two| two.shelf().is_held).await;
        let (_command, killed) = two.running.remove(0);
        killed.abort();
        let _ = killed.await;
        two.append(4);
        // The same task again: it comes back under its static name.
        two.start(0);
        two.until("it goes on", |two| two.model.committed(GROUP, "t", 0) == Some(9))
            .await;
        assert_eq!(two.shelf().outstanding_seen, 1);
        assert!(
            two.shelf().objects.contains_key("t-0+0+4"),
            "{:?}",
            two.shelf().objects
        );
        two.finish().await;
    }
}

/// Where an operator sets offsets anew, nothing that was begun is finished.
#[tokio::test(start_paused = true)]
async fn intents_are_forgotten_where_offsets_are_set_anew() {
    let mut two = Two::new();
    let client = two.model.client(&[]);
    let store = || IntentStore::new(&Config::new(&Properties::new()).expect("defaults"), true);
    store()
        .forget(&client, "c", None)
        .await
        .expect("there is no such topic yet");
    let none = IntentStore::new(&Config::new(&Properties::new()).expect("defaults"), false);
    assert_eq!(none.topic(), None, "nor is there for a worker that runs alone");
    none.refresh(&client).await.expect("nothing to read");
    none.forget(&client, "c", None).await.expect("nothing to forget");
    two.append(5);
    two.hold(0, Gate::Object);
    two.start(0);
    two.until("the first is held", |two| two.shelf().is_held).await;
    let (_command, killed) = two.running.remove(0);
    killed.abort();
    let _ = killed.await;
    let read = async || {
        let store = store();
        store.refresh(&client).await.expect("read");
        store.of("c", &partition(0)).len()
    };
    assert_eq!(read().await, 1);
    two.model
        .fail_topic(INTENTS, Some(ErrorCode::TopicAuthorizationFailed));
    let forgotten = store().forget(&client, "c", None).await;
    two.model.fail_topic(INTENTS, None);
    forgotten.expect_err("nobody can tell whether there are any");
    store().forget(&client, "other", None).await.expect("another's");
    store()
        .forget(&client, "c", Some(&[partition(7)]))
        .await
        .expect("another partition's");
    assert_eq!(read().await, 1);
    store()
        .forget(&client, "c", Some(&[partition(0)]))
        .await
        .expect("forgotten");
    assert_eq!(read().await, 0);
}

/// Another connector's transaction hangs in the topic: what lies behind its beginning is waited for, also for longer than one attempt.
#[tokio::test(start_paused = true)]
async fn an_intent_behind_an_open_transaction_is_not_missed() {
    for timeout_ms in ["15000", "300000"] {
        let mut two = Two::new();
        two.append(5);
        two.hold(0, Gate::Done);
        two.model.create_topic(INTENTS, 5);
        let keys = [
            ("transactional.id", "another's"),
            ("transaction.timeout.ms", timeout_ms),
        ];
        let keys = keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let another = two.model.client(&[]).producer(&keys).expect("sound");
        another.init_transactions().await.expect("begun");
        another.begin_transaction().expect("begun");
        for partition in 0..5 {
            let record = ProducerRecord::new(INTENTS, Some(b"[]"), None).partition(partition);
            drop(another.send(record).await.expect("sent"));
        }
        another.flush().await;
        two.start(0);
        // Held behind its object, so that only the intent says that it is there.
        two.until("the first is held", |two| two.shelf().is_held).await;
        let (_command, killed) = two.running.remove(0);
        killed.abort();
        let _ = killed.await;
        two.append(4);
        two.start(0);
        two.until("it goes on", |two| two.model.committed(GROUP, "t", 0) == Some(9))
            .await;
        assert_eq!(two.shelf().outstanding_seen, 1);
        two.finish().await;
    }
}

/// Without the right to transactions no task can be sure that it is the only one, and says what can be done.
#[tokio::test(start_paused = true)]
async fn a_partition_that_cannot_be_fenced_is_not_opened() {
    let mut two = Two::new();
    two.model.faults(|_, request| match request.api_key() {
        ApiKey::InitProducerId => Fault::Refuse(ErrorCode::TransactionalIdAuthorizationFailed),
        _ => Fault::None,
    });
    two.append(5);
    two.start(0);
    let (_command, running) = two.running.remove(0);
    let ended = tokio::time::timeout(Duration::from_secs(600), running).await;
    let ended = ended.expect("it ends").expect("it does not panic");
    let told = format!("{ended:?}");
    assert!(ended.is_err() && told.contains("intents.enable=false"), "{told}");
    assert_eq!(two.stored(), Vec::<i64>::new());
}
