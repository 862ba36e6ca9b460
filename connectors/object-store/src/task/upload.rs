//! One file on its way into the store.

use std::sync::Arc;

use bytes::Bytes;
use forebay_connect_api::{Error, Intent, Offset};

use crate::store::{Created, Store};

/// How far a file has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It is complete in memory.
    Closed,
    /// It is said that it will be made.
    Intended,
    /// It is in the store.
    Stored,
}

/// A file that is complete in memory.
#[derive(Debug)]
pub(super) struct ClosedFile {
    /// Nothing from this offset on may be committed before it is in the store.
    pub(super) start: Offset,
    /// Its name and range.
    pub(super) intent: Intent,
    pub(super) records: u64,
    /// `None`: there is nothing to store.
    pub(super) content: Option<Bytes>,
    pub(super) topic_id: Option<Arc<str>>,
    pub(super) step: Step,
}

impl ClosedFile {
    /// Makes it an object, unless one of that name is there: if it was said that it will be made, whoever made it made it of the
    /// same range. If not, a put whose answer was lost is found by its successor: the name says that the range is the
    /// same, and the length that it is whole.
    pub(super) async fn upload(&mut self, store: &dyn Store) -> Result<(), Error> {
        let (name, records) = (&self.intent.object, self.records);
        let Some(content) = self.content.clone() else {
            self.step = Step::Stored;
            return Ok(());
        };
        let bytes_own = content.len();
        match store.create(name, content, self.topic_id.as_deref()).await? {
            Created::New => tracing::debug!(object = %name, records, bytes = bytes_own, "stored"),
            Created::Exists { bytes } if self.step == Step::Intended || bytes == bytes_own as u64 => {
                tracing::info!(object = %name, "stored by a put whose answer was lost, or by another task");
            }
            Created::Exists { bytes } => {
                return Err(Error::fatal(format!(
                    "{name} is in {} already, with {bytes} bytes instead of {bytes_own}: another task wrote the same offsets. Restart this \
                     one, and it goes on after that object",
                    store.describe(),
                )));
            }
        }
        (self.step, self.content) = (Step::Stored, None);
        Ok(())
    }
}
