//! Members of a group that is no consumer, against the model.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use forebay_protocol::{ErrorCode, Request};
use tokio::time::{Instant, sleep};

use super::{Election, Joined, Member, Options, Protocol, Shares};
use crate::{
    error::Error,
    model::{Fault, Model},
};

const SESSION: Duration = Duration::from_secs(10);

fn member(model: &Arc<Model>) -> Member {
    let options = Options {
        group_id: "g".to_owned(),
        group_instance_id: None,
        protocol_type: "connect",
        session_timeout: SESSION,
        heartbeat_interval: Duration::from_secs(3),
        rebalance_timeout: Duration::from_secs(60),
    };
    model.client(&[]).member(options).expect("no key is wrong")
}

/// Each gets back what it told, with the number of members behind it.
fn echo(election: Election) -> Result<Shares, Error> {
    assert_eq!(election.protocol, "two");
    let count = election.members.len();
    let shares = election.members.into_iter().map(|member| {
        let told = String::from_utf8_lossy(&member.metadata).into_owned();
        (member.member_id, Bytes::from(format!("{told}/{count}")))
    });
    Ok(shares.collect())
}

async fn join(member: &Member, told: &str) -> Result<Joined, Error> {
    let protocols = [Protocol {
        name: "two",
        metadata: Bytes::copy_from_slice(told.as_bytes()),
    }];
    loop {
        match member.join(&protocols, echo).await {
            Err(error) if Member::is_worth_another(&error) => sleep(Duration::from_millis(50)).await,
            other => return other,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn members_are_given_their_shares_and_hear_of_each_other() {
    let model = Model::new(1);
    let (a, b) = (member(&model), member(&model));
    assert!(a.must_join() && a.heard().is_none());
    let first = join(&a, "a").await.expect("nothing is in the way");
    assert_eq!(
        (first.protocol.as_str(), &*first.assignment),
        ("two", &b"a/1"[..])
    );
    assert!(!a.must_join() && a.heard().is_some());
    // The heartbeat tells the first one that a second has come.
    let (of_a, of_b) = tokio::join!(
        async {
            a.changed().await;
            assert!(a.must_join());
            join(&a, "a").await
        },
        join(&b, "b")
    );
    let (of_a, of_b) = (of_a.expect("joined"), of_b.expect("joined"));
    assert_eq!((&*of_a.assignment, &*of_b.assignment), (&b"a/2"[..], &b"b/2"[..]));
    assert_eq!(of_a.generation_id, of_b.generation_id);
    // Who leaves is not waited for.
    let before = Instant::now();
    b.leave("done").await;
    a.changed().await;
    assert_eq!(&*join(&a, "a").await.expect("joined").assignment, b"a/1");
    assert!(before.elapsed() < SESSION);
}

#[tokio::test(start_paused = true)]
async fn the_session_is_known_to_last_from_the_last_request_that_was_answered() {
    let model = Model::new(1);
    let member = member(&model);
    join(&member, "a").await.expect("nothing is in the way");
    sleep(Duration::from_secs(20)).await;
    let heard = member.heard().expect("heartbeats are answered");
    assert!(heard.elapsed() <= Duration::from_secs(3), "{:?}", heard.elapsed());
    model.faults(|_, request| match request {
        Request::Heartbeat(_) => Fault::LoseResponse,
        _ => Fault::None,
    });
    sleep(Duration::from_secs(8)).await;
    // The coordinator has heard of it; the member cannot know.
    assert_eq!(member.heard(), Some(heard));
    assert!(!member.must_join());
    sleep(Duration::from_secs(5)).await;
    assert!(member.must_join());
    model.faults(|_, _| Fault::None);
    join(&member, "a").await.expect("it is a member all the time");
    assert!(member.heard() > Some(heard));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_waits_for_others_knows_that_its_session_lasts() {
    let model = Model::new(1);
    let (a, b) = (member(&model), member(&model));
    join(&a, "a").await.expect("nothing is in the way");
    let joined = tokio::join!(
        async {
            a.changed().await;
            join(&a, "a").await.expect("joined");
        },
        join(&b, "b")
    );
    joined.1.expect("joined");
    // b does not come: until it is out, a waits in its JoinGroup for longer than a session.
    model.change(|state| state.rebalance("g"));
    let waiting = join(&a, "a");
    tokio::pin!(waiting);
    let began = Instant::now();
    while began.elapsed() < 3 * SESSION {
        tokio::select! {
            _ = &mut waiting => panic!("b has not joined"),
            () = sleep(Duration::from_secs(1)) => {}
        }
        let heard = a.heard().expect("it is a member");
        assert!(heard.elapsed() <= Duration::from_secs(4), "{:?}", heard.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_is_said_once_and_joining_begins_anew() {
    let model = Model::new(1);
    let member = member(&model);
    join(&member, "a").await.expect("nothing is in the way");
    let id = member.metadata().member_id;
    model.change(|state| state.expire_member("g", &id));
    member.changed().await;
    assert!(member.take_lost() && !member.take_lost() && member.must_join());
    assert_eq!((member.metadata().generation_id, member.heard()), (-1, None));
    let again = join(&member, "a").await.expect("as a new one");
    assert_ne!(again.member_id, id);
    let fenced = ErrorCode::FencedInstanceId;
    model.faults(move |_, request| match request {
        Request::Heartbeat(_) => Fault::Refuse(fenced),
        _ => Fault::None,
    });
    member.changed().await;
    assert_eq!(
        member.check().expect_err("another has its place").code(),
        Some(fenced)
    );
}
