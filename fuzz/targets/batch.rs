//! `checks/batch.rs` under libFuzzer.

#![no_main]

#[path = "../checks/batch.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    check::check(bytes);
});
