//! What the figures were to be, and whether they are. Every goal is a ratio within one run, but for memory.

use crate::options::Kind;
use crate::report::Report;

/// The load's core counts as full from here on: then the client, not the broker, is the limit.
const BUSY: f64 = 0.9;

struct Goal {
    text: String,
    /// What it is; none if one of its figures was not measured.
    is: Option<f64>,
    wanted: Wanted,
    note: String,
}

#[derive(Clone, Copy)]
enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

/// Prints each goal with met, missed or not measured.
pub(crate) fn print(report: &Report) {
    println!("\n| goal | wanted | is | |\n| --- | ---: | ---: | --- |");
    for goal in goals(report) {
        let (wanted, met) = match goal.wanted {
            Wanted::AtLeast(bound) => (format!(">= {bound}"), goal.is.map(|is| is >= bound)),
            Wanted::AtMost(bound) => (format!("<= {bound:.2}"), goal.is.map(|is| is <= bound)),
        };
        let is = goal.is.map_or(String::new(), |is| format!("{is:.2}"));
        let outcome = match met {
            Some(true) => "met".to_owned(),
            Some(false) => format!("missed{}", goal.note),
            None => "not measured".to_owned(),
        };
        println!("| {} | {wanted} | {is} | {outcome} |", goal.text);
    }
}

fn goals(report: &Report) -> Vec<Goal> {
    let mut goals = Vec::new();
    let of = |label: &str, kind: Kind| report.median(label, kind.name());
    let ratio = |label: &str, over: Kind, under: Kind| Some(of(label, over)? / of(label, under)?);
    let mut add = |text: &str, is, wanted| {
        goals.push(Goal {
            text: text.to_owned(),
            is,
            wanted,
            note: String::new(),
        });
    };
    for (what, times) in [
        ("produce 1 KB", 1.5),
        ("produce 100 B", 2.0),
        ("consume 1 KB", 1.5),
        ("consume 100 B", 1.5),
    ] {
        let label = format!("{what} (broker CPU s per GB)");
        let is = ratio(&label, Kind::Kafka, Kind::Forebay);
        add(
            &format!("{what}: Kafka's broker CPU per GB over ours"),
            is,
            Wanted::AtLeast(times),
        );
    }
    for what in ["produce 1 KB", "consume 1 KB"] {
        let label = format!("{what} (broker CPU s per GB)");
        let is = ratio(&label, Kind::Forebay, Kind::Floor);
        add(
            &format!("{what}: broker CPU over the floor's"),
            is,
            Wanted::AtMost(1.5),
        );
    }
    let single = "produce one-record batches";
    let rate = ratio(
        &format!("{single} (thousand records/s)"),
        Kind::Forebay,
        Kind::Kafka,
    );
    let cost = ratio(
        &format!("{single} (broker CPU µs per record)"),
        Kind::Kafka,
        Kind::Forebay,
    );
    let better = match (rate, cost) {
        (Some(rate), Some(cost)) => Some(rate.max(cost)),
        _ => None,
    };
    add(
        "one-record batches: rate, or CPU for each, over Kafka's",
        better,
        Wanted::AtLeast(4.0),
    );
    for what in ["acknowledgement", "end to end"] {
        let label = format!("{what} p99 at 1,000 records/s (ms)");
        let is = ratio(&label, Kind::Kafka, Kind::Forebay);
        add(
            &format!("{what} p99: Kafka's over ours"),
            is,
            Wanted::AtLeast(3.0),
        );
        let synced = of(&label, Kind::ForebaySynced);
        let bound = of("append 4 KiB and sync p99 (ms)", Kind::Floor).map_or(0.0, |disk| disk + 2.0);
        let text = format!("{what} p99 with flush.messages=1, the disk's own sync p99 + 2 (ms)");
        add(&text, synced.filter(|_| bound > 0.0), Wanted::AtMost(bound));
    }
    for what in ["produce 1 KB", "produce 100 B"] {
        let is = ratio(&format!("{what} (MB/s)"), Kind::ForebaySynced, Kind::Forebay);
        add(
            &format!("{what}: with flush.messages=1 over without"),
            is,
            Wanted::AtLeast(0.7),
        );
    }
    for kind in [Kind::Forebay, Kind::ForebaySynced] {
        let is = of("resident memory, most of all (MiB)", kind);
        add(
            &format!("{}: most resident memory (MiB)", kind.name()),
            is,
            Wanted::AtMost(128.0 * 1e6 / 1048576.0),
        );
    }
    goals.extend(throughputs(report));
    goals
}

/// At least Kafka's throughput, unless the client is the limit.
fn throughputs(report: &Report) -> Vec<Goal> {
    let of = |label: &str, kind: Kind| report.median(label, kind.name());
    let whats = [
        "produce 1 KB",
        "produce 100 B",
        "produce 1 KB, idempotent",
        "consume 1 KB",
        "consume 100 B",
    ];
    let goal = |what: &str| {
        let rate = |kind| of(&format!("{what} (MB/s)"), kind);
        let busy = of(&format!("{what} (load's core busy)"), Kind::Forebay);
        let limited = busy.filter(|busy| *busy >= BUSY);
        Goal {
            text: format!("{what}: throughput over Kafka's"),
            is: rate(Kind::Forebay)
                .zip(rate(Kind::Kafka))
                .map(|(ours, theirs)| ours / theirs),
            wanted: Wanted::AtLeast(1.0),
            note: limited.map_or(String::new(), |busy| {
                format!(
                    "; the client is the limit: its core is {:.0} % busy",
                    busy * 100.0
                )
            }),
        }
    };
    whats.into_iter().map(goal).collect()
}
