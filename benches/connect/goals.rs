//! What was wanted of the figures.

use crate::common::goal::{self, Goal, Wanted, goal};
use crate::common::report::Report;
use crate::many::MANY;
use crate::options::Kind;

/// 200 MB.
const RESIDENT_MIB_MAX: f64 = 190.73;

/// Prints each goal with met, missed or not measured.
pub(crate) fn print(report: &Report) {
    let of = |label: &str, kind: Kind| report.median(label, kind.name());
    let rate = |what: &str| {
        let label = format!("{what} (thousand lines/s)");
        let is = of(&label, Kind::Forebay).zip(of(&label, Kind::Kafka));
        goal(
            format!("{what}: rate over Kafka's worker's"),
            is.map(|(ours, theirs)| ours / theirs),
            Wanted::AtLeast(3.0),
        )
    };
    let goals: [Goal; 4] = [
        rate("file to topic"),
        rate("topic to file"),
        goal(
            "most resident memory under load, broker and worker (MiB)",
            of("most resident memory, broker and worker (MiB)", Kind::Forebay),
            Wanted::AtMost(RESIDENT_MIB_MAX),
        ),
        goal(MANY, of(MANY, Kind::Forebay), Wanted::AtMost(2.0)),
    ];
    goal::print(goals);
}
