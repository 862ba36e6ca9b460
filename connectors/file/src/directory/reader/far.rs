//! How far a task is with its files, where they do not grow (`file.complete`).

use std::time::Duration;

use forebay_connect_api::Progress;

use super::{Known, Reader};

/// How often it is looked at while records come: there may be hundreds of thousands of files.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

impl Reader {
    /// How far it is, if that was looked at since the last call.
    pub(in crate::directory) fn take_progress(&mut self) -> Option<Progress> {
        self.far.take()
    }

    /// Looks how far it is, if it is time to or nothing else is to be done.
    pub(super) fn look_how_far(&mut self, now: Duration, is_idle: bool) {
        if !self.config.complete || (now < self.far_at && !is_idle) {
            return;
        }
        self.far_at = now + LOOK_INTERVAL;
        let own = self.known.iter().filter(|known| known.own);
        let (done, whole) = own
            .map(bytes)
            .fold((self.far_gone, self.far_gone), |(done, whole), of| {
                (done + of.0, whole + of.1)
            });
        self.far = Some(Progress::bytes(done, whole));
    }
}

/// How many bytes of a file are done, and how many it has.
fn bytes(known: &Known) -> (u64, u64) {
    let Some(file) = &known.file else {
        // It was moved or deleted because it was done, or has vanished.
        let done = known.done.unwrap_or(0);
        return (done, done);
    };
    let is_done = known.done.is_some() && !known.may_have_more();
    let done = match &known.input {
        _ if is_done || known.failed == known.now() => file.length,
        Some(input) => input.done(known.lineage.mark.position, file.length),
        None => known.lineage.mark.position.min(file.length),
    };
    (done, file.length)
}
