//! The task behind a producer (Kafka's `Sender`): takes batches out of the accumulator, sends them to the leaders of their
//! partitions, and settles them by what comes back. It alone knows the sequences, so it needs no lock for them.
//! It ends once the producer is closed and everything is settled, or at once if it is aborted. Should it fail, everything
//! unsettled fails with it.

mod answer;
mod drain;
mod transaction;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::Future,
    pin::Pin,
    sync::Arc,
};

use forebay_protocol::{
    ErrorCode, NodeId, TopicPartition, Utf8Bytes,
    messages::{InitProducerIdRequest, ProduceResponse},
};
use forebay_records::{ProducerEpoch, ProducerId};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;

use super::{
    accumulator::{Accumulator, PartitionQueue},
    batch::Batch,
    delivery::{Delivery, Outcome},
    sequences::{Identity, Sequences},
    transaction::{Answer, Request},
};
use crate::{
    chore::{Chore, at, sooner},
    cluster::{Cluster, Lane, Snapshot},
    error::Error,
    node::Node,
};

pub(super) struct Sender {
    accumulator: Arc<Accumulator>,
    cluster: Cluster,
    /// `None` without idempotence.
    sequences: Option<Sequences>,
    /// The partitions that hold something.
    active: Vec<Arc<PartitionQueue>>,
    under_way: FuturesUnordered<Pin<Box<dyn Future<Output = Event> + Send>>>,
    nodes: HashMap<NodeId, NodeState>,
    /// How many batches of each partition are at a broker.
    in_flight: HashMap<TopicPartition, usize>,
    /// By when those batches must be settled.
    deadlines: BTreeMap<(Instant, usize), Arc<Delivery>>,
    identity: Chore,
    transaction: Chore,
    metadata: Chore,
    metadata_wanted: bool,
    seen_version: u64,
    /// When to look again for topics that nothing is sent to any more.
    idle_at: Instant,
}

/// What the sender knows of a broker.
#[derive(Debug, Default)]
struct NodeState {
    in_flight: usize,
    connection: Chore,
}

/// What the sender waits for.
enum Event {
    Connected(NodeId, Result<Arc<Node>, Error>),
    Answered(Box<Answered>),
    Identified(Result<Identity, Error>),
    Transacted(Box<(Request, Result<Answer, Error>)>),
    Refreshed(Result<Arc<Snapshot>, Error>),
}

/// A produce request that has come to an end.
struct Answered {
    node: NodeId,
    batches: Vec<Batch>,
    result: Result<ProduceResponse, Error>,
}

impl Sender {
    pub(super) fn new(accumulator: Arc<Accumulator>, cluster: Cluster) -> Self {
        let sequences = match &accumulator.config {
            config if config.transactional_id.is_some() => Some(Sequences::transactional()),
            config => config.enable_idempotence.then(Sequences::default),
        };
        Self {
            accumulator,
            cluster,
            sequences,
            active: Vec::new(),
            under_way: FuturesUnordered::new(),
            nodes: HashMap::new(),
            in_flight: HashMap::new(),
            deadlines: BTreeMap::new(),
            identity: Chore::default(),
            transaction: Chore::default(),
            metadata: Chore::default(),
            metadata_wanted: false,
            seen_version: 0,
            idle_at: Instant::now(),
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            if self.accumulator.is_aborted() {
                return;
            }
            // Looked at first: what was accepted before it was closed, the next step finds.
            let closed = self.accumulator.is_closed();
            let next = self.step(Instant::now());
            if closed && self.active.is_empty() && self.in_flight.is_empty() && !self.is_ending() {
                return;
            }
            let accumulator = self.accumulator.clone();
            tokio::select! {
                Some(event) = self.under_way.next() => self.take(event),
                () = accumulator.wake.notified() => {}
                () = at(next) => {}
            }
        }
    }

    /// Does what can be done now; gives the next moment to look again, unless something happens before.
    fn step(&mut self, now: Instant) -> Option<Instant> {
        let mut next = None;
        self.active.extend(self.accumulator.take_filled());
        self.follow_metadata();
        self.expire(now, &mut next);
        self.settle();
        self.identify(now, &mut next);
        self.drop_unsent();
        self.drain(now, &mut next);
        self.active
            .retain(|partition| !partition.lock().unlist_if_empty());
        self.transact(now, &mut next);
        self.forget_idle(now, &mut next);
        self.refresh(now, &mut next);
        next
    }

    fn take(&mut self, event: Event) {
        let backoff = self.cluster.backoff();
        match event {
            Event::Connected(node, result) => {
                let state = self.nodes.entry(node).or_default();
                if let Err(error) = &result {
                    said_once(&state.connection, error);
                    self.accumulator.is_in_trouble(error);
                    self.metadata_wanted = true;
                }
                state
                    .connection
                    .ended(result.is_ok(), |failures| backoff.delay(failures));
            }
            Event::Answered(answered) => self.answered(*answered),
            Event::Identified(result) => {
                let failed = self.identified(result);
                self.identity.ended(!failed, |failures| backoff.delay(failures));
            }
            Event::Transacted(transacted) => self.transacted(&transacted.0, transacted.1),
            Event::Refreshed(result) => {
                match &result {
                    Err(error) => {
                        said_once(&self.metadata, error);
                        self.accumulator.is_in_trouble(error);
                    }
                    Ok(_) if self.metadata.is_failing() => tracing::info!("the cluster answers again"),
                    Ok(_) => {}
                }
                self.metadata_wanted &= result.is_err();
                self.metadata
                    .ended(result.is_ok(), |failures| backoff.delay(failures));
            }
        }
    }

    /// Partitions that were added become known to those who choose one.
    fn follow_metadata(&mut self) {
        let snapshot = self.cluster.snapshot();
        if snapshot.version == self.seen_version {
            return;
        }
        self.seen_version = snapshot.version;
        for topic in snapshot.topics.values() {
            if let Some(queues) = self.accumulator.topic(&topic.name) {
                if topic.partitions.len() > queues.partition_count() {
                    self.accumulator
                        .ensure_partitions(&topic.name, topic.partitions.len());
                }
                for partition in topic
                    .partitions
                    .iter()
                    .filter(|partition| partition.leader.is_none())
                {
                    queues
                        .sticky
                        .forget(usize::try_from(partition.partition).unwrap_or(usize::MAX));
                }
            }
        }
    }

    /// Gives up what is older than `delivery.timeout.ms`.
    fn expire(&mut self, now: Instant, next: &mut Option<Instant>) {
        let delivery_timeout = self.accumulator.config.delivery_timeout;
        while let Some(entry) = self.deadlines.first_entry() {
            let (deadline, _) = *entry.key();
            if deadline > now {
                sooner(next, deadline);
                break;
            }
            // It stays at the broker, and counts for the sequences when its answer comes; the user is told now.
            let delivery = entry.remove();
            let error = self.too_late(None);
            if delivery.complete(Outcome::Failed(error.clone())) {
                self.batch_failed(&error);
            }
        }
        for partition in &self.active {
            let mut queue = partition.lock();
            if queue
                .open
                .as_ref()
                .is_some_and(|open| open.created + delivery_timeout <= now)
            {
                self.accumulator.seal(partition, &mut queue);
            }
            let mut index = 0;
            while let Some(batch) = queue.ready.get(index) {
                let deadline = batch.created + delivery_timeout;
                if deadline > now {
                    sooner(next, deadline);
                    index += 1;
                    continue;
                }
                let batch = queue.ready.remove(index).expect("it was there");
                let error = self.too_late(batch.last_error);
                if batch.delivery.complete(Outcome::Failed(error.clone())) {
                    self.batch_failed(&error);
                }
                if let (Some(sequences), Some(producer)) = (&mut self.sequences, batch.producer) {
                    sequences.failed(&batch.topic_partition, producer.base_sequence);
                }
            }
        }
    }

    fn too_late(&self, last: Option<Error>) -> Error {
        Error::Timeout {
            action: "deliver a batch of records".into(),
            after: self.accumulator.config.delivery_timeout,
            last: last.map(Box::new),
        }
    }

    /// The key under which a batch that is at a broker is found when it is too late for it.
    fn deadline(&self, batch: &Batch) -> (Instant, usize) {
        (
            batch.created + self.accumulator.config.delivery_timeout,
            Arc::as_ptr(&batch.delivery).addr(),
        )
    }

    /// Gives batches new sequences where that is due.
    fn settle(&mut self) {
        let Some(sequences) = &mut self.sequences else {
            return;
        };
        for broken in sequences.take_broken() {
            self.give_up(&broken);
        }
        let Some(sequences) = &mut self.sequences else {
            return;
        };
        for (topic_partition, renumbering) in sequences.settle() {
            tracing::debug!(
                "new sequences for {} batches of {topic_partition}",
                renumbering.len()
            );
            let partition = self
                .active
                .iter()
                .find(|partition| partition.topic_partition == topic_partition);
            // None of them is at the broker, so all of them are in the queue.
            let Some(partition) = partition else { continue };
            let renumbering: HashMap<_, _> = renumbering.into_iter().collect();
            for batch in &mut partition.lock().ready {
                if let Some(producer) = batch.base_sequence().and_then(|base| renumbering.get(&base)) {
                    batch.producer = Some(*producer);
                    batch.not_before = None;
                }
            }
        }
    }

    /// Fails the batches of a partition that have a sequence: the transaction has a gap there.
    fn give_up(&self, topic_partition: &TopicPartition) {
        let gap = Error::broker(
            format!("send to {topic_partition} within a transaction"),
            ErrorCode::OutOfOrderSequenceNumber,
        );
        self.batch_failed(&gap);
        let partition = self
            .active
            .iter()
            .find(|partition| partition.topic_partition == *topic_partition);
        let Some(partition) = partition else { return };
        partition.lock().ready.retain(|batch| {
            let is_given_up = batch.producer.is_some();
            if is_given_up {
                let error = batch.last_error.clone().unwrap_or_else(|| gap.clone());
                batch.delivery.complete(Outcome::Failed(error));
            }
            !is_given_up
        });
    }

    /// Whether a transaction's end, or the producer's beginning, has yet to come.
    fn is_ending(&self) -> bool {
        let transactions = self.accumulator.transactions();
        transactions.is_some_and(|transactions| transactions.is_busy())
    }

    /// Asks for a producer id if one is needed; that of a transactional producer is its coordinator's to give.
    fn identify(&mut self, now: Instant, next: &mut Option<Instant>) {
        let needed = self
            .sequences
            .as_ref()
            .is_some_and(|sequences| sequences.identity().is_none())
            && self.accumulator.config.transactional_id.is_none();
        if needed && !self.active.is_empty() && self.identity.begin(now, next) {
            let cluster = self.cluster.clone();
            self.under_way.push(Box::pin(async move {
                Event::Identified(init_producer_id(&cluster).await)
            }));
        }
    }

    /// Takes a producer id; says whether there is none.
    fn identified(&mut self, result: Result<Identity, Error>) -> bool {
        match (result, &mut self.sequences) {
            (Ok(identity), Some(sequences)) => sequences.set_identity(identity),
            (Ok(_), None) => {}
            (Err(error), _) => {
                said_once(&self.identity, &error);
                self.accumulator.is_in_trouble(&error);
                if !error.is_retriable() {
                    self.fail_all(&error);
                }
                return true;
            }
        }
        false
    }

    /// Fails everything that waits.
    fn fail_all(&mut self, error: &Error) {
        for partition in &self.active {
            let mut queue = partition.lock();
            self.accumulator.seal(partition, &mut queue);
            for batch in queue.ready.drain(..) {
                batch.delivery.complete(Outcome::Failed(error.clone()));
                if let (Some(sequences), Some(producer)) = (&mut self.sequences, batch.producer) {
                    sequences.failed(&batch.topic_partition, producer.base_sequence);
                }
            }
        }
    }

    /// Forgets topics that nothing was sent to for `metadata.max.idle.ms`, or up to half of that longer.
    fn forget_idle(&mut self, now: Instant, next: &mut Option<Instant>) {
        let idle = self.accumulator.config.metadata_max_idle;
        if self.idle_at <= now {
            self.idle_at = now + idle / 2;
            if let Some(before) = now.checked_sub(idle) {
                let in_flight =
                    |topic: &str| self.in_flight.keys().any(|partition| partition.topic == *topic);
                let forgotten = self.accumulator.forget_idle(before, in_flight);
                self.cluster.forget(&forgotten);
            }
        }
        sooner(next, self.idle_at);
    }

    /// Refreshes what is known of the cluster if that is wanted, or due by age. Topics that something waits to be sent to, and
    /// that are not there, may be created.
    fn refresh(&mut self, now: Instant, next: &mut Option<Instant>) {
        let wanted = self.metadata_wanted || (!self.active.is_empty() && self.cluster.is_old());
        if wanted && self.metadata.begin(now, next) {
            let cluster = self.cluster.clone();
            let snapshot = cluster.snapshot();
            let waiting = self.active.iter().map(|partition| &partition.topic_partition);
            let missing: BTreeSet<Utf8Bytes> = waiting
                .filter(|partition| snapshot.leader(partition).is_none())
                .map(|partition| partition.topic.clone())
                .collect();
            let awaited = cluster.await_topics(missing.into_iter().collect());
            self.under_way.push(Box::pin(async move {
                let _awaited = awaited;
                let seen = cluster.snapshot().version;
                Event::Refreshed(cluster.refresh(seen).await)
            }));
        }
    }

    /// The connection to a node, if it is open; else begins to open it.
    fn connection(&mut self, id: NodeId, now: Instant, next: &mut Option<Instant>) -> Option<Arc<Node>> {
        if let Some(node) = self.cluster.open_node(id, Lane::Main) {
            return Some(node);
        }
        if self.nodes.entry(id).or_default().connection.begin(now, next) {
            let cluster = self.cluster.clone();
            self.under_way.push(Box::pin(async move {
                Event::Connected(id, cluster.node(id, Lane::Main).await)
            }));
        }
        None
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.accumulator.close();
        self.accumulator.abandon();
    }
}

async fn init_producer_id(cluster: &Cluster) -> Result<Identity, Error> {
    let node = cluster.any_node().await?;
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: i32::MAX,
        ..Default::default()
    };
    let answer = node.call(|_| request).await?;
    match ErrorCode::from_i16(answer.error_code) {
        ErrorCode::None => Ok(Identity {
            id: ProducerId(answer.producer_id),
            epoch: ProducerEpoch(answer.producer_epoch),
        }),
        code => Err(Error::broker("get a producer id", code)),
    }
}

/// Warns of a failure unless the attempt before failed, too.
fn said_once(chore: &Chore, error: &Error) {
    if chore.is_failing() {
        tracing::debug!("{error}");
    } else {
        tracing::warn!("{error}; trying again");
    }
}
