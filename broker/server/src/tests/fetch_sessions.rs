//! Incremental fetch sessions (KIP-227) over the broker's partitions (faults B28); who may keep one is tested where they are kept.

use std::time::{Duration, Instant};

use forebay_protocol::messages::delete_topics_request::DeleteTopicState;
use forebay_protocol::messages::fetch_request::ForgottenTopic;
use forebay_protocol::messages::{DeleteTopicsRequest, FetchResponse, MetadataRequest};
use forebay_protocol::{NodeId, Uuid};

use super::*;

/// A client's side of a session over partitions of one topic.
struct Session {
    version: i16,
    topic: FetchTopic,
    id: i32,
    epoch: i32,
}

impl Session {
    fn new(version: i16, topic_id: Uuid) -> Self {
        let topic = FetchTopic {
            topic: if version < 13 { "t".into() } else { "".into() },
            topic_id: if version < 13 { Uuid::ZERO } else { topic_id },
            ..FetchTopic::default()
        };
        Self {
            version,
            topic,
            id: 0,
            epoch: 0,
        }
    }

    /// The next request: from these offsets of these partitions on, and not these partitions any more.
    fn request(&self, partitions: &[(i32, i64)], forgotten: &[i32]) -> FetchRequest {
        let partitions = partitions.iter().map(|(partition, fetch_offset)| FetchPartition {
            partition: *partition,
            fetch_offset: *fetch_offset,
            partition_max_bytes: 1 << 20,
            ..FetchPartition::default()
        });
        let mut topic = self.topic.clone();
        topic.partitions = partitions.collect();
        let mut request = FetchRequest {
            session_id: self.id,
            session_epoch: self.epoch,
            min_bytes: 1,
            ..FetchRequest::default()
        };
        if !topic.partitions.is_empty() {
            request.topics.push(topic);
        }
        if !forgotten.is_empty() {
            request.forgotten_topics_data.push(ForgottenTopic {
                topic: self.topic.topic.clone(),
                topic_id: self.topic.topic_id,
                partitions: forgotten.to_vec(),
                ..ForgottenTopic::default()
            });
        }
        request
    }

    async fn send(
        &mut self,
        broker: &TestBroker,
        request: FetchRequest,
    ) -> Vec<(i32, ErrorCode, Vec<String>)> {
        let response = broker.call(self.version, request).await;
        assert_eq!(code(&response), ErrorCode::None);
        if self.epoch == 0 {
            self.id = response.session_id;
        }
        assert_eq!(response.session_id, self.id);
        self.epoch += 1;
        let mut named = Vec::new();
        for topic in &response.responses {
            assert_eq!(
                (&topic.topic, topic.topic_id),
                (&self.topic.topic, self.topic.topic_id)
            );
            for one in &topic.partitions {
                let code = ErrorCode::from_i16(one.error_code);
                let values = if code == ErrorCode::None {
                    values(one)
                } else {
                    Vec::new()
                };
                named.push((one.partition_index, code, values));
            }
        }
        named
    }

    async fn fetch(
        &mut self,
        broker: &TestBroker,
        partitions: &[(i32, i64)],
    ) -> Vec<(i32, ErrorCode, Vec<String>)> {
        self.send(broker, self.request(partitions, &[])).await
    }
}

fn code(response: &FetchResponse) -> ErrorCode {
    ErrorCode::from_i16(response.error_code)
}

fn gave(partition: i32, values: &[&str]) -> (i32, ErrorCode, Vec<String>) {
    let values = values.iter().map(|one| (*one).to_owned()).collect();
    (partition, ErrorCode::None, values)
}

async fn topic_id(broker: &TestBroker) -> Uuid {
    let metadata = broker
        .call(
            12,
            MetadataRequest {
                topics: None,
                ..Default::default()
            },
        )
        .await;
    metadata.topics[0].topic_id
}

#[tokio::test]
async fn an_answer_names_what_has_changed_and_a_request_what_is_asked_anew() {
    for version in [7, 12, 13, 18] {
        let broker = TestBroker::start().await;
        broker.create_topic("t", 3, &[]).await;
        let mut session = Session::new(version, topic_id(&broker).await);
        broker.produce("t", 1, -1, batch(&["a"])).await;
        assert_eq!(
            session.fetch(&broker, &[(0, 0), (1, 0), (2, 0)]).await,
            [gave(0, &[]), gave(1, &["a"]), gave(2, &[])],
            "a full fetch names all"
        );
        assert!(session.id > 0);
        assert_eq!(session.fetch(&broker, &[(1, 1)]).await, []);
        broker.produce("t", 2, -1, batch(&["b"])).await;
        broker.produce("t", 0, -1, batch(&["c"])).await;
        assert_eq!(
            session.fetch(&broker, &[]).await,
            [gave(0, &["c"]), gave(2, &["b"])]
        );
        // Partition 1 has given nothing since, so it is before the others now.
        broker.produce("t", 1, -1, batch(&["d"])).await;
        assert_eq!(
            session.fetch(&broker, &[(0, 0), (2, 1)]).await,
            [gave(1, &["d"]), gave(0, &["c"])]
        );
        // What was forgotten is not read although it has records.
        let request = session.request(&[], &[0, 1]);
        assert_eq!(session.send(&broker, request).await, []);
        let none_left = session.request(&[], &[2]);
        let response = broker.call(version, none_left).await;
        assert_eq!((code(&response), response.session_id), (ErrorCode::None, 0));
        let gone = broker.call(version, session.request(&[], &[])).await;
        assert_eq!(
            code(&gone),
            ErrorCode::FetchSessionIdNotFound,
            "version {version}"
        );
    }
}

#[tokio::test]
async fn a_request_that_is_not_the_sessions_next_gets_nothing() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    broker.produce("t", 0, -1, batch(&["a"])).await;
    let id = topic_id(&broker).await;
    let mut session = Session::new(12, id);
    session.fetch(&broker, &[(0, 0)]).await;
    let next = session.request(&[], &[]);
    session.fetch(&broker, &[]).await;
    for (request, version, expected) in [
        (next.clone(), 12, ErrorCode::InvalidFetchSessionEpoch),
        (
            FetchRequest {
                session_epoch: 9,
                ..next.clone()
            },
            12,
            ErrorCode::InvalidFetchSessionEpoch,
        ),
        (
            FetchRequest {
                session_id: session.id ^ 1,
                ..next.clone()
            },
            12,
            ErrorCode::FetchSessionIdNotFound,
        ),
        (
            FetchRequest {
                session_id: 0,
                session_epoch: 1,
                ..next
            },
            12,
            ErrorCode::FetchSessionIdNotFound,
        ),
        (session.request(&[], &[]), 13, ErrorCode::FetchSessionTopicIdError),
    ] {
        let response = broker.call(version, request).await;
        assert_eq!(code(&response), expected);
        assert!(response.responses.is_empty() && response.session_id == 0);
    }
    assert_eq!(
        session.fetch(&broker, &[]).await,
        [gave(0, &["a"])],
        "and it goes on as it was"
    );
    // Without a session: asked for none, or an old client.
    for (version, epoch) in [(12, -1), (6, 0)] {
        let request = FetchRequest {
            session_epoch: epoch,
            ..fetch_request("t", 0, 0, 0)
        };
        let response = broker.call(version, request).await;
        assert_eq!(values(&response.responses[0].partitions[0]), ["a"]);
    }
}

#[tokio::test]
async fn a_session_waits_for_all_its_partitions_and_hears_of_a_deletion() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 2, &[]).await;
    let mut session = Session::new(13, topic_id(&broker).await);
    session.fetch(&broker, &[(0, 0), (1, 0)]).await;
    let begin = Instant::now();
    let wait = |session: &Session| FetchRequest {
        max_wait_ms: 60_000,
        ..session.request(&[], &[])
    };
    let request = wait(&session);
    let (named, _) = tokio::join!(
        session.send(&broker, request),
        broker.produce("t", 1, -1, batch(&["a"]))
    );
    assert_eq!(named, [gave(1, &["a"])]);

    let request = FetchRequest {
        max_wait_ms: 60_000,
        ..session.request(&[(1, 1)], &[])
    };
    let topic = DeleteTopicState {
        name: Some("t".into()),
        ..DeleteTopicState::default()
    };
    let delete = DeleteTopicsRequest {
        topics: vec![topic],
        timeout_ms: 1000,
        ..DeleteTopicsRequest::default()
    };
    let (named, _) = tokio::join!(session.send(&broker, request), broker.call(6, delete));
    let mut codes: Vec<ErrorCode> = named.into_iter().map(|(_, code, _)| code).collect();
    codes.dedup();
    // The fetch that waited found the partition deleted; who comes later finds no topic of the id.
    assert!(
        matches!(
            codes[..],
            [ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId]
        ),
        "{codes:?}"
    );
    let named = session.fetch(&broker, &[]).await;
    let codes: Vec<ErrorCode> = named.into_iter().map(|(_, code, _)| code).collect();
    assert_eq!(codes, [ErrorCode::UnknownTopicId; 2], "told each time");
    assert!(
        begin.elapsed() < Duration::from_secs(30),
        "nothing ran into its time limit"
    );
}

#[tokio::test]
async fn a_follower_takes_the_slot_of_a_consumer_and_no_slots_are_no_sessions() {
    for (slots, expected) in [("1", true), ("0", false)] {
        let settings = vec![("max.incremental.fetch.session.cache.slots", slots)];
        let broker = TestBroker::start_with(&settings).await;
        broker.create_topic("t", 1, &[]).await;
        let full = |replica: NodeId| FetchRequest {
            replica_id: replica.0,
            session_epoch: 0,
            ..fetch_request("t", 0, 0, 0)
        };
        let consumer = broker.call(12, full(NodeId(-1))).await.session_id;
        assert_eq!(consumer > 0, expected);
        assert_eq!(
            broker.call(12, full(NodeId(-1))).await.session_id,
            0,
            "it is taken"
        );
        assert_eq!(broker.call(12, full(NodeId(1))).await.session_id > 0, expected);
    }
}
