//! What answers to other requests say of the cluster: a broker that no longer leads a partition names the one that does
//! (KIP-951), and a coordinator is named with its address.

use std::sync::Arc;

use forebay_protocol::{NodeId, TopicPartition, Utf8Bytes};
use forebay_records::LeaderEpoch;

use super::{
    Cluster, lock,
    metadata::{Broker, Snapshot},
};

/// A leader that an answer named.
#[derive(Debug, Clone)]
pub(crate) struct LeaderHint {
    pub(crate) topic_partition: TopicPartition,
    pub(crate) leader: NodeId,
    pub(crate) leader_epoch: LeaderEpoch,
}

impl Cluster {
    /// Takes a leader that an answer named, if that is news. Its broker must be known.
    pub(crate) fn learn_leader(&self, hint: &LeaderHint) -> bool {
        let TopicPartition { topic, partition } = &hint.topic_partition;
        let mut snapshot = lock(&self.0.snapshot);
        let known = snapshot.partition(topic, *partition);
        let is_news = known.is_some_and(|known| known.leader_epoch < Some(hint.leader_epoch));
        if !is_news || !snapshot.brokers.contains_key(&hint.leader) {
            return false;
        }
        *snapshot = Arc::new(snapshot.changed(|topics, _| {
            let topic = topics.get_mut(topic).map(Arc::make_mut);
            let index = usize::try_from(*partition).unwrap_or(usize::MAX);
            if let Some(known) = topic.and_then(|topic| topic.partitions.get_mut(index)) {
                known.leader = Some(hint.leader);
                known.leader_epoch = Some(hint.leader_epoch);
            }
        }));
        true
    }

    /// Takes a broker that an answer named with its address.
    pub(crate) fn learn_broker(&self, id: NodeId, host: &Utf8Bytes, port: i32) {
        let mut snapshot = lock(&self.0.snapshot);
        let broker = Broker::new(id, host, port, None);
        if snapshot
            .brokers
            .get(&id)
            .is_none_or(|known| known.address != broker.address)
        {
            *snapshot = Arc::new(snapshot.changed(|_, brokers| {
                brokers.insert(id, broker);
            }));
        }
    }
}

type Topics = std::collections::HashMap<Utf8Bytes, Arc<super::Topic>>;
type Brokers = std::collections::BTreeMap<NodeId, Broker>;

impl Snapshot {
    /// The same age and version: nothing was refreshed.
    pub(super) fn changed(&self, change: impl FnOnce(&mut Topics, &mut Brokers)) -> Self {
        let (mut topics, mut brokers) = (self.topics.clone(), self.brokers.clone());
        change(&mut topics, &mut brokers);
        Self {
            version: self.version,
            fetched_at: self.fetched_at,
            of_all: self.of_all,
            cluster_id: self.cluster_id.clone(),
            controller: self.controller,
            names: self.names.clone(),
            topics,
            brokers,
        }
    }
}
