//! Malformed frames from a raw socket: each is answered by an error or the end of its connection, memory stays where it was, and
//! a client beside it notices nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::librdkafka::{broker, create_topic, produce_values, read_all};
use crate::process::{Hub, PATIENCE};

/// How much more memory the hub may hold after all of it (B26: 64 MB beside twice the largest frame; none of ours is that large).
const GROWTH_MAX: u64 = 64 << 20;

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
    let nested: Vec<u8> = (0..1000).flat_map(|_| i32::MAX.to_be_bytes()).collect();
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
            assert!(answered.len() < 1024, "{what}: {} bytes", answered.len());
            let mut socket = TcpStream::connect(("127.0.0.1", hub.port("broker"))).expect("connected");
            socket.write_all(&bytes[..1]).expect("one byte");
            waiting.push(socket);
        }
        if let (Some(before), Some(after)) = (before, hub.resident_bytes()) {
            let growth = after.saturating_sub(before);
            assert!(growth < GROWTH_MAX, "memory grew by {growth} bytes");
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
