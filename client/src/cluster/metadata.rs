//! What is known of a cluster at one moment, and how an answer makes the next moment of it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use forebay_protocol::{
    ErrorCode, NodeId, TopicPartition, Utf8Bytes, Uuid,
    messages::{
        MetadataRequest, MetadataResponse,
        metadata_request::MetadataRequestTopic,
        metadata_response::{MetadataResponsePartition, MetadataResponseTopic},
    },
};
use forebay_records::LeaderEpoch;
use tokio::time::Instant;

use super::wanted::Question;

/// A moment's knowledge. Never changes; the next one replaces it.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// Counts the moments.
    pub(crate) version: u64,
    pub(crate) fetched_at: Option<Instant>,
    /// Whether `topics` are all that there were.
    pub(crate) of_all: bool,
    pub(crate) cluster_id: Option<Utf8Bytes>,
    pub(crate) controller: Option<NodeId>,
    pub(crate) brokers: BTreeMap<NodeId, Broker>,
    pub(crate) topics: HashMap<Utf8Bytes, Arc<Topic>>,
    pub(crate) names: HashMap<Uuid, Utf8Bytes>,
}

/// A broker and where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broker {
    pub(crate) id: NodeId,
    pub(crate) host: Utf8Bytes,
    pub(crate) port: i32,
    pub(crate) rack: Option<Utf8Bytes>,
    pub(crate) address: Arc<str>,
}

/// A topic, or why there is nothing to know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Topic {
    pub(crate) name: Utf8Bytes,
    /// Zero where the broker is too old to say it.
    pub(crate) id: Uuid,
    pub(crate) error: ErrorCode,
    pub(crate) is_internal: bool,
    /// By number, without gaps.
    pub(crate) partitions: Vec<Partition>,
}

/// A partition and who leads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) partition: i32,
    pub(crate) leader: Option<NodeId>,
    pub(crate) leader_epoch: Option<LeaderEpoch>,
    pub(crate) replicas: Vec<NodeId>,
    pub(crate) in_sync_replicas: Vec<NodeId>,
    pub(crate) offline_replicas: Vec<NodeId>,
}

/// What a broker said.
pub(super) struct Answer {
    pub(super) response: MetadataResponse,
    /// Whether all topics were asked for.
    pub(super) of_all: bool,
}

/// The request in a version.
pub(super) fn request(question: Question, version: i16) -> MetadataRequest {
    let topics = question.topics.map(|names| {
        names
            .into_iter()
            .map(|name| MetadataRequestTopic {
                name: Some(name),
                ..Default::default()
            })
            .collect()
    });
    // Version 0 knows no null: there, an empty list means all.
    let topics = if version == 0 {
        Some(topics.unwrap_or_default())
    } else {
        topics
    };
    // Before version 4 every broker that creates topics by itself does so.
    MetadataRequest {
        topics,
        allow_auto_topic_creation: question.creates || version < 4,
        ..Default::default()
    }
}

impl Broker {
    pub(super) fn new(id: NodeId, host: &Utf8Bytes, port: i32, rack: Option<&Utf8Bytes>) -> Self {
        let bracketed = host.contains(':') && !host.starts_with('[');
        let address = if bracketed {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        Self {
            id,
            host: host.detach(),
            port,
            rack: rack.map(Utf8Bytes::detach),
            address: address.into(),
        }
    }
}

impl Snapshot {
    /// The leader of a partition, if there is one.
    pub(crate) fn partition(&self, topic: &str, partition: i32) -> Option<&Partition> {
        self.topics
            .get(topic)?
            .partitions
            .get(usize::try_from(partition).ok()?)
    }

    /// The leader of a partition, if there is one.
    pub(crate) fn leader(&self, topic_partition: &TopicPartition) -> Option<NodeId> {
        self.partition(&topic_partition.topic, topic_partition.partition)?
            .leader
    }

    /// The moment after `answer`. A topic that `keep` refuses is forgotten. One that the answer does not mention stays, unless
    /// all topics were asked for: then it was deleted, or may be seen no more.
    pub(super) fn next(&self, answer: Answer, keep: impl Fn(&str) -> bool, now: Instant) -> Self {
        let Answer {
            response: answer,
            of_all,
        } = answer;
        let brokers = answer.brokers.iter().map(|broker| {
            let id = NodeId(broker.node_id);
            (
                id,
                Broker::new(id, &broker.host, broker.port, broker.rack.as_ref()),
            )
        });
        let stays = |name: &str| !of_all && keep(name);
        let known = self.topics.iter().filter(|(name, _)| stays(name));
        let mut topics: HashMap<Utf8Bytes, Arc<Topic>> =
            known.map(|(name, topic)| (name.clone(), topic.clone())).collect();
        for topic in answer.topics {
            let Some(name) = &topic.name else { continue };
            if keep(name) {
                let before = self.topics.get(&**name);
                let topic = Topic::next(topic, before.map(|topic| &**topic));
                topics.insert(topic.name.clone(), Arc::new(topic));
            }
        }
        let named = topics.values().filter(|topic| topic.id != Uuid::ZERO);
        Self {
            version: self.version + 1,
            fetched_at: Some(now),
            of_all,
            cluster_id: answer.cluster_id.map(|id| id.detach()),
            controller: node(answer.controller_id),
            brokers: brokers.collect(),
            names: named.map(|topic| (topic.id, topic.name.clone())).collect(),
            topics,
        }
    }
}

impl Topic {
    /// What the answer says, but never an older leader than was known: the broker that answered may lag behind.
    fn next(answer: MetadataResponseTopic, before: Option<&Self>) -> Self {
        let name = answer.name.as_ref().map(Utf8Bytes::detach).unwrap_or_default();
        // A topic that was deleted and made anew begins its epochs anew.
        let before = before.filter(|before| before.id == answer.topic_id);
        let mut partitions: Vec<Partition> = answer.partitions.into_iter().map(Partition::new).collect();
        partitions.sort_by_key(|partition| partition.partition);
        partitions.dedup_by_key(|partition| partition.partition);
        let whole = (0..)
            .zip(&partitions)
            .all(|(number, partition)| partition.partition == number);
        let error = match ErrorCode::from_i16(answer.error_code) {
            // Producers choose by the number of partitions: with a gap in them there is nothing to choose from.
            ErrorCode::None if !whole => ErrorCode::LeaderNotAvailable,
            code => code,
        };
        if error != ErrorCode::None {
            partitions.clear();
        }
        for (partition, before) in partitions
            .iter_mut()
            .zip(before.map_or(&[][..], |before| &before.partitions))
        {
            if partition.leader_epoch < before.leader_epoch && partition.leader_epoch.is_some() {
                partition.clone_from(before);
            }
        }
        Self {
            name,
            id: answer.topic_id,
            error,
            is_internal: answer.is_internal,
            partitions,
        }
    }
}

impl Partition {
    fn new(answer: MetadataResponsePartition) -> Self {
        let nodes = |ids: Vec<i32>| ids.into_iter().map(NodeId).collect();
        Self {
            partition: answer.partition_index,
            leader: node(answer.leader_id),
            leader_epoch: Some(LeaderEpoch(answer.leader_epoch)).filter(|epoch| epoch.0 >= 0),
            replicas: nodes(answer.replica_nodes),
            in_sync_replicas: nodes(answer.isr_nodes),
            offline_replicas: nodes(answer.offline_replicas),
        }
    }
}

/// A node id from the wire, where -1 is none.
pub(super) fn node(id: i32) -> Option<NodeId> {
    (id >= 0).then_some(NodeId(id))
}
