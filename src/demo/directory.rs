//! The demo's own directory: made afresh on each run, and never one that somebody else made.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::text;

/// The file by which the demo knows its own directory.
const MARKER: &str = ".forebay-demo";

/// Deletes what an earlier demo left and makes the directory again; gives its absolute path.
pub(super) fn fresh(directory: &Path) -> anyhow::Result<PathBuf> {
    let named = directory.display();
    if directory.exists() {
        if !directory.join(MARKER).is_file() {
            bail!(
                "{named} exists and was not made by the demo; move it away, or run the demo in another directory"
            );
        }
        fs::remove_dir_all(directory).with_context(|| format!("cannot delete {named} of an earlier demo"))?;
    }
    fs::create_dir_all(directory).with_context(|| format!("cannot make {named}"))?;
    fs::write(
        directory.join(MARKER),
        "made by forebay demo; deleted by the next one\n",
    )?;
    Ok(fs::canonicalize(directory)?)
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

    #[test]
    fn only_what_the_demo_made_is_deleted() {
        let temporary = tempfile::tempdir().unwrap();
        let theirs = temporary.path().join("theirs");
        fs::create_dir(&theirs).unwrap();
        fs::write(theirs.join("thesis.txt"), "years of work").unwrap();
        assert!(
            fresh(&theirs)
                .unwrap_err()
                .to_string()
                .contains("was not made by the demo")
        );
        assert!(theirs.join("thesis.txt").exists());
        let ours = temporary.path().join("ours");
        for _ in 0..2 {
            let path = fresh(&ours).unwrap();
            assert!(!path.join("left").exists());
            fs::write(path.join("left"), "over").unwrap();
        }
    }
}
