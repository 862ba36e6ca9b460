//! Whether a data directory can still be trusted. After a failed sync nobody knows what is on the disk: the kernel may
//! have dropped the pages and report success the next time. So the directory is given up, once and for all logs in it, and
//! as in Kafka for every other error of writing, too, that does not pass by itself.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use crate::error::{Error, Result};
use crate::locks::lock;

/// Hears why a directory was given up.
type Listener = Box<dyn FnOnce(Arc<str>) + Send>;

/// Shared by all logs of a directory.
pub(crate) struct DirectoryState {
    path: PathBuf,
    failure: OnceLock<Arc<str>>,
    listener: Mutex<Option<Listener>>,
}

impl DirectoryState {
    pub(crate) fn new(path: &Path) -> DirectoryState {
        DirectoryState {
            path: path.to_path_buf(),
            failure: OnceLock::new(),
            listener: Mutex::default(),
        }
    }

    /// Whether the directory is in use.
    ///
    /// # Errors
    /// [`Error::Offline`] with what happened first.
    pub(crate) fn check(&self) -> Result<()> {
        match self.failure.get() {
            None => Ok(()),
            Some(reason) => Err(self.offline(reason)),
        }
    }

    /// Gives the directory up; the error to answer with.
    pub(crate) fn fail(&self, cause: &Error) -> Error {
        let reason = self.failure.get_or_init(|| {
            tracing::error!(directory = %self.path.display(), error = %cause, "the log directory goes offline");
            Arc::from(cause.to_string())
        });
        if let Some(listener) = lock(&self.listener).take() {
            listener(Arc::clone(reason));
        }
        self.offline(reason)
    }

    /// What an error of writing means: the end of the directory, unless it passes by itself. The error to answer with.
    pub(crate) fn judge(&self, error: Error) -> Error {
        match &error {
            Error::Storage(cause) if !cause.is_retriable() => self.fail(&error),
            _ => error,
        }
    }

    /// `listener` hears when the directory is given up, at once if that has happened.
    pub(crate) fn on_failure(&self, listener: Listener) {
        let mut waiting = lock(&self.listener);
        match self.failure.get() {
            Some(reason) => listener(Arc::clone(reason)),
            None => *waiting = Some(listener),
        }
    }

    fn offline(&self, reason: &Arc<str>) -> Error {
        Error::Offline {
            path: self.path.clone(),
            reason: Arc::clone(reason),
        }
    }
}

impl fmt::Debug for DirectoryState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DirectoryState")
            .field("path", &self.path)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}
