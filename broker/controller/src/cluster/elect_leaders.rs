//! ElectLeaders (KIP-460; `ReplicationControlManager.electLeaders`).

use forebay_protocol::ErrorCode;
use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::elect_leaders_request::ElectLeadersRequest;
use forebay_protocol::messages::elect_leaders_response::{
    ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};

use super::broker_restart;
use super::partition_change::Election;
use crate::controller::{Cluster, Command, Outcome, RECORDS_PER_REQUEST_MAX};
use crate::{ApiError, Record};

/// Gives partitions to their preferred leaders or, with loss allowed, to any.
#[derive(Debug, Clone, Default)]
pub struct ElectLeaders {
    /// The request; version 0 knows preferred leaders only, which is its default.
    pub request: ElectLeadersRequest,
}

impl Command for ElectLeaders {
    type Response = ElectLeadersResponse;

    fn decide(self, cluster: &Cluster<'_>) -> Outcome<ElectLeadersResponse> {
        let election = match self.request.election_type {
            0 => Election::Preferred,
            1 => Election::Unclean,
            other => {
                let error = ApiError::invalid_request(format!("Unknown election type {other}"));
                return Outcome::unchanged(refuse_all(&self.request, &error));
            }
        };
        let mut records = Vec::new();
        let mut elect = |topic: &str, index| elect(cluster, topic, index, election, &mut records);
        let results = match &self.request.topic_partitions {
            Some(topics) => topics
                .iter()
                .map(|topic| {
                    let partitions = topic.partitions.iter();
                    let results =
                        partitions.map(|index| answer(*index, elect(&topic.topic, *index).err().as_ref()));
                    result(&topic.topic, results.collect())
                })
                .collect(),
            // Of all partitions only those are told of that did not have the wanted leader.
            None => cluster
                .image
                .topics()
                .map(|topic| {
                    let results =
                        topic
                            .partitions()
                            .filter_map(|(index, _)| match elect(topic.name(), index) {
                                Err(error) if error.code == ErrorCode::ElectionNotNeeded => None,
                                outcome => Some(answer(index, outcome.err().as_ref())),
                            });
                    result(topic.name(), results.collect())
                })
                .collect(),
        };
        if records.len() > RECORDS_PER_REQUEST_MAX {
            return Outcome::unchanged(refuse_all(&self.request, &ApiError::too_many_records()));
        }
        let response = ElectLeadersResponse {
            replica_election_results: results,
            ..ElectLeadersResponse::default()
        };
        Outcome::new(records, response)
    }
}

fn elect(
    cluster: &Cluster<'_>,
    topic: &str,
    index: i32,
    election: Election,
    records: &mut Vec<Record>,
) -> Result<(), ApiError> {
    let unknown = |text| ApiError::new(ErrorCode::UnknownTopicOrPartition, text);
    let Some(image) = cluster.image.topic(topic) else {
        return Err(unknown(format!("No such topic as {topic}")));
    };
    let Some(partition) = image.partition(index) else {
        return Err(unknown(format!("No such partition as {topic}-{index}")));
    };
    let has_wanted = match election {
        Election::Preferred => partition.replicas.first() == Some(&partition.leader),
        Election::Online | Election::Unclean => partition.has_leader(),
    };
    if has_wanted {
        return Err(ApiError::generic(ErrorCode::ElectionNotNeeded));
    }
    let Some(record) = broker_restart::election(cluster, image, (index, partition), election) else {
        return Err(ApiError::generic(match election {
            Election::Preferred => ErrorCode::PreferredLeaderNotAvailable,
            Election::Online | Election::Unclean => ErrorCode::EligibleLeadersNotAvailable,
        }));
    };
    records.push(cluster.record(MetadataRecord::PartitionChange(record)));
    Ok(())
}

fn refuse_all(request: &ElectLeadersRequest, error: &ApiError) -> ElectLeadersResponse {
    let results = request.topic_partitions.iter().flatten().map(|topic| {
        let partitions = topic.partitions.iter();
        let results = partitions.map(|index| answer(*index, Some(error)));
        result(&topic.topic, results.collect())
    });
    ElectLeadersResponse {
        error_code: error.code.into(),
        replica_election_results: results.collect(),
        ..ElectLeadersResponse::default()
    }
}

fn result(
    topic: &forebay_protocol::Utf8Bytes,
    partition_result: Vec<PartitionResult>,
) -> ReplicaElectionResult {
    ReplicaElectionResult {
        topic: topic.clone(),
        partition_result,
        ..ReplicaElectionResult::default()
    }
}

fn answer(partition_id: i32, error: Option<&ApiError>) -> PartitionResult {
    PartitionResult {
        partition_id,
        error_code: error.map_or(ErrorCode::None, |error| error.code) as i16,
        error_message: error.and_then(ApiError::text),
        ..PartitionResult::default()
    }
}
