//! Rebalances, seeks and commits of an instance, against the client's model cluster.

use forebay_client::consumer::ConsumerRecord;
use forebay_client::model::{Fault, Model};
use forebay_protocol::{ApiKey, Request, TopicPartition};

use super::*;

const GROUP: &str = "g";

fn instance(model: &Arc<Model>, reset: &str) -> Instance {
    let properties = [
        ("group.id", GROUP),
        ("enable.auto.commit", "false"),
        ("auto.offset.reset", reset),
    ];
    let properties = properties.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let consumer = model
        .client(&[])
        .consumer(&properties.into())
        .expect("a consumer");
    Instance::new(consumer, Format::Binary, true)
}

fn limits(bytes_max: u64) -> ReadLimits {
    ReadLimits {
        timeout: Duration::from_secs(1),
        bytes_max,
        bytes_min: 1,
    }
}

fn work_of(instance: &mut Instance) -> &mut Work {
    instance.work.get_mut().as_mut().expect("it has not been closed")
}

async fn subscribed(model: &Arc<Model>, reset: &str) -> Instance {
    let mut instance = instance(model, reset);
    let work = work_of(&mut instance);
    work.subscribe(vec!["t".to_owned()]).await.expect("subscribed");
    instance
}

/// A test that waits for what does not come fails.
async fn within(test: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(120), test)
        .await
        .expect("it comes to an end");
}

/// What one read shows.
async fn read(work: &mut Work, bytes_max: u64) -> Vec<String> {
    let count = work.fill(limits(bytes_max)).await.expect("filled");
    let value = |record: &ConsumerRecord| {
        String::from_utf8(record.record.value.clone().expect("a value").to_vec()).expect("text")
    };
    let shown = work.fetched(count).map(value).collect();
    work.give(count).await;
    shown
}

/// Another member takes a part of the partitions, while the instance goes on fetching and shows nothing.
async fn rebalance(model: &Arc<Model>, work: &mut Work) -> Instance {
    let mut other = subscribed(model, "earliest").await;
    let before = work.consumer.assignment().len();
    let more = ReadLimits {
        bytes_min: 1000,
        ..limits(1000)
    };
    while work.consumer.assignment().len() == before || work_of(&mut other).consumer.assignment().is_empty() {
        let (own, others) = tokio::join!(work.fill(more), work_of(&mut other).fill(more));
        own.expect("filled");
        others.expect("filled");
    }
    other
}

fn committed(model: &Model) -> [Option<i64>; 2] {
    [0, 1].map(|partition| model.committed(GROUP, "t", partition))
}

#[tokio::test(start_paused = true)]
async fn what_was_shown_is_committed_before_another_member_gets_the_partition() {
    within(async {
        let model = Model::new(1);
        model.create_topic("t", 2);
        for partition in [0, 1] {
            model.append("t", partition, &["a", "b", "c"]);
        }
        let mut instance = subscribed(&model, "earliest").await;
        let work = work_of(&mut instance);
        let mut shown = Vec::new();
        while shown.len() < 4 {
            shown.extend(read(work, 1).await);
        }
        assert_eq!(committed(&model), [None, None], "the interval has not passed");
        let mut other = rebalance(&model, work).await;
        let [first, second] =
            committed(&model).map(|offset| usize::try_from(offset.unwrap_or(0)).expect("small"));
        assert_eq!(first + second, 4, "all that was shown, and no more");
        while shown.len() < 6 {
            shown.extend(read(work, 1).await);
            shown.extend(read(work_of(&mut other), 1).await);
        }
        shown.sort();
        assert_eq!(shown, ["a", "a", "b", "b", "c", "c"], "each once");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_came_after_the_first_read_is_not_lost_to_a_rebalance() {
    within(async {
        let model = Model::new(1);
        model.create_topic("t", 2);
        let mut instance = subscribed(&model, "latest").await;
        let work = work_of(&mut instance);
        assert!(read(work, 1).await.is_empty(), "nothing yet, from here on");
        for partition in [0, 1] {
            model.append("t", partition, &["a", "b"]);
        }
        // Fetched, not shown.
        assert_eq!(work.fill(limits(1)).await.expect("filled"), 1);
        let mut other = rebalance(&model, work).await;
        assert!(
            committed(&model).contains(&Some(0)),
            "the partition that was given up begins where this member stood"
        );
        let mut shown = Vec::new();
        while shown.len() < 4 {
            shown.extend(read(work, 1).await);
            shown.extend(read(work_of(&mut other), 1).await);
        }
        shown.sort();
        assert_eq!(shown, ["a", "a", "b", "b"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_goes_away_does_not_keep_the_commit_from_happening() {
    within(async {
        let model = Model::new(1);
        model.create_topic("t", 2);
        for partition in [0, 1] {
            model.append("t", partition, &["a"]);
        }
        let mut instance = subscribed(&model, "earliest").await;
        let work = work_of(&mut instance);
        while read(work, 1).await.is_empty() {}
        while read(work, 1).await.is_empty() {}
        let mut hung = false;
        model.faults(move |_, request| {
            if matches!(request, Request::OffsetCommit(_)) && !std::mem::replace(&mut hung, true) {
                Fault::LoseRequest
            } else {
                Fault::None
            }
        });
        let mut other = subscribed(&model, "earliest").await;
        let others = tokio::spawn(async move {
            while work_of(&mut other).consumer.assignment().is_empty() {
                work_of(&mut other).fill(limits(1)).await.expect("filled");
            }
        });
        // Each read is dropped at once: in the middle of the commit, too.
        for _ in 0..1000 {
            if model.count(ApiKey::OffsetCommit) > 0 {
                break;
            }
            drop(tokio::time::timeout(Duration::from_millis(3), work.fill(limits(1))).await);
        }
        drop(tokio::time::timeout(Duration::from_millis(1), work.fill(limits(1))).await);
        while !others.is_finished() {
            work.fill(limits(1)).await.expect("filled");
        }
        assert!(committed(&model).contains(&Some(1)), "{:?}", committed(&model));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_was_shown_is_committed_before_the_subscription_changes_or_ends() {
    within(async {
        let model = Model::new(1);
        model.create_topic("t", 1);
        model.create_topic("u", 1);
        model.append("t", 0, &["a", "b", "c", "d"]);
        let mut instance = subscribed(&model, "earliest").await;
        let work = work_of(&mut instance);
        while read(work, 1).await.is_empty() {}
        work.subscribe(vec!["t".to_owned(), "u".to_owned()])
            .await
            .expect("subscribed");
        assert_eq!(model.committed(GROUP, "t", 0), Some(1), "subscribe");
        while read(work, 1).await.is_empty() {}
        work.unsubscribe().await.expect("unsubscribed");
        assert_eq!(model.committed(GROUP, "t", 0), Some(2), "unsubscribe");
        work.assign(vec![TopicPartition::new("t", 0)])
            .await
            .expect("assigned");
        while read(work, 1).await.is_empty() {}
        work.assign(vec![TopicPartition::new("u", 0)])
            .await
            .expect("assigned");
        assert_eq!(model.committed(GROUP, "t", 0), Some(3), "assign");
        work.assign(vec![TopicPartition::new("t", 0)])
            .await
            .expect("assigned");
        while read(work, 1).await.is_empty() {}
        close(Arc::new(instance)).await;
        assert_eq!(model.committed(GROUP, "t", 0), Some(4), "close");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_seek_without_partitions_forgets_what_was_fetched_of_all() {
    within(async {
        let model = Model::new(1);
        model.create_topic("t", 2);
        for partition in [0, 1] {
            model.append("t", partition, &["a", "b"]);
        }
        let mut instance = instance(&model, "earliest");
        let work = work_of(&mut instance);
        work.assign([0, 1].map(|partition| TopicPartition::new("t", partition)).into())
            .await
            .expect("assigned");
        while read(work, 1).await.is_empty() {}
        work.seek_to(&[], Consumer::seek_to_end).expect("sought");
        assert!(read(work, 1).await.is_empty(), "nothing old is shown");
        work.commit_given().await.expect("committed");
        assert_eq!(committed(&model), [None, None], "nothing old is committed");
        work.seek_to(&[], Consumer::seek_to_beginning).expect("sought");
        let mut shown = Vec::new();
        while shown.len() < 4 {
            shown.extend(read(work, 1).await);
        }
        shown.sort();
        assert_eq!(shown, ["a", "a", "b", "b"]);
        // All or none.
        let unknown = [TopicPartition::new("t", 0), TopicPartition::new("x", 0)];
        work.seek_to(&unknown, Consumer::seek_to_beginning)
            .expect_err("one of them is not assigned");
        assert!(read(work, 1).await.is_empty());
    })
    .await;
}

/// Two requests that make an instance of one name at once, and one that is reading while another deletes.
#[tokio::test(start_paused = true)]
async fn one_name_is_one_instance_and_whoever_deletes_it_leaves_the_group() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    let instances = Instances::new(2, Duration::from_secs(60));
    let id = (GROUP.to_owned(), "me".to_owned());
    instances
        .add(id.clone(), subscribed(&model, "earliest").await)
        .expect("it is new");
    assert!(matches!(
        instances.add(id.clone(), instance(&model, "earliest")),
        Err(Error::InstanceExists)
    ));
    let reading = instances.get(&id).expect("it is there");
    let mut work = reading.work().await.expect("it is there");
    while work.consumer.assignment().is_empty() {
        work.fill(limits(1)).await.expect("filled");
    }
    drop(work);
    within(async { instances.remove(&id).await.expect("it is there") }).await;
    assert_eq!(model.count(ApiKey::LeaveGroup), 1);
    assert!(matches!(reading.work().await, Err(Error::InstanceNotFound)));
    instances
        .add(id, instance(&model, "earliest"))
        .expect("the name is free");
}
