//! Configurations of topics, brokers and groups: describe, and change key by key.

use std::collections::BTreeMap;

use forebay_protocol::{
    NodeId,
    messages::{
        DescribeConfigsRequest, IncrementalAlterConfigsRequest, ListConfigResourcesRequest,
        describe_configs_request::DescribeConfigsResource,
        describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsSynonym},
        incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
    },
};

use super::{
    Admin, AlterConfig, ConfigEntry, ConfigResource, ConfigResourceKind, ConfigSource, ConfigSynonym,
    Outcomes, check, merge,
};
use crate::{error::Error, node::Node};

impl ConfigResource {
    fn code(&self) -> i8 {
        match self {
            Self::Topic(_) => 2,
            Self::Broker(_) | Self::DefaultBroker => 4,
            Self::BrokerLogger(_) => 8,
            Self::ClientMetrics(_) => 16,
            Self::Group(_) => 32,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Topic(name) | Self::Group(name) | Self::ClientMetrics(name) => name.clone(),
            Self::Broker(id) | Self::BrokerLogger(id) => id.to_string(),
            Self::DefaultBroker => String::new(),
        }
    }

    fn from_wire(code: i8, name: &str) -> Option<Self> {
        match code {
            2 => Some(Self::Topic(name.to_owned())),
            4 if name.is_empty() => Some(Self::DefaultBroker),
            4 => name.parse().ok().map(|id| Self::Broker(NodeId(id))),
            8 => name.parse().ok().map(|id| Self::BrokerLogger(NodeId(id))),
            16 => Some(Self::ClientMetrics(name.to_owned())),
            32 => Some(Self::Group(name.to_owned())),
            _ => None,
        }
    }

    /// Who alone can answer for it.
    fn broker(&self) -> Option<NodeId> {
        match self {
            Self::Broker(id) | Self::BrokerLogger(id) => Some(*id),
            _ => None,
        }
    }
}

impl std::fmt::Display for ConfigResource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "topic {name}"),
            Self::Broker(id) => write!(f, "broker {id}"),
            Self::DefaultBroker => f.write_str("all brokers"),
            Self::Group(name) => write!(f, "group {name}"),
            Self::BrokerLogger(id) => write!(f, "the loggers of broker {id}"),
            Self::ClientMetrics(name) => write!(f, "client metrics {name}"),
        }
    }
}

impl Admin {
    /// The configuration of topics, brokers or groups.
    ///
    /// # Errors
    /// Of the call as a whole; each resource has its own.
    pub async fn describe_configs(
        &self,
        resources: &[ConfigResource],
    ) -> Result<Outcomes<ConfigResource, Vec<ConfigEntry>>, Error> {
        let mut outcomes = Vec::new();
        for (broker, resources) in by_broker(resources.iter()) {
            let outcome = self.gather("describe configs", resources, |resources| async move {
                let node = self.node_for(broker, false).await?;
                let wanted = resources.iter().map(|resource| DescribeConfigsResource {
                    resource_type: resource.code(),
                    resource_name: resource.name().into(),
                    configuration_keys: None,
                    ..Default::default()
                });
                let wanted = wanted.collect();
                let answer = node
                    .call(|version| DescribeConfigsRequest {
                        resources: wanted,
                        include_synonyms: version >= 1,
                        include_documentation: version >= 3,
                        ..Default::default()
                    })
                    .await?;
                let results = answer.results.into_iter().filter_map(|result| {
                    let resource = ConfigResource::from_wire(result.resource_type, &result.resource_name)?;
                    let action = format!("describe the configuration of {resource}");
                    let checked = check(action, result.error_code, result.error_message.as_deref());
                    let entries = result.configs.into_iter().map(ConfigEntry::from).collect();
                    Some((resource, checked.map(|()| entries)))
                });
                Ok(results.collect())
            });
            outcomes.push(outcome.await?);
        }
        Ok(merge(outcomes))
    }

    /// Changes single keys and leaves the others (Kafka's `incrementalAlterConfigs`).
    ///
    /// # Errors
    /// Of the call as a whole; each resource has its own.
    pub async fn alter_configs(
        &self,
        changes: &BTreeMap<ConfigResource, Vec<AlterConfig>>,
        validate_only: bool,
    ) -> Result<Outcomes<ConfigResource, ()>, Error> {
        let mut outcomes = Vec::new();
        for (broker, resources) in by_broker(changes.keys()) {
            let outcome = self.gather("alter configs", resources, |resources| async move {
                let node = self.node_for(broker, true).await?;
                let wanted = resources.iter().map(|resource| AlterConfigsResource {
                    resource_type: resource.code(),
                    resource_name: resource.name().into(),
                    configs: changes
                        .get(resource)
                        .into_iter()
                        .flatten()
                        .map(alterable)
                        .collect(),
                    ..Default::default()
                });
                let resources = wanted.collect();
                let request = IncrementalAlterConfigsRequest {
                    resources,
                    validate_only,
                    ..Default::default()
                };
                let answer = node.call(|_| request).await?;
                let results = answer.responses.into_iter().filter_map(|result| {
                    let resource = ConfigResource::from_wire(result.resource_type, &result.resource_name)?;
                    let action = format!("alter the configuration of {resource}");
                    let checked = check(action, result.error_code, result.error_message.as_deref());
                    Some((resource, checked))
                });
                Ok(results.collect())
            });
            outcomes.push(outcome.await?);
        }
        Ok(merge(outcomes))
    }

    /// The names of groups or client metrics that have a configuration of their own (Kafka's `listConfigResources`).
    ///
    /// # Errors
    /// Of the call.
    pub async fn list_config_resources(&self, kind: ConfigResourceKind) -> Result<Vec<String>, Error> {
        let code = match kind {
            ConfigResourceKind::ClientMetrics => 16,
            ConfigResourceKind::Group => 32,
        };
        self.retry("list config resources", || async {
            let node = self.cluster.any_node().await?;
            let answer = node
                .call(|version| ListConfigResourcesRequest {
                    resource_types: if version == 0 { Vec::new() } else { vec![code] },
                    ..Default::default()
                })
                .await?;
            check("list config resources", answer.error_code, None)?;
            let resources = answer.config_resources.into_iter();
            let of_kind = resources.filter(|resource| resource.resource_type == code);
            Ok(of_kind.map(|resource| resource.resource_name.into()).collect())
        })
        .await
    }

    async fn node_for(
        &self,
        broker: Option<NodeId>,
        controller: bool,
    ) -> Result<std::sync::Arc<Node>, Error> {
        match broker {
            Some(broker) => self.broker(broker).await,
            None if controller => self.controller().await,
            None => self.cluster.any_node().await,
        }
    }
}

fn by_broker<'a>(
    resources: impl Iterator<Item = &'a ConfigResource>,
) -> BTreeMap<Option<NodeId>, Vec<ConfigResource>> {
    let mut by_broker: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for resource in resources {
        by_broker
            .entry(resource.broker())
            .or_default()
            .push(resource.clone());
    }
    by_broker
}

fn alterable(change: &AlterConfig) -> AlterableConfig {
    let (name, config_operation, value) = match change {
        AlterConfig::Set(name, value) => (name, 0, Some(value)),
        AlterConfig::Delete(name) => (name, 1, None),
        AlterConfig::Append(name, value) => (name, 2, Some(value)),
        AlterConfig::Subtract(name, value) => (name, 3, Some(value)),
    };
    AlterableConfig {
        name: name.into(),
        config_operation,
        value: value.map(Into::into),
        ..Default::default()
    }
}

impl From<DescribeConfigsResourceResult> for ConfigEntry {
    fn from(entry: DescribeConfigsResourceResult) -> Self {
        Self {
            name: entry.name.into(),
            value: entry.value.map(String::from),
            source: ConfigSource::from_code(entry.config_source),
            is_sensitive: entry.is_sensitive,
            is_read_only: entry.read_only,
            synonyms: entry.synonyms.into_iter().map(ConfigSynonym::from).collect(),
            config_type: config_type(entry.config_type),
            documentation: entry.documentation.map(String::from),
        }
    }
}

impl From<DescribeConfigsSynonym> for ConfigSynonym {
    fn from(synonym: DescribeConfigsSynonym) -> Self {
        Self {
            name: synonym.name.into(),
            value: synonym.value.map(String::from),
            source: ConfigSource::from_code(synonym.source),
        }
    }
}

/// Kafka's `DescribeConfigsResponse.ConfigType`.
fn config_type(code: i8) -> Option<&'static str> {
    let names = [
        "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD",
    ];
    names.get(usize::try_from(code).ok()?.checked_sub(1)?).copied()
}
