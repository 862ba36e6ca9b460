//! `forebay dump-log` (Kafka's `DumpLogSegments`, `kafka-dump-log.sh`): what the files of a log say. It needs no broker; of a
//! broker that runs it sees what is written so far.

mod contents;
mod control;
mod indexes;
mod producers;
mod segment;

use std::collections::BTreeMap;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use super::options::{Argument, Flag, Options, Stop, Tool, switch, valued};
use contents::Contents;

static TOOL: Tool = Tool {
    name: "dump-log",
    about: "Prints the files of a log: .log, .index, .timeindex, .txnindex, .snapshot and .checkpoint.",
    flags: &[
        switch(
            "cluster-metadata-decoder",
            "Print records as those of __cluster_metadata.",
        ),
        switch(
            "deep-iteration",
            "Print each record of a batch; always so where contents are printed.",
        ),
        valued("files", "file1,file2,...", "REQUIRED: the files."),
        switch(
            "index-sanity-check",
            "Only check indexes as a broker does when it starts.",
        ),
        Flag {
            name: "key-decoder-class",
            argument: Argument::Optional("class"),
            help: "How keys are read: StringDecoder (the default), DefaultDecoder, IntegerDecoder or LongDecoder.",
        },
        valued("max-bytes", "size", "Read no more of a log than this."),
        valued(
            "max-message-size",
            "size",
            "The largest batch that an index may point to; 5242880 unless given.",
        ),
        switch("offsets-decoder", "Print records as those of __consumer_offsets."),
        switch("print-data-log", "Print keys and values of records."),
        switch(
            "skip-record-metadata",
            "Print only keys and values; nothing of control records.",
        ),
        switch(
            "transaction-log-decoder",
            "Print records as those of __transaction_state.",
        ),
        Flag {
            name: "value-decoder-class",
            argument: Argument::Optional("class"),
            help: "How values are read; as for keys.",
        },
        switch("verify-index-only", "Check indexes without printing them."),
    ],
    gone: &[
        ("remote-log-metadata-decoder", "there is no tiered storage here"),
        ("share-group-state-decoder", "there are no share groups here yet"),
    ],
};

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    super::run_tool(&TOOL, arguments, |options| async move {
        let files = options.required("files")?.to_owned();
        let mut dump = Dump {
            out: BufWriter::with_capacity(64 * 1024, std::io::stdout()),
            settings: Settings::new(&options)?,
            problems: Problems::default(),
        };
        let done = files.split(',').try_for_each(|file| dump.file(file));
        match done.and_then(|()| Ok(dump.out.flush()?)) {
            Ok(()) => {
                dump.problems.report();
                Ok(ExitCode::SUCCESS)
            }
            // Nobody reads it any more.
            Err(Error::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
            Err(Error::Output(error)) => Err(Stop::Failed(format!("standard output: {error}"))),
            Err(Error::File(message)) => {
                // What was found so far stands before what stopped it.
                let _ = dump.out.flush();
                Err(Stop::Failed(message))
            }
        }
    })
}

/// Why it goes no further.
#[derive(Debug)]
enum Error {
    /// The output takes nothing any more.
    Output(std::io::Error),
    /// A file cannot be read, or is not what it should be.
    File(String),
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}

/// A file that cannot be read.
fn unreadable(path: &str, error: &std::io::Error) -> Error {
    Error::File(format!("{path}: {error}"))
}

/// A whole file; of the small ones beside a segment.
fn read(path: &str) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| unreadable(path, &error))
}

/// What is printed, and how.
#[derive(Debug)]
struct Settings {
    deep: bool,
    contents: Option<Contents>,
    skip_record_metadata: bool,
    bytes_max: u64,
    message_bytes_max: u64,
    sanity_only: bool,
    verify_only: bool,
}

impl Settings {
    fn new(options: &Options) -> Result<Self, Stop> {
        let size = |name: &str, default: i32| -> Result<u64, Stop> {
            let size: i32 = options.number(name)?.unwrap_or(default);
            u64::try_from(size)
                .map_err(|_| Stop::usage(format!("Cannot parse argument '{size}' of option {name}")))
        };
        let contents = Contents::new(options)?;
        Ok(Self {
            deep: options.has("deep-iteration") || contents.is_some(),
            contents,
            skip_record_metadata: options.has("skip-record-metadata"),
            bytes_max: size("max-bytes", i32::MAX)?,
            message_bytes_max: size("max-message-size", 5 * 1024 * 1024)?,
            sanity_only: options.has("index-sanity-check"),
            verify_only: options.has("verify-index-only"),
        })
    }

    /// Whether all of a log was asked for, so that what is left over means something.
    fn whole(&self) -> bool {
        self.bytes_max == u64::from(i32::MAX.unsigned_abs())
    }
}

/// Goes through files and collects what does not fit together.
#[derive(Debug)]
struct Dump<W> {
    out: W,
    settings: Settings,
    problems: Problems,
}

impl<W: Write> Dump<W> {
    fn file(&mut self, path: &str) -> Result<(), Error> {
        // As Java writes a path.
        let path = &plain(path);
        writeln!(self.out, "Dumping {path}")?;
        let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy();
        match name.rsplit_once('.').map(|(_, suffix)| suffix) {
            Some("log" | "checkpoint") => self.log(path, &name),
            Some("index") => self.offset_index(path),
            Some("timeindex") => self.time_index(path),
            Some("snapshot") => self.producer_snapshot(path),
            Some("txnindex") => self.transaction_index(path),
            _ => {
                self.out.flush()?;
                eprintln!("Ignoring unknown file {path}");
                Ok(())
            }
        }
    }
}

/// Without doubled or trailing slashes.
fn plain(path: &str) -> String {
    let mut plain = path.to_owned();
    while plain.contains("//") {
        plain = plain.replace("//", "/");
    }
    if plain.len() > 1 && plain.ends_with('/') {
        plain.pop();
    }
    plain
}

/// The path from the root, as Java's `getAbsolutePath` gives it.
fn absolute(path: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    let folder = std::env::current_dir().unwrap_or_default();
    format!("{}/{path}", folder.display())
}

/// The offset in a file's name.
fn offset_of_name(path: &str) -> Result<i64, Error> {
    let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy();
    let digits = name.split('.').next().unwrap_or_default();
    digits
        .parse()
        .map_err(|_| Error::File(format!("For input string: \"{digits}\"")))
}

/// The file of the same segment with another suffix.
fn sibling(path: &str, suffix: &str) -> String {
    let path = absolute(path);
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
    let stem = name.split('.').next().unwrap_or_default();
    format!("{folder}/{stem}.{suffix}")
}

/// What does not fit together, by file; told at the end, on standard error.
#[derive(Debug, Default, PartialEq, Eq)]
struct Problems {
    /// Offsets that an index has, and those found where it points, by offset.
    index_mismatches: BTreeMap<String, BTreeMap<i64, i64>>,
    /// Timestamps that an index has, and those of the batches.
    timestamp_mismatches: BTreeMap<String, Vec<(i64, i64)>>,
    /// Timestamps that are not greater than the one before.
    timestamps_out_of_order: BTreeMap<String, Vec<(i64, i64)>>,
    /// Offsets of a time index at which no batch ends, and where the batch ends that holds them.
    offsets_not_found: BTreeMap<String, Vec<(i64, i64)>>,
    /// Offsets that are followed by another than the next.
    gaps: BTreeMap<String, BTreeMap<i64, i64>>,
}

impl Problems {
    fn report(&self) {
        for line in self.lines() {
            eprintln!("{line}");
        }
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (file, mismatches) in &self.index_mismatches {
            lines.push(format!("Mismatches in :{file}"));
            let line = |(index, log): (&i64, &i64)| format!("  Index offset: {index}, log offset: {log}");
            lines.extend(mismatches.iter().rev().map(line));
        }
        for (file, mismatches) in &self.timestamp_mismatches {
            lines.push(format!("Found timestamp mismatch in :{file}"));
            let line =
                |(index, log): &(i64, i64)| format!("  Index timestamp: {index}, log timestamp: {log}");
            lines.extend(mismatches.iter().map(line));
        }
        for (file, disorder) in &self.timestamps_out_of_order {
            lines.push(format!("Found out of order timestamp in :{file}"));
            let line = |(index, previous): &(i64, i64)| {
                format!("  Index timestamp: {index}, Previously indexed timestamp: {previous}")
            };
            lines.extend(disorder.iter().map(line));
        }
        for (file, missing) in &self.offsets_not_found {
            lines.push(format!("The following indexed offsets are not found in :{file}"));
            let line =
                |(index, log): &(i64, i64)| format!("Indexed offset: {index}, found log offset: {log}");
            lines.extend(missing.iter().map(line));
        }
        for (file, gaps) in &self.gaps {
            lines.push(format!("Non-consecutive offsets in {file}"));
            lines.extend(
                gaps.iter()
                    .map(|(before, after)| format!("  {before} is followed by {after}")),
            );
        }
        lines
    }
}

#[cfg(test)]
mod tests;
