//! Which broker coordinates a group or a transactional id (FindCoordinator), remembered until it says that it does not.

use std::sync::Arc;

use forebay_protocol::{ErrorCode, NodeId, Utf8Bytes, messages::FindCoordinatorRequest};

use super::{Cluster, Lane, lock, metadata::node};
use crate::{error::Error, node::Node};

/// What is coordinated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CoordinatorKind {
    Group,
    Transaction,
}

impl CoordinatorKind {
    fn code(self) -> i8 {
        match self {
            Self::Group => 0,
            Self::Transaction => 1,
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Transaction => "transactional id",
        }
    }
}

/// A coordinator and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Coordinator {
    pub(crate) id: NodeId,
    pub(crate) node: Arc<Node>,
    cluster: Cluster,
    kind: CoordinatorKind,
    key: Arc<str>,
}

impl Coordinator {
    /// Looks at an answer's error: the next call looks for the coordinator again if this one says it is not, or is gone.
    pub(crate) fn saw(&self, error: &Error) {
        let gone = matches!(error, Error::Transport(error) if error.is_disconnect());
        let moved = matches!(
            error.code(),
            Some(ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable)
        );
        if gone || moved {
            self.cluster.forget_coordinator(self.kind, &self.key);
        }
    }
}

impl Cluster {
    /// The coordinator of a group or a transactional id.
    pub(crate) async fn coordinator(
        &self,
        kind: CoordinatorKind,
        key: &str,
        lane: Lane,
    ) -> Result<Coordinator, Error> {
        let key: Arc<str> = key.into();
        let known = lock(&self.0.coordinators).get(&(kind, key.clone())).copied();
        let id = match known {
            Some(id) => id,
            None => {
                let id = self.find_coordinator(kind, &key).await?;
                lock(&self.0.coordinators).insert((kind, key.clone()), id);
                id
            }
        };
        match self.node(id, lane).await {
            Ok(node) => Ok(Coordinator {
                id,
                node,
                cluster: self.clone(),
                kind,
                key,
            }),
            Err(error) => {
                self.forget_coordinator(kind, &key);
                Err(error)
            }
        }
    }

    fn forget_coordinator(&self, kind: CoordinatorKind, key: &Arc<str>) {
        lock(&self.0.coordinators).remove(&(kind, key.clone()));
    }

    async fn find_coordinator(&self, kind: CoordinatorKind, key: &str) -> Result<NodeId, Error> {
        let any = self.any_node().await?;
        let answer = any
            .call(|version| {
                let key = Utf8Bytes::from(key);
                let key_type = if version == 0 { 0 } else { kind.code() };
                if version >= 4 {
                    FindCoordinatorRequest {
                        key_type,
                        coordinator_keys: vec![key],
                        ..Default::default()
                    }
                } else {
                    FindCoordinatorRequest {
                        key_type,
                        key,
                        ..Default::default()
                    }
                }
            })
            .await?;
        // From version 4 on the answer is a list, of one here.
        let (id, host, port, error_code, message) = match answer.coordinators.into_iter().next() {
            Some(one) => (one.node_id, one.host, one.port, one.error_code, one.error_message),
            None => (
                answer.node_id,
                answer.host,
                answer.port,
                answer.error_code,
                answer.error_message,
            ),
        };
        let code = ErrorCode::from_i16(error_code);
        match node(id) {
            Some(id) if code == ErrorCode::None => {
                self.learn_broker(id, &host, port);
                Ok(id)
            }
            _ => Err(Error::Broker {
                action: format!("find the coordinator of {} {key}", kind.noun()).into(),
                code: if code == ErrorCode::None {
                    ErrorCode::CoordinatorNotAvailable
                } else {
                    code
                },
                message: message.map(|message| message.as_str().into()),
            }),
        }
    }
}
