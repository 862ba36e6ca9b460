//! Whether a data directory can still be trusted. After a failed sync nobody knows what is on the disk: the kernel may
//! have dropped the pages and report success the next time. So the directory is given up, once and for all logs in it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::error::{Error, Result};

/// Shared by all logs of a directory.
#[derive(Debug)]
pub(crate) struct DirectoryState {
    path: PathBuf,
    failure: OnceLock<Arc<str>>,
}

impl DirectoryState {
    pub(crate) fn new(path: &Path) -> DirectoryState {
        DirectoryState {
            path: path.to_path_buf(),
            failure: OnceLock::new(),
        }
    }

    /// Whether the directory is in use.
    ///
    /// # Errors
    /// [`Error::Offline`] with what happened first.
    pub(crate) fn check(&self) -> Result<()> {
        match self.failure.get() {
            None => Ok(()),
            Some(reason) => Err(Error::Offline {
                path: self.path.clone(),
                reason: Arc::clone(reason),
            }),
        }
    }

    /// Gives the directory up; the error to answer with.
    pub(crate) fn fail(&self, cause: &Error) -> Error {
        let reason = self.failure.get_or_init(|| {
            tracing::error!(directory = %self.path.display(), error = %cause, "the log directory goes offline");
            Arc::from(cause.to_string())
        });
        Error::Offline {
            path: self.path.clone(),
            reason: Arc::clone(reason),
        }
    }
}
