//! Metadata and connections against the model cluster.

use std::{collections::BTreeSet, time::Duration};

use forebay_protocol::{ApiKey, TopicPartition};
use forebay_records::LeaderEpoch;

use super::*;
use crate::model::{CLUSTER_ID, Fault, Model};

fn leader(snapshot: &Snapshot, partition: i32) -> Option<NodeId> {
    snapshot.leader(&TopicPartition::new("t", partition))
}

#[tokio::test(start_paused = true)]
async fn those_who_come_together_share_one_refresh() {
    let model = Model::new(3);
    model.create_topic("t", 3);
    let cluster = model.cluster_with(Model::client_config(&[]), None);
    cluster.want(["t", "missing"]);
    let refreshes: Vec<_> = (0..10)
        .map(|_| {
            let cluster = cluster.clone();
            tokio::spawn(async move { cluster.refresh(0).await })
        })
        .collect();
    for refresh in refreshes {
        assert_eq!(refresh.await.expect("no panic").expect("refreshed").version, 1);
    }
    assert_eq!(model.count(ApiKey::Metadata), 1);
    let snapshot = cluster.snapshot();
    assert_eq!(
        (leader(&snapshot, 0), leader(&snapshot, 2)),
        (Some(NodeId(1)), Some(NodeId(3)))
    );
    assert_eq!(
        snapshot.topics["missing"].error,
        ErrorCode::UnknownTopicOrPartition
    );
    assert_eq!(snapshot.cluster_id.as_deref(), Some(CLUSTER_ID));
}

#[tokio::test(start_paused = true)]
async fn any_broker_will_do_and_bootstrap_addresses_are_tried_in_turn() {
    let model = Model::new(3);
    let servers = [("bootstrap.servers", "broker1:9092,broker2:9092,broker3:9092")];
    let cluster = model.cluster_with(Model::client_config(&servers), None);
    for down in [vec![1, 2], vec![2, 3], vec![1, 3]] {
        model.change(|state| {
            for (id, up) in &mut state.brokers {
                *up = !down.contains(&id.0);
            }
        });
        let seen = cluster.snapshot().version;
        let snapshot = cluster.refresh(seen).await.expect("one is up");
        assert_eq!(snapshot.brokers.len(), 1);
    }
    model.change(|state| state.brokers.values_mut().for_each(|up| *up = false));
    let error = cluster
        .refresh(cluster.snapshot().version)
        .await
        .expect_err("none is up")
        .to_string();
    assert!(
        error.contains("broker1:9092, broker2:9092, broker3:9092"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn connections_are_kept_opened_once_and_closed_when_idle() {
    let model = Model::new(2);
    let cluster = model.cluster_with(
        Model::client_config(&[("connections.max.idle.ms", "60000")]),
        None,
    );
    cluster.refresh(0).await.expect("refreshed");
    let together: Vec<_> = (0..5)
        .map(|_| {
            let cluster = cluster.clone();
            tokio::spawn(async move { cluster.node(NodeId(2), Lane::Main).await })
        })
        .collect();
    for node in together {
        node.await.expect("no panic").expect("connected");
    }
    assert_eq!(model.lock().connections[&NodeId(2)], 1);
    cluster.node(NodeId(2), Lane::Fetch).await.expect("connected");
    assert_eq!(model.lock().connections[&NodeId(2)], 2, "a lane of its own");
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(
        cluster.open_node(NodeId(2), Lane::Main).is_none(),
        "idle for too long"
    );
    cluster
        .node(NodeId(2), Lane::Main)
        .await
        .expect("connected again");
    let error = cluster
        .node(NodeId(9), Lane::Main)
        .await
        .expect_err("there is no such broker");
    assert!(matches!(error, Error::UnknownNode(NodeId(9))) && error.is_retriable());
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_refuses_is_not_asked_all_the_time() {
    let model = Model::new(2);
    let cluster = model.cluster_with(Model::client_config(&[("reconnect.backoff.ms", "100")]), None);
    cluster.refresh(0).await.expect("refreshed");
    model.change(|state| state.brokers.insert(NodeId(2), false));
    let started = Instant::now();
    for _ in 0..5 {
        cluster.node(NodeId(2), Lane::Main).await.expect_err("it is down");
    }
    // 100, 200, 400 and 800 ms lie between, each a fifth more or less.
    assert!(
        started.elapsed() > Duration::from_millis(1200),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn our_own_node_is_reached_in_process_and_no_other() {
    for (cluster_id, sockets) in [(CLUSTER_ID, None), ("another cluster", Some(1))] {
        let model = Model::new(2);
        let local = model.local_node(2, cluster_id);
        let cluster = model.cluster_with(Model::client_config(&[]), Some(local));
        cluster.refresh(0).await.expect("refreshed");
        let own = cluster.node(NodeId(2), Lane::Main).await.expect("reached");
        let other = cluster.node(NodeId(1), Lane::Main).await.expect("reached");
        assert_eq!(
            model.lock().connections.get(&NodeId(2)).copied(),
            sockets,
            "{cluster_id}"
        );
        assert_eq!(&**own.address() == "in-process", sockets.is_none());
        assert_eq!(&**other.address(), "broker1:9092");
    }
}

#[tokio::test(start_paused = true)]
async fn an_older_leader_is_not_believed_and_a_named_one_is() {
    let model = Model::new(3);
    model.create_topic("t", 1);
    let cluster = model.cluster_with(Model::client_config(&[]), None);
    cluster.want(["t"]);
    cluster.refresh(0).await.expect("refreshed");
    let hint = |leader, epoch| LeaderHint {
        topic_partition: TopicPartition::new("t", 0),
        leader: NodeId(leader),
        leader_epoch: LeaderEpoch(epoch),
    };
    assert!(cluster.learn_leader(&hint(2, 7)));
    assert!(!cluster.learn_leader(&hint(3, 6)), "older");
    assert!(!cluster.learn_leader(&hint(9, 8)), "nobody knows that broker");
    // The broker that answers still believes in epoch 5.
    let snapshot = cluster.refresh(1).await.expect("refreshed");
    assert_eq!(leader(&snapshot, 0), Some(NodeId(2)));
    // A topic made anew begins its epochs anew.
    model.change(|state| {
        state.create_topic("other", 1);
        state.create_topic("t", 1);
    });
    let snapshot = cluster.refresh(2).await.expect("refreshed");
    assert_eq!(leader(&snapshot, 0), Some(NodeId(1)));
    cluster.want_only(Some(BTreeSet::new()));
    assert!(
        cluster.refresh(3).await.expect("refreshed").topics.is_empty(),
        "forgotten"
    );
}

#[tokio::test(start_paused = true)]
async fn what_all_topics_do_not_mention_is_no_more() {
    let model = Model::new(1);
    for topic in ["t", "deleted"] {
        model.create_topic(topic, 1);
    }
    let cluster = model.cluster_with(Model::client_config(&[]), None);
    cluster.want_only(None);
    let names = |snapshot: &Snapshot| {
        snapshot
            .topics
            .keys()
            .map(ToString::to_string)
            .collect::<BTreeSet<_>>()
    };
    let before = cluster.refresh(0).await.expect("refreshed");
    assert_eq!(names(&before), ["deleted", "t"].map(str::to_owned).into());
    model.delete_topic("deleted");
    let after = cluster.refresh(before.version).await.expect("refreshed");
    assert_eq!(names(&after), ["t".to_owned()].into());
    assert!(after.of_all && after.names.len() == 1);
    assert_eq!(leader(&after, 0), Some(NodeId(1)));
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_is_remembered_until_it_says_otherwise() {
    let model = Model::new(2);
    let cluster = model.cluster_with(Model::client_config(&[]), None);
    let find = || cluster.coordinator(CoordinatorKind::Group, "g", Lane::Coordinator);
    find().await.expect("found");
    let coordinator = find().await.expect("found");
    assert_eq!(model.count(ApiKey::FindCoordinator), 1);
    coordinator.saw(&Error::broker("x", ErrorCode::CoordinatorLoadInProgress));
    find().await.expect("found");
    assert_eq!(
        model.count(ApiKey::FindCoordinator),
        1,
        "loading, but the right one"
    );
    coordinator.saw(&Error::broker("x", ErrorCode::NotCoordinator));
    find().await.expect("found");
    assert_eq!(model.count(ApiKey::FindCoordinator), 2);
    model.faults(|_, _| Fault::Refuse(ErrorCode::CoordinatorNotAvailable));
    coordinator.saw(&Error::broker("x", ErrorCode::NotCoordinator));
    assert_eq!(
        find().await.expect_err("refused").code(),
        Some(ErrorCode::CoordinatorNotAvailable)
    );
}

#[test]
fn what_shows_that_the_cluster_has_changed() {
    for code in [
        ErrorCode::InconsistentTopicId,
        ErrorCode::UnknownLeaderEpoch,
        ErrorCode::NotController,
    ] {
        assert!(says_stale(code), "{code}");
    }
    for code in [
        ErrorCode::None,
        ErrorCode::NotEnoughReplicas,
        ErrorCode::MessageTooLarge,
    ] {
        assert!(!says_stale(code), "{code}");
    }
}
