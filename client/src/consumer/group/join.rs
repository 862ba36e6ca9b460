//! Joining as a consumer: what it tells the others, and, as the leader, the sharing out. Runs as a task of its own, so that
//! the other members do not have to wait for our next poll.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use forebay_protocol::{
    TopicPartition,
    messages::{JoinGroupResponse, sync_group_request::SyncGroupRequestAssignment},
};

use super::{
    AssignedFrom,
    assignor::Assignor,
    wire::{self, Said},
};
use crate::{
    cluster::Cluster,
    error::Error,
    membership::{Attempt, Membership, Protocol},
};

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
pub(in crate::consumer) async fn join(shared: Arc<Membership>, wish: Wish) -> Result<Joined, Error> {
    let attempt = Attempt::begin(&shared).await?;
    let said = Said {
        topics: wish.topics,
        owned: wish.owned,
        last_owned: wish.last_owned,
        generation_id: attempt.generation_before,
    };
    let result = exchange(&attempt, &shared.cluster, &wish.assignors, &said).await;
    attempt.ended(result)
}

async fn exchange(
    attempt: &Attempt,
    cluster: &Cluster,
    assignors: &[Assignor],
    said: &Said,
) -> Result<Joined, Error> {
    let protocols: Vec<Protocol> = assignors
        .iter()
        .map(|assignor| Protocol {
            name: assignor.name(),
            metadata: wire::encode_subscription(*assignor, said),
        })
        .collect();
    let answer = attempt.join(&protocols).await?;
    let chosen = answer.protocol_name.as_deref().and_then(Assignor::by_name);
    let chosen = chosen
        .filter(|chosen| assignors.contains(chosen))
        .ok_or_else(|| Error::InvalidResponse {
            action: "JoinGroup".into(),
            reason: "the group chose a way to assign that this member did not offer".into(),
        })?;
    let leads = answer.leader == answer.member_id;
    let (assignments, assigned_from) = if leads && !answer.skip_assignment {
        let (assignments, counts) = share_out(cluster, chosen, &answer).await?;
        (assignments, Some(counts))
    } else {
        (Vec::new(), None)
    };
    let assignment = attempt.sync(&answer, assignments).await?;
    let assigned = wire::decode_assignment(assignment).map_err(|error| Error::InvalidResponse {
        action: "SyncGroup".into(),
        reason: error.to_string().into(),
    })?;
    let assigned_from = match assigned_from {
        None if leads => Some(kept_from(cluster, &said.topics, answer.members.len(), &assigned)),
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
