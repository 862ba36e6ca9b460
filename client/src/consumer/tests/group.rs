//! Members of a group against the model's coordinator.

mod topics;

use proptest::prelude::*;

use super::*;

fn member(model: &Arc<Model>, pairs: &[(&str, &str)]) -> Consumer {
    let mut all = vec![("group.id", "g"), ("enable.auto.commit", "false")];
    all.extend_from_slice(pairs);
    let mut consumer = earliest(model, &all);
    consumer.subscribe(Subscription::topics(["t"])).expect("a group");
    consumer
}

/// Polls all members side by side until `done` or a minute is over.
async fn poll_until(members: &mut [Consumer], done: impl Fn(&[Consumer]) -> bool) -> Vec<String> {
    let mut seen = Vec::new();
    let started = Instant::now();
    while !done(members) && started.elapsed() < Duration::from_secs(60) {
        for member in &mut *members {
            let records = member.poll(Duration::from_millis(20)).await.expect("no error");
            seen.extend(records.iter().map(text));
        }
    }
    assert!(
        done(members),
        "{:?}",
        members.iter().map(Consumer::assignment).collect::<Vec<_>>()
    );
    seen
}

fn shares(members: &[Consumer]) -> Vec<usize> {
    members.iter().map(|member| member.assignment().len()).collect()
}

fn is_shared_out(members: &[Consumer], partitions: usize) -> bool {
    let all: BTreeSet<TopicPartition> = members.iter().flat_map(Consumer::assignment).collect();
    let shares = shares(members);
    all.len() == partitions
        && shares.iter().sum::<usize>() == partitions
        && shares.iter().all(|share| *share > 0)
}

#[tokio::test(start_paused = true)]
async fn members_share_the_partitions_in_every_way() {
    for strategy in [
        "range",
        "roundrobin",
        "sticky",
        "cooperative-sticky",
        "range,cooperative-sticky",
    ] {
        let model = Model::new(2);
        model.create_topic("t", 6);
        let pairs = [("partition.assignment.strategy", strategy)];
        let mut members = vec![member(&model, &pairs)];
        poll_until(&mut members, |members| shares(members) == [6]).await;
        members.push(member(&model, &pairs));
        members.push(member(&model, &pairs));
        poll_until(&mut members, |members| {
            shares(members) == [2, 2, 2] && is_shared_out(members, 6)
        })
        .await;
        members.remove(0).close().await.expect("closed");
        poll_until(&mut members, |members| {
            shares(members) == [3, 3] && is_shared_out(members, 6)
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn cooperative_members_read_on_while_others_join() {
    let model = Model::new(1);
    model.create_topic("t", 4);
    let pairs = [("partition.assignment.strategy", "cooperative-sticky")];
    let mut members = vec![member(&model, &pairs)];
    poll_until(&mut members, |members| shares(members) == [4]).await;
    let before = members[0].assignment();
    members.push(member(&model, &pairs));
    let started = Instant::now();
    while !is_shared_out(&members, 4) && started.elapsed() < Duration::from_secs(60) {
        for member in &mut members {
            member.poll(Duration::from_millis(10)).await.expect("no error");
        }
        assert!(
            members[0].assignment().len() >= 2,
            "it never gives up more than it has to"
        );
    }
    assert!(is_shared_out(&members, 4));
    assert!(
        members[0]
            .assignment()
            .iter()
            .all(|partition| before.contains(partition))
    );
}

#[tokio::test(start_paused = true)]
async fn events_come_before_they_take_effect() {
    let model = Model::new(1);
    model.create_topic("t", 2);
    model.append("t", 0, &["a"]);
    model.append("t", 1, &["b"]);
    let mut first = member(&model, &[]);
    first
        .subscribe(Subscription::topics(["t"]).with_events())
        .expect("a group");
    let mut events = Vec::new();
    while events.is_empty() {
        assert!(
            first.poll(SECOND).await.expect("no error").is_empty(),
            "the event comes first"
        );
        events = first.take_events();
    }
    assert_eq!(
        events,
        [RebalanceEvent::Assigned(vec![partition(0), partition(1)])]
    );
    first
        .seek(&partition(1), Offset(1))
        .expect("assigned, and not yet read");
    assert_eq!(drain(&mut first).await, [(0, "a".to_owned())]);

    model.change(|state| state.rebalance("g"));
    while first.take_events().is_empty() {
        first.poll(SECOND * 10).await.expect("no error");
    }
    assert_eq!(
        first.assignment().len(),
        2,
        "told, but not given up before the next poll"
    );
    first
        .commit_positions()
        .await
        .expect("the generation still holds");
    assert_eq!(model.lock().committed("g", "t", 0), Some(1));
    let mut again = Vec::new();
    while again.is_empty() {
        first.poll(SECOND).await.expect("no error");
        again = first.take_events();
    }
    assert_eq!(
        again,
        [RebalanceEvent::Assigned(vec![partition(0), partition(1)])]
    );

    let id = first.group_metadata().expect("a group").member_id;
    model.change(|state| state.expire_member("g", &id));
    let mut lost = Vec::new();
    while lost.is_empty() {
        first.poll(SECOND * 10).await.expect("no error");
        lost = first.take_events();
    }
    assert_eq!(lost, [RebalanceEvent::Lost(vec![partition(0), partition(1)])]);
    let error = first
        .commit_positions()
        .await
        .expect_err("they are somebody else's");
    assert_eq!(error.code(), Some(ErrorCode::UnknownMemberId), "{error}");
}

#[tokio::test(start_paused = true)]
async fn positions_are_committed_from_time_to_time_and_before_they_are_given_up() {
    let model = Model::new(1);
    model.create_topic("t", 2);
    model.append("t", 0, &["a", "b"]);
    let pairs = [
        ("enable.auto.commit", "true"),
        ("auto.commit.interval.ms", "1000"),
    ];
    let mut members = vec![member(&model, &pairs)];
    poll_until(&mut members, |members| shares(members) == [2]).await;
    poll_until(&mut members, |_| model.lock().committed("g", "t", 0) == Some(2)).await;

    let mut members = vec![members.remove(0)];
    members[0].config = Arc::new(ConsumerConfig {
        auto_commit_interval: Duration::from_secs(100_000),
        ..(*members[0].config).clone()
    });
    members[0].schedule_auto_commit(Instant::now());
    model.append("t", 0, &["c"]);
    let seen = poll_until(&mut members, |members| {
        members[0]
            .positions()
            .values()
            .any(|value| value.offset == Offset(3))
    })
    .await;
    assert_eq!(seen, ["c"]);
    assert_eq!(model.lock().committed("g", "t", 0), Some(2));
    members.push(member(&model, &pairs));
    poll_until(&mut members, |members| is_shared_out(members, 2)).await;
    assert_eq!(
        model.lock().committed("g", "t", 0),
        Some(3),
        "before it was given up"
    );
    model.append("t", 0, &["d"]);
    model.append("t", 1, &["e"]);
    poll_until(&mut members, |members| {
        members
            .iter()
            .flat_map(Consumer::positions)
            .filter(|(_, value)| value.offset.0 > 0)
            .count()
            == 2
            && members
                .iter()
                .flat_map(Consumer::positions)
                .any(|(_, value)| value.offset == Offset(4))
    })
    .await;
    for member in members {
        member.close().await.expect("committed");
    }
    for (partition, offset) in [(0, 4), (1, 1)] {
        assert_eq!(model.lock().committed("g", "t", partition), Some(offset));
    }
}

#[tokio::test(start_paused = true)]
async fn static_members_come_back_to_what_they_had() {
    let model = Model::new(1);
    model.create_topic("t", 4);
    let pairs = |id| {
        [
            ("group.instance.id", id),
            ("partition.assignment.strategy", "range"),
        ]
    };
    let mut members = vec![member(&model, &pairs("one")), member(&model, &pairs("two"))];
    poll_until(&mut members, |members| is_shared_out(members, 4)).await;
    let had = members[1].assignment();
    let leaves = model.count(ApiKey::LeaveGroup);
    members.pop().expect("two").close().await.expect("closed");
    assert_eq!(model.count(ApiKey::LeaveGroup), leaves, "it will be back");
    members.push(member(&model, &pairs("two")));
    poll_until(&mut members, |members| is_shared_out(members, 4)).await;
    assert_eq!(members[1].assignment(), had);

    // Another one with the same id takes its place; the first is told, and stays out.
    let mut usurper = member(&model, &pairs("two"));
    let mut error = None;
    for _ in 0..1000 {
        usurper.poll(Duration::from_millis(10)).await.expect("no error");
        members[0]
            .poll(Duration::from_millis(10))
            .await
            .expect("no error");
        if let Err(found) = members[1].poll(Duration::from_millis(10)).await {
            error = Some(found);
            break;
        }
    }
    assert_eq!(
        error.and_then(|error| error.code()),
        Some(ErrorCode::FencedInstanceId)
    );
}

#[tokio::test(start_paused = true)]
async fn who_is_not_polled_leaves_and_comes_back_when_polled() {
    let model = Model::new(1);
    model.create_topic("t", 2);
    let pairs = [
        ("max.poll.interval.ms", "10000"),
        ("session.timeout.ms", "6000"),
        ("heartbeat.interval.ms", "1000"),
    ];
    let mut members = vec![member(&model, &pairs), member(&model, &pairs)];
    poll_until(&mut members, |members| is_shared_out(members, 2)).await;
    let lazy = members.pop().expect("two");
    poll_until(&mut members, |members| shares(members) == [2]).await;
    members.push(lazy);
    poll_until(&mut members, |members| is_shared_out(members, 2)).await;
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_that_brings_nothing_keeps_a_member_in_its_group() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    let pairs = [
        ("max.poll.interval.ms", "10000"),
        ("session.timeout.ms", "6000"),
        ("heartbeat.interval.ms", "1000"),
    ];
    let mut members = vec![member(&model, &pairs), member(&model, &pairs)];
    poll_until(&mut members, |members| {
        shares(members).iter().sum::<usize>() == 1 && model.lock().member_ids("g").len() == 2
    })
    .await;
    let watch = async {
        for _ in 0..60 {
            tokio::time::sleep(SECOND).await;
            assert_eq!(model.lock().member_ids("g").len(), 2);
        }
    };
    let (first, second) = members.split_at_mut(1);
    let (first, second, ()) = tokio::join!(first[0].poll(SECOND * 60), second[0].poll(SECOND * 60), watch);
    assert!(first.expect("no error").is_empty() && second.expect("no error").is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_no_joining_helps_against_is_told() {
    let model = Model::new(1);
    model.create_topic("t", 1);
    model.faults(|_, request| match request {
        Request::JoinGroup(_) => Fault::Refuse(ErrorCode::GroupAuthorizationFailed),
        _ => Fault::None,
    });
    let mut member = member(&model, &[]);
    let error = member.poll(SECOND).await.expect_err("not allowed");
    assert_eq!(error.code(), Some(ErrorCode::GroupAuthorizationFailed));
    assert!(error.to_string().contains("group g"), "{error}");
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.expect("a runtime").block_on(test)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Members come, go and die, connections break: with offsets committed before partitions are given up, every record is
    /// read, in order within its partition, and after a quiet end nothing is read again.
    #[test]
    fn nothing_is_missed_through_rebalances(seed: u64, cooperative: bool, rate in 0_u64..15) {
        run(async {
            let model = Model::new(3);
            model.create_topic("t", 4);
            let mut state = seed;
            let mut random = move |below: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % below
            };
            let strategy = if cooperative { "cooperative-sticky" } else { "range" };
            let pairs = [
                ("partition.assignment.strategy", strategy),
                ("enable.auto.commit", "true"),
                ("auto.commit.interval.ms", "200"),
                ("session.timeout.ms", "6000"),
                ("heartbeat.interval.ms", "500"),
                ("request.timeout.ms", "1000"),
                ("max.poll.interval.ms", "30000"),
                ("max.poll.records", "3"),
            ];
            let mut chance = seed;
            model.faults(move |_, request| {
                chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
                let harmless = matches!(request, Request::ApiVersions(_) | Request::Metadata(_));
                match (chance >> 33) % 100 {
                    _ if harmless => Fault::None,
                    roll if roll < rate => Fault::LoseRequest,
                    roll if roll < rate * 2 => Fault::LoseResponse,
                    _ => Fault::None,
                }
            });
            let mut members = vec![member(&model, &pairs)];
            let mut seen: BTreeMap<i32, Vec<u64>> = BTreeMap::new();
            let mut written = 0;
            for step in 0..120 {
                for _ in 0..random(4) {
                    model.append("t", usize::try_from(written % 4).expect("small"), &[written.to_string()]);
                    written += 1;
                }
                match random(20) {
                    0 if members.len() < 4 => members.push(member(&model, &pairs)),
                    1 if members.len() > 1 => drop(members.remove(0).close().await),
                    // Dies without a word: the coordinator finds out.
                    2 if members.len() > 1 => {
                        let dead = members.remove(0);
                        let id = dead.group_metadata().map(|group| group.member_id).unwrap_or_default();
                        drop(dead);
                        if model.lock().member_ids("g").contains(&id) {
                            model.change(|state| state.expire_member("g", &id));
                        }
                    }
                    _ => {}
                }
                if step == 100 {
                    model.faults(|_, _| Fault::None);
                }
                for member in &mut members {
                    let Ok(records) = member.poll(Duration::from_millis(random(30))).await else { continue };
                    for record in records {
                        let number = text(&record).parse().expect("a number");
                        seen.entry(record.partition).or_default().push(number);
                    }
                }
            }
            let caught_up = |seen: &BTreeMap<i32, Vec<u64>>| {
                (0..written).all(|number| seen.values().any(|numbers| numbers.contains(&number)))
            };
            let started = Instant::now();
            while !caught_up(&seen) && started.elapsed() < Duration::from_secs(300) {
                for member in &mut members {
                    for record in member.poll(Duration::from_millis(50)).await.expect("the faults are over") {
                        seen.entry(record.partition).or_default().push(text(&record).parse().expect("a number"));
                    }
                }
            }
            assert!(caught_up(&seen), "{written} were written, seen were {seen:?}");
        });
    }
}
