//! What everybody in a worker sees of the group: who leads, who has what, and whether that is about to change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use forebay_connect_api::TaskId;
use tokio::sync::watch;

use super::work::Work;

/// How long a request waits for a rebalance to end before it is refused.
const REBALANCE_WAIT: Duration = Duration::from_secs(30);

/// Who has what, as the leader knows: the URLs of their REST APIs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Owners {
    pub(super) connectors: BTreeMap<Arc<str>, Arc<str>>,
    pub(super) tasks: BTreeMap<TaskId, Arc<str>>,
}

impl Owners {
    pub(super) fn add(&mut self, work: &Work, url: &str) {
        let url: Arc<str> = url.into();
        let connectors = work.connectors.iter();
        self.connectors
            .extend(connectors.map(|name| (name.clone(), Arc::clone(&url))));
        self.tasks
            .extend(work.tasks.iter().map(|id| (id.clone(), Arc::clone(&url))));
    }

    /// Where the worker is that has a connector.
    pub(crate) fn of_connector(&self, name: &str) -> Option<&Arc<str>> {
        self.connectors.get(name)
    }

    /// Where the worker is that has a task.
    pub(crate) fn of_task(&self, id: &TaskId) -> Option<&Arc<str>> {
        self.tasks.get(id)
    }
}

/// Who leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Leader {
    /// Nobody that this worker knows of: it is not in the group.
    Unknown,
    /// This worker, which knows who has what.
    Me(Arc<Owners>),
    /// Another, at this URL.
    At(Arc<str>),
}

/// The group as this worker sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// Who leads.
    pub(crate) leader: Leader,
    /// Whether the worker has to join, or is joining: what it knows may not hold any more.
    pub(crate) is_rebalancing: bool,
    /// Whether requests between workers are signed.
    pub(crate) is_sessioned: bool,
    /// Of the group, when this worker joined it last.
    pub(crate) generation: i32,
    /// What this worker has.
    pub(crate) owned: Arc<Work>,
}

/// Where the view is told.
#[derive(Debug, Clone)]
pub(crate) struct Group(Option<watch::Receiver<View>>);

impl Group {
    /// Of a worker alone, which leads itself and has everything.
    pub(crate) fn alone() -> Self {
        Self(None)
    }

    pub(crate) fn of(view: watch::Receiver<View>) -> Self {
        Self(Some(view))
    }

    /// How it is now; `None`: the worker is alone.
    pub(crate) fn view(&self) -> Option<View> {
        Some(self.0.as_ref()?.borrow().clone())
    }

    /// Changes with the group; `None`: the worker is alone.
    pub(crate) fn watch(&self) -> Option<watch::Receiver<View>> {
        self.0.clone()
    }

    /// Whether this worker leads now.
    pub(crate) fn leads(&self) -> bool {
        self.view()
            .is_none_or(|view| matches!(view.leader, Leader::Me(_)) && !view.is_rebalancing)
    }

    /// How it is once no rebalance is under way, or how it is after a while; `None`: the worker is alone.
    pub(crate) async fn settled(&self) -> Option<View> {
        let mut receiver = self.0.clone()?;
        let settled = receiver.wait_for(|view| !view.is_rebalancing);
        if let Ok(Ok(view)) = tokio::time::timeout(REBALANCE_WAIT, settled).await {
            return Some(view.clone());
        }
        self.view()
    }
}
