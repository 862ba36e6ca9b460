//! Compacts topics in the background (Kafka's `LogCleaner`): each cleaner looks for the dirtiest log, compacts it on a thread
//! of its own, and goes on, or waits if there was nothing to do. What is compacted and how is `forebay-broker-log`'s.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use forebay_broker_log::{CleanerError, CleaningRound, LogDirectory, Pace};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::clock;
use crate::config::CleanerConfig;
use crate::dynamic::{Dynamic, SharedRate};
use crate::io_pool::IoPool;
use crate::metrics::CleanerMetrics;
use crate::shutdown::Shutdown;

/// A cleaner that is held back looks so often whether the broker stops.
const NAP_MAX: Duration = Duration::from_millis(100);

/// Cleans until the broker stops, with as many cleaners as are configured.
pub(crate) async fn run(
    dynamic: Arc<Dynamic>,
    directory: Arc<LogDirectory>,
    pool: IoPool,
    shutdown: Shutdown,
) {
    let throttle = Arc::new(Throttle::new(
        dynamic.cleaner_bytes_per_second(),
        shutdown.clone(),
    ));
    let metrics = Arc::new(CleanerMetrics::new());
    let mut config = dynamic.cleaner();
    let mut cleaners = JoinSet::new();
    let mut started = 0;
    loop {
        let threads = config.borrow_and_update().threads;
        pool.resize(threads);
        // Those beyond the number rest after their round.
        for index in started..threads {
            let cleaner = Cleaner {
                index,
                config: dynamic.cleaner(),
                directory: Arc::clone(&directory),
                pool: pool.clone(),
                throttle: Arc::clone(&throttle),
                metrics: Arc::clone(&metrics),
            };
            cleaners.spawn(cleaner.run(shutdown.clone()));
        }
        started = started.max(threads);
        tokio::select! {
            () = shutdown.clone().requested() => break,
            changed = config.changed() => if changed.is_err() { break },
        }
    }
    while cleaners.join_next().await.is_some() {}
}

struct Cleaner {
    /// It cleans while there are more than so many.
    index: usize,
    config: watch::Receiver<CleanerConfig>,
    directory: Arc<LogDirectory>,
    pool: IoPool,
    throttle: Arc<Throttle>,
    metrics: Arc<CleanerMetrics>,
}

impl Cleaner {
    async fn run(mut self, shutdown: Shutdown) {
        let mut wait = self.backoff();
        loop {
            tokio::select! {
                () = shutdown.clone().requested() => return,
                Ok(()) = self.config.changed() => {}
                () = sleep(wait) => {}
            }
            let (threads, options) = {
                let config = self.config.borrow();
                (config.threads, config.options)
            };
            if self.index >= threads {
                // It rests until there are more of them again.
                wait = Duration::MAX;
                continue;
            }
            let (directory, throttle) = (Arc::clone(&self.directory), Arc::clone(&self.throttle));
            let started = Instant::now();
            let round = move || directory.clean_dirtiest(&options, clock::now(), &*throttle);
            wait = match self.pool.run(round).await {
                Ok(round) => self.note(&round, started.elapsed()),
                Err(_lost) if shutdown.is_requested() => return,
                Err(_lost) => {
                    tracing::error!("a cleaner failed; it goes on after its usual pause");
                    self.backoff()
                }
            };
        }
    }

    fn backoff(&self) -> Duration {
        self.config.borrow().backoff
    }

    /// Tells of a round, and how long to wait before the next one.
    fn note(&self, round: &CleaningRound, took: Duration) -> Duration {
        self.metrics.round(round);
        match &round.cleaned {
            Some((partition, Ok(cleaned))) => {
                self.metrics.cleaned(cleaned, took);
                let milliseconds = took.as_millis();
                tracing::info!(%partition, ?cleaned, milliseconds, "compacted");
                if cleaned.records_without_key > 0 {
                    let records = cleaned.records_without_key;
                    tracing::warn!(%partition, records, "records without a key are not kept in a compacted topic");
                }
                Duration::ZERO
            }
            // What is wrong with the log has been told where it was found.
            Some((partition, Err(CleanerError::Log(error)))) => {
                tracing::debug!(%partition, %error, "not compacted");
                self.backoff()
            }
            Some((_, Err(CleanerError::Interrupted))) | None => self.backoff(),
        }
    }
}

/// Holds all cleaners together to a rate.
#[derive(Debug)]
struct Throttle {
    bytes_per_second: SharedRate,
    /// Until when what was spent so far takes.
    busy_until: Mutex<Instant>,
    shutdown: Shutdown,
}

impl Throttle {
    fn new(bytes_per_second: SharedRate, shutdown: Shutdown) -> Throttle {
        Throttle {
            bytes_per_second,
            busy_until: Mutex::new(Instant::now()),
            shutdown,
        }
    }

    /// Takes so many bytes off the rate; gives from when on the spender may go on.
    fn take(&self, bytes: usize, now: Instant) -> Instant {
        #[expect(clippy::cast_precision_loss, reason = "a duration")]
        let seconds = bytes as f64 / self.bytes_per_second.get().max(1.0);
        let takes = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        let mut busy_until = self.busy_until.lock().unwrap_or_else(PoisonError::into_inner);
        *busy_until = (*busy_until).max(now).checked_add(takes).unwrap_or(now);
        *busy_until
    }
}

impl Pace for Throttle {
    fn spend(&self, bytes: usize) -> bool {
        let until = self.take(bytes, Instant::now());
        while !self.shutdown.is_requested() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(NAP_MAX));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_cleaners_together_keep_to_the_rate() {
        let start = Instant::now();
        let (stop, stopped) = crate::shutdown::channel();
        let throttle = Throttle::new(SharedRate::new(1000.0), stopped.clone());
        let first = throttle.take(500, start);
        let second = throttle.take(1000, start);
        assert_eq!(second - first, Duration::from_secs(1));
        // What nobody has spent is not saved up.
        let later = start + Duration::from_secs(60);
        assert_eq!(throttle.take(500, later), later + Duration::from_millis(500));
        let unlimited = Throttle::new(SharedRate::new(f64::MAX), stopped);
        assert!(unlimited.spend(1 << 30));
        stop.request();
        assert!(!unlimited.spend(1), "the broker stops");
    }
}
