//! How many bytes lie between two offsets near the end of the log, so that a waiting fetch can be told how much there is
//! without asking the log. Only a bounded tail is remembered: what lies before it counts as plenty.

use std::collections::VecDeque;

use forebay_records::Offset;

/// Appends that are remembered per partition.
pub const POSITIONS_MAX: usize = 1024;

#[derive(Clone, Debug)]
pub(crate) struct Positions {
    /// Log end offset after an append, and the bytes appended until then.
    ends: VecDeque<(Offset, u64)>,
}

impl Positions {
    pub(crate) fn new(log_end_offset: Offset) -> Self {
        Self {
            ends: VecDeque::from([(log_end_offset, 0)]),
        }
    }

    pub(crate) fn appended(&mut self, log_end_offset: Offset, bytes: u64) {
        let total = self.ends.back().map_or(0, |(_, total)| *total);
        if self.ends.len() == POSITIONS_MAX {
            self.ends.pop_front();
        }
        self.ends.push_back((log_end_offset, total.saturating_add(bytes)));
    }

    pub(crate) fn truncated(&mut self, log_end_offset: Offset) {
        while self.ends.back().is_some_and(|(end, _)| *end > log_end_offset) {
            self.ends.pop_back();
        }
        if self.ends.is_empty() {
            self.ends.push_back((log_end_offset, 0));
        }
    }

    /// Bytes of the appends from `from` up to `to`; [`u64::MAX`] where they are not remembered.
    pub(crate) fn bytes_between(&self, from: Offset, to: Offset) -> u64 {
        if from >= to {
            return 0;
        }
        match (self.total_at(from), self.total_at(to)) {
            (Some(start), Some(end)) => end - start,
            _ => u64::MAX,
        }
    }

    /// Bytes of the appends that end at or before `offset`.
    fn total_at(&self, offset: Offset) -> Option<u64> {
        let after = self.ends.partition_point(|(end, _)| *end <= offset);
        after.checked_sub(1).map(|index| self.ends[index].1)
    }
}
