//! Kafka's checkpoint files: text of a version, a count, and so many lines (`CheckpointFile`). Written in one step that
//! survives a loss of power. They carry no checksum: whatever is not exactly as it should be is refused, and the
//! reader decides what it can do without.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use forebay_disk::{Disk, DiskExt};
use forebay_records::{LeaderEpoch, Offset};

use crate::error::{Error, Result};
use crate::topic_partition::TopicPartition;

/// Offsets up to which logs are synced.
pub(crate) const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
/// Offsets at which logs start, where that is not their first segment's.
pub(crate) const LOG_START_OFFSETS: &str = "log-start-offset-checkpoint";
/// High watermarks.
pub(crate) const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
/// Offsets up to which compacted logs are clean.
pub(crate) const CLEANER_OFFSETS: &str = "cleaner-offset-checkpoint";
/// Leader epochs of one log, in its folder.
pub(crate) const LEADER_EPOCHS: &str = "leader-epoch-checkpoint";

const VERSION: &str = "0";
/// No checkpoint of more bytes is read: some millions of lines.
const BYTES_MAX: u64 = 256 * 1024 * 1024;

/// An offset for each partition.
pub(crate) type Offsets = BTreeMap<TopicPartition, Offset>;

/// Reads `topic partition offset` lines; none if the file is missing.
pub(crate) fn read_offsets(disk: &dyn Disk, path: &Path) -> Result<Offsets> {
    let parse = |line: &str| {
        let mut words = line.split_whitespace();
        let (topic, partition, offset) = (
            words.next()?,
            words.next()?.parse().ok()?,
            words.next()?.parse().ok()?,
        );
        let partition = TopicPartition::new(topic, partition).ok()?;
        words.next().is_none().then_some((partition, Offset(offset)))
    };
    Ok(read(disk, path, parse)?.into_iter().collect())
}

/// Replaces the file.
pub(crate) fn write_offsets(disk: &dyn Disk, path: &Path, offsets: &Offsets) -> Result<()> {
    let line = |text: &mut String, (partition, offset): (&TopicPartition, &Offset)| {
        let (topic, number) = (partition.topic(), partition.partition());
        writeln!(text, "{topic} {number} {offset}").expect("a String takes everything");
    };
    write(disk, path, offsets.iter(), line)
}

/// Reads `epoch offset` lines; none if the file is missing.
pub(crate) fn read_epochs(disk: &dyn Disk, path: &Path) -> Result<Vec<(LeaderEpoch, Offset)>> {
    read(disk, path, |line| {
        let mut words = line.split_whitespace();
        let (epoch, offset) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        words
            .next()
            .is_none()
            .then_some((LeaderEpoch(epoch), Offset(offset)))
    })
}

/// Replaces the file.
pub(crate) fn write_epochs(
    disk: &dyn Disk,
    path: &Path,
    epochs: &BTreeMap<LeaderEpoch, Offset>,
) -> Result<()> {
    let line = |text: &mut String, (epoch, offset): (&LeaderEpoch, &Offset)| {
        writeln!(text, "{epoch} {offset}").expect("a String takes everything");
    };
    write(disk, path, epochs.iter(), line)
}

fn read<T>(disk: &dyn Disk, path: &Path, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>> {
    let bytes = match disk.read(path, BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let malformed = |line: usize, reason: &str| Error::InvalidFile {
        path: PathBuf::from(path),
        reason: Arc::from(format!("line {line}: {reason}")),
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| malformed(1, "the file is not text"))?;
    let mut lines = text.lines();
    if lines.next().map(str::trim) != Some(VERSION) {
        return Err(malformed(1, "the version is not 0"));
    }
    let count = lines.next().and_then(|line| line.trim().parse::<usize>().ok());
    let count = count.ok_or_else(|| malformed(2, "the number of entries is missing"))?;
    let mut entries = Vec::new();
    for (number, line) in lines.enumerate() {
        entries.push(parse(line).ok_or_else(|| malformed(number + 3, "it is not an entry"))?);
    }
    if entries.len() != count || !text.ends_with('\n') {
        return Err(malformed(
            2,
            &format!("{count} entries are announced and {} are there", entries.len()),
        ));
    }
    Ok(entries)
}

fn write<T>(
    disk: &dyn Disk,
    path: &Path,
    entries: impl ExactSizeIterator<Item = T>,
    line: impl Fn(&mut String, T),
) -> Result<()> {
    let mut text = format!("{VERSION}\n{}\n", entries.len());
    for entry in entries {
        line(&mut text, entry);
    }
    Ok(disk.write_atomically(path, text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use forebay_disk::{MemoryDisk, OpenOptions};

    use super::*;

    fn put(disk: &MemoryDisk, path: &Path, text: &str) {
        let file = disk.open(path, OpenOptions::replace()).expect("open");
        file.write_all_at(text.as_bytes(), 0).expect("write");
    }

    #[test]
    fn the_text_is_kafkas() {
        let disk = MemoryDisk::new();
        let path = Path::new("/recovery-point-offset-checkpoint");
        assert!(read_offsets(&disk, path).expect("missing").is_empty());
        let partition = |topic, number| TopicPartition::new(topic, number).expect("valid");
        let offsets = Offsets::from([(partition("b-1", 3), Offset(7)), (partition("a", 10), Offset(0))]);
        write_offsets(&disk, path, &offsets).expect("written");
        assert_eq!(disk.read(path, 100).expect("read"), b"0\n2\na 10 0\nb-1 3 7\n");
        assert_eq!(read_offsets(&disk, path).expect("read"), offsets);
        let path = Path::new("/leader-epoch-checkpoint");
        let epochs = BTreeMap::from([(LeaderEpoch(0), Offset(0)), (LeaderEpoch(3), Offset(12))]);
        write_epochs(&disk, path, &epochs).expect("written");
        assert_eq!(disk.read(path, 100).expect("read"), b"0\n2\n0 0\n3 12\n");
        assert_eq!(
            read_epochs(&disk, path).expect("read"),
            epochs.into_iter().collect::<Vec<_>>()
        );
    }

    #[test]
    fn whatever_is_malformed_is_refused() {
        let disk = MemoryDisk::new();
        let path = Path::new("/x");
        put(&disk, path, "0\n1\nt 0 5\n");
        assert_eq!(read_offsets(&disk, path).expect("good").len(), 1);
        for bad in [
            "",
            "1\n0\n",
            "0\n",
            "0\nx\n",
            "0\n2\nt 0 5\n",
            "0\n0\nt 0 5\n",
            "0\n1\nt 0\n",
            "0\n1\nt 0 5 6\n",
            "0\n1\n.. 0 5\n",
            "0\n1\nt -1 5\n",
            "0\n1\nt 0 5",
            "0\n1\nt 0 99999999999999999999\n",
            "0\n-1\n",
        ] {
            put(&disk, path, bad);
            assert!(
                matches!(read_offsets(&disk, path), Err(Error::InvalidFile { .. })),
                "{bad:?}"
            );
        }
    }
}
