//! The quorum that keeps the cluster's metadata (KIP-595).

use std::collections::BTreeMap;

use forebay_protocol::{
    NodeId, Uuid,
    messages::{
        DescribeQuorumRequest,
        describe_quorum_request::{PartitionData, TopicData},
        describe_quorum_response::ReplicaState,
    },
};
use forebay_records::{LeaderEpoch, Offset, Timestamp};

use super::{Admin, check};
use crate::error::Error;

const METADATA_TOPIC: &str = "__cluster_metadata";

/// The quorum (Kafka's `QuorumInfo`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumInfo {
    /// Who leads.
    pub leader: NodeId,
    /// Since which epoch.
    pub leader_epoch: LeaderEpoch,
    /// How far it is committed.
    pub high_watermark: Offset,
    /// Who votes.
    pub voters: Vec<QuorumReplica>,
    /// Who only reads.
    pub observers: Vec<QuorumReplica>,
    /// Where voters listen, by id: listener, host and port.
    pub endpoints: BTreeMap<NodeId, Vec<(String, String, u16)>>,
}

/// A member of the quorum (Kafka's `QuorumInfo.ReplicaState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuorumReplica {
    /// Its id.
    pub id: NodeId,
    /// Of its metadata directory; zero if it has told none.
    pub directory_id: Uuid,
    /// The end of its log.
    pub log_end_offset: Offset,
    /// When it fetched last, if known.
    pub last_fetch: Option<Timestamp>,
    /// When it was last at the leader's end, if known.
    pub last_caught_up: Option<Timestamp>,
}

impl Admin {
    /// The metadata quorum.
    ///
    /// # Errors
    /// Of the call.
    pub async fn describe_metadata_quorum(&self) -> Result<QuorumInfo, Error> {
        const ACTION: &str = "describe the metadata quorum";
        self.retry(ACTION, || async {
            let topic = TopicData {
                topic_name: METADATA_TOPIC.into(),
                partitions: vec![PartitionData::default()],
                ..Default::default()
            };
            let node = self.cluster.any_node().await?;
            let answer = node
                .call(|_| DescribeQuorumRequest {
                    topics: vec![topic],
                    ..Default::default()
                })
                .await?;
            check(ACTION, answer.error_code, answer.error_message.as_deref())?;
            let partitions = answer.topics.into_iter().flat_map(|topic| topic.partitions);
            let partition = partitions
                .into_iter()
                .next()
                .ok_or_else(|| Error::InvalidResponse {
                    action: ACTION.into(),
                    reason: "it does not mention the metadata log".into(),
                })?;
            check(ACTION, partition.error_code, partition.error_message.as_deref())?;
            let endpoints = answer.nodes.into_iter().map(|node| {
                let listeners = node.listeners.into_iter();
                let listeners =
                    listeners.map(|listener| (listener.name.into(), listener.host.into(), listener.port));
                (NodeId(node.node_id), listeners.collect())
            });
            Ok(QuorumInfo {
                leader: NodeId(partition.leader_id),
                leader_epoch: LeaderEpoch(partition.leader_epoch),
                high_watermark: Offset(partition.high_watermark),
                voters: partition.current_voters.iter().map(replica).collect(),
                observers: partition.observers.iter().map(replica).collect(),
                endpoints: endpoints.collect(),
            })
        })
        .await
    }
}

fn replica(state: &ReplicaState) -> QuorumReplica {
    let time = |time| Some(Timestamp(time)).filter(|time| time.0 >= 0);
    QuorumReplica {
        id: NodeId(state.replica_id),
        directory_id: state.replica_directory_id,
        log_end_offset: Offset(state.log_end_offset),
        last_fetch: time(state.last_fetch_timestamp),
        last_caught_up: time(state.last_caught_up_timestamp),
    }
}
