//! Consumer instances: a consumer behind a name, with the records that it has fetched but not given yet. They live in this
//! process only and end after a while without a request.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex as StdMutex};
use std::time::{Duration, Instant};

use forebay_client::Consumer;
use forebay_client::consumer::{ConsumerRecord, OffsetAndMetadata, RebalanceEvent};
use forebay_protocol::TopicPartition;
use forebay_records::Offset;
use tokio::sync::Mutex;

use crate::embedded::Format;
use crate::error::Error;

/// How often offsets are committed where `auto.commit.enable` is on: Kafka's `auto.commit.interval.ms`.
const AUTO_COMMIT_INTERVAL: Duration = Duration::from_secs(5);

/// What a reader asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadLimits {
    pub(crate) timeout: Duration,
    pub(crate) bytes_max: u64,
    pub(crate) bytes_min: u64,
}

/// One instance.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) format: Format,
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) fetch_min_bytes: u64,
    pub(crate) auto_commit: bool,
    pub(crate) work: Mutex<Work>,
    last_used: StdMutex<Instant>,
}

/// What only one request at a time may touch.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) consumer: Consumer,
    pub(crate) topics: Vec<String>,
    fetched: VecDeque<ConsumerRecord>,
    /// The next offset after the records that were given to the reader: what a commit without offsets commits.
    given: BTreeMap<TopicPartition, Offset>,
    last_commit: Instant,
}

impl Work {
    /// Waits for records and says how many may be given now: as many as are there in time, at most `bytes_max` but always
    /// one if there is one. They stay here until [`Work::give`].
    pub(crate) async fn fill(&mut self, limits: ReadLimits) -> Result<usize, Error> {
        let deadline = Instant::now() + limits.timeout;
        loop {
            let (count, bytes) = self.measure(limits.bytes_max);
            let left = deadline.saturating_duration_since(Instant::now());
            let enough = count > 0 && (bytes >= limits.bytes_min || count < self.fetched.len());
            if enough || left.is_zero() {
                return Ok(count);
            }
            match self.consumer.poll(left).await {
                Ok(polled) => self.fetched.extend(polled),
                Err(error) if error.is_retriable() => {
                    tracing::debug!(%error, "a consumer instance polls again");
                }
                Err(error) => return Err(error.into()),
            }
            self.drop_revoked();
        }
    }

    /// How many records, and of how many bytes, fit into `bytes_max`.
    fn measure(&self, bytes_max: u64) -> (usize, u64) {
        let length = |part: Option<&[u8]>| part.map_or(0, |part| part.len() as u64);
        let (mut count, mut bytes) = (0, 0);
        for ConsumerRecord { record, .. } in &self.fetched {
            let size = length(record.key.as_deref()) + length(record.value.as_deref());
            if count > 0 && bytes + size > bytes_max {
                break;
            }
            count += 1;
            bytes += size;
        }
        (count, bytes)
    }

    /// The records that [`Work::fill`] counted.
    pub(crate) fn fetched(&self, count: usize) -> impl Iterator<Item = &ConsumerRecord> {
        self.fetched.iter().take(count)
    }

    /// The first `count` records are shown to the reader now: they are not shown again, and may be committed from the next
    /// read on. A commit that fails here is tried again by the next read, and takes nothing from this one.
    pub(crate) async fn give(&mut self, count: usize, auto_commit: bool) {
        if auto_commit
            && self.last_commit.elapsed() >= AUTO_COMMIT_INTERVAL
            && let Err(error) = self.commit_given().await
        {
            tracing::warn!(%error, "offsets of a consumer instance could not be committed");
        }
        for record in self.fetched.drain(..count) {
            self.given
                .insert(record.topic_partition(), Offset(record.record.offset.0 + 1));
        }
    }

    /// Records of partitions that belong to another member now are not given any more, nor committed.
    fn drop_revoked(&mut self) {
        for event in self.consumer.take_events() {
            if let RebalanceEvent::Revoked(partitions) | RebalanceEvent::Lost(partitions) = event {
                self.forget(&partitions);
            }
        }
    }

    /// Forgets what was fetched of these partitions: their position moves.
    pub(crate) fn forget(&mut self, partitions: &[TopicPartition]) {
        self.fetched
            .retain(|record| !partitions.contains(&record.topic_partition()));
        self.given.retain(|partition, _| !partitions.contains(partition));
    }

    /// Forgets everything: the subscription changes. Partitions that stay go on with the first record that was not given.
    pub(crate) fn forget_all(&mut self) -> Result<(), Error> {
        let assigned = self.consumer.assignment();
        let mut seen = std::collections::BTreeSet::new();
        for record in std::mem::take(&mut self.fetched) {
            let partition = record.topic_partition();
            if assigned.contains(&partition) && seen.insert(partition.clone()) {
                self.consumer.seek(&partition, record.record.offset)?;
            }
        }
        self.given.clear();
        Ok(())
    }

    /// Commits what was given so far.
    pub(crate) async fn commit_given(&mut self) -> Result<(), Error> {
        let offsets = self
            .given
            .iter()
            .map(|(partition, offset)| (partition.clone(), OffsetAndMetadata::from(*offset)));
        let offsets: BTreeMap<_, _> = offsets.collect();
        self.last_commit = Instant::now();
        if !offsets.is_empty() {
            self.consumer.commit(&offsets).await?;
        }
        Ok(())
    }
}

/// Group and name of an instance.
pub(crate) type InstanceId = (String, String);

/// All instances of this process.
#[derive(Debug)]
pub(crate) struct Instances {
    instances: StdMutex<HashMap<InstanceId, Arc<Instance>>>,
    instances_max: usize,
    timeout: Duration,
}

impl Instances {
    pub(crate) fn new(instances_max: usize, timeout: Duration) -> Self {
        Self {
            instances: StdMutex::default(),
            instances_max,
            timeout,
        }
    }

    fn map(&self) -> std::sync::MutexGuard<'_, HashMap<InstanceId, Arc<Instance>>> {
        self.instances.lock().expect("nobody panics with the instances")
    }

    /// Whether another may be made under this name.
    pub(crate) fn check_room(&self, id: &InstanceId) -> Result<(), Error> {
        let map = self.map();
        if map.contains_key(id) {
            return Err(Error::InstanceExists);
        }
        if map.len() >= self.instances_max {
            return Err(Error::TooManyInstances {
                instances_max: self.instances_max,
            });
        }
        Ok(())
    }

    /// Keeps a new instance.
    pub(crate) fn add(&self, id: InstanceId, instance: Instance) -> Result<(), Error> {
        self.check_room(&id)?;
        self.map().insert(id, Arc::new(instance));
        Ok(())
    }

    /// The instance of that name; it lives on for a while from now.
    pub(crate) fn get(&self, id: &InstanceId) -> Result<Arc<Instance>, Error> {
        let instance = self
            .map()
            .get(id)
            .map(Arc::clone)
            .ok_or(Error::InstanceNotFound)?;
        *instance.last_used.lock().expect("nobody panics with it") = Instant::now();
        Ok(instance)
    }

    /// Takes an instance away and closes it.
    pub(crate) async fn remove(&self, id: &InstanceId) -> Result<(), Error> {
        let instance = self.map().remove(id).ok_or(Error::InstanceNotFound)?;
        close(instance).await;
        Ok(())
    }

    /// Closes instances that nobody has used for a while; never returns.
    pub(crate) async fn expire(&self) {
        let mut ticks = tokio::time::interval(
            (self.timeout / 10).clamp(Duration::from_millis(100), Duration::from_secs(10)),
        );
        loop {
            ticks.tick().await;
            let expired: Vec<InstanceId> = self
                .map()
                .iter()
                .filter(|(_, instance)| {
                    let idle = instance
                        .last_used
                        .lock()
                        .expect("nobody panics with it")
                        .elapsed();
                    idle > self.timeout && instance.work.try_lock().is_ok()
                })
                .map(|(id, _)| id.clone())
                .collect();
            for id in expired {
                tracing::info!(
                    group = id.0,
                    instance = id.1,
                    "a consumer instance was not used and is closed"
                );
                // Somebody else may have deleted it meanwhile.
                let _ = self.remove(&id).await;
            }
        }
    }

    /// Closes all.
    pub(crate) async fn close_all(&self) {
        let all: Vec<Arc<Instance>> = self.map().drain().map(|(_, instance)| instance).collect();
        for instance in all {
            close(instance).await;
        }
    }
}

impl Instance {
    pub(crate) fn new(consumer: Consumer, format: Format) -> Self {
        let now = Instant::now();
        let (topics, fetched, given) = (Vec::new(), VecDeque::new(), BTreeMap::new());
        let work = Mutex::new(Work {
            consumer,
            topics,
            fetched,
            given,
            last_commit: now,
        });
        let (fetch_min_bytes, auto_commit) = (1, true);
        Self {
            format,
            request_timeout: None,
            fetch_min_bytes,
            auto_commit,
            work,
            last_used: StdMutex::new(now),
        }
    }
}

/// Commits if it is to, and leaves the group. A request in flight ends first.
async fn close(instance: Arc<Instance>) {
    if instance.auto_commit
        && let Err(error) = instance.work.lock().await.commit_given().await
    {
        tracing::warn!(%error, "the last offsets of a consumer instance could not be committed");
    }
    // Whoever holds it besides is a request that has lost its instance: the consumer then ends with the last of them.
    if let Ok(instance) = Arc::try_unwrap(instance)
        && let Err(error) = instance.work.into_inner().consumer.close().await
    {
        tracing::debug!(%error, "a consumer instance did not leave its group");
    }
}
