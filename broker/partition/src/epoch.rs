//! Where each leader's records end (Kafka's `LeaderEpochFileCache.endOffsetFor`, KIP-101, KIP-279, KIP-320).

use forebay_records::{LeaderEpoch, NO_LEADER_EPOCH, NO_OFFSET, Offset};

/// A leader epoch that has records, and where they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEntry {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Of its first record.
    pub start_offset: Offset,
}

/// The answer of OffsetForLeaderEpoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEndOffset {
    /// The largest known epoch that is not above the requested one; [`NO_LEADER_EPOCH`] if undefined.
    pub leader_epoch: LeaderEpoch,
    /// After the last record of that epoch; [`NO_OFFSET`] if undefined.
    pub end_offset: Offset,
}

impl EpochEndOffset {
    /// Nothing is known of the requested epoch.
    pub const UNDEFINED: Self = Self {
        leader_epoch: NO_LEADER_EPOCH,
        end_offset: NO_OFFSET,
    };

    /// Whether anything is known.
    #[must_use]
    pub fn is_defined(&self) -> bool {
        self.leader_epoch.is_some() && self.end_offset.is_some()
    }
}

/// Where the records of `requested` end, or of the nearest epoch before it. `entries` ascend in epoch and offset.
#[must_use]
pub fn end_offset_for(
    entries: &[EpochEntry],
    requested: LeaderEpoch,
    log_end_offset: Offset,
) -> EpochEndOffset {
    if requested.is_none() {
        return EpochEndOffset::UNDEFINED;
    }
    if entries.last().is_some_and(|latest| latest.epoch == requested) {
        return EpochEndOffset {
            leader_epoch: requested,
            end_offset: log_end_offset,
        };
    }
    let higher_at = entries.partition_point(|entry| entry.epoch <= requested);
    let Some(higher) = entries.get(higher_at) else {
        return EpochEndOffset::UNDEFINED;
    };
    // An epoch before all known ones has lost its records to retention: it ends where what is left begins.
    let leader_epoch = higher_at
        .checked_sub(1)
        .map_or(requested, |floor| entries[floor].epoch);
    EpochEndOffset {
        leader_epoch,
        end_offset: higher.start_offset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_ends_where_the_next_begins() {
        let entry = |epoch, offset| EpochEntry {
            epoch: LeaderEpoch(epoch),
            start_offset: Offset(offset),
        };
        let entries = [entry(2, 10), entry(3, 20), entry(7, 20), entry(8, 35)];
        for (requested, epoch, end) in [
            (-1, -1, -1),
            (0, 0, 10),
            (2, 2, 20),
            (3, 3, 20),
            (5, 3, 20),
            (7, 7, 35),
            (8, 8, 50),
            (9, -1, -1),
        ] {
            let answer = end_offset_for(&entries, LeaderEpoch(requested), Offset(50));
            let expected = EpochEndOffset {
                leader_epoch: LeaderEpoch(epoch),
                end_offset: Offset(end),
            };
            assert_eq!(answer, expected, "epoch {requested}");
        }
        assert_eq!(
            end_offset_for(&[], LeaderEpoch(0), Offset(0)),
            EpochEndOffset::UNDEFINED
        );
    }
}
