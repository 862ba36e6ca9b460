//! The group itself: members, who leads, what is agreed, who is still waited for. It changes only through these functions, which keep
//! its counts true; it answers nobody and sets no timer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use forebay_protocol::{ErrorCode, Utf8Bytes};
use forebay_records::Timestamp;

use super::member::milliseconds;
use super::{GroupMetadata, Member, MemberMetadata, ParkedJoin, Protocol, State, SupportedProtocols};
use crate::RequestId;
use crate::subscription::subscribed_topics;

#[cfg(test)]
mod consistency;
mod convert;

/// The protocol type of consumers; only of it do we look into the metadata.
pub(crate) const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// A classic group.
#[derive(Debug, Clone)]
pub(crate) struct ClassicGroup {
    id: Utf8Bytes,
    state: State,
    previous_state: State,
    state_timestamp: Option<Timestamp>,
    protocol_type: Option<Utf8Bytes>,
    protocol: Option<Utf8Bytes>,
    generation: i32,
    leader: Option<Utf8Bytes>,
    members: BTreeMap<Utf8Bytes, Member>,
    /// `group.instance.id` to member id.
    static_members: BTreeMap<Utf8Bytes, Utf8Bytes>,
    /// Ids given out with MEMBER_ID_REQUIRED that have not joined with them yet (KIP-394).
    pending_members: BTreeSet<Utf8Bytes>,
    /// Members of this generation that have not sent SyncGroup yet.
    pending_sync: BTreeSet<Utf8Bytes>,
    supported: SupportedProtocols,
    awaiting_join: usize,
    subscribed_topics: Option<BTreeSet<Utf8Bytes>>,
    /// The generation whose assignment is being written or was: it has but one, should its leader ask again.
    assigned_generation: Option<i32>,
    /// Someone came during the initial delay, so it is worth waiting longer.
    pub(crate) new_member_added: bool,
}

impl ClassicGroup {
    /// A group that nobody has joined yet.
    pub(crate) fn new(id: Utf8Bytes, now: Timestamp) -> Self {
        Self {
            id,
            state: State::Empty,
            previous_state: State::Dead,
            state_timestamp: Some(now),
            protocol_type: None,
            protocol: None,
            generation: 0,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_members: BTreeSet::new(),
            pending_sync: BTreeSet::new(),
            supported: SupportedProtocols::default(),
            awaiting_join: 0,
            subscribed_topics: None,
            assigned_generation: None,
            new_member_added: false,
        }
    }

    /// The group that the log knows: stable if it has members, empty otherwise.
    pub(crate) fn load(id: Utf8Bytes, metadata: &GroupMetadata) -> Self {
        let mut group = Self::new(id, Timestamp(0));
        group.state_timestamp = metadata.state_timestamp;
        group.generation = metadata.generation;
        for member in &metadata.members {
            group.add(Member {
                id: member.id.clone(),
                instance_id: member.instance_id.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                session_timeout_ms: member.session_timeout_ms,
                protocols: vec![Protocol {
                    name: metadata.protocol.clone().unwrap_or_default(),
                    metadata: member.subscription.clone(),
                }],
                assignment: member.assignment.clone(),
                awaiting_join: None,
                awaiting_sync: None,
                is_new: false,
            });
        }
        group.state = if group.members.is_empty() {
            State::Empty
        } else {
            State::Stable
        };
        group.protocol_type.clone_from(&metadata.protocol_type);
        group.protocol.clone_from(&metadata.protocol);
        group.leader = metadata
            .leader
            .clone()
            .filter(|leader| group.members.contains_key(leader))
            .or(group.leader);
        group.subscribed_topics = group.compute_subscribed_topics();
        group
    }

    /// What to persist: the members with these assignments, or with those that they have.
    pub(crate) fn to_metadata(&self, assignments: Option<&BTreeMap<Utf8Bytes, Bytes>>) -> GroupMetadata {
        let members = self.members.values().map(|member| MemberMetadata {
            id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: self.subscription(member),
            assignment: match assignments {
                Some(assignments) => assignments.get(&member.id).cloned().unwrap_or_default(),
                None => member.assignment.clone(),
            },
        });
        GroupMetadata {
            protocol_type: self.protocol_type.clone(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            state_timestamp: self.state_timestamp,
            members: members.collect(),
        }
    }

    pub(crate) fn id(&self) -> &Utf8Bytes {
        &self.id
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Where it came from: a rebalance of an empty group waits for more members.
    pub(crate) fn previous_state(&self) -> State {
        self.previous_state
    }

    pub(crate) fn state_timestamp(&self) -> Option<Timestamp> {
        self.state_timestamp
    }

    pub(crate) fn generation(&self) -> i32 {
        self.generation
    }

    pub(crate) fn protocol_type(&self) -> Option<&Utf8Bytes> {
        self.protocol_type.as_ref()
    }

    pub(crate) fn protocol(&self) -> Option<&Utf8Bytes> {
        self.protocol.as_ref()
    }

    pub(crate) fn leader(&self) -> Option<&Utf8Bytes> {
        self.leader.as_ref()
    }

    pub(crate) fn is_leader(&self, member: &Utf8Bytes) -> bool {
        self.leader.as_ref() == Some(member)
    }

    pub(crate) fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.values()
    }

    pub(crate) fn member_ids(&self) -> Vec<Utf8Bytes> {
        self.members.keys().cloned().collect()
    }

    pub(crate) fn member(&self, member: &Utf8Bytes) -> Option<&Member> {
        self.members.get(member)
    }

    pub(crate) fn member_of_instance(&self, instance: &Utf8Bytes) -> Option<&Utf8Bytes> {
        self.static_members.get(instance)
    }

    pub(crate) fn pending_members(&self) -> &BTreeSet<Utf8Bytes> {
        &self.pending_members
    }

    pub(crate) fn pending_sync(&self) -> &BTreeSet<Utf8Bytes> {
        &self.pending_sync
    }

    pub(crate) fn members_awaiting_join(&self) -> usize {
        self.awaiting_join
    }

    /// The longest of the members' rebalance timeouts.
    pub(crate) fn rebalance_timeout(&self) -> Duration {
        milliseconds(
            self.members
                .values()
                .map(|member| member.rebalance_timeout_ms)
                .max()
                .unwrap_or(0),
        )
    }

    pub(crate) fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type
            .as_ref()
            .is_some_and(|kind| *kind == CONSUMER_PROTOCOL_TYPE)
    }

    /// Whether members consume `topic`. Consumers whose metadata we cannot read are taken to consume everything.
    pub(crate) fn is_subscribed_to(&self, topic: &Utf8Bytes) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.uses_consumer_protocol(),
        }
    }

    pub(crate) fn knows_subscribed_topics(&self) -> bool {
        self.subscribed_topics.is_some()
    }

    /// Whether someone with this protocol type and these protocols can be let in: one protocol at least is common to all.
    pub(crate) fn supports(&self, protocol_type: &Utf8Bytes, protocols: &[Protocol]) -> bool {
        if self.state == State::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_ref() == Some(protocol_type)
            && protocols
                .iter()
                .any(|protocol| self.supported.is_common(&protocol.name, self.members.len()))
    }

    /// Whether `member`, static if it names an instance, belongs to the group: UNKNOWN_MEMBER_ID or FENCED_INSTANCE_ID if not.
    pub(crate) fn validate_member(
        &self,
        member: &Utf8Bytes,
        instance: Option<&Utf8Bytes>,
    ) -> Result<(), ErrorCode> {
        if let Some(instance) = instance {
            match self.static_members.get(instance) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(current) if current != member => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member) {
            Ok(())
        } else {
            Err(ErrorCode::UnknownMemberId)
        }
    }

    /// What a member said to the selected protocol.
    pub(crate) fn subscription(&self, member: &Member) -> Bytes {
        self.protocol
            .as_ref()
            .and_then(|protocol| member.metadata(protocol))
            .cloned()
            .unwrap_or_default()
    }

    /// Goes to `state`.
    ///
    /// # Panics
    /// When [`State::may_follow`] forbids it: a bug here, nothing that a request could bring about.
    pub(crate) fn transition_to(&mut self, state: State, now: Timestamp) {
        assert!(
            state.may_follow(self.state),
            "group {} goes from {} to {state}",
            self.id,
            self.state
        );
        self.previous_state = self.state;
        self.state = state;
        self.state_timestamp = Some(now);
    }

    /// Takes in a member; the first one leads and decides the protocol type.
    pub(crate) fn admit(&mut self, member: Member, protocol_type: &Utf8Bytes) {
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.clone());
        }
        self.add(member);
    }

    fn add(&mut self, member: Member) {
        self.remove(&member.id.clone());
        if let Some(instance) = &member.instance_id {
            self.static_members.insert(instance.clone(), member.id.clone());
        }
        self.leader.get_or_insert_with(|| member.id.clone());
        self.supported.add(&member);
        self.awaiting_join += usize::from(member.awaiting_join.is_some());
        self.members.insert(member.id.clone(), member);
    }

    /// Lets go of a member or of an id that was given out; another member leads if this one did.
    pub(crate) fn remove(&mut self, member: &Utf8Bytes) -> Option<Member> {
        let removed = self.members.remove(member);
        if let Some(removed) = &removed {
            self.supported.remove(removed);
            self.awaiting_join -= usize::from(removed.awaiting_join.is_some());
            if let Some(instance) = &removed.instance_id {
                self.static_members.remove(instance);
            }
        }
        if self.is_leader(member) {
            self.leader = self.members.keys().next().cloned();
        }
        self.pending_members.remove(member);
        self.pending_sync.remove(member);
        removed
    }

    /// Gives a static member another id; all else about it stays, in the pending SyncGroups too. Gives back what was parked.
    pub(crate) fn rename_static_member(
        &mut self,
        old: &Utf8Bytes,
        new: &Utf8Bytes,
    ) -> (Option<ParkedJoin>, Option<RequestId>) {
        let join = self.take_join(old);
        let sync = self.take_sync(old);
        if let Some(mut member) = self.members.remove(old) {
            member.id = new.clone();
            if let Some(instance) = &member.instance_id {
                self.static_members.insert(instance.clone(), new.clone());
            }
            self.members.insert(new.clone(), member);
            if self.is_leader(old) {
                self.leader = Some(new.clone());
            }
            if self.pending_sync.remove(old) {
                self.pending_sync.insert(new.clone());
            }
        }
        (join, sync)
    }

    /// What a member says anew when it joins again; `join` is parked instead of what was, which is given back.
    pub(crate) fn update_member(
        &mut self,
        member: &Utf8Bytes,
        protocols: Vec<Protocol>,
        timeouts_ms: (i32, i32),
        join: Option<ParkedJoin>,
    ) -> Option<ParkedJoin> {
        let member = self.members.get_mut(member)?;
        self.supported.remove(member);
        member.protocols = protocols;
        self.supported.add(member);
        (member.rebalance_timeout_ms, member.session_timeout_ms) = timeouts_ms;
        self.awaiting_join += usize::from(join.is_some());
        self.awaiting_join -= usize::from(member.awaiting_join.is_some());
        std::mem::replace(&mut member.awaiting_join, join)
    }

    /// Gives out a member id.
    pub(crate) fn add_pending_member(&mut self, member: Utf8Bytes) {
        self.pending_members.insert(member);
    }

    /// Whoever was given an id has to begin anew.
    pub(crate) fn forget_pending_members(&mut self, mut forget: impl FnMut(&Utf8Bytes)) {
        std::mem::take(&mut self.pending_members)
            .iter()
            .for_each(&mut forget);
    }

    /// Takes the JoinGroup that a member has parked, to answer it.
    pub(crate) fn take_join(&mut self, member: &Utf8Bytes) -> Option<ParkedJoin> {
        let join = self.members.get_mut(member)?.awaiting_join.take()?;
        self.awaiting_join -= 1;
        Some(join)
    }

    /// Takes the SyncGroup that a member has parked, to answer it.
    pub(crate) fn take_sync(&mut self, member: &Utf8Bytes) -> Option<RequestId> {
        self.members.get_mut(member)?.awaiting_sync.take()
    }

    /// Parks a SyncGroup; gives back the one that it replaces.
    pub(crate) fn park_sync(&mut self, member: &Utf8Bytes, request: RequestId) -> Option<RequestId> {
        self.members.get_mut(member)?.awaiting_sync.replace(request)
    }

    /// A member has sent SyncGroup. Says whether all have.
    pub(crate) fn has_synced(&mut self, member: &Utf8Bytes) -> bool {
        self.pending_sync.remove(member);
        self.pending_sync.is_empty()
    }

    /// Nobody is waited for to sync.
    pub(crate) fn clear_pending_sync(&mut self) {
        self.pending_sync.clear();
    }

    /// Every member is waited for to sync, and knows its id by now.
    pub(crate) fn expect_sync_of(&mut self, member: &Utf8Bytes) {
        if let Some(member) = self.members.get_mut(member) {
            member.is_new = false;
            self.pending_sync.insert(member.id.clone());
        }
    }

    /// Whether a rebalance has all it waits for: every member, and everyone to whom an id was given.
    pub(crate) fn has_all_members_joined(&self) -> bool {
        self.members.len() == self.awaiting_join && self.pending_members.is_empty()
    }

    /// Sees to it that the leader is someone who has joined; `false` when nobody has.
    pub(crate) fn elect_joined_leader(&mut self) -> bool {
        let has_joined = |member: &&Member| member.awaiting_join.is_some();
        if self
            .leader
            .as_ref()
            .and_then(|leader| self.members.get(leader))
            .filter(has_joined)
            .is_some()
        {
            return true;
        }
        match self.members.values().find(has_joined) {
            Some(member) => {
                self.leader = Some(member.id.clone());
                true
            }
            None => false,
        }
    }

    /// Begins the next generation with the members that there are. After `i32::MAX` comes 1: a negative one would read as "none".
    pub(crate) fn begin_next_generation(&mut self, now: Timestamp) {
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        let state = if self.members.is_empty() {
            self.protocol = None;
            State::Empty
        } else {
            let protocol = self.supported.select(self.members.values());
            self.protocol =
                Some(protocol.expect("nobody is let in without a protocol that is common to all"));
            State::CompletingRebalance
        };
        self.subscribed_topics = self.compute_subscribed_topics();
        self.transition_to(state, now);
        self.clear_pending_sync();
    }

    /// The protocol that the next generation would select, had it to begin now.
    pub(crate) fn next_protocol(&self) -> Option<Utf8Bytes> {
        self.supported.select(self.members.values())
    }

    /// The leader has assigned; `false` if it had already.
    pub(crate) fn accept_assignment(&mut self) -> bool {
        self.assigned_generation.replace(self.generation) != Some(self.generation)
    }

    /// Gives every member its assignment, nothing to those that are not named.
    pub(crate) fn assign(&mut self, assignments: &BTreeMap<Utf8Bytes, Bytes>) {
        for member in self.members.values_mut() {
            member.assignment = assignments.get(&member.id).cloned().unwrap_or_default();
        }
    }

    fn compute_subscribed_topics(&self) -> Option<BTreeSet<Utf8Bytes>> {
        if !self.uses_consumer_protocol() {
            return None;
        }
        let mut topics = BTreeSet::new();
        if !self.members.is_empty() {
            let protocol = self.protocol.as_ref()?;
            for member in self.members.values() {
                topics.append(&mut subscribed_topics(member.metadata(protocol)?)?);
            }
        }
        Some(topics)
    }
}
