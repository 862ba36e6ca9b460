//! Stores, clocks and contexts for tests, and reading back what is stored.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use arrow_array::cast::AsArray;
use bytes::Bytes;
use forebay_connect_api::{
    Access, AssignedPartition, BoxFuture, Error, Headers, Offset, SchemaAndValue, SinkBatch, SinkConnector,
    SinkRecord, SinkRecords, SinkTask, Timestamp, TimestampType, TopicPartition, Value,
    config::Properties,
    conformance::{Owner, SinkContext},
};
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::{
    ObjectStoreSinkConnector,
    budget::Budget,
    clock::Clock,
    connector::Environment,
    name::{Layout, Parsed, Range},
    store::{Created, Found, RemoteStore, Store},
};

pub(super) const HOUR_MS: i64 = 3_600_000;

/// A clock that tests move.
#[derive(Debug, Default)]
pub(super) struct ManualClock(AtomicI64);

impl ManualClock {
    pub(super) fn advance(&self, milliseconds: i64) {
        self.0.fetch_add(milliseconds, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

/// What a store does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    None,
    /// Some puts fail, some of them although the object is made.
    FailsNowAndThen,
    /// So many puts fail, and no more.
    AwayFor(u64),
    /// Its list shows nothing: breaks a promise on purpose.
    ForgetsList,
    /// It says that it made objects that it did not: breaks a promise on purpose.
    Lies,
}

/// A store that waits before and after it makes an object, so that a test can kill there, and fails as it is told.
#[derive(Debug)]
pub(super) struct TestStore {
    inner: Arc<dyn Store>,
    flaw: Flaw,
    creates: AtomicU64,
}

impl TestStore {
    pub(super) fn new(inner: Arc<dyn Store>, flaw: Flaw) -> Arc<Self> {
        let creates = AtomicU64::new(0);
        Arc::new(Self { inner, flaw, creates })
    }
}

impl Store for TestStore {
    fn create<'a>(
        &'a self,
        name: &'a str,
        content: Bytes,
        topic_id: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Created, Error>> {
        Box::pin(async move {
            let number = self.creates.fetch_add(1, Ordering::Relaxed);
            let fails = |every: u64| self.flaw == Flaw::FailsNowAndThen && number.is_multiple_of(every);
            tokio::task::yield_now().await;
            let is_away = matches!(self.flaw, Flaw::AwayFor(puts) if number < puts);
            if fails(5) || is_away {
                return Err(Error::retriable("503 SlowDown"));
            }
            if self.flaw == Flaw::Lies && number.is_multiple_of(7) {
                return Ok(Created::New);
            }
            let created = self.inner.create(name, content, topic_id).await?;
            tokio::task::yield_now().await;
            if fails(7) {
                return Err(Error::retriable("the answer was lost"));
            }
            Ok(created)
        })
    }

    fn has<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            let has = self.inner.has(name).await;
            tokio::task::yield_now().await;
            has
        })
    }

    fn topic_id<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, Error>> {
        self.inner.topic_id(name)
    }

    fn list<'a>(&'a self, folder: &'a str, own: &'a [String]) -> BoxFuture<'a, Result<Vec<Found>, Error>> {
        match self.flaw {
            Flaw::ForgetsList => Box::pin(std::future::ready(Ok(Vec::new()))),
            _ => self.inner.list(folder, own),
        }
    }

    fn list_below<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, Result<Vec<Found>, Error>> {
        self.inner.list_below(folder)
    }

    fn check_name(&self, name: &str) -> Result<(), Error> {
        self.inner.check_name(name)
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

/// A store in memory with what it takes to look into it.
#[derive(Debug, Clone)]
pub(super) struct Bench {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) flaw: Flaw,
    pub(super) budget: Arc<Budget>,
}

impl Bench {
    pub(super) fn in_memory(flaw: Flaw) -> Self {
        let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let inner = RemoteStore::new(Arc::clone(&objects), "", "memory:".to_owned());
        Self {
            objects,
            store: TestStore::new(Arc::new(inner), flaw),
            clock: Arc::default(),
            flaw,
            budget: Arc::default(),
        }
    }

    pub(super) fn connector(&self) -> ObjectStoreSinkConnector {
        ObjectStoreSinkConnector::with(Environment {
            store: Some(Arc::clone(&self.store)),
            clock: Arc::clone(&self.clock) as _,
            budget: Arc::clone(&self.budget),
        })
    }

    /// A task that has partition 0 of topic `t`.
    pub(super) async fn task(&self, context: &Arc<SinkContext>, more: &[(&str, &str)]) -> Box<dyn SinkTask> {
        let mut task = self.connector().task();
        let properties = properties(more);
        let started = task.start(Arc::clone(context) as _, &properties);
        started.await.expect("started");
        task.open(&[assigned(None, 1_000_000)]).await.expect("opened");
        task
    }

    /// Names of all objects, sorted, without their folders.
    pub(super) async fn names(&self) -> Vec<String> {
        let listed = futures_util::TryStreamExt::try_collect::<Vec<_>>(self.objects.list(None)).await;
        let objects = listed.expect("listed").into_iter();
        let mut names: Vec<String> = objects
            .map(|object| object.location.filename().expect("a name").to_owned())
            .collect();
        names.sort();
        names
    }
}

/// All objects of a store by their paths.
pub(super) async fn read_objects(objects: &dyn ObjectStore) -> BTreeMap<String, Bytes> {
    let listed = futures_util::TryStreamExt::try_collect::<Vec<_>>(objects.list(None)).await;
    let mut contents = BTreeMap::new();
    for object in listed.expect("listed") {
        let found = objects.get(&object.location).await.expect("there");
        contents.insert(object.location.to_string(), found.bytes().await.expect("whole"));
    }
    contents
}

/// The values of all objects.
pub(super) fn values(contents: &BTreeMap<String, Bytes>) -> Vec<String> {
    contents
        .iter()
        .flat_map(|(path, content)| read(path, content.clone()))
        .collect()
}

/// The values of all objects; fails if two ranges overlap.
pub(super) fn values_of_ranges(contents: &BTreeMap<String, Bytes>) -> Vec<String> {
    let layout = Layout {
        topics_dir: "topics".to_owned(),
        directory_delimiter: "/".to_owned(),
        file_delimiter: "+".to_owned(),
        pad_width: 10,
        extension: String::new(),
    };
    let mut ranges = BTreeMap::<TopicPartition, Vec<(Offset, Offset)>>::new();
    for path in contents.keys() {
        let parts: Vec<&str> = path.split('/').collect();
        let [.., topic, partition, name] = parts[..] else {
            panic!("{path}")
        };
        let partition = partition
            .strip_prefix("partition=")
            .and_then(|number| number.parse().ok());
        let of = TopicPartition::new(topic, partition.expect("a partition"));
        let Parsed::Range(Range { start, end, .. }) = layout.parse(&of, name) else {
            panic!("{path}")
        };
        ranges.entry(of).or_default().push((start, end));
    }
    for (of, mut ranges) in ranges {
        ranges.sort();
        for pair in ranges.windows(2) {
            assert!(pair[0].1 < pair[1].0, "{of}: {pair:?} overlap");
        }
    }
    values(contents)
}

fn read(name: &str, content: Bytes) -> Vec<String> {
    if name.ends_with(".json") {
        let text = String::from_utf8(content.to_vec()).expect("UTF-8");
        let line = |line: &str| serde_json::from_str(line).expect("a JSON string");
        return text.lines().map(line).collect();
    }
    let reader = ParquetRecordBatchReaderBuilder::try_new(content)
        .expect("Parquet")
        .build()
        .expect("a reader");
    let mut values = Vec::new();
    for batch in reader {
        let batch = batch.expect("rows");
        let column = batch
            .column_by_name("value")
            .expect("the column")
            .as_string::<i32>();
        values.extend(column.iter().map(|value| value.expect("no nulls").to_owned()));
    }
    values
}

pub(super) fn properties(more: &[(&str, &str)]) -> Properties {
    let own = [
        ("format.class", "ParquetFormat"),
        ("flush.size", "3"),
        ("store.url", "file:///nowhere"),
        ("retry.backoff.ms", "0"),
    ];
    own.iter()
        .chain(more)
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// The topic's id.
const TOPIC_ID: &str = "uCwhBlOMQVyTsBvNKpXkQg";

pub(super) fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

pub(super) fn assigned(committed: Option<i64>, log_end_offset: i64) -> AssignedPartition {
    AssignedPartition {
        topic_partition: partition(),
        topic_id: Some(TOPIC_ID.into()),
        committed: committed.map(Offset),
        position: Offset(committed.unwrap_or(0)),
        log_start_offset: Offset(0),
        log_end_offset: Offset(log_end_offset),
    }
}

/// A batch of partition 0 of `t`: offsets with timestamps and values.
pub(super) fn batch(records: Vec<(i64, i64, Value)>, next_offset: i64) -> SinkBatch {
    let first_offset = Offset(records.first().map_or(next_offset, |(offset, ..)| *offset));
    let records = records.into_iter().map(|(offset, timestamp, value)| SinkRecord {
        topic: "t".into(),
        partition: 0,
        offset: Offset(offset),
        timestamp: Timestamp(timestamp),
        timestamp_type: TimestampType::CreateTime,
        key: SchemaAndValue::default(),
        value: SchemaAndValue::schemaless(value),
        headers: Headers::new(),
    });
    SinkBatch {
        topic_partition: partition(),
        first_offset,
        next_offset: Offset(next_offset),
        records: SinkRecords::Converted(records.collect()),
    }
}

/// The worker's side of a task.
pub(super) fn context() -> Arc<SinkContext> {
    Arc::new(SinkContext::new(Access::unrestricted()))
}

/// With a dead letter queue.
pub(super) fn reporting() -> Arc<SinkContext> {
    Arc::new(SinkContext::new(Access::unrestricted()).with_reporter())
}

/// With a place for intents, if there is one.
pub(super) fn owning(owner: Option<Arc<Owner>>) -> Arc<SinkContext> {
    owner.map_or_else(context, |owner| {
        Arc::new(SinkContext::new(Access::unrestricted()).with_owner(owner))
    })
}
