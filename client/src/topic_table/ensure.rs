//! The topic is made if it is missing, and refused if it would lose what is put into it.

use std::time::Duration;

use forebay_config::Properties;
use forebay_protocol::ErrorCode;

use super::{Error, Options};
use crate::admin::{Admin, ConfigResource, NewTopic};
use crate::{Client, Error as ClientError};

/// How long to rest before a topic that is not known yet is asked for again.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// Makes sure of the topic and gives the number of its partitions.
pub(super) async fn ensure(client: &Client, options: &Options) -> Result<usize, Error> {
    let admin = client.admin(&Properties::new())?;
    let mut new = NewTopic::new(&options.topic).config("cleanup.policy", "compact");
    new.partitions = options.partitions;
    new.replication_factor = options.replication_factor;
    let outcome = admin.create_topics(&[new], false).await?;
    match outcome.into_values().next() {
        Some(Err(ClientError::Broker {
            code: ErrorCode::TopicAlreadyExists,
            ..
        })) => check_policy(&admin, &options.topic).await?,
        Some(Err(error)) => return Err(error.into()),
        Some(Ok(_)) | None => {}
    }
    let partitions = count_partitions(&admin, &options.topic).await?;
    if options.single_partition && partitions != 1 {
        return Err(Error::NotOnePartition { partitions });
    }
    Ok(partitions)
}

async fn check_policy(admin: &Admin, topic: &str) -> Result<(), Error> {
    let resource = ConfigResource::Topic(topic.to_owned());
    let described = admin.describe_configs(&[resource]).await?;
    let Some(entries) = described.into_values().next().transpose()? else {
        return Ok(());
    };
    let policy = entries
        .into_iter()
        .find(|entry| entry.name == "cleanup.policy")
        .and_then(|entry| entry.value);
    match policy {
        Some(policy) if policy != "compact" => Err(Error::NotCompacted { policy }),
        _ => Ok(()),
    }
}

async fn count_partitions(admin: &Admin, topic: &str) -> Result<usize, ClientError> {
    loop {
        match admin.describe_topics(&[topic]).await?.into_values().next() {
            Some(Ok(described)) => return Ok(described.partitions.len()),
            // Just made, and not known to every broker yet. Whoever opens the table bounds the time.
            None => {}
            Some(Err(error)) if error.is_retriable() => {}
            Some(Err(error)) => return Err(error),
        }
        tokio::time::sleep(RETRY_DELAY).await;
    }
}
