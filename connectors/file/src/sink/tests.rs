use std::{fs, path::Path};

use forebay_connect_api::{
    Access, AssignedPartition, Headers, NO_TIMESTAMP, Offset, Offsets, SchemaAndValue, SinkBatch, SinkRecord,
    SinkRecords, TimestampType, TopicPartition, Value, ValueFormat,
    conformance::{Delivery, SinkContext, SinkSubject, check_sink},
};

use super::*;

fn properties(path: &Path) -> Properties {
    let file = path.to_str().expect("UTF-8").to_owned();
    [("file".to_owned(), file)].into_iter().collect()
}

fn assigned(committed: Option<i64>) -> AssignedPartition {
    AssignedPartition {
        topic_partition: TopicPartition::new("t", 0),
        topic_id: None,
        committed: committed.map(Offset),
        position: Offset(committed.unwrap_or(0)),
        log_start_offset: Offset(0),
        log_end_offset: Offset(100),
    }
}

async fn open(path: &Path, committed: Option<i64>) -> Result<Box<dyn SinkTask>, Error> {
    let mut task = FileStreamSinkConnector::default().task();
    let context = Arc::new(SinkContext::new(Access::unrestricted()));
    task.start(context, &properties(path)).await?;
    task.open(&[assigned(committed)]).await?;
    Ok(task)
}

fn batch(values: Vec<Value>) -> SinkBatch {
    let records = values.into_iter().zip(0..).map(|(value, offset)| SinkRecord {
        topic: "t".into(),
        partition: 0,
        offset: Offset(offset),
        timestamp: NO_TIMESTAMP,
        timestamp_type: TimestampType::CreateTime,
        key: SchemaAndValue::default(),
        value: SchemaAndValue::schemaless(value),
        headers: Headers::new(),
    });
    let records: Vec<SinkRecord> = records.collect();
    SinkBatch {
        topic_partition: TopicPartition::new("t", 0),
        first_offset: Offset(0),
        next_offset: Offset(records.len().try_into().expect("small")),
        records: SinkRecords::Converted(records),
    }
}

#[tokio::test]
async fn the_contract_holds_at_least_once() {
    let mut repeated = 0;
    for seed in 0..12 {
        for delivery in [Delivery::Converted, Delivery::Raw(ValueFormat::String)] {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("out.txt");
            let connector = FileStreamSinkConnector::default();
            let file = path.clone();
            let subject = SinkSubject {
                task: &|| connector.task(),
                properties: properties(&path),
                topic: "t",
                delivery,
                read: &move || {
                    let text = fs::read_to_string(&file).unwrap_or_default();
                    Box::pin(std::future::ready(text.lines().map(String::from).collect()))
                },
                pass_time: &|| {},
                may_repeat: true,
            };
            let report = check_sink(&subject, seed).await.expect("it keeps the contract");
            assert!(report.kills_in_flight > 0, "{report:?}");
            repeated += report.repeated;
        }
    }
    assert!(
        repeated > 0,
        "commits that do not arrive must have repeated some records"
    );
}

#[tokio::test]
async fn lines_are_javas_text() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("out.txt");
    let mut task = open(&path, None).await.expect("opened");
    let map = Value::Map(vec![("a".into(), 1.into())]);
    task.put(&batch(vec!["x".into(), Value::Null, 1.5.into(), map]))
        .await
        .expect("taken");
    assert_eq!(
        fs::read_to_string(&path).expect("it exists"),
        "",
        "gathered, not written"
    );
    let current: Offsets = [(TopicPartition::new("t", 0), Offset(4))].into_iter().collect();
    assert_eq!(task.pre_commit(&current).await.expect("synced"), current);
    assert_eq!(
        fs::read_to_string(&path).expect("it exists"),
        "x\nnull\n1.5\n{a=1}\n"
    );
}

#[tokio::test]
async fn a_torn_line_is_cut_off_if_it_is_ours_and_ended_if_it_may_not_be() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("out.txt");
    let torn = directory.path().join("out.txt.torn");
    let long = "y".repeat(200_000);
    // What is cut off may be somebody's after all: the connector was given another file.
    for (content, committed, expected, kept) in [
        (
            format!("a\nb\n{long}"),
            Some(2),
            "a\nb\nnew\n".to_owned(),
            format!("{long}\n"),
        ),
        (
            "by hand".to_owned(),
            Some(2),
            "new\n".to_owned(),
            format!("{long}\nby hand\n"),
        ),
        (
            format!("a\n{long}"),
            None,
            format!("a\n{long}\nnew\n"),
            format!("{long}\nby hand\n"),
        ),
        (
            "a\n".to_owned(),
            Some(1),
            "a\nnew\n".to_owned(),
            format!("{long}\nby hand\n"),
        ),
    ] {
        fs::write(&path, content).expect("written");
        let mut task = open(&path, committed).await.expect("opened");
        task.put(&batch(vec!["new".into()])).await.expect("taken");
        task.flush(&Offsets::new()).await.expect("synced");
        assert!(
            fs::read_to_string(&path).expect("it exists") == expected,
            "committed {committed:?}"
        );
        assert!(
            fs::read_to_string(&torn).expect("it exists") == kept,
            "committed {committed:?}"
        );
    }
}

#[tokio::test]
async fn a_target_that_is_no_file_or_not_its_own_fails_with_the_reason() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    rustix::fs::mkfifoat(rustix::fs::CWD, path("fifo"), rustix::fs::Mode::RWXU).expect("made");
    for (name, message) in [
        ("fifo", "is a FIFO;"),
        (".", "is a directory;"),
        ("none/out", "its directory does not exist"),
    ] {
        let error = open(&path(name), None).await.err().expect(name);
        assert!(
            error.to_string().contains(message) && !error.is_retriable(),
            "{error}"
        );
    }

    let mut first = open(&path("out"), None).await.expect("opened");
    let error = open(&path("out"), None).await.err().expect("it is locked");
    assert!(error.is_retriable(), "{error}");

    first.put(&batch(vec!["a".into()])).await.expect("taken");
    fs::rename(path("out"), path("moved")).expect("renamed");
    let error = first
        .flush(&Offsets::new())
        .await
        .expect_err("its file went away");
    assert!(error.to_string().contains("was removed or replaced"), "{error}");
    first
        .flush(&Offsets::new())
        .await
        .expect_err("a failed task lets nothing be committed");
}
