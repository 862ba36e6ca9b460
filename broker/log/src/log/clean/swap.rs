//! Puts a cleaned segment in the place of those that it was made from (Kafka's `LocalLog.replaceSegments`), so that after a
//! crash at any moment either they or it are the log, never a part of both:
//!
//! 1. The new files, synced, are `.cleaned`. Found at the start, they are removed.
//! 2. They are renamed to `.swap`, and that is synced. From here on the start finishes what is below.
//! 3. The old ones are renamed to `.deleted`, and that is synced: were it not, an old segment could come back beside the
//!    new one that covers it.
//! 4. The `.swap` files get their final names, the one with the batches last: it says what the others belong to.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use forebay_disk::Error as DiskError;
use forebay_records::{Offset, Timestamp};

use crate::cleaner::{Broken, Error, Result};
use crate::config::LogConfig;
use crate::file_name;
use crate::locks::{lock, read_lock, write_lock};
use crate::log::Log;
use crate::segment::{Segment, mark_deleted};

/// How often something is tried again that has no way back, and how long before each time.
const ATTEMPTS: usize = 50;
const PAUSE: Duration = Duration::from_millis(100);

impl Log {
    /// Replaces `group` by `cleaned`, which is complete and synced.
    ///
    /// # Errors
    /// [`Error::Interrupted`] if the group is not part of the log any more; storage errors.
    pub(super) fn swap(
        &self,
        group: &[Arc<Segment>],
        cleaned: &Segment,
        config: &LogConfig,
        now: Timestamp,
    ) -> Result<()> {
        let base_offset = cleaned.base_offset();
        let _replacing = lock(&self.replacing);
        let closed = lock(&self.writer).closed;
        if closed || !self.is_closed_part(group) {
            if !closed {
                self.remove_cleaned(base_offset);
            }
            return Err(Error::Interrupted);
        }
        if let Err(error) = group.iter().try_for_each(|segment| segment.pin()) {
            group.iter().for_each(|segment| segment.unpin());
            self.remove_cleaned(base_offset);
            return Err(error.into());
        }
        if Broken::OldSegmentsFirst.is_on() {
            group
                .iter()
                .try_for_each(|segment| segment.mark_replaced().map(drop))?;
        }
        let swapped = self
            .rename_cleaned(base_offset, file_name::CLEANED, file_name::SWAP)
            .and_then(|()| insist(|| self.sync_names()))
            .and_then(|()| self.replace(group, base_offset, config, now));
        // The files may have any of their names now; the next start puts that right.
        Ok(swapped.map_err(|error| self.directory.fail(&error))?)
    }

    /// There is no way back from here.
    fn replace(
        &self,
        group: &[Arc<Segment>],
        base_offset: Offset,
        config: &LogConfig,
        now: Timestamp,
    ) -> crate::Result<()> {
        let due = now + config.file_delete_delay_ms;
        let mut doomed = Vec::new();
        for segment in group {
            doomed.extend(segment.mark_replaced()?.into_iter().map(|path| (due, path)));
        }
        insist(|| self.sync_names())?;
        self.rename_cleaned(base_offset, file_name::SWAP, "")?;
        let segment = Segment::open(&self.segment_options(base_offset, config), now)?;
        insist(|| segment.load_end())?;
        let mut writer = lock(&self.writer);
        let mut view = write_lock(&self.view);
        for old in group {
            view.segments.remove(&old.base_offset());
        }
        let end = view.segment_after(base_offset);
        let end = end.map_or(view.log_end_offset, |next| next.base_offset());
        view.segments.insert(base_offset, Arc::new(segment));
        // What it has of aborted transactions may soon not be known as such any more.
        view.tail.evict_to(end);
        drop(view);
        writer
            .unsynced
            .retain(|segment| !group.iter().any(|gone| Arc::ptr_eq(gone, segment)));
        let snapshots = writer.producers.forget_snapshots_between(base_offset, end);
        writer.doomed.append(&mut doomed);
        writer.touched = true;
        drop(writer);
        for offset in snapshots {
            let path = file_name::path(&self.folder, offset, file_name::PRODUCER_SNAPSHOT);
            let renamed = mark_deleted(&*self.disk, &path)?;
            doomed.extend(renamed.map(|path| (due, path)));
        }
        lock(&self.writer).doomed.append(&mut doomed);
        insist(|| self.sync_names())
    }

    /// Whether these segments follow each other in the log, before the active one, as they did when they were read.
    fn is_closed_part(&self, group: &[Arc<Segment>]) -> bool {
        let Some(first) = group.first() else { return false };
        let view = read_lock(&self.view);
        let mut segments = view.segments.range(first.base_offset()..).map(|(_, there)| there);
        let same = group
            .iter()
            .all(|segment| segments.next().is_some_and(|there| Arc::ptr_eq(there, segment)));
        same && segments.next().is_some()
    }

    /// Gives the cleaned segment's files their next names, that of the batches last.
    fn rename_cleaned(&self, base_offset: Offset, from: &str, to: &str) -> crate::Result<()> {
        for kind in file_name::SEGMENT_KINDS.iter().rev() {
            let name = |suffix| file_name::path(&self.folder, base_offset, &format!("{kind}{suffix}"));
            match self.disk.rename(&name(from), &name(to)) {
                // Most segments have no aborted transactions.
                Err(error) if error.is_not_found() && *kind == file_name::TRANSACTION_INDEX => {}
                renamed => renamed?,
            }
        }
        Ok(())
    }

    /// Removes what earlier cleanings have left. It must be gone before anything is swapped: the start takes a `.cleaned`
    /// file for a sign that nothing behind it was finished.
    pub(super) fn remove_all_cleaned(&self) -> crate::Result<()> {
        for entry in self.disk.read_dir(&self.folder)? {
            let name = entry.name.to_string_lossy();
            if name.ends_with(file_name::CLEANED) && file_name::parse(&name).is_some() {
                self.disk.remove_file(&self.folder.join(&*name))?;
            }
        }
        Ok(())
    }

    /// Removes what is left of a cleaning that came to nothing, as far as that is possible.
    pub(super) fn remove_cleaned(&self, base_offset: Offset) {
        for kind in file_name::SEGMENT_KINDS {
            let path = file_name::path(
                &self.folder,
                base_offset,
                &format!("{kind}{}", file_name::CLEANED),
            );
            if let Err(error) = self.disk.remove_file(&path)
                && !error.is_not_found()
            {
                tracing::warn!(file = %path.display(), %error, "a file of the cleaner stays until the next cleaning");
            }
        }
    }

    fn sync_names(&self) -> crate::Result<()> {
        let _syncing = lock(&self.syncing);
        Ok(self.disk.sync_dir(&self.folder)?)
    }
}

/// Does what has no way back, again and again for some seconds while the process has no descriptor or memory left for it. A sync that
/// was begun and failed is not among that.
fn insist<T>(work: impl Fn() -> crate::Result<T>) -> crate::Result<T> {
    let is_passing = |error: &crate::Error| match error {
        crate::Error::Storage(cause) => cause.is_retriable() && !matches!(**cause, DiskError::NoSpace { .. }),
        _ => false,
    };
    for _ in 0..ATTEMPTS {
        match work() {
            Err(error) if is_passing(&error) => thread::sleep(PAUSE),
            done => return done,
        }
    }
    work()
}
