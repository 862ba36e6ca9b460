//! A group that exists, of either protocol.

use forebay_protocol::Utf8Bytes;

use crate::AppendId;
use crate::classic::{ClassicGroup, State};
use crate::consumer::ConsumerGroup;

/// A group that exists, and whether that is committed.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) kind: Kind,
    /// The uncommitted append that brings it into being. Until then readers do not see it.
    pub(super) created: Option<AppendId>,
}

/// A group by its protocol.
#[derive(Debug)]
pub(super) enum Kind {
    Classic(Box<ClassicGroup>),
    Consumer(Box<ConsumerGroup>),
}

impl Group {
    /// A classic group.
    pub(super) fn classic(group: ClassicGroup, created: Option<AppendId>) -> Self {
        let kind = Kind::Classic(Box::new(group));
        Self { kind, created }
    }

    /// A consumer group.
    pub(super) fn consumer(group: ConsumerGroup, created: Option<AppendId>) -> Self {
        let kind = Kind::Consumer(Box::new(group));
        Self { kind, created }
    }

    pub(super) fn id(&self) -> &Utf8Bytes {
        match &self.kind {
            Kind::Classic(group) => group.id(),
            Kind::Consumer(group) => group.id(),
        }
    }

    pub(super) fn as_classic(&self) -> Option<&ClassicGroup> {
        match &self.kind {
            Kind::Classic(group) => Some(group),
            Kind::Consumer(_) => None,
        }
    }

    pub(super) fn as_classic_mut(&mut self) -> Option<&mut ClassicGroup> {
        match &mut self.kind {
            Kind::Classic(group) => Some(group),
            Kind::Consumer(_) => None,
        }
    }

    pub(super) fn as_consumer(&self) -> Option<&ConsumerGroup> {
        match &self.kind {
            Kind::Classic(_) => None,
            Kind::Consumer(group) => Some(group),
        }
    }

    pub(super) fn as_consumer_mut(&mut self) -> Option<&mut ConsumerGroup> {
        match &mut self.kind {
            Kind::Classic(_) => None,
            Kind::Consumer(group) => Some(group),
        }
    }

    /// Whether it has no members, nor anybody who is about to be one.
    pub(super) fn is_empty(&self) -> bool {
        match &self.kind {
            Kind::Classic(group) => group.state() == State::Empty,
            Kind::Consumer(group) => group.is_empty(),
        }
    }

    /// Whether members consume `topic`.
    pub(super) fn is_subscribed_to(&self, topic: &Utf8Bytes) -> bool {
        match &self.kind {
            Kind::Classic(group) => group.is_subscribed_to(topic),
            Kind::Consumer(group) => group.is_subscribed_to(topic),
        }
    }
}
