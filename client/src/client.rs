//! What the clients of a role share, and where they are made.

use std::sync::Arc;

use forebay_config::{Origin, Properties};
use forebay_protocol::NodeId;

use crate::{
    Admin, Consumer, Error, Producer, Transport,
    cluster::{Cluster, Connect, Creates, TcpConnect},
    config::{AdminConfig, ClientConfig, ConsumerConfig, ProducerConfig, client_def},
    membership::{self, Member},
};

/// Makes producers, consumers and admins that share a configuration and, where there is one, our own node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    local: Option<LocalNode>,
    connect: Arc<dyn Connect>,
}

/// Our own broker in this process. Calls to this node of this cluster do not go through a socket; all others do, those
/// to the same node id of another cluster too.
#[derive(Debug, Clone)]
pub struct LocalNode {
    /// The cluster.
    pub cluster_id: String,
    /// The node in it.
    pub node_id: NodeId,
    /// The way to it, without bounds: [`crate::transport::local::Local`] puts them around it.
    pub transport: Arc<dyn Transport>,
}

impl Client {
    /// Clients over TCP.
    pub fn new(config: ClientConfig) -> Self {
        Self::with_connect(config, Arc::new(TcpConnect))
    }

    pub(crate) fn with_connect(config: ClientConfig, connect: Arc<dyn Connect>) -> Self {
        Self {
            config: Arc::new(config),
            local: None,
            connect,
        }
    }

    /// Clients that reach this node in-process.
    #[must_use]
    pub fn with_local_node(mut self, local: LocalNode) -> Self {
        self.local = Some(local);
        self
    }

    /// What all of them share.
    pub fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// A producer; `properties` stand above the shared ones. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn producer(&self, properties: &Properties) -> Result<Producer, Error> {
        let config = ProducerConfig::new(&self.merged(properties), Origin::Properties)?;
        let cluster = self.cluster(Producer::client_config(&config), Creates::Awaited);
        Ok(Producer::with_cluster(config, cluster))
    }

    /// A consumer; `properties` stand above the shared ones. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn consumer(&self, properties: &Properties) -> Result<Consumer, Error> {
        let config = ConsumerConfig::new(&self.merged(properties), Origin::Properties)?;
        let cluster = self.cluster(Consumer::client_config(&config), Consumer::creates(&config));
        Ok(Consumer::with_cluster(config, cluster))
    }

    /// An admin; `properties` stand above the shared ones. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn admin(&self, properties: &Properties) -> Result<Admin, Error> {
        let config = AdminConfig::new(&self.merged(properties), Origin::Properties)?;
        let cluster = self.cluster(Admin::client_config(&config), Creates::Nothing);
        Ok(Admin::with_cluster(config, cluster))
    }

    /// A member of a group that is no consumer. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn member(&self, options: membership::Options) -> Result<Member, Error> {
        let config = AdminConfig::new(&self.merged(&Properties::new()), Origin::Properties)?;
        let cluster = self.cluster(Admin::client_config(&config), Creates::Nothing);
        Ok(Member::with_cluster(options, cluster))
    }

    fn cluster(&self, config: ClientConfig, creates: Creates) -> Cluster {
        Cluster::with_connect(config, self.local.clone(), creates, self.connect.clone())
    }

    /// The shared keys that every client knows, and above them the given ones.
    fn merged(&self, properties: &Properties) -> Properties {
        let def = client_def();
        let shared = self
            .config
            .originals
            .iter()
            .filter(|(key, _)| def.key(key).is_some());
        let mut merged: Properties = shared.map(|(key, value)| (key.clone(), value.clone())).collect();
        merged.extend(properties.clone());
        merged
    }
}
