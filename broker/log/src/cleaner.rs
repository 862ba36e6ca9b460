//! The parts of compaction (Kafka's `LogCleaner`) that know no log: the map of newest offsets, what becomes of each batch, which
//! transactions are over. [`crate::Log`] puts them together. No clock and no thread of its own: time comes in as a
//! parameter, and [`Pace`] says how fast it may go and when to stop.

mod broken;
mod filter;
mod offset_map;
mod read;
mod transactions;

use forebay_records::Offset;

pub(crate) use broken::Broken;
pub(crate) use filter::{Circumstances, Counts, Filter, Kept};
pub(crate) use offset_map::OffsetMap;
pub(crate) use read::{BatchReader, Spend};
pub(crate) use transactions::{Marker, Transactions};

/// What one cleaner may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CleanerOptions {
    /// `log.cleaner.dedupe.buffer.size` divided by the number of cleaners: memory for the newest offset of each key.
    pub dedupe_buffer_bytes: u64,
    /// `log.cleaner.io.buffer.load.factor`: how full that memory may become.
    pub load_factor: f64,
    /// `log.cleaner.io.buffer.size` divided by the number of cleaners: how much is read, and written, at once. A larger
    /// batch takes what it needs.
    pub io_buffer_bytes: usize,
}

impl Default for CleanerOptions {
    /// Kafka's defaults for one cleaner.
    fn default() -> CleanerOptions {
        CleanerOptions {
            dedupe_buffer_bytes: 128 * 1024 * 1024,
            load_factor: 0.9,
            io_buffer_bytes: 512 * 1024,
        }
    }
}

/// How fast a cleaner may go, and whether it goes on.
pub trait Pace {
    /// So many bytes were read or written: waits if that was too fast, and looks at `goes_on` several times a second
    /// meanwhile. False: stop now, what is half done is dropped.
    fn spend(&self, bytes: usize, goes_on: &dyn Fn() -> bool) -> bool;
}

/// No limit.
#[derive(Debug, Clone, Copy)]
pub struct Unlimited;

impl Pace for Unlimited {
    fn spend(&self, _bytes: usize, _goes_on: &dyn Fn() -> bool) -> bool {
        true
    }
}

/// What cleaning a log has done.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct Cleaned {
    /// Where the next cleaning goes on.
    pub first_dirty_offset: Offset,
    /// Bytes of the segments that were looked through.
    pub bytes_read: u64,
    /// Bytes that were written anew.
    pub bytes_written: u64,
    /// Records that were looked at.
    pub records_read: u64,
    /// Records that were kept.
    pub records_kept: u64,
    /// Records without a key, which a compacted topic does not keep.
    pub records_without_key: u64,
    /// How full the offset map was, of 1.
    pub buffer_utilization: f64,
    /// Segments that took the place of others.
    pub segments_replaced: usize,
}

/// Why a log was not cleaned.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The cleaner was told to stop, or the log was cut, closed or deleted meanwhile. It is as it was.
    #[error("the cleaning was interrupted")]
    Interrupted,
    /// The log cannot be read, or written.
    #[error(transparent)]
    Log(#[from] crate::Error),
}

/// The result of a step of cleaning.
pub(crate) type Result<T> = std::result::Result<T, Error>;
