//! What a task's predecessor, and the task itself, have left where it begins or ends.

use std::sync::atomic::{AtomicBool, Ordering};

use super::super::super::partitions::for_client;
use super::*;

/// Longer than one attempt to open a partition may take.
const AWAY: Duration = Duration::from_secs(180);

/// A task that stood between its offset commit and its transaction's end when another took its partition over: what it has stored does
/// not come again.
#[tokio::test(start_paused = true)]
async fn what_a_predecessor_commits_until_it_is_fenced_is_not_missed() {
    let mut two = Two::new();
    two.append(5);
    let client = two.model.client(&[]);
    let keys = |keys: &[(&str, &str)]| -> Properties {
        let keys = keys.iter();
        keys.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    let member = client.consumer(&keys(&[("group.id", GROUP), ("enable.auto.commit", "false")]));
    let mut member = member.expect("sound");
    member
        .subscribe(Subscription::topics(["t"]))
        .expect("it has a group");
    while member.assignment().is_empty() {
        member.poll_batches(POLL_MAX).await.expect("it joins");
    }
    let producer = client.producer(&keys(&[("transactional.id", "connect-c/t-0")]));
    let producer = producer.expect("sound");
    producer.init_transactions().await.expect("begun");
    producer.begin_transaction().expect("begun");
    let offsets = [(for_client(&partition(0)), Offset(5).into())].into();
    let group = member.group_metadata().expect("it is in its group");
    let sent = producer.send_offsets_to_transaction(&offsets, &group).await;
    sent.expect("it is a member");
    two.model.expire_members(GROUP);
    // Nobody is fenced before it has ended.
    let (is_over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (over, fences) = (Arc::clone(&is_over), Arc::clone(&asked));
    two.model.faults(move |_, request: &Request| {
        let is_fence = request.api_key() == ApiKey::InitProducerId;
        fences.fetch_or(is_fence, Ordering::AcqRel);
        match is_fence && !over.load(Ordering::Acquire) {
            true => Fault::LoseRequest,
            false => Fault::None,
        }
    });
    two.append(4);
    two.start(0);
    two.until("it wants to fence", |_| asked.load(Ordering::Acquire))
        .await;
    producer.commit_transaction().await.expect("it is not fenced yet");
    is_over.store(true, Ordering::Release);
    two.until("the rest is stored", |two| {
        two.model.committed(GROUP, "t", 0) == Some(9)
    })
    .await;
    assert_eq!(two.stored(), [5, 6, 7, 8]);
    let (command, running) = two.running.remove(0);
    command.send_replace(Command::Stop);
    running.await.expect("it does not panic").expect("it ends well");
}

/// Offsets go with intents, and not again without them; and what is closed is not spoken of.
#[tokio::test(start_paused = true)]
async fn a_task_that_says_intents_commits_by_them_alone_and_no_more_when_it_is_closed() {
    let mut two = Two::new();
    two.start(0);
    for end in [5, 10, 15] {
        two.append(5);
        two.until("all is committed", |two| {
            two.model.committed(GROUP, "t", 0) == Some(end)
        })
        .await;
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(two.model.count(ApiKey::OffsetCommit), 0);
    let (command, running) = two.running.remove(0);
    command.send_replace(Command::Stop);
    running.await.expect("it does not panic").expect("it ends well");
    let context = two.shelf().context.clone().expect("it was started");
    let intents = context.intents().expect("offered");
    let before = two.model.count(ApiKey::TxnOffsetCommit);
    let said = intents.done(&partition(0), &[], Offset(0)).await;
    assert!(said.expect_err("it was closed").is_retriable());
    assert_eq!(two.model.count(ApiKey::TxnOffsetCommit), before);
}

/// Without them nothing is known of what a predecessor has begun.
#[tokio::test(start_paused = true)]
async fn intents_that_cannot_be_read_are_waited_for() {
    let mut two = Two::new();
    two.append(5);
    two.hold(0, Gate::Object);
    two.start(0);
    two.until("the first is held", |two| two.shelf().is_held).await;
    let (_command, killed) = two.running.remove(0);
    killed.abort();
    let _ = killed.await;
    let back = Instant::now() + AWAY;
    two.model.faults(move |_, request| match request.api_key() {
        ApiKey::Fetch if Instant::now() < back => Fault::LoseRequest,
        _ => Fault::None,
    });
    two.append(4);
    two.start(0);
    two.until("it goes on", |two| two.model.committed(GROUP, "t", 0) == Some(9))
        .await;
    assert!(Instant::now() >= back);
    assert_eq!(two.shelf().outstanding_seen, 1);
    two.finish().await;
}

/// The same when the partition is opened again, by when the worker has read the topic once.
#[tokio::test(start_paused = true)]
async fn a_task_waits_for_its_own_intents_to_be_read_before_it_opens_a_partition_anew() {
    let mut two = Two::new();
    two.append(5);
    two.hold(0, Gate::Done);
    let mut ends = 0;
    let mut back = None;
    two.model.faults(move |_, request| match request.api_key() {
        ApiKey::EndTxn => {
            ends += 1;
            back.get_or_insert_with(|| Instant::now() + AWAY);
            match ends {
                // Its object is there, and it cannot say so.
                2 => Fault::Refuse(ErrorCode::InvalidProducerEpoch),
                _ => Fault::None,
            }
        }
        ApiKey::Fetch if back.is_some_and(|back| Instant::now() < back) => Fault::LoseRequest,
        _ => Fault::None,
    });
    two.start(0);
    two.until("it is held", |two| two.shelf().is_held).await;
    two.append(4);
    two.release.send_replace(true);
    two.until("it goes on", |two| two.model.committed(GROUP, "t", 0) == Some(9))
        .await;
    assert_eq!(two.shelf().outstanding_seen, 1);
    two.finish().await;
}
