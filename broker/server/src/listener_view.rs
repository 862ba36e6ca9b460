//! The metadata image as one listener and version sees it, for every answer that names brokers.

use forebay_broker_controller::{BrokerImage, Endpoint, MetadataImage, PartitionImage};
use forebay_protocol::NodeId;

use crate::call::Call;

/// Nobody leads.
pub(crate) const NO_LEADER: i32 = -1;

/// The image as one listener and version sees it.
pub(crate) struct View<'a> {
    pub(crate) image: &'a MetadataImage,
    pub(crate) listener: &'a str,
    pub(crate) version: i16,
}

/// Where a client that came to the wrong broker should go (KIP-951).
pub(crate) struct LeaderHint<'a> {
    /// The leader; -1 if clients cannot reach it.
    pub(crate) leader_id: i32,
    pub(crate) leader_epoch: i32,
    /// The leader, and where it listens.
    pub(crate) node: Option<(&'a BrokerImage, &'a Endpoint)>,
}

impl<'a> View<'a> {
    pub(crate) fn new(call: &'a Call, image: &'a MetadataImage) -> Self {
        Self {
            image,
            listener: &call.context.listener,
            version: call.version,
        }
    }

    /// The leader, if clients can reach it by this listener.
    pub(crate) fn leader(&self, partition: &PartitionImage) -> Option<NodeId> {
        self.leader_node(partition).map(|(broker, _)| broker.id)
    }

    /// What to tell a client that took another for the leader.
    pub(crate) fn leader_hint(&self, partition: &PartitionImage) -> LeaderHint<'a> {
        let node = self.leader_node(partition);
        LeaderHint {
            leader_id: node.map_or(NO_LEADER, |(broker, _)| broker.id.0),
            leader_epoch: partition.leader_epoch.0,
            node,
        }
    }

    fn leader_node(&self, partition: &PartitionImage) -> Option<(&'a BrokerImage, &'a Endpoint)> {
        self.reachable(partition.leader)
    }

    /// The replicas that clients cannot reach by this listener.
    pub(crate) fn offline(&self, partition: &PartitionImage) -> Vec<i32> {
        let offline = partition
            .replicas
            .iter()
            .filter(|id| self.reachable(**id).is_none());
        offline.map(|id| id.0).collect()
    }

    fn reachable(&self, id: NodeId) -> Option<(&'a BrokerImage, &'a Endpoint)> {
        let broker = self.image.broker(id).filter(|broker| !broker.fenced)?;
        Some((broker, broker.endpoint(self.listener)?))
    }
}

/// Node ids as messages have them.
pub(crate) fn numbers(ids: &[NodeId]) -> Vec<i32> {
    ids.iter().map(|id| id.0).collect()
}
