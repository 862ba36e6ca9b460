//! The time, in the one place that asks for it: of day, as records have it, and one that is never set, for what is measured.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use forebay_records::Timestamp;

/// The time of day, as records and files have it.
pub(crate) fn now() -> Timestamp {
    timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Milliseconds since the process first asked: it goes on evenly, whatever is done to the time of day.
pub(crate) fn monotonic() -> Timestamp {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    timestamp(START.elapsed())
}

fn timestamp(since_epoch: Duration) -> Timestamp {
    Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
