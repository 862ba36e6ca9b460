//! `checks/header.rs` under libFuzzer.

#![no_main]

#[path = "../checks/header.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    check::check(bytes::Bytes::copy_from_slice(bytes));
});
