//! A driver for tests: commits what is written, carries out what is wanted, and can be told to hold back or to fail.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_protocol::messages::{EndTxnRequest, InitProducerIdRequest};
use forebay_protocol::{ErrorCode, TopicPartition, Utf8Bytes};
use forebay_records::{ProducerEpoch, ProducerId, Timestamp};

use crate::transaction::metadata::TransactionMetadata;
use crate::transaction::record::{self, TransactionRecord};
use crate::transaction::{
    Action, AddPartitions, Command, Completion, Config, Event, Features, Markers, Outcome, Request, Response,
    State, TransactionCoordinator, TransactionVersion,
};
use crate::{Append, AppendId, Now, Record, RequestContext, RequestId};

/// Of everybody, unless said otherwise.
pub(super) const TIMEOUT_MS: i32 = 60_000;
pub(super) const EPOCH: i32 = 5;

/// A level that changes.
#[derive(Debug)]
pub(super) struct Finalized(Mutex<TransactionVersion>);

impl Finalized {
    pub(super) fn set(&self, version: TransactionVersion) {
        *self.0.lock().expect("whole") = version;
    }
}

impl Features for Finalized {
    fn transaction_version(&self) -> TransactionVersion {
        *self.0.lock().expect("whole")
    }
}

pub(super) struct Driver {
    pub(super) coordinator: TransactionCoordinator,
    pub(super) config: Config,
    pub(super) features: Arc<Finalized>,
    pub(super) now: Now,
    /// What is committed.
    pub(super) log: Vec<Record>,
    /// What is written and not committed.
    pub(super) written: VecDeque<Append>,
    /// What has been asked for and not been done.
    pub(super) actions: VecDeque<Action>,
    /// What was done of it.
    pub(super) markers: Vec<Markers>,
    pub(super) events: Vec<Event>,
    pub(super) hold_appends: bool,
    pub(super) hold_actions: bool,
    pub(super) next_producer_id: i64,
    next_request: u64,
    answers: HashMap<RequestId, Response>,
    unanswered: BTreeSet<RequestId>,
}

impl Driver {
    pub(super) fn new() -> Self {
        Self::with(TransactionVersion::V0)
    }

    pub(super) fn with(version: TransactionVersion) -> Self {
        let config = Config::default();
        let features = Arc::new(Finalized(Mutex::new(version)));
        let mut driver = Self {
            coordinator: TransactionCoordinator::new(config.clone(), EPOCH, Arc::clone(&features) as _),
            config,
            features,
            now: Now {
                timestamp: Timestamp(1_000_000),
                elapsed: Duration::from_secs(1),
            },
            log: Vec::new(),
            written: VecDeque::new(),
            actions: VecDeque::new(),
            markers: Vec::new(),
            events: Vec::new(),
            hold_appends: false,
            hold_actions: false,
            next_producer_id: 1_000,
            next_request: 0,
            answers: HashMap::new(),
            unanswered: BTreeSet::new(),
        };
        let outcome = driver.coordinator.activate(driver.now);
        driver.take(outcome);
        driver
    }

    /// Producer 1,000 of `t` has the last epoch that it can be given.
    pub(super) fn at_last_epoch(version: TransactionVersion) -> Self {
        let mut driver = Self::with(version);
        driver.init().expect("new");
        let metadata = TransactionMetadata {
            producer_epoch: ProducerEpoch(i16::MAX - 1),
            ..driver.metadata()
        };
        let record = record::encode(&"t".into(), &metadata, version).expect("short");
        driver.log.push(record);
        driver.reload();
        driver
    }

    pub(super) fn take(&mut self, outcome: Outcome) {
        for append in outcome.appends {
            assert!(!append.records.is_empty());
            assert!(self.written.back().is_none_or(|last| last.id < append.id));
            self.written.push_back(append);
        }
        for Completion { request, response } in outcome.completed {
            assert!(self.unanswered.remove(&request), "{request:?} is answered once");
            self.answers.insert(request, response);
        }
        self.events.extend(outcome.events);
        self.actions.extend(outcome.actions);
        self.settle();
    }

    /// Commits and carries out everything that is not held back.
    pub(super) fn settle(&mut self) {
        while !self.hold_appends && !self.written.is_empty() {
            self.commit_one();
        }
        while !self.hold_actions && !self.actions.is_empty() {
            self.act_one();
        }
    }

    /// Commits the oldest append.
    pub(super) fn commit_one(&mut self) {
        if let Some(append) = self.written.pop_front() {
            self.log.extend(append.records);
            let outcome = self.coordinator.committed(append.id, self.now);
            self.take(outcome);
        }
    }

    /// The oldest append fails, and all later ones with it.
    pub(super) fn fail_appends(&mut self, error: ErrorCode) {
        let first = self.written.front().map(|append| append.id);
        if let Some(AppendId(id)) = first {
            self.written.clear();
            let outcome = self.coordinator.append_failed(AppendId(id), error, self.now);
            self.take(outcome);
        }
    }

    /// Carries out the oldest action.
    pub(super) fn act_one(&mut self) {
        match self.actions.pop_front() {
            Some(Action::WriteMarkers(markers)) => {
                let all = markers
                    .partitions
                    .iter()
                    .map(|one| (one.clone(), Ok(())))
                    .collect();
                self.tell_markers(markers, all);
            }
            Some(Action::AllocateProducerId) => {
                let id = self.next_producer_id;
                self.next_producer_id += 1;
                self.send(0, Command::ProducerIdAllocated(Ok(ProducerId(id))));
            }
            None => {}
        }
    }

    /// Tells what came of markers.
    pub(super) fn tell_markers(
        &mut self,
        markers: Markers,
        results: Vec<(TopicPartition, Result<(), ErrorCode>)>,
    ) {
        self.markers.push(markers.clone());
        self.send(0, Command::MarkersWritten { markers, results });
    }

    pub(super) fn send(&mut self, api_version: i16, command: Command) -> RequestId {
        let id = RequestId(self.next_request);
        self.next_request += 1;
        self.unanswered.insert(id);
        let context = RequestContext {
            api_version,
            client_id: Utf8Bytes::default(),
            client_host: Utf8Bytes::default(),
        };
        let outcome = self
            .coordinator
            .handle(Request { id, context, command }, self.now);
        self.take(outcome);
        id
    }

    pub(super) fn answer(&mut self, id: RequestId) -> Option<Response> {
        self.answers.remove(&id)
    }

    pub(super) fn ask(&mut self, api_version: i16, command: Command) -> Response {
        let id = self.send(api_version, command);
        self.answer(id).expect("it is answered at once")
    }

    /// InitProducerId of `t` with the newest version: producer id and epoch, or an error.
    pub(super) fn init(&mut self) -> Result<(i64, i16), ErrorCode> {
        self.init_as(4, init_request("t", None))
    }

    pub(super) fn init_as(
        &mut self,
        api_version: i16,
        request: InitProducerIdRequest,
    ) -> Result<(i64, i16), ErrorCode> {
        initialized(self.ask(api_version, Command::InitProducerId(request)))
    }

    /// AddPartitionsToTxn of a client whose epoch stays.
    pub(super) fn add(&mut self, producer: (i64, i16), partitions: &[(&str, i32)]) -> ErrorCode {
        let answer = self.ask(3, Command::AddPartitions(adding("t", producer, partitions)));
        added(answer)
    }

    pub(super) fn end(
        &mut self,
        api_version: i16,
        producer: (i64, i16),
        committed: bool,
    ) -> Result<(i64, i16), ErrorCode> {
        let command = Command::EndTransaction(ending("t", producer, committed));
        ended(self.ask(api_version, command))
    }

    /// Time passes, and what it brings about happens.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.now.elapsed + time;
        while let Some(deadline) = self.coordinator.next_deadline().filter(|at| *at <= until) {
            self.move_to(deadline.max(self.now.elapsed));
            let outcome = self.coordinator.tick(self.now);
            self.take(outcome);
        }
        self.move_to(until);
    }

    fn move_to(&mut self, elapsed: Duration) {
        let passed = elapsed.saturating_sub(self.now.elapsed);
        self.now.elapsed = elapsed;
        self.now.timestamp.0 += i64::try_from(passed.as_millis()).expect("not that long");
    }

    /// The coordinator is gone, and another one reads the log. Whoever waits hears from nobody; what was on its way is lost.
    pub(super) fn reload(&mut self) {
        self.written.clear();
        self.actions.clear();
        self.unanswered.clear();
        let mut next =
            TransactionCoordinator::new(self.config.clone(), EPOCH + 1, Arc::clone(&self.features) as _);
        for Record { key, value } in &self.log {
            next.replay(Some(key), value.as_ref()).expect("our own record");
        }
        self.coordinator = next;
        let outcome = self.coordinator.activate(self.now);
        self.take(outcome);
    }

    /// The states that were written, one after the other; none for a tombstone.
    pub(super) fn states(&self) -> Vec<Option<State>> {
        records(&self.log)
            .into_iter()
            .map(|(_, one)| one.map(|one| one.state))
            .collect()
    }

    /// What is known of `t`.
    pub(super) fn metadata(&self) -> TransactionMetadata {
        let mut known = self.coordinator.committed_metadata();
        known.remove("t").expect("it is there")
    }
}

/// What records say.
pub(super) fn records(log: &[Record]) -> Vec<(Utf8Bytes, Option<TransactionMetadata>)> {
    let decoded = log
        .iter()
        .map(|one| TransactionRecord::decode(&one.key, one.value.as_ref()).expect("valid"));
    decoded
        .map(|record| match record {
            TransactionRecord::Transaction(id, metadata) => (id, metadata),
            TransactionRecord::Unknown => panic!("a record of another kind"),
        })
        .collect()
}

pub(super) fn init_request(id: &str, expected: Option<(i64, i16)>) -> InitProducerIdRequest {
    let (producer_id, producer_epoch) = expected.unwrap_or((-1, -1));
    InitProducerIdRequest {
        transactional_id: Some(id.into()),
        transaction_timeout_ms: TIMEOUT_MS,
        producer_id,
        producer_epoch,
        ..Default::default()
    }
}

pub(super) fn partitions(names: &[(&str, i32)]) -> Vec<TopicPartition> {
    let names = names.iter();
    names
        .map(|(topic, number)| TopicPartition::new(*topic, *number))
        .collect()
}

pub(super) fn adding(id: &str, (producer_id, epoch): (i64, i16), names: &[(&str, i32)]) -> AddPartitions {
    AddPartitions {
        transactional_id: id.into(),
        producer_id: ProducerId(producer_id),
        producer_epoch: ProducerEpoch(epoch),
        partitions: partitions(names),
        verify_only: false,
        client_version: TransactionVersion::V0,
    }
}

pub(super) fn ending(id: &str, (producer_id, producer_epoch): (i64, i16), committed: bool) -> EndTxnRequest {
    EndTxnRequest {
        transactional_id: id.into(),
        producer_id,
        producer_epoch,
        committed,
        ..Default::default()
    }
}

fn result(code: i16, id: i64, epoch: i16) -> Result<(i64, i16), ErrorCode> {
    match ErrorCode::from_i16(code) {
        ErrorCode::None => Ok((id, epoch)),
        error => {
            assert_eq!((id, epoch), (-1, -1), "nobody's, with {error:?}");
            Err(error)
        }
    }
}

pub(super) fn initialized(response: Response) -> Result<(i64, i16), ErrorCode> {
    match response {
        Response::InitProducerId(one) => result(one.error_code, one.producer_id, one.producer_epoch),
        other => panic!("{other:?}"),
    }
}

pub(super) fn ended(response: Response) -> Result<(i64, i16), ErrorCode> {
    match response {
        Response::EndTransaction(one) => result(one.error_code, one.producer_id, one.producer_epoch),
        other => panic!("{other:?}"),
    }
}

/// The answer to all partitions, which is the same.
pub(super) fn added(response: Response) -> ErrorCode {
    let results = match response {
        Response::AddPartitions(results) => results,
        other => panic!("{other:?}"),
    };
    let code = results.first().expect("for each").1;
    assert!(results.iter().all(|(_, one)| *one == code));
    code
}
