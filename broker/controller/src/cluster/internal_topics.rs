//! Topics that nobody creates by hand: what producers and consumers merely name, and Kafka's own (`AutoTopicCreationManager`).

use forebay_config::Properties;
use forebay_protocol::Utf8Bytes;
use forebay_protocol::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use forebay_protocol::messages::create_topics_response::CreateTopicsResponse;

use super::create_topics::CreateTopics;
use crate::controller::{Cluster, Command, Options, Outcome};
use crate::topic_name::{CONSUMER_OFFSETS, TRANSACTION_STATE};

/// How an internal topic is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InternalTopic {
    /// Its number of partitions.
    pub partitions: i32,
    /// Its replication factor.
    pub replication_factor: i16,
    /// What is set on it.
    pub configs: Properties,
}

/// How the internal topics are made, by Kafka's keys and with its defaults (a factor of 3 cannot be had on one node: the driver
/// passes what the node's configuration says).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InternalTopics {
    /// `__consumer_offsets`: `offsets.topic.num.partitions`, `…replication.factor`, `…segment.bytes`.
    pub consumer_offsets: InternalTopic,
    /// `__transaction_state`: `transaction.state.log.num.partitions`, `…replication.factor`, `…min.isr`, `…segment.bytes`.
    pub transaction_state: InternalTopic,
}

impl InternalTopics {
    /// Kafka's defaults at this replication factor.
    pub fn with_replication_factor(replication_factor: i16) -> Self {
        let topic = |configs: &[(&str, &str)]| InternalTopic {
            partitions: 50,
            replication_factor,
            configs: configs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let segment_bytes = ("segment.bytes", "104857600");
        let minimum = if replication_factor > 1 { "2" } else { "1" };
        Self {
            consumer_offsets: topic(&[
                ("cleanup.policy", "compact"),
                ("compression.type", "producer"),
                segment_bytes,
            ]),
            transaction_state: topic(&[
                ("cleanup.policy", "compact"),
                ("compression.type", "uncompressed"),
                ("min.insync.replicas", minimum),
                segment_bytes,
                ("unclean.leader.election.enable", "false"),
            ]),
        }
    }

    fn get(&self, name: &str) -> Option<&InternalTopic> {
        match name {
            CONSUMER_OFFSETS => Some(&self.consumer_offsets),
            TRANSACTION_STATE => Some(&self.transaction_state),
            _ => None,
        }
    }
}

/// Makes topics that a client has named, or that a coordinator needs; answers as [`CreateTopics`]. Names that exist already get
/// TOPIC_ALREADY_EXISTS, which the driver takes for success.
#[derive(Debug, Clone, Default)]
pub struct AutoCreateTopics {
    /// The names, each once.
    pub names: Vec<Utf8Bytes>,
}

impl Command for AutoCreateTopics {
    type Response = CreateTopicsResponse;

    fn decide(self, cluster: &Cluster<'_>) -> Outcome<CreateTopicsResponse> {
        let topics = self
            .names
            .into_iter()
            .map(|name| creatable(cluster.options, name))
            .collect();
        let request = CreateTopicsRequest {
            topics,
            ..CreateTopicsRequest::default()
        };
        CreateTopics {
            request,
            ..CreateTopics::default()
        }
        .decide(cluster)
    }
}

fn creatable(options: &Options, name: Utf8Bytes) -> CreatableTopic {
    let Some(internal) = options.internal_topics.get(&name) else {
        return CreatableTopic {
            name,
            num_partitions: options.num_partitions,
            replication_factor: options.default_replication_factor,
            ..CreatableTopic::default()
        };
    };
    let config = |(name, value): (&String, &String)| CreatableTopicConfig {
        name: name.into(),
        value: Some(value.into()),
        ..CreatableTopicConfig::default()
    };
    CreatableTopic {
        name,
        num_partitions: internal.partitions,
        replication_factor: internal.replication_factor,
        configs: internal.configs.iter().map(config).collect(),
        ..CreatableTopic::default()
    }
}
