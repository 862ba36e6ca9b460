//! The connections of one client: opened when first needed, one attempt at a time for each, waiting longer after each
//! failure (`reconnect.backoff.ms`), closed when idle. Our own node of our own cluster is reached in-process.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use forebay_protocol::{NodeId, Utf8Bytes};
use tokio::time::{Instant, sleep_until};

use super::lock;
use crate::{
    LocalNode,
    backoff::Backoff,
    config::ClientConfig,
    error::Error,
    node::{Features, Node},
    transport::{self, Transport, local::Local, tcp},
};

/// Requests on one lane wait for each other, those on different lanes do not: a member's heartbeat must not stand behind
/// a fetch that waits for data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Everything else.
    Main,
    /// Fetches, which may wait at the broker.
    Fetch,
    /// Requests of a group's member.
    Coordinator,
}

/// A broker by its id, or an address to begin with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Endpoint {
    pub(super) id: Option<NodeId>,
    pub(super) address: Arc<str>,
}

/// Opens connections; the seam at which tests put brokers of their own.
pub(crate) trait Connect: Send + Sync + fmt::Debug {
    /// Opens a connection to `host:port` as the client of this id.
    fn connect(&self, address: Arc<str>, client_id: Utf8Bytes, within: Duration) -> ConnectFuture;
}

pub(crate) type ConnectFuture =
    Pin<Box<dyn Future<Output = Result<Arc<dyn Transport>, transport::Error>> + Send>>;

/// Over TCP.
#[derive(Debug)]
pub(crate) struct TcpConnect;

impl Connect for TcpConnect {
    fn connect(&self, address: Arc<str>, client_id: Utf8Bytes, within: Duration) -> ConnectFuture {
        let options = tcp::Options {
            address,
            client_id,
            setup_timeout: within,
        };
        Box::pin(async {
            tcp::connect(options)
                .await
                .map(|tcp| Arc::new(tcp) as Arc<dyn Transport>)
        })
    }
}

#[derive(Debug)]
pub(super) struct Connections {
    connect: Arc<dyn Connect>,
    local: Option<LocalNode>,
    client_id: Utf8Bytes,
    request_timeout: Duration,
    max_idle: Duration,
    setup_timeout: Backoff,
    backoff: Backoff,
    slots: Mutex<HashMap<(Endpoint, Lane), Arc<Slot>>>,
    /// The newest that any node has said.
    features: Mutex<Features>,
}

#[derive(Debug, Default)]
struct Slot {
    open: Mutex<Option<Arc<Node>>>,
    /// Held while an attempt is under way.
    attempts: tokio::sync::Mutex<Failures>,
}

/// What came of the attempts since the last success.
#[derive(Debug, Default)]
struct Failures {
    count: u32,
    not_before: Option<Instant>,
}

impl Connections {
    pub(super) fn new(config: &ClientConfig, local: Option<LocalNode>, connect: Arc<dyn Connect>) -> Self {
        Self {
            connect,
            local,
            client_id: config.client_id.as_str().into(),
            request_timeout: config.request_timeout,
            max_idle: config.connections_max_idle,
            setup_timeout: Backoff {
                initial: config.connection_setup_timeout,
                max: config.connection_setup_timeout_max,
            },
            backoff: Backoff {
                initial: config.reconnect_backoff,
                max: config.reconnect_backoff_max,
            },
            slots: Mutex::default(),
            features: Mutex::default(),
        }
    }

    /// The connection, if it is open.
    pub(super) fn open(&self, endpoint: &Endpoint, lane: Lane) -> Option<Arc<Node>> {
        let slot = lock(&self.slots).get(&(endpoint.clone(), lane))?.clone();
        slot.open_node(self.max_idle)
    }

    /// The connection, opened if need be; whoever comes while it is being opened waits for it.
    pub(super) async fn get(
        &self,
        endpoint: &Endpoint,
        lane: Lane,
        cluster_id: Option<&str>,
    ) -> Result<Arc<Node>, Error> {
        let slot = lock(&self.slots)
            .entry((endpoint.clone(), lane))
            .or_default()
            .clone();
        if let Some(node) = slot.open_node(self.max_idle) {
            return Ok(node);
        }
        let mut failures = slot.attempts.lock().await;
        if let Some(node) = slot.open_node(self.max_idle) {
            return Ok(node);
        }
        if let Some(not_before) = failures.not_before {
            sleep_until(not_before).await;
        }
        match self.attempt(endpoint, cluster_id, failures.count).await {
            Ok(node) => {
                *failures = Failures::default();
                self.learn_features(node.features());
                let node = Arc::new(node);
                *lock(&slot.open) = Some(node.clone());
                Ok(node)
            }
            Err(error) => {
                failures.count = failures.count.saturating_add(1);
                failures.not_before = Some(Instant::now() + self.backoff.delay(failures.count));
                Err(error)
            }
        }
    }

    /// Closes the connections to an endpoint, once nobody uses them.
    pub(super) fn forget(&self, endpoint: &Endpoint) {
        lock(&self.slots).retain(|(known, _), _| known != endpoint);
    }

    /// What the cluster has finalized, as far as is known.
    pub(super) fn features(&self) -> Features {
        *lock(&self.features)
    }

    fn learn_features(&self, features: Features) {
        let mut known = lock(&self.features);
        if features.epoch >= known.epoch {
            *known = features;
        }
    }

    async fn attempt(
        &self,
        endpoint: &Endpoint,
        cluster_id: Option<&str>,
        failures: u32,
    ) -> Result<Node, Error> {
        let transport: Arc<dyn Transport> = match self.local_node(endpoint, cluster_id) {
            Some(local) => Arc::new(Local::new(local.transport.clone())),
            None => {
                let within = self.setup_timeout.delay(failures.saturating_add(1));
                let (address, client_id) = (endpoint.address.clone(), self.client_id.clone());
                self.connect.connect(address, client_id, within).await?
            }
        };
        Node::negotiate(transport, self.request_timeout).await
    }

    /// Our own node, if that is what the endpoint is: the node id alone proves nothing.
    fn local_node(&self, endpoint: &Endpoint, cluster_id: Option<&str>) -> Option<&LocalNode> {
        let local = self.local.as_ref()?;
        (endpoint.id == Some(local.node_id) && cluster_id == Some(local.cluster_id.as_str())).then_some(local)
    }
}

impl Slot {
    fn open_node(&self, max_idle: Duration) -> Option<Arc<Node>> {
        let mut open = lock(&self.open);
        // A broker closes idle connections too; ours goes first, so that no request is caught by it.
        if open
            .as_ref()
            .is_some_and(|node| !node.is_open() || node.idle() >= max_idle)
        {
            *open = None;
        }
        open.clone()
    }
}
