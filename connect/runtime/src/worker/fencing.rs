//! Fencing of source tasks (KIP-618): before new tasks of a connector begin, whatever the ones before them may still write is ruled
//! out, and what they have left open is ended. A record of the config topic says that this is done, and for how many tasks.
//!
//! Only the leader of the workers does it, once for all tasks; the others ask it. The orders that must hold: a task asks before it
//! takes its transactional id over, and looks afterwards whether it is still to run, as it may have fenced its own successor.
//!
//! Sink tasks fence each other, by partition (`sink_task/intents.rs`); here is what does so before their offsets are set anew.

use std::collections::BTreeSet;
use std::sync::Arc;

use forebay_client::admin::TransactionFilter;
use forebay_client::{Admin, Error as ClientError};
use forebay_config::Properties;
use forebay_connect_api::{Error as ConnectError, PluginType, TaskId, TopicPartition};
use forebay_protocol::TopicPartition as ClientTopicPartition;

use super::clients;
use super::context::Context;
use crate::connector_config::ConnectorConfig;
use crate::herder::Error;
use crate::herder::cluster::Cluster;

/// Why it belongs to the leader.
pub(crate) const LEADER: &str = "Only the leader may perform zombie fencing.";

/// Makes sure, before a task begins, that the tasks before its generation are fenced.
///
/// # Errors
/// A retriable one: without it, the task may not begin.
pub(crate) async fn before_task(
    context: &Context,
    cluster: &Arc<Cluster>,
    connector: &str,
) -> Result<(), ConnectError> {
    let fenced = match fence(context, cluster, connector).await {
        Err(Error::NotLeader { why, url }) => match (cluster.remote(), url) {
            (Some(remote), Some(url)) => {
                let key = cluster.state().session_key().cloned();
                remote.fence(&url, connector, key.as_deref()).await
            }
            (_, url) => Err(Error::NotLeader { why, url }),
        },
        fenced => fenced,
    };
    fenced.map_err(|error| {
        ConnectError::retriable("Failed to perform round of zombie fencing").with_source(error)
    })
}

/// Fences the tasks before a connector's present ones, if that is not done yet, as the leader.
///
/// # Errors
/// [`Error::NotLeader`], or that the cluster does not do it, or that there are newer tasks by now.
pub(crate) async fn fence(context: &Context, cluster: &Cluster, connector: &str) -> Result<(), Error> {
    cluster.lead(LEADER).await?;
    cluster.refresh().await?;
    if !cluster.state().is_fencing_pending(connector) {
        return Ok(());
    }
    let one_at_a_time = cluster.fencing(connector);
    let _one = one_at_a_time.lock().await;
    let (before, now, generation, config) = {
        let state = cluster.state();
        if !state.is_fencing_pending(connector) {
            return Ok(());
        }
        let unknown = || Error::NotFound(format!("Connector {connector} not found"));
        let known = state.get(connector).ok_or_else(unknown)?;
        (
            state.task_count(connector),
            known.tasks.len(),
            state.task_generation(connector),
            Arc::clone(&known.config),
        )
    };
    match before {
        // None of them has ever had a transaction.
        None | Some(0) => {}
        // A single task's successor has its transactional id, and fences it by beginning.
        Some(1) if now == 1 => {}
        Some(before) => fence_producers(context, connector, &config, before).await?,
    }
    let change = cluster.change(LEADER).await?;
    cluster.refresh().await?;
    if cluster.state().task_generation(connector) != generation {
        let message = "Fencing failed because new task configurations were generated for the connector";
        return Err(Error::Conflict(message.to_owned()));
    }
    change.configs.put_task_count(connector, now).await?;
    Ok(())
}

/// Whether a task may still run that has taken its transactional id over: it is of the newest generation, and this worker's.
///
/// # Errors
/// A retriable one: if it is wanted all the same, it begins anew.
pub(crate) async fn verify(
    context: &Context,
    cluster: &Cluster,
    id: &TaskId,
    generation: u64,
) -> Result<(), ConnectError> {
    let read = cluster.refresh().await;
    read.map_err(|error| {
        ConnectError::retriable("Failed to read to end of config topic").with_source(error)
    })?;
    if cluster.state().task_generation(&id.connector) != generation {
        return Err(ConnectError::retriable(format!(
            "Cannot start source task {id} with exactly-once support, as the connector has already generated a new set of task configs"
        )));
    }
    check_owner(context, cluster, id)
}

/// Whether a task is this worker's, as far as it knows.
///
/// # Errors
/// A retriable one if it is not.
pub(crate) fn check_owner(context: &Context, cluster: &Cluster, id: &TaskId) -> Result<(), ConnectError> {
    let view = cluster.group().view();
    let is_owned = view.is_none_or(|view| view.owned.tasks.contains(id));
    if is_owned && !context.session.is_ending() {
        return Ok(());
    }
    Err(ConnectError::retriable(format!(
        "Cannot start source task {id} as it has already been revoked from this worker"
    )))
}

/// Rules out what the tasks of a sink connector have not yet committed of these partitions, or of all: what they intend, and offsets
/// with it. For a group without members: who is none any more can begin nothing new.
///
/// # Errors
/// If the cluster does not do so.
pub(crate) async fn fence_sink(
    admin: &Admin,
    group: &str,
    partitions: Option<&[TopicPartition]>,
) -> Result<(), ClientError> {
    let listed = match admin.list_transactions(&TransactionFilter::default()).await {
        Err(error @ ClientError::UnsupportedVersion { .. }) => {
            tracing::warn!(
                group, %error,
                "the cluster cannot tell which tasks have said what they intend: one that was stopped within a transaction may still end it"
            );
            return Ok(());
        }
        listed => listed?,
    };
    let is_wanted = |of: ClientTopicPartition| {
        let of = TopicPartition::new(&*of.topic, of.partition);
        partitions.is_none_or(|partitions| partitions.contains(&of))
    };
    let ids = listed.values().flatten().map(|one| &*one.transactional_id);
    let ids = ids.filter(|id| clients::intents_partition(group, id).is_some_and(is_wanted));
    let ids: BTreeSet<&str> = ids.collect();
    let ids: Vec<&str> = ids.into_iter().collect();
    if ids.is_empty() {
        return Ok(());
    }
    tracing::info!(
        group,
        ?ids,
        "fencing the sink's tasks, as its offsets are set anew"
    );
    let fenced = admin.fence_producers(&ids).await?;
    fenced.into_values().try_for_each(|one| one.map(drop))
}

async fn fence_producers(
    context: &Context,
    connector: &str,
    config: &Arc<Properties>,
    tasks: u32,
) -> Result<(), Error> {
    let ids: Vec<String> = (0..tasks)
        .map(|task| clients::transactional_id(&context.config.group_id, connector, task))
        .collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    tracing::info!(connector, tasks, "fencing the tasks before the present ones");
    let failed = |source| Error::Client {
        what: format!("the earlier tasks of connector {connector} cannot be fenced"),
        source,
    };
    let config = context
        .resolve(config)
        .await
        .map_err(Error::Connector)?
        .properties;
    let config = ConnectorConfig::new(PluginType::Source, config);
    let config = config.map_err(|errors| Error::Connector(ConnectError::Config(errors)))?;
    let admin = clients::admin(context, &config).map_err(failed)?;
    let fenced = admin.fence_producers(&ids).await.map_err(failed)?;
    let fenced = fenced.into_values().map(|one| one.map(drop));
    fenced.collect::<Result<(), _>>().map_err(failed)
}
