//! Records on their way to the sender, gathered in batches by partition, within `buffer.memory` (Kafka's
//! `RecordAccumulator`). Callers come here from any task; the sender takes batches out.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use forebay_protocol::{TopicPartition, Utf8Bytes};
use forebay_records::{HEADER_BYTES, RecordBatch, Timestamp, record_bytes};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::{
    DeliveryFuture, ProducerRecord,
    batch::{Batch, OpenBatch},
    delivery::{Delivery, Outcome},
    partitioner::{RoundRobin, Sticky},
    transaction::Transactions,
};
use crate::{ProducerConfig, error::Error};

/// What callers and the sender share.
#[derive(Debug)]
pub(super) struct Accumulator {
    pub(super) config: ProducerConfig,
    topics: RwLock<HashMap<Utf8Bytes, Arc<TopicQueues>>>,
    memory: Arc<Semaphore>,
    /// Of a transactional producer. Locked last: nobody who holds it takes another lock.
    transactions: Option<Mutex<Transactions>>,
    /// How many callers wait for memory, and how many for a flush: batches then go before `linger.ms` is over.
    waiting: AtomicUsize,
    flushing: AtomicUsize,
    closed: AtomicBool,
    aborted: AtomicBool,
    /// Partitions that have begun to hold something since the sender last looked.
    filled: Mutex<Vec<Arc<PartitionQueue>>>,
    /// Every batch that is not settled, by age.
    incomplete: Mutex<BTreeMap<u64, Arc<Delivery>>>,
    next_batch: std::sync::atomic::AtomicU64,
    /// Why something is tried again, until something is acknowledged.
    trouble: Mutex<Option<Error>>,
    /// Wakes the sender.
    pub(super) wake: Notify,
}

/// A topic's queues, one for each partition.
#[derive(Debug)]
pub(super) struct TopicQueues {
    pub(super) name: Utf8Bytes,
    pub(super) sticky: Sticky,
    pub(super) round_robin: RoundRobin,
    /// When something was last sent to it.
    used: Mutex<Instant>,
    partitions: RwLock<Vec<Arc<PartitionQueue>>>,
}

/// A partition's batches, oldest first, the last of them perhaps open.
#[derive(Debug)]
pub(super) struct PartitionQueue {
    pub(super) topic_partition: TopicPartition,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) ready: VecDeque<Batch>,
    pub(super) open: Option<OpenBatch>,
    /// Whether the sender knows of it.
    listed: bool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change under these locks is complete in itself.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Accumulator {
    pub(super) fn new(config: ProducerConfig) -> Self {
        let memory = Arc::new(Semaphore::new(config.buffer_memory.min(Semaphore::MAX_PERMITS)));
        let timeout_ms = config.transaction_timeout_ms;
        let transactions = config
            .transactional_id
            .as_deref()
            .map(|id| Mutex::new(Transactions::new(id, timeout_ms)));
        Self {
            config,
            topics: RwLock::default(),
            memory,
            transactions,
            waiting: AtomicUsize::new(0),
            flushing: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            aborted: AtomicBool::new(false),
            filled: Mutex::default(),
            incomplete: Mutex::default(),
            next_batch: std::sync::atomic::AtomicU64::new(0),
            trouble: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// Something has failed and is tried again.
    pub(super) fn is_in_trouble(&self, error: &Error) {
        *locked(&self.trouble) = Some(error.clone());
    }

    /// Something is acknowledged.
    pub(super) fn is_out_of_trouble(&self) {
        *locked(&self.trouble) = None;
    }

    /// What has failed last and is tried again; nothing once something is acknowledged.
    pub(super) fn trouble(&self) -> Option<Error> {
        locked(&self.trouble).clone()
    }

    /// The topic's queues, if its partitions are known.
    pub(super) fn topic(&self, name: &str) -> Option<Arc<TopicQueues>> {
        self.topics
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    /// The same, for something that is sent to it: it is not idle.
    pub(super) fn topic_in_use(&self, name: &str, now: Instant) -> Option<Arc<TopicQueues>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        let topic = topics.get(name)?;
        *locked(&topic.used) = now;
        Some(topic.clone())
    }

    /// Forgets topics that nothing has been sent to since `before` and that nobody holds a queue of; gives their names.
    pub(super) fn forget_idle(&self, before: Instant, is_in_flight: impl Fn(&str) -> bool) -> Vec<Utf8Bytes> {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        // Whoever puts something into a queue has it from here, and holds it meanwhile; so does the sender while there is something.
        let is_held = |topic: &Arc<TopicQueues>| {
            let partitions = topic.partitions.read().unwrap_or_else(PoisonError::into_inner);
            Arc::strong_count(topic) > 1 || partitions.iter().any(|queue| Arc::strong_count(queue) > 1)
        };
        let mut idle = Vec::new();
        topics.retain(|name, topic| {
            let stays = *locked(&topic.used) > before || is_held(topic) || is_in_flight(name);
            if !stays {
                idle.push(name.clone());
            }
            stays
        });
        idle
    }

    /// Makes queues for a topic's partitions, those that are new.
    pub(super) fn ensure_partitions(&self, name: &Utf8Bytes, partitions: usize) -> Arc<TopicQueues> {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let topic = topics.entry(name.clone()).or_insert_with(|| {
            Arc::new(TopicQueues {
                name: name.clone(),
                sticky: Sticky::default(),
                round_robin: RoundRobin::default(),
                used: Mutex::new(Instant::now()),
                partitions: RwLock::default(),
            })
        });
        let mut queues = topic.partitions.write().unwrap_or_else(PoisonError::into_inner);
        for partition in (0..).take(partitions).skip(queues.len()) {
            let topic_partition = TopicPartition {
                topic: name.clone(),
                partition,
            };
            queues.push(Arc::new(PartitionQueue {
                topic_partition,
                queue: Mutex::default(),
            }));
        }
        topic.clone()
    }

    /// Copies a record into its partition's batch; waits for memory until `deadline`.
    pub(super) async fn append(
        &self,
        queue: &Arc<PartitionQueue>,
        record: &ProducerRecord<'_>,
        timestamp: Timestamp,
        deadline: Instant,
    ) -> Result<DeliveryFuture, Error> {
        let bytes = record_bytes(record.key, record.value, record.headers);
        let largest = HEADER_BYTES.saturating_add(bytes);
        self.check_size(largest)?;
        let mut memory = None;
        loop {
            self.check_open()?;
            if let Some(result) = self.try_append(queue, record, (bytes, timestamp), &mut memory) {
                return result;
            }
            memory = Some(
                self.reserve(self.config.batch_bytes.max(largest), deadline)
                    .await?,
            );
        }
    }

    /// Appends if there is room, or memory for a new batch; `None`: memory is needed.
    fn try_append(
        &self,
        partition: &Arc<PartitionQueue>,
        record: &ProducerRecord<'_>,
        (bytes, timestamp): (usize, Timestamp),
        memory: &mut Option<OwnedSemaphorePermit>,
    ) -> Option<Result<DeliveryFuture, Error>> {
        let mut queue = partition.lock();
        if let Some(open) = queue.open.as_mut().filter(|open| open.has_room_for(bytes)) {
            return Some(open.append(record, timestamp));
        }
        let capacity = self.config.batch_bytes.max(HEADER_BYTES.saturating_add(bytes));
        let memory = memory.take().or_else(|| self.try_reserve(capacity))?;
        self.seal(partition, &mut queue);
        let topic_partition = partition.topic_partition.clone();
        let mut open = OpenBatch::new(topic_partition, self.config.compression, capacity, memory);
        let mut result = open.append(record, timestamp);
        if result.is_ok() {
            match self.track(open.delivery()) {
                Ok(number) => {
                    open.number = number;
                    queue.open = Some(open);
                }
                Err(closed) => result = Err(closed),
            }
        }
        self.list(partition, &mut queue);
        Some(result)
    }

    /// Puts a whole batch behind what the partition has.
    pub(super) async fn append_batch(
        &self,
        partition: &Arc<PartitionQueue>,
        records: RecordBatch,
        deadline: Instant,
    ) -> Result<DeliveryFuture, Error> {
        let bytes = records.size_in_bytes();
        self.check_size(bytes)?;
        self.check_open()?;
        let memory = match self.try_reserve(bytes) {
            Some(memory) => memory,
            None => self.reserve(bytes, deadline).await?,
        };
        self.check_open()?;
        let delivery = Delivery::new(partition.topic_partition.clone());
        let mut batch = Batch::new(
            partition.topic_partition.clone(),
            records,
            delivery.clone(),
            Some(memory),
        );
        let timestamp = batch.timestamp();
        let mut queue = partition.lock();
        self.seal(partition, &mut queue);
        let tracked = self.track(&delivery).map(|number| {
            batch.number = number;
            queue.ready.push_back(batch);
        });
        self.list(partition, &mut queue);
        tracked.map(|()| DeliveryFuture::new(delivery, 0, timestamp))
    }

    /// Whether a record is small enough.
    pub(super) fn check_record_size(&self, record: &ProducerRecord<'_>) -> Result<(), Error> {
        let bytes = record_bytes(record.key, record.value, record.headers);
        self.check_size(HEADER_BYTES.saturating_add(bytes))
    }

    fn check_size(&self, bytes: usize) -> Result<(), Error> {
        let request = (self.config.max_request_bytes, "max.request.size");
        let buffer = (self.config.buffer_memory, "buffer.memory");
        match [request, buffer]
            .into_iter()
            .find(|(bytes_max, _)| bytes > *bytes_max)
        {
            Some((bytes_max, key)) => Err(Error::RecordTooLarge {
                bytes,
                bytes_max,
                key,
            }),
            None => Ok(()),
        }
    }

    /// Whether something may be sent: the producer is open and, with transactions, there is one.
    pub(super) fn check_open(&self) -> Result<(), Error> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Closed("producer"));
        }
        self.transactions()
            .map_or(Ok(()), |transactions| transactions.check_send())
    }

    /// The transactions, if it has any.
    pub(super) fn transactions(&self) -> Option<MutexGuard<'_, Transactions>> {
        self.transactions.as_ref().map(locked)
    }

    /// A record or batch is lost: a transaction cannot be committed without it.
    pub(super) fn batch_failed(&self, error: &Error) {
        if let Some(mut transactions) = self.transactions() {
            transactions.batch_failed(error);
            drop(transactions);
            self.wake.notify_one();
        }
    }

    /// Ends the partition's open batch, if there is one.
    pub(super) fn seal(&self, partition: &PartitionQueue, queue: &mut Queue) {
        if let Some(Err(error)) = queue.open.take().map(|open| {
            open.seal(&partition.topic_partition)
                .map(|batch| queue.ready.push_back(batch))
        }) {
            self.batch_failed(&error);
        }
    }

    /// Whether anything is not settled.
    pub(super) fn has_incomplete(&self) -> bool {
        let mut incomplete = locked(&self.incomplete);
        incomplete.retain(|_, delivery| !delivery.is_done());
        !incomplete.is_empty()
    }

    fn try_reserve(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.memory.clone().try_acquire_many_owned(permits(bytes)).ok()
    }

    async fn reserve(&self, bytes: usize, deadline: Instant) -> Result<OwnedSemaphorePermit, Error> {
        let after = self.config.max_block;
        let exhausted = || Error::BufferExhausted {
            bytes,
            buffer_memory: self.config.buffer_memory,
            after,
        };
        if bytes > self.config.buffer_memory {
            return Err(exhausted());
        }
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let _waiting = Countdown(&self.waiting);
        self.wake.notify_one();
        match timeout_at(deadline, self.memory.clone().acquire_many_owned(permits(bytes))).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(Error::Closed("producer")),
            Err(_) => Err(exhausted()),
        }
    }

    /// Remembers a new batch until it is settled. Gives it its number; called in the order of the queue. Fails if the producer
    /// was closed meanwhile: then the sender may have ended, and [`Self::abandon`] knew nothing of the batch.
    fn track(&self, delivery: &Arc<Delivery>) -> Result<u64, Error> {
        let number = self.track_part(delivery);
        match self.check_open() {
            Ok(()) => Ok(number),
            Err(closed) => {
                delivery.complete(Outcome::Failed(closed.clone()));
                Err(closed)
            }
        }
    }

    /// Remembers a part of a batch until it is settled. Only the sender takes batches apart, so it is there to settle it.
    pub(super) fn track_part(&self, delivery: &Arc<Delivery>) -> u64 {
        let id = self.next_batch.fetch_add(1, Ordering::Relaxed);
        let mut incomplete = locked(&self.incomplete);
        // The oldest settle first, as a rule: this keeps the map as small as what is under way.
        while incomplete
            .first_entry()
            .is_some_and(|entry| entry.get().is_done())
        {
            incomplete.pop_first();
        }
        incomplete.insert(id, delivery.clone());
        id
    }

    /// Lets the sender know that the partition holds something.
    pub(super) fn list(&self, partition: &Arc<PartitionQueue>, queue: &mut Queue) {
        if !queue.listed {
            queue.listed = true;
            locked(&self.filled).push(partition.clone());
        }
        self.wake.notify_one();
    }

    /// The partitions that have begun to hold something.
    pub(super) fn take_filled(&self) -> Vec<Arc<PartitionQueue>> {
        std::mem::take(&mut *locked(&self.filled))
    }

    /// Waits until everything that is here now has been settled.
    pub(super) async fn flush(&self) {
        let deliveries: Vec<Arc<Delivery>> = locked(&self.incomplete).values().cloned().collect();
        self.flushing.fetch_add(1, Ordering::AcqRel);
        let _flushing = Countdown(&self.flushing);
        self.wake.notify_one();
        for delivery in deliveries {
            delivery.done().await;
        }
    }

    /// Takes no more records.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.memory.close();
        self.wake.notify_one();
    }

    /// Takes no more records, and has the sender end without sending what is there.
    pub(super) fn abort(&self) {
        self.aborted.store(true, Ordering::Release);
        self.close();
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Acquire)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Fails everything that is not settled: nobody will.
    pub(super) fn abandon(&self) {
        for delivery in locked(&self.incomplete).values() {
            delivery.complete(Outcome::Failed(Error::Closed("producer")));
        }
    }

    /// How long an open batch waits for more records at the moment.
    pub(super) fn linger(&self) -> Duration {
        let in_need = [&self.waiting, &self.flushing]
            .iter()
            .any(|count| count.load(Ordering::Acquire) > 0);
        if in_need || self.is_closed() {
            Duration::ZERO
        } else {
            self.config.linger
        }
    }
}

/// A batch of 4 GiB and more does not exist.
fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

struct Countdown<'a>(&'a AtomicUsize);

impl Drop for Countdown<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl TopicQueues {
    pub(super) fn partition_count(&self) -> usize {
        self.partitions
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    pub(super) fn partition(&self, partition: usize) -> Option<Arc<PartitionQueue>> {
        self.partitions
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(partition)
            .cloned()
    }
}

impl PartitionQueue {
    pub(super) fn lock(&self) -> MutexGuard<'_, Queue> {
        locked(&self.queue)
    }
}

impl Queue {
    /// Takes it off the sender's list if it is empty.
    pub(super) fn unlist_if_empty(&mut self) -> bool {
        self.listed = !self.ready.is_empty() || self.open.is_some();
        !self.listed
    }

    /// Puts a batch back that is to be sent again, where it was.
    pub(super) fn put_back(&mut self, batch: Batch) {
        let behind = |other: &Batch| (other.number, other.part) > (batch.number, batch.part);
        let place = self.ready.iter().position(behind);
        self.ready.insert(place.unwrap_or(self.ready.len()), batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_config::Origin;

    fn accumulator() -> (Accumulator, Arc<PartitionQueue>) {
        let properties = [("bootstrap.servers".to_owned(), "broker1:9092".to_owned())].into();
        let config = ProducerConfig::new(&properties, Origin::CommandLine).expect("valid");
        let accumulator = Accumulator::new(config);
        let queues = accumulator.ensure_partitions(&"t".into(), 1);
        let queue = queues.partition(0).expect("one");
        (accumulator, queue)
    }

    /// The sender ends between the look whether the producer is open and the queue: nobody would send the batch.
    #[tokio::test]
    async fn what_comes_beside_the_end_is_told_of_it() {
        let (accumulator, queue) = accumulator();
        let record = ProducerRecord::new("t", None, Some(b"late"));
        let mut memory = accumulator.try_reserve(1000);
        accumulator.close();
        accumulator.abandon();
        let late = accumulator.try_append(&queue, &record, (100, Timestamp(0)), &mut memory);
        assert!(matches!(late, Some(Err(Error::Closed(_)))), "{late:?}");
        assert!(queue.lock().open.is_none());
        accumulator.flush().await;
    }
}
