//! Malformed frames from a raw socket: each is answered by an error or the end of its connection, memory stays where it was, and
//! a client beside it notices nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::librdkafka::{broker, create_topic, produce_values, read_all};
use crate::process::{Hub, PATIENCE};

/// How much more memory the hub may hold after all of it, beside twice the largest frame (B26).
const GROWTH_MAX: u64 = 64 << 20;

/// Of the largest input, its tagged fields.
const TAGS: u64 = 20_000_000;
/// Arrays in arrays, or topics in one.
const NESTED: i32 = 1_000_000;

/// `ApiVersions`, `Metadata`, `Produce`, `Fetch`.
const API_VERSIONS: i16 = 18;
const METADATA: i16 = 3;
const PRODUCE: i16 = 0;
const FETCH: i16 = 1;

/// A request with a header of version 1: the client id is null.
fn request(api_key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(api_key.to_be_bytes());
    bytes.extend(version.to_be_bytes());
    bytes.extend(7_i32.to_be_bytes());
    bytes.extend((-1_i16).to_be_bytes());
    bytes.extend(body);
    bytes
}

/// With its length in front.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut frame = (bytes.len() as i32).to_be_bytes().to_vec();
    frame.extend(bytes);
    frame
}

/// An unsigned varint.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value as u8) | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// What is sent, by its name.
fn inputs() -> Vec<(&'static str, Vec<u8>)> {
    let length = |length: i32| length.to_be_bytes().to_vec();
    let flexible = |body: &[u8]| {
        // Header version 2 has tags behind the client id.
        let mut bytes = vec![0];
        bytes.extend(body);
        framed(&request(METADATA, 12, &bytes))
    };
    let mut short = framed(&request(METADATA, 1, &[0, 0, 0, 1, 0, 1, b't']));
    short[3] += 100;
    let nested: Vec<u8> = (0..NESTED).flat_map(|_| i32::MAX.to_be_bytes()).collect();
    // Topics without a letter, as many as the frame says.
    let topics = [&NESTED.to_be_bytes()[..], &vec![0; 2 * NESTED as usize]].concat();
    // The same number and no value, twenty million times: each is two bytes.
    let tags = [&[0, 1, 0][..], &varint(TAGS), &[0x7f, 0].repeat(TAGS as usize)].concat();
    vec![
        ("length -1", length(-1)),
        ("length 0", length(0)),
        ("length 2^31-1", length(i32::MAX)),
        (
            "an HTTP request",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        ),
        ("a TLS hello", vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
        ("a body shorter than its length, then the end", short),
        ("less than a header", framed(&[0, 3, 0])),
        ("API key 9999", framed(&request(9999, 0, &[]))),
        ("version -1", framed(&request(METADATA, -1, &[0, 0, 0, 0]))),
        (
            "version 32767",
            framed(&request(METADATA, i16::MAX, &[0, 0, 0, 0])),
        ),
        (
            "an array of 2^31-1",
            framed(&request(METADATA, 1, &i32::MAX.to_be_bytes())),
        ),
        (
            "an array of -2",
            framed(&request(METADATA, 1, &(-2_i32).to_be_bytes())),
        ),
        (
            "a string of -2",
            framed(&request(METADATA, 1, &[0, 0, 0, 1, 0xff, 0xfe])),
        ),
        (
            "a string over the end",
            framed(&request(METADATA, 1, &[0, 0, 0, 1, 0x7f, 0xff, b't'])),
        ),
        (
            "a string that is not UTF-8",
            framed(&request(METADATA, 1, &[0, 0, 0, 1, 0, 2, 0xff, 0xfe])),
        ),
        (
            "20 million tagged fields",
            flexible(&[&[0, 1, 0][..], &varint(20_000_000)].concat()),
        ),
        ("20 million tagged fields, and they are there", flexible(&tags)),
        ("a million topics", framed(&request(METADATA, 1, &topics))),
        ("a varint of 11 bytes", flexible(&[0x80; 11])),
        (
            "a compact string over the end",
            flexible(&[&[2][..], &[0; 16], &varint(1 << 40)].concat()),
        ),
        ("arrays in arrays", framed(&request(FETCH, 4, &nested))),
        ("records over the end", framed(&request(PRODUCE, 3, &nested))),
        (
            "bytes behind the body",
            framed(&request(METADATA, 1, &[0, 0, 0, 0, 1, 2, 3])),
        ),
    ]
}

/// Sends `bytes` and the end of the stream; gives what came back until the broker closed.
fn answer(hub: &Hub, what: &str, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(("127.0.0.1", hub.port("broker"))).expect("connected");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // The broker may close before all is sent.
    let _ = socket.write_all(bytes);
    let _ = socket.shutdown(std::net::Shutdown::Write);
    let mut answered = Vec::new();
    match socket.read_to_end(&mut answered) {
        Ok(_) => answered,
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => answered,
        Err(error) => panic!("{what}: the connection stays open: {error}"),
    }
}

#[test]
fn malformed_frames_end_their_own_connection_only() {
    let (_directory, mut hub) = broker();
    let bootstrap = hub.bootstrap();
    create_topic(&bootstrap, "beside", 1);
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let sent = std::thread::scope(|scope| {
        // One client works on all the while.
        let bootstrap = &bootstrap;
        let beside = scope.spawn(move || {
            let mut sent = 0;
            while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                let values: Vec<String> = (sent..sent + 50).map(|number| number.to_string()).collect();
                produce_values(bootstrap, "beside", Some(0), &values, &[]);
                sent += 50;
            }
            sent
        });
        let before = hub.resident_bytes();
        // One byte now and none later: a connection that waits is nobody's trouble.
        let mut waiting: Vec<TcpStream> = Vec::new();
        for (what, bytes) in inputs() {
            let answered = answer(&hub, what, &bytes);
            // A topic that is not there is answered by some bytes more than it was asked with.
            assert!(
                answered.len() < 1024 + 8 * bytes.len(),
                "{what}: {} bytes",
                answered.len()
            );
            let mut socket = TcpStream::connect(("127.0.0.1", hub.port("broker"))).expect("connected");
            socket.write_all(&bytes[..1]).expect("one byte");
            waiting.push(socket);
        }
        if let (Some(before), Some(after)) = (before, hub.resident_bytes()) {
            let growth = after.saturating_sub(before);
            let largest = inputs()
                .iter()
                .map(|(_, bytes)| bytes.len() as u64)
                .max()
                .unwrap_or(0);
            assert!(growth < GROWTH_MAX + 2 * largest, "memory grew by {growth} bytes");
        }
        drop(stop);
        beside.join().expect("the client beside is not disturbed")
    });
    assert!(sent > 0);
    let texts: Vec<_> = read_all(&bootstrap, "beside", 1)
        .iter()
        .map(|it| it.text().to_owned())
        .collect();
    let expected: Vec<_> = (0..sent).map(|number: i32| number.to_string()).collect();
    assert_eq!(texts, expected);
    assert!(hub.process().is_running());
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_as_kafka_does() {
    let (_directory, hub) = broker();
    let mut socket = TcpStream::connect(("127.0.0.1", hub.port("broker"))).expect("connected");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket
        .write_all(&framed(&request(API_VERSIONS, 99, &[0])))
        .expect("sent");
    let mut head = [0; 10];
    socket.read_exact(&mut head).expect("an answer");
    // Correlation id 7, then error 35 (UNSUPPORTED_VERSION), in version 0 of the answer.
    assert_eq!(head[4..], [0, 0, 0, 7, 0, 35]);
    // The connection lives: the same one may ask again.
    let mut rest = vec![0; i32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize - 6];
    socket.read_exact(&mut rest).expect("the rest");
    socket
        .write_all(&framed(&request(API_VERSIONS, 0, &[])))
        .expect("sent");
    socket.read_exact(&mut head).expect("an answer");
    assert_eq!(head[4..], [0, 0, 0, 7, 0, 0]);
    socket
        .set_read_timeout(Some(Duration::from_millis(1)))
        .expect("a timeout");
}

#[test]
fn a_request_that_comes_byte_by_byte_is_answered() {
    let (_directory, hub) = broker();
    let mut socket = TcpStream::connect(("127.0.0.1", hub.port("broker"))).expect("connected");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.set_nodelay(true).expect("an option");
    let mut beside = crate::wire::Wire::connect(&hub);
    for byte in framed(&request(API_VERSIONS, 0, &[])) {
        socket.write_all(&[byte]).expect("sent");
        // Others are served between any two of them.
        beside.slowest(1);
    }
    let mut head = [0; 10];
    socket.read_exact(&mut head).expect("an answer");
    assert_eq!(head[4..], [0, 0, 0, 7, 0, 0]);
}

#[test]
fn a_peer_that_sends_nonsense_costs_a_line_of_the_log_a_second() {
    const TIMES: usize = 300;
    let (_directory, mut hub) = broker();
    let began = std::time::Instant::now();
    for _ in 0..TIMES {
        answer(&hub, "length -1", &(-1_i32).to_be_bytes());
    }
    let seconds = began.elapsed().as_secs() as usize;
    let said = hub.process().said();
    let lines = said
        .lines()
        .filter(|line| line.contains("frame of -1 bytes"))
        .count();
    assert!(
        (1..=seconds + 2).contains(&lines),
        "{lines} lines in {seconds} s:\n{said}"
    );
}
