//! The lifecycle of a classic group (Kafka's `ClassicGroupState`), each state with what it does and where it leads.

use std::fmt;

/// The states; [`State::may_follow`] is the table of transitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// No members. The group lingers until its offsets have expired; also a group that only commits offsets.
    ///
    /// Actions: JoinGroup from a new member begins a rebalance; SyncGroup, Heartbeat and LeaveGroup get UNKNOWN_MEMBER_ID;
    /// OffsetCommit is taken from those who are no members (generation -1), OffsetFetch from everyone.
    /// Transitions: a member joins => PreparingRebalance; deleted or all offsets expired => Dead.
    Empty,
    /// Members are asked to join again.
    ///
    /// Actions: Heartbeat and SyncGroup get REBALANCE_IN_PROGRESS; LeaveGroup removes the member; JoinGroup is parked until all
    /// expected members have joined; OffsetCommit is taken from members of the last generation.
    /// Transitions: all have joined, or some by the timeout => CompletingRebalance; all members are gone => Empty.
    PreparingRebalance,
    /// The leader computes the assignment.
    ///
    /// Actions: SyncGroup is parked until the leader's arrives and is persisted; OffsetCommit gets REBALANCE_IN_PROGRESS;
    /// Heartbeat keeps the session.
    /// Transitions: the assignment is persisted => Stable; a member joins anew, with other metadata, leaves or fails
    /// => PreparingRebalance.
    CompletingRebalance,
    /// Every member has, or can ask for, its assignment.
    ///
    /// Actions: Heartbeat keeps the session; SyncGroup gets the assignment; JoinGroup from a follower with the metadata that it had gets
    /// the current generation; OffsetCommit is taken from members of this generation.
    /// Transitions: a member fails, leaves, joins, comes with other metadata, or the leader joins again => PreparingRebalance.
    Stable,
    /// The group is being removed from this coordinator; final. ListGroups and DescribeGroups name groups that do not exist so.
    Dead,
}

impl State {
    /// Whether a group may go from `previous` to this state.
    #[must_use]
    pub fn may_follow(self, previous: Self) -> bool {
        match self {
            Self::Empty => previous == Self::PreparingRebalance,
            Self::PreparingRebalance => {
                matches!(previous, Self::Stable | Self::CompletingRebalance | Self::Empty)
            }
            Self::CompletingRebalance => previous == Self::PreparingRebalance,
            Self::Stable => previous == Self::CompletingRebalance,
            Self::Dead => true,
        }
    }

    /// Kafka's name of the state, as ListGroups and DescribeGroups print it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}
