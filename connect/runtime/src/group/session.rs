//! How long a worker may act as a member of its group (faults.md C13): a worker that is cut off stops what it runs before the
//! coordinator gives it to others, by its own clock and without hearing from anybody.

use std::sync::Arc;
use std::time::Duration;

use forebay_client::Error;
use forebay_client::membership::{self, Member};
use tokio::time::Instant;

/// The session of a worker.
#[derive(Debug, Clone)]
pub(crate) struct Session(Option<Lasting>);

#[derive(Debug, Clone)]
struct Lasting {
    member: Arc<Member>,
    limits: Limits,
}

/// How long after the coordinator was heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limits {
    /// Everything is told to stop.
    stop: Duration,
    /// What has not stopped by then is aborted.
    abort: Duration,
}

impl Limits {
    /// Two heartbeats may be lost where the interval is a third of the session, as it should be.
    fn new(session_timeout: Duration, heartbeat_interval: Duration) -> Self {
        let stop = (session_timeout * 2 / 3).max((session_timeout + heartbeat_interval) / 2);
        let margin = session_timeout.saturating_sub(stop);
        Self {
            stop,
            abort: session_timeout - margin / 4,
        }
    }
}

impl Session {
    /// Of a worker without a group: it never ends.
    pub(crate) fn alone() -> Self {
        Self(None)
    }

    /// Of a member of a group.
    pub(crate) fn of(member: Arc<Member>, options: &membership::Options) -> Self {
        let limits = Limits::new(options.session_timeout, options.heartbeat_interval);
        Self(Some(Lasting { member, limits }))
    }

    /// How long before its session ends a worker that was cut off stops, and no longer leads.
    pub(crate) fn margin(options: &membership::Options) -> Duration {
        let limits = Limits::new(options.session_timeout, options.heartbeat_interval);
        options.session_timeout.saturating_sub(limits.stop)
    }

    /// When everything has to be told to stop, unless the coordinator is heard of before; `None`: not because of this.
    pub(crate) fn stop_at(&self) -> Option<Instant> {
        let lasting = self.0.as_ref()?;
        Some(lasting.member.heard()? + lasting.limits.stop)
    }

    /// Whether it is time to stop.
    pub(crate) fn is_ending(&self) -> bool {
        let Some(lasting) = &self.0 else { return false };
        let heard = lasting.member.heard();
        heard.is_none_or(|heard| heard.elapsed() >= lasting.limits.stop)
    }

    /// Ready when nothing may run any more.
    pub(crate) async fn over(&self) {
        let Some(lasting) = &self.0 else {
            return std::future::pending().await;
        };
        while let Some(heard) = lasting.member.heard() {
            let end = heard + lasting.limits.abort;
            if end <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    }

    /// Asks the coordinator whether a generation of the group still stands: then nobody has been elected after it.
    ///
    /// # Errors
    /// If it does not, or the coordinator does not say so.
    pub(crate) async fn confirm(&self, generation: i32) -> Result<(), Error> {
        match &self.0 {
            Some(lasting) => lasting.member.confirm(generation).await,
            None => Ok(()),
        }
    }

    /// The generation of the workers' group, for states; 0 of a worker alone.
    pub(crate) fn generation(&self) -> i32 {
        let generation = self.0.as_ref().map(|it| it.member.metadata().generation_id);
        generation.unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stopping_begins_after_lost_heartbeats_and_ends_before_the_session() {
        let seconds = Duration::from_secs;
        for (session, heartbeat) in [(10, 3), (6, 5), (45, 3), (30, 10)] {
            let limits = Limits::new(seconds(session), seconds(heartbeat));
            assert!(limits.stop > seconds(heartbeat), "{session} {heartbeat}");
            assert!(
                limits.stop < limits.abort && limits.abort < seconds(session),
                "{session} {heartbeat}"
            );
        }
        // Kafka's defaults: two heartbeats may be lost.
        assert!(Limits::new(seconds(10), seconds(3)).stop > seconds(6));
    }
}
