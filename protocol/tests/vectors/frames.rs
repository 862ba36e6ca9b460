//! Whole request frames, header and body: those of `fuzz/corpus/request.tsv` (`name`, tab, hexadecimal), and every kind of request that
//! Kafka wrote, damaged at random. Reading one ends with a request or an error, without a panic and without more memory than a
//! small multiple of its size. `FOREBAY_TEST_SEED=N` gives other damage, `FOREBAY_TEST_ROUNDS=N` more of it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use forebay_protocol::header::RequestHeader;
use forebay_protocol::{ApiKey, Writer};

use crate::allocations::requested;
use crate::check_header;
use crate::check_request::{allowed_bytes, check_written, read};
use crate::lines::{self, Line, hexadecimal};

const SEED: u64 = 20_261_121;
const ROUNDS: usize = 60;
/// What is odd, but a request.
const REQUESTS: [&str; 4] = ["array--2", "array--2147483648", "records-minus-2", "bytes-behind"];

/// Reads a frame as a broker does, and holds that to its promises. Says whether it was a request.
fn attempt(what: &str, frame: &[u8]) -> bool {
    let bytes = Bytes::copy_from_slice(frame);
    let (result, asked) = requested(|| catch_unwind(AssertUnwindSafe(|| read(bytes.clone()))));
    let head = bytes.slice(..bytes.len().min(256));
    let Ok(found) = result else {
        panic!("{what}: panics on {head:x}")
    };
    let allowed = allowed_bytes(frame.len());
    assert!(
        asked.bytes <= allowed,
        "{what}: asks for {} bytes of {allowed} on {head:x}",
        asked.bytes
    );
    if let Some((version, request)) = &found {
        check_written(*version, request, frame.len());
    }
    check_header::check(bytes);
    found.is_some()
}

/// A frame of each request at each version, with the longest body that Kafka wrote.
fn requests() -> Vec<(String, Vec<u8>)> {
    let text = lines::bundled();
    let mut frames: Vec<(String, Vec<u8>)> = Vec::new();
    let mut longest: Vec<(ApiKey, Line<'_>)> = Vec::new();
    for line in text.lines() {
        let line = Line::parse(line).expect("the file is whole");
        let api_key = line
            .name
            .strip_suffix("Request")
            .and_then(|_| line.api_key().and_then(ApiKey::from_i16));
        let Some(api_key) = api_key.filter(|it| it.is_supported(line.version)) else {
            continue;
        };
        match longest
            .iter_mut()
            .find(|(key, it)| *key == api_key && it.version == line.version)
        {
            Some((_, it)) if it.bytes.len() < line.bytes.len() => *it = line,
            Some(_) => {}
            None => longest.push((api_key, line)),
        }
    }
    for (api_key, line) in longest {
        let header = RequestHeader {
            api_key,
            api_version: line.version,
            correlation_id: 7,
            client_id: Some("a client".into()),
        };
        let mut writer = Writer::new();
        header.encode(&mut writer).expect("a header");
        let mut frame = writer.finish_bytes().expect("a header is no file").to_vec();
        frame.extend_from_slice(&line.bytes);
        frames.push((format!("{} {}", line.name, line.version), frame));
    }
    frames
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        usize::try_from(number % bound as u64).expect("below a usize")
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).expect("below 256")
    }
}

/// One to four pieces of damage; `other` is where foreign bytes come from.
fn damage(frame: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = frame.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.byte()),
            2 => {
                let from = random.below(other.len() + 1);
                let upto = (from + random.below(40)).min(other.len());
                bytes.splice(at..at, other[from..upto].iter().copied());
            }
            3 => {
                let number = [i32::MAX, -1, -2, i32::MIN][random.below(4)].to_be_bytes();
                let rest = (at + 4).min(bytes.len());
                bytes.splice(at..rest, number);
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
    bytes
}

/// A number from the environment.
fn given(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number, not {text}"))
    })
}

#[test]
fn hostile_frames_are_refused() {
    let mut frames = 0;
    let mut requests = Vec::new();
    for line in include_str!("../../../fuzz/corpus/request.tsv").lines() {
        let (what, text) = line.split_once('\t').expect("a name and bytes");
        if attempt(what, &hexadecimal(text).expect("hexadecimal")) {
            requests.push(what);
        }
        frames += 1;
    }
    assert!(frames >= 30, "{frames}");
    // A length below zero is null, as in Kafka; thousands of empty topics are more than so few bytes may cost.
    assert_eq!(requests, REQUESTS);
}

#[test]
fn headers_are_read_or_refused_and_written_as_they_were() {
    let mut headers = Vec::new();
    for line in include_str!("../../../fuzz/corpus/header.tsv").lines() {
        let (what, text) = line.split_once('\t').expect("a name and bytes");
        if check_header::check(hexadecimal(text).expect("hexadecimal")) {
            headers.push(what);
        }
    }
    for what in [
        "metadata-1",
        "no-client-id",
        "metadata-12",
        "api-versions-99",
        "two-tags",
    ] {
        assert!(headers.contains(&what), "{what} is refused");
    }
    for what in [
        "api-9999",
        "client-id-over-the-end",
        "20-million-tags",
        "tag-over-the-end",
    ] {
        assert!(!headers.contains(&what), "{what} is read");
    }
}

#[test]
fn frames_damaged_at_random_end_with_a_request_or_an_error() {
    let frames = requests();
    let seed = given("FOREBAY_TEST_SEED", SEED);
    let rounds = given("FOREBAY_TEST_ROUNDS", ROUNDS as u64);
    let mut random = Random(seed.max(1));
    let (mut read, mut refused) = (0, 0);
    for (what, frame) in &frames {
        assert!(attempt(what, frame), "{what} is not read as it was written");
        for _ in 0..rounds {
            let other = &frames[random.below(frames.len())].1;
            let damaged = damage(frame, other, &mut random);
            if attempt(&format!("{what}, seed {seed}"), &damaged) {
                read += 1;
            } else {
                refused += 1;
            }
        }
    }
    // Both must happen, or the damage is too little or too much to find anything.
    assert!(read > 100 && refused > 100, "{read} were read, {refused} refused");
}
