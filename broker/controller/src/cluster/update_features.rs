//! UpdateFeatures (KIP-584, KIP-778, KIP-1022; `FeatureControlManager`): which levels of the cluster's features are finalized.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::FeatureLevelRecord;
use forebay_protocol::messages::update_features_request::{FeatureUpdateKey, UpdateFeaturesRequest};
use forebay_protocol::messages::update_features_response::{UpdatableFeatureResult, UpdateFeaturesResponse};
use forebay_protocol::{ErrorCode, Utf8Bytes};

use super::alter_configs::{self, MIN_INSYNC_REPLICAS};
use crate::controller::{Cluster, Command, Outcome};
use crate::image::{
    ConfigResource, ELIGIBLE_LEADER_REPLICAS_VERSION, METADATA_VERSION, ResourceType, SUPPORTED_FEATURES,
    SupportedFeature,
};
use crate::{ApiError, Record};

/// Raises or lowers finalized levels: all that are asked for, or none.
#[derive(Debug, Clone, Default)]
pub struct UpdateFeatures {
    /// The request.
    pub request: UpdateFeaturesRequest,
    /// The version of the request: 0 has a flag in the place of the kind of update.
    pub version: i16,
    /// The features that this node does what they promise of: a log may hold more (`SUPPORTED_FEATURES`).
    pub served: Vec<SupportedFeature>,
}

/// Which way a level may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UpgradeType {
    Upgrade,
    SafeDowngrade,
    UnsafeDowngrade,
    Unknown,
}

impl UpgradeType {
    fn of(update: &FeatureUpdateKey, version: i16) -> Self {
        match (version, update.upgrade_type) {
            (0, _) if update.allow_downgrade => Self::SafeDowngrade,
            (0, _) | (_, 1) => Self::Upgrade,
            (_, 2) => Self::SafeDowngrade,
            (_, 3) => Self::UnsafeDowngrade,
            _ => Self::Unknown,
        }
    }
}

impl Command for UpdateFeatures {
    type Response = UpdateFeaturesResponse;

    fn decide(self, cluster: &Cluster<'_>) -> Outcome<UpdateFeaturesResponse> {
        let updates = last_of_each(&self.request);
        let mut records = Vec::new();
        for update in &updates {
            match self.update(cluster, update) {
                Ok(new) => records.extend(new),
                Err(reason) => return Outcome::unchanged(refuse(&reason)),
            }
        }
        if self.request.validate_only {
            records.clear();
        }
        let done = |update: &&FeatureUpdateKey| UpdatableFeatureResult {
            feature: update.feature.clone(),
            // Kafka's word for no error, which it sends here.
            error_message: Some("NONE".into()),
            ..UpdatableFeatureResult::default()
        };
        let response = UpdateFeaturesResponse {
            error_message: None,
            results: if self.version <= 1 {
                updates.iter().map(done).collect()
            } else {
                Vec::new()
            },
            ..UpdateFeaturesResponse::default()
        };
        Outcome::new(records, response)
    }
}

/// Of several updates of one feature the last counts.
fn last_of_each(request: &UpdateFeaturesRequest) -> Vec<&FeatureUpdateKey> {
    let mut updates: Vec<&FeatureUpdateKey> = Vec::new();
    let mut places: HashMap<&Utf8Bytes, usize> = HashMap::new();
    for update in &request.feature_updates {
        match places.entry(&update.feature) {
            Entry::Occupied(place) => updates[*place.get()] = update,
            Entry::Vacant(place) => {
                place.insert(updates.len());
                updates.push(update);
            }
        }
    }
    updates
}

fn refuse(reason: &str) -> UpdateFeaturesResponse {
    let message =
        format!("The update failed for all features since the following feature had an error: {reason}");
    UpdateFeaturesResponse {
        error_code: ErrorCode::InvalidUpdateVersion.into(),
        error_message: ApiError::new(ErrorCode::InvalidUpdateVersion, message).text(),
        ..UpdateFeaturesResponse::default()
    }
}

impl UpdateFeatures {
    fn update(&self, cluster: &Cluster<'_>, update: &FeatureUpdateKey) -> Result<Vec<Record>, String> {
        let (name, level) = (update.feature.as_str(), update.max_version_level);
        let invalid = |reason: &str| {
            Err(format!(
                "Invalid update version {level} for feature {name}. {reason}"
            ))
        };
        let upgrade_type = UpgradeType::of(update, self.version);
        if upgrade_type == UpgradeType::Unknown {
            return invalid("The controller does not support the given upgrade type.");
        }
        if level < 0 {
            return invalid("A feature version cannot be less than 0.");
        }
        if let Some(reason) = self.not_supported(cluster, name, level) {
            return invalid(&reason);
        }
        let current = if name == METADATA_VERSION {
            cluster.image.metadata_version().level()
        } else {
            cluster.image.feature_level(name)
        };
        if level < current && upgrade_type == UpgradeType::Upgrade {
            return invalid(
                "Can't downgrade the version of this feature without setting the upgrade type to either safe or \
                 unsafe downgrade.",
            );
        }
        if level > current && upgrade_type != UpgradeType::Upgrade {
            return invalid("Can't downgrade to a newer version.");
        }
        if name == METADATA_VERSION && level < current {
            return Err(metadata_downgrade(current, level, upgrade_type));
        }
        // Level 0 is within the bounds of what nobody supports.
        if !SUPPORTED_FEATURES.iter().any(|known| known.name == name) {
            return invalid(&format!("Feature {name} not found."));
        }
        Ok(records(cluster, &update.feature, current, level))
    }

    /// Why this node, or a broker that is registered, cannot work with a level.
    fn not_supported(&self, cluster: &Cluster<'_>, name: &str, level: i16) -> Option<String> {
        let check = |who: String, range: Option<(i16, i16)>| match range {
            None if level == 0 => None,
            None | Some((0, 0)) => Some(format!("{who} does not support this feature.")),
            Some((min, max)) if !(min..=max).contains(&level) => {
                Some(format!("{who} only supports versions {min}-{max}"))
            }
            Some(_) => None,
        };
        let own = self.served.iter().find(|feature| feature.name == name);
        let local = format!("Local controller {}", cluster.options.node_id);
        check(local, own.map(|feature| (feature.min, feature.max))).or_else(|| {
            cluster.image.brokers().find_map(|broker| {
                let range = broker.features.iter().find(|(known, _, _)| **known == *name);
                check(
                    format!("Broker {}", broker.id),
                    range.map(|(_, min, max)| (*min, *max)),
                )
            })
        })
    }
}

/// What a lower level of the metadata cannot say would be lost: none is refused less than another.
fn metadata_downgrade(current: i16, level: i16, upgrade_type: UpgradeType) -> String {
    let reason = if upgrade_type == UpgradeType::UnsafeDowngrade {
        "Unsafe metadata downgrade is not supported in this version."
    } else {
        "Refusing to perform the requested downgrade because it might delete metadata information."
    };
    format!("Unsupported metadata.version downgrade from {current} to {level}. {reason}")
}

fn records(cluster: &Cluster<'_>, name: &Utf8Bytes, current: i16, level: i16) -> Vec<Record> {
    let mut messages = vec![MetadataRecord::FeatureLevel(FeatureLevelRecord {
        name: name.clone(),
        feature_level: level,
        ..FeatureLevelRecord::default()
    })];
    if **name == *ELIGIBLE_LEADER_REPLICAS_VERSION && current == 0 && level > 0 {
        messages.extend(one_minimum_for_all(cluster));
    }
    messages
        .into_iter()
        .map(|message| cluster.record(message))
        .collect()
}

/// With eligible leader replicas the minimum must be one for the whole cluster, not each broker's own
/// (`ConfigurationControlManager.maybeGenerateElrSafetyRecords`).
fn one_minimum_for_all(cluster: &Cluster<'_>) -> Vec<MetadataRecord> {
    let default = ConfigResource::default_broker();
    let has_minimum = |resource: &ConfigResource| {
        cluster
            .image
            .configs(resource)
            .is_some_and(|set| set.contains_key(MIN_INSYNC_REPLICAS))
    };
    let mut messages = Vec::new();
    if !has_minimum(&default) {
        let own = cluster.options.schema.broker_properties.get(MIN_INSYNC_REPLICAS);
        let minimum = own.cloned().unwrap_or_else(|| "1".to_owned());
        let record = alter_configs::record(&default, MIN_INSYNC_REPLICAS, Some(&minimum));
        messages.push(MetadataRecord::Config(record));
    }
    let of_one_broker = cluster.image.config_resources().filter(|(resource, _)| {
        resource.resource_type == ResourceType::Broker && !resource.name.is_empty() && has_minimum(resource)
    });
    messages.extend(of_one_broker.map(|(resource, _)| {
        MetadataRecord::Config(alter_configs::record(resource, MIN_INSYNC_REPLICAS, None))
    }));
    messages
}
