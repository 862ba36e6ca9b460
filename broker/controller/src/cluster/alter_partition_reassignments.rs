//! AlterPartitionReassignments (KIP-455; `ReplicationControlManager.alterPartitionReassignments`). Nothing moves yet: one node
//! has nowhere to move a replica to. What asks for the replicas that there are, in whatever order, is done at once.

use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::PartitionChangeRecord;
use forebay_protocol::messages::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition,
};
use forebay_protocol::messages::alter_partition_reassignments_response::{
    AlterPartitionReassignmentsResponse, ReassignablePartitionResponse, ReassignableTopicResponse,
};
use forebay_protocol::{ErrorCode, NodeId, Utf8Bytes};

use super::assignment;
use crate::controller::{Cluster, Command, Outcome, RECORDS_PER_REQUEST_MAX};
use crate::image::{PartitionImage, topic};
use crate::{ApiError, Record};

/// Moves replicas of partitions, or ends their moves.
#[derive(Debug, Clone, Default)]
pub struct AlterPartitionReassignments {
    /// The request, of any version.
    pub request: AlterPartitionReassignmentsRequest,
}

impl Command for AlterPartitionReassignments {
    type Response = AlterPartitionReassignmentsResponse;

    fn decide(self, cluster: &Cluster<'_>) -> Outcome<AlterPartitionReassignmentsResponse> {
        let request = self.request;
        let mut response = AlterPartitionReassignmentsResponse {
            allow_replication_factor_change: request.allow_replication_factor_change,
            // Kafka says nothing, but "" where it was asked for nothing.
            error_message: request.topics.is_empty().then(Utf8Bytes::default),
            ..AlterPartitionReassignmentsResponse::default()
        };
        let mut records = Vec::new();
        for topic in &request.topics {
            let mut answers = Vec::new();
            for target in &topic.partitions {
                let outcome = reassign(
                    cluster,
                    &topic.name,
                    target,
                    request.allow_replication_factor_change,
                );
                let error = match outcome {
                    Ok(record) => {
                        records.extend(record);
                        None
                    }
                    Err(error) => Some(error),
                };
                answers.push(answer(target.partition_index, error.as_ref()));
            }
            response.responses.push(ReassignableTopicResponse {
                name: topic.name.clone(),
                partitions: answers,
                ..ReassignableTopicResponse::default()
            });
        }
        if records.len() > RECORDS_PER_REQUEST_MAX {
            records.clear();
            let error = ApiError::too_many_records();
            response.error_code = error.code.into();
            response.error_message = error.text();
            response.responses.clear();
        }
        Outcome::new(records, response)
    }
}

fn reassign(
    cluster: &Cluster<'_>,
    topic: &str,
    target: &ReassignablePartition,
    may_change_factor: bool,
) -> Result<Option<Record>, ApiError> {
    let unknown = |text| ApiError::new(ErrorCode::UnknownTopicOrPartition, text);
    let Some(image) = cluster.image.topic(topic) else {
        return Err(unknown(format!("Unable to find a topic named {topic}.")));
    };
    let index = target.partition_index;
    let Some(partition) = image.partition(index) else {
        return Err(unknown(format!("Unable to find partition {topic}:{index}.")));
    };
    let under_way = !partition.adding_replicas.is_empty() || !partition.removing_replicas.is_empty();
    let Some(replicas) = &target.replicas else {
        return Err(if under_way {
            not_supported()
        } else {
            ApiError::bare(ErrorCode::NoReassignmentInProgress)
        });
    };
    let replicas: Vec<NodeId> = topic::nodes(replicas);
    assignment::validate(cluster.image, &replicas, None)?;
    if !may_change_factor && replicas.len() != partition.replicas.len() {
        let text = format!(
            "The replication factor is changed from {} to {}",
            partition.replicas.len(),
            replicas.len()
        );
        return Err(ApiError::new(ErrorCode::InvalidReplicationFactor, text));
    }
    if under_way || !is_same_set(&replicas, &partition.replicas) {
        return Err(not_supported());
    }
    if replicas == partition.replicas {
        return Ok(None);
    }
    let has_directories = cluster.image.metadata_version().has_directories();
    let record = reorder(partition, &replicas, has_directories);
    Ok(Some(cluster.record(MetadataRecord::PartitionChange(
        PartitionChangeRecord {
            topic_id: image.id(),
            partition_id: index,
            ..record
        },
    ))))
}

/// Honest until followers exist: a move that was taken in would never end.
fn not_supported() -> ApiError {
    ApiError::new(
        ErrorCode::InvalidReplicaAssignment,
        "Replicas cannot be moved between brokers yet; a partition keeps the brokers that it was created on.",
    )
}

fn is_same_set(one: &[NodeId], other: &[NodeId]) -> bool {
    one.len() == other.len() && one.iter().all(|id| other.contains(id))
}

/// The replicas in another order, each with its directory.
fn reorder(partition: &PartitionImage, replicas: &[NodeId], has_directories: bool) -> PartitionChangeRecord {
    let directory = |id: &NodeId| partition.directory(*id).unwrap_or(topic::UNASSIGNED_DIRECTORY);
    PartitionChangeRecord {
        replicas: Some(topic::numbers(replicas)),
        directories: has_directories.then(|| replicas.iter().map(directory).collect()),
        ..PartitionChangeRecord::default()
    }
}

fn answer(partition_index: i32, error: Option<&ApiError>) -> ReassignablePartitionResponse {
    ReassignablePartitionResponse {
        partition_index,
        error_code: error.map_or(ErrorCode::None, |error| error.code) as i16,
        error_message: error.and_then(ApiError::text),
        ..ReassignablePartitionResponse::default()
    }
}
