//! The other files of a directory: which of them is the old content of a file that was rotated by copying, or while nobody looked.
//!
//! Taking another file for it would publish lines that nobody asked for. So one counts only if its name says that it belongs to
//! the file, and it holds every byte that was read, and those are many enough: files of one directory often begin alike.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use forebay_connect_api::Access;

use super::fingerprint;
use crate::open;

/// Files of a directory among which is looked.
const SIBLINGS_MAX: usize = 10_000;

/// Fewer bytes in common than these prove nothing: they may be a heading that many files have.
pub(super) const PROOF_BYTES_MIN: u64 = 256;

/// Read at once when the bytes before a position are compared.
const COMPARE_BYTES: u64 = 1024 * 1024;

/// What was read of a file that is no longer there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trace<'a> {
    /// Up to where its lines were given out.
    pub(super) position: u64,
    /// Of the beginning, to leave out most others at once.
    pub(super) fingerprint: u32,
    /// Over every byte before `position`.
    pub(super) checksum: u32,
    /// What was read behind `position`.
    pub(super) pending: &'a [u8],
}

/// The sibling of `path` that is what `trace` tells of; the one that was written last, if there are several.
pub(super) fn find(path: &Path, trace: &Trace<'_>, access: &Access) -> Option<(PathBuf, File)> {
    let mut best: Option<(SystemTime, PathBuf, File)> = None;
    for (sibling, modified) in of(path) {
        if best.as_ref().is_some_and(|(newest, ..)| *newest >= modified) || !is_namesake(path, &sibling) {
            continue;
        }
        let opened = open::open(&sibling, OpenOptions::new().read(true), access);
        if let Ok(Some(file)) = opened
            && trace.is_of(&file).unwrap_or(false)
        {
            best = Some((modified, sibling, file));
        }
    }
    best.map(|(_, path, file)| (path, file))
}

/// The other regular files of the directory of `path`, with the time of their last change.
pub(super) fn of(path: &Path) -> impl Iterator<Item = (PathBuf, SystemTime)> + '_ {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let entries = std::fs::read_dir(directory.unwrap_or(Path::new(".")))
        .into_iter()
        .flatten();
    entries.take(SIBLINGS_MAX).filter_map(|entry| {
        let entry = entry.ok()?;
        let metadata = entry.metadata().ok()?;
        let is_other = Some(entry.file_name().as_os_str()) != path.file_name();
        (metadata.is_file() && is_other)
            .then(|| Some((entry.path(), metadata.modified().ok()?)))
            .flatten()
    })
}

/// Whether a name is one that those who rotate give: `app.log.1`, `app.log-20261121`, `app-2026-11-21.log` for `app.log`.
pub(crate) fn is_namesake(path: &Path, sibling: &Path) -> bool {
    let (Some(stem), Some(name)) = (path.file_stem(), sibling.file_name()) else {
        return false;
    };
    let rest = name.as_encoded_bytes().strip_prefix(stem.as_encoded_bytes());
    rest.is_some_and(|rest| rest.first().is_some_and(|next| !next.is_ascii_alphanumeric()))
}

impl Trace<'_> {
    /// Whether `file` holds everything that was read. A copy may lack the end of it: what was written while it was being made.
    fn is_of(&self, file: &File) -> io::Result<bool> {
        let length = file.metadata()?.len();
        let Some(behind) = length.checked_sub(self.position) else {
            return Ok(false);
        };
        let common = usize::try_from(behind)
            .unwrap_or(usize::MAX)
            .min(self.pending.len());
        if self.position + (common as u64) < PROOF_BYTES_MIN
            || !fingerprint::is_same(file, self.position, Some(self.fingerprint))?
        {
            return Ok(false);
        }
        let mut pending = vec![0; common];
        file.read_exact_at(&mut pending, self.position)?;
        Ok(pending == self.pending[..common] && checksum(file, self.position)? == self.checksum)
    }
}

/// The checksum over the first `length` bytes.
fn checksum(file: &File, length: u64) -> io::Result<u32> {
    let mut buffer = Vec::new();
    let (mut checksum, mut position) = (0, 0);
    while position < length {
        let count = (length - position).min(COMPARE_BYTES);
        buffer.resize(usize::try_from(count).expect("a million"), 0);
        file.read_exact_at(&mut buffer, position)?;
        checksum = crc32c::crc32c_append(checksum, &buffer);
        position += count;
    }
    Ok(checksum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rotated_files_begin_with_the_files_own() {
        for (sibling, expected) in [
            ("app.log.1", true),
            ("app.log-20261121", true),
            ("app-2026-11-21.log", true),
            ("app.1.log", true),
            ("app.log~", true),
            ("apples.log", false),
            ("app", false),
            ("passwords.txt", false),
            (".app.log.swp", false),
        ] {
            let path = |name: &str| Path::new("/var/log").join(name);
            assert_eq!(
                is_namesake(&path("app.log"), &path(sibling)),
                expected,
                "{sibling}"
            );
        }
    }

    #[test]
    fn a_copy_holds_all_that_was_read_and_enough_of_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        let content: Vec<u8> = (0..1000_u32).map(|number| number.to_le_bytes()[0]).collect();
        std::fs::write(&path, &content).expect("written");
        let file = File::open(&path).expect("opened");
        let trace = |position: usize, pending: &'static [u8]| Trace {
            position: position as u64,
            fingerprint: crc32c::crc32c(&content[..position]),
            checksum: crc32c::crc32c(&content[..position]),
            pending,
        };
        let minimum = usize::try_from(PROOF_BYTES_MIN).expect("small");
        let other_middle = Trace {
            checksum: 1,
            ..trace(900, b"")
        };
        for (trace, expected) in [
            (trace(1000, b""), true),
            (trace(minimum, b""), true),
            (trace(minimum - 1, b""), false),
            (trace(minimum - 1, b"\xff"), true),
            (trace(minimum - 1, b"\xfe"), false),
            (trace(0, b""), false),
            // The copy was made before the last two bytes.
            (trace(999, b"\xe7\xe8\xe9"), true),
            (trace(998, b"\xe6\xe8\xe9"), false),
            (other_middle, false),
        ] {
            assert_eq!(trace.is_of(&file).expect("read"), expected, "{trace:?}");
        }
        std::fs::write(&path, &content[..500]).expect("written");
        assert!(!trace(501, b"").is_of(&file).expect("read"), "it is shorter");
    }
}
