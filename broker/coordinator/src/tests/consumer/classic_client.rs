//! A consumer of the classic protocol as a client keeps it: joins, syncs, heartbeats, and joins again when told to.

use std::collections::BTreeSet;

use bytes::Bytes;
use forebay_protocol::messages::consumer_protocol_subscription::TopicPartition;
use forebay_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use forebay_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use forebay_protocol::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, JoinGroupRequest, JoinGroupResponse,
    SyncGroupRequest,
};
use forebay_protocol::{ErrorCode, Message, Reader, Writer};

use crate::tests::driver::{Driver, GROUP, join};
use crate::{Command, RequestId};

/// The version of the embedded consumer protocol that it speaks: cooperative, with its rack.
const VERSION: i16 = 3;

/// A member.
#[derive(Debug, Clone, Default)]
pub(super) struct ClassicClient {
    pub(super) id: String,
    pub(super) instance: Option<String>,
    pub(super) topics: Vec<String>,
    pub(super) generation: i32,
    pub(super) owned: BTreeSet<(String, i32)>,
    /// The generation in which it was told so.
    pub(super) owned_in: i32,
    pub(super) leads: bool,
}

impl ClassicClient {
    pub(super) fn new(topics: &[&str]) -> Self {
        Self {
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            ..Self::default()
        }
    }

    pub(super) fn metadata(&self) -> Bytes {
        let owned: BTreeSet<&str> = self.owned.iter().map(|(topic, _)| &**topic).collect();
        let of = |name: &str| {
            self.owned
                .iter()
                .filter(move |(topic, _)| topic == name)
                .map(|(_, partition)| *partition)
                .collect()
        };
        let subscription = ConsumerProtocolSubscription {
            topics: self.topics.iter().map(Into::into).collect(),
            owned_partitions: owned
                .into_iter()
                .map(|topic| TopicPartition {
                    topic: topic.into(),
                    partitions: of(topic),
                })
                .collect(),
            ..Default::default()
        };
        encode(&subscription)
    }

    pub(super) fn request(&self) -> JoinGroupRequest {
        let protocol = |name: &str| JoinGroupRequestProtocol {
            name: name.into(),
            metadata: self.metadata(),
            ..Default::default()
        };
        JoinGroupRequest {
            protocol_type: "consumer".into(),
            protocols: vec![protocol("cooperative-sticky"), protocol("range")],
            group_instance_id: self.instance.as_deref().map(Into::into),
            ..join(&self.id)
        }
    }

    /// Joins, with the id that it is given if it has none.
    pub(super) fn ask_join(&mut self, driver: &mut Driver) -> RequestId {
        if self.id.is_empty() && self.instance.is_none() {
            let first = driver.join(self.request());
            let response = driver.joined(first);
            assert_eq!(
                ErrorCode::from_i16(response.error_code),
                ErrorCode::MemberIdRequired,
                "{response:?}"
            );
            self.id = response.member_id.to_string();
        }
        driver.join(self.request())
    }

    pub(super) fn hear_join(&mut self, response: &JoinGroupResponse) {
        assert_eq!(response.error_code, 0, "{response:?}");
        self.id = response.member_id.to_string();
        self.generation = response.generation_id;
        self.leads = response.leader == response.member_id;
    }

    pub(super) fn sync_request(&self, assignments: &[(&str, Bytes)]) -> SyncGroupRequest {
        let assignments = assignments
            .iter()
            .map(|(member, assignment)| SyncGroupRequestAssignment {
                member_id: (*member).into(),
                assignment: assignment.clone(),
                ..Default::default()
            });
        SyncGroupRequest {
            group_id: GROUP.into(),
            generation_id: self.generation,
            member_id: self.id.as_str().into(),
            group_instance_id: self.instance.as_deref().map(Into::into),
            protocol_type: Some("consumer".into()),
            protocol_name: Some("cooperative-sticky".into()),
            assignments: assignments.collect(),
            ..Default::default()
        }
    }

    pub(super) fn hear_assignment(&mut self, bytes: &Bytes) {
        let mut reader = Reader::new(bytes.clone());
        assert_eq!(reader.i16().expect("a version"), VERSION);
        let assignment = ConsumerProtocolAssignment::decode(&mut reader, VERSION).expect("an assignment");
        let topics = assignment.assigned_partitions.into_iter();
        self.owned_in = self.generation;
        self.owned = topics
            .flat_map(|topic| {
                topic
                    .partitions
                    .into_iter()
                    .map(move |partition| (topic.topic.to_string(), partition))
            })
            .collect();
    }

    /// Joins a consumer group and asks for its assignment, which it then has.
    pub(super) fn join_and_sync(&mut self, driver: &mut Driver) -> &mut Self {
        let join = self.ask_join(driver);
        let joined = driver.joined(join);
        self.hear_join(&joined);
        assert!(!self.leads, "the coordinator assigns");
        let sync = driver.ask(Command::SyncGroup(self.sync_request(&[])));
        let synced = driver.synced(sync);
        assert_eq!(synced.error_code, 0, "{synced:?}");
        self.hear_assignment(&synced.assignment);
        self
    }

    pub(super) fn heartbeat(&self, driver: &mut Driver) -> ErrorCode {
        driver.heartbeat_as(&self.id, self.instance.as_deref(), self.generation)
    }

    /// Heartbeats, and joins again as often as it is told to.
    pub(super) fn beat(&mut self, driver: &mut Driver) -> &mut Self {
        for _ in 0..5 {
            match self.heartbeat(driver) {
                ErrorCode::None => return self,
                ErrorCode::RebalanceInProgress => self.join_and_sync(driver),
                other => panic!("{} {other:?}", self.id),
            };
        }
        self
    }
}

fn encode<M: Message>(message: &M) -> Bytes {
    let mut writer = Writer::new();
    writer.i16(VERSION);
    message.encode(&mut writer, VERSION).expect("short");
    writer.finish_bytes().expect("short")
}

/// An assignment as a leader of the classic protocol writes it.
pub(super) fn assignment(partitions: &[(&str, i32)], user_data: Option<&'static [u8]>) -> Bytes {
    use forebay_protocol::messages::consumer_protocol_assignment::TopicPartition;
    let topic = |(topic, partition): &(&str, i32)| TopicPartition {
        topic: (*topic).into(),
        partitions: vec![*partition],
    };
    encode(&ConsumerProtocolAssignment {
        assigned_partitions: partitions.iter().map(topic).collect(),
        user_data: user_data.map(Bytes::from_static),
    })
}
