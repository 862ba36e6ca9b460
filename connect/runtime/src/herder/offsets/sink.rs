//! The offsets of sink connectors: those of their consumer groups (Kafka's `Worker.alterSinkConnectorOffsets`).
//!
//! The order that must hold: nobody is in the group, then its tasks are fenced, then the offsets change, then what was begun is
//! forgotten. A task that was stopped between its offset commit and its transaction's end (SIGSTOP, a dead network) would otherwise
//! still end it: with an offset from before, or with an object that nobody knows of any more. Where a task still runs the group
//! refuses, and what that task has begun must not be gathered otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;

use forebay_client::consumer::OffsetAndMetadata;
use forebay_client::{Admin, Error as ClientError};
use forebay_config::Properties;
use forebay_connect_api::{Error as ConnectError, PluginType, TopicPartition};
use forebay_protocol::{ErrorCode, TopicPartition as ClientTopicPartition};

use super::{SinkOffsets, refused};
use crate::connector_config::ConnectorConfig;
use crate::herder::Error;
use crate::worker::{AnyConnector, Context, clients, fencing, sink_group};

/// What is done to the offsets, as Kafka's answers have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Alter,
    Reset,
}

/// The group of a sink connector.
pub(super) struct SinkGroup<'a> {
    context: &'a Context,
    connector: &'a str,
    /// The connector's, with what their references stand for.
    properties: Arc<Properties>,
    group: String,
    admin: Admin,
}

impl<'a> SinkGroup<'a> {
    /// # Errors
    /// If the connector's configuration is wrong by now.
    pub(super) async fn new(
        context: &'a Context,
        connector: &'a str,
        raw: &Arc<Properties>,
    ) -> Result<Self, Error> {
        let resolved = context.resolve(raw).await.map_err(Error::Connector)?;
        let properties = resolved.properties;
        let config = ConnectorConfig::new(PluginType::Sink, Arc::clone(&properties));
        let config = config.map_err(|errors| Error::Connector(ConnectError::Config(errors)))?;
        let admin = clients::admin(context, &config).map_err(|source| Error::Client {
            what: "cannot make an admin client".to_owned(),
            source,
        })?;
        Ok(Self {
            context,
            connector,
            group: sink_group(&properties, connector),
            properties,
            admin,
        })
    }

    /// What is committed.
    pub(super) async fn offsets(&self) -> Result<BTreeMap<ClientTopicPartition, OffsetAndMetadata>, Error> {
        let committed = self.admin.list_group_offsets(&self.group, None).await;
        committed.map_err(|source| Error::Client {
            what: format!(
                "Failed to retrieve consumer group offsets for sink connector {}",
                self.connector
            ),
            source,
        })
    }

    /// Sets offsets, and forgets those that are `None`. Gives whether the connector knows them.
    pub(super) async fn alter(&self, offsets: SinkOffsets) -> Result<bool, Error> {
        let is_known = self.ask(&offsets).await?;
        let partitions: Vec<TopicPartition> = offsets.keys().cloned().collect();
        self.fence(Some(&partitions), Change::Alter).await?;
        let failed = |source| self.failed(Change::Alter, source);
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
            let altered = self.admin.alter_group_offsets(&self.group, &set).await;
            let altered = altered.map_err(failed)?.into_values();
            altered.collect::<Result<(), _>>().map_err(failed)?;
        }
        if !forget.is_empty() {
            let forgotten = self.admin.delete_group_offsets(&self.group, &forget).await;
            let forgotten = forgotten.map_err(failed)?.into_values();
            forgotten.collect::<Result<(), _>>().map_err(failed)?;
        }
        self.forget_intents(Some(&partitions)).await?;
        Ok(is_known)
    }

    /// Forgets all offsets.
    pub(super) async fn reset(&self) -> Result<bool, Error> {
        let all = self.offsets().await?.into_keys().map(|partition| {
            let partition = TopicPartition::new(&*partition.topic, partition.partition);
            (partition, None)
        });
        let is_known = self.ask(&all.collect()).await?;
        self.fence(None, Change::Reset).await?;
        let failed = |source| self.failed(Change::Reset, source);
        let deleted = self.admin.delete_groups(&[&self.group]).await.map_err(failed)?;
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
        self.forget_intents(None).await?;
        Ok(is_known)
    }

    async fn ask(&self, offsets: &SinkOffsets) -> Result<bool, Error> {
        let plugin = self.context.plugin(&self.properties).map_err(Error::Connector)?;
        match AnyConnector::new(plugin) {
            AnyConnector::Sink(connector) => {
                let altered = connector.alter_offsets(&self.context.access, &self.properties, offsets);
                altered.await.map_err(|error| refused(&error))
            }
            AnyConnector::Source(_) => Ok(false),
        }
    }

    async fn fence(&self, partitions: Option<&[TopicPartition]>, change: Change) -> Result<(), Error> {
        if self.context.intents.topic().is_none() {
            return Ok(());
        }
        let failed = |source| self.failed(change, source);
        let described = self.admin.describe_groups(&[&self.group]).await.map_err(failed)?;
        if let Some(described) = described.into_values().next() {
            let state = described.map_err(failed)?.state;
            if state != "Empty" && state != "Dead" {
                return Err(self.busy(change, &format!("the group is {state}")));
            }
        }
        let fenced = fencing::fence_sink(&self.admin, &self.group, partitions).await;
        fenced.map_err(|source| Error::Client {
            what: format!("Failed to fence out sink tasks for connector {}", self.connector),
            source,
        })
    }

    async fn forget_intents(&self, partitions: Option<&[TopicPartition]>) -> Result<(), Error> {
        let context = self.context;
        let forgotten = context
            .intents
            .forget(&context.client, self.connector, partitions);
        forgotten.await.map_err(Error::Store)
    }

    fn failed(&self, change: Change, source: ClientError) -> Error {
        let busy = match change {
            Change::Alter => [ErrorCode::UnknownMemberId, ErrorCode::GroupSubscribedToTopic].as_slice(),
            Change::Reset => &[ErrorCode::NonEmptyGroup],
        };
        if source.code().is_some_and(|code| busy.contains(&code)) {
            return self.busy(change, &source.to_string());
        }
        let connector = self.connector;
        let what = match change {
            Change::Alter => format!("Failed to alter consumer group offsets for connector {connector}"),
            Change::Reset => format!("Failed to reset consumer group offsets for sink connector {connector}"),
        };
        Error::Client { what, source }
    }

    /// That somebody is in the group, in Kafka's words.
    fn busy(&self, change: Change, why: &str) -> Error {
        let (connector, change) = match change {
            Change::Alter => (self.connector, "alter"),
            Change::Reset => (self.connector, "reset"),
        };
        tracing::warn!(
            connector,
            why,
            "its offsets cannot be set anew: somebody is in its group"
        );
        Error::Internal(format!(
            "Failed to {change} consumer group offsets for connector {connector} either because its tasks haven't stopped completely \
             yet or the connector was resumed before the request to {change} its offsets could be successfully completed. If the \
             connector is in a stopped state, this operation can be safely retried. If it doesn't eventually succeed, the Connect \
             cluster may need to be restarted to get rid of the zombie sink tasks."
        ))
    }
}
