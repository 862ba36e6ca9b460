//! CreateTopics (`ControllerApis.createTopics`, `ReplicationControlManager.createTopics`).

use std::collections::{BTreeMap, BTreeSet};

use forebay_config::Properties;
use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::TopicRecord;
use forebay_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use forebay_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult, CreateTopicsResponse,
};
use forebay_protocol::{ErrorCode, NodeId, Utf8Bytes, Uuid};

use super::{alter_configs, assignment, placement};
use crate::controller::{Cluster, Command, Outcome, RECORDS_PER_REQUEST_MAX};
use crate::image::{ConfigResource, PartitionImage, topic};
use crate::random::Random;
use crate::topic_name::{self, CLUSTER_METADATA, validate_topic_name};
use crate::{ApiError, Record};

/// Makes topics.
#[derive(Debug, Clone, Default)]
pub struct CreateTopics {
    /// The request, of any version.
    pub request: CreateTopicsRequest,
    /// The topics whose configuration the caller may not see: the answer leaves it out.
    pub not_describable: BTreeSet<Utf8Bytes>,
}

impl Command for CreateTopics {
    type Response = CreateTopicsResponse;

    fn decide(self, cluster: &Cluster<'_>) -> Outcome<CreateTopicsResponse> {
        let request = &self.request;
        if partition_count(request, cluster.options.num_partitions) > RECORDS_PER_REQUEST_MAX {
            return Outcome::unchanged(refuse_all(request, &too_large()));
        }
        let mut creation = Creation {
            cluster,
            not_describable: &self.not_describable,
            random: cluster.random(),
            ids: BTreeSet::new(),
            records: Vec::new(),
        };
        let duplicates = duplicate_names(request);
        let mut results = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            if duplicates.contains(&topic.name) || *topic.name == *CLUSTER_METADATA {
                continue;
            }
            results.push(
                creation
                    .create(topic)
                    .unwrap_or_else(|error| failure(&topic.name, &error)),
            );
        }
        if creation.records.len() > RECORDS_PER_REQUEST_MAX {
            return Outcome::unchanged(refuse_all(request, &ApiError::too_many_records()));
        }
        for name in &duplicates {
            results.push(failure(name, &ApiError::invalid_request("Duplicate topic name.")));
        }
        if !duplicates.contains(CLUSTER_METADATA)
            && request
                .topics
                .iter()
                .any(|topic| *topic.name == *CLUSTER_METADATA)
        {
            let text = format!("Creation of internal topic {CLUSTER_METADATA} is prohibited.");
            results.push(failure(
                &CLUSTER_METADATA.into(),
                &ApiError::invalid_request(text),
            ));
        }
        let records = if request.validate_only {
            Vec::new()
        } else {
            creation.records
        };
        Outcome::new(
            records,
            CreateTopicsResponse {
                topics: results,
                ..CreateTopicsResponse::default()
            },
        )
    }
}

/// What is being made, over all topics of a request.
struct Creation<'a> {
    cluster: &'a Cluster<'a>,
    not_describable: &'a BTreeSet<Utf8Bytes>,
    random: Random,
    /// The ids that this request has given out.
    ids: BTreeSet<Uuid>,
    records: Vec<Record>,
}

impl Creation<'_> {
    /// Checks in Kafka's order, then adds the records: topic, configurations, partitions.
    fn create(&mut self, topic: &CreatableTopic) -> Result<CreatableTopicResult, ApiError> {
        self.check_name(&topic.name)?;
        let properties = creation_properties(topic)?;
        let resource = ConfigResource::topic(topic.name.clone());
        alter_configs::validate_new_topic(self.cluster, &topic.name, &properties)?;
        let partitions = if topic.assignments.is_empty() {
            self.place(topic)?
        } else {
            self.assign(topic)?
        };
        let topic_id = self.fresh_id();
        let result = self.success(topic, topic_id, &properties, &partitions);
        self.push(MetadataRecord::Topic(TopicRecord {
            name: topic.name.clone(),
            topic_id,
            ..TopicRecord::default()
        }));
        for (name, value) in &properties {
            let record = alter_configs::record(&resource, name, Some(value));
            self.push(MetadataRecord::Config(record));
        }
        for (index, partition) in (0..).zip(&partitions) {
            self.push(MetadataRecord::Partition(partition.to_record(topic_id, index)));
        }
        Ok(result)
    }

    fn push(&mut self, message: MetadataRecord) {
        self.records.push(self.cluster.record(message));
    }

    fn check_name(&self, name: &Utf8Bytes) -> Result<(), ApiError> {
        let image = self.cluster.image;
        // A topic that exists is told so, even where its name is one that could not be given today.
        if image.topic(name).is_some() {
            let text = format!("Topic '{name}' already exists.");
            return Err(ApiError::new(ErrorCode::TopicAlreadyExists, text));
        }
        let invalid = |text: String| ApiError::new(ErrorCode::InvalidTopicException, text);
        validate_topic_name(name).map_err(|error| invalid(error.to_string()))?;
        if topic_name::has_collision_chars(name)
            && let Some(names) = image.colliding_names.get(&topic_name::unify(name))
            && let Some(first) = names.iter().next()
        {
            return Err(invalid(format!(
                "Topic '{name}' collides with existing topic: {first}"
            )));
        }
        Ok(())
    }

    /// Replicas that the user named.
    fn assign(&self, topic: &CreatableTopic) -> Result<Vec<PartitionImage>, ApiError> {
        let refuse = |text: &str| ApiError::new(ErrorCode::InvalidReplicaAssignment, text);
        if topic.replication_factor != -1 {
            return Err(ApiError::invalid_request(
                "A manual partition assignment was specified, but replication factor was not set to -1.",
            ));
        }
        if topic.num_partitions != -1 {
            return Err(ApiError::invalid_request(
                "A manual partition assignment was specified, but numPartitions was not set to -1.",
            ));
        }
        let image = self.cluster.image;
        let mut partitions = BTreeMap::new();
        let mut factor = None;
        for assignment in &topic.assignments {
            let index = assignment.partition_index;
            if partitions.contains_key(&index) {
                return Err(refuse(&format!(
                    "Found multiple manual partition assignments for partition {index}"
                )));
            }
            let replicas: Vec<NodeId> = topic::nodes(&assignment.broker_ids);
            assignment::validate(image, &replicas, factor)?;
            factor = Some(replicas.len());
            let partition =
                assignment::new_partition(image, replicas).ok_or_else(|| assignment::nobody_up(index))?;
            partitions.insert(index, partition);
        }
        if !(0..)
            .zip(partitions.keys())
            .all(|(expected, index)| expected == *index)
        {
            return Err(refuse(
                "partitions should be a consecutive 0-based integer sequence",
            ));
        }
        Ok(partitions.into_values().collect())
    }

    /// Replicas that we choose.
    fn place(&mut self, topic: &CreatableTopic) -> Result<Vec<PartitionImage>, ApiError> {
        let options = self.cluster.options;
        let factor = match topic.replication_factor {
            -1 => options.default_replication_factor,
            factor if factor > 0 => factor,
            _ => {
                return Err(ApiError::new(
                    ErrorCode::InvalidReplicationFactor,
                    "Replication factor must be larger than 0, or -1 to use the default value.",
                ));
            }
        };
        let count = match topic.num_partitions {
            -1 => options.num_partitions,
            count => count,
        };
        let count = usize::try_from(count)
            .ok()
            .filter(|count| *count > 0)
            .ok_or_else(|| {
                ApiError::new(
                    ErrorCode::InvalidPartitions,
                    "Number of partitions was set to an invalid non-positive value.",
                )
            })?;
        let image = self.cluster.image;
        let placed = placement::place(image, count, factor, &mut self.random).map_err(|error| {
            let text = format!("Unable to replicate the partition {factor} time(s): {error}");
            ApiError::new(ErrorCode::InvalidReplicationFactor, text)
        })?;
        let partition = |replicas| {
            assignment::new_partition(image, replicas).ok_or_else(|| assignment::nobody_active(factor))
        };
        placed.into_iter().map(partition).collect()
    }

    fn fresh_id(&mut self) -> Uuid {
        loop {
            let id = self.random.uuid();
            if self.cluster.image.topic_by_id(id).is_none() && self.ids.insert(id) {
                return id;
            }
        }
    }

    fn success(
        &self,
        topic: &CreatableTopic,
        topic_id: Uuid,
        properties: &Properties,
        partitions: &[PartitionImage],
    ) -> CreatableTopicResult {
        let mut result = CreatableTopicResult {
            name: topic.name.clone(),
            topic_id,
            error_message: None,
            ..CreatableTopicResult::default()
        };
        if self.not_describable.contains(&topic.name) {
            result.topic_config_error_code = ErrorCode::TopicAuthorizationFailed as i16;
            return result;
        }
        let Cluster { image, options, .. } = self.cluster;
        let entries = options.schema.describe_topic(properties, image, options.node_id);
        let configs = entries.into_iter().map(|entry| CreatableTopicConfigs {
            name: entry.name.into(),
            value: entry.value.map(Utf8Bytes::from),
            read_only: entry.read_only,
            config_source: entry.source as i8,
            is_sensitive: entry.is_sensitive,
            ..CreatableTopicConfigs::default()
        });
        result.configs = Some(configs.collect());
        result.num_partitions = i32::try_from(partitions.len()).expect("bounded by RECORDS_PER_REQUEST_MAX");
        let factor = partitions.first().map_or(0, |partition| partition.replicas.len());
        result.replication_factor = i16::try_from(factor).unwrap_or(i16::MAX);
        result
    }
}

/// The topics that a request names more than once.
fn duplicate_names(request: &CreateTopicsRequest) -> BTreeSet<Utf8Bytes> {
    let mut seen = BTreeSet::new();
    let again = request
        .topics
        .iter()
        .filter(|topic| !seen.insert(topic.name.clone()));
    again.map(|topic| topic.name.clone()).collect()
}

/// What a request sets on a topic. As in Kafka the last of a repeated key holds.
fn creation_properties(topic: &CreatableTopic) -> Result<Properties, ApiError> {
    let without: Vec<&str> = topic
        .configs
        .iter()
        .filter(|config| config.value.is_none())
        .map(|config| config.name.as_str())
        .collect();
    if !without.is_empty() {
        let text = format!(
            "Null value not supported for topic configs: {}",
            without.join(",")
        );
        return Err(ApiError::invalid_config(text));
    }
    let set = topic
        .configs
        .iter()
        .filter_map(|config| Some((&config.name, config.value.as_ref()?)));
    Ok(set
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect())
}

/// How many partitions a request asks for, as far as it says (`validateTotalNumberOfPartitions`).
fn partition_count(request: &CreateTopicsRequest, default: i32) -> usize {
    let of = |topic: &CreatableTopic| match (topic.assignments.len(), topic.num_partitions) {
        (0, -1) => usize::try_from(default).unwrap_or(0),
        (0, count) => usize::try_from(count).unwrap_or(0),
        (assignments, _) => assignments,
    };
    request.topics.iter().map(of).fold(0, usize::saturating_add)
}

fn too_large() -> ApiError {
    ApiError::new(
        ErrorCode::PolicyViolation,
        "Excessively large number of partitions per request.",
    )
}

fn refuse_all(request: &CreateTopicsRequest, error: &ApiError) -> CreateTopicsResponse {
    let topics = request
        .topics
        .iter()
        .map(|topic| failure(&topic.name, error))
        .collect();
    CreateTopicsResponse {
        topics,
        ..CreateTopicsResponse::default()
    }
}

fn failure(name: &Utf8Bytes, error: &ApiError) -> CreatableTopicResult {
    CreatableTopicResult {
        name: name.clone(),
        error_code: error.code as i16,
        error_message: error.text(),
        ..CreatableTopicResult::default()
    }
}
