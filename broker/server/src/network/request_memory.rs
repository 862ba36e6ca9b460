//! How much memory requests may take over all connections (`queued.max.request.bytes`). Small frames are free; a large one takes
//! its share as its bytes arrive and gives it back when it is answered. When all is taken, one connection at a time may go
//! over: half-read frames that wait for each other cannot stop the broker.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::buffers::Buffers;

/// The unit that is counted, so that the counts fit into the semaphore's.
const UNIT_BYTES: usize = 1024;

/// The memory for requests of all connections. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct RequestMemory {
    /// None: no bound.
    units: Option<Arc<Semaphore>>,
    overdraft: Arc<Semaphore>,
    buffers: Buffers,
}

/// What one frame has taken; dropping it gives it back.
#[derive(Debug, Default)]
pub(crate) struct Grant {
    units: Option<OwnedSemaphorePermit>,
    overdraft: Option<OwnedSemaphorePermit>,
}

impl RequestMemory {
    /// So many bytes, or as many as anyone wants.
    pub(crate) fn new(bytes_max: Option<usize>) -> Self {
        let units =
            bytes_max.map(|bytes| Arc::new(Semaphore::new((bytes / UNIT_BYTES).min(Semaphore::MAX_PERMITS))));
        Self {
            units,
            overdraft: Arc::new(Semaphore::new(1)),
            buffers: Buffers::default(),
        }
    }

    /// Memory of frames that were answered.
    pub(crate) fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// Raises a grant to `bytes`, waiting until there is room or nobody else is over the bound.
    pub(crate) async fn raise(&self, grant: &mut Grant, bytes: usize) {
        let Some(units) = &self.units else { return };
        let have = grant.units.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let wanted = bytes.div_ceil(UNIT_BYTES);
        let missing = u32::try_from(wanted.saturating_sub(have)).unwrap_or(u32::MAX);
        if missing == 0 || grant.overdraft.is_some() {
            return;
        }
        // Neither semaphore is ever closed.
        tokio::select! {
            biased;
            Ok(more) = Arc::clone(units).acquire_many_owned(missing) => match &mut grant.units {
                Some(units) => units.merge(more),
                none => *none = Some(more),
            },
            Ok(overdraft) = Arc::clone(&self.overdraft).acquire_owned() => grant.overdraft = Some(overdraft),
        }
    }
}

impl Grant {
    /// Whether it has taken anything.
    pub(crate) fn is_some(&self) -> bool {
        self.units.is_some() || self.overdraft.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn half_read_frames_cannot_block_each_other() {
        let memory = RequestMemory::new(Some(4 * UNIT_BYTES));
        let (mut first, mut second, mut third) = (Grant::default(), Grant::default(), Grant::default());
        memory.raise(&mut first, 2 * UNIT_BYTES).await;
        memory.raise(&mut second, 2 * UNIT_BYTES).await;
        // Nothing is left: one may go over, the next one waits for it.
        memory.raise(&mut first, 100 * UNIT_BYTES).await;
        assert!(first.overdraft.is_some());
        let waiting = timeout(Duration::from_millis(5), memory.raise(&mut third, UNIT_BYTES));
        assert!(waiting.await.is_err());
        drop(first);
        memory.raise(&mut third, UNIT_BYTES).await;
        assert!(third.is_some());
        memory.raise(&mut second, 3 * UNIT_BYTES).await;
        assert!(second.overdraft.is_none(), "there was room again");
    }
}
