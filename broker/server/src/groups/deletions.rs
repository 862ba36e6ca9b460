//! Topics that are gone, kept until their offsets are: while the coordinator loads, or its log cannot be written, nothing can be
//! forgotten. Offsets carry the id of their topic, so that one of the same name that was made since keeps its own.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use forebay_broker_coordinator::{Command, GroupCoordinator, Response};
use forebay_protocol::{Utf8Bytes, Uuid};

use super::driver::Shard;

/// How long to wait after tombstones could not be written.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Topics whose offsets are to be forgotten.
#[derive(Debug, Default)]
pub(super) struct Deletions {
    topics: Vec<(Utf8Bytes, Uuid)>,
    /// A task is at it.
    forgetting: bool,
}

impl Shard {
    /// Forgets the offsets of topics that are gone: soon, or as soon as it can.
    pub(super) fn forget_topics(self: &Arc<Self>, topics: &[(Utf8Bytes, Uuid)]) {
        let mut deletions = self.deletions();
        deletions.topics.extend_from_slice(topics);
        if deletions.topics.is_empty() {
            return;
        }
        if !std::mem::replace(&mut deletions.forgetting, true) {
            tokio::spawn(Arc::clone(self).forget());
        }
    }

    /// Topics whose deletion the log's last coordinator has not come to write down.
    pub(super) fn topics_that_are_gone(&self, coordinator: &GroupCoordinator) -> Vec<(Utf8Bytes, Uuid)> {
        let topics = coordinator.topics_with_offsets().into_iter();
        topics
            .filter(|(topic, id)| !(self.driver().topic_exists)(topic, *id))
            .collect()
    }

    async fn forget(self: Arc<Self>) {
        while let Some(topics) = self.next_deletions() {
            let count = topics.len();
            let answer = self.request_of_its_own(Command::TopicsDeleted(topics)).await;
            if let Some(Response::TopicsDeleted(Ok(()))) = answer {
                self.deletions().topics.drain(..count);
                continue;
            }
            tokio::select! {
                () = self.settled() => {}
                () = tokio::time::sleep(RETRY_PAUSE) => {}
            }
        }
    }

    /// What is to be forgotten next; none if that is all, or no longer this coordinator's to do.
    fn next_deletions(&self) -> Option<Vec<(Utf8Bytes, Uuid)>> {
        let is_resigned = self.is_resigned();
        let mut deletions = self.deletions();
        if is_resigned {
            deletions.topics.clear();
        }
        deletions.forgetting = !deletions.topics.is_empty();
        deletions.forgetting.then(|| deletions.topics.clone())
    }

    /// A list is good at any time.
    fn deletions(&self) -> MutexGuard<'_, Deletions> {
        self.driver()
            .deletions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
