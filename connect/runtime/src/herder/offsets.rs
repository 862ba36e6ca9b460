//! The offsets of connectors (KIP-875): source offsets in the offset topic, sink offsets in the consumer group. They can be
//! changed while the connector is STOPPED.

mod parse;

use std::collections::BTreeMap;
use std::sync::Arc;

use forebay_client::consumer::OffsetAndMetadata;
use forebay_client::{Admin, Error as ClientError};
use forebay_config::Properties;
use forebay_connect_api::{AlteredOffset, Offset, OffsetMap, PluginType, TopicPartition};
use forebay_protocol::{ErrorCode, TopicPartition as ClientTopicPartition};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Error, Herder};
use crate::store::config::{ConnectorConfig, TargetState};
use crate::store::offset::ConnectorOffsets as ConnectorOffsetStore;
use crate::worker::{AnyConnector, fencing, sink_group};

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
                let group = sink_group(&connector.config, name);
                let committed = self.admin()?.list_group_offsets(&group, None).await;
                let what = || format!("Failed to retrieve consumer group offsets for sink connector {name}");
                let committed = committed.map_err(|source| Error::Client { what: what(), source })?;
                let committed = committed.into_iter();
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
                self.alter_sink(name, &connector.config, offsets).await?
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
            PluginType::Sink => self.reset_sink(name, &connector.config).await?,
        };
        Ok(message(is_known, "reset"))
    }

    fn plugin_type(&self, config: &Properties) -> Result<PluginType, Error> {
        let plugin = self.context.plugin(config).map_err(Error::Connector)?;
        Ok(plugin.plugin_type())
    }

    fn admin(&self) -> Result<Admin, Error> {
        self.context
            .client
            .admin(&Properties::new())
            .map_err(|source| Error::Client {
                what: "cannot make an admin client".to_owned(),
                source,
            })
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

    async fn alter_sink(
        &self,
        name: &str,
        config: &Arc<Properties>,
        offsets: SinkOffsets,
    ) -> Result<bool, Error> {
        let is_known = self.ask_sink(config, &offsets).await?;
        let partitions: Vec<TopicPartition> = offsets.keys().cloned().collect();
        let (group, admin) = (sink_group(config, name), self.admin()?);
        let failed = |source| alter_failed(name, source);
        let mut set = BTreeMap::new();
        let mut forget = Vec::new();
        for (partition, offset) in offsets {
            let partition = ClientTopicPartition::new(&*partition.topic, partition.partition);
            match offset {
                Some(offset) => {
                    set.insert(partition, OffsetAndMetadata::from(offset));
                }
                None => forget.push(partition),
            }
        }
        if !set.is_empty() {
            let altered = admin.alter_group_offsets(&group, &set).await.map_err(failed)?;
            altered.into_values().collect::<Result<(), _>>().map_err(failed)?;
        }
        if !forget.is_empty() {
            let forgotten = admin
                .delete_group_offsets(&group, &forget)
                .await
                .map_err(failed)?;
            forgotten
                .into_values()
                .collect::<Result<(), _>>()
                .map_err(failed)?;
        }
        self.forget_intents(name, Some(&partitions)).await?;
        Ok(is_known)
    }

    async fn reset_sink(&self, name: &str, config: &Arc<Properties>) -> Result<bool, Error> {
        let (group, admin) = (sink_group(config, name), self.admin()?);
        let failed = |source| alter_failed(name, source);
        let committed = admin.list_group_offsets(&group, None).await.map_err(failed)?;
        let all = committed.keys().map(|partition| {
            let partition = TopicPartition::new(&*partition.topic, partition.partition);
            (partition, None)
        });
        let is_known = self.ask_sink(config, &all.collect()).await?;
        let deleted = admin.delete_groups(&[&group]).await.map_err(failed)?;
        match deleted.into_values().next() {
            // The connector has never run, or was killed here: there are no offsets to forget.
            Some(Err(ClientError::Broker {
                code: ErrorCode::GroupIdNotFound,
                ..
            }))
            | Some(Ok(()))
            | None => {}
            Some(Err(error)) => return Err(failed(error)),
        }
        self.forget_intents(name, None).await?;
        Ok(is_known)
    }

    /// What a task before has begun is not finished where its offsets are set anew. Not before they are: where a task still runs that is
    /// refused, and then what it has begun must not be gathered otherwise.
    async fn forget_intents(&self, name: &str, partitions: Option<&[TopicPartition]>) -> Result<(), Error> {
        let context = &self.context;
        let forgotten = context.intents.forget(&context.client, name, partitions).await;
        forgotten.map_err(Error::Store)
    }

    async fn ask_sink(&self, config: &Arc<Properties>, offsets: &SinkOffsets) -> Result<bool, Error> {
        let config = &self
            .context
            .resolve(config)
            .await
            .map_err(Error::Connector)?
            .properties;
        let plugin = self.context.plugin(config).map_err(Error::Connector)?;
        match AnyConnector::new(plugin) {
            AnyConnector::Sink(connector) => {
                let altered = connector.alter_offsets(&self.context.access, config, offsets);
                altered.await.map_err(|error| refused(&error))
            }
            AnyConnector::Source(_) => Ok(false),
        }
    }
}

/// What a connector says against offsets is the user's to put right.
fn refused(error: &forebay_connect_api::Error) -> Error {
    Error::BadRequest(error.trace())
}

fn alter_failed(name: &str, source: ClientError) -> Error {
    let is_busy = matches!(
        source.code(),
        Some(ErrorCode::UnknownMemberId | ErrorCode::NonEmptyGroup | ErrorCode::GroupSubscribedToTopic)
    );
    if is_busy {
        return Error::Conflict(format!(
            "Failed to alter consumer group offsets for connector {name} either because its tasks haven't stopped completely \
             yet or the connector was resumed before the request to alter its offsets could be successfully completed. If the \
             connector is in a stopped state, this operation can be safely retried. ({source})"
        ));
    }
    Error::Client {
        what: format!("Failed to alter consumer group offsets for connector {name}"),
        source,
    }
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
