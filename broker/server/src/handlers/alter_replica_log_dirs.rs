//! AlterReplicaLogDirs (KIP-113; `ReplicaManager.alterReplicaLogDirs`). A broker has one log directory so far: a partition is
//! where it is asked to be, or asked to go where there is nothing.

use forebay_protocol::ErrorCode;
use forebay_protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use forebay_protocol::messages::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse};

use crate::call::Call;

/// Answers an AlterReplicaLogDirs request.
pub(crate) fn handle(call: &Call, request: &AlterReplicaLogDirsRequest) -> AlterReplicaLogDirsResponse {
    let directory = &call.core.replicas.shared().directory;
    let own = std::path::absolute(directory.path()).unwrap_or_else(|_| directory.path().to_owned());
    let mut response = AlterReplicaLogDirsResponse::default();
    for target in &request.dirs {
        let is_own = *own == *target.path;
        for topic in &target.topics {
            let partitions = topic.partitions.iter().map(|index| {
                let code = if !is_own {
                    ErrorCode::LogDirNotFound
                } else if let Err(code) = call.core.replica(&topic.name, *index) {
                    code
                } else if directory.check().is_err() {
                    ErrorCode::KafkaStorageError
                } else {
                    ErrorCode::None
                };
                AlterReplicaLogDirPartitionResult {
                    partition_index: *index,
                    error_code: code.into(),
                    ..AlterReplicaLogDirPartitionResult::default()
                }
            });
            response.results.push(AlterReplicaLogDirTopicResult {
                topic_name: topic.name.clone(),
                partitions: partitions.collect(),
                ..AlterReplicaLogDirTopicResult::default()
            });
        }
    }
    response
}
