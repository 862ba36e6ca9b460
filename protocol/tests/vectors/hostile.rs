//! Damaged messages of every type and version: decoding ends with a message or an error, never with a panic, and never asks for
//! more memory than a small multiple of what was sent.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use crate::allocations::requested;
use crate::check_request::allowed_bytes;
use crate::lines::{self, Line};
use crate::types::{TYPES, Type};

/// Counts, lengths and numbers that no honest peer sends, in all the forms that a field may have.
fn hostile_numbers() -> Vec<Vec<u8>> {
    let mut numbers = Vec::new();
    for number in [i32::MAX, i32::MAX - 1, i32::MIN, -1, -2, 0x00ff_ffff] {
        numbers.push(number.to_be_bytes().to_vec());
    }
    for number in [i16::MAX, i16::MIN, -1, -2] {
        numbers.push(number.to_be_bytes().to_vec());
    }
    // 2^31 - 1, 2^32 - 1, more than 32 bits, and one that never ends.
    numbers.push(vec![0xff, 0xff, 0xff, 0xff, 0x07]);
    numbers.push(vec![0xff, 0xff, 0xff, 0xff, 0x0f]);
    numbers.push(vec![0xff, 0xff, 0xff, 0xff, 0x7f]);
    numbers.push(vec![0xff; 11]);
    numbers
}

fn attempt(kind: &Type, version: i16, what: &str, bytes: Vec<u8>) {
    let input_bytes = bytes.len();
    let bytes = Bytes::from(bytes);
    let (result, asked) =
        requested(|| catch_unwind(AssertUnwindSafe(|| (kind.decode)(bytes.clone(), version))));
    let head = bytes.slice(..input_bytes.min(256));
    assert!(
        result.is_ok(),
        "{} version {version} panics on {what}: {head:x}",
        kind.name
    );
    assert!(
        asked.bytes <= allowed_bytes(input_bytes),
        "{} version {version} asks for {} bytes on {input_bytes} with {what}: {head:x}",
        kind.name,
        asked.bytes
    );
}

/// Calls `attempt` for every type and version with one message that Kafka wrote, the longest there is.
fn for_each_message(mut attempt: impl FnMut(&Type, i16, &Bytes)) {
    let text = lines::bundled();
    let lines: Vec<Line<'_>> = text
        .lines()
        .map(|line| Line::parse(line).expect("the file is whole"))
        .collect();
    let mut messages = 0;
    for kind in TYPES {
        for version in kind.versions.clone() {
            let longest = lines
                .iter()
                .filter(|line| line.name == kind.name && line.version == version)
                .max_by_key(|line| line.bytes.len())
                .unwrap_or_else(|| panic!("no line for {} version {version}", kind.name));
            attempt(kind, version, &longest.bytes);
            messages += 1;
        }
    }
    assert!(messages > 500, "only {messages} messages were tried");
}

#[test]
fn truncated_messages_are_refused() {
    for_each_message(|kind, version, bytes| {
        for length in 0..bytes.len() {
            attempt(kind, version, "a truncation", bytes[..length].to_vec());
            let whole = (kind.decode)(bytes.slice(..length), version);
            assert!(
                whole.is_err(),
                "{} version {version} cut to {length} bytes passes",
                kind.name
            );
        }
    });
}

#[test]
fn hostile_counts_and_lengths_cost_nothing() {
    let numbers = hostile_numbers();
    for_each_message(|kind, version, bytes| {
        // Every position of most messages; of the long ones a few score, spread over their length.
        for position in (0..bytes.len()).step_by(bytes.len() / 64 + 1) {
            for number in &numbers {
                let mut hostile = bytes[..position].to_vec();
                hostile.extend_from_slice(number);
                let rest = (position + number.len()).min(bytes.len());
                hostile.extend_from_slice(&bytes[rest..]);
                attempt(kind, version, "a hostile number", hostile);
            }
        }
    });
}

#[test]
fn what_is_read_can_be_written_and_reads_the_same() {
    let mut accepted = 0;
    for_each_message(|kind, version, bytes| {
        for position in (0..bytes.len()).step_by(bytes.len() / 64 + 1) {
            for flip in [0x01, 0x02, 0x80, 0xff] {
                let mut damaged = bytes.to_vec();
                damaged[position] ^= flip;
                let Ok(first) = (kind.transcode)(damaged.into(), version) else {
                    continue;
                };
                let place = format!(
                    "{} version {version}, byte {position} changed by {flip:x}",
                    kind.name
                );
                let written = first.bytes.unwrap_or_else(|error| panic!("{place}: {error}"));
                let second = (kind.transcode)(written.clone(), version);
                let second = second.unwrap_or_else(|error| panic!("{place}: {error}"));
                assert_eq!((second.bytes, second.json), (Ok(written), first.json), "{place}");
                accepted += 1;
            }
        }
    });
    assert!(accepted > 10_000, "only {accepted} damaged messages were read");
}

/// A count that the bytes behind it would bear, if every element were as short as can be: what costs the most memory.
#[test]
fn many_tiny_elements_cost_a_small_multiple() {
    const FILL: usize = 16 * 1024;
    const COUNT: u32 = 14_000;
    let classic = COUNT.to_be_bytes().to_vec();
    let flexible = varint(COUNT);
    for_each_message(|kind, version, bytes| {
        // Every place where a count could be, of the versions that differ most.
        if version != *kind.versions.end() && version != *kind.versions.start() {
            return;
        }
        for position in 0..bytes.len().min(64) {
            for (number, fill) in [(&classic, 0), (&flexible, 0), (&flexible, 1)] {
                let mut hostile = bytes[..position].to_vec();
                hostile.extend_from_slice(number);
                hostile.resize(hostile.len() + FILL, fill);
                attempt(kind, version, "many tiny elements", hostile);
            }
        }
    });
}

#[test]
fn a_million_tags_cost_nothing() {
    // In the place of the count of tagged fields, wherever that is: the same tag again and again, then ever new ones.
    const TAGS: u32 = 1_000_000;
    let count = varint(TAGS);
    let mut same = count.clone();
    let mut rising = count;
    for tag in 0..TAGS {
        same.extend_from_slice(&[0x7f, 0]);
        rising.extend(varint(1000 + tag));
        rising.push(0);
    }
    for_each_message(|kind, version, bytes| {
        if version != *kind.versions.end() {
            return;
        }
        // The message's own tagged fields are its last byte where it has none; elsewhere the tags are met as something else.
        let head = &bytes[..bytes.len().saturating_sub(1)];
        for (what, tags) in [("one tag a million times", &same), ("a million tags", &rising)] {
            attempt(kind, version, what, [head, tags].concat());
        }
    });
}

fn varint(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
    bytes
}
