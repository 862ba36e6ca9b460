//! The demo's own directory: made afresh on each run, and never one that somebody else made.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use forebay_disk::{Disk, Lock, RealDisk};

use super::text;

/// The file by which the demo knows its own directory.
const MARKER: &str = ".forebay-demo";

/// The demo's directory, for as long as the demo runs.
pub(super) struct Directory {
    /// Where it is; absolute.
    pub(super) path: PathBuf,
    _lock: Box<dyn Lock>,
}

/// Deletes what an earlier demo left, unless that still runs, and makes the directory again.
pub(super) fn fresh(directory: &Path) -> anyhow::Result<Directory> {
    let named = directory.display();
    let marker = directory.join(MARKER);
    if directory.exists() {
        if !marker.is_file() {
            bail!(
                "{named} exists and was not made by the demo; move it away, or run the demo in another directory"
            );
        }
        let _of_the_old = lock(directory)?;
        fs::remove_dir_all(directory).with_context(|| format!("cannot delete {named} of an earlier demo"))?;
    }
    fs::create_dir_all(directory).with_context(|| format!("cannot make {named}"))?;
    fs::write(&marker, "made by forebay demo; deleted by the next one\n")?;
    Ok(Directory {
        path: fs::canonicalize(directory)?,
        _lock: lock(directory)?,
    })
}

fn lock(directory: &Path) -> anyhow::Result<Box<dyn Lock>> {
    RealDisk.lock(&directory.join(MARKER)).with_context(|| {
        let named = directory.display();
        format!("a demo is still running in {named}; stop it, or run this one in another directory")
    })
}

/// Writes the demo's own text.
pub(super) fn write_text(directory: &Path) -> anyhow::Result<PathBuf> {
    let path = directory.join("input.txt");
    let mut file = BufWriter::new(File::create(&path)?);
    text::write(&mut file)?;
    file.flush()?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(directory: &Path) -> String {
        fresh(directory)
            .err()
            .map_or(String::new(), |error| error.to_string())
    }

    #[test]
    fn only_what_the_demo_made_is_deleted() {
        let temporary = tempfile::tempdir().unwrap();
        let theirs = temporary.path().join("theirs");
        fs::create_dir(&theirs).unwrap();
        fs::write(theirs.join("thesis.txt"), "years of work").unwrap();
        assert!(refusal(&theirs).contains("was not made by the demo"));
        assert!(theirs.join("thesis.txt").exists());
        let ours = temporary.path().join("ours");
        for _ in 0..2 {
            let fresh = fresh(&ours).unwrap();
            assert!(!fresh.path.join("left").exists());
            fs::write(fresh.path.join("left"), "over").unwrap();
            assert!(refusal(&ours).contains("still running"));
            assert!(fresh.path.join("left").exists());
        }
    }
}
