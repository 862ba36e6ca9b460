//! A gate before an S3 server, which may hold an object on its way.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use s3s::S3Result;
use s3s::access::{S3Access, S3AccessContext};
use tokio::sync::watch;

/// Holds puts until a test lets them go on: by folder, and with the object that is held there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate(Arc<watch::Sender<BTreeMap<String, Option<String>>>>);

impl Gate {
    /// The next object whose key begins so is held before it is made. Others after it are not.
    pub(crate) fn arm(&self, folder: &str) {
        self.0.send_modify(|held| {
            held.insert(folder.to_owned(), None);
        });
    }

    /// The object that is held.
    pub(crate) fn held(&self, folder: &str) -> Option<String> {
        self.0.borrow().get(folder).cloned().flatten()
    }

    /// Lets it go on.
    pub(crate) fn release(&self, folder: &str) {
        self.0.send_modify(|held| {
            held.remove(folder);
        });
    }

    async fn pass(&self, key: &str) {
        let mut own = None;
        self.0.send_if_modified(|held| {
            let mut armed = held.iter_mut().filter(|(_, object)| object.is_none());
            let Some((folder, object)) = armed.find(|(folder, _)| key.starts_with(folder.as_str())) else {
                return false;
            };
            *object = Some(key.to_owned());
            own = Some(folder.clone());
            true
        });
        let Some(folder) = own else { return };
        let mut held = self.0.subscribe();
        let is_released = |held: &BTreeMap<String, Option<String>>| {
            held.get(&folder).and_then(Option::as_deref) != Some(key)
        };
        // The sender is this gate's own.
        let _ = held.wait_for(is_released).await;
    }
}

impl S3Access for Gate {
    fn check<'gate, 'context, 'request, 'check>(
        &'gate self,
        context: &'context mut S3AccessContext<'request>,
    ) -> Pin<Box<dyn Future<Output = S3Result<()>> + Send + 'check>>
    where
        'gate: 'check,
        'context: 'check,
        'request: 'check,
        Self: 'check,
    {
        let is_put = context.s3_op().name() == "PutObject";
        let object = context.s3_path().as_object().filter(|_| is_put);
        let key = object.map(|(_, key)| key.to_owned());
        Box::pin(async move {
            if let Some(key) = key {
                self.pass(&key).await;
            }
            Ok(())
        })
    }
}
