//! The old AlterConfigs. The texts are what Apache Kafka 4.3.1 answered.

use forebay_protocol::ErrorCode;
use forebay_protocol::messages::AlterConfigsRequest;
use forebay_protocol::messages::alter_configs_request::{AlterConfigsResource, AlterableConfig};

use super::fixture::*;
use crate::*;

/// Keys with their values, or without.
type Configs<'a> = &'a [(&'a str, Option<&'a str>)];

fn alter(
    cluster: &mut TestCluster,
    resource_type: i8,
    name: &str,
    configs: Configs<'_>,
) -> (ErrorCode, String) {
    let resource = AlterConfigsResource {
        resource_type,
        resource_name: name.into(),
        configs: configs
            .iter()
            .map(|(name, value)| AlterableConfig {
                name: (*name).into(),
                value: value.map(Into::into),
                ..AlterableConfig::default()
            })
            .collect(),
        ..AlterConfigsResource::default()
    };
    let request = AlterConfigsRequest {
        resources: vec![resource],
        ..Default::default()
    };
    let answer = cluster.run(AlterConfigs { request }).responses.remove(0);
    (
        ErrorCode::from_i16(answer.error_code),
        answer
            .error_message
            .map(|text| text.to_string())
            .unwrap_or_default(),
    )
}

#[rustfmt::skip] // A table.
const REFUSED: &[(i8, &str, Configs<'static>, ErrorCode, &str)] = &[
    (2, "t", &[("segment.ms", None)], ErrorCode::InvalidRequest, "Null value not supported for : segment.ms"),
    (2, "t", &[("segment.ms", Some("1")), ("segment.ms", Some("2"))], ErrorCode::InvalidRequest, "Error due to duplicate config keys"),
    (2, "t", &[("bogus", Some("1"))], ErrorCode::InvalidConfig, "Unknown topic config name: bogus"),
    (2, "nope", &[("segment.ms", Some("1"))], ErrorCode::UnknownTopicOrPartition, "The topic 'nope' does not exist."),
    (4, "", &[], ErrorCode::InvalidConfig, "Cluster-level min.insync.replicas cannot be removed while ELR is enabled."),
    (4, "1", &[("log.retention.ms", Some("5"))], ErrorCode::InvalidRequest, "Unexpected broker id, expected 0, but received 1"),
    (8, "1", &[("root", Some("INFO"))], ErrorCode::InvalidRequest, "Unknown resource type 8"),
    (3, "g", &[], ErrorCode::InvalidRequest, "Unknown resource type 3"),
];

#[test]
fn what_the_old_alter_configs_does_not_name_is_gone() {
    let mut cluster = TestCluster::with_brokers(1);
    cluster.create(topic_with(
        "t",
        &[("retention.ms", Some("7")), ("segment.ms", Some("5000"))],
    ));
    assert_eq!(
        alter(&mut cluster, 2, "t", &[("segment.ms", Some("6000"))]).0,
        ErrorCode::None
    );
    let set = cluster
        .image()
        .topic_configs("t")
        .cloned()
        .expect("something is set");
    assert_eq!(set, properties(&[("segment.ms", "6000")]));
    for (resource_type, name, configs, code, text) in REFUSED {
        assert_eq!(
            alter(&mut cluster, *resource_type, name, configs),
            (*code, (*text).to_owned())
        );
    }
}
