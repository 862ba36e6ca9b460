//! Carrying a decision out: write, wait until it is applied, look whether it holds.

use std::sync::{Arc, RwLock, RwLockWriteGuard};

use forebay_records::Offset;
use tokio::sync::{Mutex, watch};

use crate::error::Error;
use crate::record::Record;
use crate::state::State;
use crate::topic::Topic;

/// How often a request decides anew because another registry was faster, before it fails: Confluent's default of
/// `kafkastore.write.max.retries`, and the first time.
const DECISIONS_MAX: usize = 6;

/// The right to decide and to write; there is one for each registry.
#[derive(Debug)]
pub(crate) struct Writer {
    state: Arc<RwLock<State>>,
    topic: Topic,
    /// There may be a record in the topic, or on its way there, that has not been applied.
    in_doubt: bool,
}

impl Writer {
    pub(super) fn new(state: Arc<RwLock<State>>, topic: Topic) -> Self {
        Self {
            state,
            topic,
            in_doubt: false,
        }
    }

    /// Decides until what was decided holds.
    pub(super) async fn carry_out<T>(
        &mut self,
        mut decide: impl FnMut(&State) -> Result<(T, Vec<Record>), Error>,
    ) -> Result<T, Error> {
        for _ in 0..DECISIONS_MAX {
            self.settle().await?;
            let (answer, records) = {
                let mut state = self.state();
                state.forget_replaced();
                // Comparing schemas may take a while: others may read meanwhile.
                decide(&RwLockWriteGuard::downgrade(state))?
            };
            if records.is_empty() {
                return Ok(answer);
            }
            self.write(&records).await?;
            let amends = self.state().amends(&records);
            if amends.is_empty() {
                return Ok(answer);
            }
            tracing::warn!(
                "another schema registry wrote to the same topic at the same time and was first; deciding again"
            );
            self.write(&amends).await?;
        }
        Err(Error::Contended)
    }

    /// Writes and waits until it is applied. If that fails, nothing may be decided before [`Writer::settle`].
    async fn write(&mut self, records: &[Record]) -> Result<(), Error> {
        // Set before the first `.await`: a task that is aborted leaves the doubt behind.
        self.in_doubt = true;
        self.topic.write(records).await?;
        self.in_doubt = false;
        Ok(())
    }

    /// Reads up to a mark behind everything that may have been written.
    async fn settle(&mut self) -> Result<(), Error> {
        if self.in_doubt {
            self.topic.mark().await?;
            self.in_doubt = false;
        }
        Ok(())
    }

    fn state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().expect("nobody panics with the state")
    }
}

/// Writes versions anew that another record hides in the topic, although it did not take their place in the state: after
/// compaction only that other record would be left. It comes from a registry that lost a race and could not make amends.
pub(super) async fn repair(
    state: Arc<RwLock<State>>,
    writer: Arc<Mutex<Writer>>,
    mut applied: watch::Receiver<Vec<Offset>>,
) {
    let hidden = || state.read().expect("nobody panics with the state").hidden();
    // After an error: with the next poll of the reader.
    while applied.changed().await.is_ok() {
        if hidden().is_empty() {
            continue;
        }
        let mut writer = writer.lock().await;
        let outcome = match writer.settle().await {
            Ok(()) => writer.write(&hidden()).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => {
                tracing::warn!("another schema registry had written over versions; they were written again");
            }
            Err(error) => {
                tracing::warn!(%error, "another schema registry has written over versions; they cannot be written again yet");
            }
        }
    }
}
