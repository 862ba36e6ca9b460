//! Reads a file as it grows, is rotated (renamed and made anew, or copied and truncated) and comes back. Everything here blocks.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use forebay_connect_api as api;
use forebay_connect_api::{Access, Error};

use super::{
    config::{Config, OnTruncation},
    fingerprint::{self, Head},
    lines::Lines,
    siblings::{self, Trace},
};
use crate::open::{self, Inode};

/// What reading on came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// There may be lines.
    More,
    /// Nothing at the moment: look again later.
    Nothing,
    /// The file is complete and read to its end.
    Finished,
}

/// Where to go on, as a source offset says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resume {
    pub(super) position: u64,
    pub(super) fingerprint: Option<u32>,
    /// Over every byte before the position.
    pub(super) checksum: Option<u32>,
}

/// A file by its name, and the lines that it has.
#[derive(Debug)]
pub(super) struct Follower {
    path: PathBuf,
    access: Access,
    complete: bool,
    on_truncation: OnTruncation,
    line_bytes_max: usize,
    open: Option<Open>,
    /// Where to begin when the file can be opened.
    resume: Resume,
    lines: Lines,
    warned: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    inode: Inode,
    head: Head,
    /// How many bytes it had when it was looked at last.
    length: u64,
    /// It no longer goes by the name: when it is read to its end, the file of that name follows.
    rotated: bool,
    /// Its end was reached by the last read.
    idle: bool,
}

impl Default for Resume {
    /// At the beginning.
    fn default() -> Self {
        Self {
            position: 0,
            fingerprint: None,
            checksum: Some(0),
        }
    }
}

impl Follower {
    pub(super) fn new(path: &Path, config: &Config, access: Access, resume: Resume) -> Self {
        Self {
            path: path.to_path_buf(),
            access,
            complete: config.complete,
            on_truncation: config.on_truncation,
            line_bytes_max: config.line_bytes_max,
            open: None,
            resume,
            lines: Lines::at(resume.position, resume.checksum, config.line_bytes_max),
            warned: false,
        }
    }

    pub(super) fn lines(&mut self) -> &mut Lines {
        &mut self.lines
    }

    /// The fingerprint for a source offset at `position`, which is not beyond what was read.
    pub(super) fn fingerprint(&self, position: u64) -> u32 {
        let open = self.open.as_ref().expect("lines come from an open file");
        open.head.fingerprint(position)
    }

    /// How many bytes of lines are given out, of a file that does not grow; `None`: there is none yet, or it may grow.
    pub(super) fn progress(&self) -> Option<api::Progress> {
        let open = self.open.as_ref().filter(|_| self.complete)?;
        let whole = open.length.max(self.lines.end());
        Some(api::Progress::bytes(self.lines.position(), whole))
    }

    /// Whether the file is not there.
    pub(super) fn waits_for_file(&self) -> bool {
        self.warned
    }

    /// Reads on. Called when [`Lines::next`] gives no more lines, so that nothing is skipped by a change of files.
    pub(super) fn advance(&mut self) -> Result<Progress, Error> {
        let Some(open) = &mut self.open else {
            return self.begin();
        };
        let mut is_other = false;
        let read = self.lines.fill(|buffer, position| {
            let count = open.file.read_at(buffer, position)?;
            if open.idle && !open.rotated {
                // After the read: whoever writes the file anew meanwhile writes its beginning first.
                let known = Some(open.head.fingerprint(position));
                is_other = !fingerprint::is_same(&open.file, position, known)?;
            }
            Ok(if is_other { 0 } else { count })
        });
        let count = read.map_err(|error| cannot_read(&self.path, error))?;
        if is_other {
            return self.truncated();
        }
        if count > 0 {
            open.idle = false;
            let looked = open.head.extend(&open.file).and_then(|()| open.file.metadata());
            open.length = looked.map_err(|error| cannot_read(&self.path, error))?.len();
            return Ok(Progress::More);
        }
        // The writer of a file that was renamed may write a little more: only the second time is it the end.
        let was_idle = std::mem::replace(&mut open.idle, true);
        let is_end = self.complete || (open.rotated && was_idle);
        if is_end && !self.lines.pending().is_empty() {
            self.lines.set_at_end();
            return Ok(Progress::More);
        }
        match (is_end, open.rotated) {
            (true, true) => self.next_file(),
            (true, false) => Ok(Progress::Finished),
            (false, true) => Ok(Progress::Nothing),
            (false, false) => self.look_for_rotation(),
        }
    }

    /// Opens the file for the first time, or the one that its source offset was about.
    fn begin(&mut self) -> Result<Progress, Error> {
        let Some(file) = open::open(&self.path, OpenOptions::new().read(true), &self.access)? else {
            if !self.warned {
                tracing::warn!(file = %self.path.display(), "the file does not exist; waiting for it to be created");
                self.warned = true;
            }
            return Ok(Progress::Nothing);
        };
        self.warned = false;
        let resume = self.resume;
        let same = fingerprint::is_same(&file, resume.position, resume.fingerprint);
        if same.map_err(|error| cannot_read(&self.path, error))? {
            self.take(file, resume, false)?;
            return Ok(Progress::More);
        }
        self.go_on_elsewhere(resume, &[])
    }

    /// The open file has become shorter, or begins differently.
    fn truncated(&mut self) -> Result<Progress, Error> {
        let position = self.lines.position();
        let resume = Resume {
            position,
            fingerprint: Some(self.fingerprint(position)),
            checksum: self.lines.checksum(),
        };
        let pending = self.lines.pending().to_vec();
        self.open = None;
        self.go_on_elsewhere(resume, &pending)
    }

    /// Looks for the rest of what was read; if it is nowhere, the configuration decides. `pending` is what was read behind the
    /// lines that were given out.
    fn go_on_elsewhere(&mut self, resume: Resume, pending: &[u8]) -> Result<Progress, Error> {
        let shown = self.path.display().to_string();
        let position = resume.position;
        if let (Some(fingerprint), Some(checksum)) = (resume.fingerprint, resume.checksum) {
            let trace = Trace {
                position,
                fingerprint,
                checksum,
                pending,
            };
            if let Some((sibling, file)) = siblings::find(&self.path, &trace, &self.access) {
                tracing::info!(file = shown, rest = %sibling.display(), position, "the file was rotated; reading the rest of the old one first");
                self.take(file, resume, true)?;
                return Ok(Progress::More);
            }
        }
        let length = std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len());
        let what = format!(
            "{shown} was truncated or replaced: {position} bytes of it were read, and now it has {length} and another beginning \
             or fewer bytes. No file of its directory is provably the old one, so what was written to that after byte {position} \
             is not read"
        );
        // Of a file of which no line was given out yet, nothing is known that could be reset, nor would be read twice.
        if position > 0 && self.on_truncation == OnTruncation::Fail {
            return Err(Error::fatal(format!(
                "{what}. To read what is there now, stop the connector and reset its offset (DELETE /connectors/NAME/offsets), \
                 or set on.truncation=beginning"
            )));
        }
        tracing::warn!(
            file = shown,
            "{what}; reading what is there now from the beginning"
        );
        self.restart();
        Ok(Progress::More)
    }

    /// Whether another file goes by the name now.
    fn look_for_rotation(&mut self) -> Result<Progress, Error> {
        let open = self.open.as_mut().expect("called for an open file");
        match std::fs::metadata(&self.path) {
            Ok(metadata) if Inode::from(&metadata) != open.inode => {
                tracing::info!(file = %self.path.display(), position = self.lines.end(), "the file was replaced; reading the old one to its end");
                open.rotated = true;
            }
            Ok(_) => self.warned = false,
            // Who rotates may take a moment to make the new file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !self.warned {
                    tracing::warn!(file = %self.path.display(), "the file is gone; waiting for a new one of that name");
                    self.warned = true;
                }
            }
            Err(error) => return Err(cannot_read(&self.path, error)),
        }
        Ok(Progress::Nothing)
    }

    /// The rotated file is read to its end: goes on with the one that has its name now.
    fn next_file(&mut self) -> Result<Progress, Error> {
        let old = self.open.take().expect("called for an open file");
        let modified = old.file.metadata().and_then(|metadata| metadata.modified());
        if let Ok(modified) = modified {
            self.warn_of_files_between(old.inode, modified);
        }
        self.restart();
        self.begin()
    }

    fn restart(&mut self) {
        self.open = None;
        self.resume = Resume::default();
        self.lines = Lines::new(self.line_bytes_max);
    }

    fn take(&mut self, file: File, from: Resume, rotated: bool) -> Result<(), Error> {
        let mut head = Head::default();
        let read = head.extend(&file).and_then(|()| file.metadata());
        let metadata = read.map_err(|error| cannot_read(&self.path, error))?;
        self.lines = Lines::at(from.position, from.checksum, self.line_bytes_max);
        self.open = Some(Open {
            inode: Inode::from(&metadata),
            file,
            length: metadata.len(),
            head,
            rotated,
            idle: false,
        });
        Ok(())
    }

    /// When a file was rotated twice in one go, the one between goes unread. Which it is, only its name could tell, and names
    /// of rotated files follow no rule; so this only warns.
    fn warn_of_files_between(&self, old: Inode, modified: SystemTime) {
        let Some(name) = self.path.file_name() else { return };
        let between: Vec<String> = siblings::of(&self.path)
            .filter(|(path, later)| {
                let is_namesake = path
                    .file_name()
                    .is_some_and(|other| other.as_encoded_bytes().starts_with(name.as_encoded_bytes()));
                let is_other = std::fs::metadata(path).is_ok_and(|found| Inode::from(&found) != old);
                is_namesake && is_other && *later > modified
            })
            .map(|(path, _)| path.display().to_string())
            .collect();
        if !between.is_empty() {
            tracing::warn!(file = %self.path.display(), ?between, "the file was rotated more than once since it was read: these are not read");
        }
    }
}

fn cannot_read(path: &Path, error: io::Error) -> Error {
    Error::fatal(format!("cannot read {}", path.display())).with_source(error)
}
