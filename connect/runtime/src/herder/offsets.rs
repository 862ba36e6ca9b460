//! The offsets of connectors (KIP-875): source offsets in the offset topic, sink offsets in the consumer group. They can be
//! changed while the connector is STOPPED.

mod parse;
mod sink;

use std::collections::BTreeMap;
use std::sync::Arc;

use forebay_config::Properties;
use forebay_connect_api::{AlteredOffset, Offset, OffsetMap, PluginType, TopicPartition};
use forebay_protocol::TopicPartition as ClientTopicPartition;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Error, Herder};
use crate::store::config::{ConnectorConfig, TargetState};
use crate::store::offset::ConnectorOffsets as ConnectorOffsetStore;
use crate::worker::{AnyConnector, fencing};
use sink::SinkGroup;

/// One offset as the REST API has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConnectorOffset {
    /// `{"filename":"/tmp/a"}`, or `{"kafka_topic":"t","kafka_partition":0}`.
    pub(crate) partition: Option<Value>,
    /// `{"position":42}`, or `{"kafka_offset":7}`; null forgets it.
    #[serde(default)]
    pub(crate) offset: Option<Value>,
}

/// The body of requests and answers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct ConnectorOffsets {
    /// Each of them.
    #[serde(default)]
    pub(crate) offsets: Vec<ConnectorOffset>,
}

/// Why a request belongs to the leader.
const OFFSETS: &str = "Only the leader can process external offsets modification requests";

/// The offsets of a sink connector to change; `None` forgets one.
type SinkOffsets = BTreeMap<TopicPartition, Option<Offset>>;

impl Herder {
    /// The offsets of a connector.
    pub(crate) async fn offsets(&self, name: &str) -> Result<ConnectorOffsets, Error> {
        let connector = self.connector(name)?;
        let offsets = match self.plugin_type(&connector.config)? {
            PluginType::Source => {
                let store = self.source_offsets(name, &connector.config).await?;
                store.refresh().await?;
                let offsets = store.known().into_iter();
                offsets
                    .map(|(partition, offset)| ConnectorOffset {
                        partition: Some(json(&partition)),
                        offset: Some(json(&offset)),
                    })
                    .collect()
            }
            PluginType::Sink => {
                let group = SinkGroup::new(&self.context, name, &connector.config).await?;
                let committed = group.offsets().await?.into_iter();
                committed
                    .map(|(partition, offset)| sink_offset(&partition, offset.offset))
                    .collect()
            }
        };
        Ok(ConnectorOffsets { offsets })
    }

    /// Sets offsets, and forgets those that are null. Gives what to tell the user.
    pub(crate) async fn alter_offsets(&self, name: &str, offsets: ConnectorOffsets) -> Result<String, Error> {
        if offsets.offsets.is_empty() {
            let message = "Partitions / offsets need to be provided for an alter offsets request";
            return Err(Error::BadRequest(message.to_owned()));
        }
        self.fence_before_offsets(name).await?;
        let _change = self.cluster.change(OFFSETS).await?;
        let connector = self.stopped_connector(name)?;
        let is_known = match self.plugin_type(&connector.config)? {
            PluginType::Source => {
                let offsets = parse::source(&offsets)?;
                self.alter_source(name, &connector.config, &offsets).await?
            }
            PluginType::Sink => {
                let offsets = parse::sink(&offsets)?;
                let group = SinkGroup::new(&self.context, name, &connector.config).await?;
                group.alter(offsets).await?
            }
        };
        Ok(message(is_known, "altered"))
    }

    /// Forgets all offsets. Gives what to tell the user.
    pub(crate) async fn reset_offsets(&self, name: &str) -> Result<String, Error> {
        self.fence_before_offsets(name).await?;
        let _change = self.cluster.change(OFFSETS).await?;
        let connector = self.stopped_connector(name)?;
        let is_known = match self.plugin_type(&connector.config)? {
            PluginType::Source => {
                let store = self.source_offsets(name, &connector.config).await?;
                store.refresh().await?;
                let offsets = store.tombstones();
                self.alter_source(name, &connector.config, &offsets).await?
            }
            PluginType::Sink => {
                let group = SinkGroup::new(&self.context, name, &connector.config).await?;
                group.reset().await?
            }
        };
        Ok(message(is_known, "reset"))
    }

    fn plugin_type(&self, config: &Properties) -> Result<PluginType, Error> {
        let plugin = self.context.plugin(config).map_err(Error::Connector)?;
        Ok(plugin.plugin_type())
    }

    fn stopped_connector(&self, name: &str) -> Result<ConnectorConfig, Error> {
        let connector = self.connector(name)?;
        if connector.target_state == TargetState::Stopped && connector.tasks.is_empty() {
            return Ok(connector);
        }
        Err(Error::BadRequest(format!(
            "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified \
             connector by issuing a 'PUT' request to the '/connectors/{name}/stop' endpoint"
        )))
    }

    /// A source task that is thought dead must not put an offset of its own behind those of the user.
    async fn fence_before_offsets(&self, name: &str) -> Result<(), Error> {
        if !self.context.config.is_exactly_once() {
            return Ok(());
        }
        self.cluster.lead(OFFSETS).await?;
        let connector = self.stopped_connector(name)?;
        match self.plugin_type(&connector.config)? {
            PluginType::Source => fencing::fence(&self.context, &self.cluster, name).await,
            PluginType::Sink => Ok(()),
        }
    }

    /// Where the offsets of a source connector are.
    async fn source_offsets(&self, name: &str, config: &Properties) -> Result<ConnectorOffsetStore, Error> {
        let own = config.get("offsets.storage.topic").map(|topic| topic.trim());
        let own = own.filter(|topic| !topic.is_empty());
        Ok(self.context.offsets.of(name, own).await?)
    }

    async fn alter_source(
        &self,
        name: &str,
        config: &Arc<Properties>,
        offsets: &[AlteredOffset],
    ) -> Result<bool, Error> {
        let config = &self
            .context
            .resolve(config)
            .await
            .map_err(Error::Connector)?
            .properties;
        let plugin = self.context.plugin(config).map_err(Error::Connector)?;
        let AnyConnector::Source(connector) = AnyConnector::new(plugin) else {
            return Ok(false);
        };
        let is_known = connector
            .alter_offsets(&self.context.access, config, offsets)
            .await
            .map_err(|error| refused(&error))?;
        let store = self.source_offsets(name, config).await?;
        let records = store.records(
            offsets
                .iter()
                .map(|(partition, offset)| (partition, offset.as_ref())),
        );
        store.write_and_read(&records).await?;
        Ok(is_known)
    }
}

/// What a connector says against offsets is the user's to put right.
fn refused(error: &forebay_connect_api::Error) -> Error {
    Error::BadRequest(error.trace())
}

fn message(is_known: bool, done: &str) -> String {
    if is_known {
        format!("The offsets for this connector have been {done} successfully")
    } else {
        format!(
            "The Connect framework-managed offsets for this connector have been {done} successfully. However, if this connector \
             manages offsets externally, they will need to be manually {done} in the system that the connector uses."
        )
    }
}

fn sink_offset(partition: &ClientTopicPartition, offset: Offset) -> ConnectorOffset {
    ConnectorOffset {
        partition: Some(serde_json::json!({
            "kafka_topic": &*partition.topic,
            "kafka_partition": partition.partition,
        })),
        offset: Some(serde_json::json!({ "kafka_offset": offset.0 })),
    }
}

fn json(map: &OffsetMap) -> Value {
    serde_json::from_str(&map.to_string()).expect("its text is JSON")
}
