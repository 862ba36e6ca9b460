//! Whole queries against the client's model cluster.

use std::pin::Pin;
use std::sync::Mutex;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use forebay_client::model::Model;
use forebay_disk::MemoryDisk;
use forebay_protocol::ApiKey;
use forebay_records::Offset;

use super::*;

/// The last result, as words and counts.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<(String, i64)>>>);

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
