//! One file on its way into the store.

use std::sync::Arc;

use bytes::Bytes;
use forebay_connect_api::{Error, Offset};

use crate::store::{Created, Store};

/// A file that is complete in memory.
#[derive(Debug)]
pub(super) struct ClosedFile {
    pub(super) start: Offset,
    pub(super) name: String,
    pub(super) records: u64,
    pub(super) content: Bytes,
    pub(super) topic_id: Option<Arc<str>>,
}

impl ClosedFile {
    /// Makes it an object. A put whose answer was lost is found by its successor: the name says that the range is the same, and
    /// the length that it is whole.
    pub(super) async fn upload(&self, store: &dyn Store) -> Result<(), Error> {
        let Self { name, content, .. } = self;
        match store
            .create(name, content.clone(), self.topic_id.as_deref())
            .await?
        {
            Created::New => {
                tracing::debug!(object = %name, records = self.records, bytes = content.len(), "stored");
                Ok(())
            }
            Created::Exists { bytes } if bytes == content.len() as u64 => {
                tracing::info!(object = %name, "stored by a put whose answer was lost");
                Ok(())
            }
            Created::Exists { bytes } => Err(Error::fatal(format!(
                "{name} is in {} already, with {bytes} bytes instead of {}: another task wrote the same offsets. Restart this one, and it goes \
                 on after that object",
                store.describe(),
                content.len()
            ))),
        }
    }
}
