//! What brokers speak and which features the cluster has finalized (KIP-584); its brokers, the fenced ones included.

use std::collections::BTreeMap;

use forebay_protocol::{
    NodeId,
    messages::{
        ApiVersionsResponse, DescribeClusterRequest, UnregisterBrokerRequest, UpdateFeaturesRequest,
        update_features_request::FeatureUpdateKey,
    },
};

use super::{Admin, Node, Outcomes, check, port};
use crate::{error::Error, node::Node as Connection};

/// The versions of each request that a broker speaks, by their numbers, and its features.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiVersions {
    /// Number of the request, least and greatest version.
    pub apis: BTreeMap<i16, (i16, i16)>,
    /// What the broker could do, by feature: least and greatest level.
    pub supported_features: BTreeMap<String, (i16, i16)>,
    /// What the cluster does, by feature: the level.
    pub finalized_features: BTreeMap<String, i16>,
    /// How often the finalized features have changed, if the broker knows.
    pub finalized_features_epoch: Option<i64>,
}

/// In which direction a feature may go (Kafka's `FeatureUpdate.UpgradeType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpgradeType {
    /// Up.
    Upgrade,
    /// Down, if nothing is lost.
    SafeDowngrade,
    /// Down, whatever is lost.
    UnsafeDowngrade,
}

/// A broker as it is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it listens.
    pub node: Node,
    /// Whether it takes no part for now; `None` where the cluster does not say.
    pub is_fenced: Option<bool>,
}

impl Admin {
    /// What one broker speaks.
    ///
    /// # Errors
    /// Of the call.
    pub async fn api_versions(&self, broker: NodeId) -> Result<ApiVersions, Error> {
        self.retry("ask for versions", || async {
            ask(&*self.broker(broker).await?).await
        })
        .await
    }

    /// The features of the cluster, as any broker or this one knows them (Kafka's `describeFeatures`).
    ///
    /// # Errors
    /// Of the call.
    pub async fn describe_features(&self, broker: Option<NodeId>) -> Result<ApiVersions, Error> {
        if let Some(broker) = broker {
            return self.api_versions(broker).await;
        }
        self.retry("describe features", || async {
            ask(&*self.cluster.any_node().await?).await
        })
        .await
    }

    /// Takes features to other levels.
    ///
    /// # Errors
    /// Of the call as a whole; each feature has its own.
    pub async fn update_features(
        &self,
        levels: &BTreeMap<String, i16>,
        upgrade_type: UpgradeType,
        validate_only: bool,
    ) -> Result<Outcomes<String, ()>, Error> {
        let code = match upgrade_type {
            UpgradeType::Upgrade => 1,
            UpgradeType::SafeDowngrade => 2,
            UpgradeType::UnsafeDowngrade => 3,
        };
        let outcome = self.retry("update features", || async {
            let updates = levels.iter().map(|(feature, level)| FeatureUpdateKey {
                feature: feature.into(),
                max_version_level: *level,
                upgrade_type: code,
                ..Default::default()
            });
            let (feature_updates, timeout_ms) = (updates.collect(), self.timeout_ms());
            let request = UpdateFeaturesRequest {
                timeout_ms,
                feature_updates,
                validate_only,
                ..Default::default()
            };
            let answer = self.controller().await?.call(|_| request).await?;
            check(
                "update features",
                answer.error_code,
                answer.error_message.as_deref(),
            )?;
            Ok(answer.results)
        });
        let results = match outcome.await {
            Ok(results) => results,
            Err(error) if error.code().is_some() => {
                return Ok(levels
                    .keys()
                    .map(|feature| (feature.clone(), Err(error.clone())))
                    .collect());
            }
            Err(error) => return Err(error),
        };
        // From version 2 on all of them succeed or none.
        let mut outcomes: Outcomes<String, ()> =
            levels.keys().map(|feature| (feature.clone(), Ok(()))).collect();
        for result in results {
            let feature = String::from(result.feature);
            let action = format!("update feature {feature}");
            let checked = check(action, result.error_code, result.error_message.as_deref());
            outcomes.insert(feature, checked);
        }
        Ok(outcomes)
    }

    /// The brokers that are registered, fenced ones included where the cluster tells of them; by id.
    ///
    /// # Errors
    /// Of the call.
    pub async fn list_endpoints(&self) -> Result<Vec<Endpoint>, Error> {
        self.retry("list endpoints", || async {
            let node = self.cluster.any_node().await?;
            let tells = node.version::<DescribeClusterRequest>(i16::MAX)? >= 2;
            let answer = node
                .call(|version| DescribeClusterRequest {
                    include_fenced_brokers: version >= 2,
                    ..Default::default()
                })
                .await?;
            check(
                "list endpoints",
                answer.error_code,
                answer.error_message.as_deref(),
            )?;
            let endpoints = answer.brokers.into_iter().map(|broker| Endpoint {
                node: Node {
                    id: NodeId(broker.broker_id),
                    host: broker.host.into(),
                    port: port(broker.port),
                    rack: broker.rack.map(String::from),
                },
                is_fenced: tells.then_some(broker.is_fenced),
            });
            let mut endpoints: Vec<Endpoint> = endpoints.collect();
            endpoints.sort_by_key(|endpoint| endpoint.node.id);
            Ok(endpoints)
        })
        .await
    }

    /// Takes a broker that is gone off the cluster's books.
    ///
    /// # Errors
    /// Of the call.
    pub async fn unregister_broker(&self, broker: NodeId) -> Result<(), Error> {
        self.retry("unregister a broker", || async {
            let node = self.cluster.any_node().await?;
            let answer = node
                .call(|_| UnregisterBrokerRequest {
                    broker_id: broker.0,
                    ..Default::default()
                })
                .await?;
            let action = format!("unregister broker {broker}");
            check(action, answer.error_code, answer.error_message.as_deref())
        })
        .await
    }
}

async fn ask(node: &Connection) -> Result<ApiVersions, Error> {
    let answer = node.call(Connection::introduction).await?;
    check("ask for versions", answer.error_code, None)?;
    Ok(answer.into())
}

impl From<ApiVersionsResponse> for ApiVersions {
    fn from(answer: ApiVersionsResponse) -> Self {
        let apis = answer.api_keys.into_iter();
        let supported = answer.supported_features.into_iter();
        let finalized = answer.finalized_features.into_iter();
        Self {
            apis: apis
                .map(|api| (api.api_key, (api.min_version, api.max_version)))
                .collect(),
            supported_features: supported
                .map(|feature| (feature.name.into(), (feature.min_version, feature.max_version)))
                .collect(),
            finalized_features: finalized
                .map(|feature| (feature.name.into(), feature.max_version_level))
                .collect(),
            finalized_features_epoch: Some(answer.finalized_features_epoch).filter(|epoch| *epoch >= 0),
        }
    }
}
