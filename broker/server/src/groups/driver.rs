//! What a group coordinator needs of the broker besides its partition.

use std::sync::{Arc, Mutex};

use forebay_broker_coordinator::{Action, Cluster, Command, Config, GroupCoordinator};
use forebay_protocol::Uuid;

use super::deletions::Deletions;
use super::expressions::{self, Turns};
use crate::coordinators::shard::{self, Driver, Work};
use crate::replicas::Replica;

/// A group coordinator and what drives it.
pub(super) type Shard = shard::Shard<GroupDriver>;

/// Whether there is a topic of this name, and unless that is zero, of this id.
type TopicExists = dyn Fn(&str, Uuid) -> bool + Send + Sync;

/// What it needs.
pub(crate) struct GroupDriver {
    config: Config,
    cluster: Arc<dyn Cluster>,
    /// Whose turn it is to resolve regular expressions.
    resolving: Turns,
    pub(super) topic_exists: Box<TopicExists>,
    pub(super) deletions: Mutex<Deletions>,
}

impl GroupDriver {
    /// Nothing to forget yet.
    pub(super) fn new(
        config: Config,
        cluster: Arc<dyn Cluster>,
        resolving: Turns,
        topic_exists: impl Fn(&str, Uuid) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            config,
            cluster,
            resolving,
            topic_exists: Box::new(topic_exists),
            deletions: Mutex::default(),
        }
    }
}

impl Driver for GroupDriver {
    type Coordinator = GroupCoordinator;

    const WHAT: &'static str = "group";
    const MAY_ABANDON: bool = true;

    fn coordinator(&self, replica: &Arc<Replica>) -> GroupCoordinator {
        GroupCoordinator::new(Config {
            append_bytes_max: replica.config().max_message_bytes,
            ..self.config.clone()
        })
        .with_cluster(Arc::clone(&self.cluster))
    }

    /// Topics whose deletion the log's last coordinator has not come to write down are forgotten as soon as that can be.
    fn loaded(shard: &Arc<Shard>, coordinator: &GroupCoordinator) {
        shard.forget_topics(&shard.topics_that_are_gone(coordinator));
    }

    fn perform(&self, action: Action) -> Option<Work<Self>> {
        let Action::ResolveExpressions {
            group,
            number,
            expressions,
            are_new,
        } = action;
        let (cluster, turns) = (Arc::clone(&self.cluster), self.resolving.clone());
        Some(Box::pin(async move {
            let resolved = expressions::resolve(cluster, &turns, (expressions, are_new)).await;
            Command::ExpressionsResolved {
                group,
                number,
                resolved,
            }
        }))
    }
}
