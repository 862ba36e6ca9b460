//! Lines, bytes and words, counted in the input and in what came out.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;
use arrow_array::Array;
use arrow_array::cast::AsArray;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// What is counted. Bytes are those of the lines, without their ends; words are what `split(' ')` gives, empty ones too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) lines: u64,
    pub(super) bytes: u64,
    pub(super) words: u64,
    pub(super) distinct: BTreeSet<Vec<u8>>,
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} lines, {} bytes, {} words, {} of them distinct",
            self.lines,
            self.bytes,
            self.words,
            self.distinct.len()
        )
    }
}

impl Counts {
    fn add(&mut self, line: &[u8]) {
        self.lines += 1;
        self.bytes += line.len() as u64;
        for word in line.split(|byte| *byte == b' ') {
            self.words += 1;
            if !self.distinct.contains(word) {
                self.distinct.insert(word.to_vec());
            }
        }
    }

    /// Of a text file; a last line without newline is a line, and an end of `\r\n` is one end.
    pub(super) fn of_text(path: &Path) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut counts = Self::default();
        let whole = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        if !bytes.is_empty() {
            whole
                .split(|byte| *byte == b'\n')
                .for_each(|line| counts.add(line.strip_suffix(b"\r").unwrap_or(line)));
        }
        Ok(counts)
    }

    /// Of the column `value` of all Parquet files below a directory.
    pub(super) fn of_parquet(directory: &Path) -> anyhow::Result<Self> {
        let mut counts = Self::default();
        for path in parquet_files(directory)? {
            let file = File::open(&path)?;
            let reader = ParquetRecordBatchReaderBuilder::try_new(file)
                .and_then(ParquetRecordBatchReaderBuilder::build)
                .with_context(|| format!("cannot read {}", path.display()))?;
            for batch in reader {
                let batch = batch?;
                let column = batch
                    .column_by_name("value")
                    .context("a Parquet file without the column value")?;
                let column = column
                    .as_string_opt::<i32>()
                    .context("the column value is not text")?;
                (0..column.len()).for_each(|row| counts.add(column.value(row).as_bytes()));
            }
        }
        Ok(counts)
    }
}

/// The Parquet files below a directory, which need not be there yet.
pub(super) fn parquet_files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(next) = waiting.pop() {
        if !next.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "parquet") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
