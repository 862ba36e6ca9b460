//! How a transformation can fail, in the words of Kafka's own, and under the names of its exceptions.

use forebay_connect_api::{config, schema};

/// Why a record was not transformed, or a transformation not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The record's data is not what the transformation takes.
    #[error("{0}")]
    Data(String),
    /// The record's schema is of no use to it.
    #[error("{0}")]
    Connect(String),
    /// What the configuration names is not there.
    #[error("{0}")]
    Argument(String),
    /// The schema of the result cannot be made.
    #[error("{0}")]
    Schema(String),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] config::Error),
}

impl Error {
    /// The Java class of the exception that Kafka would throw, as the headers of dead letters name it.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Data(_) => "org.apache.kafka.connect.errors.DataException",
            Self::Connect(_) => "org.apache.kafka.connect.errors.ConnectException",
            Self::Argument(_) => "java.lang.IllegalArgumentException",
            Self::Schema(_) => "org.apache.kafka.connect.errors.SchemaBuilderException",
            Self::Config(_) => "org.apache.kafka.common.config.ConfigException",
        }
    }

    /// A configuration that is wrong as a whole.
    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::Config(config::Error::other(message))
    }
}

impl From<schema::Error> for Error {
    fn from(error: schema::Error) -> Self {
        Self::Schema(error.to_string())
    }
}
