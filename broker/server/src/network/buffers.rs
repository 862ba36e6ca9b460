//! The memory of large frames, used again. What is freed goes back to the operating system where it is large, and comes back a page fault
//! at a time: some percent of what a produced megabyte costs. So who has read a large frame leaves the handle of its memory here, and who
//! reads the next takes the last one that nobody has a slice of any more.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::{MissedTickBehavior, interval};

use super::frame_buffer::Spent;
use crate::shutdown::Shutdown;

/// Memory that is kept while nobody uses it, at most.
const BYTES_MAX: usize = 16 * 1024 * 1024;
/// Handles that are looked through for one that is free.
const HANDLES_MAX: usize = 64;
/// What nobody has used for so long goes.
const IDLE_PERIOD: Duration = Duration::from_secs(5);

/// Of all connections. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buffers(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    /// The one that was left last is at the end: its memory is the warmest.
    handles: VecDeque<Spent>,
    bytes: usize,
    is_used: bool,
}

impl Buffers {
    /// Room for so many bytes, if there is such memory that nobody reads any more.
    pub(crate) fn take(&self, bytes: usize) -> Option<BytesMut> {
        let mut kept = self.lock();
        let free = |spent: &mut Spent| spent.size >= bytes && spent.handle.try_reclaim(bytes);
        let index = (0..kept.handles.len())
            .rev()
            .find(|index| kept.handles.get_mut(*index).is_some_and(free))?;
        let spent = kept.handles.remove(index)?;
        kept.bytes -= spent.size;
        kept.is_used = true;
        Some(spent.handle)
    }

    /// Leaves the memory of a frame here; slices of it may be in use still.
    pub(crate) fn leave(&self, spent: Spent) {
        let mut kept = self.lock();
        kept.bytes += spent.size;
        kept.handles.push_back(spent);
        kept.is_used = true;
        while kept.bytes > BYTES_MAX || kept.handles.len() > HANDLES_MAX {
            let Some(oldest) = kept.handles.pop_front() else {
                break;
            };
            kept.bytes -= oldest.size;
        }
    }

    /// Gives memory back that nobody has used for a while, until the broker stops.
    pub(crate) async fn release_idle(self, shutdown: Shutdown) {
        let mut ticks = interval(IDLE_PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stopped = shutdown.requested();
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                () = &mut stopped => return,
                _tick = ticks.tick() => self.release_unused(),
            }
        }
    }

    fn release_unused(&self) {
        let mut kept = self.lock();
        if !std::mem::take(&mut kept.is_used) {
            *kept = Kept::default();
        }
    }

    /// Nothing in here panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const SIZE: usize = 1 << 20;

    /// A frame that was read, and what its reader leaves.
    fn frame(buffer: &mut BytesMut) -> (Bytes, Spent) {
        buffer.resize(SIZE, 7);
        let size = buffer.capacity();
        let bytes = buffer.split_to(SIZE).freeze();
        let handle = std::mem::take(buffer);
        (bytes, Spent { handle, size })
    }

    #[test]
    fn memory_is_used_again_once_nobody_has_a_slice_of_it() {
        let buffers = Buffers::default();
        let (bytes, spent) = frame(&mut BytesMut::with_capacity(SIZE));
        let place = bytes.as_ptr();
        buffers.leave(spent);
        let slice = bytes.slice(5..);
        drop(bytes);
        assert!(buffers.take(SIZE).is_none(), "a slice of it is in use");
        assert_eq!(slice[0], 7);
        drop(slice);
        assert!(buffers.take(SIZE + 1).is_none(), "it is too small");
        let mut again = buffers.take(SIZE).expect("it is free");
        assert!(again.is_empty() && again.capacity() >= SIZE);
        assert_eq!(again.as_ptr(), place);
        assert!(buffers.take(1).is_none(), "it was given away");
        // And once more, as a frame of the same memory.
        let (bytes, spent) = frame(&mut again);
        buffers.leave(spent);
        drop(bytes);
        assert!(buffers.take(SIZE).is_some());
    }

    #[test]
    fn what_is_kept_is_bounded_and_goes_when_nobody_uses_it() {
        let buffers = Buffers::default();
        for _ in 0..100 {
            let (_bytes, spent) = frame(&mut BytesMut::with_capacity(SIZE));
            buffers.leave(spent);
        }
        assert_eq!(buffers.lock().handles.len(), BYTES_MAX / SIZE);
        buffers.release_unused();
        assert!(buffers.lock().bytes > 0, "it was used in this period");
        buffers.release_unused();
        let kept = buffers.lock();
        assert_eq!((kept.bytes, kept.handles.len()), (0, 0));
    }
}
