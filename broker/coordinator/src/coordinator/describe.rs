//! DescribeGroups and ListGroups: what readers may see of groups (Kafka's `describeGroups`, `listGroups`; KIP-518, 848, 1043).

use std::collections::BTreeSet;

use forebay_protocol::messages::ListGroupsRequest;
use forebay_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use forebay_protocol::messages::list_groups_response::ListedGroup;
use forebay_protocol::{ErrorCode, Utf8Bytes};

use super::GroupCoordinator;
use super::group::{Group, Kind};
use crate::classic::{CONSUMER_PROTOCOL_TYPE, ClassicGroup, State};

/// Since this version a group that is not there is an error; before, it was a dead group.
const GROUP_ID_NOT_FOUND_VERSION: i16 = 6;

/// The type of classic groups, as `types_filter` names it.
const CLASSIC: &str = "classic";
/// The type of groups of the consumer protocol.
const CONSUMER: &str = "consumer";

impl GroupCoordinator {
    pub(super) fn describe_groups(&self, groups: Vec<Utf8Bytes>, api_version: i16) -> Vec<DescribedGroup> {
        let describe = |id: Utf8Bytes| match self.visible_group(&id) {
            Some(Group {
                kind: Kind::Classic(group),
                ..
            }) => describe(group),
            other if api_version >= GROUP_ID_NOT_FOUND_VERSION => {
                let message = if other.is_some() || self.persisted.is_other_group(&id) {
                    format!("Group {id} is not a classic group.")
                } else {
                    format!("Group {id} not found.")
                };
                DescribedGroup {
                    error_code: ErrorCode::GroupIdNotFound.to_i16(),
                    error_message: Some(message.into()),
                    ..dead(id)
                }
            }
            _ => dead(id),
        };
        groups.into_iter().map(describe).collect()
    }

    pub(super) fn list_groups(&self, request: &ListGroupsRequest) -> Vec<ListedGroup> {
        let wanted = |filter: &[Utf8Bytes]| -> BTreeSet<String> {
            filter.iter().map(|word| word.trim().to_lowercase()).collect()
        };
        let states = wanted(&request.states_filter);
        let types = wanted(&request.types_filter);
        let listed = self.visible_groups().filter_map(|group| {
            let (group_type, state, protocol_type) = match &group.kind {
                Kind::Classic(group) => (CLASSIC, group.state().name(), group.protocol_type().cloned()),
                Kind::Consumer(group) => {
                    let state = self.committed_consumer_group(group.id())?.state().name();
                    (
                        CONSUMER,
                        state,
                        Some(Utf8Bytes::from_static(CONSUMER_PROTOCOL_TYPE)),
                    )
                }
            };
            let is_wanted = (types.is_empty() || types.contains(group_type))
                && (states.is_empty() || states.contains(&state.to_lowercase()));
            is_wanted.then(|| ListedGroup {
                group_id: group.id().clone(),
                protocol_type: protocol_type.unwrap_or_default(),
                group_state: Utf8Bytes::from_static(state),
                group_type: Utf8Bytes::from_static(group_type),
                ..Default::default()
            })
        });
        listed.collect()
    }

    pub(super) fn visible_group(&self, id: &Utf8Bytes) -> Option<&Group> {
        let deleted = || {
            self.appends
                .deleted()
                .find(|group| group.id() == id && group.created.is_none())
        };
        self.groups
            .get(id)
            .filter(|group| group.created.is_none())
            .or_else(deleted)
    }

    /// Groups whose creation is committed and whose deletion is not.
    fn visible_groups(&self) -> impl Iterator<Item = &Group> {
        self.groups
            .values()
            .chain(self.appends.deleted())
            .filter(|group| group.created.is_none())
    }
}

fn dead(group_id: Utf8Bytes) -> DescribedGroup {
    let group_state = Utf8Bytes::from_static(State::Dead.name());
    DescribedGroup {
        group_id,
        group_state,
        ..Default::default()
    }
}

/// Only of a stable group is it known which protocol's metadata to show.
fn describe(group: &ClassicGroup) -> DescribedGroup {
    let is_stable = group.state() == State::Stable;
    let members = group.members().map(|member| DescribedGroupMember {
        member_id: member.id.clone(),
        group_instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        member_metadata: if is_stable {
            group.subscription(member)
        } else {
            Default::default()
        },
        member_assignment: member.assignment.clone(),
        ..Default::default()
    });
    DescribedGroup {
        group_id: group.id().clone(),
        group_state: Utf8Bytes::from_static(group.state().name()),
        protocol_type: group.protocol_type().cloned().unwrap_or_default(),
        protocol_data: group
            .protocol()
            .filter(|_| is_stable)
            .cloned()
            .unwrap_or_default(),
        members: members.collect(),
        ..Default::default()
    }
}
