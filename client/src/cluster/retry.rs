//! Trying again what may help, with a pause that grows, until a time limit: for one thing, or for many of which some succeed.

use std::{collections::BTreeMap, future::Future, time::Duration};

use forebay_protocol::ErrorCode;
use tokio::time::{Instant, sleep, timeout};

use super::Cluster;
use crate::error::Error;

/// How often a topic that is not there is looked for again: what was just created takes a moment to be known everywhere.
const UNKNOWN_TOPIC_ATTEMPTS: u32 = 5;

/// How long to try, and what for: `create topic t`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempts<'a> {
    pub(crate) action: &'a str,
    pub(crate) within: Duration,
    /// How often to try again.
    pub(crate) retries: u32,
}

/// The state of trying.
struct Trying<'a> {
    cluster: &'a Cluster,
    attempts: Attempts<'a>,
    deadline: Instant,
    failures: u32,
}

impl<'a> Trying<'a> {
    fn new(cluster: &'a Cluster, attempts: Attempts<'a>) -> Self {
        Self {
            cluster,
            attempts,
            deadline: Instant::now() + attempts.within,
            failures: 0,
        }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn is_worth_it(&self, error: &Error) -> bool {
        let unknown = matches!(
            error.code(),
            Some(ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId)
        );
        error.is_retriable() && !(unknown && self.failures >= UNKNOWN_TOPIC_ATTEMPTS)
    }

    /// Waits before the next attempt, and refreshes what the error says is out of date. False: there is no time left.
    async fn pause(&mut self, error: &Error) -> bool {
        tracing::debug!("{}: {error}; trying again", self.attempts.action);
        self.failures += 1;
        let pause = self.cluster.backoff().delay(self.failures);
        if Instant::now() + pause >= self.deadline || self.failures > self.attempts.retries {
            return false;
        }
        sleep(pause).await;
        if is_stale(error) {
            // Whether it succeeds shows in the next attempt.
            let _ = timeout(self.left(), self.cluster.refresh(self.cluster.snapshot().version)).await;
        }
        true
    }

    fn over(&self, last: Option<Error>) -> Error {
        Error::Timeout {
            action: self.attempts.action.into(),
            after: self.attempts.within,
            last: last.map(Box::new),
        }
    }
}

/// Attempts until one succeeds, or fails with what a retry does not help, or the time is over.
pub(crate) async fn retry<T, F>(
    cluster: &Cluster,
    attempts: Attempts<'_>,
    mut attempt: impl FnMut() -> F,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut trying = Trying::new(cluster, attempts);
    let mut last = None;
    loop {
        let error = match timeout(trying.left(), attempt()).await {
            Ok(Err(error)) if trying.is_worth_it(&error) => error,
            Ok(result) => return result,
            Err(_) => return Err(trying.over(last)),
        };
        if !trying.pause(&error).await {
            return Err(trying.over(Some(error)));
        }
        last = Some(error);
    }
}

/// What became of some of many things.
pub(crate) type Results<K, T> = Vec<(K, Result<T, Error>)>;

/// Attempts many things at a time, and again those of them that a retry may help. Gives what became of each; fails as a whole
/// only if nothing came of any.
pub(crate) async fn gather<K, T, F>(
    cluster: &Cluster,
    attempts: Attempts<'_>,
    keys: impl IntoIterator<Item = K>,
    mut attempt: impl FnMut(Vec<K>) -> F,
) -> Result<BTreeMap<K, Result<T, Error>>, Error>
where
    K: Ord + Clone,
    F: Future<Output = Result<Results<K, T>, Error>>,
{
    let mut trying = Trying::new(cluster, attempts);
    let mut pending: BTreeMap<K, Option<Error>> = keys.into_iter().map(|key| (key, None)).collect();
    let mut done = BTreeMap::new();
    let mut last = None;
    while !pending.is_empty() {
        match timeout(trying.left(), attempt(pending.keys().cloned().collect())).await {
            Err(_) => return trying.give_up(done, pending, last),
            Ok(Err(error)) if trying.is_worth_it(&error) => last = Some(error),
            Ok(Err(error)) if done.is_empty() => return Err(error),
            Ok(Err(error)) => {
                done.extend(pending.into_keys().map(|key| (key, Err(error.clone()))));
                return Ok(done);
            }
            Ok(Ok(results)) => {
                last = None;
                for (key, result) in results {
                    match result {
                        Err(error) if trying.is_worth_it(&error) => {
                            last = Some(error.clone());
                            pending.insert(key, Some(error));
                        }
                        result => {
                            pending.remove(&key);
                            done.insert(key, result);
                        }
                    }
                }
                if last.is_none() {
                    // What the answer does not mention will not be mentioned the next time.
                    let missing = |key| (key, Err(silent(attempts.action)));
                    done.extend(std::mem::take(&mut pending).into_keys().map(missing));
                }
            }
        }
        if let Some(error) = last.clone()
            && !trying.pause(&error).await
        {
            return trying.give_up(done, pending, last);
        }
    }
    Ok(done)
}

impl Trying<'_> {
    fn give_up<K: Ord, T>(
        &self,
        mut done: BTreeMap<K, Result<T, Error>>,
        pending: BTreeMap<K, Option<Error>>,
        last: Option<Error>,
    ) -> Result<BTreeMap<K, Result<T, Error>>, Error> {
        if done.is_empty() && pending.values().all(Option::is_none) {
            return Err(self.over(last));
        }
        let late = |(key, error): (K, Option<Error>)| (key, Err(self.over(error.or_else(|| last.clone()))));
        done.extend(pending.into_iter().map(late));
        Ok(done)
    }
}

fn silent(action: &str) -> Error {
    Error::InvalidResponse {
        action: action.into(),
        reason: "it does not mention what was asked for".into(),
    }
}

/// Whether an error may mean that what is known of the cluster is out of date.
fn is_stale(error: &Error) -> bool {
    match error {
        Error::Transport(_) | Error::UnknownNode(_) => true,
        Error::Broker { code, .. } => says_stale(*code),
        _ => false,
    }
}

/// Whether a broker says so (Kafka's `InvalidMetadataException`, and what concerns the controller and a leader epoch that the
/// broker has not heard of yet).
pub(crate) fn says_stale(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NotController
            | ErrorCode::NotLeaderOrFollower
            | ErrorCode::LeaderNotAvailable
            | ErrorCode::ListenerNotFound
            | ErrorCode::UnknownTopicOrPartition
            | ErrorCode::UnknownTopicId
            | ErrorCode::InconsistentTopicId
            | ErrorCode::FencedLeaderEpoch
            | ErrorCode::UnknownLeaderEpoch
            | ErrorCode::ReplicaNotAvailable
            | ErrorCode::KafkaStorageError
    )
}
