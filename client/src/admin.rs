//! Looking at a cluster and changing it (Kafka's `Admin`). Every call finds the broker that it must go to, and tries again
//! what may help, within `default.api.timeout.ms`.

mod configs;
mod consumer_groups;
mod features;
mod groups;
mod log_dirs;
mod offsets;
mod quorum;
mod quotas;
mod reassignments;
mod scram;
mod topics;
mod transactions;
mod types;

use std::{collections::BTreeMap, fmt, future::Future, sync::Arc};

use forebay_protocol::{
    ErrorCode, NodeId,
    messages::{DescribeClusterRequest, MetadataRequest},
};

pub use features::{ApiVersions, Endpoint, UpgradeType};
pub use log_dirs::{LogDirDescription, ReplicaInfo};
pub use quorum::{QuorumInfo, QuorumReplica};
pub use quotas::{QuotaEntity, QuotaFilter, QuotaMatch};
pub use reassignments::{ElectionType, PartitionReassignment};
pub use scram::{ScramAlteration, ScramCredential, ScramMechanism};
pub use transactions::{ProducerState, TransactionDescription, TransactionFilter, TransactionListing};
pub use types::*;

use crate::{
    AdminConfig, ClientConfig, Error, LocalNode,
    cluster::{Attempts, Broker, Cluster, Creates, Lane, Results, gather, retry},
    node::Node as Connection,
};

/// An admin client. Cheap to clone.
#[derive(Clone)]
pub struct Admin {
    config: Arc<AdminConfig>,
    cluster: Cluster,
}

impl Admin {
    /// An admin client; must be called inside a tokio runtime.
    pub fn new(config: AdminConfig, local: Option<LocalNode>) -> Self {
        let cluster = Cluster::new(Self::client_config(&config), local, Creates::Nothing);
        Self::with_cluster(config, cluster)
    }

    /// What its connections are made from.
    pub(crate) fn client_config(config: &AdminConfig) -> ClientConfig {
        config.client.clone().named("adminclient")
    }

    pub(crate) fn with_cluster(config: AdminConfig, cluster: Cluster) -> Self {
        Self {
            config: Arc::new(config),
            cluster,
        }
    }

    /// What it was made from.
    pub fn config(&self) -> &AdminConfig {
        &self.config
    }

    /// The cluster's id, brokers and controller.
    ///
    /// # Errors
    /// Of the call.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, Error> {
        self.retry("describe the cluster", || async {
            let node = self.cluster.any_node().await?;
            if node.version::<DescribeClusterRequest>(i16::MAX).is_err() {
                return self.describe_cluster_by_metadata(&node).await;
            }
            let answer = node.call(|_| DescribeClusterRequest::default()).await?;
            check(
                "describe the cluster",
                answer.error_code,
                answer.error_message.as_deref(),
            )?;
            let nodes = answer.brokers.into_iter().map(|broker| Node {
                id: NodeId(broker.broker_id),
                host: broker.host.into(),
                port: port(broker.port),
                rack: broker.rack.map(String::from),
            });
            Ok(description(
                Some(answer.cluster_id.into()),
                answer.controller_id,
                nodes.collect(),
            ))
        })
        .await
    }

    /// For brokers before Kafka 2.8.
    async fn describe_cluster_by_metadata(&self, node: &Connection) -> Result<ClusterDescription, Error> {
        let answer = node
            .call(|version| MetadataRequest {
                topics: Some(Vec::new()),
                allow_auto_topic_creation: version < 4,
                ..Default::default()
            })
            .await?;
        let nodes = answer.brokers.into_iter().map(|broker| Node {
            id: NodeId(broker.node_id),
            host: broker.host.into(),
            port: port(broker.port),
            rack: broker.rack.map(String::from),
        });
        Ok(description(
            answer.cluster_id.map(String::from),
            answer.controller_id,
            nodes.collect(),
        ))
    }

    fn attempts<'a>(&self, action: &'a str) -> Attempts<'a> {
        Attempts {
            action,
            within: self.config.client.default_api_timeout,
            retries: self.config.retries,
        }
    }

    async fn retry<T, F>(&self, action: &str, attempt: impl FnMut() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        retry(&self.cluster, self.attempts(action), attempt).await
    }

    async fn gather<K, T, F>(
        &self,
        action: &str,
        keys: impl IntoIterator<Item = K>,
        attempt: impl FnMut(Vec<K>) -> F,
    ) -> Result<Outcomes<K, T>, Error>
    where
        K: Ord + Clone,
        F: Future<Output = Result<Results<K, T>, Error>>,
    {
        gather(&self.cluster, self.attempts(action), keys, attempt).await
    }

    /// The broker that takes requests for the controller; where none is named, any broker forwards them.
    async fn controller(&self) -> Result<Arc<Connection>, Error> {
        let mut snapshot = self.cluster.snapshot();
        if snapshot.fetched_at.is_none() {
            snapshot = self.cluster.refresh(snapshot.version).await?;
        }
        match snapshot.controller {
            Some(controller) => self.cluster.node(controller, Lane::Main).await,
            None => self.cluster.any_node().await,
        }
    }

    /// How long a broker may take over a request.
    fn timeout_ms(&self) -> i32 {
        self.config
            .client
            .request_timeout
            .as_millis()
            .try_into()
            .unwrap_or(i32::MAX)
    }

    /// A broker of the cluster by its id, as it is known.
    fn known_node(&self, id: NodeId) -> Option<Node> {
        self.cluster.snapshot().brokers.get(&id).map(Node::from)
    }
}

impl From<&Broker> for Node {
    fn from(broker: &Broker) -> Self {
        Self {
            id: broker.id,
            host: broker.host.to_string(),
            port: port(broker.port),
            rack: broker.rack.as_ref().map(ToString::to_string),
        }
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

fn description(cluster_id: Option<String>, controller: i32, mut nodes: Vec<Node>) -> ClusterDescription {
    nodes.sort_by_key(|node| node.id);
    ClusterDescription {
        cluster_id,
        controller: (controller >= 0).then_some(NodeId(controller)),
        nodes,
    }
}

/// A port from the wire; a broker that listens nowhere is not one.
fn port(port: i32) -> u16 {
    u16::try_from(port).unwrap_or_default()
}

/// The error of an answer, if it has one.
fn check(action: impl Into<Arc<str>>, code: i16, message: Option<&str>) -> Result<(), Error> {
    match ErrorCode::from_i16(code) {
        ErrorCode::None => Ok(()),
        code => Err(Error::Broker {
            action: action.into(),
            code,
            message: message.map(Arc::from),
        }),
    }
}

/// Joins the outcomes of several calls.
fn merge<K: Ord, T>(outcomes: impl IntoIterator<Item = Outcomes<K, T>>) -> Outcomes<K, T> {
    let mut merged = BTreeMap::new();
    for outcome in outcomes {
        merged.extend(outcome);
    }
    merged
}

#[cfg(test)]
mod tests;
