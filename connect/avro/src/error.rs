//! What has no place in the other of the two.

use forebay_connect_api::BoxError;

/// Why a schema or value cannot be had in Avro, or in Connect (Kafka's `DataException`).
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What is wrong with it, after the names of the fields around it.
    pub message: String,
    /// The error underneath.
    #[source]
    pub source: Option<BoxError>,
}

impl Error {
    pub(crate) fn data(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            source: None,
        }
    }

    /// Names the field that the error is in.
    pub(crate) fn within(self, field: &str) -> Self {
        Self {
            message: format!("{field}: {}", self.message),
            source: self.source,
        }
    }

    /// With the error underneath.
    pub(crate) fn data_because(message: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self {
            message: message.into(),
            source: Some(source.into()),
        }
    }
}
