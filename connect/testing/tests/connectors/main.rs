//! DirectorySource and DatagenSource in a worker that is stopped and killed: each record exactly once, as the worker has transactions
//! unless it is told otherwise (`FOREBAY_TEST_BREAK=transaction` does so, and both tests must fail).

mod sink_offsets;

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use forebay_connect_api::Plugin;
use forebay_connect_testing::{Connect, Error};

const FILES: usize = 12;
const LINES: usize = 150;

fn append(path: &Path, lines: &[String]) {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .expect("opened");
    for line in lines {
        writeln!(file, "{line}").expect("written");
    }
}

/// What was written, and where.
#[derive(Default)]
struct Written {
    lines: BTreeSet<String>,
    rounds: usize,
}

impl Written {
    /// Another portion of each log, which are rotated first: some by a new name, some by a copy.
    fn grow(&mut self, root: &Path) {
        for file in 0..FILES {
            let path = root.join(format!("{file}.log"));
            let old = root.join(format!("{file}.log.{}", self.rounds));
            match (self.rounds, file % 3) {
                (0, _) | (_, 0) => {}
                (_, 1) => fs::rename(&path, &old).expect("renamed"),
                _ => {
                    fs::copy(&path, &old).expect("copied");
                    OpenOptions::new()
                        .write(true)
                        .truncate(true)
                        .open(&path)
                        .expect("truncated");
                }
            }
            append(&path, &self.more(file));
        }
        self.rounds += 1;
    }

    /// As many files that are complete when they appear.
    fn come(&mut self, root: &Path) {
        for file in 0..FILES {
            let beside = root.with_file_name("beside");
            append(&beside, &self.more(file));
            let name = format!("{}.{file}", self.rounds);
            fs::rename(beside, root.join(name)).expect("moved in");
        }
        self.rounds += 1;
    }

    fn more(&mut self, file: usize) -> Vec<String> {
        let round = self.rounds;
        let line = |line| format!("file {file} round {round} line {line}");
        let lines: Vec<String> = (0..LINES).map(line).collect();
        self.lines.extend(lines.iter().cloned());
        lines
    }
}

fn start(plugins: Vec<Plugin>) -> Connect {
    let broken = [("exactly.once.source.support", "disabled")];
    let is_broken = std::env::var("FOREBAY_TEST_BREAK").as_deref() == Ok("transaction");
    Connect::start_with(plugins, if is_broken { &broken } else { &[] }).expect("started")
}

/// The values of a topic, sorted, once there are so many.
fn values(connect: &Connect, topic: &str, count: usize) -> Vec<String> {
    let mut values = connect.values(topic, count).expect("all of them");
    values.sort_unstable();
    values
}

/// Whether there is nothing beyond what was looked for: what comes twice comes before what is new.
fn assert_lines(connect: &Connect, written: &Written) {
    let found = values(connect, "lines", written.lines.len());
    assert!(
        found.iter().eq(&written.lines),
        "each line once: {}",
        difference(&found, &written.lines)
    );
}

fn difference(found: &[String], written: &BTreeSet<String>) -> String {
    let twice: Vec<&String> = found
        .windows(2)
        .filter(|pair| pair[0] == pair[1])
        .map(|pair| &pair[0])
        .collect();
    let once: BTreeSet<String> = found.iter().cloned().collect();
    let missing: Vec<&String> = written.difference(&once).collect();
    format!(
        "{} came twice: {twice:?}; {} did not come: {missing:?}",
        twice.len(),
        missing.len()
    )
}

fn directory_source(root: &Path) -> [(&'static str, String); 6] {
    [
        ("connector.class", "DirectorySource".to_owned()),
        ("tasks.max", "3".to_owned()),
        ("topic", "lines".to_owned()),
        ("input.path", root.display().to_string()),
        ("batch.size", "40".to_owned()),
        ("fs.listing.interval.ms", "100".to_owned()),
    ]
}

#[test]
fn a_directorys_lines_come_once_through_rotation_stops_and_kills() {
    let mut connect = start(forebay_connectors_file::plugins().into());
    let root = connect.directory().join("in");
    fs::create_dir(&root).expect("made");
    let mut written = Written::default();
    written.grow(&root);
    let config = directory_source(&root);
    let config = config.each_ref().map(|(key, value)| (*key, value.as_str()));
    connect.run("files", &config).expect("it runs");
    for _ in 0..3 {
        assert_lines(&connect, &written);
        connect.stop_worker();
        written.grow(&root);
        connect.start_worker().expect("started again");
    }
    assert_lines(&connect, &written);
    // In the middle of each portion.
    for _ in 0..4 {
        let before = written.lines.len();
        written.grow(&root);
        values(&connect, "lines", before + FILES * LINES / 4);
        connect.kill_worker();
        connect.start_worker().expect("started again");
        assert_lines(&connect, &written);
    }
}

/// The names of the files of which the worker has source offsets (GET /connectors/files/offsets).
fn files_with_offsets(connect: &Connect) -> Result<Vec<String>, Error> {
    let answer = connect.get("/connectors/files/offsets")?;
    let offsets = answer["offsets"].as_array().map_or(&[][..], Vec::as_slice);
    let path = |offset: &serde_json::Value| {
        let path = offset["partition"]["filename"].as_str().unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default().to_owned()
    };
    Ok(offsets.iter().map(path).collect())
}

#[test]
fn files_that_are_deleted_leave_no_offsets() {
    let mut connect = start(forebay_connectors_file::plugins().into());
    let root = connect.directory().join("in");
    fs::create_dir(&root).expect("made");
    let mut written = Written::default();
    let config = directory_source(&root);
    let config = config.each_ref().map(|(key, value)| (*key, value.as_str()));
    let complete = [("file.complete", "true"), ("cleanup.policy", "DELETE")];
    written.come(&root);
    connect
        .run("files", &[&config[..], &complete].concat())
        .expect("it runs");
    let is_told = fs::metadata(&root).expect("there").created().is_ok();
    let none_left = |connect: &Connect| {
        let what = "the deletion of all files and of their offsets";
        let is_so =
            || {
                Ok(fs::read_dir(&root)?.next().is_none()
                    && (!is_told || files_with_offsets(connect)?.is_empty()))
            };
        connect.wait_until(what, is_so).expect("in time");
    };
    assert_lines(&connect, &written);
    none_left(&connect);
    // Whose deletion a kill or a stop did not let it say keeps its offset; nobody else does.
    for round in 0..4 {
        let before = written.lines.len();
        written.come(&root);
        values(&connect, "lines", before + FILES * LINES / 2);
        if round % 2 == 0 {
            connect.kill_worker();
        } else {
            connect.stop_worker();
        }
        connect.start_worker().expect("started again");
        assert_lines(&connect, &written);
    }
    let is_empty = || Ok(fs::read_dir(&root)?.next().is_none());
    connect
        .wait_until("the deletion of all files", is_empty)
        .expect("in time");
    written.come(&root);
    assert_lines(&connect, &written);
    let last = format!("{}.", written.rounds - 1);
    let is_so = || {
        let left = files_with_offsets(&connect)?;
        Ok(!is_told || !left.iter().any(|file| file.starts_with(&last)))
    };
    connect
        .wait_until("that the last files are forgotten", is_so)
        .expect("in time");
}

#[test]
fn made_up_records_go_on_where_they_were() {
    let mut connect = start(forebay_connectors_datagen::plugins().into());
    let config = |topic, interval| {
        [
            ("connector.class", "DatagenSource"),
            ("tasks.max", "2"),
            ("kafka.topic", topic),
            ("quickstart", "users"),
            ("max.interval", interval),
            ("random.seed", "5"),
            ("count", "2000"),
        ]
    };
    connect.run("whole", &config("whole", "0")).expect("it runs");
    let whole = values(&connect, "whole", 2000);
    connect.run("broken", &config("broken", "1")).expect("it runs");
    for round in 1..=4 {
        values(&connect, "broken", round * 300);
        if round % 2 == 0 {
            connect.stop_worker();
        } else {
            connect.kill_worker();
        }
        connect.start_worker().expect("started again");
    }
    let broken = values(&connect, "broken", 2000);
    assert!(whole == broken, "the same records, each once");
}
