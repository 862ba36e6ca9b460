//! Quotas from the client's side: how long it is told to wait, and that its connection is not read meanwhile.

use std::time::{Duration, Instant};

use forebay_protocol::header::{self, RequestHeader};
use forebay_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use forebay_protocol::messages::{AlterClientQuotasRequest, ApiVersionsRequest, DeleteTopicsRequest};
use forebay_protocol::{Reader, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

async fn set(broker: &TestBroker, entity: &[(&str, Option<&str>)], key: &str, value: f64) {
    let entity = entity.iter().map(|(entity_type, name)| EntityData {
        entity_type: (*entity_type).into(),
        entity_name: name.map(Into::into),
        ..Default::default()
    });
    let entry = EntryData {
        entity: entity.collect(),
        ops: vec![OpData {
            key: key.into(),
            value,
            ..Default::default()
        }],
        ..Default::default()
    };
    let request = AlterClientQuotasRequest {
        entries: vec![entry],
        ..Default::default()
    };
    let answer = broker.call(1, request).await;
    assert_eq!(
        answer.entries[0].error_code, 0,
        "{:?}",
        answer.entries[0].error_message
    );
}

/// A client on a socket, by the name that quotas know it under.
struct Client {
    stream: TcpStream,
    name: &'static str,
}

impl Client {
    async fn connect(broker: &TestBroker, name: &'static str) -> Self {
        let address = broker.handle.listeners()[0].addresses[0];
        let stream = TcpStream::connect(address).await.expect("connects");
        Self { stream, name }
    }

    async fn send<R: ApiRequest>(&mut self, version: i16, request: &R) {
        let header = RequestHeader {
            api_key: R::API_KEY,
            api_version: version,
            correlation_id: 7,
            client_id: Some(self.name.into()),
        };
        let mut bytes = bytes::BytesMut::new();
        for chunk in header::encode_request_frame(&header, &request.clone().into()).expect("encodes") {
            match chunk {
                Chunk::Bytes(piece) => bytes.extend_from_slice(&piece),
                Chunk::File(_) => panic!("requests lie in memory"),
            }
        }
        self.stream.write_all(&bytes).await.expect("writes");
    }

    async fn receive<R: ApiRequest>(&mut self, version: i16) -> Response {
        let length = self.stream.read_i32().await.expect("an answer");
        let mut bytes = vec![0; usize::try_from(length).expect("a length")];
        self.stream.read_exact(&mut bytes).await.expect("the answer");
        let mut reader = Reader::new(bytes.into());
        header::decode_response_header(R::API_KEY, version, &mut reader).expect("a header");
        header::decode_response(R::API_KEY, version, &mut reader).expect("a response")
    }

    async fn call<R: ApiRequest>(&mut self, version: i16, request: &R) -> R::Response {
        self.send(version, request).await;
        R::Response::try_from(self.receive::<R>(version).await).expect("its own response")
    }
}

fn records(bytes: usize) -> Records {
    Records::Memory(batch(&[&"x".repeat(bytes)]).into_bytes())
}

#[tokio::test]
async fn a_producer_over_its_rate_is_told_and_not_heard_for_so_long() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    set(
        &broker,
        &[("client-id", Some("fast"))],
        "producer_byte_rate",
        10_000.0,
    )
    .await;
    let mut other = Client::connect(&broker, "other").await;
    let mut fast = Client::connect(&broker, "fast").await;
    let small = produce_request("t", 0, 1, Some(records(1_000)));
    assert_eq!(fast.call(9, &small).await.throttle_time_ms, 0);
    // 110,000 bytes and more over ten seconds are a tenth more than there may be: a second.
    let large = produce_request("t", 0, 1, Some(records(110_000)));
    let answer = fast.call(9, &large).await;
    let answered = Instant::now();
    assert_eq!(
        answer.responses[0].partition_responses[0].error_code, 0,
        "it is done"
    );
    let throttle = answer.throttle_time_ms;
    assert!((1_000..1_300).contains(&throttle), "{throttle} ms");
    assert_eq!(other.call(9, &large).await.throttle_time_ms, 0, "it has no quota");
    fast.call(
        3,
        &ApiVersionsRequest {
            client_software_name: "t".into(),
            client_software_version: "1".into(),
            ..Default::default()
        },
    )
    .await;
    let waited = answered.elapsed();
    assert!(
        waited >= Duration::from_millis(throttle.unsigned_abs().into()),
        "{waited:?}"
    );
    // Acknowledgements that nobody wants count the same.
    fast.send(9, &produce_request("t", 0, 0, Some(records(20_000))))
        .await;
    let sent = Instant::now();
    fast.call(0, &ApiVersionsRequest::default()).await;
    assert!(
        sent.elapsed() >= Duration::from_millis(500),
        "{:?}",
        sent.elapsed()
    );
}

#[tokio::test]
async fn a_throttle_time_keeps_no_connection_beyond_its_idle_time() {
    let broker = TestBroker::start_with(&[("connections.max.idle.ms", "100")]).await;
    broker.create_topic("t", 1, &[]).await;
    set(&broker, &[("client-id", Some("fast"))], "producer_byte_rate", 1.0).await;
    let mut fast = Client::connect(&broker, "fast").await;
    let answer = fast
        .call(9, &produce_request("t", 0, 1, Some(records(10_000))))
        .await;
    assert!(answer.throttle_time_ms > 1_000_000, "{}", answer.throttle_time_ms);
    let ended = tokio::time::timeout(Duration::from_secs(20), fast.stream.read_i32()).await;
    assert!(ended.expect("it ends").is_err(), "nothing more comes");
}

#[tokio::test]
async fn a_consumer_over_its_rate_gets_nothing_now_and_all_of_it_later() {
    let broker = TestBroker::start_with(&[("quota.window.num", "3")]).await;
    broker.create_topic("t", 1, &[]).await;
    for _ in 0..3 {
        let produced = broker.produce("t", 0, 1, batch(&[&"x".repeat(40_000)])).await;
        assert_eq!(produced.error_code, 0);
    }
    set(
        &broker,
        &[("user", Some("ANONYMOUS"))],
        "consumer_byte_rate",
        50_000.0,
    )
    .await;
    let mut client = Client::connect(&broker, "c").await;
    let mut one_batch = fetch_request("t", 0, 0, 0);
    one_batch.topics[0].partitions[0].partition_max_bytes = 1;
    for _ in 0..2 {
        let answer = client.call(12, &one_batch).await;
        assert_eq!((answer.throttle_time_ms, answer.responses.len()), (0, 1));
    }
    let began = Instant::now();
    let mut waits = Duration::ZERO;
    loop {
        let answer = client.call(12, &one_batch).await;
        assert!(
            began.elapsed() >= waits,
            "it is not heard before its time is over"
        );
        if answer.throttle_time_ms == 0 {
            assert_eq!(answer.responses.len(), 1);
            break;
        }
        assert!(answer.responses.is_empty() && answer.error_code == 0);
        waits += Duration::from_millis(answer.throttle_time_ms.unsigned_abs().into());
    }
    // 120,000 bytes are what it may have in 2.4 seconds. What was not given does not count, or this would not end.
    assert!((400..5_000).contains(&waits.as_millis()), "{waits:?}");
    // One answer is never more than the windows could pay for.
    let most = loop {
        let answer = client.call(12, &fetch_request("t", 0, 0, 0)).await;
        if answer.throttle_time_ms == 0 {
            break answer;
        }
    };
    let given = bytes_of(&most.responses[0].partitions[0]).len();
    assert!((80_000..=100_000).contains(&given), "{given}");
}

/// The memory for requests is everybody's: what has taken of it is done, whoever sent it is not heard after that.
#[tokio::test]
async fn a_large_request_that_was_read_keeps_no_memory_while_its_client_waits() {
    let broker = TestBroker::start_with(&[("quota.window.size.seconds", "60")]).await;
    broker.create_topic("t", 1, &[]).await;
    set(
        &broker,
        &[("client-id", Some("slow"))],
        "request_percentage",
        1e-9,
    )
    .await;
    let mut slow = Client::connect(&broker, "slow").await;
    let mut fetch = fetch_request("t", 0, 0, 2_000);
    fetch.min_bytes = 1 << 20;
    slow.send(12, &fetch).await;
    // It is read while the fetch waits.
    slow.send(9, &produce_request("t", 0, 1, Some(records(200_000))))
        .await;
    let Response::Fetch(answer) = slow.receive::<FetchRequest>(12).await else {
        panic!("another response")
    };
    assert!(answer.throttle_time_ms > 30_000, "{}", answer.throttle_time_ms);
    let done = tokio::time::timeout(Duration::from_secs(20), slow.receive::<ProduceRequest>(9)).await;
    assert!(matches!(done, Ok(Response::Produce(_))), "{done:?}");
}

#[tokio::test]
async fn partitions_are_made_within_a_budget() {
    let broker = TestBroker::start().await;
    set(&broker, &[("client-id", None)], "controller_mutation_rate", 1.0).await;
    let topics = |names: &[&str], partitions| CreateTopicsRequest {
        topics: names
            .iter()
            .map(|name| CreatableTopic {
                name: (*name).into(),
                num_partitions: partitions,
                replication_factor: 1,
                ..CreatableTopic::default()
            })
            .collect(),
        ..Default::default()
    };
    let mut strict = Client::connect(&broker, "new").await;
    // A burst of eleven may be overdrawn once; what comes after that is refused.
    let answer = strict.call(7, &topics(&["a", "b", "c"], 8)).await;
    let codes: Vec<_> = answer
        .topics
        .iter()
        .map(|topic| ErrorCode::from_i16(topic.error_code))
        .collect();
    assert_eq!(
        codes,
        [
            ErrorCode::None,
            ErrorCode::None,
            ErrorCode::ThrottlingQuotaExceeded
        ]
    );
    assert_eq!(
        answer.topics[2].error_message.as_deref(),
        Some("The throttling quota has been exceeded.")
    );
    assert!(
        (4_000..=5_000).contains(&answer.throttle_time_ms),
        "{}",
        answer.throttle_time_ms
    );
    // Old clients are served, and wait.
    let mut old = Client::connect(&broker, "old").await;
    let answer = old.call(5, &topics(&["d", "e"], 8)).await;
    assert!(answer.topics.iter().all(|topic| topic.error_code == 0));
    assert!(answer.throttle_time_ms > 4_000);
    // What is refused for another reason costs nothing.
    let mut third = Client::connect(&broker, "third").await;
    for _ in 0..3 {
        let answer = third.call(7, &topics(&["a"], 10)).await;
        assert_eq!(
            ErrorCode::from_i16(answer.topics[0].error_code),
            ErrorCode::TopicAlreadyExists
        );
        assert_eq!(answer.throttle_time_ms, 0);
    }
    let request = DeleteTopicsRequest {
        topic_names: vec!["a".into(), "b".into(), "d".into()],
        ..Default::default()
    };
    let answer = third.call(5, &request).await;
    let refused = answer.responses.iter().filter(|one| one.error_code != 0).count();
    assert_eq!(
        refused, 1,
        "two of eight partitions each are a burst of eleven and more"
    );
}

#[tokio::test]
async fn an_address_connects_so_often() {
    let broker = TestBroker::start().await;
    set(
        &broker,
        &[("ip", Some("127.0.0.1"))],
        "connection_creation_rate",
        1.0,
    )
    .await;
    let mut served = 0;
    for _ in 0..12 {
        let mut client = Client::connect(&broker, "c").await;
        client.send(0, &ApiVersionsRequest::default()).await;
        let answer = tokio::time::timeout(Duration::from_secs(5), client.stream.read_i32()).await;
        served += i32::from(answer.expect("an answer or an end").is_ok());
    }
    assert!((10..=11).contains(&served), "{served}");
}

/// The refused wait in nobody's place.
#[tokio::test]
async fn an_address_that_connects_too_often_shuts_nobody_else_out() {
    let broker = TestBroker::start_with(&[
        ("max.connections", "4"),
        ("quota.window.num", "2"),
        ("quota.window.size.seconds", "30"),
    ])
    .await;
    set(
        &broker,
        &[("ip", Some("127.0.0.2"))],
        "connection_creation_rate",
        1.0,
    )
    .await;
    let address = broker.handle.listeners()[0].addresses[0];
    for _ in 0..80 {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket
            .bind(([127, 0, 0, 2], 0).into())
            .expect("an address of this machine");
        drop(socket.connect(address).await.expect("connects"));
    }
    let mut client = Client::connect(&broker, "c").await;
    client.send(0, &ApiVersionsRequest::default()).await;
    let answer = tokio::time::timeout(Duration::from_secs(10), client.stream.read_i32()).await;
    assert!(answer.expect("in time").is_ok());
}

#[tokio::test]
async fn time_at_work_counts() {
    let broker = TestBroker::start().await;
    let mut client = Client::connect(&broker, "c").await;
    let request = ApiVersionsRequest::default();
    client.call(2, &request).await;
    // So little that every request is too much; one window is the longest that it costs.
    set(
        &broker,
        &[("user", None), ("client-id", None)],
        "request_percentage",
        1e-9,
    )
    .await;
    let Response::ApiVersions(answer) = ({
        client.send(2, &request).await;
        client.receive::<ApiVersionsRequest>(2).await
    }) else {
        panic!("another response")
    };
    assert_eq!(answer.throttle_time_ms, 1_000);
    let began = Instant::now();
    client.call(2, &request).await;
    assert!(began.elapsed() >= Duration::from_millis(950));
}
