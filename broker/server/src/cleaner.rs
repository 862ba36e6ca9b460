//! Compacts topics in the background (Kafka's `LogCleaner`): each cleaner looks for the dirtiest log, compacts it on a thread
//! of its own, and goes on, or waits if there was nothing to do. What is compacted and how is `forebay-broker-log`'s.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// A cleaner that is held back looks so often whether the broker stops, its log is deleted or the rate is another one by now.
const NAP_MAX: Duration = Duration::from_millis(20);

/// More cleaners are not begun, whatever is configured: the metadata of another time may have any number.
pub(crate) const CLEANERS_MAX: usize = 256;

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
        let threads = config.borrow_and_update().threads.min(CLEANERS_MAX);
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
    account: Mutex<Account>,
    shutdown: Shutdown,
}

/// Bytes that were spent, and paid for by waiting.
#[derive(Debug)]
struct Account {
    spent: f64,
    /// At most what is spent: what nobody has spent is not saved up.
    paid: f64,
    /// When that was.
    at: Instant,
}

impl Account {
    /// Time has gone by at a rate.
    fn pay(&mut self, bytes_per_second: f64, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.paid = (self.paid + elapsed * bytes_per_second).min(self.spent);
        self.at = self.at.max(now);
    }
}

impl Throttle {
    fn new(bytes_per_second: SharedRate, shutdown: Shutdown) -> Throttle {
        Throttle {
            bytes_per_second,
            account: Mutex::new(Account {
                spent: 0.0,
                paid: 0.0,
                at: Instant::now(),
            }),
            shutdown,
        }
    }

    /// Spends so many bytes; gives up to where all must be paid for before the spender may go on.
    fn take(&self, bytes: usize, now: Instant) -> f64 {
        let mut account = self.account(now);
        #[expect(clippy::cast_precision_loss, reason = "a duration")]
        let bytes = bytes as f64;
        account.spent += bytes;
        account.spent
    }

    /// For how long, at the rate of this moment, a spender has to wait.
    fn left(&self, due: f64, now: Instant) -> Duration {
        let owed = due - self.account(now).paid;
        if owed <= 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(owed / self.rate()).unwrap_or(Duration::MAX)
    }

    fn account(&self, now: Instant) -> MutexGuard<'_, Account> {
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        account.pay(self.rate(), now);
        account
    }

    fn rate(&self) -> f64 {
        self.bytes_per_second.get().max(1.0)
    }
}

impl Pace for Throttle {
    fn spend(&self, bytes: usize, goes_on: &dyn Fn() -> bool) -> bool {
        let due = self.take(bytes, Instant::now());
        while !self.shutdown.is_requested() && goes_on() {
            let left = self.left(due, Instant::now());
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
        let (stop, stopped) = crate::shutdown::channel();
        let rate = SharedRate::new(1000.0);
        let throttle = Throttle::new(rate.clone(), stopped.clone());
        let start = Instant::now() + Duration::from_secs(60);
        let millis = |left: Duration| left.as_secs_f64() * 1000.0;
        let is = |left: Duration, expected: f64| (millis(left) - expected).abs() < 0.01;
        let first = throttle.take(500, start);
        let second = throttle.take(1000, start);
        assert!(is(throttle.left(first, start), 500.0) && is(throttle.left(second, start), 1500.0));
        let later = start + Duration::from_millis(500);
        assert!(is(throttle.left(first, later), 0.0) && is(throttle.left(second, later), 1000.0));
        // What is owed is owed in bytes: at another rate it takes another time.
        rate.set(10_000.0);
        assert!(is(throttle.left(second, later), 100.0));
        let paid = later + Duration::from_millis(100);
        assert!(is(throttle.left(second, paid), 0.0));
        // What nobody has spent is not saved up.
        let later = paid + Duration::from_secs(60);
        let third = throttle.take(5000, later);
        assert!(is(throttle.left(third, later), 500.0));
        let unlimited = Throttle::new(SharedRate::new(f64::MAX), stopped);
        assert!(unlimited.spend(1 << 30, &|| true));
        rate.set(1.0);
        assert!(!throttle.spend(1 << 30, &|| false), "its log is deleted");
        stop.request();
        assert!(!unlimited.spend(1, &|| true), "the broker stops");
    }
}
