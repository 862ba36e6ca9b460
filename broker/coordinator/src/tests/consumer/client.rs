//! A member as a client keeps it: it says what it owns, lets go of what it is to let go of when told to, and counts its epochs.

use std::collections::BTreeSet;

use forebay_protocol::messages::consumer_group_describe_response::DescribedGroup;
use forebay_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use forebay_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use forebay_protocol::{ErrorCode, Uuid};

use crate::tests::driver::{Driver, GROUP};
use crate::{Command, RequestId, Response};

/// A member.
#[derive(Debug, Clone, Default)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) instance: Option<String>,
    pub(super) topics: Vec<String>,
    pub(super) regex: Option<String>,
    pub(super) assignor: Option<String>,
    pub(super) epoch: i32,
    /// By id: that is how it is told.
    pub(super) owned: BTreeSet<(Uuid, i32)>,
    /// What it was last told that it is to have; what it owns besides it has to let go of.
    pub(super) assigned: BTreeSet<(Uuid, i32)>,
}

impl Client {
    pub(super) fn new(id: &str, topics: &[&str]) -> Self {
        Self {
            id: id.into(),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            ..Self::default()
        }
    }

    pub(super) fn with_instance(mut self, instance: &str) -> Self {
        self.instance = Some(instance.into());
        self
    }

    /// The first heartbeat says everything.
    pub(super) fn full(&self) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest {
            rebalance_timeout_ms: 60_000,
            instance_id: self.instance.as_deref().map(Into::into),
            subscribed_topic_names: Some(self.topics.iter().map(Into::into).collect()),
            subscribed_topic_regex: self.regex.as_deref().map(Into::into),
            server_assignor: self.assignor.as_deref().map(Into::into),
            topic_partitions: Some(self.owned_topics()),
            ..self.short()
        }
    }

    /// The ones that follow say only what has changed.
    pub(super) fn short(&self) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest {
            group_id: GROUP.into(),
            member_id: self.id.as_str().into(),
            instance_id: self.instance.as_deref().map(Into::into),
            member_epoch: self.epoch,
            ..Default::default()
        }
    }

    pub(super) fn owned_topics(&self) -> Vec<TopicPartitions> {
        let topics: BTreeSet<Uuid> = self.owned.iter().map(|(topic, _)| *topic).collect();
        let of = |id| self.owned.iter().filter(move |(topic, _)| *topic == id);
        let topics = topics.into_iter().map(|topic_id| TopicPartitions {
            topic_id,
            partitions: of(topic_id).map(|(_, partition)| *partition).collect(),
            ..Default::default()
        });
        topics.collect()
    }

    /// Takes in what it was answered.
    pub(super) fn hear(&mut self, response: &ConsumerGroupHeartbeatResponse) {
        self.epoch = response.member_epoch;
        if let Some(assignment) = &response.assignment {
            let topics = assignment.topic_partitions.iter();
            self.assigned = topics
                .flat_map(|topic| {
                    topic
                        .partitions
                        .iter()
                        .map(|partition| (topic.topic_id, *partition))
                })
                .collect();
        }
    }

    /// Lets go of what it is no longer to have, and takes what it is to have.
    pub(super) fn follow_assignment(&mut self) {
        self.owned = self.assigned.clone();
    }

    /// Begins anew: it was fenced.
    pub(super) fn abandon(&mut self) {
        self.epoch = 0;
        self.owned.clear();
        self.assigned.clear();
    }

    /// Joins; has what it is given.
    pub(super) fn join(&mut self, driver: &mut Driver) -> &mut Self {
        self.abandon();
        let request = self.full();
        self.heard(driver, request)
    }

    /// Heartbeats, and does as it is told.
    pub(super) fn beat(&mut self, driver: &mut Driver) -> &mut Self {
        let request = ConsumerGroupHeartbeatRequest {
            topic_partitions: Some(self.owned_topics()),
            ..self.short()
        };
        self.heard(driver, request)
    }

    fn heard(&mut self, driver: &mut Driver, request: ConsumerGroupHeartbeatRequest) -> &mut Self {
        let response = driver.consumer_heartbeat(request);
        assert_eq!(
            response.error_code, 0,
            "{}: {:?}",
            self.id, response.error_message
        );
        self.hear(&response);
        self.follow_assignment();
        self
    }

    pub(super) fn leave(&mut self, driver: &mut Driver) {
        let request = ConsumerGroupHeartbeatRequest {
            member_epoch: -1,
            ..self.short()
        };
        let response = driver.consumer_heartbeat(request);
        assert_eq!(
            response.error_code, 0,
            "{}: {:?}",
            self.id, response.error_message
        );
        self.abandon();
    }
}

impl Driver {
    pub(in crate::tests) fn ask_consumer_heartbeat(
        &mut self,
        request: ConsumerGroupHeartbeatRequest,
    ) -> RequestId {
        self.ask(Command::consumer_group_heartbeat(request, 42))
    }

    pub(in crate::tests) fn consumer_heard(&mut self, request: RequestId) -> ConsumerGroupHeartbeatResponse {
        match self.answer(request) {
            Some(Response::ConsumerGroupHeartbeat(response)) => response,
            other => panic!("{request:?} has {other:?}"),
        }
    }

    pub(in crate::tests) fn consumer_heartbeat(
        &mut self,
        request: ConsumerGroupHeartbeatRequest,
    ) -> ConsumerGroupHeartbeatResponse {
        let request = self.ask_consumer_heartbeat(request);
        self.consumer_heard(request)
    }

    /// What is wrong with a heartbeat, and how that is put.
    pub(in crate::tests) fn refused_heartbeat(
        &mut self,
        request: ConsumerGroupHeartbeatRequest,
    ) -> (ErrorCode, String) {
        let response = self.consumer_heartbeat(request);
        let message = response.error_message.map(|message| message.to_string());
        (
            ErrorCode::from_i16(response.error_code),
            message.unwrap_or_default(),
        )
    }

    /// A group as readers see it.
    pub(in crate::tests) fn consumer_group(&mut self, group: &str) -> DescribedGroup {
        let request = self.ask(Command::ConsumerGroupDescribe(vec![group.into()]));
        match self.answer(request) {
            Some(Response::ConsumerGroupDescribe(groups)) => groups[0].clone(),
            other => panic!("{request:?} has {other:?}"),
        }
    }

    /// What the group is in, as readers see it: state, group epoch, assignment epoch.
    pub(in crate::tests) fn epochs(&mut self) -> (String, i32, i32) {
        let group = self.consumer_group(GROUP);
        (
            group.group_state.to_string(),
            group.group_epoch,
            group.assignment_epoch,
        )
    }

    /// Lets clients heartbeat in turn until the group is stable, as often as they do.
    pub(super) fn settle(&mut self, clients: &mut [&mut Client]) {
        for _ in 0..10 {
            if self.epochs().0 == "Stable" {
                self.coordinator.assert_sound();
                return;
            }
            self.advance(std::time::Duration::from_secs(5));
            for client in &mut *clients {
                client.beat(self);
            }
        }
        panic!(
            "the group does not become stable: {:?}",
            self.consumer_group(GROUP)
        );
    }
}
