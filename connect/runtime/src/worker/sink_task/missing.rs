//! Looks for the reason when a task has no partitions: a topic that is not there yet says so in the task's status. That other tasks have
//! them all is no reason.

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
        match looked {
            Some(why) => self.progress.fails(Hold::Partitions, || why),
            None => self.progress.works(Hold::Partitions),
        }
    }
}

/// What is not there. A cluster that cannot be asked is told of by the consumer's polls.
async fn missing_topics(context: &Context, config: &ConnectorConfig) -> Option<String> {
    let admin = clients::admin(context, config).ok()?;
    let listed = tokio::time::timeout(LOOK_PATIENCE, admin.list_topics()).await;
    let there = listed.ok()?.ok()?;
    let is_there = |name: &str| there.iter().any(|topic| topic.name == name);
    match config.topics().ok()? {
        Topics::Named(topics) if !topics.iter().any(|topic| is_there(topic)) => Some(format!(
            "it waits for a topic that does not exist: {}",
            topics.join(", ")
        )),
        Topics::Matching(pattern) if !there.iter().any(|topic| pattern.is_match(&topic.name)) => {
            Some("it waits for a topic that topics.regex matches, and none does".to_owned())
        }
        Topics::Named(_) | Topics::Matching(_) => None,
    }
}
