//! Connectors and tasks as a set: what is configured, what a worker has, what it is to give up (Kafka's `ConnectorsAndTasks`).

use std::collections::BTreeSet;
use std::sync::Arc;

use forebay_connect_api::TaskId;

/// A set of connectors and tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Connectors by name.
    pub(crate) connectors: BTreeSet<Arc<str>>,
    /// Tasks.
    pub(crate) tasks: BTreeSet<TaskId>,
}

impl Work {
    pub(crate) fn is_empty(&self) -> bool {
        self.connectors.is_empty() && self.tasks.is_empty()
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        self.connectors.extend(other.connectors.iter().cloned());
        self.tasks.extend(other.tasks.iter().cloned());
    }

    pub(crate) fn remove(&mut self, other: &Self) {
        self.connectors.retain(|name| !other.connectors.contains(name));
        self.tasks.retain(|id| !other.tasks.contains(id));
    }

    /// Those that are not in `other`.
    #[must_use]
    pub(crate) fn without(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        rest.remove(other);
        rest
    }

    /// Those that are in `other`, too.
    #[must_use]
    pub(crate) fn within(&self, other: &Self) -> Self {
        Self {
            connectors: self.connectors.intersection(&other.connectors).cloned().collect(),
            tasks: self.tasks.intersection(&other.tasks).cloned().collect(),
        }
    }

    /// What several have in all.
    pub(crate) fn union<'a>(several: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut all = Self::default();
        several.into_iter().for_each(|one| all.extend(one));
        all
    }
}
