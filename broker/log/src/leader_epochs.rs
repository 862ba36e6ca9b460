//! Where each leader's records begin (Kafka's `LeaderEpochFileCache`, KIP-101 and KIP-279): followers find the offset at
//! which they parted from the leader, and clients notice that a log was truncated under them.

use std::collections::BTreeMap;

use forebay_records::{LeaderEpoch, Offset};

/// Epochs and their start offsets; both grow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LeaderEpochs {
    starts: BTreeMap<LeaderEpoch, Offset>,
    /// Changed since it was written.
    dirty: bool,
}

impl LeaderEpochs {
    /// From a checkpoint; entries that contradict each other make way for the later one.
    pub(crate) fn from_entries(entries: &[(LeaderEpoch, Offset)]) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for (epoch, start) in entries {
            epochs.assign(*epoch, *start);
        }
        epochs.dirty = false;
        epochs
    }

    pub(crate) fn entries(&self) -> &BTreeMap<LeaderEpoch, Offset> {
        &self.starts
    }

    /// The newest epoch.
    pub(crate) fn latest(&self) -> Option<LeaderEpoch> {
        self.starts.keys().next_back().copied()
    }

    /// Notes that the records from `start` on are of `epoch`. An epoch that is known keeps its earlier start.
    pub(crate) fn assign(&mut self, epoch: LeaderEpoch, start: Offset) {
        if epoch.is_none() || start.is_none() {
            return;
        }
        let latest = self.starts.last_key_value();
        if latest.is_some_and(|(latest, latest_start)| *latest == epoch && start >= *latest_start) {
            return;
        }
        while let Some(last) = self.starts.last_entry()
            && (*last.key() >= epoch || *last.get() >= start)
        {
            last.remove();
        }
        self.starts.insert(epoch, start);
        self.dirty = true;
    }

    /// The epoch of the records at `offset`.
    pub(crate) fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.starts
            .iter()
            .rev()
            .find(|(_, start)| **start <= offset)
            .map(|(epoch, _)| *epoch)
    }

    /// The largest epoch up to `epoch`, and the offset at which its records end. None if nothing is known of it.
    pub(crate) fn end_offset_for(
        &self,
        epoch: LeaderEpoch,
        log_end_offset: Offset,
    ) -> Option<(LeaderEpoch, Offset)> {
        if epoch.is_none() {
            return None;
        }
        if self.latest() == Some(epoch) {
            return Some((epoch, log_end_offset));
        }
        let (_, next_start) = self.starts.range(epoch.next()..).next()?;
        // All records of epochs up to the one asked for may be deleted: then they end where the next one begins.
        let found = self
            .starts
            .range(..=epoch)
            .next_back()
            .map_or(epoch, |(found, _)| *found);
        Some((found, *next_start))
    }

    /// The log now ends before `offset`.
    pub(crate) fn truncate_from_end(&mut self, offset: Offset) {
        let before = self.starts.len();
        self.starts.retain(|_, start| *start < offset);
        self.dirty |= self.starts.len() != before;
    }

    /// The log now starts at `offset`: the epoch that it falls into begins there, and those before are forgotten.
    pub(crate) fn truncate_from_start(&mut self, offset: Offset) {
        let Some(epoch) = self.epoch_of(offset) else {
            return;
        };
        let before = self.starts.clone();
        self.starts = self.starts.split_off(&epoch);
        self.starts.insert(epoch, offset);
        self.dirty |= self.starts != before;
    }

    pub(crate) fn clear(&mut self) {
        self.dirty |= !self.starts.is_empty();
        self.starts.clear();
    }

    /// Whether it must be written; it counts as written from now on.
    pub(crate) fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.dirty)
    }

    /// Whether it must be written.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty
    }

    pub(crate) fn mark_dirty(&mut self) {
        self.dirty = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for (epoch, start) in entries {
            epochs.assign(LeaderEpoch(*epoch), Offset(*start));
        }
        epochs
    }

    fn starts(epochs: &LeaderEpochs) -> Vec<(i32, i64)> {
        epochs
            .entries()
            .iter()
            .map(|(epoch, start)| (epoch.value(), start.value()))
            .collect()
    }

    #[test]
    fn epochs_and_starts_only_grow() {
        for (assigned, expected) in [
            (&[(0, 0), (0, 5), (2, 9)][..], &[(0, 0), (2, 9)][..]),
            (&[(0, 0), (1, 0)], &[(1, 0)]),
            (&[(1, 5), (3, 7), (2, 6)], &[(1, 5), (2, 6)]),
            (&[(1, 5), (3, 7), (4, 6)], &[(1, 5), (4, 6)]),
            (&[(1, 5), (1, 3)], &[(1, 3)]),
            (&[(-1, 5), (1, -1)], &[]),
        ] {
            assert_eq!(starts(&epochs(assigned)), expected, "{assigned:?}");
        }
    }

    #[test]
    fn ends_of_epochs() {
        let epochs = epochs(&[(2, 10), (4, 20), (5, 30)]);
        for (epoch, expected) in [
            (-1, None),
            (1, Some((1, 10))),
            (2, Some((2, 20))),
            (3, Some((2, 20))),
            (4, Some((4, 30))),
            (5, Some((5, 99))),
            (6, None),
        ] {
            let found = epochs.end_offset_for(LeaderEpoch(epoch), Offset(99));
            assert_eq!(
                found.map(|(epoch, end)| (epoch.value(), end.value())),
                expected,
                "epoch {epoch}"
            );
        }
        assert_eq!(
            LeaderEpochs::default().end_offset_for(LeaderEpoch(0), Offset(9)),
            None
        );
        assert_eq!(
            [9, 10, 29, 30].map(|offset| epochs.epoch_of(Offset(offset))),
            [
                None,
                Some(LeaderEpoch(2)),
                Some(LeaderEpoch(4)),
                Some(LeaderEpoch(5))
            ]
        );
    }

    #[test]
    fn truncation_at_both_ends() {
        let all = [(2, 10), (4, 20), (5, 30)];
        for (offset, expected) in [(31, &all[..]), (30, &all[..2]), (20, &all[..1]), (5, &[])] {
            let mut epochs = epochs(&all);
            epochs.take_dirty();
            epochs.truncate_from_end(Offset(offset));
            assert_eq!(starts(&epochs), expected, "end {offset}");
            assert_eq!(epochs.take_dirty(), expected.len() != 3);
        }
        for (offset, expected) in [
            (5, &all[..]),
            (10, &all),
            (15, &[(2, 15), (4, 20), (5, 30)]),
            (20, &all[1..]),
            (40, &[(5, 40)]),
        ] {
            let mut epochs = epochs(&all);
            epochs.truncate_from_start(Offset(offset));
            assert_eq!(starts(&epochs), expected, "start {offset}");
        }
    }
}
