//! What becomes of a partition when brokers come and go (Kafka's `PartitionChangeBuilder`): who leads, who is in sync, and who
//! stays eligible below `min.insync.replicas` (KIP-966). Reassignment (KIP-455) comes with the replicated cluster.

use forebay_protocol::messages::PartitionChangeRecord;
use forebay_protocol::{NodeId, Uuid};

use crate::image::{LeaderRecoveryState, MetadataVersion, PartitionImage, topic};

/// The question: what changes in `partition`, given who may be in sync and who may lead.
pub(crate) struct PartitionChange<'a, A> {
    pub partition: &'a PartitionImage,
    pub topic_id: Uuid,
    pub index: i32,
    /// Who shall be in sync.
    pub target_isr: Vec<NodeId>,
    /// A broker that stopped without warning: it may have lost what it had.
    pub unclean_shutdown: Option<NodeId>,
    /// Whether a broker is up and has its directory.
    pub is_acceptable_leader: A,
    pub metadata_version: MetadataVersion,
    /// `min.insync.replicas` of the topic, at most its number of replicas.
    pub isr_min: usize,
    pub eligible_leader_replicas: bool,
    /// Which leader is wanted.
    pub election: Election,
}

/// Which leader is wanted (Kafka's `PartitionChangeBuilder.Election`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Election {
    /// The first of the replicas if it may lead, else whoever leads now.
    Preferred,
    /// Whoever leads now if he still may, else another.
    Online,
    /// As online, and if nobody in sync is left anyone.
    Unclean,
}

struct Elected {
    leader: NodeId,
    unclean: bool,
}

impl<A: Fn(NodeId) -> bool> PartitionChange<'_, A> {
    /// The change, if there is any.
    pub(crate) fn build(self) -> Option<PartitionChangeRecord> {
        let partition = self.partition;
        let mut record = PartitionChangeRecord {
            topic_id: self.topic_id,
            partition_id: self.index,
            ..PartitionChangeRecord::default()
        };
        let mut isr = self.target_isr.clone();
        let mut elr = self.target_elr();
        let election = self.elect(&isr, &elr);
        if election.leader != partition.leader {
            if elr.contains(&election.leader) {
                isr = vec![election.leader];
                elr.retain(|replica| *replica != election.leader);
            }
            record.leader = election.leader.0;
            if election.unclean {
                // What the others have is no longer known to be the same.
                record.isr = Some(vec![election.leader.0]);
                if partition.leader_recovery_state != LeaderRecoveryState::Recovering {
                    record.leader_recovery_state = LeaderRecoveryState::Recovering.value();
                }
            }
        }
        self.set_elr(&mut record, elr);
        let may_be_set = !isr.is_empty() || self.eligible_leader_replicas;
        if record.isr.is_none() && may_be_set && isr != partition.isr {
            record.isr = Some(topic::numbers(&isr));
        }
        self.raise_leader_epoch_on_shrink(&mut record);
        self.set_last_known_leader(&mut record);
        (!is_no_op(&record)).then_some(record)
    }

    /// Below the minimum, whoever leaves the in-sync set stays eligible, unless it may have lost what it had.
    fn target_elr(&self) -> Vec<NodeId> {
        if !self.eligible_leader_replicas {
            return self.partition.elr.clone();
        }
        if self.target_isr.len() >= self.isr_min {
            return Vec::new();
        }
        let mut candidates: Vec<NodeId> = self
            .partition
            .elr
            .iter()
            .chain(&self.partition.isr)
            .copied()
            .collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates
            .retain(|replica| !self.target_isr.contains(replica) && self.unclean_shutdown != Some(*replica));
        candidates
    }

    fn elect(&self, isr: &[NodeId], elr: &[NodeId]) -> Elected {
        let is_valid = |replica: NodeId| {
            (isr.contains(&replica) || (isr.is_empty() && elr.contains(&replica)))
                && (self.is_acceptable_leader)(replica)
        };
        let clean = |leader| Elected {
            leader,
            unclean: false,
        };
        let unclean = |leader| Elected {
            leader,
            unclean: true,
        };
        let replicas = || self.partition.replicas.iter().copied();
        if let Some(preferred) = self.partition.replicas.first()
            && self.election == Election::Preferred
            && is_valid(*preferred)
        {
            return clean(*preferred);
        }
        if is_valid(self.partition.leader) {
            return clean(self.partition.leader);
        }
        if let Some(leader) = replicas().find(|replica| is_valid(*replica)) {
            return clean(leader);
        }
        if let Some(leader) = self.last_known_leader(isr, elr) {
            return unclean(leader);
        }
        if self.election == Election::Unclean
            && let Some(leader) = replicas().find(|replica| (self.is_acceptable_leader)(*replica))
        {
            return unclean(leader);
        }
        clean(NodeId::NONE)
    }

    /// The last leader may lead again when nobody else is left ("balanced" recovery of KIP-966).
    fn last_known_leader(&self, isr: &[NodeId], elr: &[NodeId]) -> Option<NodeId> {
        if !self.eligible_leader_replicas || !isr.is_empty() || !elr.is_empty() {
            return None;
        }
        match self.partition.last_known_elr.as_slice() {
            [only] if (self.is_acceptable_leader)(*only) => Some(*only),
            _ => None,
        }
    }

    fn set_elr(&self, record: &mut PartitionChangeRecord, target: Vec<NodeId>) {
        // Only an unclean election has set the in-sync set by now.
        let clean = record.isr.is_none();
        let elr = if clean && self.eligible_leader_replicas {
            target
        } else {
            Vec::new()
        };
        if elr != self.partition.elr {
            record.eligible_leader_replicas = Some(topic::numbers(&elr));
        }
    }

    fn set_last_known_leader(&self, record: &mut PartitionChangeRecord) {
        if !self.eligible_leader_replicas {
            return;
        }
        let partition = self.partition;
        let becomes_empty = record.isr.as_ref().is_some_and(Vec::is_empty);
        let leader_stays_or_comes =
            record.leader >= 0 || (partition.leader != NodeId::NONE && record.leader != NodeId::NONE.0);
        if becomes_empty && partition.last_known_elr != [partition.leader] {
            record.last_known_elr = Some(vec![partition.leader.0]);
        } else if leader_stays_or_comes && !partition.last_known_elr.is_empty() {
            record.last_known_elr = Some(Vec::new());
        }
    }

    /// Brokers before 3.6 needed it (KAFKA-15021).
    fn raise_leader_epoch_on_shrink(&self, record: &mut PartitionChangeRecord) {
        if !self.metadata_version.raises_leader_epoch_on_shrink() || record.leader != topic::NO_LEADER_CHANGE
        {
            return;
        }
        if let Some(isr) = &record.isr
            && !self.partition.isr.iter().all(|replica| isr.contains(&replica.0))
        {
            record.leader = self.partition.leader.0;
        }
    }
}

fn is_no_op(record: &PartitionChangeRecord) -> bool {
    record.isr.is_none()
        && record.leader == topic::NO_LEADER_CHANGE
        && record.leader_recovery_state == -1
        && record.eligible_leader_replicas.is_none()
        && record.last_known_elr.is_none()
}
