//! A thousand connections that announce frames of 99 MiB and send 1 kB each, and thousands that send nothing: what is announced reserves
//! nothing, and delays nobody. (Fifty of the first kind end the network threads of an Apache Kafka with a heap of 1 GB.)

use std::path::Path;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::process::{Hub, eventually};
use crate::wire::{Wire, unread};

const ANNOUNCING: usize = 1000;
const ANNOUNCED_BYTES: i32 = 99 << 20;
const SENT_BYTES: usize = 1000;
/// So much of each that memory must grow; the measurement is worth nothing unless it sees that.
const SENT_BYTES_SEEN: usize = 99_000;
/// What either thousand may cost.
const GROWTH_MAX: u64 = 64 << 20;
/// Connections that say nothing, or half a frame's length.
const SILENT: usize = 10_000;
/// What a connection that says nothing may cost: its task, without a buffer.
const SILENT_BYTES_MAX: u64 = 12 << 10;
/// Requests of somebody else, before and meanwhile.
const ASKED: usize = 300;
/// What the slowest of those may take, ten times what it took before and so much: other tests run meanwhile.
const GRACE: Duration = Duration::from_millis(500);
/// Descriptors beside those of the connections.
const DESCRIPTORS_BESIDE: u64 = 400;

/// Lets this process, and a hub that it starts from now on, have as many connections as the system allows, up to `wanted`. Gives how many
/// that is.
fn room_for(wanted: usize) -> usize {
    let limits = getrlimit(Resource::Nofile);
    // The broker keeps a quarter of its own for files.
    let needed = (wanted as u64 + DESCRIPTORS_BESIDE) * 4 / 3;
    let maximum = limits.maximum.unwrap_or(u64::MAX);
    let current = limits.current.unwrap_or(u64::MAX).max(needed).min(maximum);
    let raised = Rlimit {
        current: Some(current),
        maximum: limits.maximum,
    };
    setrlimit(Resource::Nofile, raised).expect("no more than the maximum");
    let room = current.saturating_mul(3) / 4 - DESCRIPTORS_BESIDE;
    usize::try_from(room).unwrap_or(usize::MAX).min(wanted)
}

/// Opens connections that send `bytes` each and no more.
fn unfinished(hub: &Hub, count: usize, bytes: &[u8]) -> Vec<Wire> {
    let one = |_| {
        let mut wire = Wire::connect(hub);
        wire.write(bytes).expect("the broker reads");
        wire
    };
    (0..count).map(one).collect()
}

/// How much memory the hub takes once it has read all that was sent to it; `None` where `/proc` does not tell.
fn settled(hub: &Hub) -> Option<u64> {
    unread(hub)?;
    eventually("the broker has read everything", || {
        (unread(hub) == Some(0)).then_some(())
    });
    hub.resident_bytes()
}

/// A hub that has a place for all of them to wait in: the system need not try again.
fn start(directory: &Path) -> Hub {
    Hub::start(directory, "broker", &["broker.socket.listen.backlog.size=4096"])
}

/// Opens connections that never send a whole frame, and sees that somebody else is answered as before. Gives them, and how much memory the hub
/// took before and takes with them, where `/proc` tells.
fn beside_another(hub: &Hub, open: impl FnOnce() -> Vec<Wire>) -> (Vec<Wire>, Option<(u64, u64)>) {
    let mut beside = Wire::connect(hub);
    beside.slowest(ASKED);
    let (before, resident_before) = (beside.slowest(ASKED), hub.resident_bytes());
    let waiting = open();
    let resident = settled(hub);
    let meanwhile = beside.slowest(ASKED);
    assert!(
        meanwhile < before * 10 + GRACE,
        "others take {meanwhile:?} instead of {before:?}"
    );
    Wire::connect(hub).slowest(10);
    (waiting, resident_before.zip(resident))
}

#[test]
fn what_a_thousand_connections_announce_reserves_nothing_and_delays_nobody() {
    let announcing = room_for(ANNOUNCING);
    let directory = tempfile::tempdir().expect("a directory");
    let hub = start(directory.path());
    let mut part = ANNOUNCED_BYTES.to_be_bytes().to_vec();
    // The head of a Produce request, version 3, and zeros.
    part.extend([0, 0, 0, 3, 0, 0, 0, 7, 0xff, 0xff]);
    part.resize(4 + SENT_BYTES, 0);
    let (_waiting, resident) = beside_another(&hub, || unfinished(&hub, announcing, &part));
    let Some((resident_before, resident)) = resident else {
        return; // There is no /proc to measure with.
    };
    let growth = resident.saturating_sub(resident_before);
    assert!(
        growth < GROWTH_MAX,
        "{announcing} announced frames cost {growth} bytes"
    );
    if announcing == ANNOUNCING {
        // What was really sent must be seen.
        part.resize(4 + SENT_BYTES_SEEN, 0);
        let _more = unfinished(&hub, announcing, &part);
        eventually("memory grows by the 99 MB that were sent", || {
            let growth = hub.resident_bytes()?.saturating_sub(resident);
            (growth > GROWTH_MAX).then_some(())
        });
    }
}

#[test]
fn ten_thousand_silent_connections_cost_little_and_delay_nobody() {
    let silent = room_for(SILENT);
    let directory = tempfile::tempdir().expect("a directory");
    let hub = start(directory.path());
    let (_waiting, resident) = beside_another(&hub, || {
        let mut waiting = unfinished(&hub, silent / 2, &[]);
        waiting.extend(unfinished(&hub, silent / 2, &[0, 0]));
        waiting
    });
    if let Some((before, after)) = resident {
        let each = after.saturating_sub(before) / silent.max(1) as u64;
        assert!(
            each < SILENT_BYTES_MAX,
            "{each} bytes for each of {silent} silent connections"
        );
    }
}
