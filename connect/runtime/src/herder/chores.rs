//! What the leader of the workers does besides, once all have joined: it gives them a key to sign requests with (KIP-507), and
//! forgets the states of what is deleted. A worker alone does the latter once.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::cluster::{Cluster, LEADER};
use super::{Error, plan};
use crate::config::InterWorker;
use crate::group::{Leader, View};
use crate::store::config::SessionKey;
use crate::worker::{Context, now};

/// How long to rest after a key could not be written.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// As good as for ever.
const LONG: Duration = Duration::from_secs(24 * 3600);

pub(super) async fn run(context: Arc<Context>, cluster: Arc<Cluster>) {
    let Some(mut view) = cluster.group().watch() else {
        forget_the_gone(&context, &cluster);
        return;
    };
    let mut swept_for: Option<View> = None;
    loop {
        let now = view.borrow_and_update().clone();
        let leads = matches!(now.leader, Leader::Me(_)) && !now.is_rebalancing;
        let mut pause = LONG;
        if leads {
            if swept_for
                .as_ref()
                .is_none_or(|before| before.leader != now.leader)
            {
                forget_the_gone(&context, &cluster);
            }
            // Also if it has nothing to write: what the leader before it still sends is refused from here on.
            match cluster.change(LEADER).await.map(drop) {
                Ok(()) if now.is_sessioned => {
                    pause = give_key(&cluster, &context.config.inter_worker).await;
                }
                // Then it is told of another view.
                Ok(()) | Err(Error::NotLeader { .. }) => {}
                Err(error) => {
                    tracing::warn!(%error, "the worker leads, and cannot write to the config topic yet; trying again");
                    pause = RETRY_DELAY;
                }
            }
            swept_for = Some(now);
        }
        tokio::select! {
            changed = view.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// States of connectors and tasks that are deleted may be left where a worker was killed in between.
fn forget_the_gone(context: &Context, cluster: &Cluster) {
    let plan = plan::plan(&cluster.state());
    for name in context.statuses.connectors() {
        if !plan.connectors.contains_key(&*name) {
            context.statuses.remove_connector(&name);
            continue;
        }
        for id in context.statuses.tasks(&name) {
            if !plan.tasks.contains_key(&id) {
                context.statuses.remove_task(&id);
            }
        }
    }
}

/// Writes a key if there is none that will do; gives after how long to look again.
async fn give_key(cluster: &Cluster, config: &InterWorker) -> Duration {
    let known = cluster.state().session_key().cloned();
    let left = known.as_deref().and_then(|key| time_left(key, config));
    if let Some(left) = left.filter(|left| !left.is_zero()) {
        return left;
    }
    let key = SessionKey {
        key: random_key(config),
        algorithm: config.key_generation.name().to_owned(),
        created_at: now(),
    };
    match write(cluster, &key).await {
        Ok(()) => {
            tracing::debug!("the workers have a new key to sign requests with");
            time_left(&key, config).unwrap_or(RETRY_DELAY)
        }
        Err(error) => {
            tracing::warn!(%error, "the key with which workers sign requests cannot be written; trying again");
            RETRY_DELAY
        }
    }
}

async fn write(cluster: &Cluster, key: &SessionKey) -> Result<(), Error> {
    let change = cluster
        .change("Only the leader may distribute session keys.")
        .await?;
    change.configs.put_session_key(key).await?;
    Ok(())
}

/// How long a key will do yet; `None`: it is none of this worker's kind.
fn time_left(key: &SessionKey, config: &InterWorker) -> Option<Duration> {
    let is_ours = key.algorithm == config.key_generation.name() && key.key.len() == config.key_bytes;
    if !is_ours {
        return None;
    }
    if config.key_ttl.is_zero() {
        return Some(LONG);
    }
    let age = u64::try_from(now().0.saturating_sub(key.created_at.0)).unwrap_or(0);
    Some(config.key_ttl.saturating_sub(Duration::from_millis(age)))
}

fn random_key(config: &InterWorker) -> Vec<u8> {
    let mut key = Vec::new();
    while key.len() < config.key_bytes {
        // Some bits of each are no chance: the digest spreads the others.
        let random: Vec<u8> = (0..4).flat_map(|_| Uuid::new_v4().into_bytes()).collect();
        key.extend(config.key_generation.sign(&random, b"session-key"));
    }
    key.truncate(config.key_bytes);
    key
}
