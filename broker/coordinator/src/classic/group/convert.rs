//! A classic group that comes from a group of the consumer protocol.

use bytes::Bytes;
use forebay_protocol::Utf8Bytes;
use forebay_records::Timestamp;

use super::{CONSUMER_PROTOCOL_TYPE, ClassicGroup};
use crate::classic::{Member, State};

impl ClassicGroup {
    /// A stable group of these members, assigned as `assign` says for each and the protocol that is selected; `None` if they have no protocol
    /// in common.
    pub(crate) fn of_consumers(
        id: Utf8Bytes,
        generation: i32,
        members: impl Iterator<Item = Member>,
        now: Timestamp,
        assign: impl Fn(&Member, &Utf8Bytes) -> Bytes,
    ) -> Option<Self> {
        let mut group = Self::new(id, now);
        members.for_each(|member| group.add(member));
        let protocol = group.next_protocol()?;
        group.state = State::Stable;
        group.generation = generation;
        group.protocol_type = Some(Utf8Bytes::from_static(CONSUMER_PROTOCOL_TYPE));
        let assignments = group
            .members
            .values()
            .map(|member| (member.id.clone(), assign(member, &protocol)));
        let assignments = assignments.collect();
        group.assign(&assignments);
        group.protocol = Some(protocol);
        group.subscribed_topics = group.compute_subscribed_topics();
        Some(group)
    }
}
