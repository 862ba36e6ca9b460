//! A leader's in-sync replicas, and a change of them that the controller has not answered yet (KIP-497).

use std::collections::BTreeSet;

use forebay_protocol::NodeId;

/// Committed by the controller, and proposed to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InSyncReplicas {
    committed: BTreeSet<NodeId>,
    proposed: Option<BTreeSet<NodeId>>,
}

impl InSyncReplicas {
    pub(crate) fn new(committed: impl IntoIterator<Item = NodeId>) -> Self {
        Self {
            committed: committed.into_iter().collect(),
            proposed: None,
        }
    }

    pub(crate) fn committed(&self) -> &BTreeSet<NodeId> {
        &self.committed
    }

    /// Whether the high watermark waits for it: committed or proposed, so that neither outcome finds it missing something.
    pub(crate) fn maximal_contains(&self, replica: NodeId) -> bool {
        self.committed.contains(&replica)
            || self
                .proposed
                .as_ref()
                .is_some_and(|proposed| proposed.contains(&replica))
    }

    /// How many the high watermark waits for.
    pub(crate) fn maximal_len(&self) -> usize {
        self.proposed.as_ref().map_or(self.committed.len(), |proposed| {
            self.committed.union(proposed).count()
        })
    }

    /// Whether an answer is outstanding: nothing else is proposed until it comes.
    pub(crate) fn is_in_flight(&self) -> bool {
        self.proposed.is_some()
    }

    /// Proposes the committed ones and one more.
    pub(crate) fn propose_with(&mut self, replica: NodeId) -> Vec<NodeId> {
        let mut proposed = self.committed.clone();
        proposed.insert(replica);
        self.propose(proposed)
    }

    /// Proposes the committed ones without some.
    pub(crate) fn propose_without(&mut self, replicas: &[NodeId]) -> Vec<NodeId> {
        let mut proposed = self.committed.clone();
        proposed.retain(|replica| !replicas.contains(replica));
        self.propose(proposed)
    }

    /// The controller refused.
    pub(crate) fn refused(&mut self) {
        self.proposed = None;
    }

    fn propose(&mut self, proposed: BTreeSet<NodeId>) -> Vec<NodeId> {
        let list = proposed.iter().copied().collect();
        self.proposed = Some(proposed);
        list
    }
}
