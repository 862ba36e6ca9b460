//! Everything at random: producers that retry, zombies, timeouts, appends that fail, markers that do not arrive, coordinators that die with
//! records on their way. The oracle knows nothing of how the coordinator decides: it reads the committed records one after the other, keeps
//! what each partition was told, and holds every answer against both.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use forebay_protocol::{ErrorCode, TopicPartition, Utf8Bytes};
use proptest::prelude::*;

use super::support::{Driver, TIMEOUT_MS, added, adding, ended, ending, init_request, initialized, records};
use crate::transaction::metadata::TransactionMetadata;
use crate::transaction::{Action, Command, Features as _, Markers, State, TransactionVersion};
use crate::{Record, RequestId};

const IDS: [&str; 2] = ["x", "y"];
const CLIENTS: usize = 4;
const TOPIC: &str = "p";

#[derive(Debug, Clone)]
enum Step {
    /// A producer begins, or goes on from what it has.
    Init {
        client: usize,
        goes_on: bool,
    },
    Add {
        client: usize,
        partition: i32,
    },
    End {
        client: usize,
        committed: bool,
    },
    /// The first append is committed.
    Commit,
    /// It fails, and the later ones with it.
    Fail(u8),
    /// What is wanted first is done; of markers, those of the partitions in the mask.
    Act {
        mask: u8,
        is_told: bool,
    },
    Pass {
        ms: u64,
    },
    /// The coordinator dies. Of the appends on their way those in the mask are in the log, of the markers some are written.
    Die {
        appends: u8,
        markers: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..CLIENTS, any::<bool>()).prop_map(|(client, goes_on)| Step::Init { client, goes_on }),
        6 => (0..CLIENTS, 0..3_i32).prop_map(|(client, partition)| Step::Add { client, partition }),
        5 => (0..CLIENTS, any::<bool>()).prop_map(|(client, committed)| Step::End { client, committed }),
        16 => Just(Step::Commit),
        2 => any::<u8>().prop_map(Step::Fail),
        10 => (prop_oneof![3 => Just(0xff), 1 => any::<u8>()], any::<bool>())
            .prop_map(|(mask, is_told)| Step::Act { mask, is_told: is_told || mask == 0xff }),
        3 => (0..40_000_u64).prop_map(|ms| Step::Pass { ms }),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(appends, markers)| Step::Die { appends, markers }),
    ]
}

/// One producer: which id, which way of running transactions, and what it believes to have.
#[derive(Debug, Clone)]
struct Client {
    id: &'static str,
    raises_epoch: bool,
    producer: Option<(i64, i16)>,
}

#[derive(Debug)]
enum Asked {
    Init { goes_on: bool },
    Add { partition: i32 },
    End { committed: bool },
}

/// What the committed records and the partitions say of an id.
#[derive(Debug, Default)]
struct Known {
    newest: Option<TransactionMetadata>,
    /// Transactions that have begun.
    number: u32,
    /// For the current one: partitions that have been told, and what.
    told: BTreeMap<TopicPartition, bool>,
}

struct World {
    driver: Driver,
    clients: Vec<Client>,
    asked: BTreeMap<RequestId, (usize, (i64, i16), Asked)>,
    known: BTreeMap<Utf8Bytes, Known>,
    /// Records that the oracle has read.
    read: usize,
    /// What producers were given, each pair to one of them only.
    given: HashSet<(&'static str, i64, i16)>,
    /// Who has asked to abort, at any time.
    aborting: HashSet<(i64, i16)>,
}

impl World {
    fn new(version: TransactionVersion) -> Self {
        let mut driver = Driver::with(version);
        driver.hold_appends = true;
        driver.hold_actions = true;
        let client = |number: usize| Client {
            id: IDS[number % 2],
            raises_epoch: version == TransactionVersion::V2 && number < 2,
            producer: None,
        };
        Self {
            driver,
            clients: (0..CLIENTS).map(client).collect(),
            asked: BTreeMap::new(),
            known: BTreeMap::new(),
            read: 0,
            given: HashSet::new(),
            aborting: HashSet::new(),
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Init { client, goes_on } => {
                let Client { id, producer, .. } = self.clients[client];
                let expected = producer.filter(|_| goes_on);
                let command = Command::InitProducerId(init_request(id, expected));
                let goes_on = expected.is_some();
                self.ask(client, 4, command, Asked::Init { goes_on });
            }
            Step::Add { client, partition } => {
                let Client { id, producer, .. } = self.clients[client];
                let command = adding(id, producer.unwrap_or((7, 0)), &[(TOPIC, partition)]);
                self.ask(
                    client,
                    3,
                    Command::AddPartitions(command),
                    Asked::Add { partition },
                );
            }
            Step::End { client, committed } => {
                let Client {
                    id,
                    producer,
                    raises_epoch,
                } = self.clients[client];
                let command = Command::EndTransaction(ending(id, producer.unwrap_or((7, 0)), committed));
                let version = if raises_epoch { 5 } else { 4 };
                self.aborting.extend(producer.filter(|_| !committed));
                self.ask(client, version, command, Asked::End { committed });
            }
            Step::Commit => {
                let before = self.driver.log.len();
                self.driver.commit_one();
                assert!(self.driver.log.len() >= before);
            }
            Step::Fail(kind) => {
                let errors = [ErrorCode::NotEnoughReplicas, ErrorCode::KafkaStorageError];
                self.driver.fail_appends(errors[usize::from(kind) % 2]);
            }
            Step::Act { mask, is_told } => self.act(mask, is_told),
            Step::Pass { ms } => self.driver.pass(Duration::from_millis(ms)),
            Step::Die { appends, markers } => self.die(appends, markers),
        }
        self.read_log();
        self.hear_answers();
    }

    fn ask(&mut self, client: usize, version: i16, command: Command, asked: Asked) {
        let claimed = self.clients[client].producer.unwrap_or((7, 0));
        let id = self.driver.send(version, command);
        self.asked.insert(id, (client, claimed, asked));
    }

    /// Does what is wanted first. Markers that are written without the coordinator being told are written again.
    fn act(&mut self, mask: u8, is_told: bool) {
        match self.driver.actions.pop_front() {
            Some(Action::WriteMarkers(markers)) => {
                let results = self.write_markers(&markers, mask);
                if is_told {
                    self.driver.tell_markers(markers, results);
                } else {
                    let lost = |(one, _)| (one, Err(ErrorCode::RequestTimedOut));
                    self.driver
                        .tell_markers(markers, results.into_iter().map(lost).collect());
                }
            }
            Some(other) => {
                self.driver.actions.push_front(other);
                self.driver.act_one();
            }
            None => {}
        }
    }

    /// The partitions in the mask take the markers: each must be of a transaction that is decided so, and never the other way.
    fn write_markers(&mut self, markers: &Markers, mask: u8) -> Vec<(TopicPartition, Result<(), ErrorCode>)> {
        let known = self.known.get_mut(&markers.transactional_id).expect("decided");
        let newest = known.newest.as_ref().expect("decided");
        let kind = if markers.commit {
            State::PrepareCommit
        } else {
            State::PrepareAbort
        };
        // A coordinator that has died may have had them on their way; then they are repeated for a complete one, and nothing is added.
        let is_late = newest.state.is_idle() || newest.state == State::Ongoing;
        if !is_late {
            assert_eq!(newest.state, kind, "{markers:?}");
            assert_eq!(
                (newest.producer_id, newest.producer_epoch),
                (markers.producer_id, markers.producer_epoch)
            );
        }
        let mut results = Vec::new();
        for (number, partition) in markers.partitions.iter().enumerate() {
            if mask >> (number % 8) & 1 == 0 {
                results.push((partition.clone(), Err(ErrorCode::NotLeaderOrFollower)));
                continue;
            }
            if !is_late {
                let told = known.told.insert(partition.clone(), markers.commit);
                assert!(
                    told.is_none_or(|before| before == markers.commit),
                    "both ways: {markers:?}"
                );
            }
            results.push((partition.clone(), Ok(())));
        }
        results
    }

    fn die(&mut self, appends: u8, markers: u8) {
        for (number, append) in self.driver.written.iter().enumerate() {
            if appends >> (number % 8) & 1 == 1 {
                self.driver.log.extend(append.records.iter().cloned());
            }
        }
        let under_way: Vec<Action> = self.driver.actions.drain(..).collect();
        for action in under_way {
            if let Action::WriteMarkers(one) = action {
                self.write_markers(&one, markers);
            }
        }
        self.read_log();
        // Whoever waited hears nothing.
        self.hear_answers();
        self.asked.clear();
        self.driver.reload();
    }

    /// Each record must be one that may follow the one before it.
    fn read_log(&mut self) {
        let new: Vec<Record> = self.driver.log[self.read..].to_vec();
        self.read = self.driver.log.len();
        for (id, metadata) in records(&new) {
            let known = self.known.entry(id).or_default();
            let before = known.newest.take();
            if let (Some(before), Some(after)) = (&before, &metadata) {
                check_order(before, after, known);
                let stays = before.producer_epoch == after.producer_epoch;
                if before.state == State::Ongoing && after.state == State::PrepareAbort && stays {
                    let producer = (before.producer_id.0, before.producer_epoch.0);
                    assert!(self.aborting.contains(&producer), "its producer is to be fenced");
                }
            }
            let was_idle = before.as_ref().is_none_or(|before| before.state.is_idle());
            let begins = metadata
                .as_ref()
                .is_some_and(|after| !after.state.is_idle() && was_idle);
            if begins {
                known.number += 1;
                known.told.clear();
            }
            known.newest = metadata;
        }
        self.compare();
    }

    /// What the coordinator goes by is what the log says.
    fn compare(&self) {
        let forget = |metadata: &TransactionMetadata| {
            let mut metadata = metadata.clone();
            metadata.last_producer_epoch = (-1).into();
            if self.driver.features.transaction_version() == TransactionVersion::V0 {
                metadata.previous_producer_id = (-1).into();
                metadata.next_producer_id = (-1).into();
                metadata.client_version = TransactionVersion::V0;
            }
            metadata
        };
        let live = self.driver.coordinator.committed_metadata();
        let live: BTreeMap<_, _> = live.iter().map(|(id, one)| (id.clone(), forget(one))).collect();
        let logged = self.known.iter();
        let logged: BTreeMap<_, _> = logged
            .filter_map(|(id, one)| Some((id.clone(), forget(one.newest.as_ref()?))))
            .collect();
        // While the coordinator dies the log is ahead.
        if self.driver.log.len() == self.read && self.driver.written.is_empty() {
            assert_eq!(live, logged);
        }
    }

    fn hear_answers(&mut self) {
        let asked: Vec<RequestId> = self.asked.keys().copied().collect();
        for id in asked {
            let Some(answer) = self.driver.answer(id) else {
                continue;
            };
            let (client, claimed, asked) = self.asked.remove(&id).expect("asked");
            match asked {
                Asked::Init { goes_on } => self.heard_init(client, goes_on, initialized(answer)),
                Asked::Add { partition } => self.heard_add(client, claimed, partition, added(answer)),
                Asked::End { committed } => self.heard_end(client, claimed, committed, ended(answer)),
            }
        }
    }

    fn newest(&self, client: usize) -> &TransactionMetadata {
        let known = self.known.get(self.clients[client].id).expect("it was written");
        known.newest.as_ref().expect("it is there")
    }

    fn heard_init(&mut self, client: usize, goes_on: bool, answer: Result<(i64, i16), ErrorCode>) {
        let Ok((id, epoch)) = answer else { return };
        let newest = self.newest(client);
        assert_eq!(newest.state, State::Empty);
        assert_eq!((newest.producer_id.0, newest.producer_epoch.0), (id, epoch));
        let is_new = self.given.insert((self.clients[client].id, id, epoch));
        assert!(is_new || goes_on, "two producers with epoch {epoch}");
        self.clients[client].producer = Some((id, epoch));
    }

    fn heard_add(&mut self, client: usize, claimed: (i64, i16), partition: i32, code: ErrorCode) {
        if code != ErrorCode::None {
            return;
        }
        let newest = self.newest(client);
        assert_eq!(newest.state, State::Ongoing);
        assert!(newest.partitions.contains(&TopicPartition::new(TOPIC, partition)));
        assert_eq!(
            (newest.producer_id.0, newest.producer_epoch.0),
            claimed,
            "a zombie"
        );
    }

    fn heard_end(
        &mut self,
        client: usize,
        (id, epoch): (i64, i16),
        committed: bool,
        answer: Result<(i64, i16), ErrorCode>,
    ) {
        let Ok(producer) = answer else { return };
        let raises_epoch = self.clients[client].raises_epoch;
        let newest = self.newest(client);
        let (prepared, complete) = if committed {
            (State::PrepareCommit, State::CompleteCommit)
        } else {
            (State::PrepareAbort, State::CompleteAbort)
        };
        assert!(newest.state == prepared || newest.state == complete, "{newest:?}");
        let current = (newest.producer_id.0, newest.producer_epoch.0);
        if raises_epoch {
            assert_eq!(current, (id, epoch + 1), "a zombie");
            assert_eq!(producer, (id, epoch + 1));
            self.given.insert((self.clients[client].id, id, epoch + 1));
            // One that asked again before it heard may have heard more since.
            if self.clients[client].producer == Some((id, epoch)) {
                self.clients[client].producer = Some(producer);
            }
        } else {
            assert_eq!(current, (id, epoch), "a zombie");
        }
    }

    /// Nothing fails any more, and time passes: everybody is answered and everything comes to its end.
    fn come_to_rest(&mut self) {
        for _ in 0..20 {
            while !self.driver.written.is_empty() || !self.driver.actions.is_empty() {
                self.take(&Step::Commit);
                self.take(&Step::Act {
                    mask: 0xff,
                    is_told: true,
                });
            }
            self.take(&Step::Pass {
                ms: u64::from(TIMEOUT_MS.unsigned_abs()) / 5,
            });
        }
        assert!(self.asked.is_empty(), "{:?}", self.asked);
        for (id, known) in &self.known {
            let newest = known.newest.as_ref().expect("nothing expires so soon");
            assert!(newest.state.is_idle(), "{id}: {newest:?}");
        }
    }
}

/// The rules of KIP-98 and KIP-890 for two records of an id that follow each other.
fn check_order(before: &TransactionMetadata, after: &TransactionMetadata, known: &Known) {
    use State::{CompleteAbort, CompleteCommit, Empty, Ongoing, PrepareAbort, PrepareCommit};
    let may = match before.state {
        Empty | CompleteCommit | CompleteAbort => [Empty, Ongoing, PrepareAbort].contains(&after.state),
        Ongoing => [Ongoing, PrepareCommit, PrepareAbort].contains(&after.state),
        PrepareCommit => after.state == CompleteCommit,
        PrepareAbort => after.state == CompleteAbort,
        _ => false,
    };
    assert!(may, "{after:?} after {before:?}");
    assert_eq!(
        before.producer_id, after.producer_id,
        "so many epochs were not used"
    );
    assert!(before.producer_epoch <= after.producer_epoch);
    if matches!(after.state, CompleteCommit | CompleteAbort) {
        let commit = after.state == CompleteCommit;
        let told: BTreeSet<_> = known.told.keys().collect();
        assert_eq!(told, before.partitions.iter().collect(), "all are told first");
        assert!(known.told.values().all(|one| *one == commit), "{:?}", known.told);
    }
    if before.state == Ongoing {
        assert!(after.partitions.is_superset(&before.partitions));
        assert_eq!(before.start, after.start);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_a_transaction_is_whole_and_its_producer_the_only_one(
        steps in proptest::collection::vec(step(), 0..150),
        version in prop_oneof![Just(TransactionVersion::V0), Just(TransactionVersion::V1), Just(TransactionVersion::V2)],
    ) {
        let mut world = World::new(version);
        for step in &steps {
            world.take(step);
        }
        world.come_to_rest();
        let before = world.driver.coordinator.committed_metadata().len();
        world.driver.reload();
        prop_assert_eq!(world.driver.coordinator.committed_metadata().len(), before);
        world.compare();
    }
}
