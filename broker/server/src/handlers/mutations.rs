//! How the handlers that make or delete partitions keep to their clients' budgets (KIP-599): what does not fit is left out of the
//! request and answered with THROTTLING_QUOTA_EXCEEDED, or by older clients done and waited for.

use forebay_protocol::ErrorCode;

use crate::call::Call;
use crate::clock;
use crate::quotas::{Mutations, throttle_time_ms};

/// The budget of one request.
pub(super) struct Budget<'a> {
    mutations: Mutations<'a>,
}

impl<'a> Budget<'a> {
    /// The budget of the client that calls; from version `strict_since` on it can be told of what was not done.
    pub(super) fn of(call: &'a Call, strict_since: i16) -> Self {
        let is_strict = call.version >= strict_since;
        Self {
            mutations: call.core.quotas.mutations(&call.context, is_strict),
        }
    }

    /// Splits what is asked for into what fits and what does not, in the order of the request; `partitions` says how many
    /// partitions each makes or deletes.
    pub(super) fn split<T>(&self, asked: Vec<T>, partitions: impl Fn(&T) -> usize) -> (Vec<T>, Vec<T>) {
        if !self.mutations.is_bounded() {
            return (asked, Vec::new());
        }
        let now = clock::monotonic();
        let fits = |one: &T| self.mutations.take(count(partitions(one)), now);
        asked.into_iter().partition(fits)
    }

    /// Partitions that were refused after all cost nothing: of what was asked for, each with its partitions, that is what `is_done` is not
    /// said of.
    pub(super) fn give_back<T>(
        &self,
        asked: impl IntoIterator<Item = (T, usize)>,
        is_done: impl Fn(&T) -> bool,
    ) {
        if !self.mutations.is_bounded() {
            return;
        }
        let refused = asked.into_iter().filter(|(one, _)| !is_done(one));
        let partitions: usize = refused.map(|(_, partitions)| partitions).sum();
        if partitions > 0 {
            self.mutations.take(-count(partitions), clock::monotonic());
        }
    }

    /// How long the client is not to be heard, as the response says it.
    pub(super) fn throttle_time_ms(&self) -> i32 {
        throttle_time_ms(self.mutations.throttle_time(clock::monotonic()))
    }
}

fn count(partitions: usize) -> i32 {
    i32::try_from(partitions).unwrap_or(i32::MAX)
}

/// What is said of what did not fit.
pub(super) const EXCEEDED: ErrorCode = ErrorCode::ThrottlingQuotaExceeded;
