//! DescribeLogDirs: how much each partition takes, and how much is left (KIP-113, KIP-827; `ReplicaManager.describeLogDirs`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use forebay_broker_controller::CLUSTER_METADATA;
use forebay_broker_log::Log;
use forebay_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use forebay_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};
use forebay_protocol::{ErrorCode, Utf8Bytes};

use crate::call::Call;

/// Kafka's word for a number of bytes that nobody knows.
const UNKNOWN_BYTES: i64 = -1;

/// Answers a DescribeLogDirs request.
pub(crate) async fn handle(call: &Call, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let directory = Arc::clone(&call.core.replicas.shared().directory);
    // The operating system is asked about the disk, and the disk may make it wait.
    let described = call
        .core
        .replicas
        .shared()
        .reads
        .run(move || {
            let space = directory
                .check()
                .ok()
                .and_then(|()| directory.space().ok().flatten());
            let path = std::path::absolute(directory.path()).unwrap_or_else(|_| directory.path().to_owned());
            let mut result = DescribeLogDirsResult {
                log_dir: path.display().to_string().into(),
                total_bytes: space.map_or(UNKNOWN_BYTES, |space| bytes(space.total)),
                usable_bytes: space.map_or(UNKNOWN_BYTES, |space| bytes(space.usable)),
                ..DescribeLogDirsResult::default()
            };
            if directory.check().is_err() {
                result.error_code = ErrorCode::KafkaStorageError.into();
            } else {
                result.topics = topics(&directory.logs(), wanted(&request).as_ref());
            }
            result
        })
        .await;
    match described {
        Ok(result) => DescribeLogDirsResponse {
            results: vec![result],
            ..DescribeLogDirsResponse::default()
        },
        Err(_lost) => DescribeLogDirsResponse {
            error_code: ErrorCode::KafkaStorageError.into(),
            ..DescribeLogDirsResponse::default()
        },
    }
}

/// The partitions that were asked for; none: all.
fn wanted(request: &DescribeLogDirsRequest) -> Option<BTreeSet<(&str, i32)>> {
    let topics = request.topics.as_ref()?.iter();
    let wanted = topics.flat_map(|topic| topic.partitions.iter().map(|index| (&*topic.topic, *index)));
    Some(wanted.collect())
}

/// Sizes are of what has been appended: space that a segment holds in reserve does not count.
fn topics(logs: &[Arc<Log>], wanted: Option<&BTreeSet<(&str, i32)>>) -> Vec<DescribeLogDirsTopic> {
    let mut topics: BTreeMap<&str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for log in logs {
        let name = log.partition();
        let key = (name.topic(), name.partition());
        // Kafka's metadata log is none of its log manager's either.
        if key.0 == CLUSTER_METADATA || wanted.is_some_and(|wanted| !wanted.contains(&key)) {
            continue;
        }
        topics.entry(key.0).or_default().push(DescribeLogDirsPartition {
            partition_index: key.1,
            partition_size: bytes(log.size_in_bytes()),
            ..DescribeLogDirsPartition::default()
        });
    }
    topics
        .into_iter()
        .map(|(name, partitions)| DescribeLogDirsTopic {
            name: Utf8Bytes::from(name),
            partitions,
            ..DescribeLogDirsTopic::default()
        })
        .collect()
}

fn bytes(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
