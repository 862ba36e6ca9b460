//! What of a record is sent, and how several become one body.

use bytes::{BufMut, Bytes, BytesMut};
use forebay_connect_api::{Error, Offset, SchemaAndValue, SinkRecord, Text, Value, ValueFormat};

use crate::json::to_json;

/// A record's value as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) offset: Offset,
    pub(super) bytes: Bytes,
    /// Whether we made JSON of it.
    pub(super) json: bool,
}

/// The piece of a converted record; `None`: its value is null.
///
/// # Errors
/// If the value cannot be sent.
pub(super) fn piece(record: &SinkRecord) -> Result<Option<Piece>, Error> {
    let (bytes, json) = match &record.value {
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
    };
    Ok(Some(Piece {
        offset: record.offset,
        bytes,
        json,
    }))
}

/// The piece of a raw value.
pub(super) fn raw_piece(format: &ValueFormat, offset: Offset, value: &[u8]) -> Piece {
    let bytes = Bytes::copy_from_slice(value);
    let bytes = match format {
        ValueFormat::String => Text::from_utf8_lossy(bytes).into_bytes(),
        _ => bytes,
    };
    Piece {
        offset,
        bytes,
        json: false,
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
        let length: usize = pieces
            .iter()
            .map(|piece| piece.bytes.len() + self.separator.len())
            .sum();
        let mut body = BytesMut::with_capacity(length + self.prefix.len() + self.suffix.len());
        body.put_slice(self.prefix.as_bytes());
        for (index, piece) in pieces.iter().enumerate() {
            if index > 0 {
                body.put_slice(self.separator.as_bytes());
            }
            body.put_slice(&piece.bytes);
        }
        body.put_slice(self.suffix.as_bytes());
        body.freeze()
    }
}
