//! Client quotas: how much of the broker a user, a client or an address may use, and how long it is not heard when it has used
//! more (KIP-13, KIP-124, KIP-219, KIP-599, KIP-612; `QuotaFactory`). What is used is measured in `rate` and `token_bucket`, which
//! quota holds is decided in `limits`; here they meet the metadata and the clock. Without quotas a request costs one load each.

pub(crate) mod connections;
mod limits;
pub(crate) mod rate;
mod sensors;
mod token_bucket;
mod told;

use std::fmt;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use forebay_broker_controller::MetadataImage;
use forebay_records::Timestamp;

use crate::call::CallContext;
use crate::config::QuotaConfig;
use crate::metadata::Metadata;
use limits::{Limits, Share};
use rate::{Rate, Windows};
use sensors::Sensors;
use token_bucket::TokenBucket;
use told::Told;

/// A request takes at most so much of a second.
const NANOSECONDS_PER_PERCENT: f64 = 10_000_000.0;

/// The quotas under one key, and what has been used of them.
#[derive(Debug)]
struct Quota<K, S> {
    key: &'static str,
    windows: Windows,
    /// Whether anybody has one: else nothing is measured.
    is_set: AtomicBool,
    limits: RwLock<Arc<Limits>>,
    sensors: Sensors<K, S>,
    throttled: AtomicU64,
    /// Of whom the log has said lately that he is slowed down.
    told: Sensors<K, Told>,
}

impl<K: Eq + Hash + Clone + fmt::Display, S: sensors::Idle> Quota<K, S> {
    fn new(key: &'static str, windows: Windows) -> Self {
        Self {
            key,
            windows,
            is_set: AtomicBool::new(false),
            limits: RwLock::default(),
            sensors: Sensors::new(windows.span_ms()),
            throttled: AtomicU64::new(0),
            told: Sensors::new(windows.span_ms()),
        }
    }

    fn set(&self, image: &MetadataImage) {
        let limits = Limits::of(image.client_quotas(), self.key);
        let is_set = !limits.is_empty();
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(limits);
        self.is_set.store(is_set, Ordering::Release);
    }

    fn limits(&self) -> Option<Arc<Limits>> {
        self.is_set
            .load(Ordering::Acquire)
            .then(|| Arc::clone(&self.limits.read().unwrap_or_else(PoisonError::into_inner)))
    }

    fn count(&self, throttle: Duration) {
        if !throttle.is_zero() {
            self.throttled.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts and logs that somebody is slowed down, if he is; the log has one line for each in the time that the windows span.
    fn note(&self, throttle: Duration, now: Timestamp, who: impl FnOnce() -> Option<K>) -> Duration {
        self.count(throttle);
        if throttle.is_zero() {
            return throttle;
        }
        let Some(who) = who() else { return throttle };
        let span_ms = self.windows.span_ms();
        let new = || Told::new(now);
        let unsaid = self
            .told
            .with(who.clone(), now, new, |told| told.again(now, span_ms));
        if let Some(unsaid) = unsaid.flatten() {
            let throttle_ms = throttle_time_ms(throttle);
            tracing::warn!(quota = self.key, %who, throttle_ms, unsaid, "a client is over its quota and is slowed down");
        }
        throttle
    }
}

type RateQuota = Quota<Share, Rate>;

impl RateQuota {
    /// As [`Quota::note`], of a client.
    fn note_client(&self, context: &CallContext, throttle: Duration, now: Timestamp) -> Duration {
        self.note(throttle, now, || {
            of_client(&*self.limits()?, context).map(|(share, _)| share)
        })
    }

    /// Counts so much for a client, and says how long it is not to be heard.
    fn charge(&self, context: &CallContext, value: f64, now: Timestamp) -> Duration {
        let throttle = self.with(context, now, |rate, bound| {
            rate.record(value, now);
            rate.throttle_time(bound, now)
        });
        throttle.unwrap_or_default()
    }

    fn with<T>(
        &self,
        context: &CallContext,
        now: Timestamp,
        work: impl FnOnce(&mut Rate, f64) -> T,
    ) -> Option<T> {
        let (share, bound) = of_client(&*self.limits()?, context)?;
        let new = || Rate::new(self.windows, now);
        self.sensors.with(share, now, new, |rate| work(rate, bound))
    }
}

fn of_client(limits: &Limits, context: &CallContext) -> Option<(Share, f64)> {
    let user = context
        .principal
        .strip_prefix("User:")
        .unwrap_or(&context.principal);
    limits.of_client(user, context.client_id.as_deref().unwrap_or_default())
}

/// All quotas of this broker.
#[derive(Debug)]
pub(crate) struct Quotas {
    produce: RateQuota,
    fetch: RateQuota,
    request: RateQuota,
    mutation: Quota<Share, TokenBucket>,
    connection: Quota<IpAddr, Rate>,
    /// The quotas that hold, as the metadata have them: they are read again only when they are others.
    current: Mutex<Option<Arc<MetadataImage>>>,
}

impl Quotas {
    /// Nobody has one yet.
    fn new(config: &QuotaConfig) -> Self {
        let windows = config.client_windows();
        let mutation = Windows {
            count: config.controller_windows,
            size_ms: config.controller_window_ms,
        };
        Self {
            produce: Quota::new("producer_byte_rate", windows),
            fetch: Quota::new("consumer_byte_rate", windows),
            request: Quota::new("request_percentage", windows),
            mutation: Quota::new("controller_mutation_rate", mutation),
            connection: Quota::new("connection_creation_rate", windows),
            current: Mutex::default(),
        }
    }

    /// Those of the metadata, now and from now on.
    pub(crate) fn follow(config: &QuotaConfig, metadata: &Metadata) -> Arc<Self> {
        let quotas = Arc::new(Self::new(config));
        metadata.observe({
            let quotas = Arc::clone(&quotas);
            move |image| quotas.apply(image)
        });
        quotas
    }

    /// Takes over the quotas of the metadata.
    fn apply(&self, image: &Arc<MetadataImage>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |known: &Arc<MetadataImage>| Arc::ptr_eq(known.client_quotas(), image.client_quotas());
        if current.as_ref().is_some_and(is_same) {
            return;
        }
        self.produce.set(image);
        self.fetch.set(image);
        self.request.set(image);
        self.mutation.set(image);
        self.connection.set(image);
        *current = Some(Arc::clone(image));
    }

    /// Whether requests are measured at all.
    pub(crate) fn charges_requests(&self) -> bool {
        self.produce.is_set.load(Ordering::Acquire) || self.request.is_set.load(Ordering::Acquire)
    }

    /// A Produce request of so many bytes has come.
    pub(crate) fn produced(&self, context: &CallContext, bytes: usize, now: Timestamp) -> Duration {
        let throttle = self.produce.charge(context, as_float(bytes), now);
        self.produce.note_client(context, throttle, now)
    }

    /// A Fetch would be answered with so many bytes. If that is too much it may not be, and they do not count.
    pub(crate) fn fetched(&self, context: &CallContext, bytes: usize, now: Timestamp) -> Duration {
        let bytes = as_float(bytes);
        let throttle = self.fetch.with(context, now, |rate, bound| {
            rate.record(bytes, now);
            let throttle = rate.throttle_time(bound, now);
            if !throttle.is_zero() {
                rate.record(-bytes, now);
            }
            throttle
        });
        self.fetch.note_client(context, throttle.unwrap_or_default(), now)
    }

    /// The most that one Fetch may give: what the quota allows over its windows, or else it could never be answered.
    pub(crate) fn fetch_bytes_max(&self, context: &CallContext) -> usize {
        let of_client = self.fetch.limits().and_then(|limits| of_client(&limits, context));
        of_client.map_or(usize::MAX, |(_, bound)| {
            let most = (bound * self.fetch.windows.full_seconds()).clamp(0.0, f64::from(i32::MAX));
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
            let most = most as usize;
            most
        })
    }

    /// A request has been worked on for so long.
    pub(crate) fn worked(&self, context: &CallContext, time: Duration, now: Timestamp) -> Duration {
        let percent = time.as_secs_f64() * 1e9 / NANOSECONDS_PER_PERCENT;
        let throttle = self.request.charge(context, percent, now);
        let window = Duration::from_millis(self.request.windows.size_ms.unsigned_abs());
        self.request.note_client(context, throttle.min(window), now)
    }

    /// The budget of a client for partitions that it makes or deletes.
    pub(crate) fn mutations<'a>(&'a self, context: &CallContext, is_strict: bool) -> Mutations<'a> {
        Mutations {
            quota: &self.mutation,
            of_client: self
                .mutation
                .limits()
                .and_then(|limits| of_client(&limits, context)),
            is_strict,
        }
    }

    /// A connection has come from `ip`; how long it has to wait before it is closed, or zero to let it in.
    pub(crate) fn connected(&self, ip: IpAddr, now: Timestamp) -> Duration {
        let Some(bound) = self
            .connection
            .limits()
            .and_then(|limits| limits.of_ip(&ip.to_string()))
        else {
            return Duration::ZERO;
        };
        let windows = self.connection.windows;
        let throttle = self.connection.sensors.with(
            ip,
            now,
            || Rate::new(windows, now),
            |rate| {
                rate.record(1.0, now);
                let throttle = rate.throttle_time(bound, now);
                if !throttle.is_zero() {
                    // It is not let in, so it does not count.
                    rate.record(-1.0, now);
                }
                throttle.min(Duration::from_millis(windows.size_ms.unsigned_abs()))
            },
        );
        self.connection
            .note(throttle.unwrap_or_default(), now, || Some(ip))
    }

    /// How often each kind of quota has slowed somebody down, under Kafka's names of the kinds.
    pub(crate) fn throttles(&self) -> [(&'static str, u64); 5] {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ("Produce", load(&self.produce.throttled)),
            ("Fetch", load(&self.fetch.throttled)),
            ("Request", load(&self.request.throttled)),
            ("ControllerMutation", load(&self.mutation.throttled)),
            ("Connection", load(&self.connection.throttled)),
        ]
    }
}

#[expect(clippy::cast_precision_loss, reason = "requests are far below 2^53 bytes")]
fn as_float(bytes: usize) -> f64 {
    bytes as f64
}

/// What one request may change (Kafka's `ControllerMutationQuota`).
pub(crate) struct Mutations<'a> {
    quota: &'a Quota<Share, TokenBucket>,
    of_client: Option<(Share, f64)>,
    /// Whether the client is told of what was not done, or only slowed down.
    is_strict: bool,
}

impl Mutations<'_> {
    /// Whether changes are counted at all.
    pub(crate) fn is_bounded(&self) -> bool {
        self.of_client.is_some()
    }

    /// Takes `count` changes from the budget. False: it is used up, and nothing was taken.
    pub(crate) fn take(&self, count: i32, now: Timestamp) -> bool {
        let taken = self.with(now, |bucket, rate| {
            if self.is_strict && count > 0 && bucket.is_exhausted(rate, now) {
                return false;
            }
            bucket.take(f64::from(count), rate, now);
            true
        });
        taken.unwrap_or(true)
    }

    /// How long the client is not to be heard.
    pub(crate) fn throttle_time(&self, now: Timestamp) -> Duration {
        let throttle = self.with(now, |bucket, rate| bucket.throttle_time(rate, now));
        let who = || self.of_client.as_ref().map(|(share, _)| share.clone());
        self.quota.note(throttle.unwrap_or_default(), now, who)
    }

    fn with<T>(&self, now: Timestamp, work: impl FnOnce(&mut TokenBucket, f64) -> T) -> Option<T> {
        let (share, rate) = self.of_client.as_ref()?;
        let new = || TokenBucket::new(self.quota.windows, now);
        self.quota
            .sensors
            .with(share.clone(), now, new, |bucket| work(bucket, *rate))
    }
}

/// As a response says it.
pub(crate) fn throttle_time_ms(throttle: Duration) -> i32 {
    i32::try_from(throttle.as_millis()).unwrap_or(i32::MAX)
}
