//! Looks for the reason when a task has no partitions, and says it in the task's status: its topics are not there yet, or other tasks have
//! all of their partitions.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::clients;
use super::super::context::Context;
use super::super::progress::Hold;
use super::SinkTaskRunner;
use crate::connector_config::{ConnectorConfig, Topics};

/// How often it is looked.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// How long that may take, as nothing is polled meanwhile.
const LOOK_PATIENCE: Duration = Duration::from_secs(2);

/// When it is looked next; `None`: the task has something.
#[derive(Debug, Default)]
pub(super) struct Missing {
    next: Option<Instant>,
}

impl SinkTaskRunner {
    /// Looks, if it is time for that.
    pub(super) async fn look_for_missing(&mut self) {
        if !self.consumer.assignment().is_empty() {
            if self.missing.next.take().is_some() {
                self.progress.works(Hold::Partitions);
            }
            return;
        }
        let now = Instant::now();
        let next = *self.missing.next.get_or_insert(now + LOOK_INTERVAL / 2);
        if next > now {
            return;
        }
        self.missing.next = Some(now + LOOK_INTERVAL);
        let mut command = self.command.clone();
        let (context, config) = (Arc::clone(&self.context), self.config.clone());
        let looked = tokio::select! {
            looked = missing_topics(&context, &config) => looked,
            _ = command.changed() => return,
        };
        // A member of the group that has settled, and without anything, while its topics are there.
        let is_member = self
            .consumer
            .group_metadata()
            .is_some_and(|group| group.generation_id >= 0);
        let looked = match looked {
            Looked::Missing(why) => Some(why),
            Looked::There if is_member && self.consumer.assignment().is_empty() => {
                Some("it has no partitions: other tasks of its group have all of them".to_owned())
            }
            Looked::There if !is_member => Some(
                "its consumer is not in its group yet: the coordinator does not answer, or the group settles"
                    .to_owned(),
            ),
            Looked::There | Looked::Unknown => None,
        };
        match looked {
            Some(why) => self.progress.fails(Hold::Partitions, || why),
            None => self.progress.works(Hold::Partitions),
        }
    }
}

/// What came of looking.
enum Looked {
    /// None of its topics is there.
    Missing(String),
    /// Some are.
    There,
    /// A cluster that cannot be asked is told of by the consumer's polls.
    Unknown,
}

async fn missing_topics(context: &Context, config: &ConnectorConfig) -> Looked {
    let (Ok(admin), Ok(topics)) = (clients::admin(context, config), config.topics()) else {
        return Looked::Unknown;
    };
    let Ok(Ok(there)) = tokio::time::timeout(LOOK_PATIENCE, admin.list_topics()).await else {
        return Looked::Unknown;
    };
    let is_there = |name: &str| there.iter().any(|topic| topic.name == name);
    match topics {
        Topics::Named(topics) if !topics.iter().any(|topic| is_there(topic)) => Looked::Missing(format!(
            "it waits for a topic that does not exist: {}",
            topics.join(", ")
        )),
        Topics::Matching(pattern) if !there.iter().any(|topic| pattern.is_match(&topic.name)) => {
            Looked::Missing("it waits for a topic that topics.regex matches, and none does".to_owned())
        }
        Topics::Named(_) | Topics::Matching(_) => Looked::There,
    }
}
