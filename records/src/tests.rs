//! Tests of the whole crate: bytes that Kafka wrote, random batches, random damage, bombs.

mod codecs;
mod corpus;
mod golden;
mod property;

use bytes::{Bytes, BytesMut};

use crate::{BatchHeader, HEADER_BYTES, RecordBatch};

/// The batch with another header and body, and a CRC that is right for them.
pub(crate) fn resealed(batch: &RecordBatch, body: &[u8], edit: impl FnOnce(&mut BatchHeader)) -> RecordBatch {
    let mut header = *batch.header();
    header.length = i32::try_from(HEADER_BYTES - 12 + body.len()).unwrap();
    edit(&mut header);
    let mut bytes = BytesMut::from(&header.seal(body)[..]);
    bytes.extend_from_slice(body);
    RecordBatch::new(bytes.freeze()).unwrap()
}

fn bytes(text: &str) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(text.as_bytes()))
}
