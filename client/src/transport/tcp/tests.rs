//! Connections to a listener on loopback that a test plays the broker on.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use forebay_protocol::{
    ApiKey, ErrorCode, Message, Reader, Request, Response,
    header::{RequestHeader, encode_response_frame},
    messages::{
        ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse, ProduceRequest,
        api_versions_response::ApiVersion,
    },
};
use tokio::net::TcpListener;

use super::*;
use crate::{node::Node, transport::Error};

/// The broker's end.
struct Broker(TcpStream);

impl Broker {
    async fn request(&mut self) -> (RequestHeader, Request) {
        let frame = frame::read(&mut self.0, RESPONSE_BYTES_MAX)
            .await
            .expect("sound")
            .expect("a request");
        let mut reader = Reader::new(frame);
        let header = RequestHeader::decode(&mut reader).expect("a header");
        let request = Request::decode(header.api_key, header.api_version, &mut reader);
        // One of a version that does not exist is not readable.
        (
            header,
            request.unwrap_or_else(|_| ApiVersionsRequest::default().into()),
        )
    }

    async fn answer(&mut self, correlation_id: i32, version: i16, response: impl Into<Response>) {
        let chunks = encode_response_frame(correlation_id, version, &response.into()).expect("a response");
        self.write(&frame::in_memory(chunks).expect("in memory")).await;
    }

    async fn write(&mut self, pieces: &[Bytes]) {
        // The client may have gone.
        let _ = frame::write(&mut self.0, pieces).await;
    }
}

async fn pair() -> (Arc<Tcp>, Broker) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let options = options(&address);
    let (client, broker) = tokio::join!(connect(options), listener.accept());
    (
        Arc::new(client.expect("connected")),
        Broker(broker.expect("accepted").0),
    )
}

fn options(address: &str) -> Options {
    let setup_timeout = Duration::from_secs(10);
    Options {
        address: address.into(),
        client_id: "test".into(),
        setup_timeout,
    }
}

/// A metadata request that tells itself from others by a topic.
fn metadata(name: &str) -> Request {
    let topic = forebay_protocol::messages::metadata_request::MetadataRequestTopic {
        name: Some(name.into()),
        ..Default::default()
    };
    MetadataRequest {
        topics: Some(vec![topic]),
        ..Default::default()
    }
    .into()
}

fn answer_to(request: &Request) -> MetadataResponse {
    let Request::Metadata(request) = request else {
        panic!("only metadata is asked for")
    };
    let name = request.topics.as_ref().and_then(|topics| topics[0].name.clone());
    MetadataResponse {
        cluster_id: name,
        ..Default::default()
    }
}

fn cluster_id(response: Response) -> String {
    let Response::Metadata(response) = response else {
        panic!("only metadata is asked for")
    };
    response.cluster_id.expect("the broker says it").to_string()
}

#[tokio::test]
async fn requests_are_pipelined_and_answered_in_order() {
    let (client, mut broker) = pair().await;
    let calls: Vec<_> = (0..10)
        .map(|number| client.call(12, metadata(&number.to_string())))
        .collect();
    let mut requests = Vec::new();
    for _ in 0..10 {
        requests.push(broker.request().await);
    }
    for (header, request) in &requests {
        assert_eq!(header.client_id.as_deref(), Some("test"));
        broker.answer(header.correlation_id, 12, answer_to(request)).await;
    }
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(cluster_id(call.await.expect("answered")), number.to_string());
    }
}

#[tokio::test]
async fn more_requests_than_the_bound_wait_for_their_turn() {
    let (client, mut broker) = pair().await;
    let calls: Vec<_> = (0..=IN_FLIGHT_REQUESTS_MAX)
        .map(|number| client.call(12, metadata(&number.to_string())))
        .collect();
    let calls: Vec<_> = calls.into_iter().map(tokio::spawn).collect();
    for _ in 0..IN_FLIGHT_REQUESTS_MAX {
        let (header, request) = broker.request().await;
        broker
            .answer(header.correlation_id, 12, answer_to(&request))
            .await;
    }
    let (header, request) = broker.request().await;
    assert_eq!(
        answer_to(&request).cluster_id.as_deref(),
        Some(IN_FLIGHT_REQUESTS_MAX.to_string().as_str())
    );
    broker
        .answer(header.correlation_id, 12, answer_to(&request))
        .await;
    for call in calls {
        call.await.expect("no panic").expect("answered");
    }
}

#[tokio::test]
async fn the_end_of_a_connection_fails_all_that_is_in_flight() {
    let (client, mut broker) = pair().await;
    let calls: Vec<_> = (0..3).map(|_| client.call(12, metadata("t"))).collect();
    broker.request().await;
    drop(broker);
    for call in calls {
        let error = call.await.expect_err("lost");
        assert!(
            matches!(error, Error::Disconnected { .. }) && error.is_retriable(),
            "{error}"
        );
    }
    assert!(!client.is_open());
    let error = client.call(12, metadata("t")).await.expect_err("closed");
    assert!(error.is_disconnect());
}

#[tokio::test]
async fn a_broker_that_talks_nonsense_is_cut_off() {
    let wrong_id =
        |id: i32| encode_response_frame(id + 1, 12, &MetadataResponse::default().into()).expect("a response");
    let too_long = Bytes::from(
        (i32::try_from(RESPONSE_BYTES_MAX).expect("fits") + 1)
            .to_be_bytes()
            .to_vec(),
    );
    let negative = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff]);
    for pieces in [
        frame::in_memory(wrong_id(0)).expect("in memory"),
        vec![too_long],
        vec![negative],
    ] {
        let (client, mut broker) = pair().await;
        let call = client.call(12, metadata("t"));
        broker.request().await;
        broker.write(&pieces).await;
        let error = call.await.expect_err("nonsense");
        assert!(error.is_disconnect() && !client.is_open(), "{error}");
    }
    // A body that cannot be read fails its request only.
    let (client, mut broker) = pair().await;
    let (bad, good) = (
        client.call(12, metadata("bad")),
        client.call(12, metadata("good")),
    );
    let mut frame = BytesMut::from(&[0, 0, 0, 9, 0, 0, 0, 0, 0, 1, 2, 3, 4][..]);
    let (header, _) = broker.request().await;
    frame[4..8].copy_from_slice(&header.correlation_id.to_be_bytes());
    broker.write(&[frame.freeze()]).await;
    let (header, request) = broker.request().await;
    broker
        .answer(header.correlation_id, 12, answer_to(&request))
        .await;
    assert!(matches!(bad.await, Err(Error::Decode { api: "Metadata", .. })));
    assert_eq!(cluster_id(good.await.expect("answered")), "good");
}

#[tokio::test]
async fn who_asks_for_no_acknowledgement_gets_none() {
    let (client, mut broker) = pair().await;
    let produce = ProduceRequest {
        acks: 0,
        ..Default::default()
    };
    let answer = client.call(9, produce.into()).await.expect("written");
    assert!(matches!(answer, Response::Produce(_)));
    let call = client.call(12, metadata("next"));
    assert_eq!(broker.request().await.0.api_key, ApiKey::Produce);
    let (header, request) = broker.request().await;
    broker
        .answer(header.correlation_id, 12, answer_to(&request))
        .await;
    assert_eq!(cluster_id(call.await.expect("answered")), "next");
}

#[tokio::test]
async fn nobody_there_is_an_error_that_names_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    drop(listener);
    let error = connect(options(&address))
        .await
        .expect_err("nobody listens")
        .to_string();
    assert!(error.contains(&address) && error.contains("refused"), "{error}");
}

fn versions(error: ErrorCode, metadata_max: i16) -> ApiVersionsResponse {
    let api = |key: ApiKey, min_version, max_version| ApiVersion {
        api_key: key.number(),
        min_version,
        max_version,
        ..Default::default()
    };
    let api_keys = vec![
        api(ApiKey::ApiVersions, 0, 2),
        api(ApiKey::Metadata, 1, metadata_max),
    ];
    ApiVersionsResponse {
        error_code: error.to_i16(),
        api_keys,
        ..Default::default()
    }
}

#[tokio::test]
async fn a_broker_that_does_not_know_our_way_of_asking_is_asked_in_its_own() {
    let (client, mut broker) = pair().await;
    let playing = tokio::spawn(async move {
        let (header, _) = broker.request().await;
        assert_eq!(header.api_version, *ApiVersionsRequest::VERSIONS.end());
        broker
            .answer(
                header.correlation_id,
                0,
                versions(ErrorCode::UnsupportedVersion, 4),
            )
            .await;
        let (header, _) = broker.request().await;
        assert_eq!(header.api_version, 2);
        broker
            .answer(header.correlation_id, 2, versions(ErrorCode::None, 4))
            .await;
        broker
    });
    let node = Node::negotiate(client, Duration::from_secs(10))
        .await
        .expect("agreed");
    playing.await.expect("as expected");
    assert_eq!(node.version::<MetadataRequest>(i16::MAX).expect("spoken"), 4);
    assert_eq!(node.version::<MetadataRequest>(3).expect("spoken"), 3);
    let error = node
        .version::<ProduceRequest>(i16::MAX)
        .expect_err("not offered")
        .to_string();
    assert!(error.contains("does not speak Produce"), "{error}");
}

#[tokio::test]
async fn without_an_answer_in_time_the_connection_is_given_up() {
    let (client, mut broker) = pair().await;
    let playing = tokio::spawn(async move {
        let (header, _) = broker.request().await;
        broker
            .answer(header.correlation_id, 4, versions(ErrorCode::None, 4))
            .await;
        // Takes whatever comes, and says nothing more.
        broker.request().await;
        broker
    });
    let node = Node::negotiate(client.clone(), Duration::from_secs(10))
        .await
        .expect("agreed");
    let silent = node.start(4, MetadataRequest::default(), Duration::from_millis(50));
    let behind = node.start(4, MetadataRequest::default(), Duration::from_secs(10));
    let error = silent.await.expect_err("silence");
    assert!(
        matches!(
            error,
            crate::Error::Transport(Error::RequestTimeout { api: "Metadata", .. })
        ),
        "{error}"
    );
    assert!(behind.await.expect_err("it stood behind").is_retriable());
    assert!(!node.is_open());
    drop(playing);
}
