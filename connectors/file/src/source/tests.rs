use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    sync::Mutex,
};

use forebay_connect_api::{
    Access, OffsetMap, Progress, SourceRecord,
    conformance::{SourceContext, SourceSubject, check_source},
};

use super::*;

fn properties(path: &Path, more: &[(&str, &str)]) -> Properties {
    let own = [("file", path.to_str().expect("UTF-8")), ("topic", "t")];
    own.iter()
        .chain(more)
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

async fn start(properties: &Properties, offset: Option<OffsetMap>) -> Box<dyn SourceTask> {
    start_within(Access::unrestricted(), properties, offset).await
}

async fn start_within(
    access: Access,
    properties: &Properties,
    offset: Option<OffsetMap>,
) -> Box<dyn SourceTask> {
    start_in(
        &Arc::new(SourceContext::new(access).with_offset(offset)),
        properties,
    )
    .await
}

async fn start_in(context: &Arc<SourceContext>, properties: &Properties) -> Box<dyn SourceTask> {
    let mut task = FileStreamSourceConnector::default().task();
    let started = task.start(Arc::clone(context) as _, properties);
    started.await.expect("started");
    task
}

fn values(records: &[SourceRecord]) -> Vec<String> {
    records
        .iter()
        .map(|record| record.value.value.to_string())
        .collect()
}

fn position(record: &SourceRecord) -> i64 {
    let offset = record.source_offset.as_ref().expect("a file has positions");
    offset.get_int64(POSITION).expect("the field is there")
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .expect("opened");
    file.write_all(text.as_bytes()).expect("written");
}

async fn error_of(properties: &Properties, offset: Option<OffsetMap>) -> String {
    let mut task = start(properties, offset).await;
    match task.poll().await {
        Err(error) => error.to_string(),
        Ok(records) => panic!("records came: {:?}", values(&records)),
    }
}

#[tokio::test]
async fn records_are_kafkas_and_the_last_batch_is_not_held_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("in.txt");
    fs::write(&path, "one\ntwo\r\nthree\nfo").expect("written");
    let properties = properties(&path, &[("batch.size", "2")]);
    let mut task = start(&properties, None).await;
    let first = task.poll().await.expect("lines");
    assert_eq!(values(&first), ["one", "two"]);
    assert_eq!((position(&first[0]), position(&first[1])), (4, 9));
    assert_eq!(
        first[0].source_partition.to_string(),
        format!("{{\"filename\":\"{}\"}}", path.display())
    );
    let schema = first[0].value.schema.as_ref().expect("STRING");
    assert_eq!(
        (schema.schema_type().name(), schema.is_optional()),
        ("STRING", false)
    );
    assert_eq!(values(&task.poll().await.expect("lines")), ["three"]);
    append(&path, "ur\n");
    assert_eq!(values(&task.poll().await.expect("lines")), ["four"]);
}

#[tokio::test(start_paused = true)]
async fn the_contract_holds_for_a_file_that_grows_and_is_rotated() {
    let (mut kills_in_flight, mut polls_cut_off) = (0, 0);
    for seed in 0..12 {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("app.log");
        let expected: Vec<String> = (0..900)
            .map(|number| format!("line {number} of seed {seed}"))
            .collect();
        // Rotates at every 200 lines: by a new name, and by a copy of which the original is truncated.
        let written = Mutex::new(0_usize);
        let grow = |came: usize| {
            let mut written = written.lock().expect("no panic");
            while *written < expected.len() && *written <= came + 50 {
                if *written > 0 && written.is_multiple_of(200) {
                    let old = directory.path().join(format!("app.log.{written}"));
                    if written.is_multiple_of(400) {
                        fs::rename(&path, &old).expect("renamed");
                    } else {
                        fs::copy(&path, &old).expect("copied");
                        OpenOptions::new()
                            .write(true)
                            .truncate(true)
                            .open(&path)
                            .expect("truncated");
                    }
                }
                append(&path, &format!("{}\n", expected[*written]));
                *written += 1;
            }
        };
        let connector = FileStreamSourceConnector::default();
        let subject = SourceSubject {
            task: &|| connector.task(),
            properties: properties(&path, &[("batch.size", "17")]),
            expected: expected.clone(),
            disturb: &grow,
        };
        let report = check_source(&subject, seed).await.expect("it keeps the contract");
        kills_in_flight += report.kills_in_flight;
        polls_cut_off += report.polls_cut_off;
    }
    // Of one seed, threads may be so slow or so quick that there is none.
    assert!(
        kills_in_flight > 0 && polls_cut_off > 0,
        "{kills_in_flight} {polls_cut_off}"
    );
}

#[tokio::test]
async fn a_complete_file_ends_with_a_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("in.txt");
    for (content, lines) in [("a\nb", vec!["a", "b"]), ("a\n", vec!["a"]), ("a\r", vec!["a"])] {
        fs::write(&path, content).expect("written");
        let connector = FileStreamSourceConnector::default();
        let subject = SourceSubject {
            task: &|| connector.task(),
            properties: properties(&path, &[("file.complete", "true")]),
            expected: lines.into_iter().map(String::from).collect(),
            disturb: &|_| {},
        };
        check_source(&subject, 1).await.expect("it keeps the contract");
    }
}

#[tokio::test]
async fn of_a_complete_file_it_is_told_how_far_it_is_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("in.txt");
    fs::write(&path, "one\ntwo\nthree").expect("written");
    let complete = properties(&path, &[("file.complete", "true"), ("batch.size", "2")]);
    let context = Arc::new(SourceContext::new(Access::unrestricted()));
    let mut task = start_in(&context, &complete).await;
    assert_eq!(context.progress(), None);
    task.poll().await.expect("lines");
    assert_eq!(context.progress(), Some(Progress::bytes(8, 13)));
    let last = task.poll().await.expect("the last line");
    assert_eq!(context.progress(), Some(Progress::bytes(13, 13)));

    // Nothing comes any more, and it is told all the same.
    let offset = last[0].source_offset.clone();
    let again = Arc::new(SourceContext::new(Access::unrestricted()).with_offset(offset));
    let mut task = start_in(&again, &complete).await;
    let told = async {
        while again.progress().is_none() {
            let poll = tokio::time::timeout(std::time::Duration::from_millis(10), task.poll());
            assert!(poll.await.is_err(), "there are no more lines");
        }
    };
    let told = tokio::time::timeout(std::time::Duration::from_secs(60), told);
    told.await.expect("told");
    assert_eq!(again.progress(), Some(Progress::bytes(13, 13)));

    let growing = Arc::new(SourceContext::new(Access::unrestricted()));
    let mut task = start_in(&growing, &properties(&path, &[])).await;
    task.poll().await.expect("lines");
    assert_eq!(growing.progress(), None, "it has no end");
}

#[tokio::test]
async fn a_truncated_or_replaced_file_is_noticed_between_runs() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("in.txt");
    fs::write(&path, "one\ntwo\n").expect("written");
    let defaults = properties(&path, &[]);
    let read = start(&defaults, None).await.poll().await.expect("lines");
    let offset = read[1].source_offset.clone();

    for content in ["x\n", "one\nTWO\nthree\n"] {
        fs::write(&path, content).expect("written");
        let error = error_of(&defaults, offset.clone()).await;
        assert!(
            error.contains("was truncated or replaced: 8 bytes of it were read"),
            "{error}"
        );
        let lenient = properties(&path, &[("on.truncation", "beginning")]);
        let records = start(&lenient, offset.clone()).await.poll().await.expect("lines");
        assert_eq!(values(&records).join("\n") + "\n", content);
    }

    // An offset that a user or Kafka's connector wrote has no fingerprint.
    let plain = OffsetMap::new().with(POSITION, 4);
    fs::write(&path, "abc\ndef\n").expect("written");
    assert_eq!(
        values(&start(&defaults, Some(plain)).await.poll().await.expect("lines")),
        ["def"]
    );
}

/// Reads `old`, puts `new` in its place as a writer who truncates does, and gives the lines that come then.
async fn lines_after_rewriting(path: &Path, old: &str, new: &str) -> Vec<String> {
    fs::write(path, old).expect("written");
    let properties = properties(path, &[("on.truncation", "beginning")]);
    let mut task = start(&properties, None).await;
    let whole = old.rfind('\n').map_or(0, |end| old[..=end].lines().count());
    let mut found = Vec::new();
    while found.len() < whole {
        found.extend(values(&task.poll().await.expect("lines")));
    }
    // The end of the file is seen, and what follows the last newline is read. Between two looks: nobody reads while it is rewritten.
    let polled = tokio::time::timeout(std::time::Duration::from_millis(1050), task.poll()).await;
    assert!(polled.is_err(), "no more lines");
    fs::write(path, new).expect("written");
    let mut after = Vec::new();
    while after.len() < new.lines().count() {
        after.extend(values(&task.poll().await.expect("lines")));
    }
    after
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_not_provably_the_old_one_is_never_read() {
    let heading = format!("id,{}\n", "name,".repeat(60));
    let same_start = "a line of the same beginning\n".repeat(200);
    for (name, old, sibling, content) in [
        // Nothing was given out: every file begins with no bytes.
        (
            "app.log",
            "half a li",
            "passwords.txt",
            "secret one\nsecret two\n",
        ),
        ("app.log", "half a li", "app.log.1", "half a line\nsecret\n"),
        // A heading that many files have, and the name of one that belongs to it.
        ("data.csv", "id,name\n", "data.csv.bak", "id,name\n7,secret\n"),
        // A long heading, and the name of another file.
        (
            "data.csv",
            &heading,
            "salaries.csv",
            &format!("{heading}7,secret\n"),
        ),
        // More in common than the fingerprint covers, but not all that was read.
        (
            "data.csv",
            &format!("{same_start}one\n"),
            "data.csv.1",
            &format!("{same_start}two\nsecret\n"),
        ),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join(sibling), content).expect("written");
        let path = directory.path().join(name);
        let after = lines_after_rewriting(&path, old, "first\nsecond\n").await;
        assert_eq!(after, ["first", "second"], "{sibling}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_copy_is_read_before_the_file_that_was_truncated() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("app.log");
    let old = format!("{}half a li", "a line\n".repeat(50));
    fs::write(directory.path().join("app.log.1"), format!("{old}ne\nthe rest\n")).expect("written");
    let after = lines_after_rewriting(&path, &old, "first\nsecond\nthird\nfourth\n").await;
    assert_eq!(
        after,
        ["half a line", "the rest", "first", "second", "third", "fourth"]
    );
}

#[tokio::test]
async fn what_is_no_file_of_lines_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    type Keys = &'static [(&'static str, &'static str)];
    let no_more: Keys = &[];
    rustix::fs::mkfifoat(rustix::fs::CWD, path("fifo"), rustix::fs::Mode::RWXU).expect("made");
    fs::create_dir(path("directory")).expect("made");
    std::os::unix::fs::symlink(path("loop"), path("loop")).expect("linked");
    let long = "x".repeat(11);
    fs::write(path("long"), format!("ok\n{long}\n")).expect("written");
    fs::write(path("invalid"), b"\xc3(\n").expect("written");
    let cases: [(&str, Keys, &str); 5] = [
        (
            "directory",
            no_more,
            "is a directory; the file connectors read and write regular files only",
        ),
        ("fifo", no_more, "is a FIFO;"),
        ("loop", no_more, "cannot open"),
        (
            "invalid",
            &[("invalid.utf8", "fail")],
            "that ends at byte 3 is not UTF-8",
        ),
        (
            "long",
            &[("max.line.bytes", "10"), ("batch.size", "1")],
            "that begins at byte 3 is longer than max.line.bytes=10",
        ),
    ];
    for (name, more, message) in cases {
        let properties = properties(&path(name), more);
        let mut task = start(&properties, None).await;
        let mut polled = task.poll().await;
        if name == "long" {
            assert_eq!(values(&polled.expect("the line before it")), ["ok"]);
            polled = task.poll().await;
        }
        let error = polled.expect_err(name).to_string();
        assert!(error.contains(message), "{error}");
    }
    let records = start(&properties(&path("invalid"), no_more), None)
        .await
        .poll()
        .await;
    assert_eq!(values(&records.expect("a line")), ["\u{fffd}("]);
}

#[tokio::test]
async fn a_missing_file_is_waited_for_and_a_link_is_followed_where_that_is_allowed() {
    let directory = tempfile::tempdir().expect("a directory");
    let (inside, path) = (directory.path().join("in"), directory.path().join("in/link"));
    fs::create_dir(&inside).expect("made");
    let properties = properties(&path, &[]);
    let context = Arc::new(SourceContext::new(Access::unrestricted()));
    let mut task = start_in(&context, &properties).await;
    let (polled, ()) = tokio::join!(task.poll(), async {
        while context.waiting().is_none() {
            tokio::task::yield_now().await;
        }
        let expected = format!("{} does not exist, and is waited for", path.display());
        assert_eq!(context.waiting(), Some(expected));
        fs::write(directory.path().join("target"), "line\n").expect("written");
        std::os::unix::fs::symlink(directory.path().join("target"), &path).expect("linked");
    });
    assert_eq!(values(&polled.expect("a line")), ["line"]);
    assert_eq!(context.waiting(), None);
    let access = Access::unrestricted().with_paths([inside]);
    let error = start_within(access, &properties, None)
        .await
        .poll()
        .await
        .expect_err("the link leads out");
    assert!(
        error.to_string().contains("which the worker does not allow"),
        "{error}"
    );
}

#[tokio::test]
async fn a_stream_has_lines_without_offsets() {
    let mut stream = stdin::Stream::new(&b"one\ntwo"[..], 100).expect("a thread");
    let mut found = Vec::new();
    while found.len() < 2 {
        stream.advance().await.expect("bytes");
        while let Some(line) = stream.lines().next().expect("no line is long") {
            found.push(line.bytes);
        }
    }
    assert_eq!(found, ["one", "two"]);
}

#[tokio::test]
async fn altered_offsets_are_judged_as_by_kafka() {
    let file = properties(Path::new("/tmp/a"), &[]);
    let partition = || OffsetMap::new().with(FILENAME, "/tmp/a");
    let at = |position: OffsetValue| Some(OffsetMap::new().with(POSITION, position));
    let connector = FileStreamSourceConnector::default();
    let cases = [
        (vec![(partition(), at(5.into()))], Ok(true)),
        (vec![(OffsetMap::new(), None)], Ok(true)),
        (
            vec![(partition(), at((-1).into()))],
            Err("should be a non-negative value"),
        ),
        (
            vec![(partition(), at("5".into()))],
            Err("is expected to be a Long value"),
        ),
        (
            vec![(partition(), Some(OffsetMap::new()))],
            Err("contain the key 'position'"),
        ),
        (
            vec![(OffsetMap::new(), at(5.into()))],
            Err("should contain the key 'filename'"),
        ),
    ];
    for (offsets, expected) in cases {
        let judged = connector.alter_offsets(&Access::none(), &file, &offsets).await;
        match (judged, expected) {
            (Ok(judged), Ok(expected)) => assert_eq!(judged, expected),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (judged, _) => panic!("{offsets:?}: {judged:?}"),
        }
    }
    let stdin = [("topic".to_owned(), "t".to_owned())].into_iter().collect();
    let error = connector
        .alter_offsets(&Access::none(), &stdin, &[])
        .await
        .expect_err("stdin has no offsets");
    assert!(error.to_string().contains("stdin is used for input"));
    assert_eq!(
        connector.exactly_once_support(&stdin),
        ExactlyOnceSupport::Unsupported
    );
    assert_eq!(
        connector.exactly_once_support(&file),
        ExactlyOnceSupport::Supported
    );
}
