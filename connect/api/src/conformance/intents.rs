//! What a cluster keeps for sink tasks that say what they intend, in memory: intents, offsets, and who owns what.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{BoxFuture, Error, Intent, Intents, Offset, Offsets, TopicPartition};

/// What survives every task. Cheap to clone: all clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Cluster(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    epochs: BTreeMap<TopicPartition, u64>,
    intents: BTreeMap<TopicPartition, Vec<Intent>>,
    committed: Offsets,
    /// Intents that were said in all.
    said: u64,
}

/// One task's way to it.
#[derive(Debug)]
pub struct Owner {
    cluster: Cluster,
    /// With which epoch it owns a partition, and what was outstanding then.
    owned: Mutex<BTreeMap<TopicPartition, (u64, Vec<Intent>)>>,
    /// Partitions of which it was told that it has lost them.
    lost: Mutex<BTreeSet<TopicPartition>>,
}

impl Cluster {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The offset that the group has.
    pub fn committed(&self, of: &TopicPartition) -> Option<Offset> {
        self.lock().committed.get(of).copied()
    }

    /// How many intents were said, and how many of them are not done.
    pub fn counts(&self) -> (u64, usize) {
        let state = self.lock();
        (state.said, state.intents.values().map(Vec::len).sum())
    }

    /// A task that owns nothing yet.
    pub fn owner(&self) -> Arc<Owner> {
        Arc::new(Owner {
            cluster: self.clone(),
            owned: Mutex::default(),
            lost: Mutex::default(),
        })
    }
}

impl Owner {
    /// Makes the task the owner of a partition, and whoever was it before a former one.
    pub fn take_over(&self, of: &TopicPartition) {
        let mut state = self.cluster.lock();
        let epoch = state.epochs.entry(of.clone()).or_default();
        *epoch += 1;
        let epoch = *epoch;
        let mut outstanding = state.intents.get(of).cloned().unwrap_or_default();
        outstanding.sort_by_key(|intent| intent.start);
        let mut owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner);
        owned.insert(of.clone(), (epoch, outstanding));
    }

    /// Commits an offset as the worker does between objects; a former owner's is refused.
    pub fn commit(&self, of: &TopicPartition, offset: Offset) {
        // A refusal is met again with the next poll.
        let _ = self.change(of, |state| state.committed.insert(of.clone(), offset));
    }

    /// Partitions that it was refused since this was asked last.
    pub fn take_lost(&self) -> BTreeSet<TopicPartition> {
        std::mem::take(&mut *self.lost.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<T>(&self, of: &TopicPartition, change: impl FnOnce(&mut State) -> T) -> Result<T, Error> {
        let mut state = self.cluster.lock();
        let owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner);
        let epoch = owned.get(of).map(|(epoch, _)| epoch);
        if epoch.is_some() && epoch == state.epochs.get(of) {
            return Ok(change(&mut state));
        }
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.insert(of.clone());
        Err(Error::retriable(format!("{of} has another owner")))
    }
}

impl Intents for Owner {
    fn outstanding(&self, of: &TopicPartition) -> Vec<Intent> {
        let owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner);
        owned
            .get(of)
            .map(|(_, outstanding)| outstanding.clone())
            .unwrap_or_default()
    }

    fn intend<'a>(
        &'a self,
        of: &'a TopicPartition,
        intents: &'a [Intent],
        safe: Offset,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            step().await;
            self.change(of, |state| {
                state.said += intents.len() as u64;
                let said = state.intents.entry(of.clone()).or_default();
                said.extend(intents.iter().cloned());
                state.committed.insert(of.clone(), safe);
            })?;
            // Killed here, it is said, though the task has not heard so.
            step().await;
            Ok(())
        })
    }

    fn done<'a>(
        &'a self,
        of: &'a TopicPartition,
        intents: &'a [Intent],
        safe: Offset,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            step().await;
            self.change(of, |state| {
                let done = |said: &Intent| intents.iter().any(|intent| intent.object == said.object);
                state
                    .intents
                    .entry(of.clone())
                    .or_default()
                    .retain(|said| !done(said));
                state.committed.insert(of.clone(), safe);
            })?;
            step().await;
            Ok(())
        })
    }
}

/// Lets a test stop a task here, or cut it off.
async fn step() {
    let mut has_yielded = false;
    std::future::poll_fn(|context| {
        if has_yielded {
            return std::task::Poll::Ready(());
        }
        has_yielded = true;
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}
