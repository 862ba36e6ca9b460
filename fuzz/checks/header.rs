//! What must hold for any bytes that are taken for the header of a request. Shared by `protocol/tests/vectors/frames.rs` and the fuzz
//! target.

use bytes::Bytes;
use forebay_protocol::header::RequestHeader;
use forebay_protocol::{Reader, Writer};

/// Reads a header; one that is read can be written, and reads the same. Says whether it was one.
pub(crate) fn check(bytes: Bytes) -> bool {
    let Ok(header) = RequestHeader::decode(&mut Reader::new(bytes)) else {
        return false;
    };
    let mut writer = Writer::new();
    header.encode(&mut writer).expect("what was read can be written");
    let written = writer.finish_bytes().expect("a header is no file");
    let again = RequestHeader::decode(&mut Reader::new(written));
    assert_eq!(again.as_ref(), Ok(&header), "what was written reads the same");
    true
}
