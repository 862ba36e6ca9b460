//! One decision at a time: a write is decided on a state that no other write of this registry changes before it is
//! applied, and it is carried out in a task of its own, whoever stops waiting for it.
//!
//! After a write whose outcome is not known, nothing is decided before the topic has been read up to a mark behind it
//! ([`Topic::mark`]). Another registry may write to the topic all the same: so what was decided is looked for in the state
//! once it is applied, and who has lost a race puts the topic right and decides again.

mod writer;

use std::sync::{Arc, RwLock, RwLockReadGuard};
use std::time::Duration;

use forebay_client::{Client, Error as ClientError};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::config::Config;
use crate::error::Error;
use crate::record::Record;
use crate::service;
use crate::state::State;
use crate::topic::Topic;
use writer::Writer;

/// What the REST resources work on.
#[derive(Debug)]
pub(crate) struct Registry {
    state: Arc<RwLock<State>>,
    /// Whoever has it decides.
    writer: Arc<Mutex<Writer>>,
    topic: String,
    timeout: Duration,
    repairs: JoinHandle<()>,
}

impl Registry {
    /// Reads all schemas of the cluster.
    pub(crate) async fn open(client: &Client, config: &Config) -> Result<Self, service::Error> {
        let state = Arc::new(RwLock::new(State::new(config.default_level)));
        let topic = Topic::open(client, config, Arc::clone(&state)).await?;
        let applied = topic.applied();
        let writer = Arc::new(Mutex::new(Writer::new(Arc::clone(&state), topic)));
        Ok(Self {
            repairs: tokio::spawn(writer::repair(Arc::clone(&state), Arc::clone(&writer), applied)),
            state,
            writer,
            topic: config.topic.clone(),
            timeout: config.timeout,
        })
    }

    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().expect("nobody panics with the state")
    }

    /// Decides, writes the records of the decision, and gives its answer once they are applied. What has begun goes on if
    /// nobody waits for it any more, and nothing else is decided meanwhile.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        decide: impl FnMut(&State) -> Result<(T, Vec<Record>), Error> + Send + 'static,
    ) -> Result<T, Error> {
        let deadline = Instant::now() + self.timeout;
        let writer = Arc::clone(&self.writer).lock_owned();
        let mut writer = timeout_at(deadline, writer).await.map_err(|_| self.timed_out())?;
        let work = tokio::spawn(async move { writer.carry_out(decide).await });
        match timeout_at(deadline, work).await {
            Ok(Ok(outcome)) => outcome,
            // It panicked, or the runtime ends.
            Ok(Err(_)) => Err(Error::Store(ClientError::Closed("writer of the schema topic"))),
            Err(_) => Err(self.timed_out()),
        }
    }

    fn timed_out(&self) -> Error {
        Error::StoreTimeout {
            topic: self.topic.clone(),
            timeout_ms: u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.repairs.abort();
    }
}

#[cfg(test)]
mod tests;
