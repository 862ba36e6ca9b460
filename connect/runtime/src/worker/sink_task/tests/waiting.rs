//! What the status of a sink task says that runs and makes no progress (docs/connect-errors.md). Time is virtual.

use forebay_client::consumer::Subscription;

use super::*;

impl Bench {
    /// What the status says beside its state.
    fn says(&self) -> Option<String> {
        let id = TaskId {
            connector: "c".into(),
            task: 0,
        };
        let status = self.context.statuses.task(&id)?;
        assert_eq!(status.state, State::Running, "{:?}", status.trace);
        status.trace
    }

    pub(super) async fn until_says(&self, what: Option<&str>) {
        let deadline = Instant::now() + Duration::from_secs(600);
        let is_so = |said: Option<String>| match (said, what) {
            (None, None) => true,
            (Some(said), Some(what)) => said.starts_with("No progress: ") && said.contains(what),
            _ => false,
        };
        while !is_so(self.says()) {
            assert!(
                !self.running.is_finished(),
                "the task has ended before it says {what:?}"
            );
            assert!(Instant::now() < deadline, "{what:?}: it says {:?}", self.says());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_put_that_is_tried_again_says_so_until_it_works() {
    let bench = Bench::start(1, book(false));
    bench.book().answer(|_, _| Answer::Refuse);
    bench.append(0, 3);
    bench
        .until_says(Some("records of t-0 are put again: the store is away"))
        .await;
    bench.book().answer(|_, _| Answer::Take);
    bench.until_says(None).await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn offsets_that_cannot_be_committed_are_told() {
    let bench = Bench::start(1, book(false));
    bench.append(0, 3);
    bench.until("it runs", |book| !book.puts.is_empty()).await;
    bench.model.faults(|_, request| match request {
        Request::OffsetCommit(_) => Fault::LoseRequest,
        _ => Fault::None,
    });
    bench.append(0, 3);
    bench.until_says(Some("offsets cannot be committed")).await;
    bench.model.faults(|_, _| Fault::None);
    bench.until_says(None).await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn topics_that_are_not_there_are_named() {
    for (keys, says) in [
        (&[("topics", "u,v")][..], "a topic that does not exist: u, v"),
        (&[("topics", ""), ("topics.regex", "u.*")], "topics.regex"),
    ] {
        let bench = Bench::start_with(&[("t", 1)], book(false), keys);
        bench.until_says(Some(says)).await;
        bench.model.create_topic("u", 1);
        bench.until_says(None).await;
        bench.append_to("u", 0, 3);
        bench.until("it reads it", |book| !book.puts.is_empty()).await;
    }
}

/// Such as one whose consumer was given another cluster, which is not there.
#[tokio::test(start_paused = true)]
async fn a_consumer_that_finds_no_group_is_told() {
    let bench = Bench::start_with(&[("t", 1)], book(false), &[]);
    bench.model.faults(|_, request| match request {
        Request::FindCoordinator(_) => Fault::LoseRequest,
        _ => Fault::None,
    });
    bench
        .until_says(Some("its consumer is not in its group yet"))
        .await;
    bench.model.faults(|_, _| Fault::None);
    bench.until_says(None).await;
    bench.append(0, 3);
    bench.until("it reads", |book| !book.puts.is_empty()).await;
}

/// Whoever looks why nothing happens finds the task that there is no partition for.
#[tokio::test(start_paused = true)]
async fn a_task_for_which_others_leave_no_partition_says_so() {
    let bench = Bench::start(1, book(false));
    bench.append(0, 3);
    bench.until("it runs", |book| !book.puts.is_empty()).await;
    // Another task of the connector, which comes before this one.
    let client = bench.model.client(&[]);
    let keys = [
        ("group.id", GROUP),
        ("group.instance.id", "a"),
        ("enable.auto.commit", "false"),
    ];
    let keys = keys.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let mut other = client.consumer(&keys.into()).expect("no property is wrong");
    other.subscribe(Subscription::topics(["t"])).expect("sound");
    let other = tokio::spawn(async move {
        loop {
            // What comes of it is no business of this test.
            let _ = other.poll(Duration::from_secs(1)).await;
        }
    });
    bench
        .until_says(Some("other tasks of its group have all of them"))
        .await;
    other.abort();
    bench.until_says(None).await;
    bench.append(0, 3);
    bench.finish().await;
}
