//! A driver as small as the contract allows: one log in memory, commits when told to, a clock that stands still until moved.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_protocol::messages::heartbeat_request::HeartbeatRequest;
use forebay_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use forebay_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use forebay_protocol::messages::{
    JoinGroupRequest, JoinGroupResponse, LeaveGroupResponse, OffsetCommitResponse, SyncGroupRequest,
    SyncGroupResponse,
};
use forebay_protocol::{ErrorCode, Utf8Bytes};
use forebay_records::{NO_PRODUCER_ID, Offset, Timestamp};

use super::cluster::TestCluster;
use crate::{
    Action, Append, Cluster as _, Command, Completion, Config, Event, GroupCoordinator, Now, Outcome, Record,
    Request, RequestContext, RequestId, Response, Source, State, TransactionPart, resolve_expressions,
};

pub(super) const GROUP: &str = "group";
pub(super) const SESSION: Duration = Duration::from_secs(10);
pub(super) const REBALANCE: Duration = Duration::from_secs(60);

pub(super) struct Driver {
    pub(super) config: Config,
    pub(super) coordinator: GroupCoordinator,
    pub(super) now: Now,
    /// Written, not committed.
    pub(super) written: VecDeque<Append>,
    /// Committed.
    pub(super) log: Vec<Record>,
    /// Which records of the log are part of transactions, and before which of them one ended.
    pub(super) transactions: Vec<(usize, TransactionPart)>,
    pub(super) answers: BTreeMap<RequestId, Response>,
    pub(super) unanswered: BTreeSet<RequestId>,
    pub(super) events: Vec<Event>,
    /// The topics that there are.
    pub(super) cluster: Arc<TestCluster>,
    /// Leave what is written uncommitted until told.
    pub(super) hold: bool,
    /// What is to be done, and is left until told.
    pub(super) actions: Vec<Action>,
    pub(super) hold_actions: bool,
    asked: u64,
}

impl Driver {
    pub(super) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(super) fn with(config: Config) -> Self {
        let now = Now {
            timestamp: Timestamp(1_700_000_000_000),
            elapsed: Duration::from_secs(1_000),
        };
        let cluster = Arc::new(TestCluster::default());
        let mut driver = Self {
            coordinator: GroupCoordinator::new(config.clone()).with_cluster(Arc::clone(&cluster) as _),
            cluster,
            config,
            now,
            written: VecDeque::new(),
            log: Vec::new(),
            transactions: Vec::new(),
            answers: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            events: Vec::new(),
            hold: false,
            actions: Vec::new(),
            hold_actions: false,
            asked: 0,
        };
        let outcome = driver.coordinator.activate(now);
        driver.take(outcome);
        driver
    }

    /// What a broker does that takes over: reads the committed log. Whoever waits is told to look elsewhere.
    pub(super) fn restart(&mut self) {
        let new = self.read_back(&self.log, &self.transactions);
        let old = std::mem::replace(&mut self.coordinator, new);
        for completion in old.resign(self.now) {
            self.answered(completion);
        }
        self.written.clear();
        self.actions.clear();
        let outcome = self.coordinator.activate(self.now);
        self.take(outcome);
    }

    /// A coordinator that has read a log with transactions.
    pub(super) fn read_back(
        &self,
        log: &[Record],
        transactions: &[(usize, TransactionPart)],
    ) -> GroupCoordinator {
        replayed_with(&self.config, log, transactions).with_cluster(Arc::clone(&self.cluster) as _)
    }

    fn answered(&mut self, Completion { request, response }: Completion) {
        assert!(
            self.unanswered.remove(&request),
            "{request:?} is answered once: {response:?}"
        );
        self.answers.insert(request, response);
    }

    pub(super) fn take(&mut self, outcome: Outcome) {
        let Outcome {
            appends,
            completed,
            events,
            actions,
        } = outcome;
        for append in appends {
            let is_end = matches!(append.transaction, Some(TransactionPart::End(_)));
            assert_eq!(append.records.is_empty(), is_end);
            assert!(self.written.back().is_none_or(|last| last.id < append.id));
            self.written.push_back(append);
        }
        for completion in completed {
            self.answered(completion);
        }
        self.events.extend(events);
        self.actions.extend(actions);
        if !self.hold {
            self.commit();
        }
        if !self.hold_actions {
            self.act();
        }
    }

    /// Does what is to be done.
    pub(super) fn act(&mut self) {
        for action in std::mem::take(&mut self.actions) {
            let Action::ResolveExpressions {
                group,
                number,
                expressions,
                ..
            } = action;
            let resolved = resolve_expressions(expressions, &*self.cluster.image(), &|| true);
            let request = self.ask(Command::ExpressionsResolved {
                group,
                number,
                resolved,
            });
            assert_eq!(self.answer(request), Some(Response::ExpressionsResolved));
        }
    }

    /// Commits all that is written, and what comes of that.
    pub(super) fn commit(&mut self) {
        while !self.written.is_empty() {
            self.commit_some(self.written.len());
        }
    }

    /// Commits the oldest `count` appends.
    pub(super) fn commit_some(&mut self, count: usize) {
        for append in self.written.drain(..count).collect::<Vec<_>>() {
            note(&append, &mut self.log, &mut self.transactions);
            let outcome = self.coordinator.committed(append.id, self.now);
            let hold = std::mem::replace(&mut self.hold, true);
            self.take(outcome);
            self.hold = hold;
        }
    }

    /// The log takes none but the oldest `kept` appends: the others fail in their order, parts of transactions one by one.
    pub(super) fn fail(&mut self, kept: usize, error: ErrorCode) {
        for failed in self.written.split_off(kept) {
            let outcome = self.coordinator.append_failed(failed.id, error, self.now);
            self.take(outcome);
            if failed.transaction.is_none() {
                return;
            }
        }
    }

    /// The log refuses the oldest append from the `from`th on that is part of a transaction, and that alone.
    pub(super) fn refuse(&mut self, from: usize, error: ErrorCode) {
        self.refuse_some(from, 1, error);
    }

    /// The same of the `count` oldest, at once.
    pub(super) fn refuse_some(&mut self, from: usize, count: usize, error: ErrorCode) {
        let parts = self.written.iter().skip(from);
        let parts = parts.filter(|append| append.transaction.is_some());
        let refused: Vec<_> = parts.take(count).map(|append| (append.id, error)).collect();
        self.written
            .retain(|append| refused.iter().all(|(id, _)| *id != append.id));
        let outcome = self.coordinator.appends_refused(&refused, self.now);
        self.take(outcome);
    }

    pub(super) fn ask_as(&mut self, api_version: i16, client_id: &str, command: Command) -> RequestId {
        let id = RequestId(self.asked);
        self.asked += 1;
        self.unanswered.insert(id);
        let context = RequestContext {
            api_version,
            client_id: client_id.into(),
            client_host: "/127.0.0.1".into(),
        };
        let outcome = self
            .coordinator
            .handle(Request { id, context, command }, self.now);
        self.take(outcome);
        id
    }

    /// Asks in the newest version.
    pub(super) fn ask(&mut self, command: Command) -> RequestId {
        let newest = match &command {
            Command::JoinGroup(..) | Command::OffsetFetch { .. } => 9,
            Command::SyncGroup(_) | Command::LeaveGroup(_) | Command::ListGroups(_) => 5,
            Command::Heartbeat(_) => 4,
            Command::OffsetCommit(_) => 10,
            Command::DescribeGroups(_) => 6,
            Command::ConsumerGroupHeartbeat { .. } | Command::ConsumerGroupDescribe(_) => 1,
            Command::DeleteGroups(_) => 2,
            Command::TxnOffsetCommit { .. } => 5,
            Command::OffsetDelete(_)
            | Command::TopicsDeleted(_)
            | Command::EndTransaction(_)
            | Command::ExpressionsResolved { .. } => 0,
        };
        self.ask_as(newest, "client", command)
    }

    /// Lets time pass, timer by timer.
    pub(super) fn advance(&mut self, by: Duration) {
        let until = self.now.elapsed + by;
        while let Some(deadline) = self
            .coordinator
            .next_deadline()
            .filter(|deadline| *deadline <= until)
        {
            let step = deadline.saturating_sub(self.now.elapsed);
            self.set_clock(step);
            let outcome = self.coordinator.tick(self.now);
            self.take(outcome);
        }
        let rest = until - self.now.elapsed;
        self.set_clock(rest);
    }

    fn set_clock(&mut self, by: Duration) {
        self.now.elapsed += by;
        self.now.timestamp.0 += i64::try_from(by.as_millis()).expect("tests do not last that long");
    }

    pub(super) fn answer(&mut self, request: RequestId) -> Option<Response> {
        self.answers.remove(&request)
    }

    pub(super) fn joined(&mut self, request: RequestId) -> JoinGroupResponse {
        match self.answer(request) {
            Some(Response::JoinGroup(response)) => response,
            other => panic!("{request:?} has {other:?}"),
        }
    }

    pub(super) fn synced(&mut self, request: RequestId) -> SyncGroupResponse {
        match self.answer(request) {
            Some(Response::SyncGroup(response)) => response,
            other => panic!("{request:?} has {other:?}"),
        }
    }

    pub(super) fn left(&mut self, request: RequestId) -> LeaveGroupResponse {
        match self.answer(request) {
            Some(Response::LeaveGroup(response)) => response,
            other => panic!("{request:?} has {other:?}"),
        }
    }

    pub(super) fn heartbeat(&mut self, member: &str, generation: i32) -> ErrorCode {
        self.heartbeat_as(member, None, generation)
    }

    pub(super) fn heartbeat_as(
        &mut self,
        member: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> ErrorCode {
        let request = self.ask(Command::Heartbeat(HeartbeatRequest {
            group_id: GROUP.into(),
            generation_id: generation,
            member_id: member.into(),
            group_instance_id: instance.map(Into::into),
            ..Default::default()
        }));
        match self.answer(request) {
            Some(Response::Heartbeat(response)) => ErrorCode::from_i16(response.error_code),
            other => panic!("{request:?} has {other:?}"),
        }
    }

    /// The state of a group as readers see it.
    pub(super) fn state(&mut self, group: &str) -> String {
        let request = self.ask(Command::DescribeGroups(vec![group.into()]));
        match self.answer(request) {
            Some(Response::DescribeGroups(groups)) => groups[0].group_state.to_string(),
            other => panic!("{request:?} has {other:?}"),
        }
    }

    /// A stable group of dynamic members of the newest version, leader first; the generation is the second.
    pub(super) fn stable_group(&mut self, members: usize) -> (Vec<String>, i32) {
        let joins: Vec<RequestId> = (0..members)
            .map(|_| self.join_with_id(|request| request))
            .map(|(_, join)| join)
            .collect();
        self.advance(self.config.initial_rebalance_delay * 3);
        let joined: Vec<JoinGroupResponse> = joins.into_iter().map(|join| self.joined(join)).collect();
        let generation = joined[0].generation_id;
        let leader = joined[0].leader.to_string();
        let mut ids: Vec<String> = joined.iter().map(|joined| joined.member_id.to_string()).collect();
        ids.sort_by_key(|id| *id != leader);
        let assignments: Vec<(&str, &str)> = ids.iter().map(|id| (&**id, &**id)).collect();
        let sync = self.ask(Command::SyncGroup(sync(&leader, generation, &assignments)));
        assert_eq!(self.synced(sync).error_code, 0);
        for id in ids.iter().skip(1) {
            let sync = self.ask(Command::SyncGroup(self::sync(id, generation, &[])));
            assert_eq!(self.synced(sync).assignment, Bytes::from(id.clone()));
        }
        assert_eq!(self.state(GROUP), State::Stable.name());
        (ids, generation)
    }

    /// A dynamic member asks for its id and joins with it; gives both.
    pub(super) fn join_with_id(
        &mut self,
        change: impl Fn(JoinGroupRequest) -> JoinGroupRequest,
    ) -> (String, RequestId) {
        let first = self.join(change(join("")));
        let response = self.joined(first);
        assert_eq!(
            ErrorCode::from_i16(response.error_code),
            ErrorCode::MemberIdRequired,
            "{response:?}"
        );
        let member = response.member_id.to_string();
        let second = self.join(change(join(&member)));
        (member, second)
    }

    pub(super) fn join(&mut self, request: JoinGroupRequest) -> RequestId {
        let random = u128::from(self.asked);
        self.ask(Command::JoinGroup(request, random))
    }

    pub(super) fn join_as(&mut self, api_version: i16, request: JoinGroupRequest) -> RequestId {
        let random = u128::from(self.asked);
        self.ask_as(api_version, "client", Command::JoinGroup(request, random))
    }
}

/// Appends go into a log.
pub(super) fn note(append: &Append, log: &mut Vec<Record>, transactions: &mut Vec<(usize, TransactionPart)>) {
    match append.transaction {
        Some(TransactionPart::End(_)) => transactions.extend(append.transaction.map(|end| (log.len(), end))),
        Some(part) => transactions.extend((log.len()..log.len() + append.records.len()).map(|at| (at, part))),
        None => {}
    }
    log.extend_from_slice(&append.records);
}

/// A coordinator that has read `log` and does nothing yet.
pub(super) fn replayed(config: &Config, log: &[Record]) -> GroupCoordinator {
    replayed_with(config, log, &[])
}

/// The same with transactions in it.
fn replayed_with(
    config: &Config,
    log: &[Record],
    transactions: &[(usize, TransactionPart)],
) -> GroupCoordinator {
    let mut coordinator = GroupCoordinator::new(config.clone());
    let mut transactions = transactions.iter().peekable();
    for at in 0..=log.len() {
        let mut producer_id = NO_PRODUCER_ID;
        while let Some((_, part)) = transactions.next_if(|(place, _)| *place == at) {
            match part {
                TransactionPart::End(end) => {
                    coordinator.replay_end_of_transaction(end.producer_id, end.commit);
                }
                TransactionPart::Records { producer_id: id, .. } => producer_id = *id,
            }
        }
        let Some(record) = log.get(at) else { break };
        let source = Source {
            offset: Offset(i64::try_from(at).expect("a short log")),
            producer_id,
        };
        coordinator
            .replay(source, Some(&record.key), record.value.as_ref())
            .expect("what we wrote can be read");
    }
    coordinator
}

pub(super) fn protocol(name: &str, metadata: &str) -> JoinGroupRequestProtocol {
    let metadata = Bytes::copy_from_slice(metadata.as_bytes());
    JoinGroupRequestProtocol {
        name: name.into(),
        metadata,
        ..Default::default()
    }
}

/// A JoinGroup of a member of some protocol of its own.
pub(super) fn join(member: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: GROUP.into(),
        session_timeout_ms: i32::try_from(SESSION.as_millis()).expect("short"),
        rebalance_timeout_ms: i32::try_from(REBALANCE.as_millis()).expect("short"),
        member_id: member.into(),
        protocol_type: "sr".into(),
        protocols: vec![protocol("v0", "metadata")],
        ..Default::default()
    }
}

/// The metadata of a consumer of `topics`.
pub(super) fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = vec![0, 1];
    bytes.extend(u32::try_from(topics.len()).expect("few").to_be_bytes());
    for topic in topics {
        bytes.extend(u16::try_from(topic.len()).expect("short").to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend([0xff; 4]);
    bytes.into()
}

/// Makes a JoinGroup a consumer's.
pub(super) fn consuming(mut request: JoinGroupRequest, topics: &[&str]) -> JoinGroupRequest {
    request.protocol_type = "consumer".into();
    let metadata = subscription(topics);
    request.protocols = vec![JoinGroupRequestProtocol {
        name: "range".into(),
        metadata,
        ..Default::default()
    }];
    request
}

pub(super) fn sync(member: &str, generation: i32, assignments: &[(&str, &str)]) -> SyncGroupRequest {
    let assignments = assignments
        .iter()
        .map(|(member, assignment)| SyncGroupRequestAssignment {
            member_id: (*member).into(),
            assignment: Bytes::copy_from_slice(assignment.as_bytes()),
            ..Default::default()
        });
    SyncGroupRequest {
        group_id: GROUP.into(),
        generation_id: generation,
        member_id: member.into(),
        protocol_type: Some("sr".into()),
        protocol_name: Some("v0".into()),
        assignments: assignments.collect(),
        ..Default::default()
    }
}

/// The error of the first partition.
pub(super) fn first_error(response: &OffsetCommitResponse) -> ErrorCode {
    ErrorCode::from_i16(response.topics[0].partitions[0].error_code)
}

pub(super) fn error(code: i16) -> ErrorCode {
    ErrorCode::from_i16(code)
}

pub(super) fn text(text: &str) -> Utf8Bytes {
    text.into()
}
