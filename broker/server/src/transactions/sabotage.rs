//! For tests: coordinators that do their work badly, to show that it is noticed. The transactional id says how.

use forebay_broker_coordinator::transaction::Markers;
use forebay_protocol::{ErrorCode, TopicPartition};
use tokio::sync::Semaphore;

/// Markers of this id are written when somebody adds permits to [`HELD`].
pub(crate) const HELD_ID: &str = "sabotage: waits to be let";
pub(crate) static HELD: Semaphore = Semaphore::const_new(0);

/// Waits, if it has to be let.
pub(super) async fn wait(markers: &Markers) {
    if *markers.transactional_id == *HELD_ID {
        HELD.acquire().await.expect("it is never closed").forget();
    }
}

/// What is told of markers instead of writing them.
pub(super) enum Instead {
    Nothing,
    Results(Vec<(TopicPartition, Result<(), ErrorCode>)>),
}

/// What becomes of markers. A coordinator of a later epoch than the first has found them decided in its log.
pub(super) fn of(markers: &Markers) -> Result<Markers, Instead> {
    let was_found = markers.coordinator_epoch > 0;
    let mut markers = markers.clone();
    match &*markers.transactional_id {
        "sabotage: forgets to tell" => {
            let told = markers.partitions.into_iter().map(|one| (one, Ok(())));
            return Err(Instead::Results(told.collect()));
        }
        "sabotage: leaves what it finds decided" if was_found => return Err(Instead::Nothing),
        "sabotage: aborts what it finds decided" if was_found => markers.commit = false,
        _ => {}
    }
    Ok(markers)
}
