//! Where the ends of transactions are written: into the partitions that this broker leads, at once. Those that others lead will be sent
//! to them (WriteTxnMarkers) when there are others; the coordinator retries what is refused, whoever refuses it.

use forebay_broker_coordinator::transaction::Markers;
use forebay_protocol::{ErrorCode, TopicPartition};

use crate::core::Core;
use crate::transaction_markers::{self, Marker};

/// Writes them. A partition that does not exist any more has nothing to be told.
pub(super) async fn write(core: &Core, markers: &Markers) -> Vec<(TopicPartition, Result<(), ErrorCode>)> {
    #[cfg(test)]
    super::sabotage::wait(markers).await;
    #[cfg(test)]
    let markers = &match super::sabotage::of(markers) {
        Ok(markers) => markers,
        Err(super::sabotage::Instead::Nothing) => return std::future::pending().await,
        Err(super::sabotage::Instead::Results(results)) => return results,
    };
    let image = core.metadata.image();
    let (there, gone): (Vec<_>, Vec<_>) = markers
        .partitions
        .iter()
        .cloned()
        .partition(|one| image.partition(&one.topic, one.partition).is_some());
    let marker = Marker {
        producer_id: markers.producer_id,
        producer_epoch: markers.producer_epoch,
        commit: markers.commit,
        coordinator_epoch: markers.coordinator_epoch,
        transaction_version: markers.transaction_version.level().into(),
    };
    let mut results = transaction_markers::write(core, marker, there).await;
    results.extend(gone.into_iter().map(|one| (one, Ok(()))));
    results
}
