//! Topics and their partitions as the metadata log has them (Kafka's `TopicImage` and `PartitionRegistration`).

use forebay_protocol::messages::{PartitionChangeRecord, PartitionRecord};
use forebay_protocol::{NodeId, Utf8Bytes, Uuid};
use forebay_records::LeaderEpoch;
use rpds::RedBlackTreeMapSync;

/// In a `PartitionChangeRecord`: the leader stays who it is.
pub(crate) const NO_LEADER_CHANGE: i32 = -2;

/// A log directory that the broker has not named yet (KIP-858, `DirectoryId.UNASSIGNED`).
pub(crate) const UNASSIGNED_DIRECTORY: Uuid = Uuid::from_bytes([0; 16]);
/// A log directory that is gone (`DirectoryId.LOST`).
pub(crate) const LOST_DIRECTORY: Uuid = Uuid::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
/// A log directory from before directories had ids (`DirectoryId.MIGRATING`).
pub(crate) const MIGRATING_DIRECTORY: Uuid =
    Uuid::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);

/// Whether no directory may have this id (`DirectoryId.reserved`): Kafka keeps the first hundred.
pub(crate) fn is_reserved_directory(id: Uuid) -> bool {
    u128::from_be_bytes(id.to_bytes()) < 100
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicImage {
    pub(crate) name: Utf8Bytes,
    pub(crate) id: Uuid,
    pub(crate) partitions: RedBlackTreeMapSync<i32, PartitionImage>,
}

impl TopicImage {
    /// Its name.
    pub fn name(&self) -> &Utf8Bytes {
        &self.name
    }

    /// Its id: a topic that is deleted and made anew has another.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Whether Kafka itself keeps its state in it.
    pub fn is_internal(&self) -> bool {
        crate::topic_name::is_internal_topic(&self.name)
    }

    /// How many partitions it has; their numbers are 0 and up.
    pub fn partition_count(&self) -> usize {
        self.partitions.size()
    }

    /// One partition.
    pub fn partition(&self, index: i32) -> Option<&PartitionImage> {
        self.partitions.get(&index)
    }

    /// All partitions by number.
    pub fn partitions(&self) -> impl Iterator<Item = (i32, &PartitionImage)> {
        self.partitions
            .iter()
            .map(|(index, partition)| (*index, partition))
    }
}

/// Whether a leader was elected from outside the in-sync set and is still putting its log right (KIP-704).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LeaderRecoveryState {
    /// The ordinary state.
    #[default]
    Recovered,
    /// After an unclean election.
    Recovering,
}

impl LeaderRecoveryState {
    /// Kafka's number.
    pub fn value(self) -> i8 {
        match self {
            Self::Recovered => 0,
            Self::Recovering => 1,
        }
    }

    fn of(value: i8) -> Option<Self> {
        match value {
            0 => Some(Self::Recovered),
            1 => Some(Self::Recovering),
            _ => None,
        }
    }
}

/// The state of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionImage {
    /// The brokers that hold it, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// The log directory of each replica, in the same order.
    pub directories: Vec<Uuid>,
    /// The in-sync replicas.
    pub isr: Vec<NodeId>,
    /// Replicas that are leaving while a reassignment runs.
    pub removing_replicas: Vec<NodeId>,
    /// Replicas that are coming while a reassignment runs.
    pub adding_replicas: Vec<NodeId>,
    /// Replicas that left the in-sync set below `min.insync.replicas` and still hold everything committed (KIP-966).
    pub elr: Vec<NodeId>,
    /// The last leader of a partition that has none.
    pub last_known_elr: Vec<NodeId>,
    /// Who leads; [`NodeId::NONE`] when nobody does.
    pub leader: NodeId,
    /// Whether the leader came from outside the in-sync set.
    pub leader_recovery_state: LeaderRecoveryState,
    /// Grows with every change of leader.
    pub leader_epoch: LeaderEpoch,
    /// Grows with every change.
    pub partition_epoch: i32,
}

/// Why a record does not fit a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// As many directories as replicas are wanted.
    #[error("it has {directories} directories for {replicas} replicas")]
    Directories {
        /// How many directories it has.
        directories: usize,
        /// How many replicas it has.
        replicas: usize,
    },
    /// Neither recovered (0) nor recovering (1).
    #[error("leader recovery state {0} is unknown")]
    LeaderRecoveryState(i8),
}

impl PartitionImage {
    /// Whether it has a leader.
    pub fn has_leader(&self) -> bool {
        self.leader != NodeId::NONE
    }

    /// The directory of one replica.
    pub fn directory(&self, replica: NodeId) -> Option<Uuid> {
        let index = self.replicas.iter().position(|id| *id == replica)?;
        self.directories.get(index).copied()
    }

    /// What a `PartitionRecord` says.
    pub(crate) fn from_record(record: &PartitionRecord) -> Result<Self, Misfit> {
        Ok(Self {
            replicas: nodes(&record.replicas),
            directories: directories(&record.directories, record.replicas.len())?,
            isr: nodes(&record.isr),
            removing_replicas: nodes(&record.removing_replicas),
            adding_replicas: nodes(&record.adding_replicas),
            elr: record
                .eligible_leader_replicas
                .as_deref()
                .map(nodes)
                .unwrap_or_default(),
            last_known_elr: record.last_known_elr.as_deref().map(nodes).unwrap_or_default(),
            leader: NodeId(record.leader),
            leader_recovery_state: LeaderRecoveryState::of(record.leader_recovery_state)
                .ok_or(Misfit::LeaderRecoveryState(record.leader_recovery_state))?,
            leader_epoch: LeaderEpoch(record.leader_epoch),
            partition_epoch: record.partition_epoch,
        })
    }

    /// What is so after a `PartitionChangeRecord` (`PartitionRegistration.merge`): a change of leader, even to the same one,
    /// raises the leader epoch, and every change the partition epoch.
    pub(crate) fn merge(&self, change: &PartitionChangeRecord) -> Result<Self, Misfit> {
        let changed =
            |new: &Option<Vec<i32>>, old: &[NodeId]| new.as_deref().map_or_else(|| old.to_vec(), nodes);
        let replicas = changed(&change.replicas, &self.replicas);
        let directories = match &change.directories {
            Some(new) => directories(new, replicas.len())?,
            None => directories(&self.directories, replicas.len())?,
        };
        let leader_changes = change.leader != NO_LEADER_CHANGE;
        Ok(Self {
            directories,
            isr: changed(&change.isr, &self.isr),
            removing_replicas: changed(&change.removing_replicas, &self.removing_replicas),
            adding_replicas: changed(&change.adding_replicas, &self.adding_replicas),
            elr: changed(&change.eligible_leader_replicas, &self.elr),
            last_known_elr: changed(&change.last_known_elr, &self.last_known_elr),
            leader: if leader_changes {
                NodeId(change.leader)
            } else {
                self.leader
            },
            leader_recovery_state: match change.leader_recovery_state {
                -1 => self.leader_recovery_state,
                value => LeaderRecoveryState::of(value).ok_or(Misfit::LeaderRecoveryState(value))?,
            },
            leader_epoch: if leader_changes {
                LeaderEpoch(self.leader_epoch.0.saturating_add(1))
            } else {
                self.leader_epoch
            },
            partition_epoch: self.partition_epoch.saturating_add(1),
            replicas,
        })
    }

    /// The record that makes this partition.
    pub(crate) fn to_record(&self, topic_id: Uuid, index: i32) -> PartitionRecord {
        let unless_empty = |ids: &[NodeId]| (!ids.is_empty()).then(|| numbers(ids));
        PartitionRecord {
            partition_id: index,
            topic_id,
            replicas: numbers(&self.replicas),
            isr: numbers(&self.isr),
            removing_replicas: numbers(&self.removing_replicas),
            adding_replicas: numbers(&self.adding_replicas),
            leader: self.leader.0,
            leader_recovery_state: self.leader_recovery_state.value(),
            leader_epoch: self.leader_epoch.0,
            partition_epoch: self.partition_epoch,
            directories: self.directories.clone(),
            eligible_leader_replicas: unless_empty(&self.elr),
            last_known_elr: unless_empty(&self.last_known_elr),
            ..PartitionRecord::default()
        }
    }
}

/// Broker ids as records have them.
pub(crate) fn numbers(ids: &[NodeId]) -> Vec<i32> {
    ids.iter().map(|id| id.0).collect()
}

/// Broker ids from a record.
pub(crate) fn nodes(numbers: &[i32]) -> Vec<NodeId> {
    numbers.iter().map(|id| NodeId(*id)).collect()
}

/// The directories of as many replicas. Records from before there were directories have none; they are being migrated.
fn directories(directories: &[Uuid], replicas: usize) -> Result<Vec<Uuid>, Misfit> {
    if directories
        .iter()
        .all(|directory| *directory == MIGRATING_DIRECTORY)
    {
        return Ok(vec![MIGRATING_DIRECTORY; replicas]);
    }
    if directories.len() != replicas {
        return Err(Misfit::Directories {
            directories: directories.len(),
            replicas,
        });
    }
    Ok(directories.to_vec())
}
