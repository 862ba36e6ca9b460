//! DescribeConfigs: topics and brokers with every key, its value and where that comes from (`ConfigHelper`).

use std::collections::HashSet;

use forebay_broker_controller::{
    ConfigEntry, ConfigResource, ConfigSource, MetadataImage, ResourceType, validate_topic_name,
};
use forebay_broker_log::config::{FLUSH_MESSAGES, FLUSH_MESSAGES_OF_SINGLE_REPLICA};
use forebay_config::ConfigType;
use forebay_protocol::messages::describe_configs_request::DescribeConfigsResource;
use forebay_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use forebay_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use forebay_protocol::{ErrorCode, NodeId};

use super::room::{NO_ROOM, NO_ROOM_MESSAGE, Room, bytes_of};
use crate::call::Call;
use crate::loggers::LogLevel;

/// What a key takes of the answer's room that was looked up, and is not asked for.
const SKIPPED_BYTES: usize = 64;
/// After so many resources others have their turn.
const AT_A_TIME: usize = 64;

/// Answers a DescribeConfigs request.
pub(crate) async fn handle(call: &Call, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let image = call.core.metadata.image();
    let mut room = Room::default();
    let mut response = DescribeConfigsResponse::default();
    for (index, resource) in request.resources.iter().enumerate() {
        if index % AT_A_TIME == AT_A_TIME - 1 {
            tokio::task::yield_now().await;
        }
        let described = if room.is_left() {
            describe(call, &image, resource, &request)
        } else if room.tell() {
            Err((NO_ROOM, NO_ROOM_MESSAGE.to_owned()))
        } else {
            break;
        };
        let found = described.as_ref().map_or(0, Vec::len);
        let result = result_of(resource, described);
        let skipped = found - result.configs.len();
        let one = DescribeConfigsResponse {
            results: vec![result],
            ..DescribeConfigsResponse::default()
        };
        room.take(1, bytes_of(&one, call.version) + skipped * SKIPPED_BYTES);
        response.results.extend(one.results);
    }
    response
}

fn result_of(
    resource: &DescribeConfigsResource,
    described: Result<Vec<DescribeConfigsResourceResult>, Refusal>,
) -> DescribeConfigsResult {
    let (code, message, results) = match described {
        // On success Kafka says "" where it could say null.
        Ok(results) => (ErrorCode::None, String::new(), results),
        Err((code, message)) => (code, message, Vec::new()),
    };
    let keys = resource.configuration_keys.iter().flatten();
    let keys: HashSet<&str> = keys.map(|key| &**key).collect();
    let wanted = |entry: &DescribeConfigsResourceResult| keys.is_empty() || keys.contains(&*entry.name);
    DescribeConfigsResult {
        error_code: code.into(),
        error_message: Some(message.into()),
        resource_type: resource.resource_type,
        resource_name: resource.resource_name.clone(),
        configs: results.into_iter().filter(wanted).collect(),
        ..DescribeConfigsResult::default()
    }
}

type Refusal = (ErrorCode, String);

fn describe(
    call: &Call,
    image: &MetadataImage,
    resource: &DescribeConfigsResource,
    request: &DescribeConfigsRequest,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    if ResourceType::of(resource.resource_type) == Some(ResourceType::BrokerLogger) {
        return describe_loggers(call, &resource.resource_name);
    }
    let entries = entries(call, image, resource)?.into_iter();
    Ok(entries
        .map(|entry| entry_of(entry, request, call.version))
        .collect())
}

fn entries(
    call: &Call,
    image: &MetadataImage,
    resource: &DescribeConfigsResource,
) -> Result<Vec<ConfigEntry>, Refusal> {
    let invalid = |message: String| (ErrorCode::InvalidRequest, message);
    let name = &*resource.resource_name;
    match ResourceType::of(resource.resource_type) {
        Some(ResourceType::Topic) => describe_topic(call, image, name),
        Some(ResourceType::Broker) if name.is_empty() => Ok(call.core.schema.describe_default_broker(image)),
        Some(ResourceType::Broker) => {
            let own = call.core.config.node_id;
            match name.parse() {
                Ok(id) if NodeId(id) == own => Ok(call.core.schema.describe_broker(image, own)),
                Ok(id) => Err(invalid(format!(
                    "Unexpected broker id, expected {own} or empty string, but received {id}"
                ))),
                Err(_) => Err(invalid(format!(
                    "Broker id must be an integer, but it is: {name}"
                ))),
            }
        }
        Some(ResourceType::Group) if name.is_empty() => {
            Err(invalid("Group name must not be empty".to_owned()))
        }
        Some(ResourceType::Group) => {
            let own = image
                .configs(&ConfigResource::group(name))
                .cloned()
                .unwrap_or_default();
            Ok(call
                .core
                .schema
                .describe_group(&own, image, call.core.config.node_id))
        }
        Some(ResourceType::ClientMetrics) if name.is_empty() => Err(invalid(
            "Client metrics subscription name must not be empty".to_owned(),
        )),
        Some(other) => Err(invalid(format!("Unsupported resource type: {other}"))),
        None => Err(invalid(ErrorCode::InvalidRequest.message().to_owned())),
    }
}

/// The levels of this node's loggers; nobody knows those of another.
fn describe_loggers(call: &Call, name: &str) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let own = call.core.config.node_id;
    let refused = match name.parse() {
        _ if name.is_empty() => "Broker id must not be empty".to_owned(),
        Ok(id) if NodeId(id) == own => match &call.core.loggers {
            Some(loggers) => return Ok(loggers.effective().into_iter().map(logger).collect()),
            None => format!("Unsupported resource type: {}", ResourceType::BrokerLogger),
        },
        Ok(id) => format!("Unexpected broker id, expected {own} but received {id}"),
        Err(_) => format!("Broker id must be an integer, but it is: {name}"),
    };
    Err((ErrorCode::InvalidRequest, refused))
}

fn logger((name, level): (String, LogLevel)) -> DescribeConfigsResourceResult {
    /// `ConfigSource.DYNAMIC_BROKER_LOGGER_CONFIG`.
    const DYNAMIC_BROKER_LOGGER: i8 = 6;
    DescribeConfigsResourceResult {
        name: name.into(),
        value: Some(level.name().into()),
        config_source: DYNAMIC_BROKER_LOGGER,
        ..DescribeConfigsResourceResult::default()
    }
}

fn describe_topic(call: &Call, image: &MetadataImage, name: &str) -> Result<Vec<ConfigEntry>, Refusal> {
    if let Err(error) = validate_topic_name(name) {
        return Err((ErrorCode::InvalidTopicException, error.to_string()));
    }
    let Some(topic) = image.topic(name) else {
        // As Kafka: with a code and no words.
        return Err((ErrorCode::UnknownTopicOrPartition, String::new()));
    };
    let own = image.topic_configs(name).cloned().unwrap_or_default();
    let mut entries = call
        .core
        .schema
        .describe_topic(&own, image, call.core.config.node_id);
    if topic
        .partition(0)
        .is_none_or(|partition| partition.replicas.len() <= 1)
    {
        entries.iter_mut().for_each(of_single_replica);
    }
    Ok(entries)
}

/// The default of `flush.messages` depends on the replication factor: what is shown is what holds.
fn of_single_replica(entry: &mut ConfigEntry) {
    if entry.name != FLUSH_MESSAGES {
        return;
    }
    let default = FLUSH_MESSAGES_OF_SINGLE_REPLICA.to_string();
    if entry.source == ConfigSource::Default {
        entry.value = Some(default.clone());
    }
    for (_, value, _) in entry
        .synonyms
        .iter_mut()
        .filter(|(_, _, source)| *source == ConfigSource::Default)
    {
        *value = Some(default.clone());
    }
}

fn entry_of(
    entry: ConfigEntry,
    request: &DescribeConfigsRequest,
    version: i16,
) -> DescribeConfigsResourceResult {
    let synonyms = if request.include_synonyms {
        entry.synonyms
    } else {
        Vec::new()
    };
    DescribeConfigsResourceResult {
        name: entry.name.into(),
        value: entry.value.map(Into::into),
        read_only: entry.read_only,
        config_source: entry.source as i8,
        is_sensitive: entry.is_sensitive,
        synonyms: synonyms
            .into_iter()
            .map(|(name, value, source)| DescribeConfigsSynonym {
                name: name.into(),
                value: value.map(Into::into),
                source: source as i8,
                ..DescribeConfigsSynonym::default()
            })
            .collect(),
        config_type: config_type(entry.config_type),
        documentation: (version >= 3 && request.include_documentation).then(|| entry.documentation.into()),
        ..DescribeConfigsResourceResult::default()
    }
}

/// Kafka's number of a type (`DescribeConfigsResponse.ConfigType`).
fn config_type(config_type: ConfigType) -> i8 {
    match config_type {
        ConfigType::Boolean => 1,
        ConfigType::String => 2,
        ConfigType::Int => 3,
        ConfigType::Short => 4,
        ConfigType::Long => 5,
        ConfigType::Double => 6,
        ConfigType::List => 7,
        ConfigType::Class => 8,
        ConfigType::Password => 9,
    }
}
