//! Makes the topics of a source task before the first record goes there, where `topic.creation.*` says how.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use forebay_client::{Admin, Error as ClientError};
use forebay_connect_api::Error;
use forebay_protocol::ErrorCode;

use super::super::clients;
use super::super::context::Context;
use super::super::progress::{Hold, Progress};
use crate::connector_config::ConnectorConfig;
use crate::connector_config::topic_creation::TopicCreation;

/// How long to rest before a topic that could not be made is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Which topics are known to be there.
#[derive(Debug)]
pub(super) struct Topics {
    /// `None`: the broker makes them, if it is set to.
    creation: Option<(TopicCreation, Admin)>,
    known: BTreeSet<Arc<str>>,
    progress: Arc<Progress>,
}

impl Topics {
    pub(super) fn new(
        context: &Context,
        config: &ConnectorConfig,
        progress: &Arc<Progress>,
    ) -> Result<Self, Error> {
        let creation = config.topic_creation().map_err(Error::Config)?;
        let creation = match creation.filter(|_| context.config.topic_creation) {
            Some(creation) => {
                let admin = clients::admin(context, config).map_err(|error| {
                    Error::fatal("cannot make the task's admin client").with_source(error)
                })?;
                Some((creation, admin))
            }
            None => None,
        };
        Ok(Self {
            creation,
            known: BTreeSet::new(),
            progress: Arc::clone(progress),
        })
    }

    /// Makes sure of a topic; costs nothing once it is known.
    pub(super) async fn ensure(&mut self, topic: &Arc<str>) -> Result<(), Error> {
        let Some((creation, admin)) = self.creation.as_ref().filter(|_| !self.known.contains(topic)) else {
            return Ok(());
        };
        let made = async {
            while let Err(error) = make(creation, admin, topic).await {
                if !error.is_retriable() {
                    return Err(
                        Error::fatal(format!("Task failed to create new topic {topic}")).with_source(error)
                    );
                }
                tracing::warn!(%topic, %error, "a topic cannot be created; trying again");
                tokio::time::sleep(RETRY_DELAY).await;
            }
            Ok(())
        };
        let why = || format!("the topic {topic} has yet to be made");
        // Once for each topic, and large.
        self.progress.telling(Hold::Topic, why, Box::pin(made)).await?;
        self.known.insert(Arc::clone(topic));
        Ok(())
    }
}

/// Makes the topic if it is missing.
async fn make(creation: &TopicCreation, admin: &Admin, topic: &str) -> Result<(), ClientError> {
    let described = admin.describe_topics(&[topic]).await?;
    let is_missing = matches!(
        described.get(topic),
        None | Some(Err(ClientError::Broker {
            code: ErrorCode::UnknownTopicOrPartition,
            ..
        }))
    );
    if !is_missing {
        return Ok(());
    }
    let new = creation.new_topic(topic);
    tracing::info!(%topic, ?new, "creating a topic as topic.creation.* says");
    let created = admin.create_topics(&[new], false).await?;
    match created.into_values().next() {
        Some(Err(ClientError::Broker {
            code: ErrorCode::TopicAlreadyExists,
            ..
        }))
        | Some(Ok(_))
        | None => Ok(()),
        Some(Err(error)) => Err(error),
    }
}
