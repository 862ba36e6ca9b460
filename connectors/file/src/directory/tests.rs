#[cfg(feature = "parquet")]
mod columns;
mod done;
mod gone;
mod model;
mod reading;
mod rules;

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::Mutex,
};

use forebay_connect_api::{
    OffsetMap, SourceRecord,
    conformance::{SourceContext, SourceSubject, check_source},
};

use super::*;

/// A directory to read, and beside it whatever a test needs.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir(directory.path().join("in")).expect("made");
        Self { directory }
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("in")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("below the root")).expect("made");
        fs::write(&path, content).expect("written");
        path
    }

    fn properties(&self, more: &[(&str, &str)]) -> Properties {
        let root = self.root();
        let own = [("input.path", root.to_str().expect("UTF-8")), ("topic", "t")];
        own.iter()
            .chain(more)
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    async fn start(&self, more: &[(&str, &str)]) -> Running {
        Running::start(&self.properties(more), Vec::new(), Access::unrestricted()).await
    }
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .expect("opened");
    file.write_all(text.as_bytes()).expect("written");
}

/// A task with its worker.
struct Running {
    task: Box<dyn SourceTask>,
    context: Arc<SourceContext>,
    offsets: Vec<(Arc<OffsetMap>, OffsetMap)>,
    /// Records that are for the dead letter queue only.
    left_out: Vec<SourceRecord>,
    /// The names of files whose source offsets are to be forgotten.
    forgotten: Vec<String>,
}

impl Running {
    async fn start(properties: &Properties, offsets: Vec<(OffsetMap, OffsetMap)>, access: Access) -> Self {
        let mut task = DirectorySourceConnector::default().task();
        let context = Arc::new(SourceContext::new(access).with_offsets(offsets));
        let started = task.start(Arc::clone(&context) as _, properties);
        started.await.expect("started");
        Self {
            task,
            context,
            offsets: Vec::new(),
            left_out: Vec::new(),
            forgotten: Vec::new(),
        }
    }

    async fn poll(&mut self) -> Result<Vec<SourceRecord>, Error> {
        loop {
            let records = self.task.poll().await?;
            let (forgotten, records): (Vec<_>, Vec<_>) =
                records.into_iter().partition(|record| record.forgets);
            let names = forgotten
                .iter()
                .map(|record| name_of(&record.source_partition).to_owned());
            self.forgotten.extend(names);
            for record in &records {
                if let Some(offset) = &record.source_offset {
                    self.offsets
                        .push((Arc::clone(&record.source_partition), offset.clone()));
                }
            }
            let (records, left_out): (Vec<_>, Vec<_>) =
                records.into_iter().partition(|record| record.fault.is_none());
            self.left_out.extend(left_out);
            if !records.is_empty() {
                return Ok(records);
            }
        }
    }

    /// So many values, as they come.
    async fn values(&mut self, count: usize) -> Vec<String> {
        let mut found = Vec::new();
        while found.len() < count {
            let polled = self.poll().await.expect("records");
            found.extend(polled.iter().map(|record| record.value.value.to_string()));
        }
        found
    }

    async fn commit(&mut self) {
        let offsets = std::mem::take(&mut self.offsets);
        self.task.commit(&offsets).await.expect("told");
    }

    /// Nothing more comes for a long time. Only where time is paused.
    async fn is_quiet(&mut self) {
        let polled = tokio::time::timeout(std::time::Duration::from_secs(60), self.poll()).await;
        assert!(polled.is_err(), "{polled:?}");
    }

    async fn error(&mut self) -> String {
        loop {
            match self.poll().await {
                Ok(_) => {}
                Err(error) => return error.trace(),
            }
        }
    }
}

/// The name by which a source partition's file was first known.
fn name_of(partition: &OffsetMap) -> &str {
    let path = partition.get_str("filename").expect("it has one");
    path.rsplit('/').next().unwrap_or_default()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(text: &str) -> Vec<u8> {
    ::zstd::encode_all(text.as_bytes(), 1).expect("memory")
}

#[tokio::test(start_paused = true)]
async fn the_contract_holds_for_complete_files_of_every_format() {
    let (mut kills_in_flight, mut polls_cut_off) = (0, 0);
    let number = |from: usize| {
        (from..from + 150)
            .map(|number| format!("{number}"))
            .collect::<Vec<_>>()
    };
    let lines = |numbers: &[String]| {
        numbers
            .iter()
            .fold(String::new(), |text, number| text + number + "\n")
    };
    for seed in 0..8 {
        let place = Place::new();
        let (first, second, third) = (number(0), number(150), number(300));
        let (format, value): (&str, fn(&str) -> String) = match seed % 4 {
            0 => {
                place.write("a.log", lines(&first));
                place.write(
                    "b.log.gz",
                    [gzip(&lines(&second[..70])), gzip(&lines(&second[70..]))].concat(),
                );
                place.write(
                    "c.log.zst",
                    [zstd(&lines(&third[..70])), zstd(&lines(&third[70..]))].concat(),
                );
                ("lines", |number| number.to_owned())
            }
            1 => {
                place.write("a.json", format!("[{}]", first.join(",\n")));
                place.write("b.json", second.join(" "));
                place.write("c.json.gz", gzip(&format!(" [ {} ]\n", third.join(" ,"))));
                ("json", |number| number.to_owned())
            }
            2 => {
                for (name, numbers) in [("a", &first), ("b", &second), ("c", &third)] {
                    place.write(name, lines(numbers).trim_end());
                }
                ("jsonl", |number| number.to_owned())
            }
            _ => {
                for (name, numbers) in [("a", &first), ("b", &second), ("c", &third)] {
                    place.write(name, format!("n\n{}", lines(numbers)));
                }
                ("csv", |number| format!("Struct{{n={number}}}"))
            }
        };
        let connector = DirectorySourceConnector::default();
        let subject = SourceSubject {
            task: &|| connector.task(),
            properties: place.properties(&[
                ("file.format", format),
                ("file.complete", "true"),
                ("batch.size", "17"),
            ]),
            expected: [first, second, third]
                .concat()
                .iter()
                .map(|number| value(number))
                .collect(),
            disturb: &|_| {},
        };
        let report = check_source(&subject, seed).await.expect("it keeps the contract");
        kills_in_flight += report.kills_in_flight;
        polls_cut_off += report.polls_cut_off;
    }
    assert!(
        kills_in_flight > 0 && polls_cut_off > 0,
        "{kills_in_flight} {polls_cut_off}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_contract_holds_for_a_file_that_grows_and_is_rotated() {
    let mut kills_in_flight = 0;
    for seed in 0..8 {
        let place = Place::new();
        let path = place.path("app.log");
        let expected: Vec<String> = (0..700)
            .map(|number| format!("line {number} of seed {seed}"))
            .collect();
        // Rotates at every 150 lines, when all of them came: by a new name, and by a copy of which the original is truncated.
        let written = Mutex::new(0_usize);
        let grow = |came: usize| {
            let mut written = written.lock().expect("no panic");
            while *written < expected.len() && *written <= came + 50 {
                if *written > 0 && written.is_multiple_of(150) {
                    if came < *written {
                        return;
                    }
                    let old = place.path(&format!("app.log.{written}"));
                    if written.is_multiple_of(300) {
                        fs::rename(&path, &old).expect("renamed");
                    } else {
                        fs::copy(&path, &old).expect("copied");
                        OpenOptions::new()
                            .write(true)
                            .truncate(true)
                            .open(&path)
                            .expect("truncated");
                    }
                    // Clocks of file systems are coarse.
                    let past = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
                    let old = OpenOptions::new().write(true).open(&old).expect("opened");
                    old.set_modified(past + std::time::Duration::from_secs(*written as u64))
                        .expect("old");
                }
                append(&path, &format!("{}\n", expected[*written]));
                *written += 1;
            }
        };
        let connector = DirectorySourceConnector::default();
        let subject = SourceSubject {
            task: &|| connector.task(),
            properties: place
                .properties(&[("batch.size", "17"), ("files.sort.attributes", "LastModifiedAsc")]),
            expected: expected.clone(),
            disturb: &grow,
        };
        let report = check_source(&subject, seed).await.expect("it keeps the contract");
        kills_in_flight += report.kills_in_flight;
    }
    assert!(kills_in_flight > 0, "{kills_in_flight}");
}
