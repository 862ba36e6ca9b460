//! What the figures were to be, and whether they are. Every goal is a ratio within one run, but for memory.

use crate::common;
use crate::common::goal::{Goal, Wanted, goal};
use crate::common::report::Report;
use crate::options::Kind;

/// The load's core counts as full from here on: then the client, not the broker, is the limit.
const BUSY: f64 = 0.9;
/// 128 MB.
const RESIDENT_MIB_MAX: f64 = 122.07;

/// Prints each goal with met, missed or not measured.
pub(crate) fn print(report: &Report) {
    let figures = Figures(report);
    let goals = [
        figures.cpu(),
        figures.latency(),
        figures.bounds(),
        figures.throughput(),
    ];
    common::goal::print(goals.into_iter().flatten());
}

struct Figures<'a>(&'a Report);

impl Figures<'_> {
    fn of(&self, label: &str, kind: Kind) -> Option<f64> {
        self.0.median(label, kind.name())
    }

    fn ratio(&self, label: &str, over: Kind, under: Kind) -> Option<f64> {
        Some(self.of(label, over)? / self.of(label, under)?)
    }

    /// What the broker takes of its core, beside Kafka and beside the floor.
    fn cpu(&self) -> Vec<Goal> {
        let per_gigabyte = |what: &str| format!("{what} (broker CPU s per GB)");
        let over_kafka = [
            ("produce 1 KB", 1.5),
            ("produce 100 B", 2.0),
            ("consume 1 KB", 1.5),
            ("consume 100 B", 1.5),
        ];
        let mut goals: Vec<Goal> = over_kafka
            .into_iter()
            .map(|(what, times)| {
                let is = self.ratio(&per_gigabyte(what), Kind::Kafka, Kind::Forebay);
                let text = format!("{what}: Kafka's broker CPU per GB over ours");
                goal(text, is, Wanted::AtLeast(times))
            })
            .collect();
        goals.extend(["produce 1 KB", "consume 1 KB"].map(|what| {
            let is = self.ratio(&per_gigabyte(what), Kind::Forebay, Kind::Floor);
            goal(
                format!("{what}: broker CPU over the floor's"),
                is,
                Wanted::AtMost(1.5),
            )
        }));
        let single = "produce one-record batches";
        let rate = self.ratio(
            &format!("{single} (thousand records/s)"),
            Kind::Forebay,
            Kind::Kafka,
        );
        let cost = self.ratio(
            &format!("{single} (broker CPU µs per record)"),
            Kind::Kafka,
            Kind::Forebay,
        );
        let better = rate.zip(cost).map(|(rate, cost)| rate.max(cost));
        let text = "one-record batches: rate, or CPU for each, over Kafka's";
        goals.push(goal(text, better, Wanted::AtLeast(4.0)));
        goals
    }

    fn latency(&self) -> Vec<Goal> {
        let disk = self.of("append 4 KiB and sync p99 (ms)", Kind::Floor);
        let mut goals = Vec::new();
        for what in ["acknowledgement", "end to end"] {
            let label = format!("{what} p99 at 1,000 records/s (ms)");
            let is = self.ratio(&label, Kind::Kafka, Kind::Forebay);
            goals.push(goal(
                format!("{what} p99: Kafka's over ours"),
                is,
                Wanted::AtLeast(3.0),
            ));
            let synced = self.of(&label, Kind::ForebaySynced).filter(|_| disk.is_some());
            let text = format!("{what} p99 with flush.messages=1, the disk's own sync p99 + 2 (ms)");
            goals.push(goal(text, synced, Wanted::AtMost(disk.unwrap_or(0.0) + 2.0)));
        }
        goals
    }

    /// What durability may cost, and memory.
    fn bounds(&self) -> Vec<Goal> {
        let mut goals = Vec::new();
        for what in ["produce 1 KB", "produce 100 B"] {
            let is = self.ratio(&format!("{what} (MB/s)"), Kind::ForebaySynced, Kind::Forebay);
            goals.push(goal(
                format!("{what}: with flush.messages=1 over without"),
                is,
                Wanted::AtLeast(0.7),
            ));
        }
        for kind in [Kind::Forebay, Kind::ForebaySynced] {
            let is = self.of("resident memory, most of all (MiB)", kind);
            let text = format!("{}: most resident memory (MiB)", kind.name());
            goals.push(goal(text, is, Wanted::AtMost(RESIDENT_MIB_MAX)));
        }
        goals
    }

    /// At least Kafka's throughput, unless the client is the limit.
    fn throughput(&self) -> Vec<Goal> {
        let whats = [
            "produce 1 KB",
            "produce 100 B",
            "produce 1 KB, idempotent",
            "consume 1 KB",
            "consume 100 B",
        ];
        let one = |what: &str| {
            let is = self.ratio(&format!("{what} (MB/s)"), Kind::Forebay, Kind::Kafka);
            let busy = self.of(&format!("{what} (load's core busy)"), Kind::Forebay);
            let limited = busy.filter(|busy| *busy >= BUSY);
            let note = limited.map_or(String::new(), |busy| {
                format!(
                    "; the client is the limit: its core is {:.0} % busy",
                    busy * 100.0
                )
            });
            Goal {
                note,
                ..goal(
                    format!("{what}: throughput over Kafka's"),
                    is,
                    Wanted::AtLeast(1.0),
                )
            }
        };
        whats.into_iter().map(one).collect()
    }
}
