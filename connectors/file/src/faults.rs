//! C3 of the faults: what happens to files that are read, step by step, and a restart after each of the steps. What must come is the
//! same whenever the task is started anew: no line is lost, none comes twice.
//!
//! | fault | FileStreamSource | DirectorySource |
//! | --- | --- | --- |
//! | grows within a line, or within `\r\n` | here | here; `directory/tests/model.rs` |
//! | truncated | here; `source/tests.rs`, `a_truncated_or_replaced_file…` | here; `model.rs` |
//! | renamed and made anew | here; `source/tests.rs`, `the_contract_holds_for_a_file_that_grows…` | here; `model.rs` |
//! | copied and truncated | here; `the_contract_holds…`, `the_rest_of_a_copy…` | `model.rs` |
//! | replaced by a link | here; `a_missing_file_is_waited_for_and_a_link…` | here; `rules.rs`, `a_file_that_becomes_a_link…` |
//! | deleted, and made anew | here | here; `model.rs` |
//! | a line of 1 GB | `tests/hub/connect/files.rs` | the same |
//! | a line that is too long | `what_is_no_file_of_lines_is_named`; `lines.rs` | `rules.rs`, `what_is_at_fault…` |
//! | NUL, invalid UTF-8, `\r\n`, `\r` | here; `lines.rs` | here; `rules.rs`, `records_of_every_format` |
//! | no end of the last line | here (waits); `a_complete_file_ends_with_a_line` | here; `records_of_every_format` |

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use forebay_connect_api::config::Properties;
use forebay_connect_api::conformance::SourceContext;
use forebay_connect_api::{Access, Error, OffsetMap, SourceConnector, SourceRecord, SourceTask};

use crate::{directory::DirectorySourceConnector, source::FileStreamSourceConnector};

/// What happens, or what must come of it.
#[derive(Debug, Clone, Copy)]
enum Step {
    Append(&'static str),
    AppendBytes(&'static [u8]),
    /// Written anew in place.
    Truncate(&'static str),
    /// It gets another name, and there is a new one with this.
    Rename(&'static str),
    /// It is copied to another name, and truncated and written anew.
    CopyAway(&'static str),
    Delete,
    /// It is replaced by a link to a file within the directory, or beside it.
    LinkWithin(&'static str),
    LinkOut(&'static str),
    /// These lines come, in any order, and no others.
    Lines(&'static [&'static str]),
    /// What the link leads to is not read: the task fails, or waits for another file.
    Refused,
}

use Step::{Append, AppendBytes, CopyAway, Delete, Lines, LinkOut, LinkWithin, Refused, Rename, Truncate};

/// Enough that a rotated file is known again.
const LONG: &str = concat!(
    "a line that is so long that a few of them prove which file this is: one\n",
    "a line that is so long that a few of them prove which file this is: two\n",
    "a line that is so long that a few of them prove which file this is: three\n",
    "a line that is so long that a few of them prove which file this is: four\n",
);

const LONG_LINES: &[&str] = &[
    "a line that is so long that a few of them prove which file this is: one",
    "a line that is so long that a few of them prove which file this is: two",
    "a line that is so long that a few of them prove which file this is: three",
    "a line that is so long that a few of them prove which file this is: four",
];

const CASES: [&[Step]; 10] = [
    &[
        Append("on"),
        Lines(&[]),
        Append("e\ntw"),
        Lines(&["one"]),
        Append("o"),
        Lines(&[]),
        Append("\n"),
        Lines(&["two"]),
    ],
    &[
        Append("one\r"),
        Lines(&[]),
        Append("\ntwo\r\n\r\nx"),
        Lines(&["one", "two", ""]),
        Append("\r\n"),
        Lines(&["x"]),
    ],
    &[
        AppendBytes(b"a\0b\n\xff(\n\0\n"),
        Lines(&["a\0b", "\u{fffd}(", "\0"]),
        AppendBytes(b"\xc3"),
        Lines(&[]),
        AppendBytes(b"\xbc\n"),
        Lines(&["\u{fc}"]),
    ],
    &[Append("one\nthe last"), Lines(&["one"]), Lines(&[])],
    &[
        Append("one\ntwo\n"),
        Lines(&["one", "two"]),
        Truncate("three\n"),
        Lines(&["three"]),
        Append("four\n"),
        Lines(&["four"]),
    ],
    &[
        Append(LONG),
        Lines(LONG_LINES),
        Append("half a"),
        Lines(&[]),
        Append(" line\nlast\n"),
        Rename("new\n"),
        Lines(&["half a line", "last", "new"]),
        Append("more\n"),
        Lines(&["more"]),
    ],
    &[
        Append(LONG),
        Lines(LONG_LINES),
        Append("rest\n"),
        CopyAway("new\n"),
        Lines(&["rest", "new"]),
        Append("more\n"),
        Lines(&["more"]),
    ],
    &[
        Append("one\n"),
        Lines(&["one"]),
        Delete,
        Lines(&[]),
        Append("two\n"),
        Lines(&["two"]),
        Append("three\n"),
        Lines(&["three"]),
    ],
    &[
        Append("one\n"),
        Lines(&["one"]),
        LinkWithin("two\n"),
        Lines(&["two"]),
    ],
    &[
        Append("one\n"),
        Lines(&["one"]),
        LinkOut("one\nsecret\n"),
        Refused,
        Delete,
        Append("two\n"),
        Lines(&["two"]),
    ],
];

/// Which connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    FileStream,
    Directory,
}

/// A task, its worker and its file.
struct World {
    kind: Kind,
    place: tempfile::TempDir,
    committed: BTreeMap<String, (OffsetMap, OffsetMap)>,
    task: Option<Box<dyn SourceTask>>,
    names: usize,
}

impl World {
    fn new(kind: Kind) -> Self {
        let place = tempfile::tempdir().expect("a directory");
        fs::create_dir(place.path().join("in")).expect("made");
        Self {
            kind,
            place,
            committed: BTreeMap::new(),
            task: None,
            names: 0,
        }
    }

    fn file(&self) -> PathBuf {
        self.place.path().join("in/app.log")
    }

    fn other_name(&mut self) -> PathBuf {
        self.names += 1;
        self.place.path().join(format!("in/app.log.{}", self.names))
    }

    fn properties(&self) -> Properties {
        let path = |path: PathBuf| path.to_str().expect("UTF-8").to_owned();
        let keys = match self.kind {
            Kind::FileStream => vec![
                ("file", path(self.file())),
                ("on.truncation", "beginning".to_owned()),
            ],
            Kind::Directory => vec![
                ("input.path", path(self.place.path().join("in"))),
                // What is elsewhere in the directory is read for itself.
                ("input.file.include", "app.log*".to_owned()),
            ],
        };
        let keys = keys.into_iter().chain([("topic", "t".to_owned())]);
        keys.map(|(key, value)| (key.to_owned(), value)).collect()
    }

    async fn task(&mut self) -> &mut dyn SourceTask {
        if self.task.is_none() {
            let mut task = match self.kind {
                Kind::FileStream => FileStreamSourceConnector::default().task(),
                Kind::Directory => DirectorySourceConnector::default().task(),
            };
            let access = Access::unrestricted().with_paths([self.place.path().join("in")]);
            let committed = self.committed.values().cloned().collect();
            let context = SourceContext::new(access).with_offsets(committed);
            task.start(Arc::new(context), &self.properties())
                .await
                .expect("started");
            self.task = Some(task);
        }
        &mut **self.task.as_mut().expect("it has just been made")
    }

    /// What comes until nothing more does, each batch committed.
    async fn lines(&mut self) -> Result<Vec<String>, Error> {
        let mut lines = Vec::new();
        loop {
            // A directory's copies are waited for for ten seconds.
            let quiet = if self.kind == Kind::Directory { 15 } else { 1 };
            let polled = tokio::time::timeout(Duration::from_secs(quiet), self.task().await.poll()).await;
            let Ok(records) = polled else { return Ok(lines) };
            let records = records?;
            lines.extend(records.iter().map(|record| record.value.value.to_string()));
            self.commit(&records).await;
        }
    }

    async fn commit(&mut self, records: &[SourceRecord]) {
        let mut moved = Vec::new();
        for record in records {
            let (partition, offset) = (&record.source_partition, record.source_offset.clone());
            let offset = offset.expect("files have offsets");
            let pair = ((**partition).clone(), offset.clone());
            self.committed.insert(partition.to_string(), pair);
            moved.push((Arc::clone(partition), offset));
        }
        self.task().await.commit(&moved).await.expect("told");
    }

    fn append(&self, bytes: &[u8]) {
        let mut options = OpenOptions::new();
        let mut file = options
            .append(true)
            .create(true)
            .open(self.file())
            .expect("opened");
        file.write_all(bytes).expect("written");
    }

    fn link(&self, target: PathBuf, content: &str) {
        fs::write(&target, content).expect("written");
        fs::remove_file(self.file()).expect("removed");
        std::os::unix::fs::symlink(target, self.file()).expect("linked");
    }

    async fn take(&mut self, step: Step) -> Result<(), String> {
        let file = self.file();
        match step {
            Append(text) => self.append(text.as_bytes()),
            AppendBytes(bytes) => self.append(bytes),
            Truncate(text) => fs::write(file, text).expect("written"),
            Rename(text) => {
                fs::rename(&file, self.other_name()).expect("renamed");
                fs::write(file, text).expect("written");
            }
            CopyAway(text) => {
                fs::copy(&file, self.other_name()).expect("copied");
                fs::write(file, text).expect("written");
            }
            Delete => fs::remove_file(file).expect("removed"),
            LinkWithin(text) => self.link(self.place.path().join("in/target"), text),
            LinkOut(text) => self.link(self.place.path().join("secret"), text),
            Lines(expected) => {
                let mut found = self.lines().await.map_err(|error| error.trace())?;
                found.sort_unstable();
                let mut expected = expected.to_vec();
                expected.sort_unstable();
                if found != expected {
                    return Err(format!("{found:?} came, and not {expected:?}"));
                }
            }
            Refused => match (self.lines().await, self.kind) {
                (Ok(lines), Kind::Directory) if lines.is_empty() => {}
                (Err(error), Kind::FileStream) if error.trace().contains("does not allow") => {
                    self.task = None;
                }
                (other, _) => return Err(format!("{other:?} of a file that is not allowed")),
            },
        }
        Ok(())
    }
}

/// Takes all steps, with a task that is started anew before one of them.
async fn run(kind: Kind, steps: &[Step], anew: usize) -> Result<(), String> {
    let mut world = World::new(kind);
    for (number, step) in steps.iter().enumerate() {
        if number == anew {
            world.task = None;
        }
        let taken = world.take(*step).await;
        taken.map_err(|wrong| {
            format!("{kind:?}, anew before step {anew}, step {number}, {step:?}: {wrong}")
        })?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_to_a_file_its_lines_come_once_across_restarts() {
    let mut wrong = Vec::new();
    for kind in [Kind::FileStream, Kind::Directory] {
        for steps in CASES {
            for anew in 0..steps.len() {
                wrong.extend(run(kind, steps, anew).await.err());
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
