//! What must be true at the end, and the judge of it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use arrow_array::Array;
use arrow_array::cast::AsArray;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// How many of one kind of mistake are told.
const TOLD_MAX: usize = 5;

/// One Parquet file: the offsets in its name, both included, and its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) partition: i32,
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) rows: Vec<String>,
}

/// Everything that came of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// The lines of the file.
    pub(crate) input: Vec<String>,
    /// Records by partition and offset.
    pub(crate) topic: BTreeMap<(i32, i64), String>,
    /// Where each partition ends; the ends of transactions have offsets, too.
    pub(crate) ends: BTreeMap<i32, i64>,
    pub(crate) files: Vec<Stored>,
    /// The last count of each word.
    pub(crate) counts: BTreeMap<String, i64>,
    /// What a part said of itself, such as a task that has failed.
    pub(crate) complaints: Vec<String>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} lines of input, {} records in the topic {:?}, {} rows in {} Parquet files, {} words counted",
            self.input.len(),
            self.topic.len(),
            (0..3)
                .map(|p| self.topic.range((p, 0)..(p + 1, 0)).count())
                .collect::<Vec<_>>(),
            self.files.iter().map(|it| it.rows.len()).sum::<usize>(),
            self.files.len(),
            self.counts.values().sum::<i64>(),
        )
    }
}

impl Outcome {
    /// Grows as long as anything moves.
    pub(crate) fn progress(&self) -> (usize, usize, i64) {
        let rows = self.files.iter().map(|it| it.rows.len()).sum();
        (self.topic.len(), rows, self.counts.values().sum())
    }

    /// What is not as it was promised; nothing if all is well.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let mut wrong = self.complaints.clone();
        for found in [self.lost_lines(), self.wrong_files(), self.wrong_counts()] {
            let more = found.len().saturating_sub(TOLD_MAX);
            wrong.extend(found.into_iter().take(TOLD_MAX));
            if more > 0 {
                wrong.push(format!("... and {more} more like these"));
            }
        }
        wrong
    }

    /// Every line of the input is in the topic, as often as in the input: records and source offsets are one transaction.
    fn lost_lines(&self) -> Vec<String> {
        let mut left: BTreeMap<&str, i64> = BTreeMap::new();
        for line in self.topic.values() {
            *left.entry(line).or_default() += 1;
        }
        let mut lost = Vec::new();
        for (number, line) in self.input.iter().enumerate() {
            let count = left.entry(line).or_default();
            *count -= 1;
            if *count < 0 {
                lost.push(format!(
                    "line {number} of the input is missing from the topic: {line}"
                ));
            }
        }
        let known: std::collections::BTreeSet<&str> = self.input.iter().map(String::as_str).collect();
        for ((partition, offset), line) in &self.topic {
            if !known.contains(line.as_str()) {
                lost.push(format!("{partition}@{offset} is no line of the input: {line}"));
            }
        }
        for (line, count) in left
            .into_iter()
            .filter(|(line, count)| *count > 0 && known.contains(line))
        {
            lost.push(format!(
                "a line is in the topic {count} times more than in the input: {line}"
            ));
        }
        lost
    }

    /// Every record of the topic is in exactly one file, in order.
    fn wrong_files(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut seen: BTreeMap<(i32, i64), usize> = BTreeMap::new();
        for file in &self.files {
            let name = format!("the file {}+{}+{}", file.partition, file.start, file.end);
            let range = (file.partition, file.start)..=(file.partition, file.end);
            let expected: Vec<&str> = self
                .topic
                .range(range.clone())
                .map(|(_, line)| line.as_str())
                .collect();
            if !expected.iter().copied().eq(file.rows.iter().map(String::as_str)) {
                let at = expected.iter().zip(&file.rows).position(|(a, b)| a != b);
                wrong.push(format!(
                    "{name} has {} rows for {} records; the first that differs: {at:?}",
                    file.rows.len(),
                    expected.len()
                ));
            }
            for (place, _) in self.topic.range(range) {
                *seen.entry(*place).or_default() += 1;
            }
            let end = self.ends.get(&file.partition).copied().unwrap_or_default();
            if file.end >= end {
                wrong.push(format!("{name}: offset {} is not in the topic", file.end));
            }
        }
        for (partition, offset) in self.topic.keys() {
            match seen.get(&(*partition, *offset)).copied().unwrap_or_default() {
                1 => {}
                0 => wrong.push(format!("{partition}@{offset} is in no Parquet file")),
                files => wrong.push(format!("{partition}@{offset} is in {files} Parquet files")),
            }
        }
        wrong
    }

    /// The counts are those of the topic, split as Spark splits.
    fn wrong_counts(&self) -> Vec<String> {
        let mut expected: BTreeMap<&str, i64> = BTreeMap::new();
        for word in self.topic.values().flat_map(|line| line.split(' ')) {
            *expected.entry(word).or_default() += 1;
        }
        let mut wrong = Vec::new();
        let (there, counted) = (expected.values().sum::<i64>(), self.counts.values().sum::<i64>());
        if there != counted {
            wrong.push(format!("{counted} words are counted, and there are {there}"));
        }
        for (word, count) in &expected {
            let found = self.counts.get(*word).copied().unwrap_or_default();
            if found != *count {
                wrong.push(format!(
                    "{word:?} is counted {found} times, and is there {count} times"
                ));
            }
        }
        let unknown = self
            .counts
            .keys()
            .filter(|word| !expected.contains_key(word.as_str()));
        wrong.extend(unknown.map(|word| format!("{word:?} is counted, and is not there")));
        wrong
    }
}

/// The Parquet files of a topic's folder (`topics/<topic>`), by their names alone: path, partition, start and end.
pub(crate) fn file_names(folder: &Path, topic: &str) -> Vec<(PathBuf, (i32, i64, i64))> {
    let mut found = Vec::new();
    let Ok(partitions) = std::fs::read_dir(folder) else {
        return found;
    };
    for partition in partitions {
        let partition = partition.expect("an entry").path();
        for entry in std::fs::read_dir(&partition).expect("a partition's folder") {
            let path = entry.expect("an entry").path();
            let name = path
                .file_name()
                .and_then(|it| it.to_str())
                .expect("a name")
                .to_owned();
            // What is being written has another name until it is whole.
            if name.ends_with(".parquet") {
                let range = parse_name(&name, topic).unwrap_or_else(|| panic!("no name of ours: {name}"));
                found.push((path, range));
            }
        }
    }
    found.sort_by_key(|(_, range)| *range);
    found
}

/// `lines+0+17+99.snappy.parquet`.
fn parse_name(name: &str, topic: &str) -> Option<(i32, i64, i64)> {
    let rest = name.strip_prefix(topic)?.strip_prefix('+')?;
    let (numbers, _) = rest.split_once('.')?;
    let mut numbers = numbers.split('+');
    let found = (
        numbers.next()?.parse().ok()?,
        numbers.next()?.parse().ok()?,
        numbers.next()?.parse().ok()?,
    );
    numbers.next().is_none().then_some(found)
}

/// The column `value` of a Parquet file.
pub(crate) fn rows(path: &Path) -> Vec<String> {
    let file = std::fs::File::open(path).expect("a file that is listed");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let column = batch
            .column_by_name("value")
            .expect("the column value")
            .as_string::<i32>();
        rows.extend((0..column.len()).map(|row| column.value(row).to_owned()));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run in which all is well: two lines are twice in the input.
    fn sound() -> Outcome {
        let lines = ["a b", "b  c", "a b", "d", "d"].map(str::to_owned);
        let topic = [
            (0, 0, "a b"),
            (0, 1, "b  c"),
            (0, 2, "a b"),
            (1, 0, "d"),
            (1, 1, "d"),
        ];
        let counts = [("a", 2), ("b", 3), ("c", 1), ("d", 2), ("", 1)];
        let stored = |partition, start, end, rows: &[&str]| Stored {
            partition,
            start,
            end,
            rows: rows.iter().map(|&row| row.to_owned()).collect(),
        };
        Outcome {
            input: lines.to_vec(),
            topic: topic
                .map(|(partition, offset, line)| ((partition, offset), line.to_owned()))
                .into(),
            ends: [(0, 3), (1, 2)].into(),
            files: vec![
                stored(0, 0, 1, &["a b", "b  c"]),
                stored(0, 2, 2, &["a b"]),
                stored(1, 0, 1, &["d", "d"]),
            ],
            counts: counts.map(|(word, count)| (word.to_owned(), count)).into(),
            complaints: Vec::new(),
        }
    }

    #[test]
    fn each_broken_promise_is_seen() {
        assert_eq!(sound().wrong(), Vec::<String>::new());
        type Break = fn(&mut Outcome);
        let cases: [(&str, Break, &str); 12] = [
            (
                "a line is lost",
                |it| it.input.push("e".to_owned()),
                "missing from the topic",
            ),
            (
                "a line is there once too few",
                |it| it.input.push("a b".to_owned()),
                "missing from the topic",
            ),
            (
                "a line is sent twice",
                |it| {
                    it.topic.insert((1, 2), "d".to_owned());
                },
                "1 times more than in the input",
            ),
            (
                "a record is changed",
                |it| {
                    it.topic.insert((1, 0), "D".to_owned());
                },
                "no line of the input",
            ),
            (
                "a file is gone",
                |it| drop(it.files.remove(1)),
                "0@2 is in no Parquet file",
            ),
            (
                "a file is there twice",
                |it| it.files.push(it.files[0].clone()),
                "0@0 is in 2 Parquet files",
            ),
            (
                "a row is gone",
                |it| drop(it.files[0].rows.pop()),
                "has 1 rows for 2 records",
            ),
            (
                "a row is there twice",
                |it| it.files[2].rows.push("d".to_owned()),
                "has 3 rows for 2 records",
            ),
            (
                "rows are out of order",
                |it| it.files[0].rows.swap(0, 1),
                "differs: Some(0)",
            ),
            (
                "a file is longer than the topic",
                |it| it.files[2].end = 2,
                "offset 2 is not in the topic",
            ),
            (
                "a word is counted twice",
                |it| *it.counts.get_mut("a").unwrap() += 1,
                "\"a\" is counted 3 times",
            ),
            (
                "a word is not counted",
                |it| it.counts.retain(|word, _| !word.is_empty()),
                "\"\" is counted 0 times",
            ),
        ];
        for (what, break_it, expected) in cases {
            let mut outcome = sound();
            break_it(&mut outcome);
            let wrong = outcome.wrong();
            assert!(wrong.iter().any(|it| it.contains(expected)), "{what}: {wrong:?}");
        }
    }

    #[test]
    fn names_say_partition_and_offsets() {
        assert_eq!(
            parse_name("lines+2+10+99.snappy.parquet", "lines"),
            Some((2, 10, 99))
        );
        assert_eq!(
            parse_name("lines+2+0000000010+0000000099.parquet", "lines"),
            Some((2, 10, 99))
        );
        for name in [
            "lines+2+10.parquet",
            "others+2+10+99.parquet",
            "lines+2+10+99+1.parquet",
        ] {
            assert_eq!(parse_name(name, "lines"), None, "{name}");
        }
    }
}
