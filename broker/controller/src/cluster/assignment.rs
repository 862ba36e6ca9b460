//! New partitions: placed by us or by hand, and who of the replicas is in sync at once.

use forebay_protocol::{ErrorCode, NodeId, Uuid};
use forebay_records::LeaderEpoch;

use crate::ApiError;
use crate::image::{LeaderRecoveryState, MetadataImage, PartitionImage, topic};

/// Checks replicas that a user named (`validateManualPartitionAssignment`).
pub(super) fn validate(
    image: &MetadataImage,
    replicas: &[NodeId],
    factor: Option<usize>,
) -> Result<(), ApiError> {
    let refuse = |message: String| Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
    if replicas.is_empty() {
        return refuse("The manual partition assignment includes an empty replica list.".to_owned());
    }
    let mut sorted = replicas.to_vec();
    sorted.sort_unstable();
    let mut before = None;
    for id in sorted {
        if image.broker(id).is_none() {
            return refuse(format!(
                "The manual partition assignment includes broker {id}, but no such broker is registered."
            ));
        }
        if before == Some(id) {
            return refuse(format!(
                "The manual partition assignment includes the broker {id} more than once."
            ));
        }
        before = Some(id);
    }
    match factor {
        Some(factor) if factor != replicas.len() => refuse(format!(
            "The manual partition assignment includes a partition with {} replica(s), but this is not consistent with \
             previous partitions, which have {factor} replica(s).",
            replicas.len()
        )),
        _ => Ok(()),
    }
}

/// A partition that nothing has happened to yet: the replicas that are up are in sync, and the first of them leads. `None` when
/// none is up.
pub(super) fn new_partition(image: &MetadataImage, replicas: Vec<NodeId>) -> Option<PartitionImage> {
    let isr: Vec<NodeId> = replicas
        .iter()
        .copied()
        .filter(|id| image.is_active(*id))
        .collect();
    let directory = |id: &NodeId| {
        image
            .broker(*id)
            .map_or(topic::UNASSIGNED_DIRECTORY, |broker| broker.default_directory())
    };
    let directories: Vec<Uuid> = replicas.iter().map(directory).collect();
    Some(PartitionImage {
        leader: *isr.first()?,
        directories,
        replicas,
        isr,
        removing_replicas: Vec::new(),
        adding_replicas: Vec::new(),
        elr: Vec::new(),
        last_known_elr: Vec::new(),
        leader_recovery_state: LeaderRecoveryState::Recovered,
        leader_epoch: LeaderEpoch(0),
        partition_epoch: 0,
    })
}

/// The error when all brokers that a user named are down.
pub(super) fn nobody_up(partition: i32) -> ApiError {
    ApiError::new(
        ErrorCode::InvalidReplicaAssignment,
        format!(
            "All brokers specified in the manual partition assignment for partition {partition} are fenced or in \
             controlled shutdown."
        ),
    )
}

/// The error when all brokers that we chose are shutting down.
pub(super) fn nobody_active(factor: i16) -> ApiError {
    ApiError::new(
        ErrorCode::InvalidReplicationFactor,
        format!(
            "Unable to replicate the partition {factor} time(s): All brokers are currently fenced or in controlled \
             shutdown."
        ),
    )
}
