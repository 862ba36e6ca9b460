//! What a leader knows of a follower (Kafka's `Replica`).

use forebay_records::{NO_OFFSET, Offset, Timestamp};

/// A follower's progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replica {
    /// What it has, by its last fetch; none before its first.
    pub(crate) log_end_offset: Offset,
    /// Its beginning, by its last fetch; none before its first.
    pub(crate) log_start_offset: Offset,
    /// When it last had everything that the leader had.
    pub(crate) last_caught_up: Timestamp,
    /// The leader's log end when it last fetched, and when that was.
    last_fetch_leader_end: Offset,
    last_fetch: Timestamp,
}

impl Replica {
    /// At the start of a leadership: a replica in sync has its time to fetch.
    pub(crate) fn new(in_sync: bool, now: Timestamp) -> Self {
        Self {
            log_end_offset: NO_OFFSET,
            log_start_offset: NO_OFFSET,
            last_caught_up: if in_sync { now } else { Timestamp::ZERO },
            last_fetch_leader_end: NO_OFFSET,
            last_fetch: Timestamp::ZERO,
        }
    }

    /// It fetched from `fetch_offset`, so it has all before. Having what the leader had at the fetch before counts as caught
    /// up at that time, as the leader moves on while the answer is on its way.
    pub(crate) fn fetched(
        &mut self,
        fetch_offset: Offset,
        log_start_offset: Offset,
        leader_end: Offset,
        now: Timestamp,
    ) {
        if fetch_offset >= leader_end {
            self.last_caught_up = self.last_caught_up.max(now);
        } else if self.last_fetch_leader_end.is_some() && fetch_offset >= self.last_fetch_leader_end {
            self.last_caught_up = self.last_caught_up.max(self.last_fetch);
        }
        self.log_end_offset = fetch_offset;
        self.log_start_offset = log_start_offset;
        self.last_fetch_leader_end = leader_end;
        self.last_fetch = now;
    }

    /// When it is to leave the in-sync replicas if it does not fetch on; none while it has everything.
    pub(crate) fn lags_at(&self, leader_end: Offset, lag_ms_max: i64) -> Option<Timestamp> {
        (self.log_end_offset != leader_end).then(|| self.last_caught_up + lag_ms_max + 1)
    }
}
