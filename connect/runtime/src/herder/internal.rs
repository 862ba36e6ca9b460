//! Requests of other workers (Kafka's `InternalClusterResource`, KIP-507, KIP-618): believed if they are signed with the key
//! that the leader has given to all.

use axum::body::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use forebay_config::Properties;
use forebay_connect_api::PluginType;

use super::cluster::LEADER;
use super::{Error, Herder};
use crate::group::Algorithm;
use crate::store::config::TargetState;
use crate::worker::fencing;

/// The signature that a request has.
#[derive(Debug)]
pub(crate) struct RequestSignature {
    algorithm: String,
    signature: Vec<u8>,
    body: Bytes,
}

impl RequestSignature {
    /// From the headers of a request; `None` if they are not there.
    pub(crate) fn new(
        algorithm: Option<&str>,
        signature: Option<&str>,
        body: &Bytes,
    ) -> Result<Option<Self>, Error> {
        let (Some(algorithm), Some(signature)) = (algorithm, signature) else {
            return Ok(None);
        };
        let signature = BASE64.decode(signature);
        let signature = signature.map_err(|error| Error::BadRequest(error.to_string()))?;
        Ok(Some(Self {
            algorithm: algorithm.to_owned(),
            signature,
            body: body.clone(),
        }))
    }
}

impl Herder {
    /// Whether the request comes from a worker of the group; `alone` is what a worker without one says.
    fn check_signature(&self, signature: Option<&RequestSignature>, alone: &str) -> Result<(), Error> {
        let Some(view) = self.cluster.group().view() else {
            return Err(Error::Internal(alone.to_owned()));
        };
        if !view.is_sessioned {
            return Ok(());
        }
        let Some(signature) = signature else {
            let message = "Internal request missing required signature";
            return Err(Error::BadRequest(message.to_owned()));
        };
        let permitted = &self.context.config.inter_worker.verification;
        let algorithm = Algorithm::from_name(&signature.algorithm).filter(|it| permitted.contains(it));
        let Some(algorithm) = algorithm else {
            let names: Vec<&str> = permitted.iter().map(|algorithm| algorithm.name()).collect();
            return Err(Error::BadRequest(format!(
                "This worker does not support the '{}' key signing algorithm used by other workers. This worker is currently \
                 configured to use: [{}]. Check that all workers' configuration files permit the same set of signature \
                 algorithms, and correct any misconfigured worker and restart it.",
                signature.algorithm,
                names.join(", ")
            )));
        };
        let key = self.cluster.state().session_key().cloned();
        let key = key.ok_or(Error::Unavailable(
            "This worker is still starting up and has not been able to read a session key from the config topic yet",
        ))?;
        if algorithm.verifies(&key.key, &signature.body, &signature.signature) {
            Ok(())
        } else {
            Err(Error::Signature)
        }
    }

    /// Writes the tasks of a connector that another worker has.
    pub(crate) async fn put_task_configs(
        &self,
        name: &str,
        tasks: &[Properties],
        signature: Option<&RequestSignature>,
    ) -> Result<(), Error> {
        let alone =
            "Kafka Connect in standalone mode does not support externally setting task configurations.";
        self.check_signature(signature, alone)?;
        let change = self.cluster.change(LEADER).await?;
        let connector = self.connector(name)?;
        if connector.target_state == TargetState::Stopped && !tasks.is_empty() {
            return Err(Error::BadRequest(format!(
                "Cannot submit non-empty set of task configs for stopped connector {name}"
            )));
        }
        change.put_tasks(name, tasks).await?;
        Ok(())
    }

    /// Fences the tasks of a connector that were before its present ones, for another worker (KIP-618).
    pub(crate) async fn fence_zombie_source_tasks(
        &self,
        name: &str,
        signature: Option<&RequestSignature>,
    ) -> Result<(), Error> {
        let alone = "Kafka Connect in standalone mode does not support exactly-once source connectors.";
        self.check_signature(signature, alone)?;
        self.cluster.lead(fencing::LEADER).await?;
        let connector = self.connector(name)?;
        let plugin = self.context.plugin(&connector.config).map_err(Error::Connector)?;
        if plugin.plugin_type() != PluginType::Source {
            let message = format!("Connector {name} is not a source connector");
            return Err(Error::BadRequest(message));
        }
        fencing::fence(&self.context, &self.cluster, name).await
    }
}
