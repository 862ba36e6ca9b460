//! Keeps the runtime going while a connector or task blocks one of its threads. Tokio's threads take turns at waiting for sockets and clocks;
//! if the one whose turn it is runs into such a task, the others may sleep on, and nothing in the process is woken any more. A thread of our
//! own gives them something to do now and then: whoever wakes takes the turn.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};

/// How often.
const INTERVAL: Duration = Duration::from_millis(500);

/// The thread; it ends with this.
#[derive(Debug)]
pub(super) struct Watch(#[expect(dead_code, reason = "dropping it is what counts")] Option<mpsc::Sender<()>>);

impl Watch {
    /// Of the runtime that this is called in; one with a single thread has nobody to wake.
    pub(super) fn start() -> Self {
        let runtime = Handle::current();
        if runtime.runtime_flavor() != RuntimeFlavor::MultiThread {
            return Self(None);
        }
        let (alive, ended) = mpsc::channel::<()>();
        let watching = move || {
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                drop(runtime.spawn(std::future::ready(())));
            }
        };
        let thread = thread::Builder::new().name("connect-watch".to_owned());
        if let Err(error) = thread.spawn(watching) {
            tracing::warn!(%error, "no thread can be had that keeps the runtime going while a task blocks one of its own");
        }
        Self(Some(alive))
    }
}
