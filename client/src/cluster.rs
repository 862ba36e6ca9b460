//! A cluster as one client sees it: who its brokers are, who leads what, and the connections to them. Every producer,
//! consumer and admin has one of its own, so that nobody waits behind another's long poll.

mod connections;
mod coordinator;
mod learn;
mod metadata;
mod retry;
mod wanted;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use forebay_protocol::{ErrorCode, NodeId};
use tokio::time::Instant;

#[cfg(any(test, feature = "model"))]
pub(crate) use connections::ConnectFuture;
pub(crate) use connections::{Connect, Lane, TcpConnect};
pub(crate) use coordinator::{Coordinator, CoordinatorKind};
pub(crate) use learn::LeaderHint;
pub(crate) use metadata::{Broker, Snapshot, Topic};
pub(crate) use retry::{Attempts, Results, gather, retry, says_stale};
pub(crate) use wanted::Creates;

use crate::{
    LocalNode,
    backoff::{Backoff, random_below},
    config::ClientConfig,
    error::Error,
    node::Node,
};
use connections::{Connections, Endpoint};
use metadata::Answer;
use wanted::Wanted;

/// A handle; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Cluster(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: ClientConfig,
    creates: Creates,
    connections: Connections,
    snapshot: Mutex<Arc<Snapshot>>,
    wanted: Mutex<Wanted>,
    coordinators: Mutex<HashMap<(CoordinatorKind, Arc<str>), NodeId>>,
    /// Held while metadata is on its way: whoever comes meanwhile takes what it brings.
    refreshing: tokio::sync::Mutex<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change under these locks is complete in itself.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cluster {
    pub(crate) fn new(config: ClientConfig, local: Option<LocalNode>, creates: Creates) -> Self {
        Self::with_connect(config, local, creates, Arc::new(TcpConnect))
    }

    pub(crate) fn with_connect(
        config: ClientConfig,
        local: Option<LocalNode>,
        creates: Creates,
        connect: Arc<dyn Connect>,
    ) -> Self {
        let connections = Connections::new(&config, local, connect);
        Self(Arc::new(Shared {
            config,
            creates,
            connections,
            snapshot: Mutex::default(),
            wanted: Mutex::default(),
            coordinators: Mutex::default(),
            refreshing: tokio::sync::Mutex::default(),
        }))
    }

    pub(crate) fn config(&self) -> &ClientConfig {
        &self.0.config
    }

    /// The wait between two attempts at the same thing.
    pub(crate) fn backoff(&self) -> Backoff {
        Backoff {
            initial: self.0.config.retry_backoff,
            max: self.0.config.retry_backoff_max,
        }
    }

    /// What is known now.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        lock(&self.0.snapshot).clone()
    }

    /// The level of the feature `transaction.version` (KIP-890), as of the newest that a node said when it was connected to.
    pub(crate) fn transaction_version(&self) -> i16 {
        self.0.connections.features().transaction_version
    }

    /// Whether what is known is older than `metadata.max.age.ms`.
    pub(crate) fn is_old(&self) -> bool {
        let fetched_at = self.snapshot().fetched_at;
        fetched_at.is_none_or(|at| at.elapsed() >= self.0.config.metadata_max_age)
    }

    /// Something newer than `seen`: what a refresh under way brings, or one made now. Every broker that is known is asked in
    /// turn, then the bootstrap addresses, until one answers.
    pub(crate) async fn refresh(&self, seen: u64) -> Result<Arc<Snapshot>, Error> {
        let _under_way = self.0.refreshing.lock().await;
        let now = self.snapshot();
        if now.version > seen {
            return Ok(now);
        }
        let mut last = None;
        for endpoint in self.endpoints() {
            match self.fetch(&endpoint).await {
                Ok(()) => return Ok(self.snapshot()),
                Err(error) => {
                    tracing::debug!("no metadata from {}: {error}", endpoint.address);
                    last = Some(error);
                }
            }
        }
        Err(self.no_broker(last))
    }

    /// Any broker at all.
    pub(crate) async fn any_node(&self) -> Result<Arc<Node>, Error> {
        let mut last = None;
        for endpoint in self.endpoints() {
            match self.connect(&endpoint, Lane::Main).await {
                Ok(node) => return Ok(node),
                Err(error) => last = Some(error),
            }
        }
        Err(self.no_broker(last))
    }

    /// The connection to a broker, opened if need be.
    pub(crate) async fn node(&self, id: NodeId, lane: Lane) -> Result<Arc<Node>, Error> {
        let snapshot = self.snapshot();
        let broker = snapshot.brokers.get(&id).ok_or(Error::UnknownNode(id))?;
        self.connect(
            &Endpoint {
                id: Some(id),
                address: broker.address.clone(),
            },
            lane,
        )
        .await
    }

    /// The connection to a broker if it is there already.
    pub(crate) fn open_node(&self, id: NodeId, lane: Lane) -> Option<Arc<Node>> {
        let snapshot = self.snapshot();
        let address = snapshot.brokers.get(&id)?.address.clone();
        self.0.connections.open(
            &Endpoint {
                id: Some(id),
                address,
            },
            lane,
        )
    }

    async fn connect(&self, endpoint: &Endpoint, lane: Lane) -> Result<Arc<Node>, Error> {
        let cluster_id = self.snapshot().cluster_id.clone();
        self.0
            .connections
            .get(endpoint, lane, cluster_id.as_deref())
            .await
    }

    /// Whom to ask, open connections first, and among equals by chance.
    fn endpoints(&self) -> Vec<Endpoint> {
        let snapshot = self.snapshot();
        let mut endpoints: Vec<Endpoint> = snapshot
            .brokers
            .values()
            .map(|broker| Endpoint {
                id: Some(broker.id),
                address: broker.address.clone(),
            })
            .collect();
        rotate(&mut endpoints);
        endpoints.sort_by_key(|endpoint| self.0.connections.open(endpoint, Lane::Main).is_none());
        let servers = self.0.config.bootstrap_servers.iter();
        let mut bootstrap: Vec<Endpoint> = servers
            .map(|address| Endpoint {
                id: None,
                address: address.as_str().into(),
            })
            .collect();
        rotate(&mut bootstrap);
        endpoints.extend(bootstrap);
        endpoints
    }

    /// Asks a broker what is to be known, and takes what it says.
    async fn fetch(&self, endpoint: &Endpoint) -> Result<(), Error> {
        let node = self.connect(endpoint, Lane::Main).await?;
        let questions = lock(&self.0.wanted).questions(self.0.creates);
        for question in questions {
            let of_all = question.topics.is_none();
            let response = node.call(|version| metadata::request(question, version)).await?;
            match ErrorCode::from_i16(response.error_code) {
                ErrorCode::None if response.brokers.is_empty() => {
                    return Err(Error::InvalidResponse {
                        action: format!("Metadata, from {}", endpoint.address).into(),
                        reason: "it names no broker".into(),
                    });
                }
                ErrorCode::None => self.take(Answer { response, of_all }),
                code => {
                    let action = format!("get metadata from {}", endpoint.address);
                    return Err(Error::broker(action, code));
                }
            }
        }
        if endpoint.id.is_none() {
            // It has done its duty; from here on brokers are reached by their ids.
            self.0.connections.forget(endpoint);
        }
        Ok(())
    }

    fn take(&self, answer: Answer) {
        let wanted = lock(&self.0.wanted);
        let mut snapshot = lock(&self.0.snapshot);
        *snapshot = Arc::new(snapshot.next(answer, |name| wanted.keeps(name), Instant::now()));
    }

    fn no_broker(&self, last: Option<Error>) -> Error {
        let addresses = self.0.config.bootstrap_servers.join(", ");
        match last {
            // One address was tried and refused: the message need not name it twice.
            Some(Error::NoBroker { last, .. }) => Error::NoBroker { addresses, last },
            Some(last) => Error::NoBroker {
                addresses,
                last: Box::new(last),
            },
            None => Error::IllegalState("bootstrap.servers is empty".into()),
        }
    }
}

/// Starts somewhere by chance, so that not all clients ask the same broker.
fn rotate(endpoints: &mut [Endpoint]) {
    if !endpoints.is_empty() {
        endpoints.rotate_left(random_below(endpoints.len()));
    }
}

#[cfg(test)]
mod tests;
