//! What was wanted of the figures.

use crate::common::goal::{self, Goal, Wanted, goal};
use crate::common::report::Report;
use crate::many::MANY;
use crate::options::Kind;
use crate::parquet;

/// 200 MB.
const RESIDENT_MIB_MAX: f64 = 190.73;

/// Prints each goal with met, missed or not measured.
pub(crate) fn print(report: &Report) {
    let of = |label: &str, kind: Kind| report.median(label, kind.name());
    let rate = |what: &str| {
        let label = format!("{what} (thousand/s)");
        let is = of(&label, Kind::Forebay).zip(of(&label, Kind::Kafka));
        goal(
            format!("{what}: rate over Kafka's worker's"),
            is.map(|(ours, theirs)| ours / theirs),
            Wanted::AtLeast(3.0),
        )
    };
    let per_task = |what: &str, wanted: f64| {
        let label = format!("{what} (thousand/s)");
        let text = format!("{what}: thousand rows/s of one task");
        goal(text, of(&label, Kind::Forebay), Wanted::AtLeast(wanted))
    };
    let over_pyarrow = |text: &str, label: &str| {
        let is = of("avro to Parquet (thousand/s)", Kind::Forebay).zip(of(label, Kind::Forebay));
        let is = is.map(|(ours, theirs)| ours / theirs);
        goal(
            format!("avro to Parquet: rate over pyarrow's, {text}"),
            is,
            Wanted::AtLeast(0.7),
        )
    };
    let goals: [Goal; 8] = [
        rate("file to topic"),
        rate("topic to file"),
        per_task("avro to Parquet", 680.0),
        per_task("json to Parquet", 500.0),
        over_pyarrow("which is given rows", parquet::FROM_ROWS),
        over_pyarrow("which is given columns", parquet::FROM_COLUMNS),
        goal(
            "most resident memory under load, broker and worker (MiB)",
            of("most resident memory, broker and worker (MiB)", Kind::Forebay),
            Wanted::AtMost(RESIDENT_MIB_MAX),
        ),
        goal(MANY, of(MANY, Kind::Forebay), Wanted::AtMost(2.0)),
    ];
    goal::print(goals);
}
