//! One shard of the group coordinator: takes commands and time, keeps what is decided in step with what is written.
//! Each API decides in its own file below this one (in `modern` what it does in a consumer group); how decisions become appends,
//! and what a failed one takes back, is in `appends`.

mod appends;
mod commits;
#[cfg(test)]
mod consistency;
mod describe;
mod driven;
mod expire;
mod group;
mod heartbeat;
mod join;
mod leave;
mod modern;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod sync;
mod txn_offset_commit;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use forebay_protocol::{ErrorCode, Utf8Bytes, Uuid};
use forebay_records::{ControlRecordType, NO_PRODUCER_ID, ProducerId, RecordBatch};

#[cfg(test)]
pub(crate) use consistency::Snapshot;
pub use offset_fetch::{offset_fetch_groups, offset_fetch_response};

use crate::classic::{ClassicGroup, State};
use crate::consumer::{ClusterImage, NoCluster};
use crate::persisted::{Persisted, Source};
use crate::record::{self, CoordinatorRecord};
use crate::timers::{Expiry, Timer, Timers};
use crate::turn::Turn;
use crate::{AppendId, Command, Completion, Config, Now, Outcome, Request, RequestId, Response};
use appends::Appends;
use group::Group;
use modern::expressions::Expressions;
use modern::fence::Expired;
use modern::heartbeat::Heartbeat;

/// The coordinator of the groups of one `__consumer_offsets` partition. See the crate's documentation for how to drive it.
#[derive(Debug)]
pub struct GroupCoordinator {
    config: Config,
    persisted: Persisted,
    groups: BTreeMap<Utf8Bytes, Group>,
    timers: Timers,
    appends: Appends,
    expressions: Expressions,
    cluster: Arc<dyn Cluster>,
    /// What the cluster was at the beginning of the call that is being answered.
    image: Arc<dyn ClusterImage>,
}

/// Where a coordinator learns of topics and configurations. It asks once at the beginning of a call, and decides on that.
pub trait Cluster: std::fmt::Debug + Send + Sync {
    /// The cluster now.
    fn image(&self) -> Arc<dyn ClusterImage>;
}

impl Cluster for NoCluster {
    fn image(&self) -> Arc<dyn ClusterImage> {
        Arc::new(Self)
    }
}

/// Who is to be answered, in which version.
#[derive(Debug, Clone, Copy)]
struct Asker {
    request: RequestId,
    api_version: i16,
}

impl GroupCoordinator {
    /// A coordinator that knows no group: to `replay` into, then to `activate`.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            persisted: Persisted::default(),
            groups: BTreeMap::new(),
            timers: Timers::default(),
            appends: Appends::default(),
            expressions: Expressions::default(),
            cluster: Arc::new(NoCluster),
            image: Arc::new(NoCluster),
        }
    }

    /// The same, for the groups of `cluster`: without one there are no topics to assign.
    #[must_use]
    pub fn with_cluster(mut self, cluster: Arc<dyn Cluster>) -> Self {
        self.image = cluster.image();
        self.cluster = cluster;
        self
    }

    /// Reads back one record of the partition, oldest first, before `activate`. Records of types that are not known here, of a later
    /// Kafka or of groups of other protocols, are counted and left alone.
    ///
    /// # Errors
    /// A record of a known type that cannot be read: the partition should not be coordinated from here.
    pub fn replay(
        &mut self,
        source: Source,
        key: Option<&Bytes>,
        value: Option<&Bytes>,
    ) -> Result<(), record::Error> {
        let record = CoordinatorRecord::decode(key.ok_or(record::Error::NoKey)?, value)?;
        self.persisted.load(record, source);
        Ok(())
    }

    /// Reads back a whole batch: its records, or the end marker that it is.
    ///
    /// # Errors
    /// As `replay`; what of the batch precedes the damage is applied.
    pub fn replay_batch(&mut self, batch: &RecordBatch) -> Result<(), record::Error> {
        let header = batch.header();
        let producer_id = if header.is_transactional() {
            header.producer_id
        } else {
            NO_PRODUCER_ID
        };
        for entry in batch.records()? {
            let entry = entry?;
            if header.is_control() {
                let key = entry.key.as_deref().ok_or(record::Error::NoKey)?;
                match ControlRecordType::parse(key)? {
                    ControlRecordType::Commit => self.replay_end_of_transaction(header.producer_id, true),
                    ControlRecordType::Abort => self.replay_end_of_transaction(header.producer_id, false),
                    _ => {}
                }
            } else {
                let source = Source {
                    offset: entry.offset,
                    producer_id,
                };
                self.replay(source, entry.key.as_ref(), entry.value.as_ref())?;
            }
        }
        Ok(())
    }

    /// Reads back the end marker of a transaction.
    pub fn replay_end_of_transaction(&mut self, producer_id: ProducerId, committed: bool) {
        self.persisted.load_end_of_transaction(producer_id, committed);
    }

    /// All records are read: sessions begin, expired offsets will be looked for, and commands may come.
    pub fn activate(&mut self, now: Now) -> Outcome {
        self.image = self.cluster.image();
        let mut outcome = Outcome::default();
        for (id, metadata) in self.persisted.groups.range(..) {
            let group = Group::classic(ClassicGroup::load(id.clone(), metadata), None);
            self.groups.insert(id.clone(), group);
        }
        self.activate_consumer_groups(now);
        for id in self.persisted.groups_with_offsets() {
            if !self.groups.contains_key(&id) && !self.persisted.is_other_group(&id) {
                let group = Group::classic(ClassicGroup::new(id.clone(), now.timestamp), None);
                self.groups.insert(id, group);
            }
        }
        let ids: Vec<Utf8Bytes> = self.groups.keys().cloned().collect();
        for id in ids {
            let size_max = self.config.group_size_max;
            self.decide(&id, now, &mut outcome, |turn, group| {
                for member in group.member_ids() {
                    turn.extend_session(group, &member);
                }
                let size = group.members().len();
                if size > size_max {
                    let reason = format!(
                        "Freshly-loaded group {} (size {size}) is over capacity {size_max}. Rebalancing in order to give \
                         a chance for consumers to commit offsets",
                        group.id()
                    );
                    turn.prepare_rebalance(group, reason);
                }
            });
        }
        self.schedule_expiration(now);
        outcome
    }

    /// Decides what a request asks.
    pub fn handle(&mut self, request: Request, now: Now) -> Outcome {
        self.image = self.cluster.image();
        let mut outcome = Outcome::default();
        if let Err(error) = check_group_id(&request.command) {
            outcome.completed.push(request.refuse(error));
            return outcome;
        }
        let Request { id, context, command } = request;
        let asker = Asker {
            request: id,
            api_version: context.api_version,
        };
        match command {
            Command::ConsumerGroupHeartbeat {
                request,
                random,
                expression,
            } => {
                let heartbeat = Heartbeat {
                    request: &request,
                    context: &context,
                    random,
                    expression: &expression,
                };
                self.consumer_group_heartbeat(asker, heartbeat, now, &mut outcome);
            }
            Command::ConsumerGroupDescribe(groups) => {
                let described = self.consumer_group_describe(groups);
                answer(asker, Response::ConsumerGroupDescribe(described), &mut outcome);
            }
            Command::JoinGroup(join, random) if self.has_modern_members(&join.group_id) => {
                self.join_consumer_group(asker, &context, (&join, random), now, &mut outcome);
            }
            Command::SyncGroup(sync) if self.has_modern_members(&sync.group_id) => {
                self.sync_consumer_group(asker, &sync, now, &mut outcome);
            }
            Command::Heartbeat(heartbeat) if self.has_modern_members(&heartbeat.group_id) => {
                self.heartbeat_consumer_group(asker, &heartbeat, now, &mut outcome);
            }
            Command::LeaveGroup(leave) if self.has_modern_members(&leave.group_id) => {
                self.leave_consumer_group(asker, &leave, now, &mut outcome);
            }
            Command::JoinGroup(join, random) => self.join(asker, &context, (join, random), now, &mut outcome),
            Command::SyncGroup(sync) => self.sync(asker, sync, now, &mut outcome),
            Command::Heartbeat(heartbeat) => self.heartbeat(asker, &heartbeat, now, &mut outcome),
            Command::LeaveGroup(leave) => self.leave(asker, &leave, now, &mut outcome),
            Command::OffsetCommit(commit) => self.offset_commit(asker, &commit, now, &mut outcome),
            Command::TxnOffsetCommit {
                request,
                verification,
            } => self.txn_offset_commit(asker, &request, verification, now, &mut outcome),
            Command::EndTransaction(end) => self.end_transaction(asker, end, now, &mut outcome),
            Command::OffsetFetch {
                group,
                require_stable,
            } => {
                self.offset_fetch(asker, &group, require_stable, now, &mut outcome);
            }
            Command::OffsetDelete(delete) => self.offset_delete(asker, &delete, now, &mut outcome),
            Command::DeleteGroups(groups) => self.delete_groups(asker, groups, now, &mut outcome),
            Command::DescribeGroups(groups) => {
                let described = self.describe_groups(groups, context.api_version);
                answer(asker, Response::DescribeGroups(described), &mut outcome);
            }
            Command::ListGroups(list) => {
                let listed = Response::ListGroups(Ok(self.list_groups(&list)));
                answer(asker, listed, &mut outcome);
            }
            Command::TopicsDeleted(topics) => self.topics_deleted(asker, &topics, now, &mut outcome),
            Command::ExpressionsResolved {
                group,
                number,
                resolved,
            } => {
                self.expressions_resolved((&group, number), resolved, now, &mut outcome);
                answer(asker, Response::ExpressionsResolved, &mut outcome);
            }
        }
        outcome
    }

    /// When `tick` has something to do, on the monotonic clock.
    #[must_use]
    pub fn next_deadline(&self) -> Option<std::time::Duration> {
        self.timers.next_deadline()
    }

    /// Does what the time has come for. Timers that this sets, even for now, are for the next call.
    pub fn tick(&mut self, now: Now) -> Outcome {
        self.image = self.cluster.image();
        let mut outcome = Outcome::default();
        let mark = self.timers.mark();
        let mut expired = Expired::default();
        while let Some(timer) = self.timers.pop_due(now.elapsed, mark) {
            match timer {
                Timer::Session { group, member } if self.is_consumer_group(&group) => {
                    self.note_expired(&group, member, Expiry::Session, &mut expired);
                }
                Timer::Member {
                    group,
                    member,
                    expiry,
                } => {
                    self.note_expired(&group, member, expiry, &mut expired);
                }
                Timer::Session { group, member } => {
                    self.decide(&group, now, &mut outcome, |turn, group| {
                        turn.session_over(group, &member);
                    });
                }
                Timer::Join { group, initial } => {
                    self.decide(&group, now, &mut outcome, |turn, group| match initial {
                        Some(initial) => turn.initial_delay_over(group, initial),
                        None => turn.complete_join(group),
                    });
                }
                Timer::Sync { group, generation } => {
                    self.decide(&group, now, &mut outcome, |turn, group| {
                        turn.sync_phase_over(group, generation);
                    });
                }
                Timer::Append(append) => self.append_timed_out(append, now, &mut outcome),
                Timer::Expiration => self.expire(now, &mut outcome),
            }
        }
        self.fence_expired(expired, now, &mut outcome);
        outcome
    }

    /// Leadership is lost: everyone that waits is sent to look for the new coordinator.
    #[must_use = "someone waits for each of them"]
    pub fn resign(mut self, now: Now) -> Vec<Completion> {
        let mut outcome = Outcome::default();
        self.fail_all_waiting(ErrorCode::NotCoordinator, &mut outcome);
        let ids: Vec<Utf8Bytes> = self.groups.keys().cloned().collect();
        for id in ids {
            self.decide(&id, now, &mut outcome, |turn, group| {
                turn.dissolve(group, ErrorCode::NotCoordinator);
                group.transition_to(State::Dead, turn.now.timestamp);
            });
        }
        outcome.completed
    }

    /// How many groups there are, those included whose creation is not committed yet.
    #[must_use]
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// The topics that committed offsets are of, each with its id, `Uuid::ZERO` where the committer did not know it. The driver,
    /// who knows which topics exist, compares them after a load: what it hears of later comes as [`Command::TopicsDeleted`].
    #[must_use]
    pub fn topics_with_offsets(&self) -> BTreeSet<(Utf8Bytes, Uuid)> {
        self.persisted.topics_with_offsets()
    }

    /// How many records were replayed that this coordinator has no use for.
    #[must_use]
    pub fn unknown_records(&self) -> u64 {
        self.persisted.unknown_records()
    }

    /// Takes one step about a group, if it exists, and carries out what was decided.
    fn decide<T>(
        &mut self,
        group: &Utf8Bytes,
        now: Now,
        outcome: &mut Outcome,
        step: impl FnOnce(&mut Turn<'_>, &mut ClassicGroup) -> T,
    ) -> Option<T> {
        self.decide_and_write(group, now, outcome, step)
            .map(|(result, _)| result)
    }

    /// As `decide`; says too which append carries what was decided.
    fn decide_and_write<T>(
        &mut self,
        group: &Utf8Bytes,
        now: Now,
        outcome: &mut Outcome,
        step: impl FnOnce(&mut Turn<'_>, &mut ClassicGroup) -> T,
    ) -> Option<(T, Option<AppendId>)> {
        let classic = self.groups.get_mut(group)?.as_classic_mut()?;
        let mut turn = Turn::new(&self.config, &mut self.timers, now);
        let result = step(&mut turn, classic);
        let Turn {
            completed,
            events,
            write,
            ..
        } = turn;
        outcome.completed.extend(completed);
        outcome.events.extend(events);
        let append = write.and_then(|write| self.write_group(group, write, now, outcome));
        Some((result, append))
    }
}

/// Answers at once.
fn answer(asker: Asker, response: Response, outcome: &mut Outcome) {
    outcome.completed.push(Completion {
        request: asker.request,
        response,
    });
}

/// Members' calls need a group id; committing and fetching offsets does not, for clients of old.
fn check_group_id(command: &Command) -> Result<(), ErrorCode> {
    let group = match command {
        Command::JoinGroup(request, _) => &request.group_id,
        Command::SyncGroup(request) => &request.group_id,
        Command::Heartbeat(request) => &request.group_id,
        Command::LeaveGroup(request) => &request.group_id,
        Command::OffsetDelete(request) => &request.group_id,
        Command::TxnOffsetCommit { request, .. } => &request.group_id,
        // ConsumerGroupHeartbeat has an error of its own for this.
        _ => return Ok(()),
    };
    if group.is_empty() {
        Err(ErrorCode::InvalidGroupId)
    } else {
        Ok(())
    }
}
