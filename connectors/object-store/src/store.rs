//! Where objects go: what this sink needs of a store, and the stores that it knows.

mod local;
mod remote;

use std::{fmt, sync::Arc};

use bytes::Bytes;
use forebay_connect_api::{Access, BoxFuture, Error};

pub(crate) use local::LocalStore;
pub(crate) use remote::RemoteStore;

use crate::config::Target;

/// A store of objects that are made once and never change.
pub(crate) trait Store: fmt::Debug + Send + Sync {
    /// Makes an object. When this returns `New`, it is durable; until it is complete, nobody sees it. `topic_id`, the topic that
    /// it is of, is noted beside the content where the store has a place for that.
    fn create<'a>(
        &'a self,
        name: &'a str,
        content: Bytes,
        topic_id: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Created, Error>>;

    /// Whether there is an object of that name; if so, it is durable.
    fn has<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool, Error>>;

    /// The topic that was noted when the object was made; `None` if there is no note, or no such object any more.
    fn topic_id<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, Error>>;

    /// The objects in a folder, without those in folders below it. Whatever a killed task left unfinished goes, if the name of its
    /// object begins with one of `own`: what others have there may be of tasks that live.
    fn list<'a>(&'a self, folder: &'a str, own: &'a [String]) -> BoxFuture<'a, Result<Vec<Found>, Error>>;

    /// The objects in a folder and in all folders below it, by their paths from there.
    fn list_below<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, Result<Vec<Found>, Error>>;

    /// Whether it takes an object of that name.
    ///
    /// # Errors
    /// If the name is too long; which part of it, and for what.
    fn check_name(&self, name: &str) -> Result<(), Error>;

    /// What a user calls it: `s3://bucket/prefix`.
    fn describe(&self) -> String;
}

/// An error if a name, or a part of one, has more bytes than that.
fn check_length(name: &str, max: usize, store: &dyn Store) -> Result<(), Error> {
    /// So much of a name is shown.
    const SHOWN: usize = 40;
    if name.len() <= max {
        return Ok(());
    }
    let shown: String = name.chars().take(SHOWN).collect();
    Err(Error::fatal(format!(
        "the name of its object would have {} bytes in {shown}…, and {max} is the most in {}",
        name.len(),
        store.describe()
    )))
}

/// What came of making an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Created {
    /// It is there now.
    New,
    /// One of that name was there before, and stays as it is.
    Exists {
        /// Its length.
        bytes: u64,
    },
}

/// An object of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its name without the folder that was asked for.
    pub(crate) name: String,
    /// Its length.
    pub(crate) bytes: u64,
}

/// The store that a configuration names, if the worker allows it.
pub(crate) async fn open(target: &Target, access: &Access) -> Result<Arc<dyn Store>, Error> {
    Ok(match target {
        Target::Local(root) => Arc::new(LocalStore::open(root.clone(), access.clone()).await?),
        Target::S3(options) => Arc::new(RemoteStore::s3(options, access).await?),
    })
}
