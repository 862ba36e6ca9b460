//! A member of a consumer group (Kafka's `ConsumerGroupMember`): what it has said of itself, and what it owns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use forebay_protocol::{Utf8Bytes, Uuid};

use crate::assignment::Assignment;
use crate::classic::{Protocol, milliseconds};

/// What a member has said of itself. Strings share no memory with the frame that brought them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberMetadata {
    pub(crate) instance_id: Option<Utf8Bytes>,
    pub(crate) rack_id: Option<Utf8Bytes>,
    pub(crate) client_id: Utf8Bytes,
    pub(crate) client_host: Utf8Bytes,
    pub(crate) subscribed_topics: BTreeSet<Utf8Bytes>,
    /// Clients send an empty one to say that there is none; it is kept as it came.
    pub(crate) subscribed_regex: Option<Utf8Bytes>,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) server_assignor: Option<Utf8Bytes>,
    /// It speaks the classic protocol.
    pub(crate) classic: Option<ClassicMetadata>,
}

impl Default for MemberMetadata {
    fn default() -> Self {
        Self {
            instance_id: None,
            rack_id: None,
            client_id: Utf8Bytes::default(),
            client_host: Utf8Bytes::default(),
            subscribed_topics: BTreeSet::new(),
            // As Kafka writes none.
            subscribed_regex: Some(Utf8Bytes::default()),
            rebalance_timeout_ms: -1,
            server_assignor: None,
            classic: None,
        }
    }
}

impl MemberMetadata {
    /// The regular expression that it subscribes to.
    pub(crate) fn regex(&self) -> Option<&Utf8Bytes> {
        self.subscribed_regex.as_ref().filter(|regex| !regex.is_empty())
    }
}

/// What a member that speaks the classic protocol has said of itself besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClassicMetadata {
    pub(crate) session_timeout_ms: i32,
    /// In its order of preference; the first one is what it is told that the group uses.
    pub(crate) protocols: Vec<Protocol>,
}

/// Where a member stands on its way to its target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum MemberState {
    /// It owns what it is assigned, in the epoch of the target that it was last moved to.
    #[default]
    Stable,
    /// It has to let go of partitions before it may go on to the next epoch.
    UnrevokedPartitions,
    /// It is in the target's epoch; others have not let go of some of its partitions yet.
    UnreleasedPartitions,
    /// A state of a later Kafka.
    Unknown,
}

impl MemberState {
    /// The state that a record means.
    pub(crate) fn of(number: i8) -> Self {
        match number {
            0 => Self::Stable,
            1 => Self::UnrevokedPartitions,
            2 => Self::UnreleasedPartitions,
            _ => Self::Unknown,
        }
    }

    /// What stands for it in a record.
    pub(crate) fn number(self) -> i8 {
        match self {
            Self::Stable => 0,
            Self::UnrevokedPartitions => 1,
            Self::UnreleasedPartitions => 2,
            Self::Unknown => 127,
        }
    }
}

/// Partitions that a member owns, each with the epoch in which it was assigned to it (KIP-1251). No topic is without partitions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OwnedPartitions(BTreeMap<Uuid, BTreeMap<i32, i32>>);

impl OwnedPartitions {
    /// All of `assignment`, assigned in `epoch`.
    pub(crate) fn assigned_in(epoch: i32, assignment: &Assignment) -> Self {
        assignment
            .partitions()
            .map(|(topic, partition)| (topic, partition, epoch))
            .collect()
    }

    pub(crate) fn insert(&mut self, topic: Uuid, partition: i32, epoch: i32) {
        self.0.entry(topic).or_default().insert(partition, epoch);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The epoch in which a partition was assigned; `None` if it is not owned.
    pub(crate) fn epoch_of(&self, topic: Uuid, partition: i32) -> Option<i32> {
        self.0.get(&topic)?.get(&partition).copied()
    }

    pub(crate) fn contains(&self, topic: Uuid, partition: i32) -> bool {
        self.epoch_of(topic, partition).is_some()
    }

    /// The topics, each with its partitions and their epochs.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (Uuid, &BTreeMap<i32, i32>)> {
        self.0.iter().map(|(topic, partitions)| (*topic, partitions))
    }

    /// Topic, partition and epoch, one by one.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Uuid, i32, i32)> {
        self.topics().flat_map(|(topic, partitions)| {
            partitions
                .iter()
                .map(move |(partition, epoch)| (topic, *partition, *epoch))
        })
    }

    /// Without the epochs.
    pub(crate) fn to_assignment(&self) -> Assignment {
        self.iter()
            .map(|(topic, partition, _)| (topic, partition))
            .collect()
    }

    /// The same partitions, assigned at the beginning of time.
    pub(crate) fn with_epochs_reset(&self) -> Self {
        self.iter()
            .map(|(topic, partition, _)| (topic, partition, 0))
            .collect()
    }
}

impl FromIterator<(Uuid, i32, i32)> for OwnedPartitions {
    fn from_iter<I: IntoIterator<Item = (Uuid, i32, i32)>>(partitions: I) -> Self {
        let mut owned = Self::default();
        for (topic, partition, epoch) in partitions {
            owned.insert(topic, partition, epoch);
        }
        owned
    }
}

/// What a member owns, and in which epoch it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CurrentAssignment {
    pub(crate) member_epoch: i32,
    /// The epoch before, in which it is still heard: the answer that told it the new one may have been lost.
    pub(crate) previous_member_epoch: i32,
    pub(crate) state: MemberState,
    pub(crate) assigned: OwnedPartitions,
    /// What it has been told to let go of.
    pub(crate) pending_revocation: OwnedPartitions,
}

impl Default for CurrentAssignment {
    fn default() -> Self {
        Self {
            member_epoch: 0,
            previous_member_epoch: -1,
            state: MemberState::Stable,
            assigned: OwnedPartitions::default(),
            pending_revocation: OwnedPartitions::default(),
        }
    }
}

impl CurrentAssignment {
    /// The same in another epoch.
    pub(crate) fn in_epoch(&self, member_epoch: i32) -> Self {
        Self {
            member_epoch,
            previous_member_epoch: self.member_epoch,
            ..self.clone()
        }
    }

    /// Everything that nobody else may have.
    pub(crate) fn owned(&self) -> impl Iterator<Item = (Uuid, i32)> {
        self.assigned
            .iter()
            .chain(self.pending_revocation.iter())
            .map(|(topic, partition, _)| (topic, partition))
    }
}

/// One member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) metadata: Arc<MemberMetadata>,
    pub(crate) current: Arc<CurrentAssignment>,
}

impl Member {
    pub(crate) fn epoch(&self) -> i32 {
        self.current.member_epoch
    }

    pub(crate) fn uses_classic_protocol(&self) -> bool {
        self.metadata.classic.is_some()
    }

    /// Whether it has all that the target of `epoch` gives it.
    pub(crate) fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.current.state == MemberState::Stable && self.current.member_epoch == epoch
    }

    /// The session timeout that it asked for, if it speaks the classic protocol.
    pub(crate) fn classic_session_timeout(&self) -> Option<Duration> {
        let classic = self.metadata.classic.as_ref()?;
        Some(milliseconds(classic.session_timeout_ms))
    }

    pub(crate) fn rebalance_timeout(&self) -> Duration {
        milliseconds(self.metadata.rebalance_timeout_ms)
    }
}
