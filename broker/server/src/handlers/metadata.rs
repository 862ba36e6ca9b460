//! Metadata: brokers and topics, by name or id, and their creation on first use (`KafkaApis.handleTopicMetadataRequest`).

use std::collections::BTreeSet;

use forebay_broker_controller::{
    AutoCreateTopics, BrokerImage, MetadataImage, PartitionImage, TopicImage, is_internal_topic,
    validate_topic_name,
};
use forebay_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use forebay_protocol::messages::{MetadataRequest, MetadataResponse};
use forebay_protocol::{ErrorCode, Utf8Bytes, Uuid};

use crate::authorized_operations;
use crate::call::Call;
use crate::listener_view::{NO_LEADER, View, numbers};

/// Answers a Metadata request.
pub(crate) async fn handle(call: &Call, request: MetadataRequest) -> MetadataResponse {
    let asked = match Asked::of(&request, call.version) {
        Ok(asked) => asked,
        Err(code) => return refuse(&request, code),
    };
    let image = call.core.metadata.image();
    let created = match &asked {
        Asked::Names(names) if request.allow_auto_topic_creation && call.core.config.auto_create_topics => {
            create_missing(call, &image, names).await
        }
        _ => Vec::new(),
    };
    let image = if created.is_empty() {
        image
    } else {
        call.core.metadata.image()
    };
    let view = View::new(call, &image);
    let mut topics = match asked {
        Asked::All => image.topics().map(|topic| view.topic(topic)).collect(),
        Asked::Names(names) => names.iter().map(|name| view.named(name, &created)).collect(),
        Asked::Ids(ids) => ids.iter().map(|id| view.identified(*id)).collect::<Vec<_>>(),
    };
    if call.version >= 8 && request.include_topic_authorized_operations {
        // As Kafka: also of topics that do not exist, but not of ids that do not.
        for topic in topics.iter_mut().filter(|topic| topic.name.is_some()) {
            topic.topic_authorized_operations = authorized_operations::TOPIC;
        }
    }
    let cluster_operations =
        (8..=10).contains(&call.version) && request.include_cluster_authorized_operations;
    MetadataResponse {
        brokers: image
            .alive_brokers()
            .filter_map(|broker| view.broker(broker))
            .collect(),
        cluster_id: Some(call.core.cluster_id.clone()),
        controller_id: call.core.config.node_id.0,
        topics,
        cluster_authorized_operations: if cluster_operations {
            authorized_operations::CLUSTER
        } else {
            authorized_operations::UNKNOWN
        },
        ..MetadataResponse::default()
    }
}

enum Asked {
    All,
    Names(Vec<Utf8Bytes>),
    Ids(Vec<Uuid>),
}

impl Asked {
    fn of(request: &MetadataRequest, version: i16) -> Result<Self, ErrorCode> {
        let Some(topics) = &request.topics else {
            return Ok(Self::All);
        };
        if version == 0 && topics.is_empty() {
            return Ok(Self::All);
        }
        let by_id = topics.iter().any(|topic| !topic.topic_id.is_zero());
        let unnamed = topics.iter().any(|topic| topic.name.is_none());
        if version < 12 && (by_id || unnamed) {
            return Err(ErrorCode::InvalidRequest);
        }
        if by_id {
            let mut seen = BTreeSet::new();
            // What has a name only is not looked at then, as in Kafka.
            let ids = topics
                .iter()
                .map(|topic| topic.topic_id)
                .filter(|id| !id.is_zero());
            return Ok(Self::Ids(ids.filter(|id| seen.insert(id.to_bytes())).collect()));
        }
        let mut seen = BTreeSet::new();
        let names = topics.iter().filter_map(|topic| topic.name.clone());
        Ok(Self::Names(
            names.filter(|name| seen.insert(name.clone())).collect(),
        ))
    }
}

/// The same error for everything asked for (`MetadataRequest.getErrorResponse`).
fn refuse(request: &MetadataRequest, code: ErrorCode) -> MetadataResponse {
    let topics = request
        .topics
        .iter()
        .flatten()
        .map(|topic| MetadataResponseTopic {
            error_code: code.into(),
            name: Some(topic.name.clone().unwrap_or_default()),
            topic_id: topic.topic_id,
            topic_authorized_operations: authorized_operations::UNKNOWN,
            ..MetadataResponseTopic::default()
        });
    MetadataResponse {
        topics: topics.collect(),
        controller_id: NO_LEADER,
        ..MetadataResponse::default()
    }
}

/// Creates the topics that are missing; gives what became of each.
async fn create_missing(
    call: &Call,
    image: &MetadataImage,
    names: &[Utf8Bytes],
) -> Vec<(Utf8Bytes, ErrorCode)> {
    let missing: Vec<Utf8Bytes> = names
        .iter()
        .filter(|name| image.topic(name).is_none())
        .cloned()
        .collect();
    if missing.is_empty() {
        return Vec::new();
    }
    match call
        .core
        .metadata
        .submit(AutoCreateTopics {
            names: missing.clone(),
        })
        .await
    {
        Ok(response) => response
            .topics
            .into_iter()
            .map(|topic| (topic.name, ErrorCode::from_i16(topic.error_code)))
            .collect(),
        Err(error) => missing
            .into_iter()
            .map(|name| (name, error.error_code()))
            .collect(),
    }
}

impl View<'_> {
    fn broker(&self, broker: &BrokerImage) -> Option<MetadataResponseBroker> {
        let endpoint = broker.endpoint(self.listener)?;
        Some(MetadataResponseBroker {
            node_id: broker.id.0,
            host: endpoint.host.clone(),
            port: endpoint.port.into(),
            rack: broker.rack.clone(),
            ..MetadataResponseBroker::default()
        })
    }

    fn topic(&self, topic: &TopicImage) -> MetadataResponseTopic {
        MetadataResponseTopic {
            name: Some(topic.name().clone()),
            topic_id: topic.id(),
            is_internal: topic.is_internal(),
            partitions: topic
                .partitions()
                .map(|(index, partition)| self.partition(index, partition))
                .collect(),
            ..nameless()
        }
    }

    fn named(&self, name: &Utf8Bytes, created: &[(Utf8Bytes, ErrorCode)]) -> MetadataResponseTopic {
        if let Some(topic) = self.image.topic(name) {
            return self.topic(topic);
        }
        let creation = created
            .iter()
            .find(|(created, _)| created == name)
            .map(|(_, code)| *code);
        let code = match creation {
            Some(code @ (ErrorCode::InvalidTopicException | ErrorCode::InvalidReplicationFactor)) => code,
            _ if validate_topic_name(name).is_err() => ErrorCode::InvalidTopicException,
            _ => ErrorCode::UnknownTopicOrPartition,
        };
        MetadataResponseTopic {
            error_code: code.into(),
            name: Some(name.clone()),
            is_internal: is_internal_topic(name),
            ..nameless()
        }
    }

    fn identified(&self, id: Uuid) -> MetadataResponseTopic {
        self.image.topic_by_id(id).map_or_else(
            || MetadataResponseTopic {
                error_code: ErrorCode::UnknownTopicId.into(),
                name: None,
                topic_id: id,
                ..nameless()
            },
            |topic| self.topic(topic),
        )
    }

    fn partition(&self, index: i32, partition: &PartitionImage) -> MetadataResponsePartition {
        let leader = self.leader(partition);
        let code = match leader {
            Some(_) => ErrorCode::None,
            None if self.version >= 6 && self.image.broker(partition.leader).is_some() => {
                ErrorCode::ListenerNotFound
            }
            None => ErrorCode::LeaderNotAvailable,
        };
        MetadataResponsePartition {
            error_code: code.into(),
            partition_index: index,
            leader_id: leader.map_or(NO_LEADER, |id| id.0),
            leader_epoch: partition.leader_epoch.0,
            replica_nodes: numbers(&partition.replicas),
            isr_nodes: numbers(&partition.isr),
            offline_replicas: self.offline(partition),
            ..MetadataResponsePartition::default()
        }
    }
}

fn nameless() -> MetadataResponseTopic {
    MetadataResponseTopic {
        topic_authorized_operations: authorized_operations::UNKNOWN,
        ..MetadataResponseTopic::default()
    }
}
