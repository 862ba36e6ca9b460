//! Two workers that both write as the leader, over the client's model cluster. Time is virtual.
//! `FOREBAY_TEST_BREAK=fence` runs the first without the fence, and it must fail.

use forebay_client::model::{Fault, Model};
use forebay_protocol::Request;

use super::*;

const TOPIC: &str = "connect-configs";

fn properties(pairs: &[(&str, &str)]) -> Properties {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

async fn store(model: &Arc<Model>, support: &str) -> ConfigStore {
    let config = Config::new(&properties(&[("exactly.once.source.support", support)])).expect("sound");
    let opened = ConfigStore::open(&model.client(&[]), &config).await;
    opened.expect("it can be made")
}

async fn claim(store: &ConfigStore, generation: i32) -> Result<(), Error> {
    store.claim(generation, async { Ok::<(), Error>(()) }).await
}

async fn put_tasks(store: &ConfigStore, tasks: &[Properties]) -> Result<(), Error> {
    store.put_tasks("c", tasks, async { Ok::<(), Error>(()) }).await
}

fn connector(number: &str) -> Properties {
    properties(&[("name", "c"), ("number", number)])
}

fn number(store: &ConfigStore) -> Option<String> {
    store.state().get("c")?.config.get("number").cloned()
}

fn task_counts(store: &ConfigStore) -> Option<usize> {
    Some(store.state().get("c")?.tasks.len())
}

#[tokio::test(start_paused = true)]
async fn who_led_before_writes_nothing_any_more() {
    let is_broken = std::env::var("FOREBAY_TEST_BREAK").as_deref() == Ok("fence");
    let fenced = if is_broken {
        ["disabled"; 2]
    } else {
        ["enabled", "preparing"]
    };
    for support in fenced {
        let model = Model::new(1);
        let (first, second) = (store(&model, support).await, store(&model, support).await);
        claim(&first, 1).await.expect("nobody else has it");
        first
            .put_connector("c", &connector("1"), None)
            .await
            .expect("it leads");
        // It has decided, and stalls; the others go on without it.
        claim(&second, 2).await.expect("it was elected");
        assert_eq!(
            number(&second).as_deref(),
            Some("1"),
            "it knows what was written before"
        );
        second
            .put_connector("c", &connector("2"), None)
            .await
            .expect("it leads");
        let late = first.put_connector("c", &connector("late"), None).await;
        let error = late.expect_err("it was deposed").to_string();
        assert!(error.starts_with("Failed to write to config topic"), "{error}");
        let late = put_tasks(&first, &[connector("late")]).await;
        assert!(late.is_err(), "nor this");
        for store in [&first, &second] {
            store.refresh().await.expect("it can be read");
            assert_eq!(
                (number(store).as_deref(), task_counts(store)),
                (Some("2"), Some(0))
            );
        }
        // Not even if it takes the right over again: it has to join its group for that.
        assert!(claim(&first, 1).await.is_err());
        assert_eq!(*first.lost().expect("it is fenced").borrow(), 1);
        second
            .put_connector("c", &connector("3"), None)
            .await
            .expect("it still leads");
        claim(&first, 3).await.expect("it was elected again");
        first
            .put_connector("c", &connector("4"), None)
            .await
            .expect("it leads");
        assert!(second.put_connector("c", &connector("late"), None).await.is_err());
    }
}

/// What any worker may write, and what a worker without the fence writes, is no part of it.
#[tokio::test(start_paused = true)]
async fn what_needs_no_leader_is_written_beside_one() {
    let model = Model::new(1);
    let (leader, follower) = (store(&model, "enabled").await, store(&model, "disabled").await);
    let refused = leader.put_connector("c", &connector("1"), None).await;
    assert!(refused.is_err(), "it has not claimed the right");
    claim(&leader, 1).await.expect("nobody else has it");
    leader
        .put_connector("c", &connector("1"), None)
        .await
        .expect("it leads");
    follower.refresh().await.expect("it can be read");
    for (writer, state) in [(&follower, TargetState::Paused), (&leader, TargetState::Started)] {
        writer.put_target_state("c", state).await.expect("any worker may");
        for reader in [&leader, &follower] {
            reader.refresh().await.expect("it can be read");
            assert_eq!(reader.state().get("c").map(|one| one.target_state), Some(state));
        }
    }
    follower
        .put_connector("c", &connector("2"), None)
        .await
        .expect("nothing keeps it from that");
    assert_eq!(number(&follower).as_deref(), Some("2"));
}

/// Who leads is killed at each step of writing a set of tasks; the next leader finds all of it or nothing, and need not wait.
#[tokio::test(start_paused = true)]
async fn a_set_that_was_cut_off_leaves_nothing() {
    for (step, lands) in [("produce", false), ("end", false), ("ended", true)] {
        let model = Model::new(1);
        let (first, second) = (store(&model, "enabled").await, store(&model, "enabled").await);
        claim(&first, 1).await.expect("nobody else has it");
        first
            .put_connector("c", &connector("1"), None)
            .await
            .expect("it leads");
        let tasks = [connector("a"), connector("b")];
        put_tasks(&first, &tasks).await.expect("it leads");
        let before = model.committed_values(TOPIC, 0).len();
        let mut is_dead = false;
        model.faults(move |_, request| match request {
            // Nothing that it still tries arrives.
            Request::Produce(_) | Request::AddPartitionsToTxn(_) | Request::EndTxn(_) if is_dead => {
                Fault::LoseRequest
            }
            Request::Produce(_) if step == "produce" => {
                is_dead = true;
                Fault::None
            }
            Request::EndTxn(_) => {
                is_dead = true;
                if lands {
                    Fault::LoseResponse
                } else {
                    Fault::LoseRequest
                }
            }
            _ => Fault::None,
        });
        let tasks = [connector("x"), connector("y"), connector("z")];
        tokio::spawn(async move { put_tasks(&first, &tasks).await });
        tokio::time::sleep(Duration::from_secs(1)).await;
        let began = Instant::now();
        claim(&second, 2).await.expect("it was elected");
        assert!(
            began.elapsed() < Duration::from_secs(3),
            "{step}: {:?}",
            began.elapsed()
        );
        let set = if lands { 3 } else { 2 };
        assert_eq!(task_counts(&second), Some(set), "{step}");
        let more = model.committed_values(TOPIC, 0).len() - before;
        assert_eq!(
            more,
            if lands { 4 } else { 0 },
            "{step}: {:?}",
            model.committed_values(TOPIC, 0)
        );
    }
}

#[test]
fn damaged_records_change_nothing_and_hold_up_nobody() {
    let state = Arc::default();
    let mut apply = applied(&state, watch::channel(0).0);
    let good = [
        ("connector-c", r#"{"properties":{"k":"1"}}"#),
        ("task-c-0", r#"{"properties":{"k":"a"}}"#),
        ("commit-c", r#"{"tasks":1}"#),
        ("target-state-c", r#"{"state":"PAUSED"}"#),
    ];
    let damaged = [
        ("connector-c", "["),
        ("connector-c", r#"{"properties":[]}"#),
        ("task-c-0", "{}"),
        ("task-c-x", r#"{"properties":{"k":"x"}}"#),
        ("commit-c", r#"{"tasks":-1}"#),
        ("commit-c", ""),
        ("target-state-c", r#"{"state":"GONE"}"#),
        ("tasks-fencing-c", "{}"),
        ("session-key", "{}"),
        ("rubbish", "\u{0}"),
    ];
    let mut offsets = 0..;
    let mut read = |(key, value): (&str, &str)| {
        let offset = Offset(offsets.next().expect("no end"));
        apply(offset, key.as_bytes(), Some(value.as_bytes()));
    };
    good.into_iter().for_each(&mut read);
    let of = |state: &RwLock<ClusterConfig>| {
        let state = state.read().expect("no panic");
        (
            state.get("c").cloned(),
            state.is_half_written("c"),
            state.is_fencing_pending("c"),
        )
    };
    let before = of(&state);
    assert_eq!(
        before.0.as_ref().map(|it| (it.tasks.len(), it.target_state)),
        Some((1, TargetState::Paused))
    );
    for one in damaged {
        read(one);
        assert_eq!(of(&state), before, "{one:?}");
    }
    let end = i64::try_from(good.len() + damaged.len()).expect("few");
    assert_eq!(state.read().expect("no panic").offset(), end);
}
