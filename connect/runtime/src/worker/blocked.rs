//! Connectors and tasks that were told to stop, were aborted, and run all the same, as they block their thread in one call. Nothing can
//! end them but the end of the process, which `/health` asks for; the worker goes on without them (as Kafka's does after
//! `task.shutdown.graceful.timeout.ms`).
//!
//! What keeps that safe: such a one does nothing more by way of the worker once its call returns. It is aborted at its next wait, and before
//! that a source task sends nothing that it has polled after it was told to stop; exactly-once sources and intents are fenced by whoever has
//! their work next. What the call itself does to the outside, nobody can prevent, in Kafka neither.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

/// Those of a worker, by what they are called in logs.
#[derive(Debug, Default)]
pub(crate) struct Blocked {
    since: Mutex<BTreeMap<String, Instant>>,
    /// Changes with them.
    changed: watch::Sender<()>,
}

/// One of them, for as long as it lasts.
#[derive(Debug)]
pub(crate) struct Blocking<'a> {
    blocked: &'a Blocked,
    title: String,
}

impl Drop for Blocking<'_> {
    fn drop(&mut self) {
        self.blocked.lock().remove(&self.title);
        self.blocked.changed.send_replace(());
    }
}

impl Blocked {
    /// Notes one.
    pub(crate) fn begins(&self, title: &str, since: Instant) -> Blocking<'_> {
        self.lock().insert(title.to_owned(), since);
        self.changed.send_replace(());
        let (blocked, title) = (self, title.to_owned());
        Blocking { blocked, title }
    }

    /// Whether this is one.
    pub(crate) fn has(&self, title: &str) -> bool {
        self.lock().contains_key(title)
    }

    /// Ready once this is one.
    pub(crate) async fn until(&self, title: &str) {
        let mut changed = self.changed.subscribe();
        while !self.has(title) {
            // It has the sender.
            let _ = changed.changed().await;
        }
    }

    /// All of them, each with how many seconds ago it was told to end.
    pub(crate) fn all(&self) -> Vec<(String, u64)> {
        let since = self.lock();
        let all = since
            .iter()
            .map(|(title, since)| (title.clone(), since.elapsed().as_secs()));
        all.collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
