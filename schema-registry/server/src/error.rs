//! What can go wrong, in Confluent's codes and words (`rest/exceptions/Errors`).

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use forebay_http::ErrorBody;

/// The media type of the registry's answers.
pub(crate) const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("Subject '{0}' not found.")]
    SubjectNotFound(String),
    #[error("Version {0} not found.")]
    VersionNotFound(i32),
    #[error("Schema {0} not found")]
    SchemaNotFound(i32),
    #[error("Schema not found")]
    SchemaNotRegistered,
    #[error("Subject '{0}' was soft deleted. Set permanent=true to delete permanently")]
    SubjectSoftDeleted(String),
    #[error("Subject '{0}' was not deleted first before being permanently deleted")]
    SubjectNotSoftDeleted(String),
    #[error("Subject '{0}' Version {1} was soft deleted. Set permanent=true to delete permanently")]
    VersionSoftDeleted(String, i32),
    #[error("Subject '{0}' Version {1} was not deleted first before being permanently deleted")]
    VersionNotSoftDeleted(String, i32),
    #[error("Subject '{0}' does not have subject-level compatibility configured")]
    NoSubjectLevel(String),
    #[error("Schema being registered is incompatible with an earlier schema for subject \"{subject}\", details: [{}]", .messages.join(", "))]
    Incompatible { subject: String, messages: Vec<String> },
    #[error("Invalid schema {schema}, details: {reason}")]
    InvalidSchema { schema: String, reason: String },
    #[error(
        "The specified version '{0}' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\""
    )]
    InvalidVersion(String),
    #[error(transparent)]
    InvalidLevel(#[from] forebay_schema_registry_schema::compatibility::UnknownLevel),
    #[error("{0}")]
    NotPermitted(String),
    #[error(
        "One or more references exist to the schema {{magic=1,keytype=SCHEMA,subject={subject},version={version}}}."
    )]
    ReferenceExists { subject: String, version: i32 },
    #[error("The specified subject '{subject}' is not a valid subject: {reason}")]
    InvalidSubject { subject: String, reason: &'static str },
    #[error("the request body cannot be read: {0}")]
    Body(String),
    #[error("Error in the backend data store: {0}")]
    Store(#[source] forebay_client::Error),
    #[error(
        "Error in the backend data store: other schema registries keep writing the same versions to its topic; try again"
    )]
    Contended,
    #[error(
        "Error in the backend data store: no schema id is left; a record of the topic has the greatest there is, 2147483647"
    )]
    NoIdLeft,
    #[error(
        "Error in the backend data store: no version is left under subject '{0}'; one has the greatest there is, 2147483647"
    )]
    NoVersionLeft(String),
    #[error("Error in the backend data store: the topic {topic} gave no answer within {timeout_ms} ms")]
    StoreTimeout { topic: String, timeout_ms: u64 },
}

impl Error {
    /// HTTP status and Confluent's code.
    fn status_and_code(&self) -> (StatusCode, i32) {
        use StatusCode as S;
        match self {
            Self::SubjectNotFound(_) => (S::NOT_FOUND, 40401),
            Self::VersionNotFound(_) => (S::NOT_FOUND, 40402),
            Self::SchemaNotFound(_) | Self::SchemaNotRegistered => (S::NOT_FOUND, 40403),
            Self::SubjectSoftDeleted(_) => (S::NOT_FOUND, 40404),
            Self::SubjectNotSoftDeleted(_) => (S::NOT_FOUND, 40405),
            Self::VersionSoftDeleted(..) => (S::NOT_FOUND, 40406),
            Self::VersionNotSoftDeleted(..) => (S::NOT_FOUND, 40407),
            Self::NoSubjectLevel(_) => (S::NOT_FOUND, 40408),
            Self::Incompatible { .. } => (S::CONFLICT, 40901),
            Self::InvalidSchema { .. } => (S::UNPROCESSABLE_ENTITY, 42201),
            Self::InvalidVersion(_) => (S::UNPROCESSABLE_ENTITY, 42202),
            Self::InvalidLevel(_) => (S::UNPROCESSABLE_ENTITY, 42203),
            Self::NotPermitted(_) => (S::UNPROCESSABLE_ENTITY, 42205),
            Self::ReferenceExists { .. } => (S::UNPROCESSABLE_ENTITY, 42206),
            Self::InvalidSubject { .. } => (S::UNPROCESSABLE_ENTITY, 42208),
            Self::Body(_) => (S::BAD_REQUEST, 400),
            Self::Store(_) | Self::Contended | Self::NoIdLeft | Self::NoVersionLeft(_) => {
                (S::INTERNAL_SERVER_ERROR, 50001)
            }
            Self::StoreTimeout { .. } => (S::INTERNAL_SERVER_ERROR, 50002),
        }
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
