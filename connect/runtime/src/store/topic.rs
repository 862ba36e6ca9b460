//! A storage topic is made if it is missing, and refused if it would lose what is put into it.

use std::time::Duration;

use forebay_client::admin::{Admin, ConfigResource, NewTopic};
use forebay_client::{Client, Error as ClientError};
use forebay_config::Properties;
use forebay_protocol::ErrorCode;

use super::Error;
use crate::config::StorageTopic;

/// How long to rest before a topic that is not known yet is asked for again.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// What a storage topic is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Purpose {
    /// The key that names the topic: `config.storage.topic`.
    pub(crate) key: &'static str,
    /// `connector configurations`
    pub(crate) content: &'static str,
    /// Whether the order of all records matters.
    pub(crate) single_partition: bool,
}

/// Makes sure of the topic and gives the number of its partitions.
pub(super) async fn ensure(client: &Client, topic: &StorageTopic, purpose: Purpose) -> Result<usize, Error> {
    let failed = |source| Error::Client {
        topic: topic.name.clone(),
        source,
    };
    let admin = client.admin(&Properties::new()).map_err(failed)?;
    let mut new = NewTopic::new(&topic.name).config("cleanup.policy", "compact");
    new.partitions = topic.partitions;
    new.replication_factor = topic.replication_factor;
    let outcome = admin.create_topics(&[new], false).await.map_err(failed)?;
    match outcome.into_values().next() {
        Some(Err(ClientError::Broker {
            code: ErrorCode::TopicAlreadyExists,
            ..
        })) => check_policy(&admin, topic, purpose).await?,
        Some(Err(error)) => return Err(failed(error)),
        Some(Ok(_)) | None => {}
    }
    count_partitions(&admin, topic, purpose).await
}

async fn check_policy(admin: &Admin, topic: &StorageTopic, purpose: Purpose) -> Result<(), Error> {
    let failed = |source| Error::Client {
        topic: topic.name.clone(),
        source,
    };
    let resource = ConfigResource::Topic(topic.name.clone());
    let described = admin.describe_configs(&[resource]).await.map_err(failed)?;
    let Some(entries) = described.into_values().next().transpose().map_err(failed)? else {
        return Ok(());
    };
    let policy = entries
        .into_iter()
        .find(|entry| entry.name == "cleanup.policy")
        .and_then(|entry| entry.value);
    match policy {
        Some(policy) if policy != "compact" => Err(Error::NotCompacted {
            topic: topic.name.clone(),
            key: purpose.key,
            content: purpose.content,
            policy,
        }),
        _ => Ok(()),
    }
}

async fn count_partitions(admin: &Admin, topic: &StorageTopic, purpose: Purpose) -> Result<usize, Error> {
    let failed = |source| Error::Client {
        topic: topic.name.clone(),
        source,
    };
    let partitions = loop {
        let described = admin.describe_topics(&[&topic.name]).await.map_err(failed)?;
        match described.into_values().next() {
            Some(Ok(described)) => break described.partitions.len(),
            // Just made, and not known to every broker yet. Whoever opens the topic bounds the time.
            None => {}
            Some(Err(error)) if error.is_retriable() => {}
            Some(Err(error)) => return Err(failed(error)),
        }
        tokio::time::sleep(RETRY_DELAY).await;
    };
    if purpose.single_partition && partitions != 1 {
        return Err(Error::NotOnePartition {
            topic: topic.name.clone(),
            key: purpose.key,
            content: purpose.content,
            partitions,
        });
    }
    Ok(partitions)
}
