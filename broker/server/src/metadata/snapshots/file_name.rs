//! What the files of metadata snapshots are called (Kafka's `Snapshots`): `<end offset, 20 digits>-<epoch, 10 digits>.checkpoint`, and
//! with `.part` or `.deleted` behind it what is not one yet, or no longer.

use std::fmt;
use std::path::{Path, PathBuf};

use forebay_records::{LeaderEpoch, Offset};

const SUFFIX: &str = ".checkpoint";
const PARTIAL_SUFFIX: &str = ".checkpoint.part";
const DELETED_SUFFIX: &str = ".checkpoint.deleted";
const OFFSET_DIGITS: usize = 20;
const EPOCH_DIGITS: usize = 10;

/// Up to where a snapshot stands for the log (Kafka's `OffsetAndEpoch`); a later one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SnapshotId {
    /// The epoch of the last record that it holds.
    pub(crate) epoch: LeaderEpoch,
    /// The offset after that record.
    pub(crate) end_offset: Offset,
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:020}-{:010}", self.end_offset.0, self.epoch.0)
    }
}

/// What a name says of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It is whole: it got this name last of all.
    Whole,
    /// Somebody was writing it.
    Partial,
    /// It is on its way out.
    Deleted,
}

/// Where a snapshot is.
pub(super) fn path(folder: &Path, id: SnapshotId) -> PathBuf {
    folder.join(format!("{id}{SUFFIX}"))
}

/// Where it is while it is being written.
pub(super) fn partial_path(folder: &Path, id: SnapshotId) -> PathBuf {
    folder.join(format!("{id}{PARTIAL_SUFFIX}"))
}

/// The snapshot that a file is, or is a part of. Kafka puts random digits between the epoch and `.part`.
pub(super) fn parse(name: &str) -> Option<(SnapshotId, State)> {
    let state = if name.ends_with(PARTIAL_SUFFIX) {
        State::Partial
    } else if name.ends_with(DELETED_SUFFIX) {
        State::Deleted
    } else if name.ends_with(SUFFIX) {
        State::Whole
    } else {
        return None;
    };
    let number = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse().ok())
            .flatten()
    };
    let (offset, rest) = name.split_at_checked(OFFSET_DIGITS)?;
    let (epoch, rest) = rest.strip_prefix('-')?.split_at_checked(EPOCH_DIGITS)?;
    if state == State::Whole && rest != SUFFIX {
        return None;
    }
    let id = SnapshotId {
        epoch: LeaderEpoch(i32::try_from(number(epoch)?).ok()?),
        end_offset: Offset(number(offset)?),
    };
    Some((id, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_back() {
        let id = SnapshotId {
            epoch: LeaderEpoch(7),
            end_offset: Offset(1234),
        };
        let folder = Path::new("/d");
        assert_eq!(
            path(folder, id),
            Path::new("/d/00000000000000001234-0000000007.checkpoint")
        );
        for (name, state) in [
            ("00000000000000001234-0000000007.checkpoint", Some(State::Whole)),
            (
                "00000000000000001234-0000000007.checkpoint.part",
                Some(State::Partial),
            ),
            // As Kafka's `Files.createTempFile` makes it.
            (
                "00000000000000001234-0000000007-8271663.checkpoint.part",
                Some(State::Partial),
            ),
            (
                "00000000000000001234-0000000007.checkpoint.deleted",
                Some(State::Deleted),
            ),
            ("00000000000000001234-0000000007-1.checkpoint", None),
            ("bootstrap.checkpoint", None),
            ("leader-epoch-checkpoint", None),
            ("00000000000000001234.log", None),
            ("+0000000000000001234-0000000007.checkpoint", None),
            ("0000000000000000123ä-000000007.checkpoint", None),
            (".checkpoint", None),
        ] {
            assert_eq!(parse(name), state.map(|state| (id, state)), "{name}");
        }
        let largest = SnapshotId {
            epoch: LeaderEpoch(i32::MAX),
            end_offset: Offset::MAX,
        };
        assert_eq!(
            parse(&format!("{largest}.checkpoint")),
            Some((largest, State::Whole))
        );
    }

    #[test]
    fn a_later_epoch_is_later_than_any_offset() {
        let id = |epoch, offset| SnapshotId {
            epoch: LeaderEpoch(epoch),
            end_offset: Offset(offset),
        };
        assert!(id(1, 9) < id(2, 3));
        assert!(id(2, 3) < id(2, 4));
    }
}
