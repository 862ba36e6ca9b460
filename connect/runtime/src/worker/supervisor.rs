//! Keeps one connector or one task as it is wanted: starts it, tells it to pause and go on, stops it and starts it anew when
//! its configuration changes or the user restarts it. It runs in a task of the runtime of its own, so that neither a failure
//! nor a panic nor a hanging stop reaches anybody else. What failed stays FAILED until the user restarts it, unless it was a
//! retriable error of its start, or its configuration asks for restarts (`errors.restart.*`).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use forebay_connect_api::{BoxFuture, Error};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

use super::blocked::Blocked;
use crate::connector_config::{RestartPolicy, Verdict};
use crate::store::config::TargetState;

/// How long to wait before a start is tried again, the first time; doubled each time.
const START_RETRY_DELAY: Duration = Duration::from_secs(1);

/// To what that grows.
const START_RETRY_DELAY_MAX: Duration = Duration::from_secs(60);

/// After how long without failing a unit counts as started well.
const START_RETRY_RESET: Duration = Duration::from_secs(60);

/// How often it is said that a unit still runs that was aborted.
const ABORTED_WARNING_INTERVAL: Duration = Duration::from_secs(30);

/// How long a unit may take to end once it is aborted, which is until its next wait.
const ABORT_PATIENCE: Duration = Duration::from_secs(1);

/// What is wanted of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Desired<S> {
    /// What to run.
    pub(crate) spec: S,
    /// What the user wants of its connector.
    pub(crate) target_state: TargetState,
    /// How often the user has restarted it; another number is another start.
    pub(crate) restarts: u64,
}

/// What a running unit is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// Be in this state.
    Be(TargetState),
    /// End.
    Stop,
}

/// Ready once the unit is to stop.
pub(crate) async fn stopped(command: &mut watch::Receiver<Command>) {
    // Without a supervisor there is nobody to go on for.
    let _ = command.wait_for(|command| *command == Command::Stop).await;
}

/// Waits until the unit is to run, and says once that it is paused. `false`: it is to stop.
pub(crate) async fn wait_while_paused(command: &mut watch::Receiver<Command>, say: impl Fn()) -> bool {
    let mut said = false;
    loop {
        match *command.borrow_and_update() {
            Command::Stop => return false,
            Command::Be(TargetState::Started) => return true,
            Command::Be(_) if !said => {
                say();
                said = true;
            }
            Command::Be(_) => {}
        }
        if command.changed().await.is_err() {
            return false;
        }
    }
}

/// How a unit ended without being told to.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It did not start; if the error is retriable, it is started again after a pause.
    Start(Error),
    /// It failed while it ran.
    Run(Error),
}

/// Something that can be run: a connector or a task.
pub(crate) trait Unit: Send + Sync + 'static {
    /// What it is run with.
    type Spec: Clone + PartialEq + Send + Sync + 'static;

    /// What it is called in logs: `connector c`.
    fn title(&self) -> String;

    /// Runs until told to stop, or until it fails.
    fn run(
        self: Arc<Self>,
        spec: Self::Spec,
        command: watch::Receiver<Command>,
    ) -> BoxFuture<'static, Result<(), Failure>>;

    /// Says that it failed, and why, and gives up what others need.
    fn failed<'a>(&'a self, spec: &'a Self::Spec, trace: String) -> BoxFuture<'a, ()>;

    /// How it is started again by itself once it has failed.
    fn restart_policy(&self, spec: &Self::Spec) -> RestartPolicy;

    /// How long it may take to stop before it is aborted.
    fn stop_timeout(&self) -> Duration;

    /// Ready when it must not run any more, stopped or not: another worker may run it.
    fn session_over(&self) -> BoxFuture<'_, ()>;

    /// Where it is noted while it runs although it was aborted.
    fn blocked(&self) -> &Blocked;
}

/// The handle of a supervised unit. Dropping it stops the unit, too.
#[derive(Debug)]
pub(crate) struct Supervisor<S> {
    desired: watch::Sender<Option<Desired<S>>>,
    ended: JoinHandle<()>,
}

impl<S: Clone + PartialEq + Send + Sync + 'static> Supervisor<S> {
    /// Begins once `predecessor`, a unit of the same name, has ended.
    pub(crate) fn start<U: Unit<Spec = S>>(
        unit: Arc<U>,
        desired: Desired<S>,
        predecessor: Option<JoinHandle<()>>,
    ) -> Self {
        let (sender, receiver) = watch::channel(Some(desired));
        let ended = tokio::spawn(async move {
            if let Some(predecessor) = predecessor {
                // How it ended is its own business.
                let _ = predecessor.await;
            }
            supervise(unit, receiver).await;
        });
        Self {
            desired: sender,
            ended,
        }
    }

    /// What is wanted from now on.
    pub(crate) fn want(&self, desired: Desired<S>) {
        self.desired.send_if_modified(|current| {
            let is_new = current.as_ref() != Some(&desired);
            if is_new {
                *current = Some(desired);
            }
            is_new
        });
    }

    /// Stops the unit; the handle ends when it has ended and `then` is done, too.
    pub(crate) fn retire(self, then: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.desired.send_replace(None);
        tokio::spawn(async move {
            if let Err(error) = self.ended.await {
                tracing::error!(%error, "a supervisor has failed");
            }
            then.await;
        })
    }
}

async fn supervise<U: Unit>(unit: Arc<U>, mut desired: watch::Receiver<Option<Desired<U::Spec>>>) {
    let mut delay = START_RETRY_DELAY;
    let mut restarts = 0;
    loop {
        let Some(current) = desired.borrow_and_update().clone() else {
            return;
        };
        let began = Instant::now();
        let Some(failure) = run_once(&unit, &current, &mut desired).await else {
            (delay, restarts) = (START_RETRY_DELAY, 0);
            continue; // Told to stop: look at what is wanted now.
        };
        let (failed_at, ran) = (Instant::now(), began.elapsed());
        let verdict = match &failure {
            Failure::Start(error) if error.is_retriable() => None,
            Failure::Start(_) | Failure::Run(_) => {
                Some(unit.restart_policy(&current.spec).judge(restarts, ran))
            }
        };
        let retry_at = match verdict {
            None => Some(failed_at + delay),
            Some(Verdict::Again(delay, attempt)) => {
                restarts = attempt;
                Some(failed_at + delay)
            }
            Some(Verdict::Enough(_) | Verdict::Never) => None,
        };
        if ran > START_RETRY_RESET {
            delay = START_RETRY_DELAY;
        }
        delay = (delay * 2).min(START_RETRY_DELAY_MAX);
        let (Failure::Start(error) | Failure::Run(error)) = failure;
        let note = verdict.map(Verdict::note).unwrap_or_default();
        unit.failed(&current.spec, error.trace() + &note).await;
        match wait_for_restart(&current, &mut desired, retry_at).await {
            Waited::ByItself => {}
            Waited::Anew => (delay, restarts) = (START_RETRY_DELAY, 0),
            Waited::Gone => return,
        }
    }
}

/// Runs the unit until it has failed, which it says, or until something else is wanted and it has stopped.
async fn run_once<U: Unit>(
    unit: &Arc<U>,
    current: &Desired<U::Spec>,
    desired: &mut watch::Receiver<Option<Desired<U::Spec>>>,
) -> Option<Failure> {
    let (command, commands) = watch::channel(Command::Be(current.target_state));
    let mut running = tokio::spawn(Arc::clone(unit).run(current.spec.clone(), commands));
    loop {
        tokio::select! {
            outcome = &mut running => return failure_of(outcome),
            changed = desired.changed() => {
                let wanted = desired.borrow_and_update().clone().filter(|_| changed.is_ok());
                match wanted {
                    Some(wanted) if wanted.spec == current.spec && wanted.restarts == current.restarts => {
                        command.send_replace(Command::Be(wanted.target_state));
                    }
                    _ => break,
                }
            }
        }
    }
    command.send_replace(Command::Stop);
    let stopped = tokio::select! {
        stopped = tokio::time::timeout(unit.stop_timeout(), &mut running) => stopped.is_ok(),
        () = unit.session_over() => false,
    };
    if !stopped {
        abort(&unit.title(), unit.blocked(), running).await;
    }
    None
}

/// Aborts a unit, and waits: the next one must not begin while this one still holds what it holds. If it blocks its thread, that
/// is for as long as it does; so that is said, again and again, and the worker goes on without it.
async fn abort<T>(title: &str, blocked: &Blocked, mut running: JoinHandle<T>) {
    tracing::warn!("{title} did not stop in time and is aborted");
    running.abort();
    let began = Instant::now();
    if tokio::time::timeout(ABORT_PATIENCE, &mut running).await.is_ok() {
        return;
    }
    let _blocking = blocked.begins(title, began);
    loop {
        tracing::warn!(
            after = ?began.elapsed(),
            "{title} still runs, although it was aborted: it blocks its thread. It cannot start again on this worker before it ends; start the \
             worker again if that lasts"
        );
        let ended = tokio::time::timeout(ABORTED_WARNING_INTERVAL, &mut running).await;
        if ended.is_ok() {
            return;
        }
    }
}

fn failure_of(outcome: Result<Result<(), Failure>, JoinError>) -> Option<Failure> {
    match outcome {
        Ok(Ok(())) => Some(Failure::Run(Error::fatal("it ended by itself"))),
        Ok(Err(failure)) => Some(failure),
        Err(error) if error.is_panic() => {
            let panic = error.into_panic();
            let message = panic
                .downcast_ref::<&str>()
                .map(ToString::to_string)
                .or_else(|| panic.downcast_ref::<String>().cloned());
            let message = message.unwrap_or_else(|| "for a reason that is no text".to_owned());
            Some(Failure::Run(Error::fatal(format!("it panicked: {message}"))))
        }
        Err(error) => Some(Failure::Run(Error::fatal(error.to_string()))),
    }
}

/// What ended the wait of something that has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waited {
    /// It is time for the next attempt.
    ByItself,
    /// The user, or another configuration.
    Anew,
    /// It is wanted no more.
    Gone,
}

/// Waits for the user, for another configuration, or for the time of the next attempt.
async fn wait_for_restart<S: Clone + PartialEq>(
    failed: &Desired<S>,
    desired: &mut watch::Receiver<Option<Desired<S>>>,
    retry_at: Option<Instant>,
) -> Waited {
    loop {
        let attempt = async {
            match retry_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = attempt => return Waited::ByItself,
            changed = desired.changed() => {
                let wanted = desired.borrow_and_update().clone();
                match wanted {
                    Some(wanted) if changed.is_ok() => {
                        if wanted.spec != failed.spec || wanted.restarts != failed.restarts {
                            return Waited::Anew;
                        }
                    }
                    _ => return Waited::Gone,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
