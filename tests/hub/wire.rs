//! A client of one socket: what is sent is a frame that the test has made, or a request of its own choosing, and nothing is retried,
//! looked up or held back.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay_protocol::header::{
    RequestHeader, decode_response, decode_response_header, encode_request_frame,
};
use forebay_protocol::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use forebay_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use forebay_protocol::messages::{ApiVersionsRequest, ProduceRequest};
use forebay_protocol::{ApiRequest, Chunk, Reader, Records};

use crate::process::{Hub, PATIENCE};

/// Correlation id of everything.
const CORRELATION_ID: i32 = 7;

/// A connection to a broker.
pub(crate) struct Wire(TcpStream);

impl Wire {
    pub(crate) fn connect(hub: &Hub) -> Self {
        Self::try_connect(hub).expect("connected")
    }

    pub(crate) fn try_connect(hub: &Hub) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", hub.port("broker")))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(stream))
    }

    /// Bytes as they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    pub(crate) fn send<R: ApiRequest>(&mut self, version: i16, request: &R) {
        self.write(&frame(version, request)).expect("sent");
    }

    /// Produces `batch`, whatever it is, to partition 0, acknowledged by all; gives the partition's error.
    pub(crate) fn produce(&mut self, topic: &str, batch: impl Into<Bytes>) -> i16 {
        let data = PartitionProduceData {
            index: 0,
            records: Some(Records::Memory(batch.into())),
            ..Default::default()
        };
        let topic = TopicProduceData {
            name: topic.into(),
            partition_data: vec![data],
            ..Default::default()
        };
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: 30_000,
            topic_data: vec![topic],
            ..Default::default()
        };
        self.call(9, &request).responses[0].partition_responses[0].error_code
    }

    /// The answer to what was sent before.
    pub(crate) fn receive<R: ApiRequest>(&mut self, version: i16) -> R::Response {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).expect("an answer");
        let mut bytes = vec![0; usize::try_from(i32::from_be_bytes(length)).expect("a length")];
        self.0.read_exact(&mut bytes).expect("the whole answer");
        let mut reader = Reader::new(Bytes::from(bytes));
        let id = decode_response_header(R::API_KEY, version, &mut reader).expect("a header");
        assert_eq!(id, CORRELATION_ID);
        let response = decode_response(R::API_KEY, version, &mut reader).expect("a response");
        R::Response::try_from(response).expect("of the API that was asked")
    }

    pub(crate) fn call<R: ApiRequest>(&mut self, version: i16, request: &R) -> R::Response {
        self.send(version, request);
        self.receive::<R>(version)
    }

    /// Creates a topic, and gives the error's number.
    pub(crate) fn create_topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> i16 {
        let configs = configs.iter().map(|(name, value)| CreatableTopicConfig {
            name: (*name).into(),
            value: Some((*value).into()),
            ..Default::default()
        });
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.collect(),
            ..Default::default()
        };
        let request = CreateTopicsRequest {
            topics: vec![topic],
            timeout_ms: 30_000,
            ..Default::default()
        };
        self.call(5, &request).topics[0].error_code
    }

    /// What the slowest hundredth of so many small requests takes at least.
    pub(crate) fn slowest(&mut self, requests: usize) -> Duration {
        let times = (0..requests).map(|_| {
            let began = Instant::now();
            self.call(0, &ApiVersionsRequest::default());
            began.elapsed()
        });
        let mut times: Vec<Duration> = times.collect();
        times.sort_unstable();
        times[requests * 99 / 100]
    }
}

/// A whole frame, with its length.
pub(crate) fn frame<R: ApiRequest>(version: i16, request: &R) -> Vec<u8> {
    let header = RequestHeader {
        api_key: R::API_KEY,
        api_version: version,
        correlation_id: CORRELATION_ID,
        client_id: Some("wire".into()),
    };
    let chunks = encode_request_frame(&header, &request.clone().into()).expect("it can be written");
    let mut bytes = Vec::new();
    for chunk in chunks {
        match chunk {
            Chunk::Bytes(piece) => bytes.extend_from_slice(&piece),
            Chunk::File(_) => panic!("a request has no files"),
        }
    }
    bytes
}

/// Bytes that were sent to a hub's broker over IPv4 and that it has not read yet; `None` where `/proc` does not tell.
pub(crate) fn unread(hub: &Hub) -> Option<u64> {
    let port = format!(":{:04X}", hub.port("broker"));
    let table = std::fs::read_to_string("/proc/self/net/tcp").ok()?;
    let sockets = table.lines().skip(1).filter_map(|line| {
        let mut columns = line.split_whitespace();
        let (local, remote) = (columns.nth(1)?, columns.next()?);
        let (sending, receiving) = columns.nth(1)?.split_once(':')?;
        let queue = if local.ends_with(&port) {
            receiving
        } else if remote.ends_with(&port) {
            sending
        } else {
            return None;
        };
        u64::from_str_radix(queue, 16).ok()
    });
    Some(sockets.sum())
}
