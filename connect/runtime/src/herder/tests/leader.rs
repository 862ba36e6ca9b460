//! Who leads, who did, and what they write.

use super::*;

fn classes(model: &Model) -> usize {
    let values = model.committed_values(CONFIGS, 0);
    values
        .iter()
        .filter(|value| value.contains("connector.class"))
        .count()
}

/// Finding 5 of the review of 22 November: what a leader writes that was deposed, and does not know yet. Time is virtual.
/// `FOREBAY_TEST_BREAK=fence` runs it without the fence, and it must fail.
#[tokio::test(start_paused = true)]
async fn what_a_deposed_leader_writes_late_is_refused() {
    let is_broken = std::env::var("FOREBAY_TEST_BREAK").as_deref() == Ok("fence");
    let supports = if is_broken {
        ["disabled"; 2]
    } else {
        ["enabled", "preparing"]
    };
    for support in supports {
        let model = Model::new(1);
        let client = model.client(&[]);
        let herder = worker_with(&client, &[("exactly.once.source.support", support)], idle()).await;
        until(&herder, "it gives its key", |state| state.session_key().is_some()).await;
        // As the worker does that is elected next, of Kafka's or ours.
        let keys = [("transactional.id", "connect-cluster-connect-cluster")];
        let successor = client.producer(&keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        let successor = successor.expect("no property is wrong");
        successor.init_transactions().await.expect("the model has them");
        assert!(herder.cluster.group().leads(), "it does not know");
        let generation = herder
            .cluster
            .group()
            .view()
            .expect("it is in a group")
            .generation;
        let refused = put(&herder, "Idle").await.expect_err("it was deposed");
        assert!(
            refused.to_string().starts_with("Failed to write to config topic"),
            "{refused}"
        );
        assert_eq!(classes(&model), 0);
        // It has to be elected again.
        let mut view = herder.cluster.group().watch().expect("it is in a group");
        let elected = view.wait_for(|view| view.generation > generation && !view.is_rebalancing);
        tokio::time::timeout(PATIENCE, elected)
            .await
            .expect("it joins again")
            .expect("it is told");
        create(&herder).await;
        assert_eq!(classes(&model), 1);
        successor.begin_transaction().expect("it knows of nothing");
        let late = ProducerRecord::new(CONFIGS, Some(b"connector-late"), Some(b"{}"));
        drop(successor.send(late).await.expect("there is room"));
        assert!(
            successor.commit_transaction().await.is_err(),
            "now it is the one that is late"
        );
        herder.stop().await;
    }
}

/// A leader that stalls between its election and its first write takes the right to write from its successor; it finds out before it writes.
#[tokio::test(start_paused = true)]
async fn who_is_no_member_any_more_does_not_lead() {
    let model = Model::new(1);
    let herder = worker(&model.client(&[])).await;
    until(&herder, "it gives its key", |state| state.session_key().is_some()).await;
    let generation = herder
        .cluster
        .group()
        .view()
        .expect("it is in a group")
        .generation;
    let member = herder.context.session.clone();
    member.confirm(generation).await.expect("nothing has happened");
    model.expire_members("connect-cluster");
    assert!(member.confirm(generation).await.is_err());
    herder.stop().await;
}

/// Finding 11 of the review of 22 November: they joined all the time. Time is virtual.
#[tokio::test(start_paused = true)]
async fn workers_of_two_config_topics_join_with_pauses() {
    const JOINS_MAX: usize = 500;
    let model = Model::new(1);
    let client = model.client(&[]);
    let first = worker(&client).await;
    create(&first).await;
    until_owned(&first, 2).await;
    // If they do without pauses, time stands still.
    let mut joins = 0;
    model.faults(move |_, request| {
        joins += usize::from(matches!(request, Request::JoinGroup(_) | Request::ListOffsets(_)));
        if joins > JOINS_MAX {
            Fault::Hang
        } else {
            Fault::None
        }
    });
    let count = |model: &Model| model.count(ApiKey::JoinGroup) + model.count(ApiKey::ListOffsets);
    let before = count(&model);
    let second = worker_with(&client, &[("config.storage.topic", "other")], idle()).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let joins = count(&model) - before;
    assert!((10..JOINS_MAX).contains(&joins), "{joins}");
    model.faults(|_, _| Fault::None);
    second.stop().await;
    until_owned(&first, 2).await;
    first.stop().await;
}
