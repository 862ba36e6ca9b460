//! Spark's console sink: a heading and a table for each batch (`ConsoleStreamingWrite`, `Dataset.show`).

use std::fmt::Write as _;
use std::future::Future;
use std::io::Write;
use std::pin::Pin;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use unicode_width::UnicodeWidthStr;

use super::Sink;
use crate::Error;

/// Spark's `numRows` and the width to which it truncates.
const ROWS_SHOWN: usize = 20;
const CELL_CHARACTERS_MAX: usize = 20;

/// The narrowest column.
const CELL_WIDTH_MIN: usize = 3;

/// Prints tables, the words that came most often first. Spark leaves the order open.
pub struct ConsoleSink {
    out: Box<dyn Write + Send>,
}

impl std::fmt::Debug for ConsoleSink {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ConsoleSink")
    }
}

impl ConsoleSink {
    /// A sink that prints to `out`.
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self { out }
    }
}

impl Sink for ConsoleSink {
    fn write<'a>(
        &'a mut self,
        epoch: u64,
        rows: &'a RecordBatch,
    ) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>> {
        Box::pin(async move {
            self.out.write_all(table(epoch, rows).as_bytes())?;
            Ok(self.out.flush()?)
        })
    }
}

fn table(epoch: u64, rows: &RecordBatch) -> String {
    let rule = "-".repeat(43);
    let mut text = format!("{rule}\nBatch: {epoch}\n{rule}\n");
    let shown = top(rows);
    let cells: Vec<[String; 2]> = std::iter::once(["value".to_owned(), "count".to_owned()])
        .chain(shown.iter().map(|(word, count)| [cell(word), count.to_string()]))
        .collect();
    let width = |column: usize| {
        cells
            .iter()
            .map(|row| row[column].width())
            .max()
            .unwrap_or(0)
            .max(CELL_WIDTH_MIN)
    };
    let widths = [width(0), width(1)];
    let border = format!("+{}+{}+\n", "-".repeat(widths[0]), "-".repeat(widths[1]));
    text.push_str(&border);
    for (index, row) in cells.iter().enumerate() {
        for (column, cell) in row.iter().enumerate() {
            let blanks = " ".repeat(widths[column] - cell.width());
            // Writing into a string cannot fail.
            let _ = write!(text, "|{blanks}{cell}");
        }
        text.push_str("|\n");
        if index == 0 {
            text.push_str(&border);
        }
    }
    text.push_str(&border);
    if rows.num_rows() > ROWS_SHOWN {
        let _ = writeln!(text, "only showing top {ROWS_SHOWN} rows");
    }
    text.push('\n');
    text
}

/// The rows to show: the highest counts, equal ones by their words.
fn top(rows: &RecordBatch) -> Vec<(&[u8], i64)> {
    let (words, counts) = (
        rows.column(0).as_binary::<i32>(),
        rows.column(1).as_primitive::<Int64Type>(),
    );
    let mut all: Vec<(&[u8], i64)> = (0..words.len())
        .map(|row| (words.value(row), counts.value(row)))
        .collect();
    let by_count = |a: &(&[u8], i64), b: &(&[u8], i64)| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0));
    if all.len() > ROWS_SHOWN {
        all.select_nth_unstable_by(ROWS_SHOWN, by_count);
        all.truncate(ROWS_SHOWN);
    }
    all.sort_unstable_by(by_count);
    all
}

/// Cut as Spark cuts; a word may hold anything, so what would move the cursor is escaped as Spark escapes it.
fn cell(word: &[u8]) -> String {
    let text = String::from_utf8_lossy(word);
    let escaped: String = text
        .chars()
        .flat_map(|character| {
            if character.is_control() {
                character.escape_default().collect()
            } else {
                vec![character]
            }
        })
        .collect();
    if escaped.chars().count() <= CELL_CHARACTERS_MAX {
        return escaped;
    }
    escaped
        .chars()
        .take(CELL_CHARACTERS_MAX - 3)
        .chain("...".chars())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{MemoryStateStore, StateStore};

    fn rows(counts: &[(&str, i64)]) -> RecordBatch {
        let mut store = MemoryStateStore::default();
        store
            .apply(
                &counts
                    .iter()
                    .map(|(word, count)| (word.as_bytes().into(), *count))
                    .collect(),
            )
            .unwrap();
        store.scan().unwrap()
    }

    #[test]
    fn a_batch_looks_as_spark_prints_it() {
        let rows = rows(&[
            ("apache", 1),
            ("spark", 12),
            ("", 2),
            ("a-word-of-more-than-20-characters", 1),
            ("日本", 1),
        ]);
        let expected = "\
-------------------------------------------
Batch: 0
-------------------------------------------
+--------------------+-----+
|               value|count|
+--------------------+-----+
|               spark|   12|
|                    |    2|
|a-word-of-more-th...|    1|
|              apache|    1|
|                日本|    1|
+--------------------+-----+

";
        assert_eq!(table(0, &rows), expected);
    }

    #[test]
    fn twenty_rows_are_shown_and_control_characters_do_no_harm() {
        let many: Vec<(String, i64)> = (0..21).map(|i| (format!("w{i:02}"), 1)).collect();
        let many: Vec<(&str, i64)> = many.iter().map(|(word, count)| (word.as_str(), *count)).collect();
        let text = table(7, &rows(&many));
        assert!(text.contains("|  w19|    1|\n") || text.contains("w19"), "{text}");
        assert!(
            !text.contains("w20") && text.ends_with("only showing top 20 rows\n\n"),
            "{text}"
        );
        assert!(table(0, &rows(&[("\u{1b}[2J", 1)])).contains("\\u{1b}[2J"));
    }
}
