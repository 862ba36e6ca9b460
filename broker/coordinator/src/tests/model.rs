//! Everything at random: clients that behave and clients that do not, a log that fails, brokers that take over, time that passes. What must
//! hold then: what is read back is what was there; nobody is answered twice or never; one generation has one assignment.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use forebay_protocol::ErrorCode::{
    self, KafkaStorageError, MessageTooLarge, NotEnoughReplicas, NotLeaderOrFollower,
};
use forebay_protocol::internal_record::GroupRecordKey;
use forebay_protocol::messages::leave_group_request::MemberIdentity;
use forebay_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use forebay_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use forebay_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, OffsetDeleteRequest, SyncGroupRequest,
};
use proptest::prelude::*;

use super::Driver;
use super::driver::{join, note, protocol, text};
use super::offsets::{TOPIC_ID, commit};
use super::transactions::{end_of_transaction, txn_commit};
use crate::coordinator::Snapshot;
use crate::{Command, Config, Record, RequestId, Response};

const GROUPS: [&str; 2] = ["one", "two"];
const CLIENTS: usize = 6;

#[derive(Debug, Clone)]
enum Step {
    Join {
        client: usize,
        version: i16,
        protocols: u8,
        rebalance_timeout_s: i32,
    },
    Sync {
        client: usize,
    },
    Heartbeat {
        client: usize,
    },
    Leave {
        client: usize,
        by_instance: bool,
    },
    Commit {
        client: usize,
        as_member: bool,
        partition: i32,
    },
    /// A producer commits offsets as part of its transaction.
    CommitInTransaction {
        client: usize,
        as_member: bool,
        producer: i64,
        partition: i32,
    },
    EndTransaction {
        producer: i64,
        commit: bool,
    },
    DeleteOffsets {
        group: usize,
    },
    DeleteGroup {
        group: usize,
    },
    DeleteTopic,
    /// All clients of a group do what good clients do, until they have their assignments if nothing comes between.
    Behave {
        group: usize,
    },
    /// Uses the member id of another client, or an old generation.
    Confuse {
        client: usize,
        with: usize,
        generation: i32,
    },
    Forget {
        client: usize,
    },
    Pass {
        milliseconds: u64,
    },
    Committed {
        appends: usize,
    },
    Failed {
        kept: usize,
        error: ErrorCode,
    },
    /// The log refuses parts of transactions for their producers' sake: so many of the oldest from one on, at once.
    Refused {
        from: usize,
        count: usize,
    },
    TakeOver,
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    let version = prop_oneof![Just(0_i16), Just(3), Just(5), Just(9), Just(9)];
    let error = prop_oneof![
        Just(NotEnoughReplicas),
        Just(KafkaStorageError),
        Just(MessageTooLarge),
        Just(NotLeaderOrFollower),
    ];
    prop_oneof![
        10 => (client.clone(), version, 0..4_u8, prop_oneof![Just(0), Just(1), Just(20)]).prop_map(
            |(client, version, protocols, rebalance_timeout_s)| Step::Join { client, version, protocols, rebalance_timeout_s }
        ),
        10 => client.clone().prop_map(|client| Step::Sync { client }),
        3 => client.clone().prop_map(|client| Step::Heartbeat { client }),
        1 => (client.clone(), any::<bool>()).prop_map(|(client, by_instance)| Step::Leave { client, by_instance }),
        4 => (client.clone(), any::<bool>(), 0..3).prop_map(
            |(client, as_member, partition)| Step::Commit { client, as_member, partition }
        ),
        4 => (client.clone(), any::<bool>(), 0..2_i64, 0..3).prop_map(
            |(client, as_member, producer, partition)| Step::CommitInTransaction { client, as_member, producer, partition }
        ),
        3 => (0..2_i64, any::<bool>()).prop_map(|(producer, commit)| Step::EndTransaction { producer, commit }),
        1 => (0..GROUPS.len()).prop_map(|group| Step::DeleteOffsets { group }),
        1 => (0..GROUPS.len()).prop_map(|group| Step::DeleteGroup { group }),
        1 => Just(Step::DeleteTopic),
        4 => (0..GROUPS.len()).prop_map(|group| Step::Behave { group }),
        1 => (client.clone(), client.clone(), -1..3).prop_map(
            |(client, with, generation)| Step::Confuse { client, with, generation }
        ),
        1 => client.prop_map(|client| Step::Forget { client }),
        6 => prop_oneof![Just(0_u64), Just(10), Just(1_000), Just(3_000), Just(7_000), Just(30_000)]
            .prop_map(|milliseconds| Step::Pass { milliseconds }),
        6 => (1..4_usize).prop_map(|appends| Step::Committed { appends }),
        1 => (0..3_usize, error).prop_map(|(kept, error)| Step::Failed { kept, error }),
        3 => (0..4_usize, 1..4_usize).prop_map(|(from, count)| Step::Refused { from, count }),
        1 => Just(Step::TakeOver),
    ]
}

/// What a client believes.
#[derive(Debug, Clone, Default)]
struct Client {
    member: String,
    generation: i32,
    /// It was told that it leads, of whom.
    members: Vec<String>,
    protocol: Option<String>,
    joining: Option<RequestId>,
}

struct World {
    driver: Driver,
    clients: Vec<Client>,
    /// SyncGroups under way: whose, of which generation.
    syncing: BTreeMap<RequestId, (usize, String, i32)>,
    /// Which SyncGroup's assignment a generation of a group has; begun anew when the group is deleted.
    assigned: BTreeMap<(usize, i32), String>,
    tombstones_seen: usize,
    nonce: u32,
}

/// Clients 0, 1 and 2 are static; even ones are of the first group.
fn group_of(client: usize) -> usize {
    client % GROUPS.len()
}

fn instance_of(client: usize) -> Option<forebay_protocol::Utf8Bytes> {
    (client < 3).then(|| format!("static-{client}").into())
}

impl World {
    /// A log that is given up before sessions expire, or after.
    fn new(offset_commit_timeout_s: u64) -> Self {
        let config = Config {
            offset_commit_timeout: Duration::from_secs(offset_commit_timeout_s),
            offsets_retention: Duration::from_secs(120),
            offsets_retention_check_interval: Duration::from_secs(25),
            new_member_join_timeout: Duration::from_secs(40),
            group_size_max: 3,
            ..Config::default()
        };
        let mut driver = Driver::with(config);
        driver.hold = true;
        Self {
            driver,
            clients: vec![Client::default(); CLIENTS],
            syncing: BTreeMap::new(),
            assigned: BTreeMap::new(),
            tombstones_seen: 0,
            nonce: 0,
        }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Join {
                client,
                version,
                protocols,
                rebalance_timeout_s,
            } => {
                self.join(client, version, protocols, rebalance_timeout_s * 1_000);
            }
            Step::Sync { client } => self.sync(client),
            Step::Heartbeat { client } => self.heartbeat(client),
            Step::Leave { client, by_instance } => self.leave(client, by_instance),
            Step::Commit {
                client,
                as_member,
                partition,
            } => self.commit(client, as_member, partition),
            Step::CommitInTransaction {
                client,
                as_member,
                producer,
                partition,
            } => self.commit_in_transaction(client, as_member, producer, partition),
            Step::EndTransaction { producer, commit } => {
                self.driver
                    .ask(Command::EndTransaction(end_of_transaction(producer, commit)));
            }
            Step::DeleteOffsets { group } => self.delete_offsets(group),
            Step::DeleteGroup { group } => {
                self.driver.ask(Command::DeleteGroups(vec![GROUPS[group].into()]));
            }
            Step::DeleteTopic => {
                self.driver
                    .ask(Command::TopicsDeleted(vec![(text("t"), TOPIC_ID)]));
            }
            Step::Behave { group } => self.behave(group),
            Step::Confuse {
                client,
                with,
                generation,
            } => {
                self.clients[client].member = self.clients[with].member.clone();
                self.clients[client].generation += generation;
            }
            Step::Forget { client } => self.clients[client] = Client::default(),
            Step::Pass { milliseconds } => self.driver.advance(Duration::from_millis(milliseconds)),
            Step::Committed { appends } => {
                let appends = appends.min(self.driver.written.len());
                self.driver.commit_some(appends);
            }
            Step::Failed { kept, error } => {
                let kept = kept.min(self.driver.written.len());
                self.driver.fail(kept, error);
            }
            Step::Refused { from, count } => {
                self.driver
                    .refuse_some(from, count, ErrorCode::InvalidProducerEpoch);
            }
            Step::TakeOver => self.driver.restart(),
        }
    }

    fn heartbeat(&mut self, client: usize) {
        let (member_id, generation_id) = self.identity(client);
        self.driver.ask(Command::Heartbeat(HeartbeatRequest {
            group_id: GROUPS[group_of(client)].into(),
            generation_id,
            member_id,
            group_instance_id: instance_of(client),
            ..Default::default()
        }));
    }

    fn leave(&mut self, client: usize, by_instance: bool) {
        let (member, _) = self.identity(client);
        let member_id = if by_instance { text("") } else { member };
        let leaving = MemberIdentity {
            member_id,
            group_instance_id: instance_of(client),
            ..Default::default()
        };
        self.driver.ask(Command::LeaveGroup(LeaveGroupRequest {
            group_id: GROUPS[group_of(client)].into(),
            members: vec![leaving],
            ..Default::default()
        }));
    }

    fn commit(&mut self, client: usize, as_member: bool, partition: i32) {
        let mut request = commit(
            GROUPS[group_of(client)],
            &[("t", partition, i64::from(self.nonce))],
        );
        if as_member {
            (request.member_id, request.generation_id_or_member_epoch) = self.identity(client);
        }
        self.driver.ask(Command::OffsetCommit(request));
    }

    fn commit_in_transaction(&mut self, client: usize, as_member: bool, producer: i64, partition: i32) {
        self.nonce += 1;
        let offset = i64::from(self.nonce);
        let mut request = txn_commit(GROUPS[group_of(client)], producer, &[("t", partition, offset)]);
        if as_member {
            (request.member_id, request.generation_id) = self.identity(client);
        }
        self.driver.ask(Command::TxnOffsetCommit {
            request,
            verification: 0,
        });
    }

    fn delete_offsets(&mut self, group: usize) {
        let partitions = vec![OffsetDeleteRequestPartition { partition_index: 1 }];
        let topics = vec![OffsetDeleteRequestTopic {
            name: text("t"),
            partitions,
        }];
        let request = OffsetDeleteRequest {
            group_id: GROUPS[group].into(),
            topics,
        };
        self.driver.ask(Command::OffsetDelete(request));
    }

    fn behave(&mut self, group: usize) {
        let clients: Vec<usize> = (0..CLIENTS).filter(|client| group_of(*client) == group).collect();
        // Once for the id, once with it.
        for _ in 0..2 {
            for client in clients.clone() {
                if self.clients[client].joining.is_none() {
                    self.join(client, 9, 1, 20_000);
                }
            }
            self.driver.commit();
            self.read();
        }
        self.driver.advance(Duration::from_secs(6));
        self.read();
        clients.into_iter().for_each(|client| self.sync(client));
        self.driver.commit();
    }

    fn identity(&self, client: usize) -> (forebay_protocol::Utf8Bytes, i32) {
        (
            self.clients[client].member.as_str().into(),
            self.clients[client].generation,
        )
    }

    fn join(&mut self, client: usize, version: i16, protocols: u8, rebalance_timeout_ms: i32) {
        let protocols = match protocols {
            0 => vec![protocol("a", "1")],
            1 => vec![protocol("a", "2"), protocol("b", "2")],
            2 => vec![protocol("b", "3"), protocol("a", "3"), protocol("b", "again")],
            _ => vec![protocol("a", "1"), protocol("c", "1")],
        };
        let request = JoinGroupRequest {
            group_id: GROUPS[group_of(client)].into(),
            group_instance_id: instance_of(client).filter(|_| version >= 5),
            protocols,
            rebalance_timeout_ms,
            ..join(&self.clients[client].member)
        };
        self.clients[client].joining = Some(self.driver.join_as(version, request));
    }

    /// A leader assigns to each member a text of its own that names this SyncGroup.
    fn sync(&mut self, client: usize) {
        self.nonce += 1;
        let Client {
            member,
            generation,
            members,
            protocol,
            ..
        } = self.clients[client].clone();
        let assignments = members.iter().map(|of| SyncGroupRequestAssignment {
            member_id: of.as_str().into(),
            assignment: Bytes::from(format!("{} {of}", self.nonce)),
            ..Default::default()
        });
        let request = SyncGroupRequest {
            group_id: GROUPS[group_of(client)].into(),
            generation_id: generation,
            member_id: member.as_str().into(),
            group_instance_id: instance_of(client),
            protocol_type: Some(text("sr")),
            protocol_name: protocol.map(Into::into).or(Some(text("a"))),
            assignments: assignments.collect(),
            ..Default::default()
        };
        let id = self.driver.ask(Command::SyncGroup(request));
        self.syncing.insert(id, (client, member, generation));
    }

    /// Clients read their answers.
    fn read(&mut self) {
        self.note_deleted_groups();
        for (request, response) in std::mem::take(&mut self.driver.answers) {
            match response {
                Response::JoinGroup(response) => {
                    let joining = |client: &&mut Client| client.joining == Some(request);
                    let Some(client) = self.clients.iter_mut().find(joining) else {
                        continue;
                    };
                    client.joining = None;
                    if response.error_code == 0 || response.error_code == ErrorCode::MemberIdRequired.to_i16()
                    {
                        client.member = response.member_id.to_string();
                        client.generation = response.generation_id;
                        client.protocol = response.protocol_name.as_ref().map(ToString::to_string);
                        client.members = response
                            .members
                            .iter()
                            .map(|member| member.member_id.to_string())
                            .collect();
                    } else if response.error_code == ErrorCode::UnknownMemberId.to_i16() {
                        client.member.clear();
                    }
                }
                Response::SyncGroup(response) => {
                    let (client, member, generation) = self.syncing.remove(&request).expect("it was asked");
                    if response.error_code == 0 && !response.assignment.is_empty() {
                        self.assigned_once(client, &member, generation, &response.assignment);
                    }
                }
                _ => {}
            }
        }
    }

    fn assigned_once(&mut self, client: usize, member: &str, generation: i32, assignment: &[u8]) {
        let assignment = std::str::from_utf8(assignment).expect("we wrote it");
        let (sync, _) = assignment.split_once(' ').expect("we wrote it");
        let first = self
            .assigned
            .entry((group_of(client), generation))
            .or_insert_with(|| sync.to_owned());
        assert_eq!(
            first, sync,
            "{member} of generation {generation} has an assignment of its own"
        );
    }

    fn note_deleted_groups(&mut self) {
        for record in &self.driver.log[self.tombstones_seen..] {
            let key = GroupRecordKey::from_bytes(record.key.clone()).expect("we wrote it");
            if let (GroupRecordKey::GroupMetadata(key), None) = (key, &record.value) {
                self.assigned
                    .retain(|(group, _), _| *GROUPS[*group] != *key.group);
            }
        }
        self.tombstones_seen = self.driver.log.len();
    }

    fn check(&self) {
        let Driver {
            coordinator,
            written,
            log,
            transactions,
            ..
        } = &self.driver;
        coordinator.assert_consistent(written.is_empty());
        let (mut records, mut parts) = (log.clone(), transactions.clone());
        let read_back = |records: &[Record], parts: &[_]| -> Snapshot {
            self.driver.read_back(records, parts).committed_snapshot()
        };
        assert_eq!(coordinator.committed_snapshot(), read_back(&records, &parts));
        for append in written {
            note(append, &mut records, &mut parts);
        }
        assert_eq!(coordinator.newest(), read_back(&records, &parts));
    }

    /// Nobody asks any more: sessions, rebalances and new members' patience run out.
    fn settle(&mut self) {
        self.driver.commit();
        for producer in 0..2 {
            self.driver
                .ask(Command::EndTransaction(end_of_transaction(producer, false)));
        }
        for _ in 0..20 {
            self.driver.advance(Duration::from_secs(20));
            self.driver.commit();
        }
        assert!(
            self.driver.unanswered.is_empty(),
            "{:?} wait for ever",
            self.driver.unanswered
        );
        assert_eq!(self.driver.coordinator.group_count(), 0, "all has expired");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(
        offset_commit_timeout_s in prop_oneof![Just(5_u64), Just(25)],
        steps in proptest::collection::vec(step(), 0..120),
    ) {
        let mut world = World::new(offset_commit_timeout_s);
        for step in steps {
            world.run(&step);
            world.read();
            world.check();
        }
        world.settle();
    }
}
