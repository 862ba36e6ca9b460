//! One decision at a time: a write is decided on a state that no other write changes before it is applied.

use std::sync::{Arc, RwLock, RwLockReadGuard};

use tokio::sync::Mutex;

use crate::error::Error;
use crate::record::Record;
use crate::state::State;
use crate::topic::Topic;

/// What the REST resources work on.
#[derive(Debug)]
pub(crate) struct Registry {
    state: Arc<RwLock<State>>,
    topic: Topic,
    writing: Mutex<()>,
}

impl Registry {
    pub(crate) fn new(state: Arc<RwLock<State>>, topic: Topic) -> Self {
        Self {
            state,
            topic,
            writing: Mutex::new(()),
        }
    }

    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().expect("nobody panics with the state")
    }

    /// Decides, writes the records of the decision, and gives its answer once they are applied.
    pub(crate) async fn change<T>(
        &self,
        decide: impl FnOnce(&State) -> Result<(T, Vec<Record>), Error>,
    ) -> Result<T, Error> {
        let writing = self.writing.lock().await;
        let (answer, records) = decide(&self.state())?;
        if !records.is_empty() {
            self.topic.write(&records).await?;
        }
        drop(writing);
        Ok(answer)
    }
}
