//! What a consumer knows of a partition that is assigned to it.

use forebay_records::{LeaderEpoch, Offset};
use tokio::time::Instant;

use super::buffer::Buffer;
use crate::{admin::OffsetSpec, backoff::Backoff};

/// Where reading goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// At the committed offset, which is not known yet.
    Committed,
    /// At an end of the partition, or by time, which is not known yet.
    Listed(OffsetSpec),
    /// Here.
    At {
        offset: Offset,
        /// The epoch of the last record before, if known: it is committed along.
        last_epoch: Option<LeaderEpoch>,
    },
}

/// One of the questions where partitions begin, over the life of a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inquiry(pub(super) u64);

/// A partition.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) position: Position,
    pub(super) paused: bool,
    pub(super) buffer: Option<Buffer>,
    /// Its high watermark, when it was fetched last.
    pub(super) end: Option<Offset>,
    /// A fetch of it is under way.
    pub(super) fetching: bool,
    /// Its position is being found out by this inquiry. The answer to another one is of no use: it was asked before a seek, or
    /// before the partition was given up and came back.
    pub(super) locating: Option<Inquiry>,
    failures: u32,
    not_before: Option<Instant>,
}

impl Partition {
    pub(super) fn new() -> Self {
        Self {
            position: Position::Committed,
            paused: false,
            buffer: None,
            end: None,
            fetching: false,
            locating: None,
            failures: 0,
            not_before: None,
        }
    }

    /// The next offset to read, if it is known.
    pub(super) fn offset(&self) -> Option<Offset> {
        match self.position {
            Position::At { offset, .. } => Some(offset),
            Position::Committed | Position::Listed(_) => None,
        }
    }

    /// Reads on from elsewhere; what was fetched is of no use.
    pub(super) fn move_to(&mut self, position: Position) {
        self.position = position;
        self.buffer = None;
        self.locating = None;
        self.failures = 0;
        self.not_before = None;
    }

    /// Reads on behind what was given out.
    pub(super) fn advance(&mut self, offset: Offset, epoch: Option<LeaderEpoch>) {
        let last_epoch = match (epoch, self.position) {
            (Some(epoch), _) => Some(epoch).filter(|epoch| epoch.0 >= 0),
            (None, Position::At { last_epoch, .. }) => last_epoch,
            (None, _) => None,
        };
        self.position = Position::At { offset, last_epoch };
    }

    /// Waits before the next attempt.
    pub(super) fn failed(&mut self, backoff: Backoff) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(Instant::now() + backoff.delay(self.failures));
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.not_before = None;
    }

    /// Until when it waits.
    pub(super) fn waits_until(&self, now: Instant) -> Option<Instant> {
        self.not_before.filter(|not_before| *not_before > now)
    }
}
