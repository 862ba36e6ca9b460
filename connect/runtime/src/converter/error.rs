//! What a converter could not do, and whether it is the record's fault.

use forebay_connect_api::{BoxError, Error as ConnectError};

/// Why bytes or data were not converted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// They are not what this converter takes (Kafka's `DataException`, `SerializationException`).
    #[error("{message}")]
    Data {
        /// What is wrong with them, and what to do.
        message: String,
        /// The error underneath.
        #[source]
        source: Option<BoxError>,
    },
    /// Something has to be fetched first, by [`super::Converter::prepare`].
    #[error("the schema has yet to be fetched")]
    Wanted(Wanted),
    /// It may be possible later.
    #[error("{message}")]
    Unavailable {
        /// What is missing.
        message: String,
        /// The error underneath.
        #[source]
        source: Option<BoxError>,
    },
}

/// What a converter has to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The schema of this identifier.
    Schema(i32),
    /// The identifier of this schema under this subject.
    Identifier {
        /// The subject.
        subject: String,
        /// The schema's text.
        schema: String,
    },
}

impl Error {
    /// Data at fault.
    pub(super) fn data(message: impl Into<String>) -> Self {
        Self::Data {
            message: message.into(),
            source: None,
        }
    }

    /// Names the field that the error is in.
    pub(super) fn within(self, field: &str) -> Self {
        match self {
            Self::Data { message, source } => Self::Data {
                message: format!("{field}: {message}"),
                source,
            },
            other => other,
        }
    }

    /// Data at fault, with the error underneath.
    pub(super) fn data_because(message: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self::Data {
            message: message.into(),
            source: Some(source.into()),
        }
    }
}

impl From<forebay_connect_avro::Error> for Error {
    fn from(error: forebay_connect_avro::Error) -> Self {
        Self::Data {
            message: error.message,
            source: error.source,
        }
    }
}

impl From<Error> for ConnectError {
    fn from(error: Error) -> Self {
        let (error, source) = match error {
            Error::Data { message, source } => (Self::fatal(message), source),
            Error::Unavailable { message, source } => (Self::retriable(message), source),
            Error::Wanted(wanted) => (Self::retriable(format!("{wanted:?} has yet to be fetched")), None),
        };
        match source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}
