//! Feature levels. The texts are what Apache Kafka 4.3.1 answered.

use forebay_protocol::messages::alter_configs_request::{AlterConfigsResource, AlterableConfig};
use forebay_protocol::messages::update_features_request::FeatureUpdateKey;
use forebay_protocol::messages::{AlterConfigsRequest, UpdateFeaturesRequest};
use forebay_protocol::{ErrorCode, NodeId};

use super::fixture::*;
use crate::*;

fn update(cluster: &mut TestCluster, feature: &str, level: i16, upgrade_type: i8) -> (ErrorCode, String) {
    let update = FeatureUpdateKey {
        feature: feature.into(),
        max_version_level: level,
        upgrade_type,
        ..FeatureUpdateKey::default()
    };
    let request = UpdateFeaturesRequest {
        feature_updates: vec![update],
        ..Default::default()
    };
    let served = SUPPORTED_FEATURES
        .iter()
        .filter(|feature| feature.name != "share.version");
    let response = cluster.run(UpdateFeatures {
        request,
        version: 2,
        served: served.copied().collect(),
    });
    let text = response.error_message.map(|text| text.to_string());
    (ErrorCode::from_i16(response.error_code), text.unwrap_or_default())
}

#[rustfmt::skip] // A table.
const REFUSED: &[(&str, i16, i8, &str)] = &[
    ("bogus", 1, 1, "Invalid update version 1 for feature bogus. Local controller 0 does not support this feature."),
    ("bogus", 0, 2, "Invalid update version 0 for feature bogus. Feature bogus not found."),
    // A log may have it, but this node does not do what it promises.
    ("share.version", 1, 1, "Invalid update version 1 for feature share.version. Local controller 0 does not support this feature."),
    ("metadata.version", 99, 1, "Invalid update version 99 for feature metadata.version. Local controller 0 only supports versions 7-30"),
    ("metadata.version", 29, 1, "Invalid update version 29 for feature metadata.version. Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade."),
    ("metadata.version", 29, 2, "Unsupported metadata.version downgrade from 30 to 29. Refusing to perform the requested downgrade because it might delete metadata information."),
    ("metadata.version", 20, 3, "Unsupported metadata.version downgrade from 30 to 20. Unsafe metadata downgrade is not supported in this version."),
    ("transaction.version", 3, 1, "Invalid update version 3 for feature transaction.version. Local controller 0 only supports versions 0-2"),
    ("transaction.version", -1, 1, "Invalid update version -1 for feature transaction.version. A feature version cannot be less than 0."),
    ("transaction.version", 2, 0, "Invalid update version 2 for feature transaction.version. The controller does not support the given upgrade type."),
    ("transaction.version", 2, 2, "Invalid update version 2 for feature transaction.version. Can't downgrade to a newer version."),
];

#[test]
fn feature_levels_go_where_they_may() {
    let mut cluster = TestCluster::with_brokers(1);
    assert_eq!(
        update(&mut cluster, "transaction.version", 0, 2).0,
        ErrorCode::None
    );
    for (feature, level, upgrade_type, reason) in REFUSED {
        let text =
            format!("The update failed for all features since the following feature had an error: {reason}");
        assert_eq!(
            update(&mut cluster, feature, *level, *upgrade_type),
            (ErrorCode::InvalidUpdateVersion, text)
        );
    }
    assert_eq!(update(&mut cluster, "metadata.version", 30, 1).0, ErrorCode::None);
    assert_eq!(
        update(&mut cluster, "transaction.version", 2, 1).0,
        ErrorCode::None
    );
    assert_eq!(cluster.image().feature_level("transaction.version"), 2);
    assert_eq!(
        update(&mut cluster, "transaction.version", 0, 2).0,
        ErrorCode::None
    );
    assert_eq!(cluster.image().feature_level("transaction.version"), 0);
}

#[test]
fn eligible_leader_replicas_come_with_one_minimum_for_all() {
    let mut cluster = TestCluster::with_brokers(1);
    let feature = ELIGIBLE_LEADER_REPLICAS_VERSION;
    assert_eq!(update(&mut cluster, feature, 0, 2).0, ErrorCode::None);
    let alter = |name: &str, value: Option<&str>| AlterConfigs {
        request: AlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: 4,
                resource_name: name.into(),
                configs: value
                    .iter()
                    .map(|value| AlterableConfig {
                        name: "min.insync.replicas".into(),
                        value: Some((*value).into()),
                        ..AlterableConfig::default()
                    })
                    .collect(),
                ..AlterConfigsResource::default()
            }],
            ..Default::default()
        },
    };
    for change in [alter("", None), alter("0", Some("2"))] {
        let answer = cluster.run(change).responses.remove(0);
        assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
    }
    assert_eq!(update(&mut cluster, feature, 1, 1).0, ErrorCode::None);
    let image = cluster.image();
    let minimum = |resource: &ConfigResource| image.configs(resource)?.get("min.insync.replicas").cloned();
    assert_eq!(minimum(&ConfigResource::default_broker()).as_deref(), Some("1"));
    assert_eq!(minimum(&ConfigResource::broker(NodeId(0))), None);
    let answer = cluster.run(alter("", None)).responses.remove(0);
    assert_eq!(
        answer.error_message.as_deref(),
        Some("Cluster-level min.insync.replicas cannot be removed while ELR is enabled.")
    );
}
