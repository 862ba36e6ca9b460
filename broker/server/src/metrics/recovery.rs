//! The state of the broker and the loading of its logs, which can be asked for before it serves.

use forebay_metrics::{Kind, Text};

use crate::broker::Startup;

/// Kafka's `BrokerState`, with its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum BrokerState {
    /// Ports and directory are being taken.
    Starting = 1,
    /// Logs are being opened, and read through where the last process did not end cleanly.
    Recovery = 2,
    /// It serves.
    Running = 3,
    /// It answers what it has received, and no more.
    ShuttingDown = 7,
}

/// What there is to tell of a broker that does not serve yet.
pub(crate) fn before_serving(state: BrokerState, startup: &Startup) -> String {
    let mut text = Text::default();
    render_state(state, &mut text);
    render_recovery(startup, &mut text);
    text.finish()
}

/// Writes the state.
pub(super) fn render_state(state: BrokerState, text: &mut Text) {
    text.single(
        "kafka_server_kafkaserver_brokerstate",
        Kind::Gauge,
        "1: starting; 2: opening logs; 3: running; 7: shutting down.",
        state as u8,
    );
}

/// Writes how far the loading of logs is.
pub(super) fn render_recovery(startup: &Startup, text: &mut Text) {
    let directory = startup.directory();
    let name = "kafka_log_logmanager_remaininglogstorecover";
    text.family(name, Kind::Gauge, "Logs that are still to be opened.");
    text.sample(name, &[("dir", &directory)], startup.recovery.remaining_logs());
    let name = "kafka_log_logmanager_remainingsegmentstorecover";
    text.family(
        name,
        Kind::Gauge,
        "Segments that a thread has still to read through, of the log that it is at.",
    );
    for (thread, segments) in startup.recovery.remaining_segments().into_iter().enumerate() {
        text.sample(name, &[("dir", &directory), ("threadNum", &thread)], segments);
    }
}
