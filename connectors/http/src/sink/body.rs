//! What of a record is sent, and how several become one body.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use forebay_connect_api::{Error, Offset, SchemaAndValue, SinkRecord, Text, Value, ValueFormat};
use reqwest::{Method, Url, header::HeaderMap};

use crate::json::to_json;

/// Where a record is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
}

/// A record as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) offset: Offset,
    pub(super) target: Arc<Target>,
    /// `None`: without a body.
    pub(super) bytes: Option<Bytes>,
    /// Whether we made JSON of it.
    pub(super) json: bool,
}

/// The value of a converted record, and whether it became JSON by our own doing; `None`: it is null.
///
/// # Errors
/// If the value cannot be sent.
pub(super) fn value(record: &SinkRecord) -> Result<Option<(Bytes, bool)>, Error> {
    Ok(Some(match &record.value {
        SchemaAndValue {
            value: Value::Null, ..
        } => return Ok(None),
        SchemaAndValue {
            value: Value::String(text),
            ..
        } => (text.as_bytes().clone(), false),
        // A decimal is bytes underneath, but no user means these.
        SchemaAndValue {
            value: Value::Bytes(bytes),
            schema,
        } if schema.as_ref().is_none_or(|schema| schema.logical().is_none()) => (bytes.clone(), false),
        value => {
            let text = to_json(value)
                .map_err(|error| Error::fatal("the value cannot be sent as JSON").with_source(error))?;
            (text.into(), true)
        }
    }))
}

/// A raw value.
pub(super) fn raw_value(format: &ValueFormat, value: &[u8]) -> Bytes {
    let bytes = Bytes::copy_from_slice(value);
    match format {
        ValueFormat::String => Text::from_utf8_lossy(bytes).into_bytes(),
        _ => bytes,
    }
}

/// What stands before, between and behind the pieces of a body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) prefix: String,
    pub(super) separator: String,
    pub(super) suffix: String,
}

impl Frame {
    /// One body of several pieces.
    pub(super) fn join(&self, pieces: &[Piece]) -> Bytes {
        let pieces = || pieces.iter().filter_map(|piece| piece.bytes.as_ref());
        let length: usize = pieces().map(|bytes| bytes.len() + self.separator.len()).sum();
        let mut body = BytesMut::with_capacity(length + self.prefix.len() + self.suffix.len());
        body.put_slice(self.prefix.as_bytes());
        for (index, bytes) in pieces().enumerate() {
            if index > 0 {
                body.put_slice(self.separator.as_bytes());
            }
            body.put_slice(bytes);
        }
        body.put_slice(self.suffix.as_bytes());
        body.freeze()
    }
}
