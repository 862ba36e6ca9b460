//! A disk that fails, runs full, writes short or freezes at the n-th operation of a kind, as a test says.

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use crate::{DirectoryEntry, Disk, Error, File, Lock, Metadata, OpenOptions, Operation, Result, Space};

/// What happens at a [`Fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// This one operation fails with an I/O error (EIO) and changes nothing; later ones work.
    Fail,
    /// This one operation fails for lack of space and changes nothing; later ones work.
    NoSpace,
    /// This and all later operations of the kind fail for lack of space, until [`FaultyDisk::clear`].
    NoSpaceFromNowOn,
    /// This one operation fails because the process has no file descriptor left (EMFILE), and changes nothing; later ones work.
    NoDescriptors,
    /// A write puts down only its first so many bytes, then fails for lack of space; later ones work.
    ShortWrite {
        /// How many bytes arrive.
        bytes: usize,
    },
    /// This and every later operation that changes anything fails and changes nothing: what a power cut at this
    /// moment would leave can be examined at leisure.
    Freeze,
}

/// An [`Effect`] at the n-th operation of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Which kind of operation is counted.
    pub operation: Operation,
    /// At which of them, counted from 1 since the fault was set.
    pub nth: u64,
    /// What happens.
    pub effect: Effect,
}

/// What a test does in the middle of an operation, and how that then goes on: as an [`Effect`], or as it should.
type Hook = Box<dyn FnOnce() -> Option<Effect> + Send>;

/// A wrapper around another disk that obeys one [`Fault`], or calls one hook, at a time.
#[derive(Debug, Clone)]
pub struct FaultyDisk {
    disk: Arc<dyn Disk>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    hook: Option<(Operation, u64, Hook)>,
    frozen: bool,
    /// Below here there is no room.
    full: Option<PathBuf>,
    space: Option<Space>,
    /// Operations per kind since the fault was set.
    counts: Vec<(Operation, u64)>,
}

impl fmt::Debug for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("State")
            .field("fault", &self.fault)
            .field("frozen", &self.frozen)
            .finish_non_exhaustive()
    }
}

/// What an operation is to do about itself.
enum Verdict {
    Go,
    Short(usize),
    Call(Hook),
}

impl FaultyDisk {
    /// Wraps `disk`; works as it does until [`FaultyDisk::set`].
    pub fn new(disk: Arc<dyn Disk>) -> FaultyDisk {
        FaultyDisk {
            disk,
            state: Arc::default(),
        }
    }

    /// Replaces the fault and counts from 0 again. Thaws.
    pub fn set(&self, fault: Fault) {
        *self.state() = State {
            fault: Some(fault),
            ..State::default()
        };
    }

    /// Calls `hook` before the n-th operation of a kind from now on (counted from 1), on the thread that does it: a test
    /// can do something else while the operation is under way. What `hook` gives happens to that operation. Replaces the
    /// fault and counts from 0 again. Thaws.
    pub fn call_at(
        &self,
        operation: Operation,
        nth: u64,
        hook: impl FnOnce() -> Option<Effect> + Send + 'static,
    ) {
        *self.state() = State {
            hook: Some((operation, nth, Box::new(hook))),
            ..State::default()
        };
    }

    /// From now on there is no room at `place` and below: a file that is to grow, and a new file or directory, fail for lack of space
    /// and change nothing, until [`FaultyDisk::clear`]. Everything else works, such as bytes in the place of others. Takes the place of a fault.
    pub fn fill(&self, place: &Path) {
        *self.state() = State {
            full: Some(place.to_path_buf()),
            ..State::default()
        };
    }

    /// No fault any more, counts from 0 again. Thaws.
    pub fn clear(&self) {
        *self.state() = State::default();
    }

    /// From now on there is so much room, whatever the wrapped disk says; as any fault, in the place of the one there is.
    pub fn set_space(&self, space: Space) {
        *self.state() = State {
            space: Some(space),
            ..State::default()
        };
    }

    /// How many operations of a kind there were since the last [`FaultyDisk::set`] or [`FaultyDisk::clear`],
    /// those that failed included.
    pub fn count(&self, operation: Operation) -> u64 {
        let state = self.state();
        state
            .counts
            .iter()
            .find(|(counted, _)| *counted == operation)
            .map_or(0, |(_, count)| *count)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives how many bytes of a write arrive, if not all.
    fn check(&self, operation: Operation, path: &Path) -> Result<Option<usize>> {
        let mut verdict = check(&mut self.state(), operation, path)?;
        if let Verdict::Call(hook) = verdict {
            // The state is not locked: whatever the test does may use this disk.
            let effect = hook();
            verdict = match effect {
                Some(effect) => happen(&mut self.state(), effect, operation, path)?,
                None => Verdict::Go,
            };
        }
        match verdict {
            Verdict::Short(bytes) => Ok(Some(bytes)),
            Verdict::Go | Verdict::Call(_) => Ok(None),
        }
    }

    fn go(&self, operation: Operation, path: &Path) -> Result<()> {
        self.check(operation, path).map(|_| ())
    }

    /// Fails if there is no room for what is new.
    fn take_room(&self, operation: Operation, path: &Path) -> Result<()> {
        let state = self.state();
        match &state.full {
            Some(place) if path.starts_with(place) => Err(full(operation, path)),
            _ => Ok(()),
        }
    }
}

fn check(state: &mut State, operation: Operation, path: &Path) -> Result<Verdict> {
    let count = match state.counts.iter_mut().find(|(counted, _)| *counted == operation) {
        Some((_, count)) => {
            *count += 1;
            *count
        }
        None => {
            state.counts.push((operation, 1));
            1
        }
    };
    if state.frozen && changes(operation) {
        return Err(broken(operation, path));
    }
    if let Some((_, _, hook)) = state
        .hook
        .take_if(|(at, nth, _)| (*at, *nth) == (operation, count))
    {
        return Ok(Verdict::Call(hook));
    }
    let Some(fault) = state.fault.filter(|fault| fault.operation == operation) else {
        return Ok(Verdict::Go);
    };
    let hits = count == fault.nth || (count > fault.nth && fault.effect == Effect::NoSpaceFromNowOn);
    if hits {
        happen(state, fault.effect, operation, path)
    } else {
        Ok(Verdict::Go)
    }
}

/// What an effect means for one operation.
fn happen(state: &mut State, effect: Effect, operation: Operation, path: &Path) -> Result<Verdict> {
    match effect {
        Effect::Fail => Err(broken(operation, path)),
        Effect::NoSpace | Effect::NoSpaceFromNowOn => Err(full(operation, path)),
        Effect::NoDescriptors => Err(Error::from_io(operation, path, Errno::MFILE.into())),
        Effect::ShortWrite { bytes } => Ok(Verdict::Short(bytes)),
        Effect::Freeze => {
            state.frozen = true;
            Err(broken(operation, path))
        }
    }
}

fn full(operation: Operation, path: &Path) -> Error {
    Error::from_io(operation, path, io::ErrorKind::StorageFull.into())
}

fn broken(operation: Operation, path: &Path) -> Error {
    let source = io::Error::other("the disk fails here, as the test wants");
    Error::from_io(operation, path, source)
}

fn changes(operation: Operation) -> bool {
    !matches!(
        operation,
        Operation::Read | Operation::Inspect | Operation::ReadDirectory
    )
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path, options: OpenOptions) -> Result<Arc<dyn File>> {
        if options.create && self.disk.metadata(path).is_err() {
            self.take_room(Operation::Open, path)?;
        }
        // A frozen disk still lets its files be read.
        if options.write
            || self
                .state()
                .fault
                .is_some_and(|fault| fault.operation == Operation::Open)
        {
            self.go(Operation::Open, path)?;
        }
        let file = self.disk.open(path, options)?;
        Ok(Arc::new(FaultyFile {
            file,
            path: path.to_path_buf(),
            disk: self.clone(),
        }))
    }

    fn create_dir_all(&self, path: &Path) -> Result<()> {
        self.go(Operation::CreateDirectory, path)?;
        if self.disk.metadata(path).is_err() {
            self.take_room(Operation::CreateDirectory, path)?;
        }
        self.disk.create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> Result<Vec<DirectoryEntry>> {
        self.go(Operation::ReadDirectory, path)?;
        self.disk.read_dir(path)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.go(Operation::Remove, path)?;
        self.disk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> Result<()> {
        self.go(Operation::Remove, path)?;
        self.disk.remove_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.go(Operation::Rename, from)?;
        self.disk.rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        self.go(Operation::SyncDirectory, path)?;
        self.disk.sync_dir(path)
    }

    fn metadata(&self, path: &Path) -> Result<Metadata> {
        self.go(Operation::Inspect, path)?;
        self.disk.metadata(path)
    }

    fn space(&self, path: &Path) -> Result<Option<Space>> {
        self.go(Operation::Inspect, path)?;
        let space = self.state().space;
        space.map_or_else(|| self.disk.space(path), |space| Ok(Some(space)))
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>> {
        self.go(Operation::Lock, path)?;
        self.disk.lock(path)
    }
}

#[derive(Debug)]
struct FaultyFile {
    file: Arc<dyn File>,
    path: PathBuf,
    disk: FaultyDisk,
}

impl File for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize> {
        self.disk.go(Operation::Read, &self.path)?;
        self.file.read_at(buffer, position)
    }

    fn read_at_nowait(&self, buffer: &mut [u8], position: u64) -> Result<Option<usize>> {
        self.disk.go(Operation::Read, &self.path)?;
        self.file.read_at_nowait(buffer, position)
    }

    fn write_all_vectored_at(&self, buffers: &mut [IoSlice<'_>], position: u64) -> Result<()> {
        let short = self.disk.check(Operation::Write, &self.path)?;
        let bytes: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        if position + bytes as u64 > self.file.len()? {
            self.disk.take_room(Operation::Write, &self.path)?;
        }
        match short {
            None => self.file.write_all_vectored_at(buffers, position),
            Some(bytes) => {
                let all: Vec<u8> = buffers.iter().flat_map(|buffer| buffer.iter().copied()).collect();
                self.file.write_all_at(&all[..bytes.min(all.len())], position)?;
                Err(full(Operation::Write, &self.path))
            }
        }
    }

    fn sync_data(&self) -> Result<()> {
        self.disk.go(Operation::Sync, &self.path)?;
        self.file.sync_data()
    }

    fn set_len(&self, length: u64) -> Result<()> {
        self.disk.go(Operation::SetLength, &self.path)?;
        if length > self.file.len()? {
            self.disk.take_room(Operation::SetLength, &self.path)?;
        }
        self.file.set_len(length)
    }

    fn len(&self) -> Result<u64> {
        self.disk.go(Operation::Inspect, &self.path)?;
        self.file.len()
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_fd()
    }
}
