//! The client keys on which rests what Connect promises: that nothing is lost between a topic and a store, in either direction.
//! A value that breaks the promise is refused where it is given, to the worker or to a connector, and never reaches a client.
//!
//! Other keys are the user's, also those that decide what is read: `isolation.level` (`read_committed` unless given),
//! `auto.offset.reset` (`earliest` unless given), and a connector's `consumer.override.group.id`.

use forebay_client::config::{consumer_def, producer_def};

/// How many requests a producer may have on their way without a retry changing the order of records.
const REQUESTS_IN_FLIGHT_MAX: u8 = 5;

/// A client whose keys govern a guarantee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// Of a source task, or of a dead letter queue.
    Producer,
    /// Of a sink task.
    Consumer,
}

/// Who gives a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// The worker, for all connectors: `consumer.group.id`.
    Worker,
    /// A connector, for its own tasks: `consumer.override.group.id`.
    Connector,
}

/// Why a key of a client may not have this value; `None` if it may.
pub(crate) fn refusal(client: Client, level: Level, key: &str, value: &str) -> Option<&'static str> {
    let def = match client {
        Client::Producer => producer_def(),
        Client::Consumer => consumer_def(),
    };
    let key = def.key(key).map_or(key, |known| &known.name);
    let value = value.trim();
    let is = |wanted: &str| value.eq_ignore_ascii_case(wanted);
    let (keeps, reason) = match (client, level, key) {
        (Client::Consumer, _, "enable.auto.commit") => (
            is("false"),
            "must be false: the worker commits what the task says is stored, the consumer would commit what was fetched, and the rest \
             would be lost when the process is killed",
        ),
        (Client::Consumer, _, "group.instance.id") => (
            false,
            "cannot be set: each task has its own, connect-NAME-TASK, and tasks of one name would put each other out of their group",
        ),
        (Client::Consumer, Level::Worker, "group.id") => (
            false,
            "cannot be set for all connectors: of sinks in one group each would get only some of the records; set \
             consumer.override.group.id in a connector",
        ),
        (Client::Producer, _, "transactional.id") => (
            false,
            "cannot be set: each task has its own, GROUP-CONNECTOR-TASK, by which what a dead task has left open is ended",
        ),
        (Client::Producer, _, "acks") => (
            matches!(value, "all" | "-1"),
            "must be all: a source's offsets are committed once its records are acknowledged, and with fewer acknowledgements these can \
             be lost",
        ),
        (Client::Producer, _, "enable.idempotence") => (
            is("true"),
            "must be true: a request that is sent again would write its records twice, or behind later ones",
        ),
        (Client::Producer, _, "max.in.flight.requests.per.connection") => {
            let allowed = 1..=REQUESTS_IN_FLIGHT_MAX;
            (
                value
                    .parse()
                    .is_ok_and(|requests: u8| allowed.contains(&requests)),
                "must be between 1 and 5: with more, a request that is sent again would write its records behind later ones",
            )
        }
        _ => return None,
    };
    (!keeps).then_some(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_the_promise_is_allowed_and_the_rest_is_not() {
        use Client::{Consumer, Producer};
        let in_flight = "max.in.flight.requests.per.connection";
        for (client, key, allowed, refused) in [
            (
                Consumer,
                "enable.auto.commit",
                &["false", " False"][..],
                &["true", "TRUE"][..],
            ),
            (Consumer, "group.instance.id", &[], &["me", ""]),
            (
                Consumer,
                "isolation.level",
                &["read_uncommitted", "read_committed"],
                &[],
            ),
            (Consumer, "auto.offset.reset", &["latest", "none"], &[]),
            (Producer, "acks", &["all", "-1", " all "], &["0", "1"]),
            (Producer, "request.required.acks", &["all"], &["1"]),
            (Producer, "enable.idempotence", &["true"], &["false"]),
            (Producer, in_flight, &["1", "5"], &["0", "6", "1000", "-1"]),
            (Producer, "max.in.flight", &["5"], &["6"]),
            (Producer, "enable.auto.commit", &["true"], &[]),
            (Producer, "no.such.key", &["x"], &[]),
        ] {
            for level in [Level::Worker, Level::Connector] {
                for value in allowed {
                    assert_eq!(refusal(client, level, key, value), None, "{key}={value}");
                }
                for value in refused {
                    assert!(refusal(client, level, key, value).is_some(), "{key}={value}");
                }
            }
        }
        let group = |level| refusal(Consumer, level, "group.id", "mine");
        assert_eq!(group(Level::Connector), None);
        assert!(group(Level::Worker).is_some_and(|reason| reason.contains("consumer.override.group.id")));
    }
}
