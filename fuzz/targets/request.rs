//! `checks/request.rs` under libFuzzer, with an allocator that counts.

#![no_main]

#[path = "../../protocol/tests/vectors/allocations.rs"]
mod allocations;
#[path = "../checks/request.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let frame = bytes::Bytes::copy_from_slice(bytes);
    let (read, asked) = allocations::requested(|| check::read(frame));
    assert!(
        asked.bytes <= check::allowed_bytes(bytes.len()),
        "asks for {} bytes on {}",
        asked.bytes,
        bytes.len()
    );
    if let Some((version, request)) = read {
        check::check_written(version, &request, bytes.len());
    }
});
