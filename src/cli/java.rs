//! Errors as Kafka's tools print them where they print Java's exceptions: with the name of the class.

use forebay_protocol::ErrorCode;

/// `org.apache.kafka.common.errors.TopicExistsException: Topic 't' already exists.`
pub(super) fn exception(error: &forebay_client::Error) -> String {
    let class = match error.code() {
        Some(code) if !matches!(error, forebay_client::Error::Timeout { .. }) => class(code),
        _ if matches!(error, forebay_client::Error::UnsupportedVersion { .. }) => {
            "UnsupportedVersionException".to_owned()
        }
        _ => "TimeoutException".to_owned(),
    };
    format!("org.apache.kafka.common.errors.{class}: {}", super::reason(error))
}

/// A number as Java prints it: `1.5`, `1.0E7`.
pub(super) fn double(value: f64) -> String {
    forebay_protocol::java_double(value)
}

/// The name of an error's class: that of the error in most cases.
fn class(code: ErrorCode) -> String {
    let name = match code {
        ErrorCode::UnknownServerError => "UnknownServer",
        ErrorCode::CorruptMessage => "CorruptRecord",
        ErrorCode::RequestTimedOut => "Timeout",
        ErrorCode::MessageTooLarge => "RecordTooLarge",
        ErrorCode::RecordListTooLarge => "RecordBatchTooLarge",
        ErrorCode::InvalidTopicException => "InvalidTopic",
        ErrorCode::TopicAlreadyExists => "TopicExists",
        ErrorCode::InvalidConfig => "InvalidConfiguration",
        ErrorCode::KafkaStorageError => "KafkaStorage",
        ErrorCode::NonEmptyGroup => "GroupNotEmpty",
        ErrorCode::TopicAuthorizationFailed => "TopicAuthorization",
        ErrorCode::GroupAuthorizationFailed => "GroupAuthorization",
        ErrorCode::ClusterAuthorizationFailed => "ClusterAuthorization",
        ErrorCode::TransactionalIdAuthorizationFailed => "TransactionalIdAuthorization",
        code => return format!("{}Exception", camel(code.name())),
    };
    format!("{name}Exception")
}

/// `NOT_CONTROLLER`: `NotController`.
fn camel(name: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(1.min(word.len()));
        format!("{first}{}", rest.to_ascii_lowercase())
    };
    name.split('_').map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_the_names_of_errors_but_for_some() {
        let cases = [
            (ErrorCode::OffsetOutOfRange, "OffsetOutOfRangeException"),
            (
                ErrorCode::UnknownTopicOrPartition,
                "UnknownTopicOrPartitionException",
            ),
            (ErrorCode::SecurityDisabled, "SecurityDisabledException"),
            (ErrorCode::TopicAlreadyExists, "TopicExistsException"),
            (ErrorCode::InvalidConfig, "InvalidConfigurationException"),
        ];
        for (code, expected) in cases {
            assert_eq!(class(code), expected);
        }
    }
}
