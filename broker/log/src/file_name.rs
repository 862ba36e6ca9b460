//! What the files of a log are called: `<base offset, 20 digits>.<what>` (Kafka's `LogFileUtils`), and the suffixes that
//! say that a file is not, or no longer, part of the log.

use std::path::{Path, PathBuf};

use forebay_records::Offset;

/// Batches.
pub(crate) const LOG: &str = "log";
/// Offset to position.
pub(crate) const OFFSET_INDEX: &str = "index";
/// Timestamp to offset.
pub(crate) const TIME_INDEX: &str = "timeindex";
/// Aborted transactions.
pub(crate) const TRANSACTION_INDEX: &str = "txnindex";
/// Producer state up to the offset in the name.
pub(crate) const PRODUCER_SNAPSHOT: &str = "snapshot";
/// To be removed when the delay is over.
pub(crate) const DELETED: &str = ".deleted";
/// Found behind a gap after a crash; kept for whoever knows better.
pub(crate) const STRAY: &str = ".stray";
/// The compactor's unfinished work.
pub(crate) const CLEANED: &str = ".cleaned";
/// The compactor's finished work, to take the place of what it replaces.
pub(crate) const SWAP: &str = ".swap";
/// A small file that was being replaced.
pub(crate) const TEMPORARY: &str = ".tmp";

/// The kinds of files a segment has, the log first.
pub(crate) const SEGMENT_KINDS: [&str; 4] = [LOG, OFFSET_INDEX, TIME_INDEX, TRANSACTION_INDEX];

/// The name of a file of the segment, or of the snapshot, at `offset`.
pub(crate) fn path(folder: &Path, offset: Offset, kind: &str) -> PathBuf {
    folder.join(format!("{:020}.{kind}", offset.value()))
}

/// Offset and the rest behind the first dot, if the name begins with an offset.
pub(crate) fn parse(name: &str) -> Option<(Offset, &str)> {
    let (digits, rest) = name.split_once('.')?;
    let is_offset = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let offset = digits.parse().ok().filter(|_| is_offset)?;
    Some((Offset(offset), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_back() {
        let largest = path(Path::new("/d"), Offset::MAX, LOG);
        assert_eq!(largest, Path::new("/d/09223372036854775807.log"));
        assert_eq!(parse("09223372036854775807.log"), Some((Offset::MAX, "log")));
        assert_eq!(
            parse("00000000000000000012.index.deleted"),
            Some((Offset(12), "index.deleted"))
        );
        for other in [
            "12.log",
            "0000000000000000001x.log",
            "99999999999999999999.log",
            "leader-epoch-checkpoint",
            "",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
        // A metadata snapshot of Kafka's is not ours to touch.
        assert_eq!(parse("00000000000000000012-0000000001.checkpoint"), None);
    }
}
