//! What must hold for any bytes that are taken for a request, header and body. Shared by `protocol/tests/vectors/` and the fuzz target.

use bytes::Bytes;
use forebay_protocol::header::RequestHeader;
use forebay_protocol::{Reader, Request, Writer};

/// What decoding may ask for: an error and some unknown tagged fields in any case, and the structures that the bytes stand for:
/// 48 bytes for each of a short message, 16 for each of a long one.
pub(crate) fn allowed_bytes(input_bytes: usize) -> usize {
    4096 + (48 * input_bytes).min((16 * input_bytes).max(64 * 1024))
}

/// What a broker does with the bytes of a frame before any handler sees them: the request and its version.
pub(crate) fn read(frame: Bytes) -> Option<(i16, Request)> {
    let mut reader = Reader::new(frame);
    let header = RequestHeader::decode(&mut reader).ok()?;
    if !header.is_supported() {
        return None;
    }
    let request = Request::decode(header.api_key, header.api_version, &mut reader).ok()?;
    Some((header.api_version, request))
}

/// A request that was read from a frame of so many bytes can be written, and what is written then reads the same.
pub(crate) fn check_written(version: i16, request: &Request, frame_bytes: usize) {
    let bytes = written(version, request);
    // What reading may cost depends on the length; what stands behind a request is not looked at.
    let mut padded = bytes.to_vec();
    padded.resize(padded.len().max(frame_bytes), 0);
    let again = Request::decode(request.api_key(), version, &mut Reader::new(padded.into()));
    let again = again.expect("what was written can be read");
    // By their bytes: a quota that is not a number is not equal to itself.
    assert_eq!(written(version, &again), bytes, "what was written reads the same");
}

fn written(version: i16, request: &Request) -> Bytes {
    let mut writer = Writer::new();
    request
        .encode(version, &mut writer)
        .expect("what was read can be written");
    writer.finish_bytes().expect("a request has no files")
}
