//! Topics that come and go while members have them.

use super::*;

#[tokio::test(start_paused = true)]
async fn new_topics_and_partitions_are_noticed() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    let pairs = [("metadata.max.age.ms", "1000")];
    let mut members = vec![member(&model, &pairs)];
    members[0]
        .subscribe(Subscription::matching(|topic| topic.starts_with('t')))
        .expect("a group");
    poll_until(&mut members, |members| shares(members) == [1]).await;
    model.create_topic("t2", 2);
    model.create_topic("other", 2);
    poll_until(&mut members, |members| shares(members) == [3]).await;
    model.change(|state| {
        let partitions = &mut state.topics.get_mut("t").expect("it exists").partitions;
        partitions.push(crate::model::PartitionState::new(NodeId(1)));
    });
    poll_until(&mut members, |members| shares(members) == [4]).await;
    members[0].unsubscribe().await;
    assert!(members[0].assignment().is_empty() && model.lock().member_ids("g").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_deleted_topic_matches_no_more() {
    // Whether somebody notices that it is gone, by fetching it, or only the next rebalance can.
    for fetches in [true, false] {
        let model = Model::new(1);
        model.create_topic("t", 1);
        model.create_topic("t2", 2);
        let mut members = vec![member(&model, &[])];
        members[0]
            .subscribe(Subscription::matching(|topic| topic.starts_with('t')).with_events())
            .expect("a group");
        poll_until(&mut members, |members| shares(members) == [3]).await;
        if !fetches {
            let all = members[0].assignment();
            members[0].pause(&all).expect("assigned");
            let started = Instant::now();
            poll_until(&mut members, |_| started.elapsed() > SECOND * 2).await;
        }
        members[0].take_events();
        model.delete_topic("t2");
        if !fetches {
            model.create_topic("t3", 4);
            model.rebalance("g");
        }
        let started = Instant::now();
        let expected = if fetches { 1 } else { 5 };
        poll_until(&mut members, |members| shares(members) == [expected]).await;
        assert!(started.elapsed() < SECOND * 10, "{:?}", started.elapsed());
        let gone = |partition: &TopicPartition| *partition.topic == *"t2";
        assert!(!members[0].assignment().iter().any(gone));
        let given = members[0]
            .take_events()
            .into_iter()
            .filter_map(|event| match event {
                RebalanceEvent::Assigned(partitions) => Some(partitions),
                _ => None,
            });
        assert!(
            !given.flatten().any(|partition| gone(&partition)),
            "not even for a moment"
        );
        model.append("t", 0, &["read on"]);
        let read = |members: &[Consumer]| {
            let positions = members[0].positions();
            positions
                .get(&partition(0))
                .is_some_and(|position| position.offset == Offset(1))
        };
        assert_eq!(poll_until(&mut members, read).await, ["read on"]);
        let asked = model.count(ApiKey::Metadata);
        let started = Instant::now();
        poll_until(&mut members, |_| started.elapsed() > SECOND * 30).await;
        assert!(model.count(ApiKey::Metadata) - asked < 3, "nothing is missing");
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_is_found_soon_whoever_wants_it() {
    /// What makes it wanted, and whether the topic is there before.
    type Case = (&'static str, fn(&Arc<Model>, &mut Vec<Consumer>), bool);
    let again: fn(&Arc<Model>, &mut Vec<Consumer>) = |_, members| {
        members[0]
            .subscribe(Subscription::topics(["t", "u"]))
            .expect("a group");
    };
    let another: fn(&Arc<Model>, &mut Vec<Consumer>) = |model, members| {
        let mut other = member(model, &[]);
        other.subscribe(Subscription::topics(["u"])).expect("a group");
        members.push(other);
    };
    let cases: [Case; 4] = [
        ("subscribed later, exists", again, true),
        ("subscribed later, comes later", again, false),
        ("another member, exists", another, true),
        ("another member, comes later", another, false),
    ];
    for (name, want, exists) in cases {
        for refusal in [ErrorCode::UnknownTopicOrPartition, ErrorCode::LeaderNotAvailable] {
            let model = Model::new(1);
            model.create_topic("t", 1);
            if exists {
                model.create_topic("u", 1);
            } else {
                model.change(|state| state.topic_errors.insert("u".to_owned(), refusal));
            }
            let mut members = vec![member(&model, &[])];
            poll_until(&mut members, |members| shares(members) == [1]).await;
            want(&model, &mut members);
            if !exists {
                let started = Instant::now();
                poll_until(&mut members, |_| started.elapsed() > Duration::from_secs(30)).await;
                model.create_topic("u", 1);
                model.change(|state| state.topic_errors.clear());
            }
            let started = Instant::now();
            poll_until(&mut members, |members| shares(members).iter().sum::<usize>() == 2).await;
            let took = started.elapsed();
            assert!(took < Duration::from_secs(5), "{name}, {refusal}: {took:?}");
            assert!(
                model.count(ApiKey::Metadata) < 100,
                "{name}: not looked for all the time"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_consumer_may_come_before_its_topic() {
    let model = Model::new(1);
    let mut members = vec![member(&model, &[])];
    for _ in 0..30 {
        assert!(members[0].poll(SECOND).await.expect("no error").is_empty());
    }
    assert!(
        model.count(ApiKey::Metadata) < 60,
        "it is not looked for all the time"
    );
    model.create_topic("t", 1);
    model.append("t", 0, &["first"]);
    let started = Instant::now();
    let read = |members: &[Consumer]| {
        members[0]
            .positions()
            .values()
            .any(|value| value.offset == Offset(1))
    };
    assert_eq!(poll_until(&mut members, read).await, ["first"]);
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}
