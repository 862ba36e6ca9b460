//! Members of both protocols at random: they join, fall silent, lose answers, leave, change their minds, while topics change, appends fail and
//! coordinators take over. At every step no partition has two owners, and no member believes to own what the coordinator could give
//! to another; in the end, left alone, the group becomes stable and every partition has its owner.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use forebay_protocol::messages::{ConsumerGroupHeartbeatRequest, JoinGroupResponse};
use forebay_protocol::{ErrorCode, Utf8Bytes, Uuid};
use proptest::prelude::*;

use super::classic_client::{ClassicClient, assignment};
use super::client::Client;
use crate::tests::driver::{Driver, GROUP, error};
use crate::{Cluster, Command, RequestId, Response};

const TOPICS: [&str; 3] = ["a", "b", "c"];
/// What each member subscribes to, by its number and how often it has changed its mind.
const SUBSCRIPTIONS: [&[&str]; 4] = [&["a", "b"], &["a"], &["b", "c"], &["a", "b", "c"]];
const REGEXES: [Option<&str>; 4] = [None, Some("[ab]"), None, Some("c.*")];

/// So many rounds without a change are rest: more than the time between two looks at the topics' names.
const ROUNDS_AT_REST: usize = 8;

#[derive(Debug, Clone)]
enum Step {
    Modern(usize, Act),
    Classic(usize, Act),
    Wait(u64),
    Topic(usize, i32),
    Hold(bool),
    Commit(usize),
    Fail(usize),
    Restart,
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Beat,
    /// It heartbeats, and never hears the answer.
    Unheard,
    Leave,
    /// Static members: for a while. Others: for good, without a word.
    Away,
    ChangeMind(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => Just(Act::Beat),
        1 => Just(Act::Unheard),
        1 => Just(Act::Leave),
        1 => Just(Act::Away),
        1 => (0..4_usize).prop_map(Act::ChangeMind),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..4_usize, act()).prop_map(|(client, act)| Step::Modern(client, act)),
        6 => (0..3_usize, act()).prop_map(|(client, act)| Step::Classic(client, act)),
        4 => (0..8_u64).prop_map(Step::Wait),
        1 => (20..70_u64).prop_map(Step::Wait),
        2 => (0..3_usize, 0..6_i32).prop_map(|(topic, partitions)| Step::Topic(topic, partitions)),
        1 => any::<bool>().prop_map(Step::Hold),
        1 => (0..4_usize).prop_map(Step::Commit),
        1 => (0..4_usize).prop_map(Step::Fail),
        1 => Just(Step::Restart),
    ]
}

/// What a client waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pending {
    Nothing,
    Heartbeat(RequestId),
    Join(RequestId),
    Sync(RequestId),
}

struct Simulation {
    driver: Driver,
    modern: Vec<(Client, Pending)>,
    classic: Vec<(ClassicClient, Pending)>,
    /// Topics that were deleted: of these a name does not tell which incarnation is meant.
    deleted: BTreeSet<&'static str>,
}

impl Simulation {
    fn new() -> Self {
        let driver = Driver::new();
        driver.cluster.topic("a", 3);
        let modern = (0..4).map(|number| {
            let client = Client::new(&format!("m{number}"), SUBSCRIPTIONS[number]);
            let client = if number == 3 {
                client.with_instance("i")
            } else {
                client
            };
            (client, Pending::Nothing)
        });
        let classic = (0..3).map(|number| {
            let instance = (number == 2).then(|| "j".to_owned());
            (
                ClassicClient {
                    instance,
                    ..ClassicClient::new(SUBSCRIPTIONS[number])
                },
                Pending::Nothing,
            )
        });
        Self {
            modern: modern.collect(),
            classic: classic.collect(),
            deleted: BTreeSet::new(),
            driver,
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Modern(client, act) => self.act_modern(client, act),
            Step::Classic(client, act) => self.act_classic(client, act),
            Step::Wait(seconds) => self.driver.advance(Duration::from_secs(seconds)),
            Step::Topic(topic, 0) => {
                self.driver.cluster.delete(TOPICS[topic]);
                self.deleted.insert(TOPICS[topic]);
            }
            Step::Topic(topic, partitions) => {
                // Topics do not shrink.
                let known = self
                    .driver
                    .cluster
                    .image()
                    .topic(TOPICS[topic])
                    .map_or(0, |topic| topic.partition_count);
                self.driver.cluster.topic(TOPICS[topic], partitions.max(known));
            }
            Step::Hold(hold) => {
                self.driver.hold = hold;
                if !hold {
                    self.driver.commit();
                }
            }
            Step::Commit(count) => self.driver.commit_some(count.min(self.driver.written.len())),
            Step::Fail(kept) => self
                .driver
                .fail(kept.min(self.driver.written.len()), ErrorCode::NotEnoughReplicas),
            Step::Restart => self.driver.restart(),
        }
        self.hear();
        self.check();
    }

    fn act_modern(&mut self, client: usize, act: Act) {
        let (member, pending) = &mut self.modern[client];
        match act {
            Act::ChangeMind(to) => {
                member.topics = SUBSCRIPTIONS[to]
                    .iter()
                    .map(|topic| (*topic).to_owned())
                    .collect();
                // An empty one takes back what was said before.
                member.regex = Some(REGEXES[to].unwrap_or_default().to_owned());
            }
            _ if *pending != Pending::Nothing => {}
            Act::Leave | Act::Away if member.epoch <= 0 => {}
            Act::Leave => {
                let request = ConsumerGroupHeartbeatRequest {
                    member_epoch: -1,
                    ..member.short()
                };
                self.driver.ask_consumer_heartbeat(request);
                member.abandon();
            }
            Act::Away => {
                if member.instance.is_some() {
                    let request = ConsumerGroupHeartbeatRequest {
                        member_epoch: -2,
                        ..member.short()
                    };
                    self.driver.ask_consumer_heartbeat(request);
                }
                // It starts anew, under another id.
                member.abandon();
                member.id = format!("{}'", member.id);
            }
            Act::Beat | Act::Unheard => {
                let request = self.driver.ask_consumer_heartbeat(member.full());
                if matches!(act, Act::Beat) {
                    *pending = Pending::Heartbeat(request);
                }
            }
        }
    }

    fn act_classic(&mut self, client: usize, act: Act) {
        let (member, pending) = &mut self.classic[client];
        match act {
            Act::ChangeMind(to) => {
                member.topics = SUBSCRIPTIONS[to]
                    .iter()
                    .map(|topic| (*topic).to_owned())
                    .collect();
                member.generation = -1;
            }
            _ if *pending != Pending::Nothing => {}
            Act::Leave | Act::Away => {
                if matches!(act, Act::Leave) && !member.id.is_empty() {
                    let leaving = forebay_protocol::messages::leave_group_request::MemberIdentity {
                        member_id: member.id.as_str().into(),
                        ..Default::default()
                    };
                    self.driver.ask(Command::LeaveGroup(
                        forebay_protocol::messages::LeaveGroupRequest {
                            group_id: GROUP.into(),
                            members: vec![leaving],
                            ..Default::default()
                        },
                    ));
                }
                *member = ClassicClient {
                    instance: member.instance.take(),
                    ..ClassicClient::new(SUBSCRIPTIONS[client])
                };
            }
            Act::Beat | Act::Unheard => {
                let asked = if member.generation > 0 {
                    Pending::Heartbeat(self.driver.ask(heartbeat(member)))
                } else {
                    Pending::Join(self.driver.join(member.request()))
                };
                if matches!(act, Act::Beat) {
                    *pending = asked;
                }
            }
        }
    }

    /// Clients hear what has been answered, and do as they are told.
    fn hear(&mut self) {
        for client in 0..self.modern.len() {
            let (member, pending) = &mut self.modern[client];
            let Pending::Heartbeat(request) = *pending else {
                continue;
            };
            let Some(Response::ConsumerGroupHeartbeat(response)) = self.driver.answer(request) else {
                continue;
            };
            *pending = Pending::Nothing;
            match error(response.error_code) {
                ErrorCode::None => {
                    member.hear(&response);
                    member.follow_assignment();
                }
                ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId => member.abandon(),
                ErrorCode::GroupIdNotFound | ErrorCode::FencedInstanceId => member.abandon(),
                // It tries again.
                ErrorCode::UnreleasedInstanceId
                | ErrorCode::CoordinatorNotAvailable
                | ErrorCode::NotCoordinator => {}
                other => panic!("{} {other:?} {:?}", member.id, response.error_message),
            }
        }
        for client in 0..self.classic.len() {
            self.hear_classic(client);
        }
    }

    fn hear_classic(&mut self, client: usize) {
        let (member, pending) = &mut self.classic[client];
        let request = match *pending {
            Pending::Nothing => return,
            Pending::Heartbeat(request) | Pending::Join(request) | Pending::Sync(request) => request,
        };
        let Some(response) = self.driver.answer(request) else {
            return;
        };
        *pending = Pending::Nothing;
        let code = match response {
            Response::Heartbeat(response) => error(response.error_code),
            Response::JoinGroup(response) if response.error_code == 0 => {
                member.hear_join(&response);
                let assignments = assign(&self.driver, &response);
                let sync = member.sync_request(
                    &assignments
                        .iter()
                        .map(|(id, bytes)| (&**id, bytes.clone()))
                        .collect::<Vec<_>>(),
                );
                *pending = Pending::Sync(self.driver.ask(Command::SyncGroup(sync)));
                ErrorCode::None
            }
            Response::JoinGroup(response) => {
                if error(response.error_code) == ErrorCode::MemberIdRequired {
                    member.id = response.member_id.to_string();
                }
                error(response.error_code)
            }
            Response::SyncGroup(response) => {
                if response.error_code == 0 && !response.assignment.is_empty() {
                    member.hear_assignment(&response.assignment);
                }
                error(response.error_code)
            }
            other => panic!("{other:?}"),
        };
        match code {
            ErrorCode::None | ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator => {}
            ErrorCode::RebalanceInProgress | ErrorCode::MemberIdRequired => member.generation = -1,
            ErrorCode::IllegalGeneration => {
                member.generation = -1;
                member.owned.clear();
            }
            ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId => {
                member.generation = -1;
                member.id.clear();
                member.owned.clear();
            }
            other => panic!("{} {other:?}", member.id),
        }
    }

    /// No partition has two owners; what members believe to own they are known to own.
    fn check(&mut self) {
        self.driver.coordinator.assert_consistent(false);
        self.driver.coordinator.assert_sound();
        let image = self.driver.cluster.image();
        let Some(owned) = self.driver.coordinator.owned_in_consumer_group(&GROUP.into()) else {
            return;
        };
        let check = |id: &str, epoch: i32, has: BTreeSet<(Uuid, i32)>| {
            // One that is not known in its epoch, or the next, has been fenced: it will hear it.
            if let Some((known_epoch, previous, known)) = owned.get(id)
                && (*known_epoch == epoch || *previous == epoch)
            {
                assert!(
                    has.is_subset(known),
                    "{id} in {epoch} believes to own {has:?}, known are {known:?}"
                );
            }
        };
        for (member, _) in &self.modern {
            check(&member.id, member.epoch, member.owned.clone());
        }
        for (member, _) in &self.classic {
            let by_id = member
                .owned
                .iter()
                .filter(|(topic, _)| !self.deleted.contains(&**topic))
                .filter_map(|(topic, partition)| Some((image.topic(topic)?.id, *partition)));
            // What it was told in a generation before it may have lost since, and will hear of.
            if member.owned_in == member.generation {
                check(&member.id, member.generation, by_id.collect());
            }
        }
    }

    /// Left alone, all members come to what they are to have.
    fn settle(&mut self) {
        self.driver.hold = false;
        self.driver.commit();
        self.hear();
        let mut rested = 0;
        for _ in 0..120 {
            for client in 0..self.modern.len() {
                self.step(&Step::Modern(client, Act::Beat));
            }
            for client in 0..self.classic.len() {
                self.step(&Step::Classic(client, Act::Beat));
            }
            self.step(&Step::Wait(2));
            rested = if self.driver.epochs().0 == "Stable" {
                rested + 1
            } else {
                0
            };
            if rested == ROUNDS_AT_REST {
                break;
            }
        }
        assert_eq!(
            self.driver.epochs().0,
            "Stable",
            "{:?}",
            self.driver.consumer_group(GROUP)
        );
        self.driver.coordinator.assert_consistent(true);
        let image = self.driver.cluster.image();
        let mut owners: BTreeMap<(String, i32), usize> = BTreeMap::new();
        for (member, _) in &self.modern {
            for (topic, partition) in &member.owned {
                let name = image
                    .topic_name(*topic)
                    .expect("topics that are gone are nobody's");
                *owners.entry((name.to_string(), *partition)).or_default() += 1;
            }
        }
        for (member, _) in &self.classic {
            for partition in &member.owned {
                *owners.entry(partition.clone()).or_default() += 1;
            }
        }
        assert!(owners.values().all(|owners| *owners == 1), "{owners:?}");
        let modern = self.modern.iter().flat_map(|(member, _)| {
            let regex = member.regex.as_deref().filter(|regex| !regex.is_empty());
            let matching = TOPICS
                .iter()
                .filter(move |topic| regex.is_some_and(|regex| matches(regex, topic)));
            member.topics.iter().map(String::as_str).chain(matching.copied())
        });
        let classic = self
            .classic
            .iter()
            .flat_map(|(member, _)| member.topics.iter().map(String::as_str));
        let subscribed: BTreeSet<&str> = modern.chain(classic).collect();
        let expected: BTreeSet<(String, i32)> = subscribed
            .into_iter()
            .filter_map(|topic| image.topic(topic))
            .flat_map(|topic| {
                (0..topic.partition_count).map(move |partition| (topic.name.to_string(), partition))
            })
            .collect();
        assert!(owners.keys().eq(expected.iter()), "{owners:?} {expected:?}");
    }
}

fn matches(regex: &str, topic: &str) -> bool {
    match regex {
        "[ab]" => topic != "c",
        "c.*" => topic == "c",
        other => panic!("{other}"),
    }
}

fn heartbeat(member: &ClassicClient) -> Command {
    Command::Heartbeat(forebay_protocol::messages::HeartbeatRequest {
        group_id: GROUP.into(),
        generation_id: member.generation,
        member_id: member.id.as_str().into(),
        group_instance_id: member.instance.as_deref().map(Into::into),
        ..Default::default()
    })
}

/// What a leader of a classic group assigns: everything, in turn.
fn assign(driver: &Driver, joined: &JoinGroupResponse) -> Vec<(Utf8Bytes, Bytes)> {
    let image = driver.cluster.image();
    let topics = TOPICS.iter().filter_map(|topic| image.topic(topic));
    let partitions: Vec<(&str, i32)> = topics
        .flat_map(|topic| {
            let name = TOPICS
                .iter()
                .find(|name| topic.name == **name)
                .expect("one of them");
            (0..topic.partition_count).map(move |partition| (*name, partition))
        })
        .collect();
    let count = joined.members.len();
    let members = joined.members.iter().enumerate().map(|(index, member)| {
        let share: Vec<(&str, i32)> = partitions
            .iter()
            .skip(index)
            .step_by(count.max(1))
            .copied()
            .collect();
        (member.member_id.clone(), assignment(&share, None))
    });
    members.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn no_partition_has_two_owners_and_groups_come_to_rest(steps in proptest::collection::vec(step(), 1..120)) {
        let mut simulation = Simulation::new();
        for step in &steps {
            simulation.step(step);
        }
        simulation.settle();
        // Another coordinator reads the same.
        let before = simulation.driver.coordinator.newest();
        simulation.driver.restart();
        prop_assert_eq!(simulation.driver.coordinator.newest(), before);
    }
}
