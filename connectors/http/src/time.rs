//! Time and chance as the connectors meet them. A seam, so that tests wait for nothing: they see how long a pause would have
//! been, and let a limit pass when they want it to.

use std::{
    hash::{BuildHasher, RandomState},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use forebay_connect_api::BoxFuture;

/// Where time and chance come from.
pub(crate) trait Time: Send + Sync {
    /// Completes after that time, which the caller wants to pass.
    fn pause(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Completes after that time, which the caller hopes not to need.
    fn limit(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Milliseconds since 1970.
    fn now(&self) -> i64;

    /// Any number. Good enough to spread retries, and for nothing else.
    fn chance(&self) -> u64;
}

/// The machine's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RealTime;

impl Time for RealTime {
    fn pause(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn limit(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.pause(duration)
    }

    fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn chance(&self) -> u64 {
        RandomState::new().hash_one(0_u8)
    }
}
