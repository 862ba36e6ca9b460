//! How a sink may read the values of raw records itself, and the converter that it asks where it does not.

use std::{fmt, sync::Arc};

use forebay_schema_registry_schema::avro;

use crate::{BoxFuture, Error, Schema, SchemaAndValue};

/// How the bytes of raw values are to be read: what the configured value converter would do with them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ValueFormat {
    /// UTF-8, with U+FFFD for what is not (`StringConverter` with its default encoding).
    String,
    /// Just bytes (`ByteArrayConverter`).
    Bytes,
    /// JSON without schemas (`JsonConverter` with `schemas.enable=false`).
    Json(Arc<dyn ValueReader>),
    /// JSON in envelopes `{"schema":…,"payload":…}` (`JsonConverter` with `schemas.enable=true`).
    JsonWithSchemas(Arc<dyn ValueReader>),
    /// Avro in Confluent's wire format (`AvroConverter`).
    Avro(Arc<dyn AvroReader>),
}

/// A value converter as a sink sees it. Whoever reads raw values without it reads the same of them, and asks it where reading is
/// rare or what is read is strange, so that no rule is written twice.
pub trait ValueReader: fmt::Debug + Send + Sync {
    /// What the converter makes of a value.
    ///
    /// # Errors
    /// [`ReadError::Fetch`] until [`ValueReader::fetch`] has fetched what the value needs.
    fn read(&self, topic: &str, value: Option<&[u8]>) -> Result<SchemaAndValue, ReadError>;

    /// Fetches the schema of that identifier, so that values of it can be read.
    ///
    /// # Errors
    /// A retriable one if it may work later. Any other is the fault of the records with that identifier.
    fn fetch(&self, _schema_id: i32) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A converter of Avro as a sink sees it.
pub trait AvroReader: ValueReader {
    /// The schemas of values of a topic with that identifier, if they have been fetched.
    fn schemas(&self, topic: &str, schema_id: i32) -> Option<AvroSchemas>;
}

/// A schema of a registry.
#[derive(Debug, Clone)]
pub struct AvroSchemas {
    /// As it is registered.
    pub avro: Arc<avro::Schema>,
    /// What the converter makes of it: the schema of the values that it reads.
    pub connect: Arc<Schema>,
}

/// Why a raw value was not read.
#[derive(Debug)]
pub enum ReadError {
    /// The schema of this identifier has to be fetched first.
    Fetch(i32),
    /// The value cannot be read.
    Value(Error),
}
