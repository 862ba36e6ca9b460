//! Tables on the model cluster.

use std::sync::{Arc, Mutex};

use super::*;
use crate::model::Model;

type Seen = Arc<Mutex<Vec<(Vec<u8>, Option<Vec<u8>>)>>>;

fn options(single_partition: bool) -> Options {
    Options {
        topic: "table".to_owned(),
        partitions: Some(1),
        replication_factor: None,
        single_partition,
        isolation_level: IsolationLevel::ReadCommitted,
        timeout: Duration::from_secs(60),
        delivery_timeout: None,
    }
}

async fn open(model: &Arc<Model>) -> (TopicTable, Seen) {
    let seen = Seen::default();
    let applied = Arc::clone(&seen);
    let apply: Apply = Box::new(move |record| {
        let (key, value) = (&record.record.key, &record.record.value);
        let pair = (
            key.clone().unwrap_or_default().to_vec(),
            value.as_deref().map(<[u8]>::to_vec),
        );
        applied.lock().expect("nobody panics with it").push(pair);
    });
    let table = TopicTable::open(&model.client(&[]), &options(true), apply).await;
    (table.expect("it can be opened"), seen)
}

fn seen(seen: &Seen) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    seen.lock().expect("nobody panics with it").clone()
}

#[tokio::test(start_paused = true)]
async fn what_is_written_is_applied_everywhere_before_the_writer_goes_on() {
    let model = Model::new(1);
    let (first, applied) = open(&model).await;
    let records = [(b"a".to_vec(), Some(b"1".to_vec())), (b"a".to_vec(), None)];
    let written = first.write_and_read(&records, Duration::from_secs(30)).await;
    written.expect("it is written");
    assert_eq!(seen(&applied), records);
    let (second, too) = open(&model).await;
    assert_eq!(seen(&too), records, "opened means read");
    let more = [(b"b".to_vec(), Some(b"2".to_vec()))];
    let written = second.write(&more).await.expect("it is written");
    assert!(written.is_known());
    first.read_to_end().await.expect("it is read");
    assert_eq!(seen(&applied).last(), more.first());
}

#[tokio::test(start_paused = true)]
async fn a_topic_of_several_partitions_has_no_order() {
    let model = Model::new(1);
    model.create_topic("table", 3);
    let nothing = || -> Apply { Box::new(|_| {}) };
    let refused = TopicTable::open(&model.client(&[]), &options(true), nothing()).await;
    assert!(
        matches!(refused, Err(Error::NotOnePartition { partitions: 3 })),
        "{refused:?}"
    );
    let table = TopicTable::open(&model.client(&[]), &options(false), nothing()).await;
    assert_eq!(table.expect("it needs none").applied().borrow().len(), 3);
}
