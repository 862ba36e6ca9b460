//! What lies in a log's folder, sorted; what a crash left of deletions and of compactions is put right first
//! (`LogLoader.removeTempFilesAndCollectSwapFiles`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use forebay_disk::{Disk, FileKind, OpenOptions};
use forebay_records::Offset;

use crate::error::Result;
use crate::file_name;
use crate::segment::{Found, Scan};

/// The files of a log.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// Base offsets of the segments.
    pub(super) segments: BTreeSet<Offset>,
    /// Offsets of the producer snapshots.
    pub(super) snapshots: BTreeSet<Offset>,
}

/// Finishes or undoes what was interrupted, and lists the rest. Files that are not a log's own stay untouched.
pub(super) fn tidy(disk: &dyn Disk, folder: &Path) -> Result<Files> {
    let names = list(disk, folder)?;
    let mut swaps = Vec::new();
    let mut cleaned = Vec::new();
    for name in &names {
        if name.ends_with(file_name::TEMPORARY) || is_deleted(name) {
            disk.remove_file(&folder.join(name))?;
        } else if let Some((offset, _)) = file_name::parse(name) {
            if name.ends_with(file_name::CLEANED) {
                cleaned.push((offset, name));
            } else if name.ends_with(file_name::SWAP) {
                swaps.push((offset, name));
            }
        }
    }
    // A compaction that had not finished: what it had made ready from there on is of no use.
    let unfinished = cleaned.iter().map(|(offset, _)| *offset).min();
    for (offset, name) in &swaps {
        if unfinished.is_some_and(|first| *offset >= first) {
            disk.remove_file(&folder.join(name))?;
        }
    }
    for (_, name) in &cleaned {
        disk.remove_file(&folder.join(name))?;
    }
    swaps.retain(|(offset, _)| unfinished.is_none_or(|first| *offset < first));
    if !swaps.is_empty() {
        let swaps: Vec<&str> = swaps.iter().map(|(_, name)| name.as_str()).collect();
        finish_swap(disk, folder, &swaps)?;
    }
    disk.sync_dir(folder)?;
    sort(disk, folder)
}

/// Kafka's metadata snapshots end with `.checkpoint.deleted` and are not a log's.
fn is_deleted(name: &str) -> bool {
    name.ends_with(file_name::DELETED) && file_name::parse(name).is_some()
}

/// A compaction had finished: its segments take the place of those that they cover.
fn finish_swap(disk: &dyn Disk, folder: &Path, swaps: &[&str]) -> Result<()> {
    let mut covered: Option<(Offset, Offset)> = None;
    let mut base_offsets = BTreeSet::new();
    for name in swaps {
        if let Some((base_offset, kind)) = file_name::parse(name)
            && kind.strip_suffix(file_name::SWAP) == Some(file_name::LOG)
        {
            base_offsets.insert(base_offset);
            let next_offset = next_offset(disk, &folder.join(name), base_offset)?;
            let (first, end) = covered.unwrap_or((base_offset, next_offset));
            covered = Some((first.min(base_offset), end.max(next_offset)));
        }
    }
    if let Some((first, end)) = covered {
        let names = list(disk, folder)?;
        let is_there = |offset, kind| {
            names
                .iter()
                .any(|name| file_name::parse(name) == Some((offset, kind)))
        };
        // An index beside a `.log.swap` has got its final name already, unless the batches that are replaced are there still: they
        // go after their indexes.
        let (mut indexes, mut batches) = (Vec::new(), Vec::new());
        for name in &names {
            match file_name::parse(name) {
                Some((offset, _)) if !(first..end).contains(&offset) => {}
                Some((_, file_name::LOG)) => batches.push(name),
                Some((offset, kind))
                    if file_name::SEGMENT_KINDS.contains(&kind)
                        && (!base_offsets.contains(&offset) || is_there(offset, file_name::LOG)) =>
                {
                    indexes.push(name);
                }
                _ => {}
            }
        }
        for name in indexes.into_iter().chain(batches) {
            disk.remove_file(&folder.join(name))?;
        }
    }
    // The batches last: as long as they are `.swap`, the next start does all of this again.
    let (batches, indexes): (Vec<&str>, Vec<&str>) = swaps
        .iter()
        .partition(|name| file_name::parse(name).is_some_and(|(_, kind)| kind.starts_with("log.")));
    disk.sync_dir(folder)?;
    for name in indexes.into_iter().chain(batches) {
        let target = name.strip_suffix(file_name::SWAP).expect("all of them end so");
        disk.rename(&folder.join(name), &folder.join(target))?;
    }
    Ok(())
}

/// The offset after the last batch of a segment file.
fn next_offset(disk: &dyn Disk, path: &Path, base_offset: Offset) -> Result<Offset> {
    let file = disk.open(path, OpenOptions::read())?;
    let mut scan = Scan::all_headers(&*file, path, 0, file.len()?);
    let mut next_offset = base_offset;
    while let Found::Batch(batch) = scan.next()? {
        next_offset = batch.header.next_offset();
    }
    Ok(next_offset)
}

fn sort(disk: &dyn Disk, folder: &Path) -> Result<Files> {
    let names = list(disk, folder)?;
    let mut files = Files::default();
    let mut others: Vec<(Offset, PathBuf)> = Vec::new();
    for name in names {
        match file_name::parse(&name) {
            Some((offset, file_name::LOG)) => {
                files.segments.insert(offset);
            }
            Some((offset, file_name::PRODUCER_SNAPSHOT)) => {
                files.snapshots.insert(offset);
            }
            Some((offset, kind)) if file_name::SEGMENT_KINDS.contains(&kind) => {
                others.push((offset, folder.join(name)));
            }
            _ => {}
        }
    }
    for (offset, path) in others {
        if !files.segments.contains(&offset) {
            tracing::warn!(index = %path.display(), "removing an index without its segment");
            disk.remove_file(&path)?;
        }
    }
    Ok(files)
}

fn list(disk: &dyn Disk, folder: &Path) -> Result<Vec<String>> {
    let entries = disk.read_dir(folder)?;
    let files = entries.into_iter().filter(|entry| entry.kind == FileKind::File);
    Ok(files.filter_map(|entry| entry.name.into_string().ok()).collect())
}

#[cfg(test)]
mod tests {
    use forebay_disk::{DiskExt, MemoryDisk};
    use forebay_records::{BatchBuilder, BatchOptions, Headers};

    use super::*;
    use crate::testing::NOW;

    /// A transaction index beside finished batches that have none is the old one's if the old batches are there.
    #[test]
    fn an_old_transaction_index_does_not_stay_beside_new_batches() {
        for old_batches in [false, true] {
            let disk = MemoryDisk::new();
            let folder = Path::new("/");
            let mut builder = BatchBuilder::new(BatchOptions::default());
            builder
                .append(NOW, Some(b"k"), Some(b"v"), &Headers::EMPTY)
                .expect("fits");
            let batch = builder.build().expect("builds").into_bytes();
            let put = |kind: &str| {
                let path = file_name::path(folder, Offset(0), kind);
                let file = disk.open(&path, OpenOptions::create_new()).expect("new");
                file.write_all_at(&batch, 0).expect("written");
            };
            put("log.swap");
            put("txnindex");
            if old_batches {
                put("log");
            }
            let files = tidy(&disk, folder).expect("tidy");
            assert_eq!(files.segments, BTreeSet::from([Offset(0)]));
            let index = file_name::path(folder, Offset(0), file_name::TRANSACTION_INDEX);
            assert_eq!(disk.exists(&index).expect("exists"), !old_batches);
        }
    }
}
