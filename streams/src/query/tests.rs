//! Whole queries against the client's model cluster.

use std::pin::Pin;
use std::sync::Mutex;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use forebay_client::model::{Fault, Model};
use forebay_disk::MemoryDisk;
use forebay_protocol::{ApiKey, ErrorCode, Request};
use forebay_records::Offset;

use super::*;

/// The last result, as words and counts.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<(String, i64)>>>);

impl Shown {
    fn is_empty(&self) -> bool {
        self.0.lock().expect("no panic").is_empty()
    }
}

impl Sink for Shown {
    fn write<'a>(
        &'a mut self,
        _: u64,
        rows: &'a RecordBatch,
    ) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>> {
        let words = rows.column(0).as_binary::<i32>().iter();
        let words = words.map(|word| String::from_utf8_lossy(word.expect("a word")).into_owned());
        let counts = rows
            .column(1)
            .as_primitive::<Int64Type>()
            .values()
            .iter()
            .copied();
        let mut shown: Vec<_> = words.zip(counts).collect();
        shown.sort();
        *self.0.lock().expect("no panic") = shown;
        Box::pin(std::future::ready(Ok(())))
    }
}

async fn open(model: &Arc<Model>, disk: &Arc<dyn Disk>, shown: &Shown) -> Query {
    let options = QueryOptions {
        topic: "t".to_owned(),
        starting_offsets: StartingOffsets::Earliest,
        trigger: Trigger::AvailableNow,
        max_offsets_per_trigger: u64::MAX,
        checkpoint_location: PathBuf::from("/checkpoint"),
    };
    let sink = Box::new(shown.clone());
    let opened = Query::open(&model.client(&[]), Arc::clone(disk), options, sink).await;
    opened.expect("opened")
}

/// A query that runs on while the topic, which has these lines, is made anew.
async fn over(model: &Arc<Model>, lines: &[&str], shown: &Shown) -> Query {
    model.remove_api(ApiKey::DescribeTopicPartitions);
    model.create_topic("t", 1);
    model.append("t", 0, lines);
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let mut query = open(model, &disk, shown).await;
    query.options.trigger = Trigger::ProcessingTime(Duration::from_millis(100));
    query
}

/// What the query fails with while `meanwhile` goes on.
async fn failure(query: Query, meanwhile: impl Future<Output = ()>) -> Error {
    let run = query.run(std::future::pending());
    let both = async { tokio::join!(run, meanwhile).0 };
    let ended = tokio::time::timeout(Duration::from_secs(600), both).await;
    ended.expect("it ends").expect_err("it cannot go on")
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn run(query: Query) {
    query.run(std::future::pending()).await.expect("it ends");
}

#[tokio::test(start_paused = true)]
async fn a_planned_partition_that_no_snapshot_knows_begins_where_the_plan_says() {
    let model = Model::new(1);
    model.remove_api(ApiKey::DescribeTopicPartitions);
    model.create_topic("t", 1);
    model.append("t", 0, &["a b"]);
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let shown = Shown::default();
    run(open(&model, &disk, &shown).await).await;
    // A partition is added, and retention has taken its beginning away before the query sees it.
    model.add_partition("t");
    for word in ["gone", "gone", "b", "c"] {
        model.append("t", 1, &[word]);
    }
    model.delete_records("t", 1, Offset(2));
    model.append("t", 0, &["a"]);
    let mut query = open(&model, &disk, &shown).await;
    let plan = query
        .next_plan(None)
        .await
        .expect("no error")
        .expect("there is more");
    assert_eq!(plan.start, [(0, Offset(1)), (1, Offset(2))].into());
    // Killed after the plan is on disk; what comes meanwhile belongs to the next one.
    drop(query);
    model.append("t", 1, &["later"]);
    run(open(&model, &disk, &shown).await).await;
    let expected = [("a", 2), ("b", 2), ("c", 1), ("later", 1)];
    let expected = expected.map(|(word, count)| (word.to_owned(), count));
    assert_eq!(*shown.0.lock().expect("no panic"), expected);
}

#[tokio::test(start_paused = true)]
async fn a_topic_made_anew_that_is_longer_already_is_not_counted_into_the_old_ones_state() {
    let (model, shown) = (Model::new(1), Shown::default());
    let query = over(&model, &["old old", "old"], &shown).await;
    let error = failure(query, async {
        until(|| !shown.is_empty()).await;
        model.create_topic("t", 1);
        model.append("t", 0, &["new"; 10]);
    });
    let error = error.await;
    assert!(matches!(error, Error::OtherTopic { .. }), "{error}");
    assert_eq!(*shown.0.lock().expect("no panic"), [("old".to_owned(), 3)]);
}

#[tokio::test(start_paused = true)]
async fn a_topic_made_anew_after_the_plan_is_neither_counted_nor_waited_for() {
    for new_records in [1, 10] {
        let (model, shown) = (Model::new(1), Shown::default());
        let query = over(&model, &["old"; 3], &shown).await;
        // The plan is made, and nothing can be read.
        model.faults(|_, request| match request {
            Request::Fetch(_) => Fault::Refuse(ErrorCode::NotLeaderOrFollower),
            _ => Fault::None,
        });
        let error = failure(query, async {
            until(|| model.count(ApiKey::Fetch) > 0).await;
            model.create_topic("t", 1);
            model.append("t", 0, &vec!["new"; new_records]);
            model.faults(|_, _| Fault::None);
        });
        let error = error.await;
        assert!(matches!(error, Error::OtherTopic { .. }), "{error}");
        assert!(shown.is_empty(), "{new_records}");
    }
}
