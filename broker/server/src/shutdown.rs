//! The wish to stop, seen by everything that waits.

use std::sync::Arc;

use tokio::sync::watch;

/// Tells whoever holds a [`Shutdown`]. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ShutdownSender(Arc<watch::Sender<bool>>);

/// Waits for the wish to stop. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Shutdown(watch::Receiver<bool>);

/// A wish that nobody has yet, and who may wait for it.
pub(crate) fn channel() -> (ShutdownSender, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (ShutdownSender(Arc::new(sender)), Shutdown(receiver))
}

impl ShutdownSender {
    /// Asks everyone to stop.
    pub(crate) fn request(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Returns once stopping is asked for, at once if it has been; also when nobody is left who could ask.
    pub(crate) async fn requested(mut self) {
        // An error means that the sender is gone: nobody would ever ask, so it is time to stop.
        let _gone = self.0.wait_for(|stop| *stop).await;
    }

    /// Whether stopping has been asked for.
    pub(crate) fn is_requested(&self) -> bool {
        *self.0.borrow()
    }
}
