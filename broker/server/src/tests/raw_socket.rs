//! Bytes that no client sends (faults B26): the connection ends or gets an error, everybody else is served as before.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::*;

/// What a bad peer sees.
#[derive(Debug, PartialEq)]
enum Seen {
    Closed,
    Answer(Vec<u8>),
}

fn header(api_key: i16, version: i16) -> Vec<u8> {
    let mut bytes = [api_key.to_be_bytes(), version.to_be_bytes()].concat();
    bytes.extend_from_slice(&7_i32.to_be_bytes());
    bytes.extend_from_slice(&[0, 1, b'x']);
    bytes
}

fn frame(body: &[u8]) -> Vec<u8> {
    let mut bytes = i32::try_from(body.len()).expect("small").to_be_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}

pub(super) fn with(api_key: i16, version: i16, rest: &[u8]) -> Vec<u8> {
    let mut body = header(api_key, version);
    body.extend_from_slice(rest);
    frame(&body)
}

/// Sends bytes, says that no more will come, and reads what comes back.
fn send(broker: &TestBroker, bytes: &[u8]) -> Seen {
    let mut stream = TcpStream::connect(broker.handle.listeners()[0].addresses[0]).expect("connects");
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a timeout");
    // The broker may hang up before all is written.
    let _cut = stream.write_all(bytes);
    let _closed = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    // A reset is as good as an end.
    let _reset = stream.read_to_end(&mut answer);
    if answer.is_empty() {
        Seen::Closed
    } else {
        Seen::Answer(answer)
    }
}

fn seen(broker: &TestBroker, bytes: &[u8]) -> Seen {
    // The socket is a blocking one; the broker runs on other threads.
    tokio::task::block_in_place(|| send(broker, bytes))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_frames_end_their_connection_and_nobody_elses() {
    let broker = TestBroker::start_with(&[("socket.request.max.bytes", "1000")]).await;
    let varint_of_11_bytes = [0xff; 11];
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("length -1", (-1_i32).to_be_bytes().to_vec()),
        ("length 0", 0_i32.to_be_bytes().to_vec()),
        ("length 2^31-1", i32::MAX.to_be_bytes().to_vec()),
        ("one byte too long", 1001_i32.to_be_bytes().to_vec()),
        (
            "shorter than announced",
            [&100_i32.to_be_bytes()[..], b"abc"].concat(),
        ),
        ("half a header", frame(&[0, 18, 0])),
        ("api key 9999", with(9999, 0, &[])),
        ("api key -1", with(-1, 0, &[])),
        ("an api of controllers", with(62, 0, &[0])),
        ("an api that is not served", with(22, 6, &[0, 0])),
        ("metadata 99", with(3, 99, &[0])),
        ("metadata -1", with(3, -1, &[])),
        ("metadata 32767", with(3, 32767, &[0])),
        ("produce 2", with(0, 2, &[0; 20])),
        ("fetch 3", with(1, 3, &[0; 40])),
        ("list offsets 0", with(2, 0, &[0; 20])),
        ("string length -2", with(3, 1, &[0, 0, 0, 1, 0xff, 0xfe])),
        ("array length 2^31-1", with(3, 1, &[0x7f, 0xff, 0xff, 0xff])),
        (
            "client id beyond the end",
            frame(&[0, 18, 0, 0, 0, 0, 0, 1, 0x7f, 0xff]),
        ),
        ("20 million tags", with(18, 3, &[0x80, 0x9a, 0xc4, 0x09, 0, 0, 0])),
        ("a varint of 11 bytes", with(18, 3, &varint_of_11_bytes)),
        (
            "a compact string over the end",
            with(18, 3, &[0, 0xff, 0xff, 3, b'a']),
        ),
    ];
    let mut good = tokio::net::TcpStream::connect(broker.handle.listeners()[0].addresses[0])
        .await
        .expect("connects");
    for (name, bytes) in cases {
        assert_eq!(seen(&broker, &bytes), Seen::Closed, "{name}");
    }
    // A connection from before is as good as ever.
    let answer = round_trip(&mut good, &with(18, 0, &[])).await;
    assert_eq!(answer[..6], [0, 0, 0, 7, 0, 0]);
}

pub(super) async fn round_trip(stream: &mut tokio::net::TcpStream, bytes: &[u8]) -> Vec<u8> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    stream.write_all(bytes).await.expect("writes");
    let length = stream.read_i32().await.expect("an answer");
    let mut answer = vec![0; usize::try_from(length).expect("positive")];
    stream.read_exact(&mut answer).await.expect("whole");
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_that_nobody_knows_are_answered_at_version_0() {
    let broker = TestBroker::start().await;
    let expected = Seen::Answer(frame(&[0, 0, 0, 7, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4]));
    for version in [5, 99, 32767, -1] {
        // From version 3 on the header has tags.
        let tags: &[u8] = if version >= 3 { &[0] } else { &[] };
        assert_eq!(
            seen(&broker, &with(18, version, tags)),
            expected,
            "version {version}"
        );
    }
    // A client without a name is told so.
    let unnamed = seen(&broker, &with(18, 3, &[0, 1, 1, 0]));
    assert!(matches!(unnamed, Seen::Answer(answer) if answer[8..10] == [0, 42]));
}

/// What a live Apache Kafka 4.3.1 advertised: API, lowest and highest version.
#[rustfmt::skip] // A table.
const KAFKA_4_3_1: &[(i16, i16, i16)] = &[
    (0, 0, 13), (1, 4, 18), (2, 1, 11), (3, 0, 13), (8, 2, 10), (9, 1, 10), (10, 0, 6), (11, 0, 9), (12, 0, 4), (13, 0, 5),
    (14, 0, 5), (15, 0, 6), (16, 0, 5), (17, 0, 1), (18, 0, 4), (19, 2, 7), (20, 1, 6), (21, 0, 2), (22, 0, 5), (23, 2, 4),
    (24, 0, 5), (25, 0, 4), (26, 0, 5), (27, 1, 2), (28, 0, 5), (29, 1, 3), (30, 1, 3), (31, 1, 3), (32, 1, 4), (33, 0, 2),
    (34, 1, 2), (35, 1, 5), (36, 0, 2), (37, 0, 3), (38, 1, 3), (39, 1, 2), (40, 1, 2), (41, 1, 3), (42, 0, 2), (43, 0, 2),
    (44, 0, 1), (45, 0, 1), (46, 0, 0), (47, 0, 0), (48, 0, 1), (49, 0, 1), (50, 0, 0), (51, 0, 0), (55, 0, 2), (57, 0, 2),
    (60, 0, 2), (61, 0, 0), (64, 0, 0), (65, 0, 0), (66, 0, 2), (68, 0, 1), (69, 0, 1), (74, 0, 1), (75, 0, 0), (76, 1, 1),
    (77, 1, 1), (78, 1, 2), (79, 1, 2), (80, 0, 1), (81, 0, 0), (83, 0, 0), (84, 0, 0), (85, 0, 1), (86, 0, 0), (87, 0, 1),
    (88, 0, 0), (89, 0, 0), (90, 0, 1), (91, 0, 0), (92, 0, 0),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_advertised_is_kafkas_table() {
    let broker = TestBroker::start().await;
    let request = forebay_protocol::messages::ApiVersionsRequest {
        client_software_name: "test".into(),
        client_software_version: "1".into(),
        ..Default::default()
    };
    let response = broker.call(4, request).await;
    let found: Vec<_> = response
        .api_keys
        .iter()
        .map(|api| (api.api_key, api.min_version, api.max_version))
        .collect();
    // Of what is served, every range is Kafka's, in Kafka's order.
    let numbers: Vec<i16> = found.iter().map(|(key, _, _)| *key).collect();
    let expected: Vec<_> = KAFKA_4_3_1
        .iter()
        .copied()
        .filter(|(key, _, _)| numbers.contains(key))
        .collect();
    assert_eq!(found, expected);
    assert!(found.len() > 40, "{} APIs", found.len());
    let features: Vec<_> = response
        .finalized_features
        .iter()
        .map(|one| (&*one.name, one.max_version_level))
        .collect();
    assert!(features.contains(&("metadata.version", 30)), "{features:?}");
    assert!(features.contains(&("transaction.version", 2)), "{features:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_requests_are_answered_in_their_order() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    let mut stream = TcpStream::connect(broker.handle.listeners()[0].addresses[0]).expect("connects");
    let mut expected = Vec::new();
    let mut bytes = Vec::new();
    for n in 0..40_i32 {
        let request: forebay_protocol::Request = if n % 5 == 4 {
            forebay_protocol::messages::MetadataRequest {
                topics: None,
                ..Default::default()
            }
            .into()
        } else {
            let value = n.to_string();
            produce_request("t", 0, 1, Some(Records::Memory(batch(&[&value]).into_bytes()))).into()
        };
        if n % 5 != 4 {
            expected.push(n.to_string());
        }
        let header = forebay_protocol::header::RequestHeader {
            api_key: request.api_key(),
            api_version: 8,
            correlation_id: n,
            client_id: None,
        };
        for chunk in forebay_protocol::header::encode_request_frame(&header, &request).expect("encodes") {
            let Chunk::Bytes(chunk) = chunk else {
                panic!("a request lies in memory")
            };
            bytes.extend_from_slice(&chunk);
        }
    }
    let ids = tokio::task::block_in_place(|| {
        stream.write_all(&bytes).expect("writes");
        let mut ids = Vec::new();
        for _ in 0..40 {
            let mut head = [0; 8];
            stream.read_exact(&mut head).expect("an answer");
            let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
            ids.push(i32::from_be_bytes([head[4], head[5], head[6], head[7]]));
            stream.read_exact(&mut vec![0; length - 4]).expect("whole");
        }
        ids
    });
    assert_eq!(ids, (0..40).collect::<Vec<_>>());
    assert_eq!(broker.values("t", 0, 0).await, expected);
}

/// Who goes away while a fetch waits, perhaps for weeks, leaves nothing behind.
#[tokio::test]
async fn a_waiting_fetch_ends_with_its_connection() {
    use tokio::io::AsyncWriteExt;
    let broker = TestBroker::start_with(&[("max.connections", "1")]).await;
    broker.create_topic("t", 1, &[]).await;
    let address = broker.handle.listeners()[0].addresses[0];
    let request = forebay_protocol::Request::from(fetch_request("t", 0, 0, i32::MAX));
    let header = forebay_protocol::header::RequestHeader {
        api_key: request.api_key(),
        api_version: 11,
        correlation_id: 1,
        client_id: None,
    };
    let chunks = forebay_protocol::header::encode_request_frame(&header, &request).expect("encodes");
    let mut first = tokio::net::TcpStream::connect(address).await.expect("connects");
    for chunk in chunks {
        let Chunk::Bytes(chunk) = chunk else {
            panic!("a request lies in memory")
        };
        first.write_all(&chunk).await.expect("writes");
    }
    drop(first);
    // There is room for one connection only: this one is answered once the other is gone.
    let mut second = tokio::net::TcpStream::connect(address).await.expect("connects");
    let answer = round_trip(&mut second, &with(18, 0, &[])).await;
    assert_eq!(answer[..6], [0, 0, 0, 7, 0, 0]);
}
