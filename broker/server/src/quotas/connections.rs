//! How fast connections may come, over all listeners and on each (`max.connection.creation.rate`, KIP-612; `ConnectionQuotas`). What comes
//! faster is not refused: accepting waits. What one address may do is a quota of clients, and is counted beside.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use forebay_config::Config;
use forebay_records::Timestamp;

use super::rate::{Rate, Windows};

/// The key, of the broker; a listener has it behind its prefix.
pub(crate) const MAX_CONNECTION_CREATION_RATE: &str = "max.connection.creation.rate";
/// In front of the keys of one listener, before its name in small letters and a full stop.
pub(crate) const LISTENER_PREFIX: &str = "listener.name.";

/// A value that cannot be a rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "Invalid value {value} for configuration {key}: a number of connections per second, at least 1, is wanted"
)]
pub struct Error {
    key: String,
    value: String,
}

/// The rates that are configured. None is as good as the largest one.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ConnectionRates {
    broker: Option<f64>,
    /// By name, in small letters.
    listeners: BTreeMap<String, f64>,
}

impl ConnectionRates {
    /// Those in a broker's settings.
    ///
    /// # Errors
    /// If that of a listener is no rate.
    pub(crate) fn of(values: &Config) -> Result<Self, Error> {
        let bound = |rate: i32| (rate < i32::MAX).then(|| f64::from(rate));
        let mut listeners = BTreeMap::new();
        for (key, value) in values.originals() {
            let Some(listener) = listener_of(key) else {
                continue;
            };
            let rate = value.trim().parse().ok().filter(|rate| *rate > 0);
            let rate = rate.ok_or_else(|| Error {
                key: key.clone(),
                value: value.clone(),
            })?;
            listeners.extend(bound(rate).map(|bound| (listener.to_owned(), bound)));
        }
        Ok(Self {
            broker: bound(values.get_int(MAX_CONNECTION_CREATION_RATE)),
            listeners,
        })
    }
}

fn listener_of(key: &str) -> Option<&str> {
    key.strip_prefix(LISTENER_PREFIX)?
        .strip_suffix(MAX_CONNECTION_CREATION_RATE)?
        .strip_suffix('.')
}

/// What has come, and how much of it may.
#[derive(Debug)]
pub(crate) struct ConnectionMeter {
    windows: Windows,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bounds: ConnectionRates,
    broker: Option<Rate>,
    listeners: BTreeMap<String, Rate>,
}

impl ConnectionMeter {
    /// Nothing has come, and all may.
    pub(crate) fn new(windows: Windows) -> Self {
        Self {
            windows,
            state: Mutex::default(),
        }
    }

    /// From now on these hold; what has come stays counted.
    pub(crate) fn set(&self, bounds: ConnectionRates) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state
            .listeners
            .retain(|name, _| bounds.listeners.contains_key(name));
        state.bounds = bounds;
    }

    /// A connection has come to `listener`: how long it, and those behind it, have to wait. At most one window, as in Kafka.
    pub(crate) fn accepted(&self, listener: &str, now: Timestamp) -> Duration {
        let windows = self.windows;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State {
            bounds,
            broker,
            listeners,
        } = &mut *state;
        let of_broker = bounds.broker.map(|bound| {
            let rate = broker.get_or_insert_with(|| Rate::new(windows, now));
            count(rate, bound, now)
        });
        let name = listener.to_ascii_lowercase();
        let of_listener = bounds.listeners.get(&name).map(|bound| {
            let rate = listeners.entry(name).or_insert_with(|| Rate::new(windows, now));
            count(rate, *bound, now)
        });
        let longest = of_broker.max(of_listener).unwrap_or_default();
        longest.min(Duration::from_millis(windows.size_ms.unsigned_abs()))
    }
}

fn count(rate: &mut Rate, bound: f64, now: Timestamp) -> Duration {
    rate.record(1.0, now);
    rate.throttle_time(bound, now)
}

#[cfg(test)]
mod tests {
    use forebay_config::Properties;

    use super::*;
    use crate::config;

    const WINDOWS: Windows = Windows {
        count: 11,
        size_ms: 1000,
    };

    fn rates(settings: &[(&str, &str)]) -> Result<ConnectionRates, Error> {
        let settings = settings
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let settings: Properties = settings.collect();
        ConnectionRates::of(&config::definition().parse(&settings).expect("reads"))
    }

    /// How many of 100 connections at once need not wait.
    fn at_once(meter: &ConnectionMeter, listener: &str, now: Timestamp) -> usize {
        (0..100)
            .take_while(|_| meter.accepted(listener, now).is_zero())
            .count()
    }

    #[test]
    fn the_broker_and_its_listeners_have_rates_of_their_own() {
        let now = Timestamp(1_000_000);
        let meter = ConnectionMeter::new(WINDOWS);
        assert_eq!(
            at_once(&meter, "PLAINTEXT", now),
            100,
            "without a rate all may come"
        );
        let both = [
            (MAX_CONNECTION_CREATION_RATE, "5"),
            ("listener.name.external.max.connection.creation.rate", "2"),
        ];
        meter.set(rates(&both).expect("rates"));
        // Two a second over ten seconds; the broker has counted them too.
        assert_eq!(at_once(&meter, "EXTERNAL", now), 20);
        assert_eq!(at_once(&meter, "PLAINTEXT", now), 50 - 21);
        let long = meter.accepted("PLAINTEXT", now);
        assert!(
            long > Duration::ZERO && long <= Duration::from_secs(1),
            "{long:?}"
        );
        // What is waited for comes.
        assert!(meter.accepted("PLAINTEXT", Timestamp(now.0 + 11_000)).is_zero());
        meter.set(rates(&[]).expect("rates"));
        assert_eq!(at_once(&meter, "EXTERNAL", now), 100);
    }

    #[test]
    fn what_is_no_rate_is_told() {
        for value in ["0", "-1", "many", "2147483648"] {
            let key = "listener.name.external.max.connection.creation.rate";
            let error = rates(&[(key, value)]).expect_err("no rate").to_string();
            assert!(error.contains(key) && error.contains(value), "{error}");
        }
        let largest = [("listener.name.x.max.connection.creation.rate", "2147483647")];
        assert_eq!(rates(&largest), Ok(ConnectionRates::default()));
    }
}
