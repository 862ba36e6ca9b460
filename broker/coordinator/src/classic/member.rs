//! A member of a classic group (Kafka's `ClassicGroupMember`).

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use forebay_protocol::Utf8Bytes;

use crate::RequestId;

/// A protocol that a member supports, with metadata that only members understand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Protocol {
    pub(crate) name: Utf8Bytes,
    pub(crate) metadata: Bytes,
}

/// A JoinGroup that waits for the join phase to end; its version says how the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ParkedJoin {
    pub(crate) request: RequestId,
    pub(crate) api_version: i16,
}

/// One member. Strings and bytes share no memory with the frame that brought them.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) id: Utf8Bytes,
    /// `group.instance.id` of a static member (KIP-345).
    pub(crate) instance_id: Option<Utf8Bytes>,
    pub(crate) client_id: Utf8Bytes,
    pub(crate) client_host: Utf8Bytes,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    /// In the member's order of preference, each name once.
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) assignment: Bytes,
    pub(crate) awaiting_join: Option<ParkedJoin>,
    pub(crate) awaiting_sync: Option<RequestId>,
    /// Has joined but not yet heard its member id: it cannot heartbeat, so its parked JoinGroup expires.
    pub(crate) is_new: bool,
}

impl Member {
    /// The session timeout; nothing negative.
    pub(crate) fn session_timeout(&self) -> Duration {
        milliseconds(self.session_timeout_ms)
    }

    /// The metadata that it gave for `protocol`.
    pub(crate) fn metadata(&self, protocol: &str) -> Option<&Bytes> {
        self.protocols
            .iter()
            .find(|supported| supported.name == *protocol)
            .map(|supported| &supported.metadata)
    }

    /// Whether an expired session is no reason to remove it: it waits for us, not we for it.
    pub(crate) fn has_satisfied_heartbeat(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }

    /// Its most preferred protocol among those that are left.
    pub(crate) fn vote<'a>(&'a self, candidates: &BTreeSet<&Utf8Bytes>) -> Option<&'a Utf8Bytes> {
        self.protocols
            .iter()
            .map(|supported| &supported.name)
            .find(|name| candidates.contains(name))
    }
}

/// A timeout of the wire as a duration; negative ones, which nobody forbids, are none at all.
pub(crate) fn milliseconds(timeout_ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0))
}
