//! Sinks with transformations.

use super::*;

/// A record that a transformation cannot take goes where those go that a converter cannot; the others of its batch go on, converted
/// although the task would take them raw.
#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_transformed_is_a_dead_letter() {
    let keys = [
        ("transforms", "number"),
        (
            "transforms.number.type",
            "org.apache.kafka.connect.transforms.Cast$Value",
        ),
        ("transforms.number.spec", "int32"),
        ("errors.tolerance", "all"),
        ("errors.deadletterqueue.topic.name", "dead"),
        ("errors.deadletterqueue.context.headers.enable", "true"),
    ];
    let bench = Bench::with(1, book(true), &keys);
    bench.append(0, 3);
    bench.append_bad(0);
    bench.append(0, 2);
    bench.book().answer(|_, batch| {
        let forebay_connect_api::SinkRecords::Converted(records) = &batch.records else {
            panic!("transformations need converted records");
        };
        let is_number = |record: &forebay_connect_api::SinkRecord| {
            record.value.value.as_i64() == Some(record.offset.value())
        };
        assert!(records.iter().all(is_number), "{records:?}");
        Answer::Take
    });
    let model = Arc::clone(&bench.model);
    bench.until("all of it", Book::is_complete).await;
    bench.finish().await;
    assert_eq!(model.values("dead", 0), ["{ bad"]);
    let batches = model.batches("dead", 0);
    let letter = batches[0]
        .records()
        .expect("ours")
        .next()
        .expect("one")
        .expect("ours");
    let header = |name: &str| {
        let key = format!("__connect.errors.{name}");
        let found = letter.headers.iter().find(|header| header.key_text() == key);
        found
            .and_then(|header| header.value)
            .map(|value| String::from_utf8_lossy(value).into_owned())
    };
    for (name, expected) in [
        ("stage", "TRANSFORMATION"),
        ("class.name", "org.apache.kafka.connect.transforms.Cast$Value"),
        (
            "exception.class.name",
            "org.apache.kafka.connect.errors.DataException",
        ),
        (
            "exception.message",
            "Value ({ bad) was out of range for requested data type",
        ),
        ("offset", "3"),
    ] {
        assert_eq!(header(name).as_deref(), Some(expected), "{name}");
    }
}

/// What is filtered is consumed: its offsets are committed, in batches without records.
#[tokio::test(start_paused = true)]
async fn offsets_of_filtered_records_are_committed() {
    let keys = [("transforms", "none"), ("transforms.none.type", "Filter")];
    let bench = Bench::with(1, book(false), &keys);
    bench.model.append("t", 0, &["a", "b", "c"]);
    bench
        .until("an empty batch", |book| {
            book.puts.last().is_some_and(|put| put.2 == 3)
        })
        .await;
    while bench.model.committed(GROUP, "t", 0) != Some(3) {
        assert!(!bench.running.is_finished());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bench.finish().await;
}
