//! Loading a coordinator: its partition is read through, oldest record first, on I/O threads.

use std::fmt;
use std::sync::Arc;

use forebay_broker_coordinator::Coordinator;
use forebay_broker_log::Read;
use forebay_records::batches;

use crate::replicas::{self, Replica, read_whole};

/// Read at a time.
const READ_BYTES: usize = 1024 * 1024;

/// Why a partition's coordinator cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error<E: fmt::Display> {
    /// The log cannot be read.
    #[error(transparent)]
    Replica(#[from] replicas::Error),
    /// A batch is damaged.
    #[error(transparent)]
    Batch(#[from] forebay_records::Error),
    /// A record is none of the coordinator's.
    #[error("{0}")]
    Record(E),
}

/// A coordinator that knows what the log of its partition says.
pub(super) async fn load<C: Coordinator<Error: fmt::Display>>(
    replica: &Arc<Replica>,
    mut coordinator: C,
) -> Result<C, Error<C::Error>> {
    let Some(log) = replica.log() else {
        return Ok(coordinator);
    };
    let mut offset = log.log_start_offset();
    let end = log.log_end_offset();
    while offset < end {
        let read = Read {
            offset,
            up_to: end,
            max_bytes: READ_BYTES,
            min_one_batch: true,
        };
        let (found, next) = replica
            .on_log(move |log| read_whole(log, &read))
            .await?
            .unwrap_or_default();
        if found.is_empty() {
            break;
        }
        for batch in batches(found) {
            coordinator.replay_batch(&batch?).map_err(Error::Record)?;
        }
        offset = next;
    }
    Ok(coordinator)
}
