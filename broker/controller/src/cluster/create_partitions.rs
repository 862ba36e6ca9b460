//! CreatePartitions (`ControllerApis.createPartitions`, `ReplicationControlManager.createPartitions`).

use std::collections::BTreeSet;

use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use forebay_protocol::messages::create_partitions_response::{
    CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use forebay_protocol::{ErrorCode, NodeId};

use super::{assignment, placement};
use crate::controller::{Cluster, Command, Outcome, RECORDS_PER_REQUEST_MAX};
use crate::image::{PartitionImage, TopicImage, topic};
use crate::random::Random;
use crate::{ApiError, Record};

/// Adds partitions to topics.
#[derive(Debug, Clone, Default)]
pub struct CreatePartitions {
    /// The request, of any version.
    pub request: CreatePartitionsRequest,
}

impl Command for CreatePartitions {
    type Response = CreatePartitionsResponse;

    fn decide(self, cluster: &Cluster<'_>) -> Outcome<CreatePartitionsResponse> {
        let request = &self.request;
        let mut seen = BTreeSet::new();
        let duplicates: BTreeSet<_> = request
            .topics
            .iter()
            .map(|topic| &topic.name)
            .filter(|name| !seen.insert(*name))
            .collect();
        let mut random = cluster.random();
        let mut records = Vec::new();
        let mut results: Vec<_> = duplicates
            .iter()
            .map(|name| answer(name, Some(&ApiError::invalid_request("Duplicate topic name."))))
            .collect();
        for topic in request
            .topics
            .iter()
            .filter(|topic| !duplicates.contains(&topic.name))
        {
            match create(
                cluster,
                topic,
                RECORDS_PER_REQUEST_MAX - records.len(),
                &mut random,
            ) {
                Ok(new) => {
                    records.extend(new);
                    results.push(answer(&topic.name, None));
                }
                Err(Refusal::Topic(error)) => results.push(answer(&topic.name, Some(&error))),
                Err(Refusal::Request(error)) => {
                    records.clear();
                    results = request
                        .topics
                        .iter()
                        .map(|topic| answer(&topic.name, Some(&error)))
                        .collect();
                    break;
                }
            }
        }
        if request.validate_only {
            records.clear();
        }
        Outcome::new(
            records,
            CreatePartitionsResponse {
                results,
                ..CreatePartitionsResponse::default()
            },
        )
    }
}

/// Whom an error concerns.
enum Refusal {
    Topic(ApiError),
    /// The request is too large as a whole.
    Request(ApiError),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Topic(error)
    }
}

fn create(
    cluster: &Cluster<'_>,
    request: &CreatePartitionsTopic,
    records_left: usize,
    random: &mut Random,
) -> Result<Vec<Record>, Refusal> {
    let unknown = || ApiError::bare(ErrorCode::UnknownTopicOrPartition);
    let topic = cluster.image.topic(&request.name).ok_or_else(unknown)?;
    let additional = additional_count(request, topic)?;
    if additional > records_left {
        return Err(Refusal::Request(ApiError::too_many_records()));
    }
    let partitions = match &request.assignments {
        Some(_) => assign(cluster, request, topic)?,
        None => place(cluster, topic, additional, random)?,
    };
    let indexes = first_index(topic)..;
    let record = |(index, partition): (i32, PartitionImage)| {
        cluster.record(MetadataRecord::Partition(partition.to_record(topic.id(), index)))
    };
    Ok(indexes.zip(partitions).map(record).collect())
}

/// How many partitions are to come.
fn additional_count(request: &CreatePartitionsTopic, topic: &TopicImage) -> Result<usize, ApiError> {
    let invalid = |text: String| ApiError::new(ErrorCode::InvalidPartitions, text);
    let present = topic.partition_count();
    let wanted = usize::try_from(request.count).ok();
    if wanted == Some(present) {
        return Err(invalid(format!("Topic already has {present} partition(s).")));
    }
    let additional = wanted
        .and_then(|wanted| wanted.checked_sub(present))
        .ok_or_else(|| {
            invalid(format!(
                "The topic {} currently has {present} partition(s); {} would not be an increase.",
                request.name, request.count
            ))
        })?;
    if let Some(assignments) = &request.assignments
        && assignments.len() != additional
    {
        let text = format!(
            "Attempted to add {additional} additional partition(s), but only {} assignment(s) were specified.",
            assignments.len()
        );
        return Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, text));
    }
    Ok(additional)
}

fn first_index(topic: &TopicImage) -> i32 {
    i32::try_from(topic.partition_count()).expect("partitions are counted in 32 bits")
}

fn replication_factor(topic: &TopicImage) -> usize {
    topic
        .partitions()
        .next()
        .map_or(1, |(_, partition)| partition.replicas.len())
}

fn assign(
    cluster: &Cluster<'_>,
    request: &CreatePartitionsTopic,
    topic: &TopicImage,
) -> Result<Vec<PartitionImage>, ApiError> {
    let factor = replication_factor(topic);
    let assignments = request.assignments.iter().flatten();
    let partition = |(index, ids): (i32, &Vec<i32>)| {
        let replicas: Vec<NodeId> = topic::nodes(ids);
        assignment::validate(cluster.image, &replicas, Some(factor))?;
        assignment::new_partition(cluster.image, replicas).ok_or_else(|| assignment::nobody_up(index))
    };
    (first_index(topic)..)
        .zip(assignments.map(|assignment| &assignment.broker_ids))
        .map(partition)
        .collect()
}

fn place(
    cluster: &Cluster<'_>,
    topic: &TopicImage,
    count: usize,
    random: &mut Random,
) -> Result<Vec<PartitionImage>, ApiError> {
    let factor = i16::try_from(replication_factor(topic)).unwrap_or(i16::MAX);
    let placed = placement::place(cluster.image, count, factor, random)
        .map_err(|error| ApiError::new(ErrorCode::InvalidReplicationFactor, error.to_string()))?;
    let partition = |replicas| {
        assignment::new_partition(cluster.image, replicas).ok_or_else(|| assignment::nobody_active(factor))
    };
    placed.into_iter().map(partition).collect()
}

fn answer(name: &forebay_protocol::Utf8Bytes, error: Option<&ApiError>) -> CreatePartitionsTopicResult {
    CreatePartitionsTopicResult {
        name: name.clone(),
        error_code: error.map_or(ErrorCode::None, |error| error.code) as i16,
        error_message: error.and_then(ApiError::text),
        ..CreatePartitionsTopicResult::default()
    }
}
