//! Figures by row and column, and the table that is printed of them.

use super::statistics::median;

/// Every sample taken, in the order in which rows first appeared.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    label: String,
    samples: Vec<(&'static str, Vec<f64>)>,
}

impl Report {
    /// Adds one sample of `label` for the broker `name`.
    pub(crate) fn add(&mut self, label: &str, name: &'static str, value: f64) {
        let index = self
            .rows
            .iter()
            .position(|row| row.label == label)
            .unwrap_or_else(|| {
                self.rows.push(Row {
                    label: label.to_owned(),
                    samples: Vec::new(),
                });
                self.rows.len() - 1
            });
        let samples = &mut self.rows[index].samples;
        match samples.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => samples.push((name, vec![value])),
        }
    }

    /// The median of a row's samples for the broker `name`.
    pub(crate) fn median(&self, label: &str, name: &str) -> Option<f64> {
        let row = self.rows.iter().find(|row| row.label == label)?;
        let (_, samples) = row.samples.iter().find(|(known, _)| *known == name)?;
        Some(median(samples))
    }

    /// Prints a Markdown table of medians, and behind the columns the ratio of `ours` to each peer.
    pub(crate) fn print(&self, rounds: usize, columns: &[&str], ours: &str, peers: &[&str]) {
        let was_measured = |name: &&str| {
            self.rows
                .iter()
                .any(|row| row.samples.iter().any(|(known, _)| known == name))
        };
        let columns: Vec<&str> = columns.iter().copied().filter(was_measured).collect();
        let peers: Vec<&str> = peers
            .iter()
            .copied()
            .filter(|name| columns.contains(name))
            .collect();
        let ratios = peers.iter().map(|peer| format!("{ours} / {peer}"));
        let header: Vec<String> = columns
            .iter()
            .map(|&name| name.to_owned())
            .chain(ratios)
            .collect();
        println!("| medians of {rounds} rounds | {} |", header.join(" | "));
        println!("| --- |{}", " ---: |".repeat(header.len()));
        for row in &self.rows {
            let of = |name: &str| {
                row.samples
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, v)| median(v))
            };
            let figures = columns.iter().map(|name| of(name).map_or(String::new(), figure));
            let ratios = peers.iter().map(|peer| match (of(ours), of(peer)) {
                (Some(ours), Some(theirs)) if theirs > 0.0 => format!("{:.2}", ours / theirs),
                _ => String::new(),
            });
            println!(
                "| {} | {} |",
                row.label,
                figures.chain(ratios).collect::<Vec<_>>().join(" | ")
            );
        }
    }
}

/// Three figures that count, no more.
fn figure(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}
