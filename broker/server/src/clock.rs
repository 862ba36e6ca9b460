//! The time of day, in the one place that asks for it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use forebay_records::Timestamp;

/// The time of day, as records and files have it.
pub(crate) fn now() -> Timestamp {
    timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn timestamp(since_epoch: Duration) -> Timestamp {
    Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
