//! ElectLeaders: decided by the controller.

use forebay_broker_controller::ElectLeaders;
use forebay_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use forebay_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};

use crate::call::Call;

/// Answers an ElectLeaders request.
pub(crate) async fn handle(call: &Call, request: ElectLeadersRequest) -> ElectLeadersResponse {
    let asked = request.topic_partitions.clone().unwrap_or_default();
    match call.core.metadata.submit(ElectLeaders { request }).await {
        Ok(response) => response,
        Err(error) => {
            let failed = |index: &i32| PartitionResult {
                partition_id: *index,
                error_code: error.error_code().into(),
                error_message: Some(error.to_string().into()),
                ..PartitionResult::default()
            };
            ElectLeadersResponse {
                error_code: error.error_code().into(),
                replica_election_results: asked
                    .iter()
                    .map(|topic| ReplicaElectionResult {
                        topic: topic.topic.clone(),
                        partition_result: topic.partitions.iter().map(failed).collect(),
                        ..ReplicaElectionResult::default()
                    })
                    .collect(),
                ..ElectLeadersResponse::default()
            }
        }
    }
}
