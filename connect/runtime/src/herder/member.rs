//! The worker's membership in its group: takes the pure [`State`] through reading, stopping and joining (Kafka's
//! `WorkerGroupMember` and the part of `DistributedHerder` that drives it). Owned by the herder's loop, which asks it what to
//! run and tells it what has stopped; nothing here waits but [`GroupMember::event`].

use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_client::membership::{self, Member};
use forebay_client::{Client, Error as ClientError};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

use super::cluster::Cluster;
use super::plan::{Plan, TaskSpec};
use crate::group::{
    self, Assignor, Group, Leader, Leadership, Owners, Protocol, Session, Snapshot, State, View, Work,
};
use crate::metrics::Rebalances;
use crate::outage::Outage;
use crate::store;
use crate::worker::Context;

/// How long to rest after a join that has failed.
const JOIN_RETRY_DELAY: Duration = Duration::from_millis(200);

/// To what that grows, so that a cluster that is away is not asked all the time.
const JOIN_RETRY_DELAY_MAX: Duration = Duration::from_secs(3);

/// How often reading the config topic is tried again before the worker leaves its group (Kafka's `BACKOFF_RETRIES`).
const SYNC_RETRIES_MAX: u32 = 5;

/// How long states that were said last may take to be written before the worker joins.
const STATUS_FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// How the worker is in its group.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Which group.
    pub(crate) membership: membership::Options,
    /// `connect.protocol`
    pub(crate) mode: Protocol,
    /// Where other workers reach this one.
    pub(crate) url: String,
    /// `scheduled.rebalance.max.delay.ms`
    pub(crate) delay_max: Duration,
    /// `worker.sync.timeout.ms`
    pub(crate) sync_timeout: Duration,
    /// `worker.unsync.backoff.ms`
    pub(crate) unsync_backoff: Duration,
}

/// The membership.
#[derive(Debug)]
pub(super) struct GroupMember {
    member: Arc<Member>,
    session: Session,
    cluster: Arc<Cluster>,
    state: State<TaskSpec>,
    assignor: Arc<Mutex<Assignor>>,
    /// The last generation whose assignment this worker was told.
    last_generation: i32,
    leader: Leader,
    phase: Phase,
    failures: u32,
    /// How often in a row it has read or joined, and could go on no more than before.
    in_vain: u32,
    joining: Outage,
    view: watch::Sender<View>,
    /// The newest generation in which the worker led and is fenced.
    fenced: Option<watch::Receiver<i32>>,
    rebalances: Arc<Rebalances>,
    options: Options,
}

/// Where it stands.
#[derive(Debug)]
enum Phase {
    /// Nothing is to be done.
    Idle,
    /// It reads the config topic to its end, as it has to know all before it joins.
    Reading(JoinHandle<Result<Result<(), store::Error>, tokio::time::error::Elapsed>>),
    /// It joins as soon as what it must not run has stopped.
    Ready,
    /// It waits for the others, and for the leader.
    Joining(JoinHandle<Result<Outcome, ClientError>>),
    /// It leaves the group as soon as everything has stopped.
    Leaving,
    /// It does nothing until then.
    Resting(Instant),
    /// No joining helps.
    Out,
}

/// What joining has come to.
#[derive(Debug)]
pub(super) struct Outcome {
    joined: group::Joined,
    /// What this worker shared out, if it leads.
    owners: Option<Owners>,
}

/// What has happened.
#[derive(Debug)]
pub(super) enum Event {
    Read(Result<(), String>),
    Joined(Box<Result<Outcome, ClientError>>),
    /// Something has to be looked at: the member, or the clock.
    Look,
}

impl GroupMember {
    pub(super) fn new(client: &Client, options: Options, cluster: Arc<Cluster>) -> Result<Self, ClientError> {
        let member = Arc::new(client.member(options.membership.clone())?);
        let is_static = options.membership.group_instance_id.is_some();
        let (view, _) = watch::channel(View {
            leader: Leader::Unknown,
            is_rebalancing: true,
            is_sessioned: options.mode == Protocol::Sessioned,
            generation: -1,
            owned: Arc::default(),
        });
        Ok(Self {
            fenced: cluster.lost(),
            session: Session::of(Arc::clone(&member), &options.membership),
            member,
            cluster,
            state: State::new(options.url.clone(), options.mode, is_static),
            assignor: Arc::new(Mutex::new(Assignor::new(options.delay_max))),
            last_generation: -1,
            leader: Leader::Unknown,
            phase: Phase::Idle,
            failures: 0,
            in_vain: 0,
            joining: Outage::default(),
            view,
            rebalances: Arc::new(Rebalances::new(options.mode)),
            options,
        })
    }

    /// How long the worker may act as a member.
    pub(super) fn session(&self) -> Session {
        self.session.clone()
    }

    /// What is told of its rebalances.
    pub(super) fn rebalances(&self) -> Arc<Rebalances> {
        Arc::clone(&self.rebalances)
    }

    /// The group as others in this worker see it.
    pub(super) fn group(&self) -> Group {
        Group::of(self.view.subscribe())
    }

    /// The config topic says so, as far as it has been read.
    pub(super) fn configured(&mut self, offset: i64, plan: &Plan) {
        let connectors = plan.connectors.keys().cloned().collect();
        let tasks = plan.tasks.iter();
        let tasks = tasks.map(|(id, (spec, _))| (id.clone(), spec.clone())).collect();
        self.state.configured(offset, connectors, tasks);
    }

    /// Looks at the member and the clock; what is to run is up to date afterwards.
    pub(super) fn look(&mut self) {
        if let Err(error) = self.member.check() {
            self.fall_out(&error);
        }
        if self.member.take_lost() {
            self.lose("the group has gone on without this worker; everything stops, and it joins again");
        } else if self.state.last().is_some() && self.session.is_ending() {
            self.lose(
                "the group's coordinator could not be reached for most of session.timeout.ms; everything stops before it is given to \
                 other workers",
            );
        }
        if self.member.must_join() {
            self.state.request_join("the group is rebalancing");
        }
        if self.is_fenced() {
            self.state
                .request_join("the worker may write no more as the leader of its generation");
        }
        let now = Instant::now();
        self.state.look(now.into_std());
        if let Phase::Resting(until) = self.phase
            && until <= now
        {
            self.phase = Phase::Idle;
        }
        let wants_join = self.state.wants_join().is_some();
        if matches!(self.phase, Phase::Idle) && (wants_join || self.state.is_behind()) {
            let (cluster, within) = (Arc::clone(&self.cluster), self.options.sync_timeout);
            let reading = async move { tokio::time::timeout(within, cluster.read()).await };
            self.phase = Phase::Reading(tokio::spawn(reading));
        }
        if matches!(self.phase, Phase::Ready) {
            self.state.prepare_join();
        }
        self.tell();
    }

    /// What this worker has to run now.
    pub(super) fn runs(&self) -> Work {
        self.state.runs()
    }

    /// Joins if it is time for that; whatever is not to run has stopped.
    pub(super) fn join(&mut self, context: &Arc<Context>) {
        match self.phase {
            Phase::Ready => {}
            Phase::Leaving => {
                let member = Arc::clone(&self.member);
                tokio::spawn(async move { member.leave("taking too long to read the log").await });
                return self.rest(self.unsync_backoff());
            }
            _ => return,
        }
        let told = self.state.begin_join();
        let snapshot = self.state.snapshot();
        let join = Join {
            context: Arc::clone(context),
            member: Arc::clone(&self.member),
            assignor: Arc::clone(&self.assignor),
            mode: self.options.mode,
            last_generation: self.last_generation,
            url: self.options.url.clone(),
            told,
            snapshot,
        };
        self.phase = Phase::Joining(tokio::spawn(join.run()));
        self.tell();
    }

    /// Waits until something has happened, which [`GroupMember::handle`] wants to know. Nothing is lost if it is dropped.
    pub(super) async fn event(&mut self) -> Event {
        let clock = [
            self.session.stop_at().filter(|_| self.state.last().is_some()),
            self.state.joins_at().map(Instant::from_std),
            match self.phase {
                Phase::Resting(until) => Some(until),
                _ => None,
            },
        ];
        let clock = clock.into_iter().flatten().min();
        tokio::select! {
            event = finished(&mut self.phase) => event,
            () = self.member.changed() => Event::Look,
            () = changed(self.fenced.as_mut()) => Event::Look,
            () = at(clock) => Event::Look,
        }
    }

    /// Takes what has happened into account.
    pub(super) fn handle(&mut self, event: Event) {
        match event {
            Event::Look => {}
            Event::Read(Ok(())) => {
                self.failures = 0;
                let wants_join = self.state.wants_join().is_some();
                if wants_join {
                    self.phase = Phase::Ready;
                } else {
                    // It was behind, and what is applied by now is told to it next. If it still is, that may last.
                    self.phase = Phase::Idle;
                    self.pause_in_vain();
                }
            }
            Event::Read(Err(error)) => {
                tracing::warn!(
                    error,
                    "the config topic cannot be read to its end within worker.sync.timeout.ms; the worker does not join its group \
                     until it can"
                );
                self.failures = self.failures.saturating_add(1);
                if self.state.last().is_some() && self.failures > SYNC_RETRIES_MAX {
                    // The others need not wait for it any more.
                    self.lose("everything stops, and the worker leaves its group until it can read the config topic");
                    self.phase = Phase::Leaving;
                } else {
                    self.rest(self.retry_delay());
                }
            }
            Event::Joined(outcome) => match *outcome {
                Ok(outcome) => self.joined(outcome),
                Err(error) => self.join_failed(&error),
            },
        }
    }

    /// Says that it is gone, so that others can have at once what it had; a static member will be back.
    pub(super) async fn leave(&self) {
        self.member.leave("the worker is stopping").await;
    }

    fn joined(&mut self, outcome: Outcome) {
        (self.phase, self.failures) = (Phase::Idle, 0);
        if let Some(lasted) = self.joining.ends() {
            tracing::info!(?lasted, "the worker is in its group again");
        }
        let Outcome { joined, owners } = outcome;
        if joined.assignment.outcome == group::Outcome::Assigned {
            self.in_vain = 0;
        } else {
            self.pause_in_vain();
        }
        self.last_generation = joined.generation;
        tracing::info!(
            generation = joined.generation,
            leader = joined.assignment.leader_url,
            connectors = joined.assignment.assigned.connectors.len(),
            tasks = joined.assignment.assigned.tasks.len(),
            revoked = joined.assignment.revoked.connectors.len() + joined.assignment.revoked.tasks.len(),
            delay_ms = joined.assignment.delay_ms,
            "the worker has joined its group; these are new to it"
        );
        let is_leader = joined.assignment.leader == joined.member_id;
        self.leader = match (is_leader, owners) {
            (true, owners) => Leader::Me(Arc::new(owners.unwrap_or_default())),
            (false, _) => Leader::At(joined.assignment.leader_url.as_str().into()),
        };
        if joined.assignment.is_shared_out() {
            self.rebalances
                .completed(&joined.assignment.leader_url, joined.protocol, joined.generation);
        }
        let is_sessioned = joined.protocol == Protocol::Sessioned;
        self.view.send_if_modified(|view| {
            if view.is_sessioned && !is_sessioned {
                tracing::warn!(
                    "another worker of the group has an older connect.protocol: requests between workers are not signed"
                );
            }
            let is_new = view.is_sessioned != is_sessioned;
            view.is_sessioned = is_sessioned;
            is_new
        });
        self.state.joined(joined, std::time::Instant::now());
    }

    fn join_failed(&mut self, error: &ClientError) {
        self.state.join_failed();
        self.failures = self.failures.saturating_add(1);
        if !Member::is_worth_another(error) && self.joining.begins() {
            tracing::warn!(%error, "the worker cannot join its group; trying again");
        }
        self.rest(self.retry_delay());
    }

    fn retry_delay(&self) -> Duration {
        delay_after(self.failures)
    }

    /// The first time it goes on at once; a worker that never gets to what its leader knows must not ask all the time (two config topics under
    /// one `group.id`, a topic that has lost its end).
    fn pause_in_vain(&mut self) {
        self.in_vain = self.in_vain.saturating_add(1);
        if self.in_vain > 1 {
            self.rest(delay_after(self.in_vain - 1));
        }
    }

    /// How long to rest after leaving. With an incremental protocol others have its work at once and lose nothing when it comes
    /// back, so it tries again soon (Kafka's `DistributedHerder.backoff`).
    fn unsync_backoff(&self) -> Duration {
        match self.state.protocol() {
            Protocol::Eager => self.options.unsync_backoff,
            Protocol::Compatible | Protocol::Sessioned => self.retry_delay(),
        }
    }

    fn rest(&mut self, pause: Duration) {
        self.phase = Phase::Resting(Instant::now() + pause);
    }

    /// Whether somebody else has written, or may write, as the leader of the generation that this worker knows.
    fn is_fenced(&self) -> bool {
        let fenced = self.fenced.as_ref().map(|fenced| *fenced.borrow());
        self.state.last().is_some() && fenced.is_some_and(|fenced| fenced >= self.last_generation)
    }

    fn lose(&mut self, why: &str) {
        if self.state.last().is_some() {
            tracing::warn!("{why}");
        }
        self.state.lost();
        self.leader = Leader::Unknown;
        self.rebalances.lost();
    }

    fn fall_out(&mut self, error: &ClientError) {
        if !matches!(self.phase, Phase::Out) {
            tracing::error!(
                %error,
                "the worker is out of its group for good; is there another one with its group.instance.id? It has to be started again"
            );
            self.lose("everything stops");
            self.phase = Phase::Out;
        }
    }

    /// Tells everybody how it is.
    fn tell(&self) {
        let is_out = self.state.last().is_none();
        let wants_join = self.state.wants_join().is_some();
        let is_rebalancing = !matches!(self.phase, Phase::Out)
            && (is_out || wants_join || !matches!(self.phase, Phase::Idle) || self.state.is_behind());
        self.rebalances.is_rebalancing(is_rebalancing);
        let owned = self.state.runs();
        self.view.send_if_modified(|view| {
            let now = View {
                leader: self.leader.clone(),
                is_rebalancing,
                is_sessioned: view.is_sessioned,
                generation: self.last_generation,
                owned: if *view.owned == owned {
                    Arc::clone(&view.owned)
                } else {
                    Arc::new(owned)
                },
            };
            let is_new = *view != now;
            *view = now;
            is_new
        });
    }
}

/// Waits for what is under way, or for ever.
async fn finished(phase: &mut Phase) -> Event {
    match phase {
        Phase::Reading(reading) => {
            let read = reading.await;
            Event::Read(match read {
                Ok(Ok(Ok(()))) => Ok(()),
                Ok(Ok(Err(error))) => Err(error.to_string()),
                Ok(Err(elapsed)) => Err(elapsed.to_string()),
                Err(error) => Err(error.to_string()),
            })
        }
        Phase::Joining(joining) => {
            let joined = joining.await.unwrap_or_else(|error| Err(failed(&error)));
            Event::Joined(Box::new(joined))
        }
        Phase::Idle | Phase::Ready | Phase::Leaving | Phase::Resting(_) | Phase::Out => {
            std::future::pending().await
        }
    }
}

fn failed(error: &JoinError) -> ClientError {
    ClientError::IllegalState(error.to_string().into())
}

fn delay_after(failures: u32) -> Duration {
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1));
    JOIN_RETRY_DELAY.saturating_mul(factor).min(JOIN_RETRY_DELAY_MAX)
}

/// Ready once there is a newer one.
async fn changed(generation: Option<&mut watch::Receiver<i32>>) {
    let is_open = match generation {
        Some(generation) => generation.changed().await.is_ok(),
        None => false,
    };
    if !is_open {
        std::future::pending::<()>().await;
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// One attempt to join.
struct Join {
    context: Arc<Context>,
    member: Arc<Member>,
    assignor: Arc<Mutex<Assignor>>,
    mode: Protocol,
    last_generation: i32,
    url: String,
    told: group::WorkerState,
    snapshot: Snapshot,
}

impl Join {
    async fn run(self) -> Result<Outcome, ClientError> {
        // Whoever gets what this worker has given up says more of it than this one.
        self.context.statuses.flush(STATUS_FLUSH_TIMEOUT).await;
        let offers = group::offers(self.mode, &self.told)
            .map_err(|error| ClientError::IllegalState(error.to_string().into()))?;
        let mut owners = None;
        let joined = self
            .member
            .join(&offers, |election| {
                let leadership = Leadership {
                    url: &self.url,
                    snapshot: &self.snapshot,
                    last_generation: self.last_generation,
                };
                let mut assignor = self.assignor.lock().expect("nobody panics with it");
                let (shares, all) = leadership
                    .share_out(&mut assignor, &election, std::time::Instant::now())
                    .map_err(|error| nonsense("JoinGroup", &error))?;
                owners = Some(all);
                Ok(shares)
            })
            .await?;
        let protocol = Protocol::from_name(&joined.protocol)
            .ok_or_else(|| nonsense("JoinGroup", &"it names a protocol that was not offered"))?;
        let assignment =
            group::decode_assignment(joined.assignment).map_err(|error| nonsense("SyncGroup", &error))?;
        let joined = group::Joined {
            generation: joined.generation_id,
            member_id: joined.member_id,
            protocol,
            assignment,
            led: owners.is_some(),
        };
        Ok(Outcome { joined, owners })
    }
}

fn nonsense(action: &str, reason: &dyn std::fmt::Display) -> ClientError {
    ClientError::InvalidResponse {
        action: action.into(),
        reason: reason.to_string().into(),
    }
}
