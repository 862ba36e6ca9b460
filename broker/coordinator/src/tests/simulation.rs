//! Twenty consumers that come, go, die and come back, on a log that fails now and then: once the churn ends the group settles, every partition
//! has one owner, and no member of an old generation gets to commit.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use forebay_protocol::ErrorCode::{
    self, FencedInstanceId, IllegalGeneration, MemberIdRequired, NotEnoughReplicas, RebalanceInProgress,
    UnknownMemberId,
};
use forebay_protocol::messages::leave_group_request::MemberIdentity;
use forebay_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use forebay_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, OffsetCommitRequest, SyncGroupRequest,
};

use super::Driver;
use super::driver::{GROUP, SESSION, consuming, error, join, text};
use super::offsets::commit;
use crate::{Command, Config, RequestId, Response};

const MEMBERS: usize = 20;
const PARTITIONS: usize = 32;
const STEP: Duration = Duration::from_millis(250);
const HEARTBEAT_EVERY: u32 = 12;

/// What a consumer does.
#[derive(Debug, Clone, PartialEq)]
enum Doing {
    /// It is dead: it neither asks nor listens.
    Nothing,
    Joining(RequestId),
    Syncing(RequestId),
    Consuming {
        heartbeat: Option<RequestId>,
    },
}

#[derive(Debug, Clone)]
struct Consumer {
    instance: Option<String>,
    member: String,
    generation: i32,
    doing: Doing,
    partitions: Vec<usize>,
    steps: u32,
}

struct Simulation {
    driver: Driver,
    consumers: Vec<Consumer>,
    random: u64,
    /// Who owned a partition in a generation.
    owners: BTreeMap<(i32, usize), String>,
    commits: BTreeMap<RequestId, (usize, i32)>,
    /// The generation that the group's coordinator is in, as far as members were told.
    newest_generation: i32,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let consumer = |index: usize| Consumer {
            instance: index.is_multiple_of(3).then(|| format!("static-{index}")),
            member: String::new(),
            generation: -1,
            doing: Doing::Nothing,
            partitions: Vec::new(),
            steps: 0,
        };
        let config = Config {
            initial_rebalance_delay: Duration::from_secs(1),
            ..Config::default()
        };
        Self {
            driver: Driver::with(config),
            consumers: (0..MEMBERS).map(consumer).collect(),
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            owners: BTreeMap::new(),
            commits: BTreeMap::new(),
            newest_generation: 0,
        }
    }

    /// An xorshift: the same seed, the same run.
    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    fn churn(&mut self) {
        for index in 0..MEMBERS {
            let chance = self.random(1_000);
            let is_dead = self.consumers[index].doing == Doing::Nothing;
            match chance {
                0..40 if is_dead => self.start(index),
                0..4 => self.consumers[index].doing = Doing::Nothing,
                4..8 if !is_dead => self.leave(index),
                8..12 if self.consumers[index].instance.is_some() => self.start(index),
                _ => {}
            }
        }
        if self.random(100) == 0 {
            self.driver.restart();
        }
        self.driver.hold = self.random(4) == 0;
        if !self.driver.hold {
            if self.random(10) == 0 {
                let kept = usize::try_from(self.random(2))
                    .expect("small")
                    .min(self.driver.written.len());
                self.driver.fail(kept, NotEnoughReplicas);
            }
            self.driver.commit();
        }
    }

    /// A consumer starts; it knows its instance, not its member id.
    fn start(&mut self, index: usize) {
        self.consumers[index].member.clear();
        self.join(index);
    }

    fn join(&mut self, index: usize) {
        let consumer = &self.consumers[index];
        let request = JoinGroupRequest {
            group_instance_id: consumer.instance.as_deref().map(Into::into),
            rebalance_timeout_ms: 20_000,
            ..consuming(join(&consumer.member), &["t"])
        };
        let id = self.driver.join(request);
        let consumer = &mut self.consumers[index];
        consumer.partitions.clear();
        consumer.doing = Doing::Joining(id);
    }

    fn leave(&mut self, index: usize) {
        let member_id = self.consumers[index].member.as_str().into();
        self.consumers[index].doing = Doing::Nothing;
        if self.consumers[index].instance.is_none() {
            let members = vec![MemberIdentity {
                member_id,
                ..Default::default()
            }];
            self.driver.ask(Command::LeaveGroup(LeaveGroupRequest {
                group_id: GROUP.into(),
                members,
                ..Default::default()
            }));
        }
    }

    fn step(&mut self) {
        self.driver.advance(STEP);
        for index in 0..MEMBERS {
            self.consumers[index].steps += 1;
            match self.consumers[index].doing.clone() {
                Doing::Nothing => {}
                Doing::Joining(id) => self.hear_join(index, id),
                Doing::Syncing(id) => self.hear_sync(index, id),
                Doing::Consuming { heartbeat: Some(id) } => self.hear_heartbeat(index, id),
                Doing::Consuming { heartbeat: None }
                    if self.consumers[index].steps.is_multiple_of(HEARTBEAT_EVERY) =>
                {
                    self.commit_and_heartbeat(index);
                }
                Doing::Consuming { heartbeat: None } => {}
            }
        }
        self.hear_commits();
    }

    fn hear_join(&mut self, index: usize, id: RequestId) {
        let Some(Response::JoinGroup(response)) = self.driver.answer(id) else {
            return;
        };
        match error(response.error_code) {
            ErrorCode::None => {
                let consumer = &mut self.consumers[index];
                consumer.member = response.member_id.to_string();
                consumer.generation = response.generation_id;
                self.newest_generation = self.newest_generation.max(response.generation_id);
                let members: Vec<String> = response
                    .members
                    .iter()
                    .map(|member| member.member_id.to_string())
                    .collect();
                self.sync(index, if response.skip_assignment { &[] } else { &members });
            }
            MemberIdRequired => {
                self.consumers[index].member = response.member_id.to_string();
                self.join(index);
            }
            UnknownMemberId => self.start(index),
            FencedInstanceId => self.consumers[index].doing = Doing::Nothing,
            _ => self.join(index),
        }
    }

    /// Whoever is told who the members are assigns to them in turns.
    fn sync(&mut self, index: usize, members: &[String]) {
        let assignments = members
            .iter()
            .enumerate()
            .map(|(position, member)| SyncGroupRequestAssignment {
                member_id: member.as_str().into(),
                assignment: (0..PARTITIONS)
                    .filter(|partition| partition % members.len() == position)
                    .map(|partition| u8::try_from(partition).expect("few"))
                    .collect::<Vec<u8>>()
                    .into(),
                ..Default::default()
            });
        let consumer = &self.consumers[index];
        let id = self.driver.ask(Command::SyncGroup(SyncGroupRequest {
            group_id: GROUP.into(),
            generation_id: consumer.generation,
            member_id: consumer.member.as_str().into(),
            group_instance_id: consumer.instance.as_deref().map(Into::into),
            protocol_type: Some(text("consumer")),
            protocol_name: Some(text("range")),
            assignments: assignments.collect(),
            ..Default::default()
        }));
        self.consumers[index].doing = Doing::Syncing(id);
    }

    fn hear_sync(&mut self, index: usize, id: RequestId) {
        let Some(Response::SyncGroup(response)) = self.driver.answer(id) else {
            return;
        };
        match error(response.error_code) {
            ErrorCode::None => self.own(index, &response.assignment),
            UnknownMemberId => self.start(index),
            FencedInstanceId => self.consumers[index].doing = Doing::Nothing,
            _ => self.join(index),
        }
    }

    fn own(&mut self, index: usize, assignment: &Bytes) {
        let consumer = &mut self.consumers[index];
        consumer.doing = Doing::Consuming { heartbeat: None };
        consumer.partitions = assignment
            .iter()
            .map(|partition| usize::from(*partition))
            .collect();
        // A static member that comes back owns what it owned, under another member id.
        let owner = consumer
            .instance
            .clone()
            .unwrap_or_else(|| consumer.member.clone());
        for partition in &consumer.partitions {
            let first = self
                .owners
                .entry((consumer.generation, *partition))
                .or_insert_with(|| owner.clone());
            assert_eq!(
                *first, owner,
                "partition {partition} of generation {} has two owners",
                consumer.generation
            );
        }
    }

    fn commit_and_heartbeat(&mut self, index: usize) {
        let Consumer {
            member,
            generation,
            instance,
            ..
        } = self.consumers[index].clone();
        let group_instance_id = instance.as_deref().map(Into::into);
        let request = OffsetCommitRequest {
            member_id: member.as_str().into(),
            generation_id_or_member_epoch: generation,
            group_instance_id,
            ..commit(GROUP, &[("t", i32::try_from(index).expect("few"), 1)])
        };
        let id = self.driver.ask(Command::OffsetCommit(request));
        self.commits.insert(id, (index, generation));
        let request = HeartbeatRequest {
            group_id: GROUP.into(),
            generation_id: generation,
            member_id: member.as_str().into(),
            group_instance_id: instance.as_deref().map(Into::into),
            ..Default::default()
        };
        let id = self.driver.ask(Command::Heartbeat(request));
        self.consumers[index].doing = Doing::Consuming { heartbeat: Some(id) };
    }

    fn hear_heartbeat(&mut self, index: usize, id: RequestId) {
        let Some(Response::Heartbeat(response)) = self.driver.answer(id) else {
            return;
        };
        match error(response.error_code) {
            RebalanceInProgress | IllegalGeneration => self.join(index),
            UnknownMemberId => self.start(index),
            FencedInstanceId => self.consumers[index].doing = Doing::Nothing,
            // The coordinator has moved, or its log fails: the next heartbeat will tell.
            _ => self.consumers[index].doing = Doing::Consuming { heartbeat: None },
        }
    }

    fn hear_commits(&mut self) {
        let newest = self.newest_generation;
        for (id, (index, generation)) in self.commits.clone() {
            let Some(Response::OffsetCommit(response)) = self.driver.answer(id) else {
                continue;
            };
            self.commits.remove(&id);
            let told = super::driver::first_error(&response);
            assert!(
                told != ErrorCode::None || generation + 1 >= newest,
                "consumer {index} of generation {generation} commits while {newest} is under way"
            );
        }
    }

    fn alive(&self) -> impl Iterator<Item = &Consumer> {
        self.consumers
            .iter()
            .filter(|consumer| consumer.doing != Doing::Nothing)
    }

    fn is_settled(&mut self) -> bool {
        if self.driver.state(GROUP) != "Stable" {
            return false;
        }
        let generation = self.alive().map(|consumer| consumer.generation).max();
        let same = |consumer: &Consumer| {
            Some(consumer.generation) == generation && matches!(consumer.doing, Doing::Consuming { .. })
        };
        let mut owned: Vec<usize> = self
            .alive()
            .flat_map(|consumer| consumer.partitions.iter().copied())
            .collect();
        owned.sort_unstable();
        self.alive().all(same) && owned == (0..PARTITIONS).collect::<Vec<_>>()
    }
}

#[test]
fn twenty_members_that_churn_settle_when_they_are_left_alone() {
    for seed in 1..=24 {
        let mut simulation = Simulation::new(seed);
        for _ in 0..240 {
            simulation.churn();
            simulation.step();
        }
        simulation.driver.hold = false;
        simulation.driver.commit();
        for index in [0, 1] {
            simulation.start(index);
        }
        // A session for the dead to be noticed; another for those of them whose JoinGroup was parked when they died, and who became members
        // when it was answered to nobody; and after each, heartbeats (every 3 s) to hear of the rebalance.
        let patience = SESSION * 2 + Duration::from_secs(10);
        let mut waited = Duration::ZERO;
        while !simulation.is_settled() {
            assert!(
                waited < patience,
                "seed {seed}: not settled after {waited:?}: {:?}",
                simulation.consumers
            );
            simulation.step();
            waited += STEP;
        }
        simulation.driver.coordinator.assert_consistent(true);
        for _ in 0..200 {
            simulation.step();
            assert!(simulation.is_settled(), "seed {seed}: and it stays so");
        }
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let run = |seed| {
        let mut simulation = Simulation::new(seed);
        for _ in 0..120 {
            simulation.churn();
            simulation.step();
        }
        (simulation.driver.log, simulation.driver.events)
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
