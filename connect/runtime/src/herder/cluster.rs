//! One decision at a time: a change of the config topic is decided on a state that no other change alters before it is
//! written and read back; and by the leader of the workers only, whose changes nobody else's mix with.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, RwLockReadGuard, Weak};

use forebay_config::Properties;
use tokio::sync::{Mutex, MutexGuard, watch};

use super::Error;
use super::plan::must_publish;
use super::remote::Remote;
use crate::group::{Group, Leader, Session};
use crate::store;
use crate::store::config::{ClusterConfig, ConfigStore, TargetState};

/// Why task configurations belong to the leader.
pub(super) const LEADER: &str = "Only the leader may write task configurations.";

/// The generation of a worker that has no group.
const ALONE: i32 = -1;

/// The config topic and the right to change it.
#[derive(Debug)]
pub(crate) struct Cluster {
    configs: ConfigStore,
    writing: Mutex<()>,
    /// Of each connector whose earlier tasks are being fenced.
    fencing: std::sync::Mutex<BTreeMap<Arc<str>, Weak<Mutex<()>>>>,
    place: OnceLock<Place>,
}

/// The worker's place among others.
#[derive(Debug)]
struct Place {
    group: Group,
    session: Session,
    remote: Remote,
}

impl Cluster {
    pub(crate) fn new(configs: ConfigStore) -> Self {
        Self {
            configs,
            writing: Mutex::new(()),
            fencing: std::sync::Mutex::default(),
            place: OnceLock::new(),
        }
    }

    /// Said once, before anything is changed: the group, how long the worker is a member of it, and the way to other workers.
    pub(super) fn join(&self, group: Group, session: Session, remote: Remote) {
        self.configs.join(group.clone());
        let place = Place {
            group,
            session,
            remote,
        };
        let is_first = self.place.set(place).is_ok();
        debug_assert!(is_first, "a worker has one place");
    }

    /// What holds now.
    pub(crate) fn state(&self) -> RwLockReadGuard<'_, ClusterConfig> {
        self.configs.state()
    }

    /// Changes with every record.
    pub(crate) fn version(&self) -> watch::Receiver<u64> {
        self.configs.version()
    }

    /// Waits until everything that is committed in the config topic has been applied.
    pub(super) async fn read(&self) -> Result<(), store::Error> {
        self.configs.read().await
    }

    /// The newest generation in which this worker led and is fenced; `None`: nobody is ever fenced.
    pub(super) fn lost(&self) -> Option<watch::Receiver<i32>> {
        self.configs.lost()
    }

    /// Waits until everything that is in the config topic has been applied.
    pub(crate) async fn refresh(&self) -> Result<(), store::Error> {
        self.configs.refresh().await
    }

    /// The right to change it, which the leader alone has. A request that has begun to write finishes even if nobody waits for
    /// its answer any more.
    ///
    /// # Errors
    /// [`Error::NotLeader`] with `why`.
    pub(crate) async fn change(&self, why: &'static str) -> Result<Change<'_>, Error> {
        self.leading(why).await?;
        let change = self.change_of_any().await;
        // While it waited another may have been elected.
        let generation = self.leading(why).await?;
        self.configs
            .claim(generation, self.confirm(why, generation))
            .await?;
        Ok(change)
    }

    /// Asks the coordinator whether this worker's generation still stands.
    async fn confirm(&self, why: &'static str, generation: i32) -> Result<(), Error> {
        let Some(place) = self.place.get() else {
            return Ok(());
        };
        let confirmed = place.session.confirm(generation).await;
        confirmed.map_err(|error| {
            tracing::info!(%error, generation, "the worker may lead no more");
            Error::NotLeader { why, url: None }
        })
    }

    /// The right to change what any worker may.
    pub(super) async fn change_of_any(&self) -> Change<'_> {
        Change {
            _writing: self.writing.lock().await,
            cluster: self,
            configs: &self.configs,
        }
    }

    /// Waits for the end of a rebalance.
    ///
    /// # Errors
    /// [`Error::NotLeader`] with `why` if this worker does not lead then.
    pub(crate) async fn lead(&self, why: &'static str) -> Result<(), Error> {
        self.leading(why).await.map(drop)
    }

    /// The same; gives the generation in which it leads.
    async fn leading(&self, why: &'static str) -> Result<i32, Error> {
        let view = match self.place.get() {
            Some(place) => place.group.settled().await,
            None => None,
        };
        let Some(view) = view else { return Ok(ALONE) };
        let url = match view.leader {
            Leader::Me(_) if !view.is_rebalancing => return Ok(view.generation),
            Leader::At(url) => Some(url),
            Leader::Unknown | Leader::Me(_) => None,
        };
        Err(Error::NotLeader { why, url })
    }

    /// The group; `None` before the worker has a place, and of a worker alone.
    pub(crate) fn group(&self) -> Group {
        self.place
            .get()
            .map_or_else(Group::alone, |place| place.group.clone())
    }

    /// The way to other workers.
    pub(crate) fn remote(&self) -> Option<&Remote> {
        Some(&self.place.get()?.remote)
    }

    /// What a connector's earlier tasks are fenced under: one at a time.
    pub(crate) fn fencing(&self, connector: &str) -> Arc<Mutex<()>> {
        let mut fencing = self.fencing.lock().expect("nobody panics with it");
        fencing.retain(|_, one| one.strong_count() > 0);
        if let Some(one) = fencing.get(connector).and_then(Weak::upgrade) {
            return one;
        }
        let one = Arc::new(Mutex::new(()));
        fencing.insert(connector.into(), Arc::downgrade(&one));
        one
    }

    /// Has the tasks that a connector has made of a configuration written, unless they are there already, or the connector has
    /// another configuration by now, or is not to have tasks. If another worker leads, it is asked to.
    pub(crate) async fn publish_tasks(
        &self,
        name: &str,
        made_of: &Arc<Properties>,
        tasks: &[Properties],
    ) -> Result<(), Error> {
        if !self.is_wanted(name, made_of, tasks) {
            return Ok(());
        }
        match self.change(LEADER).await {
            Ok(change) => {
                if self.is_wanted(name, made_of, tasks) {
                    change.put_tasks(name, tasks).await?;
                }
                Ok(())
            }
            Err(Error::NotLeader { why, url }) => match (self.remote(), url) {
                (Some(remote), Some(url)) => {
                    let key = self.state().session_key().cloned();
                    remote.put_tasks(&url, name, tasks, key.as_deref()).await
                }
                (_, url) => Err(Error::NotLeader { why, url }),
            },
            Err(error) => Err(error),
        }
    }

    /// Since when a connector has to be asked for its tasks, as [`ClusterConfig`] counts.
    pub(crate) fn unpublished(&self, name: &str) -> Option<i64> {
        self.state().get(name)?.unpublished
    }

    /// Ready once the connector has to be asked for its tasks for another reason than the `known` one.
    pub(crate) async fn lacks_tasks(&self, name: &str, known: Option<i64>) {
        let mut version = self.version();
        loop {
            version.borrow_and_update();
            let since = self.unpublished(name);
            if since.is_some() && since != known {
                return;
            }
            if version.changed().await.is_err() {
                return std::future::pending().await; // The topic is read no more.
            }
        }
    }

    fn is_wanted(&self, name: &str, made_of: &Arc<Properties>, tasks: &[Properties]) -> bool {
        let state = self.state();
        let is_current = state.get(name).is_some_and(|connector| {
            connector.config == *made_of && connector.target_state != TargetState::Stopped
        });
        is_current && must_publish(&state, name, tasks)
    }
}

/// While it is held, this worker changes nothing else in the config topic.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    _writing: MutexGuard<'a, ()>,
    cluster: &'a Cluster,
    /// The topic.
    pub(crate) configs: &'a ConfigStore,
}

impl Change<'_> {
    /// Writes the configurations of all tasks and the record that makes them valid, if this worker still leads.
    ///
    /// # Errors
    /// As [`Cluster::lead`] and those of the topic. Then the tasks that there are stay.
    pub(crate) async fn put_tasks(&self, name: &str, tasks: &[Properties]) -> Result<(), Error> {
        self.configs
            .put_tasks(name, tasks, self.cluster.lead(LEADER))
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::group::{Algorithm, View};

    /// Finding 5 of the review of 22 November.
    #[tokio::test]
    async fn task_configurations_are_not_committed_by_who_leads_no_more() {
        let view = |leader| View {
            leader,
            is_rebalancing: false,
            is_sessioned: true,
            generation: 1,
            owned: Arc::default(),
        };
        let (sender, receiver) = watch::channel(view(Leader::Me(Arc::default())));
        let cluster = Cluster::new(ConfigStore::in_memory());
        let signature = Algorithm::from_name("HmacSHA256").expect("it is Kafka's default");
        let remote = Remote::new(signature, Duration::from_secs(1)).expect("no option is wrong");
        cluster.join(Group::of(receiver), Session::alone(), remote);
        let change = cluster.change(LEADER).await.expect("it leads");
        let put = change.configs.put_connector("c", &Properties::new(), None).await;
        put.expect("memory takes it");
        let tasks = |count| vec![Properties::new(); count];
        change.put_tasks("c", &tasks(2)).await.expect("it leads");
        sender.send_replace(view(Leader::At("http://other/".into())));
        let refused = change.put_tasks("c", &tasks(1)).await;
        assert!(matches!(refused, Err(Error::NotLeader { .. })), "{refused:?}");
        assert_eq!(cluster.state().get("c").expect("it is there").tasks.len(), 2);
        sender.send_replace(view(Leader::Me(Arc::default())));
        change.put_tasks("c", &tasks(1)).await.expect("it leads again");
        assert_eq!(cluster.state().get("c").expect("it is there").tasks.len(), 1);
    }
}
