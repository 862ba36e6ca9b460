//! What of a classic group is persisted: the content of a `GroupMetadataValue`, whatever its version.

use bytes::Bytes;
use forebay_protocol::Utf8Bytes;
use forebay_records::Timestamp;

/// A group as the log knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct GroupMetadata {
    /// `None`: no member has ever joined; only offsets are committed.
    pub(crate) protocol_type: Option<Utf8Bytes>,
    /// The generation that was persisted last.
    pub(crate) generation: i32,
    /// The selected protocol; `None` in an empty group.
    pub(crate) protocol: Option<Utf8Bytes>,
    /// The member id of the leader.
    pub(crate) leader: Option<Utf8Bytes>,
    /// When the group entered its state; `None` in records of Kafka before 2.1.
    pub(crate) state_timestamp: Option<Timestamp>,
    /// None: the group is empty. Otherwise it is stable.
    pub(crate) members: Vec<MemberMetadata>,
}

/// A member as the log knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MemberMetadata {
    /// The id that the coordinator gave it.
    pub(crate) id: Utf8Bytes,
    /// `group.instance.id` of a static member.
    pub(crate) instance_id: Option<Utf8Bytes>,
    /// The client id of the JoinGroup that made it a member.
    pub(crate) client_id: Utf8Bytes,
    /// Where that came from.
    pub(crate) client_host: Utf8Bytes,
    /// How long it may take to join again.
    pub(crate) rebalance_timeout_ms: i32,
    /// How long it may be silent.
    pub(crate) session_timeout_ms: i32,
    /// What it said to the selected protocol.
    pub(crate) subscription: Bytes,
    /// What the leader assigned to it.
    pub(crate) assignment: Bytes,
}
