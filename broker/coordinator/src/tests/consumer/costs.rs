//! Much at once, and what is too much for one append.

use std::time::Duration;

use forebay_protocol::ErrorCode;

use super::classic_client::ClassicClient;
use super::client::Client;
use crate::tests::driver::{Driver, GROUP};
use crate::{Config, Event};

const FLEET: usize = 60;

/// So many members, whose sessions end at the same time.
fn fleet(append_bytes_max: usize) -> Driver {
    let mut driver = Driver::with(Config {
        append_bytes_max,
        ..Config::default()
    });
    driver.cluster.topic("events", 1);
    for number in 0..FLEET {
        Client::new(&format!("m{number}"), &["events"]).join(&mut driver);
    }
    driver.restart();
    driver.hold = true;
    driver.advance(driver.config.consumer.session_timeout);
    driver
}

#[test]
fn members_that_expire_together_go_together() {
    for (append_bytes_max, appends) in [(1_048_588, 1..=1), (4_000, 2..=8)] {
        let mut driver = fleet(append_bytes_max);
        assert!(
            appends.contains(&driver.written.len()),
            "{append_bytes_max}: {}",
            driver.written.len()
        );
        driver.hold = false;
        driver.commit();
        assert_eq!(driver.epochs().0, "Empty");
        driver.coordinator.assert_consistent(true);
        let removed = driver.events.iter().filter_map(|event| match event {
            Event::MembersRemoved { members, reason, .. } => Some((members.len(), &**reason)),
            _ => None,
        });
        let removed: Vec<_> = removed.collect();
        assert_eq!(removed, [(FLEET, "the member session expired")]);
    }
}

/// Each was heard of at another time, and each time all the others would be looked at.
#[test]
fn members_that_fall_silent_one_after_the_other_go_a_few_at_a_time() {
    let mut driver = Driver::new();
    driver.cluster.topic("events", 1);
    let mut clients: Vec<Client> = (0..FLEET)
        .map(|number| Client::new(&format!("m{number}"), &["events"]))
        .collect();
    for client in &mut clients {
        client.join(&mut driver);
    }
    let mut all: Vec<&mut Client> = clients.iter_mut().collect();
    driver.settle(&mut all);
    for client in &mut clients {
        driver.advance(Duration::from_millis(10));
        client.beat(&mut driver);
    }
    driver.hold = true;
    driver.advance(driver.config.consumer.session_timeout - Duration::from_millis(10 * FLEET as u64));
    assert!(driver.written.is_empty(), "nobody goes too early");
    driver.advance(Duration::from_millis(10 * FLEET as u64 + 100));
    assert!(
        (2..=8).contains(&driver.written.len()),
        "{}",
        driver.written.len()
    );
    driver.hold = false;
    driver.commit();
    assert_eq!(driver.epochs().0, "Empty");
}

#[test]
fn the_last_consumer_member_leaves_although_the_classic_group_would_be_too_large_to_write() {
    let mut driver = Driver::with(Config {
        append_bytes_max: 1_500,
        ..Config::default()
    });
    driver.cluster.topic("events", 1);
    let mut modern = Client::new("m1", &["events"]);
    modern.join(&mut driver);
    for _ in 0..8 {
        driver.advance(Duration::from_secs(1));
        modern.beat(&mut driver);
        ClassicClient::new(&["events"]).join_and_sync(&mut driver);
    }
    modern.leave(&mut driver);
    let group = driver.consumer_group(GROUP);
    assert_eq!((group.error_code, group.members.len()), (0, 8));
    driver.coordinator.assert_consistent(true);
}

/// As a member of the classic protocol it had a time to sync in.
#[test]
fn a_member_that_changes_its_protocol_has_the_deadlines_of_the_new_one() {
    let mut driver = Driver::new();
    driver.cluster.topic("events", 2);
    Client::new("m1", &["events"]).join(&mut driver);
    let mut classic = ClassicClient::new(&["events"]);
    driver.advance(Duration::from_secs(2));
    let join = classic.ask_join(&mut driver);
    let joined = driver.joined(join);
    classic.hear_join(&joined);
    let mut modern = Client {
        epoch: classic.generation,
        ..Client::new(&classic.id, &["events"])
    };
    modern.hear(&driver.consumer_heartbeat(modern.full()));
    for _ in 0..25 {
        driver.advance(Duration::from_secs(3));
        modern.beat(&mut driver);
    }
    assert_eq!(
        driver.consumer_group(GROUP).members.len(),
        1,
        "the other is silent"
    );
}

#[test]
fn a_clock_that_goes_back_holds_no_assignment_up() {
    let mut driver = Driver::new();
    driver.cluster.topic("events", 2);
    Client::new("m1", &["events"]).join(&mut driver);
    driver.now.timestamp.0 -= 3_600_000;
    driver.advance(Duration::from_secs(2));
    Client::new("m2", &["events"]).join(&mut driver);
    let (_, epoch, assigned) = driver.epochs();
    assert_eq!(epoch, assigned);
}

#[test]
fn who_cannot_be_told_a_new_target_keeps_the_session() {
    let mut driver = Driver::with(Config {
        append_bytes_max: 600,
        ..Config::default()
    });
    driver.cluster.topic("events", 2);
    let mut client = Client::new("m1", &["events"]);
    client.join(&mut driver);
    driver.cluster.topic("events", 1_000);
    for _ in 0..12 {
        driver.advance(Duration::from_secs(5));
        assert_eq!(
            driver.refused_heartbeat(client.short()).0,
            ErrorCode::UnknownServerError
        );
    }
    assert_eq!(driver.consumer_group(GROUP).members.len(), 1);
}
