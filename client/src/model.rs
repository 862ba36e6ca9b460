//! A cluster of brokers in memory, for tests of this room and of those above it: simple, single-locked, and as strict as Kafka where a client could go wrong
//! (sequences, epochs, generations). Every request and response passes through its encoding at the version in use.
//! Faults are put in by a function that sees each request.

mod committed;
mod data;
mod described;
mod groups;
mod transactions;
mod transport;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use forebay_config::{Origin, Properties};
use forebay_protocol::{ApiKey, ErrorCode, NodeId, Request, Uuid};
use forebay_records::{BatchBuilder, BatchOptions, Headers, LeaderEpoch, Offset, RecordBatch, Timestamp};
use tokio::sync::watch;

pub(crate) use data::PartitionState;
use groups::GroupState;
use transactions::TransactionState;

use crate::{
    LocalNode,
    cluster::{Cluster, Creates},
    config::{AdminConfig, ClientConfig, ConsumerConfig, ProducerConfig},
};

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing unusual.
    None,
    /// The connection breaks before the broker sees it.
    LoseRequest,
    /// The broker carries it out, and the connection breaks before the answer is out.
    LoseResponse,
    /// The broker carries it out and never answers.
    Hang,
    /// The broker carries it out and answers late.
    Delay(Duration),
    /// The broker answers with this error, for every partition, without doing anything.
    Refuse(ErrorCode),
}

type FaultPlan = Box<dyn FnMut(NodeId, &Request) -> Fault + Send>;

/// The cluster.
pub struct Model {
    state: Mutex<State>,
    /// Counts the changes that a waiting fetch or member may be interested in.
    changed: watch::Sender<u64>,
}

pub(crate) struct State {
    pub(crate) brokers: BTreeMap<NodeId, bool>,
    pub(crate) topics: BTreeMap<String, TopicState>,
    groups: HashMap<String, GroupState>,
    transactions: HashMap<String, TransactionState>,
    /// The level of the feature.
    transaction_version: i16,
    /// Who a waiting join is.
    joining: HashMap<(String, String, Option<String>), String>,
    /// What each broker offers instead of everything.
    pub(crate) versions: HashMap<ApiKey, (i16, i16)>,
    pub(crate) auto_create: bool,
    /// What the metadata say of these topics instead of their partitions.
    pub(crate) topic_errors: BTreeMap<String, ErrorCode>,
    /// How large a batch may be.
    pub(crate) batch_bytes_max: usize,
    next_topic: u8,
    next_producer_id: i64,
    next_member: u32,
    faults: FaultPlan,
    pub(crate) requests: Vec<(NodeId, ApiKey)>,
    /// How many connections were opened to each broker.
    pub(crate) connections: BTreeMap<NodeId, usize>,
}

pub(crate) struct TopicState {
    pub(crate) id: Uuid,
    pub(crate) partitions: Vec<PartitionState>,
    pub(crate) configs: BTreeMap<String, String>,
}

pub(crate) const CLUSTER_ID: &str = "model";

impl Model {
    /// Brokers 1 to `brokers`, without topics.
    pub fn new(brokers: i32) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                brokers: (1..=brokers).map(|id| (NodeId(id), true)).collect(),
                topics: BTreeMap::new(),
                groups: HashMap::new(),
                transactions: HashMap::new(),
                transaction_version: 0,
                joining: HashMap::new(),
                versions: HashMap::new(),
                auto_create: false,
                topic_errors: BTreeMap::new(),
                batch_bytes_max: 1024 * 1024,
                next_topic: 1,
                next_producer_id: 1000,
                next_member: 0,
                faults: Box::new(|_, _| Fault::None),
                requests: Vec::new(),
                connections: BTreeMap::new(),
            }),
            changed: watch::channel(0).0,
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds the lock")
    }

    /// Changes the state and lets those who wait look again.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.send_modify(|count| *count += 1);
        result
    }

    /// Creates a topic whose partitions are led by the brokers in turn; anew and empty if it is there.
    pub fn create_topic(&self, name: &str, partitions: usize) {
        self.change(|state| state.create_topic(name, partitions));
    }

    /// The id by which requests name a topic.
    pub fn topic_id(&self, name: &str) -> Uuid {
        self.lock().topics[name].id
    }

    /// Deletes a topic.
    pub fn delete_topic(&self, name: &str) {
        self.change(|state| state.topics.remove(name));
    }

    /// Has a group begin a rebalance.
    ///
    /// # Panics
    /// If there is no such group.
    pub fn rebalance(&self, group: &str) {
        self.change(|state| state.rebalance(group));
    }

    /// Tells nothing but an error of a topic, until there is none.
    pub fn fail_topic(&self, name: &str, error: Option<ErrorCode>) {
        self.change(|state| match error {
            Some(error) => state.topic_errors.insert(name.to_owned(), error),
            None => state.topic_errors.remove(name),
        });
    }

    /// Ends the sessions of all members of a group, as a coordinator does that hears no heartbeats.
    ///
    /// # Panics
    /// If there is no such group.
    pub fn expire_members(&self, group: &str) {
        self.change(|state| {
            for member in state.member_ids(group) {
                state.expire_member(group, &member);
            }
        });
    }

    /// Puts in faults from now on.
    pub fn faults(&self, plan: impl FnMut(NodeId, &Request) -> Fault + Send + 'static) {
        self.lock().faults = Box::new(plan);
    }

    /// Gives a partition another leader.
    pub fn move_leader(&self, topic: &str, partition: usize, leader: i32) {
        self.change(|state| {
            let partition = &mut state.topics.get_mut(topic).expect("the topic exists").partitions[partition];
            partition.leader = NodeId(leader);
            partition.leader_epoch = LeaderEpoch(partition.leader_epoch.0 + 1);
        });
    }

    /// The batches of a partition.
    pub fn batches(&self, topic: &str, partition: usize) -> Vec<RecordBatch> {
        self.lock().topics[topic].partitions[partition].batches.clone()
    }

    /// The values of a partition, as text.
    pub fn values(&self, topic: &str, partition: usize) -> Vec<String> {
        let records = |batch: &RecordBatch| {
            batch
                .records()
                .expect("sound")
                .map(|record| record.expect("sound"))
                .collect::<Vec<_>>()
        };
        let batches = self.batches(topic, partition);
        let values = batches
            .iter()
            .flat_map(records)
            .map(|record| record.value.expect("a value"));
        values
            .map(|value| String::from_utf8(value.to_vec()).expect("text"))
            .collect()
    }

    /// The values of a partition that a reader of what is committed sees, as text.
    pub fn committed_values(&self, topic: &str, partition: usize) -> Vec<String> {
        let state = self.lock();
        let partition = &state.topics[topic].partitions[partition];
        let batches = partition
            .batches
            .iter()
            .filter(|batch| partition.is_committed(batch));
        let records = batches.flat_map(|batch| batch.records().expect("sound"));
        let values = records.map(|record| record.expect("sound").value.expect("a value"));
        values
            .map(|value| String::from_utf8(value.to_vec()).expect("text"))
            .collect()
    }

    /// Sets the level of the feature `transaction.version`, as new connections are told it.
    pub fn set_transaction_version(&self, level: i16) {
        self.lock().transaction_version = level;
    }

    /// How many requests of an API came.
    pub fn count(&self, api: ApiKey) -> usize {
        self.lock().requests.iter().filter(|(_, key)| *key == api).count()
    }

    fn properties(pairs: &[(&str, &str)]) -> Properties {
        let bootstrap = [
            ("bootstrap.servers", "broker1:9092"),
            ("retry.backoff.ms", "10"),
            ("reconnect.backoff.ms", "10"),
        ];
        bootstrap
            .iter()
            .chain(pairs)
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    /// Clients of the cluster, in the way of [`crate::Client::new`].
    pub fn client(self: &Arc<Self>, pairs: &[(&str, &str)]) -> crate::Client {
        let connect = Arc::new(transport::ModelConnect(self.clone()));
        crate::Client::with_connect(Self::client_config(pairs), connect)
    }

    /// Takes these partitions' records away up to an offset, as retention does.
    pub fn delete_records(&self, topic: &str, partition: usize, before: Offset) {
        self.change(|state| {
            let topic = state.topics.get_mut(topic).expect("the topic exists");
            let partition = &mut topic.partitions[partition];
            partition.log_start = before;
            partition.batches.retain(|batch| batch.last_offset() >= before);
        });
    }

    /// Adds a partition to a topic.
    pub fn add_partition(&self, topic: &str) {
        self.change(|state| {
            let leader = *state.brokers.keys().next().expect("there is a broker");
            let topic = state.topics.get_mut(topic).expect("the topic exists");
            topic.partitions.push(PartitionState::new(leader));
        });
    }

    /// The brokers do not offer this API.
    pub fn remove_api(&self, api: ApiKey) {
        self.lock().versions.insert(api, (0, -1));
    }

    /// What a group has committed.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        self.lock().committed(group, topic, partition)
    }

    pub(crate) fn client_config(pairs: &[(&str, &str)]) -> ClientConfig {
        ClientConfig::new(&Self::properties(pairs), Origin::CommandLine).expect("a valid configuration")
    }

    /// A node of this process: calls reach it without a connection.
    pub(crate) fn local_node(self: &Arc<Self>, id: i32, cluster_id: &str) -> LocalNode {
        LocalNode {
            cluster_id: cluster_id.to_owned(),
            node_id: NodeId(id),
            transport: transport::in_process(self, NodeId(id)),
        }
    }

    pub(crate) fn cluster_with(self: &Arc<Self>, config: ClientConfig, local: Option<LocalNode>) -> Cluster {
        Cluster::with_connect(
            config,
            local,
            Creates::Nothing,
            Arc::new(transport::ModelConnect(self.clone())),
        )
    }

    pub(crate) fn cluster(self: &Arc<Self>, config: ClientConfig, creates: Creates) -> Cluster {
        Cluster::with_connect(
            config,
            None,
            creates,
            Arc::new(transport::ModelConnect(self.clone())),
        )
    }

    pub(crate) fn producer(self: &Arc<Self>, pairs: &[(&str, &str)]) -> crate::Producer {
        let config = ProducerConfig::new(&Self::properties(pairs), Origin::CommandLine)
            .expect("a valid configuration");
        let cluster = self.cluster(config.client.clone(), Creates::Awaited);
        crate::Producer::with_cluster(config, cluster)
    }

    pub(crate) fn consumer(self: &Arc<Self>, pairs: &[(&str, &str)]) -> crate::Consumer {
        let config = ConsumerConfig::new(&Self::properties(pairs), Origin::CommandLine)
            .expect("a valid configuration");
        let cluster = self.cluster(config.client.clone(), crate::Consumer::creates(&config));
        crate::Consumer::with_cluster(config, cluster)
    }

    pub(crate) fn admin(self: &Arc<Self>, pairs: &[(&str, &str)]) -> crate::Admin {
        let config =
            AdminConfig::new(&Self::properties(pairs), Origin::CommandLine).expect("a valid configuration");
        let cluster = self.cluster(config.client.clone(), Creates::Nothing);
        crate::Admin::with_cluster(config, cluster)
    }

    /// Appends a batch of these values, each an offset of its own, to a partition.
    pub fn append<S: AsRef<str>>(&self, topic: &str, partition: usize, values: &[S]) {
        self.append_with(topic, partition, values, BatchOptions::default());
    }

    pub(crate) fn append_with<S: AsRef<str>>(
        &self,
        topic: &str,
        partition: usize,
        values: &[S],
        options: BatchOptions,
    ) {
        let mut builder = BatchBuilder::new(options);
        for (timestamp, value) in (1000..).zip(values) {
            let value = value.as_ref().as_bytes();
            builder
                .append(Timestamp(timestamp), None, Some(value), &Headers::EMPTY)
                .expect("room");
        }
        self.append_batch(topic, partition, &builder.build().expect("records"));
    }

    /// Appends a batch without any check.
    pub fn append_batch(&self, topic: &str, partition: usize, batch: &RecordBatch) {
        self.change(|state| {
            state.topics.get_mut(topic).expect("the topic exists").partitions[partition].append(batch);
        });
    }
}

impl State {
    pub(crate) fn create_topic(&mut self, name: &str, partitions: usize) {
        let brokers: Vec<NodeId> = self.brokers.keys().copied().collect();
        let mut id = [0; 16];
        id[15] = self.next_topic;
        self.next_topic = self.next_topic.checked_add(1).expect("few topics");
        let partitions = (0..partitions)
            .map(|index| PartitionState::new(brokers[index % brokers.len()]))
            .collect();
        self.topics.insert(
            name.to_owned(),
            TopicState {
                id: Uuid::from_bytes(id),
                partitions,
                configs: BTreeMap::new(),
            },
        );
    }

    pub(crate) fn partition(&mut self, topic: &str, partition: i32) -> Option<&mut PartitionState> {
        self.topics
            .get_mut(topic)?
            .partitions
            .get_mut(usize::try_from(partition).ok()?)
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Model")
    }
}

/// How long an answer takes.
const LATENCY: Duration = Duration::from_millis(1);
