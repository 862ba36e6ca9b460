//! Dead letter queues that cannot be had (faults.md C10): while the cluster has no room the task waits and says why; if the queue may not
//! be made the task fails, and says what to do. Time is virtual.

use super::*;

fn refuse(bench: &Bench, api: ApiKey, code: ErrorCode) {
    bench.model.faults(move |_, request| {
        if request.api_key() == api {
            Fault::Refuse(code)
        } else {
            Fault::None
        }
    });
}

#[tokio::test(start_paused = true)]
async fn a_queue_without_room_holds_the_task_which_says_why() {
    let bench = Bench::with(1, book(false), &TOLERANT);
    bench.append(0, 3);
    bench.until("all of it", Book::is_complete).await;
    refuse(&bench, ApiKey::Produce, ErrorCode::KafkaStorageError);
    bench.append_bad(0);
    bench.append(0, 3);
    bench
        .until_says(Some(
            "the dead letter queue dead takes no letters (cannot produce to dead-0: ",
        ))
        .await;
    bench.until_says(Some("Disk error")).await;
    // As long as it takes.
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(!bench.running.is_finished());
    let committed = bench.model.committed(GROUP, "t", 0);
    assert!(committed.is_none_or(|offset| offset <= 3), "{committed:?}");
    assert!(bench.model.values("dead", 0).is_empty());
    bench.model.faults(|_, _| Fault::None);
    bench.until_says(None).await;
    let model = Arc::clone(&bench.model);
    bench.finish().await;
    assert_eq!(model.values("dead", 0), ["{ bad"]);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_may_not_be_made_fails_the_task_with_cause_and_cure() {
    for (code, is_retriable, says) in [
        (
            ErrorCode::InvalidReplicationFactor,
            false,
            "errors.deadletterqueue.topic.replication.factor",
        ),
        (ErrorCode::PolicyViolation, false, "make the topic yourself"),
        (
            ErrorCode::TopicAuthorizationFailed,
            false,
            "make the topic yourself",
        ),
        (ErrorCode::KafkaStorageError, true, "it is tried again"),
    ] {
        let bench = Bench::with(1, book(false), &TOLERANT);
        refuse(&bench, ApiKey::CreateTopics, code);
        bench.append(0, 3);
        let ended = bench.running.await.expect("it does not panic");
        let Err(Failure::Start(error)) = ended else {
            panic!("{ended:?}");
        };
        let trace = error.trace();
        let kafkas = "Could not initialize dead letter queue with topic=dead";
        for part in [kafkas, says, code.message()] {
            assert!(trace.contains(part), "{part}: {trace}");
        }
        assert_eq!(error.is_retriable(), is_retriable, "{code:?}");
        assert_eq!(bench.model.committed(GROUP, "t", 0), None);
    }
}

/// Who may not make topics may yet write to those that there are.
#[tokio::test(start_paused = true)]
async fn a_queue_that_is_there_is_not_made() {
    let bench = Bench::start_with(
        &[("t", 1), ("dead", 1)],
        book(false),
        &[&TOLERANT[..], &[("topics", "t")]].concat(),
    );
    refuse(&bench, ApiKey::CreateTopics, ErrorCode::TopicAuthorizationFailed);
    bench.append(0, 3);
    bench.append_bad(0);
    let model = Arc::clone(&bench.model);
    bench.finish().await;
    assert_eq!(model.values("dead", 0), ["{ bad"]);
}
