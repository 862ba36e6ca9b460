//! Choosing what goes now: of each partition at most one batch in a request, the oldest that its sequence allows; to each
//! broker at most `max.in.flight.requests.per.connection` requests at a time.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use forebay_protocol::{
    NodeId, Utf8Bytes, Uuid,
    messages::{
        ProduceRequest,
        produce_request::{PartitionProduceData, TopicProduceData},
    },
};
use tokio::time::Instant;

use super::{Answered, Event, Sender};
use crate::{
    chore::sooner,
    cluster::Snapshot,
    node::Node,
    producer::{accumulator::PartitionQueue, batch::Batch, transaction::Version},
};

/// The first version of Produce that knows topics by their ids.
const TOPIC_IDS_VERSION: i16 = 13;

/// The newest version of Produce for transactions of version 1.
const TRANSACTIONS_1_VERSION_MAX: i16 = 11;

/// A request in the making.
struct Draft {
    node: Arc<Node>,
    batches: Vec<Batch>,
    bytes: usize,
}

impl Sender {
    pub(super) fn drain(&mut self, now: Instant, next: &mut Option<Instant>) {
        if self
            .sequences
            .as_ref()
            .is_some_and(|sequences| sequences.identity().is_none())
        {
            return;
        }
        let snapshot = self.cluster.snapshot();
        // Not always the same partition first: a request may be full before it comes to the last.
        if self.active.len() > 1 {
            self.active.rotate_left(1);
        }
        loop {
            let mut drafts: BTreeMap<NodeId, Draft> = BTreeMap::new();
            for index in 0..self.active.len() {
                let partition = self.active[index].clone();
                self.add(&partition, &snapshot, &mut drafts, now, next);
            }
            if drafts.is_empty() {
                return;
            }
            for (id, draft) in drafts {
                self.send(id, draft, &snapshot);
            }
        }
    }

    /// Adds the partition's next batch to the request to its leader, if it may go now.
    #[allow(clippy::too_many_arguments)] // One step of the loop above, on its variables.
    fn add(
        &mut self,
        partition: &PartitionQueue,
        snapshot: &Snapshot,
        drafts: &mut BTreeMap<NodeId, Draft>,
        now: Instant,
        next: &mut Option<Instant>,
    ) {
        let Some(index) = self.ready(partition, now, next) else {
            return;
        };
        let Some(leader) = snapshot.leader(&partition.topic_partition) else {
            // Also if it was forgotten as idle at the very moment.
            self.cluster.want([&*partition.topic_partition.topic]);
            self.metadata_wanted = true;
            return;
        };
        if !snapshot.brokers.contains_key(&leader) {
            self.metadata_wanted = true;
            return;
        }
        let in_flight = self.nodes.get(&leader).map_or(0, |node| node.in_flight);
        if in_flight >= self.accumulator.config.max_in_flight_requests {
            return;
        }
        let Some(node) = self.connection(leader, now, next) else {
            return;
        };
        let draft = drafts.entry(leader).or_insert_with(|| Draft {
            node,
            batches: Vec::new(),
            bytes: 0,
        });
        let mut queue = partition.lock();
        let bytes = queue
            .ready
            .get(index)
            .map_or(0, |batch| batch.records.size_in_bytes());
        let full = draft.bytes + bytes > self.accumulator.config.max_request_bytes;
        if full && !draft.batches.is_empty() {
            // It goes with the next request.
            return;
        }
        if let Some(batch) = queue.ready.remove(index) {
            draft.bytes += bytes;
            draft.batches.push(batch);
        }
    }

    /// The place of the batch that may go now; else notes when to look again.
    fn ready(&self, partition: &PartitionQueue, now: Instant, next: &mut Option<Instant>) -> Option<usize> {
        let topic_partition = &partition.topic_partition;
        let in_order = self.accumulator.config.max_in_flight_requests == 1;
        if in_order && self.in_flight.contains_key(topic_partition) {
            return None;
        }
        let mut queue = partition.lock();
        // Also for a batch that still lingers: the coordinator gets to know the partition meanwhile.
        let may_begin = match self.accumulator.transactions() {
            Some(_) if queue.ready.is_empty() && queue.open.is_none() => true,
            Some(mut transactions) => transactions.may_send(topic_partition),
            None => true,
        };
        if queue.ready.is_empty() {
            let open = queue.open.as_ref()?;
            let due = open.created + self.accumulator.linger();
            if due > now {
                sooner(next, due);
                return None;
            }
            self.accumulator.seal(partition, &mut queue);
        }
        let index = match &self.sequences {
            None => 0,
            Some(sequences) => {
                let allowed = |batch: &Batch| {
                    (may_begin || batch.producer.is_some())
                        && sequences.may_send(topic_partition, batch.base_sequence())
                };
                // Those that have a sequence come first, and as long as there is one, none without may go.
                let sequenced = queue
                    .ready
                    .iter()
                    .take_while(|batch| batch.producer.is_some())
                    .count();
                queue.ready.iter().take(sequenced.max(1)).position(allowed)?
            }
        };
        match queue
            .ready
            .get(index)?
            .not_before
            .filter(|not_before| *not_before > now)
        {
            Some(not_before) => {
                sooner(next, not_before);
                None
            }
            None => Some(index),
        }
    }

    fn send(&mut self, id: NodeId, draft: Draft, snapshot: &Snapshot) {
        let Draft {
            node, mut batches, ..
        } = draft;
        for batch in &mut batches {
            self.prepare(batch);
        }
        let ids = topic_ids(&batches, snapshot);
        let newest = match self.transaction_version() {
            // From the next one on a batch adds its partition to the transaction.
            Some(Version::V1) => TRANSACTIONS_1_VERSION_MAX,
            _ if ids.is_some() => i16::MAX,
            _ => TOPIC_IDS_VERSION - 1,
        };
        self.nodes.entry(id).or_default().in_flight += 1;
        let version = match node.version::<ProduceRequest>(newest) {
            Ok(version) => version,
            Err(error) => {
                return self.answered(Answered {
                    node: id,
                    batches,
                    result: Err(error),
                });
            }
        };
        let request = self.request(&batches, ids.filter(|_| version >= TOPIC_IDS_VERSION).as_ref());
        let answer = node.start(version, request, self.accumulator.config.client.request_timeout);
        let snapshot = Arc::new(if version >= TOPIC_IDS_VERSION {
            snapshot.names.clone()
        } else {
            HashMap::new()
        });
        self.under_way.push(Box::pin(async move {
            let result = answer.await.map(|mut response| {
                for topic in response
                    .responses
                    .iter_mut()
                    .filter(|topic| topic.name.is_empty())
                {
                    topic.name = snapshot.get(&topic.topic_id).cloned().unwrap_or_default();
                }
                response
            });
            Event::Answered(Box::new(Answered {
                node: id,
                batches,
                result,
            }))
        }));
    }

    /// Gives a batch its sequence and counts it as being at the broker.
    fn prepare(&mut self, batch: &mut Batch) {
        batch.attempts = batch.attempts.saturating_add(1);
        batch.not_before = None;
        if let Some(sequences) = &mut self.sequences {
            match batch.base_sequence() {
                Some(base) => sequences.resend(&batch.topic_partition, base),
                None => batch.producer = Some(sequences.assign(&batch.topic_partition, batch.count())),
            }
        }
        *self.in_flight.entry(batch.topic_partition.clone()).or_default() += 1;
        self.deadlines
            .insert(self.deadline(batch), batch.delivery.clone());
    }

    fn request(&self, batches: &[Batch], ids: Option<&HashMap<Utf8Bytes, Uuid>>) -> ProduceRequest {
        let mut topics: BTreeMap<&Utf8Bytes, Vec<PartitionProduceData>> = BTreeMap::new();
        let transactional_id = self.accumulator.config.transactional_id.as_deref();
        let is_transactional = transactional_id.is_some();
        for batch in batches {
            topics
                .entry(&batch.topic_partition.topic)
                .or_default()
                .push(PartitionProduceData {
                    index: batch.topic_partition.partition,
                    records: Some(batch.wire(is_transactional)),
                    ..Default::default()
                });
        }
        let config = &self.accumulator.config;
        ProduceRequest {
            transactional_id: transactional_id.map(Utf8Bytes::from),
            acks: config.acks.code(),
            timeout_ms: config
                .client
                .request_timeout
                .as_millis()
                .try_into()
                .unwrap_or(i32::MAX),
            topic_data: topics
                .into_iter()
                .map(|(name, partition_data)| TopicProduceData {
                    topic_id: ids.and_then(|ids| ids.get(name).copied()).unwrap_or_default(),
                    name: if ids.is_some() {
                        Utf8Bytes::default()
                    } else {
                        name.clone()
                    },
                    partition_data,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }
    }
}

/// The ids of the batches' topics, if all are known.
fn topic_ids(batches: &[Batch], snapshot: &Snapshot) -> Option<HashMap<Utf8Bytes, Uuid>> {
    let mut ids = HashMap::new();
    for batch in batches {
        let name = &batch.topic_partition.topic;
        let id = snapshot.topics.get(name)?.id;
        if id == Uuid::ZERO {
            return None;
        }
        ids.insert(name.clone(), id);
    }
    Some(ids)
}
