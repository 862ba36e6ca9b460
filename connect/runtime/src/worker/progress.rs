//! Why a task that runs makes no progress: said as the `trace` of its status, which stays RUNNING, once it has lasted for a while, and
//! taken back when it is over. Kafka's workers log such things, and their statuses say nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use forebay_client::Producer;
use forebay_connect_api::TaskId;
use tokio::time::Instant;

use super::context::Context;

/// After how long without progress a status says so: short of that it would only flicker.
pub(super) const SAID_AFTER: Duration = Duration::from_secs(3);

/// What can hold a task up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hold {
    /// The system that it reads or writes.
    Task,
    /// The same, for what was due by the clock.
    Deadline,
    /// The same, for what it is to make durable before its offsets are committed.
    Flush,
    /// Something that a converter has to fetch.
    Converter,
    /// The cluster that it reads from.
    Consumer,
    /// The partitions that it is to have.
    Partitions,
    /// The cluster that it writes to.
    Producer,
    /// A topic that is to be made.
    Topic,
    /// Its dead letter queue.
    Letters,
    /// What it tells of records.
    Results,
    /// The place of its offsets.
    Offsets,
    /// What it says itself that it waits for.
    Own,
}

/// What holds a producer up, for the end of a sentence; nothing if it does not know.
pub(super) fn because(producer: &Producer) -> String {
    let trouble = producer.trouble();
    trouble.map_or_else(String::new, |error| format!(" ({error})"))
}

/// What a task's status says beside its state.
pub(super) struct Progress {
    context: Arc<Context>,
    id: TaskId,
    holds: Mutex<BTreeMap<Hold, Held>>,
}

#[derive(Debug)]
struct Held {
    since: Instant,
    /// What the status says of it.
    said: Option<String>,
    /// What it is to say once this has lasted for long enough.
    unsaid: Option<String>,
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress")
            .field("id", &self.id)
            .field("holds", &self.holds)
            .finish_non_exhaustive()
    }
}

impl Progress {
    /// A task that makes progress.
    pub(super) fn new(context: &Arc<Context>, id: &TaskId) -> Self {
        Self {
            context: Arc::clone(context),
            id: id.clone(),
            holds: Mutex::default(),
        }
    }

    /// Whose progress it is.
    pub(super) fn id(&self) -> &TaskId {
        &self.id
    }

    /// An attempt has failed, and there will be another.
    pub(super) fn fails(&self, hold: Hold, why: impl FnOnce() -> String) {
        let mut holds = self.holds();
        let held = holds.entry(hold).or_insert_with(|| Held {
            since: Instant::now(),
            said: None,
            unsaid: None,
        });
        if held.since.elapsed() >= SAID_AFTER && held.said.is_none() {
            held.said = Some(why());
            self.say(&holds);
        }
    }

    /// Nothing has come of it for long enough to be said.
    pub(super) fn stalls(&self, hold: Hold, why: impl FnOnce() -> String) {
        let held = Held {
            since: Instant::now(),
            said: Some(why()),
            unsaid: None,
        };
        let mut holds = self.holds();
        holds.insert(hold, held);
        self.say(&holds);
    }

    /// From now on it waits for this; if that lasts, the status says so, whether or not it is told again.
    pub(super) fn waits(self: &Arc<Self>, hold: Hold, why: &str) {
        let mut holds = self.holds();
        if let Some(held) = holds.get_mut(&hold) {
            match &mut held.said {
                Some(said) if said == why => {}
                Some(said) => {
                    *said = why.to_owned();
                    self.say(&holds);
                }
                None => held.unsaid = Some(why.to_owned()),
            }
            return;
        }
        let since = Instant::now();
        let (said, unsaid) = (None, Some(why.to_owned()));
        holds.insert(hold, Held { since, said, unsaid });
        drop(holds);
        let this = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep_until(since + SAID_AFTER).await;
            if let Some(this) = this.upgrade() {
                this.has_lasted(hold, since);
            }
        });
    }

    /// Says what has not been said, unless it is over, or another time.
    fn has_lasted(&self, hold: Hold, since: Instant) {
        let mut holds = self.holds();
        let held = holds.get_mut(&hold).filter(|held| held.since == since);
        if let Some(held) = held
            && let Some(why) = held.unsaid.take()
        {
            held.said = Some(why);
            self.say(&holds);
        }
    }

    /// It has worked.
    pub(super) fn works(&self, hold: Hold) {
        let mut holds = self.holds();
        if holds.remove(&hold).is_some_and(|held| held.said.is_some()) {
            self.say(&holds);
        }
    }

    /// Waits for `work`; if that takes long, the status says for what.
    pub(super) async fn telling<T>(
        &self,
        hold: Hold,
        why: impl FnOnce() -> String,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = std::pin::pin!(work);
        if let Ok(done) = tokio::time::timeout(SAID_AFTER, &mut work).await {
            return done;
        }
        self.stalls(hold, why);
        let done = work.await;
        self.works(hold);
        done
    }

    fn say(&self, holds: &BTreeMap<Hold, Held>) {
        // Records that wait for a converter are on no way to the cluster.
        let is_cause = |hold: &Hold| *hold != Hold::Producer || !holds.contains_key(&Hold::Converter);
        let said = holds.iter().filter(|(hold, _)| is_cause(hold));
        let said: Vec<&str> = said.filter_map(|(_, held)| held.said.as_deref()).collect();
        let trace = (!said.is_empty()).then(|| format!("No progress: {}", said.join("; ")));
        self.context.task_waits(&self.id, trace);
    }

    fn holds(&self) -> MutexGuard<'_, BTreeMap<Hold, Held>> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
