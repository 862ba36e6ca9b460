//! One coordinator of whichever kind: its partition, the requests that wait for it, and its clock.

mod appends;
mod batch;
mod load;
mod phase;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use forebay_broker_coordinator::{
    Completion, Coordinator, Now, Outcome, OutcomeOf, Request, RequestContext, RequestId,
};
use forebay_protocol::{ErrorCode, Utf8Bytes};
use forebay_records::Offset;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use crate::clock;
use crate::metrics::LoadTimes;
use crate::replicas::Replica;
use crate::shutdown::Shutdown;
use appends::InFlight;
pub(crate) use phase::Phase;

/// How long loading waits before it is tried again after the log could not be read.
const RELOAD_PAUSE: Duration = Duration::from_secs(1);

/// What a kind of coordinator needs of the broker besides its partition.
pub(crate) trait Driver: Sized + Send + Sync + 'static {
    /// The machine that decides.
    type Coordinator: Coordinator<Command: Send, Response: Send, Action: Send, Error: fmt::Display + Send>
        + Send;

    /// What is coordinated, for the log.
    const WHAT: &'static str;

    /// What the machine wanted done does nothing but tell it something: nobody has to wait for it to end.
    const MAY_ABANDON: bool;

    /// A machine that has read nothing yet.
    fn coordinator(&self, replica: &Arc<Replica>) -> Self::Coordinator;

    /// The machine has read its log, and is not asked anything yet. Nothing may be waited for.
    fn loaded(shard: &Arc<Shard<Self>>, coordinator: &Self::Coordinator);

    /// What the machine wants done, to be begun at once; none if the broker has stopped.
    fn perform(&self, action: <Self::Coordinator as Coordinator>::Action) -> Option<Work<Self>>;
}

/// Does what a machine wants done; gives what that is to be told of it.
pub(crate) type Work<D> = Pin<Box<dyn Future<Output = CommandOf<D>> + Send>>;

/// What is asked of the coordinator that `D` drives.
pub(crate) type CommandOf<D> = <<D as Driver>::Coordinator as Coordinator>::Command;
/// What it answers.
pub(crate) type ResponseOf<D> = <<D as Driver>::Coordinator as Coordinator>::Response;

/// A coordinator and what drives it.
pub(crate) struct Shard<D: Driver> {
    partition: i32,
    replica: Arc<Replica>,
    state: Mutex<State<D>>,
    /// The next deadline may have changed.
    rearm: Notify,
    /// It has been loaded, or has resigned.
    settled: Notify,
    /// The monotonic clock of this coordinator.
    started: Instant,
    shutdown: Shutdown,
    driver: D,
    load_times: Arc<LoadTimes>,
}

enum State<D: Driver> {
    Loading,
    Active(Box<Active<D>>),
    /// It stays so.
    Resigned,
}

struct Active<D: Driver> {
    coordinator: D::Coordinator,
    waiting: HashMap<RequestId, oneshot::Sender<ResponseOf<D>>>,
    next_request: u64,
    /// Appends that are on their way, in the order of their ids, but for the one that is awaited.
    appends: VecDeque<InFlight>,
    /// A task awaits them.
    committing: bool,
    /// What the coordinator wanted done and has not been told of.
    under_way: JoinSet<()>,
}

impl<D: Driver> Shard<D> {
    /// A coordinator over a partition that this broker leads; it loads in the background.
    pub(crate) fn start(
        partition: i32,
        replica: Arc<Replica>,
        driver: D,
        shutdown: Shutdown,
        load_times: Arc<LoadTimes>,
    ) -> Arc<Self> {
        let shard = Arc::new(Self {
            partition,
            replica,
            state: Mutex::new(State::Loading),
            rearm: Notify::new(),
            settled: Notify::new(),
            started: Instant::now(),
            shutdown,
            driver,
            load_times,
        });
        if shard
            .replica
            .log()
            .is_none_or(|log| log.log_end_offset() == Offset::ZERO)
        {
            // Nothing was ever written: there is nothing to wait for.
            shard.activate(shard.driver.coordinator(&shard.replica));
            tokio::spawn(Arc::clone(&shard).keep_time());
        } else {
            tokio::spawn(Arc::clone(&shard).load_and_keep_time());
        }
        shard
    }

    /// Whether it coordinates over this very partition.
    pub(crate) fn is_of(&self, replica: &Arc<Replica>) -> bool {
        Arc::ptr_eq(&self.replica, replica)
    }

    /// What its kind needs besides.
    pub(crate) fn driver(&self) -> &D {
        &self.driver
    }

    /// As when something turned up in the log that it had taken back.
    #[cfg(test)]
    pub(crate) async fn begin_again(self: &Arc<Self>) {
        self.reload().await;
    }

    /// Waits until it has been loaded, or has resigned.
    pub(crate) async fn settled(&self) {
        self.settled.notified().await;
    }

    /// Asks the coordinator and waits for its answer; `None` if the broker stops first.
    pub(crate) async fn request(
        self: &Arc<Self>,
        context: RequestContext,
        command: CommandOf<D>,
    ) -> Option<ResponseOf<D>> {
        let receiver = {
            let mut state = self.state();
            let active = match &mut *state {
                State::Active(active) => active,
                State::Loading => {
                    let code = ErrorCode::CoordinatorLoadInProgress;
                    return Some(refuse::<D::Coordinator>(context, command, code));
                }
                State::Resigned => {
                    let code = ErrorCode::NotCoordinator;
                    return Some(refuse::<D::Coordinator>(context, command, code));
                }
            };
            let id = RequestId(active.next_request);
            active.next_request += 1;
            let (sender, receiver) = oneshot::channel();
            active.waiting.insert(id, sender);
            active.coordinator.set_append_bytes_max(self.append_bytes_max());
            let outcome = active
                .coordinator
                .handle(Request { id, context, command }, self.now());
            self.carry_out(active, outcome);
            receiver
        };
        receiver.await.ok()
    }

    /// As [`Shard::request`], on behalf of the broker itself.
    pub(crate) async fn request_of_its_own(self: &Arc<Self>, command: CommandOf<D>) -> Option<ResponseOf<D>> {
        let context = RequestContext {
            api_version: 0,
            client_id: Utf8Bytes::default(),
            client_host: Utf8Bytes::default(),
        };
        self.request(context, command).await
    }

    /// Sends everyone who waits to another coordinator. Nothing is decided any more.
    pub(crate) fn resign(&self) {
        let state = std::mem::replace(&mut *self.state(), State::Resigned);
        if let State::Active(active) = state {
            let (_not_awaited, mut under_way) = self.dismiss(*active);
            if D::MAY_ABANDON {
                under_way.abort_all();
            }
            under_way.detach_all();
        }
        self.rearm.notify_one();
        self.settled.notify_one();
    }

    /// Sends everyone who waits for a coordinator away; gives the appends that are on their way, and what is being done for it.
    fn dismiss(&self, active: Active<D>) -> (VecDeque<InFlight>, JoinSet<()>) {
        let Active {
            coordinator,
            mut waiting,
            appends,
            under_way,
            ..
        } = active;
        for Completion { request, response } in coordinator.resign(self.now()) {
            if let Some(sender) = waiting.remove(&request) {
                // Who asked may be gone.
                let _gone = sender.send(response);
            }
        }
        (appends, under_way)
    }

    async fn load_and_keep_time(self: Arc<Self>) {
        self.load().await;
        self.keep_time().await;
    }

    /// Loads what the log says, and tries again until that has worked or it is not wanted any more.
    async fn load(self: &Arc<Self>) {
        loop {
            let began = Instant::now();
            let empty = self.driver.coordinator(&self.replica);
            match load::load(&self.replica, empty).await {
                Ok(coordinator) => {
                    self.load_times.record(began.elapsed());
                    D::loaded(self, &coordinator);
                    return self.activate(coordinator);
                }
                Err(error) => {
                    tracing::error!(
                        partition = self.partition, %error, "the {}s of a partition cannot be loaded", D::WHAT
                    );
                    tokio::time::sleep(RELOAD_PAUSE).await;
                }
            }
            if self.shutdown.is_requested() || !matches!(*self.state(), State::Loading) {
                return;
            }
        }
    }

    fn activate(self: &Arc<Self>, mut coordinator: D::Coordinator) {
        let outcome = coordinator.activate(self.now());
        let mut state = self.state();
        if !matches!(*state, State::Loading) {
            return;
        }
        let mut active = Active {
            coordinator,
            waiting: HashMap::new(),
            next_request: 0,
            appends: VecDeque::new(),
            committing: false,
            under_way: JoinSet::new(),
        };
        self.carry_out(&mut active, outcome);
        *state = State::Active(Box::new(active));
        self.settled.notify_one();
    }

    /// Calls `tick` when its time has come, until the coordinator resigns.
    async fn keep_time(self: Arc<Self>) {
        let shutdown = self.shutdown.clone().requested();
        tokio::pin!(shutdown);
        loop {
            let deadline = match &*self.state() {
                State::Active(active) => active.coordinator.next_deadline(),
                State::Loading => None,
                State::Resigned => return,
            };
            let due = async {
                match deadline {
                    Some(deadline) => sleep_until((self.started + deadline).into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => self.tick(),
                () = self.rearm.notified() => {}
                // Who waits is answered when the coordinator resigns.
                () = &mut shutdown => return,
            }
        }
    }

    fn tick(self: &Arc<Self>) {
        if let State::Active(active) = &mut *self.state() {
            active.coordinator.set_append_bytes_max(self.append_bytes_max());
            let outcome = active.coordinator.tick(self.now());
            self.carry_out(active, outcome);
        }
    }

    /// Writes, answers and tells what a call has decided. The order of appends is that of the calls: the state is locked.
    fn carry_out(self: &Arc<Self>, active: &mut Active<D>, outcome: OutcomeOf<D::Coordinator>) {
        let Outcome {
            appends,
            completed,
            events,
            actions,
        } = outcome;
        events.iter().for_each(report::<D::Coordinator>);
        for Completion { request, response } in completed {
            if let Some(sender) = active.waiting.remove(&request) {
                // Who asked may be gone.
                let _gone = sender.send(response);
            }
        }
        self.write(active, appends);
        for work in actions
            .into_iter()
            .filter_map(|action| self.driver.perform(action))
        {
            self.begin(active, work);
        }
        self.rearm.notify_one();
    }

    fn begin(self: &Arc<Self>, active: &mut Active<D>, work: Work<D>) {
        // Those that are done need not be remembered.
        while active.under_way.try_join_next().is_some() {}
        let shard = Arc::clone(self);
        active.under_way.spawn(async move {
            let command = work.await;
            // One that has resigned since has a successor, which finds in the log what is left to be done.
            let _noted = shard.request_of_its_own(command).await;
        });
    }

    /// Begins again from what the log says, unless it has resigned meanwhile.
    async fn reload(self: &Arc<Self>) {
        let Some(active) = self.begin_loading() else {
            return;
        };
        tracing::warn!(
            partition = self.partition,
            "{} coordinator begins again from its log",
            D::WHAT
        );
        let (appends, mut under_way) = self.dismiss(active);
        // What is on its way may be in the log yet, behind the end that loading would see now.
        for append in appends {
            let _either_way = append.result().await;
        }
        // The next one has the same epoch: nobody could tell what was done for this one from what is done for that. A marker that
        // came late might end the next transaction.
        if D::MAY_ABANDON {
            under_way.abort_all();
        }
        while under_way.join_next().await.is_some() {}
        self.load().await;
    }

    /// From active to loading; gives what was active.
    fn begin_loading(&self) -> Option<Active<D>> {
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Loading) {
            State::Active(active) => Some(*active),
            other => {
                *state = other;
                None
            }
        }
    }

    /// The largest batch that its partition takes by now.
    fn append_bytes_max(&self) -> usize {
        self.replica.config().max_message_bytes
    }

    fn now(&self) -> Now {
        Now {
            timestamp: clock::now(),
            elapsed: self.started.elapsed(),
        }
    }

    /// A panic inside leaves a coordinator that may be half changed; what it holds is soft or in the log.
    fn state(&self) -> MutexGuard<'_, State<D>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Driver> fmt::Debug for Shard<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard")
            .field("partition", &self.partition)
            .finish_non_exhaustive()
    }
}

/// The answer of a coordinator that is not there.
pub(crate) fn refuse<C: Coordinator>(
    context: RequestContext,
    command: C::Command,
    code: ErrorCode,
) -> C::Response {
    let request = Request {
        id: RequestId(0),
        context,
        command,
    };
    C::refuse(request, code).response
}

fn report<C: Coordinator>(event: &C::Event) {
    if C::is_alarming(event) {
        tracing::error!("{event}");
    } else {
        tracing::info!("{event}");
    }
}
