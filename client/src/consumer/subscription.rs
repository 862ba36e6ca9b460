//! What a consumer wants to read, and what it is told about its share of it.

use std::{fmt, sync::Arc};

use forebay_protocol::TopicPartition;

/// The topics that a member of a group wants.
#[derive(Clone)]
pub struct Subscription {
    pub(super) topics: Topics,
    pub(super) tell_events: bool,
}

#[derive(Clone)]
pub(super) enum Topics {
    Named(Vec<String>),
    Matching(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

impl Subscription {
    /// These topics.
    pub fn topics<S: Into<String>>(topics: impl IntoIterator<Item = S>) -> Self {
        let mut topics: Vec<String> = topics.into_iter().map(Into::into).collect();
        topics.sort_unstable();
        topics.dedup();
        Self {
            topics: Topics::Named(topics),
            tell_events: false,
        }
    }

    /// Every topic, also a future one, that `matches` (Kafka's pattern subscription).
    pub fn matching(matches: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self {
            topics: Topics::Matching(Arc::new(matches)),
            tell_events: false,
        }
    }

    /// Whether the caller named the topics.
    pub(super) fn is_named(&self) -> bool {
        matches!(self.topics, Topics::Named(_))
    }

    /// Keeps [`RebalanceEvent`]s, and lets the caller act on a revocation before it takes effect: the poll that finds
    /// one returns early, and only the NEXT poll gives the partitions up.
    #[must_use]
    pub fn with_events(mut self) -> Self {
        self.tell_events = true;
        self
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.topics {
            Topics::Named(topics) => f.debug_tuple("Subscription").field(topics).finish(),
            Topics::Matching(_) => f.write_str("Subscription(a pattern)"),
        }
    }
}

/// What happens to a member's partitions (Kafka's `ConsumerRebalanceListener`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RebalanceEvent {
    /// They will be given up by the next poll; until then their offsets can be committed.
    Revoked(Vec<TopicPartition>),
    /// They are somebody else's already: committing their offsets fails.
    Lost(Vec<TopicPartition>),
    /// They have been added; reading begins with the next poll, so that a position can be set before.
    Assigned(Vec<TopicPartition>),
}

/// Who a member is in its group, for those who commit on its behalf (Kafka's `ConsumerGroupMetadata`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMetadata {
    /// `group.id`
    pub group_id: String,
    /// The generation; -1 outside of one.
    pub generation_id: i32,
    /// The member id; empty outside of a generation.
    pub member_id: String,
    /// `group.instance.id`
    pub group_instance_id: Option<String>,
}
