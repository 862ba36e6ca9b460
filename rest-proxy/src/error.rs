//! What can go wrong, in the codes of Confluent's proxy (`kafkarest/Errors`).

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use forebay_http::ErrorBody;
use forebay_protocol::ErrorCode;

/// The media type of everything but embedded records.
pub(crate) const CONTENT_TYPE: &str = "application/vnd.kafka.v2+json";

/// Why a request, or one of its records, is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("Topic not found.")]
    TopicNotFound,
    #[error("Partition not found.")]
    PartitionNotFound,
    #[error("Consumer instance not found.")]
    InstanceNotFound,
    #[error("The requested embedded data format does not match the deserializer for this consumer instance")]
    FormatMismatch,
    #[error("Consumer with specified consumer ID already exists in the specified consumer group.")]
    InstanceExists,
    #[error("Subscription to topics, partitions and pattern are mutually exclusive.")]
    SubscriptionConflict,
    #[error("Request includes keys but does not include key schema")]
    KeySchemaMissing,
    #[error("Request includes values but does not include value schema")]
    ValueSchemaMissing,
    #[error("Conversion of JSON to {format} failed: {reason}")]
    Conversion { format: &'static str, reason: String },
    #[error("Invalid consumer configuration: {0}")]
    ConsumerConfig(String),
    #[error("Invalid schema: {0}")]
    Schema(String),
    #[error("the record of {topic}-{partition} at offset {offset} cannot be shown as {format}: {reason}")]
    NotReadable {
        topic: String,
        partition: i32,
        offset: i64,
        format: &'static str,
        reason: String,
    },
    #[error("the request body cannot be read: {0}")]
    Body(String),
    #[error(
        "HTTP 415 Unsupported Media Type: send one of application/vnd.kafka.{{json,binary,avro}}.v2+json"
    )]
    MediaType,
    #[error(
        "there are {instances_max} consumer instances already (consumer.instances.max); delete those that are not used"
    )]
    TooManyInstances { instances_max: usize },
    #[error("{0}")]
    Kafka(#[from] forebay_client::Error),
    #[error(transparent)]
    Registry(#[from] forebay_schema_registry_client::Error),
}

impl Error {
    /// HTTP status and code.
    pub(crate) fn status_and_code(&self) -> (StatusCode, i32) {
        use StatusCode as S;
        match self {
            Self::TopicNotFound => (S::NOT_FOUND, 40401),
            Self::PartitionNotFound => (S::NOT_FOUND, 40402),
            Self::InstanceNotFound => (S::NOT_FOUND, 40403),
            Self::FormatMismatch => (S::NOT_ACCEPTABLE, 40601),
            Self::InstanceExists => (S::CONFLICT, 40902),
            Self::SubscriptionConflict => (S::CONFLICT, 40903),
            Self::KeySchemaMissing => (S::UNPROCESSABLE_ENTITY, 42201),
            Self::ValueSchemaMissing => (S::UNPROCESSABLE_ENTITY, 42202),
            Self::Conversion { .. } => (S::UNPROCESSABLE_ENTITY, 42203),
            Self::ConsumerConfig(_) => (S::UNPROCESSABLE_ENTITY, 42204),
            Self::Schema(_) => (S::UNPROCESSABLE_ENTITY, 42205),
            Self::NotReadable { .. } => (S::UNPROCESSABLE_ENTITY, 42207),
            Self::Body(_) => (S::BAD_REQUEST, 40002),
            Self::MediaType => (S::UNSUPPORTED_MEDIA_TYPE, 415),
            Self::TooManyInstances { .. } => (S::TOO_MANY_REQUESTS, 42901),
            Self::Kafka(error) => of_kafka(error),
            Self::Registry(error) if error.is_retriable() => (S::INTERNAL_SERVER_ERROR, 50003),
            Self::Registry(_) => (S::UNPROCESSABLE_ENTITY, 42205),
        }
    }
}

fn of_kafka(error: &forebay_client::Error) -> (StatusCode, i32) {
    use StatusCode as S;
    match error {
        forebay_client::Error::NotAssigned(_) => (S::NOT_FOUND, 40402),
        forebay_client::Error::NoBroker { .. } => (S::SERVICE_UNAVAILABLE, 50302),
        error => match error.code() {
            Some(ErrorCode::UnknownTopicOrPartition) => (S::NOT_FOUND, 40401),
            Some(ErrorCode::InvalidTopicException) => (S::UNPROCESSABLE_ENTITY, 422),
            Some(ErrorCode::TopicAuthorizationFailed | ErrorCode::GroupAuthorizationFailed) => {
                (S::FORBIDDEN, 40301)
            }
            _ if error.is_retriable() => (S::INTERNAL_SERVER_ERROR, 50003),
            _ => (S::INTERNAL_SERVER_ERROR, 50002),
        },
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, code) = self.status_and_code();
        ErrorBody {
            status,
            code,
            message: self.to_string(),
            content_type: CONTENT_TYPE,
        }
        .into_response()
    }
}
