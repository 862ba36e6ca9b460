//! What the demo says at the end.

use comfy_table::{CellAlignment, Table, presets};

use super::TOPIC;
use super::check::Counts;
use super::progress::Counted;
use crate::start::{Hub, Role};

/// Prints the counts side by side; `false` if any differs.
pub(super) fn print_counts(input: &Counts, parquet: &Counts, counted: &Counted) -> bool {
    let words = [input.words, parquet.words, counted.words()];
    let distinct = [input, parquet].map(|counts| counts.distinct.len() as u64);
    let distinct = [distinct[0], distinct[1], counted.distinct() as u64];
    let mut table = Table::new();
    table
        .load_preset(presets::ASCII_MARKDOWN)
        .set_header(["", "input", "Parquet", "word count"]);
    let mut row = |name: &str, values: [Option<u64>; 3]| {
        let cells = values.map(|value| value.map_or(String::new(), |value| value.to_string()));
        table.add_row(std::iter::once(name.to_owned()).chain(cells));
    };
    row(
        "rows",
        [Some(input.lines), Some(parquet.lines), Some(counted.lines())],
    );
    row("bytes", [Some(input.bytes), Some(parquet.bytes), None]);
    row("words", words.map(Some));
    row("distinct words", distinct.map(Some));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
    let all_lines = input.lines == counted.lines();
    let agrees = input == parquet && all_lines && words[0] == words[2] && distinct[0] == distinct[2];
    println!(
        "{}",
        if agrees {
            "All counts agree."
        } else {
            "COUNTS DIFFER."
        }
    );
    agrees
}

/// Prints where everything is, and lines to try.
pub(super) fn print_urls(hub: &Hub) {
    let port = |role| hub.port(role).unwrap_or_default();
    let (kafka, registry, rest) = (port(Role::Broker), port(Role::Registry), port(Role::Rest));
    let (connect, console) = (port(Role::Connect), port(Role::Console));
    println!(
        "
Kafka protocol   localhost:{kafka}
Schema registry  http://localhost:{registry}
REST proxy       http://localhost:{rest}
Connect          http://localhost:{connect}
Console          http://localhost:{console}

Try:
  curl -s localhost:{connect}/connectors/demo-sink/status
  curl -s localhost:{rest}/topics/{TOPIC}
  curl -s -X POST -H 'Content-Type: application/vnd.kafka.json.v2+json' \\
       --data '{{\"records\":[{{\"value\":{{\"hello\":\"world\"}}}}]}}' localhost:{rest}/topics/hello
  curl -s -X POST -H 'Content-Type: application/vnd.schemaregistry.v1+json' \\
       --data '{{\"schema\":\"{{\\\"type\\\":\\\"string\\\"}}\"}}' localhost:{registry}/subjects/hello-value/versions
  forebay console-consumer --bootstrap-server localhost:{kafka} --topic {TOPIC} --from-beginning --max-messages 5"
    );
}
