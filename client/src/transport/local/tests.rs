//! A node in this process behaves as one behind a socket.

use std::{sync::Mutex, time::Duration};

use bytes::Bytes;
use forebay_protocol::messages::{
    MetadataRequest, MetadataResponse, OffsetCommitRequest, ProduceRequest, ProduceResponse,
    produce_request::{PartitionProduceData, TopicProduceData},
};
use tokio::sync::Semaphore;

use super::*;

/// A node that notes what begins and answers when it is let.
#[derive(Debug)]
struct Slow {
    address: Arc<str>,
    begun: Arc<Mutex<Vec<i32>>>,
    go: Arc<Semaphore>,
}

impl Transport for Slow {
    fn call(&self, _: i16, request: Request) -> CallFuture {
        let response: Response = match &request {
            Request::Produce(request) => {
                self.begun.lock().expect("no panic").push(request.timeout_ms);
                ProduceResponse::default().into()
            }
            Request::OffsetCommit(request) => {
                let number = request.generation_id_or_member_epoch;
                self.begun.lock().expect("no panic").push(number);
                forebay_protocol::messages::OffsetCommitResponse::default().into()
            }
            _ => MetadataResponse::default().into(),
        };
        let (go, address) = (self.go.clone(), self.address.clone());
        Box::pin(async move {
            go.acquire().await.expect("it stays open").forget();
            match request {
                Request::Heartbeat(_) => Err(Error::Disconnected {
                    address,
                    reason: "a fault".into(),
                }),
                Request::LeaveGroup(_) => panic!("a fault"),
                _ => Ok(response),
            }
        })
    }

    fn address(&self) -> &Arc<str> {
        &self.address
    }

    fn is_open(&self) -> bool {
        true
    }

    fn close(&self) {}
}

struct Slowly {
    local: Local,
    begun: Arc<Mutex<Vec<i32>>>,
    go: Arc<Semaphore>,
}

impl Slowly {
    fn new() -> Self {
        let (begun, go) = (Arc::default(), Arc::new(Semaphore::new(0)));
        let node = Slow {
            address: "here".into(),
            begun: Arc::clone(&begun),
            go: go.clone(),
        };
        let local = Local::new(Arc::new(node));
        Self { local, begun, go }
    }

    fn begun(&self) -> Vec<i32> {
        self.begun.lock().expect("no panic").clone()
    }

    async fn until_begun(&self, count: usize) {
        while self.begun().len() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn commit(number: i32) -> Request {
    OffsetCommitRequest {
        generation_id_or_member_epoch: number,
        ..Default::default()
    }
    .into()
}

fn produce(number: i32, bytes: usize) -> Request {
    let records = Some(Records::Memory(Bytes::from(vec![0; bytes])));
    let partition = PartitionProduceData {
        records,
        ..Default::default()
    };
    let topic = TopicProduceData {
        partition_data: vec![partition],
        ..Default::default()
    };
    ProduceRequest {
        timeout_ms: number,
        topic_data: vec![topic],
        ..Default::default()
    }
    .into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_begin_in_the_order_of_the_calls() {
    for request in [commit, |number| produce(number, 10)] {
        let slowly = Slowly::new();
        let all: Vec<i32> = (0..500).collect();
        let calls = all.iter().map(|number| slowly.local.call(8, request(*number)));
        let calls: Vec<_> = calls.collect();
        slowly.go.add_permits(all.len());
        for answer in futures_util::future::join_all(calls).await {
            answer.expect("answered");
        }
        assert_eq!(slowly.begun(), all);
    }
}

#[tokio::test]
async fn only_produce_requests_follow_each_other_before_they_are_answered() {
    let slowly = Slowly::new();
    let requests = [
        produce(0, 1),
        produce(1, 1),
        commit(2),
        produce(3, 1),
        commit(4),
        commit(5),
    ];
    let calls: Vec<_> = requests.map(|request| slowly.local.call(8, request)).into();
    for (answered, begun) in [(0, 2), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 6)] {
        slowly.until_begun(begun).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(slowly.begun().len(), begun, "{answered} answered");
        slowly.go.add_permits(1);
    }
    futures_util::future::join_all(calls).await;
}

#[tokio::test]
async fn no_more_is_in_work_than_of_a_socket_and_the_rest_goes_on_unwatched() {
    for (bytes, at_once) in [
        (1, IN_WORK_MAX),
        (IN_WORK_BYTES_MAX / 4, 4),
        (IN_WORK_BYTES_MAX / 4 - 1, 5),
        (IN_WORK_BYTES_MAX, 1),
    ] {
        let slowly = Slowly::new();
        let all = (at_once + 1).max(IN_WORK_MAX + 4);
        let calls: Vec<_> = (0..all)
            .map(|number| {
                slowly
                    .local
                    .call(8, produce(i32::try_from(number).expect("few"), bytes))
            })
            .collect();
        assert_eq!(slowly.begun().len(), at_once, "{bytes} bytes");
        // Nobody waits for them any more, nor for the connection.
        drop(calls);
        let Slowly { local, begun, go } = slowly;
        drop(local);
        go.add_permits(all);
        while begun.lock().expect("no panic").len() < all {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test]
async fn a_request_has_the_bound_of_a_socket() {
    let slowly = Slowly::new();
    slowly.go.add_permits(1);
    let fits = slowly.local.call(12, produce(0, REQUEST_BYTES_MAX));
    fits.await.expect("at the bound");
    let error = slowly.local.call(12, produce(1, REQUEST_BYTES_MAX + 1)).await;
    let error = error.expect_err("one byte past it");
    assert!(
        matches!(error, Error::TooLarge { .. }) && !error.is_retriable(),
        "{error}"
    );
    assert_eq!(slowly.begun(), [0]);
    assert!(slowly.local.is_open());
}

#[tokio::test]
async fn what_is_in_flight_when_it_ends_fails() {
    type End = fn(&Local) -> Option<CallFuture>;
    let ends: [(&str, End); 3] = [
        ("closed", |local| {
            local.close();
            None
        }),
        ("a disconnect", |local| {
            Some(local.call(4, forebay_protocol::messages::HeartbeatRequest::default().into()))
        }),
        ("a panic", |local| {
            Some(local.call(4, forebay_protocol::messages::LeaveGroupRequest::default().into()))
        }),
    ];
    for (name, end) in ends {
        let slowly = Slowly::new();
        let first = slowly.local.call(8, commit(0));
        let ended = end(&slowly.local);
        let behind = slowly.local.call(8, commit(1));
        if name == "closed" {
            // In flight: nobody waits for an answer that may never come.
            assert!(first.await.expect_err(name).is_disconnect());
        } else {
            slowly.go.add_permits(2);
            first.await.expect("answered before");
        }
        if let Some(ended) = ended {
            assert!(ended.await.expect_err(name).is_disconnect());
        }
        assert!(behind.await.expect_err(name).is_disconnect());
        assert_eq!(slowly.begun(), [0], "{name}");
        assert!(!slowly.local.is_open(), "{name}");
        let error = slowly.local.call(12, MetadataRequest::default().into()).await;
        assert!(error.expect_err(name).is_disconnect());
    }
}
