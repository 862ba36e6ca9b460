//! What becomes of files that are read to their end: nothing before all their records are committed. Everything but the
//! book-keeping blocks.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use forebay_connect_api::{Access, Error, OffsetMap};
use rustix::fs::{CWD, RenameFlags};

use super::{
    config::{Cleanup, Config},
    gone::{self, Held, Over},
    lineage::POSITION,
    listing::Identity,
    status::{Outbox, State, Status},
};

/// Other names that are tried where one is taken.
const NAMES_MAX: u32 = 10_000;

/// A file that is read to its end.
#[derive(Debug, Clone)]
pub(super) struct Finished {
    pub(super) partition: Arc<OffsetMap>,
    pub(super) identity: Identity,
    /// The position of the last record that was given out by this task; `None`: there was none.
    pub(super) last: Option<u64>,
    /// It was given up: it goes to `error.path`.
    pub(super) has_failed: bool,
    pub(super) status: Status,
}

/// What was done to a file.
#[derive(Debug)]
struct Cleaned {
    /// What people are told.
    what: String,
    /// The directories in which names were changed, if it is over with that.
    over: Option<Vec<PathBuf>>,
}

/// What the task learns of commits, and what the reader learns of files.
#[derive(Debug)]
pub(super) struct Completion {
    config: Arc<Config>,
    access: Access,
    state: Mutex<Book>,
    /// Held while files are seen to, so that who asks for it knows that it is done when it is.
    cleaning: Mutex<()>,
}

#[derive(Debug, Default)]
struct Book {
    /// The last committed position of each source partition that was read since the task started and is not over.
    committed: HashMap<String, u64>,
    waiting: HashMap<String, Finished>,
    ready: Vec<Finished>,
    over: Vec<Over>,
    outbox: Outbox,
    failures: u64,
}

impl Completion {
    pub(super) fn new(config: Arc<Config>, access: Access) -> Self {
        Self {
            config,
            access,
            state: Mutex::default(),
            cleaning: Mutex::default(),
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many files it has in mind.
    #[cfg(test)]
    pub(super) fn files(&self) -> usize {
        let book = self.book();
        book.committed.len() + book.waiting.len() + book.ready.len() + book.over.len()
    }

    /// Reports a file's state.
    pub(super) fn report(&self, status: Status) {
        if self.config.status_topic.is_some() {
            self.book().outbox.put(status);
        }
    }

    /// The reports that are not out yet.
    pub(super) fn take_reports(&self) -> Vec<Status> {
        self.book().outbox.take().collect()
    }

    /// Whether anybody wants to know when a file is committed.
    pub(super) fn matters(&self) -> bool {
        self.config.cleanup != Cleanup::None
            || self.config.error_path.is_some()
            || self.config.status_topic.is_some()
    }

    /// A file is read to its end.
    pub(super) fn finished(&self, finished: Finished) {
        if !self.matters() {
            return;
        }
        let mut book = self.book();
        let key = finished.partition.to_string();
        let is_committed = match finished.last {
            None => true,
            Some(last) => book
                .committed
                .get(&key)
                .is_some_and(|committed| *committed >= last),
        };
        if is_committed {
            book.ready.push(finished);
        } else {
            book.waiting.insert(key, finished);
        }
    }

    /// Source offsets are committed.
    pub(super) fn committed(&self, offsets: &[(Arc<OffsetMap>, OffsetMap)]) {
        if !self.matters() {
            return;
        }
        let mut book = self.book();
        for (partition, offset) in offsets {
            let position = offset
                .get_int64(POSITION)
                .and_then(|position| u64::try_from(position).ok());
            let Some(position) = position else { continue };
            let key = partition.to_string();
            let is_last = book
                .waiting
                .get(&key)
                .is_some_and(|finished| finished.last.is_none_or(|last| position >= last));
            if is_last && let Some(finished) = book.waiting.remove(&key) {
                book.ready.push(finished);
            }
            book.committed.insert(key, position);
        }
    }

    /// Deletes, moves or marks the files that are done. What fails is tried again the next time.
    pub(super) fn clean(&self) {
        let _cleaning = self.cleaning.lock().unwrap_or_else(PoisonError::into_inner);
        let ready = std::mem::take(&mut self.book().ready);
        for finished in ready {
            let mut status = finished.status.clone();
            if !finished.has_failed {
                status.state = State::Committed;
            }
            match self.clean_one(&finished) {
                Ok(cleaned) => {
                    let mut over = None;
                    if let Some(cleaned) = cleaned {
                        status.state = State::Cleaned;
                        status.message = Some(cleaned.what);
                        over = cleaned.over;
                    }
                    let partition = Arc::clone(&finished.partition);
                    self.book().over.extend(over.map(|directories| Over {
                        partition,
                        directories,
                    }));
                    self.report(status);
                }
                Err(error) => {
                    let mut book = self.book();
                    book.failures += 1;
                    if book.failures.is_power_of_two() {
                        let (file, failures) = (finished.status.path.display(), book.failures);
                        tracing::warn!(%file, failures, error = error.trace(), "a file that is done cannot be cleaned up; trying again");
                    }
                    book.ready.push(finished);
                }
            }
        }
    }

    /// The source partitions whose files are over since this was called last.
    pub(super) fn take_gone(&self) -> Vec<Arc<OffsetMap>> {
        let over = std::mem::take(&mut self.book().over);
        gone::durable(over)
    }

    /// Nothing comes any more of a source partition.
    pub(super) fn forget(&self, partition: &OffsetMap) {
        if self.matters() {
            let (mut book, key) = (self.book(), partition.to_string());
            book.committed.remove(&key);
            book.waiting.remove(&key);
        }
    }

    /// Says what was done; `None`: nothing.
    fn clean_one(&self, finished: &Finished) -> Result<Option<Cleaned>, Error> {
        let path = &finished.status.path;
        let wanted = match (&self.config.error_path, finished.has_failed) {
            (Some(to), true) => Cleanup::Move {
                to: to.clone(),
                by_date: false,
            },
            (None, true) => return Ok(None),
            (_, false) => self.config.cleanup.clone(),
        };
        if wanted == Cleanup::None {
            return Ok(None);
        }
        // What has grown or is another file now is not done.
        let Ok(held) = Held::open(path) else {
            return Ok(None);
        };
        match held.identity_and_length() {
            Ok(is) if is == (finished.identity, finished.status.length) => {}
            _ => return Ok(None),
        }
        self.access.check_path(path)?;
        match wanted {
            Cleanup::Delete => {
                std::fs::remove_file(path).map_err(|error| failed("delete", path, error))?;
                let over = (held.names() == Some(0)).then(|| parents([path]));
                let what = "deleted".to_owned();
                Ok(Some(Cleaned { what, over }))
            }
            Cleanup::Move { mut to, by_date } => {
                if by_date {
                    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified());
                    to.push(day(modified.unwrap_or(UNIX_EPOCH)));
                }
                let below = path.strip_prefix(&self.config.root).unwrap_or(path);
                let now = self.rename(path, &to.join(below))?;
                let forgets = self.config.forgets_moved && !finished.has_failed;
                let over = (forgets && held.names() == Some(1)).then(|| parents([path, &now]));
                let what = format!("now {}", now.display());
                Ok(Some(Cleaned { what, over }))
            }
            Cleanup::Mark { extension } => {
                let mut marked = path.clone().into_os_string();
                marked.push(extension);
                let now = self.rename(path, Path::new(&marked))?;
                let what = format!("now {}", now.display());
                Ok(Some(Cleaned { what, over: None }))
            }
            Cleanup::None => Ok(None),
        }
    }

    /// Never over a file that is there already.
    fn rename(&self, from: &Path, to: &Path) -> Result<PathBuf, Error> {
        self.access.check_path(to)?;
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent).map_err(|error| failed("make the directory", parent, error))?;
        }
        // Now that its directories are there, they may be links to elsewhere.
        self.access.check_path(to)?;
        for number in 0..NAMES_MAX {
            let target = numbered(to, number);
            match rustix::fs::renameat_with(CWD, from, CWD, &target, RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(target),
                Err(rustix::io::Errno::EXIST) => {}
                Err(rustix::io::Errno::XDEV) => {
                    return Err(Error::fatal(format!(
                        "{} is on another file system than {}; files are renamed, not copied",
                        target.display(),
                        from.display()
                    )));
                }
                Err(error) => return Err(failed("move", from, error.into())),
            }
        }
        Err(Error::fatal(format!(
            "{} and {NAMES_MAX} names like it are taken",
            to.display()
        )))
    }
}

fn parents<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Vec<PathBuf> {
    let parents = paths.into_iter().filter_map(|path| path.parent());
    parents.map(Path::to_path_buf).collect()
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_path_buf();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    Error::fatal(format!("cannot {what} {}", path.display())).with_source(error)
}

/// The day in UTC, `2026-11-21` (Hinnant's algorithm).
fn day(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (1_795_297_997, "2026-11-21"),
        ] {
            assert_eq!(day(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }
}
