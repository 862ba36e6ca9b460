//! Joining a group: JoinGroup, as its leader sharing out, SyncGroup. Runs as a task of its own, so that the other members do
//! not have to wait for our next poll.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use forebay_protocol::{
    ErrorCode, TopicPartition, Utf8Bytes,
    messages::{
        JoinGroupRequest, JoinGroupResponse, SyncGroupRequest, join_group_request::JoinGroupRequestProtocol,
        sync_group_request::SyncGroupRequestAssignment,
    },
};

use super::{
    AssignedFrom, Shared,
    assignor::Assignor,
    wire::{self, Said},
};
use crate::{
    cluster::{Cluster, Coordinator, CoordinatorKind, Lane},
    error::Error,
};

/// A member that joined before the end of the rebalance may be answered this much later than it asked for.
const JOIN_GRACE: Duration = Duration::from_secs(5);

const PROTOCOL_TYPE: Utf8Bytes = Utf8Bytes::from_static("consumer");

/// What a member says when it joins.
#[derive(Debug, Clone)]
pub(in crate::consumer) struct Wish {
    pub(in crate::consumer) topics: Vec<String>,
    /// What the member has.
    pub(in crate::consumer) owned: Vec<TopicPartition>,
    /// What it had in its last generation, given up or not.
    pub(in crate::consumer) last_owned: Vec<TopicPartition>,
    pub(in crate::consumer) assignors: Vec<Assignor>,
}

/// What came of it.
#[derive(Debug)]
pub(in crate::consumer) struct Joined {
    pub(in crate::consumer) assigned: Vec<TopicPartition>,
    pub(in crate::consumer) cooperative: bool,
    /// Of the leader: what it shared out from.
    pub(in crate::consumer) assigned_from: Option<AssignedFrom>,
}

/// Joins once. An error that is retriable is worth another time; the state already says as whom.
pub(in crate::consumer) async fn join(shared: Arc<Shared>, wish: Wish) -> Result<Joined, Error> {
    let coordinator = shared
        .cluster
        .coordinator(CoordinatorKind::Group, &shared.group_id, Lane::Coordinator);
    let coordinator = coordinator.await?;
    let result = join_at(&shared, &coordinator, wish).await;
    result.inspect_err(|error| coordinator.saw(error))
}

async fn join_at(shared: &Shared, coordinator: &Coordinator, wish: Wish) -> Result<Joined, Error> {
    let (generation_id, reason) = {
        let mut state = shared.lock();
        state.joining = true;
        (state.generation_id, state.rejoin.take())
    };
    let said = Said {
        topics: wish.topics,
        owned: wish.owned,
        last_owned: wish.last_owned,
        generation_id,
    };
    let result = exchange(shared, coordinator, &wish.assignors, (&said, reason)).await;
    if let Err(error) = &result {
        shared.join_failed(error, reason);
    }
    result
}

async fn exchange(
    shared: &Shared,
    coordinator: &Coordinator,
    assignors: &[Assignor],
    (said, reason): (&Said, Option<&'static str>),
) -> Result<Joined, Error> {
    let answer = send_join(shared, coordinator, assignors, (said, reason)).await?;
    let chosen = answer.protocol_name.as_deref().and_then(Assignor::by_name);
    let chosen = chosen
        .filter(|chosen| assignors.contains(chosen))
        .ok_or_else(|| Error::InvalidResponse {
            action: "JoinGroup".into(),
            reason: "the group chose a way to assign that this member did not offer".into(),
        })?;
    let leads = answer.leader == answer.member_id;
    let (assignments, assigned_from) = if leads && !answer.skip_assignment {
        let (assignments, counts) = share_out(&shared.cluster, chosen, &answer).await?;
        (assignments, Some(counts))
    } else {
        (Vec::new(), None)
    };
    let assignment = send_sync(shared, coordinator, &answer, assignments).await?;
    let assigned = wire::decode_assignment(assignment).map_err(|error| Error::InvalidResponse {
        action: "SyncGroup".into(),
        reason: error.to_string().into(),
    })?;
    let assigned_from = match assigned_from {
        None if leads => Some(kept_from(
            &shared.cluster,
            &said.topics,
            answer.members.len(),
            &assigned,
        )),
        other => other,
    };
    Ok(Joined {
        assigned,
        cooperative: chosen.is_cooperative(),
        assigned_from,
    })
}

/// What the assignment was made from that a static leader finds when it comes back and is told to keep it (KIP-814). A sole
/// member has all partitions that there were then, which may be none; of several, only what changes from now on is noticed.
fn kept_from(
    cluster: &Cluster,
    topics: &[String],
    members: usize,
    assigned: &[TopicPartition],
) -> AssignedFrom {
    let snapshot = cluster.snapshot();
    let counts = topics.iter().map(|topic| {
        let count = if members == 1 {
            assigned
                .iter()
                .filter(|partition| *partition.topic == **topic)
                .count()
        } else {
            snapshot
                .topics
                .get(topic.as_str())
                .map_or(0, |topic| topic.partitions.len())
        };
        (topic.clone(), count)
    });
    counts.collect()
}

async fn send_join(
    shared: &Shared,
    coordinator: &Coordinator,
    assignors: &[Assignor],
    (said, reason): (&Said, Option<&'static str>),
) -> Result<JoinGroupResponse, Error> {
    let protocols: Vec<JoinGroupRequestProtocol> = assignors
        .iter()
        .zip(&shared.config.assignors)
        .map(|(assignor, name)| JoinGroupRequestProtocol {
            name: (*name).into(),
            metadata: wire::encode_subscription(*assignor, said),
            ..Default::default()
        })
        .collect();
    let version = coordinator.node.version::<JoinGroupRequest>(i16::MAX)?;
    let instance_id = shared.config.group_instance_id.as_deref();
    if instance_id.is_some() && version < 5 {
        let reason = "group.instance.id: this broker knows no static members; it is older than Kafka 2.3";
        return Err(Error::IllegalState(reason.into()));
    }
    let rebalance_timeout = shared.config.max_poll_interval;
    let within = (rebalance_timeout + JOIN_GRACE).max(shared.config.client.request_timeout);
    loop {
        let member_id = shared.lock().member_id.clone();
        let request = JoinGroupRequest {
            group_id: shared.group_id.as_str().into(),
            session_timeout_ms: milliseconds(shared.config.session_timeout),
            rebalance_timeout_ms: milliseconds(rebalance_timeout),
            member_id: member_id.into(),
            group_instance_id: instance_id.map(Utf8Bytes::from),
            protocol_type: PROTOCOL_TYPE,
            protocols: protocols.clone(),
            reason: reason.filter(|_| version >= 8).map(Utf8Bytes::from),
            ..Default::default()
        };
        let answer = coordinator.node.start(version, request, within).await?;
        match ErrorCode::from_i16(answer.error_code) {
            ErrorCode::None => {
                let mut state = shared.lock();
                state.member_id = answer.member_id.to_string();
                state.generation_id = answer.generation_id;
                (state.joining, state.lost) = (false, false);
                drop(state);
                // From here on the session counts.
                shared.beat.notify_one();
                return Ok(answer);
            }
            // The coordinator gives a new member its id first, so that one that gives up is not waited for (KIP-394).
            ErrorCode::MemberIdRequired => shared.lock().member_id = answer.member_id.to_string(),
            code => return Err(Error::broker(format!("join group {}", shared.group_id), code)),
        }
    }
}

/// As the leader: gives each member its share, by the topics that any of them wants.
async fn share_out(
    cluster: &Cluster,
    assignor: Assignor,
    answer: &JoinGroupResponse,
) -> Result<(Vec<SyncGroupRequestAssignment>, AssignedFrom), Error> {
    let mut members = Vec::with_capacity(answer.members.len());
    for member in &answer.members {
        let decoded = wire::decode_subscription(
            assignor,
            &member.member_id,
            member.group_instance_id.as_deref(),
            member.metadata.clone(),
        );
        members.push(decoded.map_err(|error| Error::InvalidResponse {
            action: format!("JoinGroup, member {}", member.member_id).into(),
            reason: error.to_string().into(),
        })?);
    }
    let topics: BTreeSet<&str> = members
        .iter()
        .flat_map(|member| &member.topics)
        .map(String::as_str)
        .collect();
    let counts = partition_counts(cluster, &topics).await?;
    let assignment = assignor.assign(&counts, &members);
    let assignments = assignment
        .iter()
        .map(|(member_id, partitions)| SyncGroupRequestAssignment {
            member_id: member_id.into(),
            assignment: wire::encode_assignment(partitions),
            ..Default::default()
        });
    Ok((assignments.collect(), counts))
}

/// What the cluster says now of the topics that the members want; those that do not exist count as nothing.
async fn partition_counts(cluster: &Cluster, topics: &BTreeSet<&str>) -> Result<AssignedFrom, Error> {
    let mut snapshot = cluster.snapshot();
    if cluster.want(topics.iter().copied())
        || topics.iter().any(|topic| !snapshot.topics.contains_key(*topic))
    {
        snapshot = cluster.refresh(snapshot.version).await?;
    }
    let counts = topics.iter().map(|topic| {
        let count = snapshot
            .topics
            .get(*topic)
            .map_or(0, |topic| topic.partitions.len());
        ((*topic).to_owned(), count)
    });
    Ok(counts.collect::<BTreeMap<_, _>>())
}

async fn send_sync(
    shared: &Shared,
    coordinator: &Coordinator,
    joined: &JoinGroupResponse,
    assignments: Vec<SyncGroupRequestAssignment>,
) -> Result<Bytes, Error> {
    let version = coordinator.node.version::<SyncGroupRequest>(i16::MAX)?;
    let request = SyncGroupRequest {
        group_id: shared.group_id.as_str().into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        group_instance_id: shared
            .config
            .group_instance_id
            .as_deref()
            .map(Utf8Bytes::from)
            .filter(|_| version >= 3),
        protocol_type: Some(PROTOCOL_TYPE).filter(|_| version >= 5),
        protocol_name: joined.protocol_name.clone().filter(|_| version >= 5),
        assignments,
        ..Default::default()
    };
    // The leader may take as long over its assignment as over anything else.
    let within = (shared.config.max_poll_interval + JOIN_GRACE).max(shared.config.client.request_timeout);
    let answer = coordinator.node.start(version, request, within).await?;
    match ErrorCode::from_i16(answer.error_code) {
        ErrorCode::None => Ok(answer.assignment),
        code => Err(Error::broker(format!("join group {}", shared.group_id), code)),
    }
}

fn milliseconds(duration: Duration) -> i32 {
    duration.as_millis().try_into().unwrap_or(i32::MAX)
}

impl Shared {
    /// Whether another attempt may succeed, and as whom.
    fn join_failed(&self, error: &Error, reason: Option<&'static str>) {
        let mut state = self.lock();
        state.joining = false;
        state.rejoin.get_or_insert(reason.unwrap_or("joining failed"));
        match error.code() {
            Some(ErrorCode::UnknownMemberId) => {
                state.member_id.clear();
                state.generation_id = -1;
                state.lost = true;
            }
            Some(ErrorCode::IllegalGeneration) => {
                state.generation_id = -1;
                state.lost = true;
            }
            Some(ErrorCode::FencedInstanceId) => {
                state.generation_id = -1;
                state.fatal = Some(error.clone());
            }
            _ => {}
        }
    }
}

/// Whether to join again after this error.
pub(in crate::consumer) fn is_worth_another(error: &Error) -> bool {
    let again = [
        ErrorCode::UnknownMemberId,
        ErrorCode::IllegalGeneration,
        ErrorCode::RebalanceInProgress,
        ErrorCode::MemberIdRequired,
    ];
    error.is_retriable() || error.code().is_some_and(|code| again.contains(&code))
}
