//! Subscriptions by regular expression: resolved by the coordinator, refreshed when topics appear.

use std::time::Duration;

use forebay_protocol::ErrorCode;

use super::client::Client;
use crate::consumer::parsed_in_this_thread;
use crate::tests::driver::{Driver, GROUP};
use crate::{Action, Cluster as _, Command, Config, Event, ResolvedExpressions, resolve_expressions};

fn subscriber(id: &str, regex: &str) -> Client {
    Client {
        regex: Some(regex.into()),
        ..Client::new(id, &[])
    }
}

#[test]
fn a_member_that_goes_to_an_expression_that_matches_nothing_leaves_its_partitions_to_others() {
    let mut driver = Driver::new();
    driver.cluster.topic("a1", 2);
    let mut stays = subscriber("m1", "a.*");
    let mut goes = subscriber("m2", "a.*");
    stays.join(&mut driver);
    driver.advance(Duration::from_secs(2));
    goes.join(&mut driver);
    driver.settle(&mut [&mut stays, &mut goes]);
    assert_eq!((stays.owned.len(), goes.owned.len()), (1, 1));

    goes.regex = Some("zzz.*".into());
    driver.advance(Duration::from_secs(2));
    goes.hear(&driver.consumer_heartbeat(goes.full()));
    goes.follow_assignment();
    goes.beat(&mut driver);
    driver.advance(Duration::from_secs(5));
    for _ in 0..3 {
        stays.beat(&mut driver);
        goes.beat(&mut driver);
    }
    driver.settle(&mut [&mut stays, &mut goes]);
    assert_eq!((stays.owned.len(), goes.owned.len()), (2, 0));
    driver.coordinator.assert_consistent(true);
}

#[test]
fn heartbeats_do_not_wait_for_expressions() {
    let mut driver = Driver::new();
    driver.cluster.topic("events", 2);
    driver.hold_actions = true;
    let mut client = subscriber("m1", "events");
    client.join(&mut driver);
    client.beat(&mut driver);
    assert_eq!(client.owned.len(), 0, "nobody knows what it means");
    let asked = |driver: &Driver| match &driver.actions[..] {
        [Action::ResolveExpressions { expressions, .. }] => expressions.len(),
        other => panic!("asked once: {other:?}"),
    };
    assert_eq!(asked(&driver), 1);
    let mut other = subscriber("m2", "e.*");
    other.join(&mut driver);
    assert_eq!(asked(&driver), 1, "one after the other");
    driver.act();
    assert_eq!(asked(&driver), 1, "for the other as soon as the first is done");
    driver.act();
    driver.hold_actions = false;
    driver.settle(&mut [&mut client, &mut other]);
    assert_eq!(client.owned.len() + other.owned.len(), 2);

    // It fails, and is asked for again.
    driver.hold_actions = true;
    client.regex = Some("events|x".into());
    client.hear(&driver.consumer_heartbeat(client.full()));
    let running = number(&driver.actions[0]);
    driver.resolved(0, None);
    driver.actions.clear();
    client.beat(&mut driver);
    assert_eq!(driver.actions.len(), 0, "it is under way: nobody has asked that");
    driver.resolved(running, None);
    client.beat(&mut driver);
    assert_eq!(asked(&driver), 1);
    driver.act();
    driver.settle(&mut [&mut client, &mut other]);
    driver.coordinator.assert_consistent(true);
}

fn number(action: &Action) -> u64 {
    let Action::ResolveExpressions { number, .. } = action;
    *number
}

impl Driver {
    fn resolved(&mut self, number: u64, resolved: Option<ResolvedExpressions>) {
        self.ask(Command::ExpressionsResolved {
            group: GROUP.into(),
            number,
            resolved,
        });
    }

    fn resolve(&self, action: &Action) -> Option<ResolvedExpressions> {
        let Action::ResolveExpressions { expressions, .. } = action;
        resolve_expressions(expressions.clone(), &*self.cluster.image(), &|| true)
    }
}

/// What was asked for a group that is no more is answered when another of its name is there.
#[test]
fn answers_of_an_earlier_group_are_dropped() {
    let mut driver = Driver::new();
    driver.cluster.topic("events-1", 1);
    driver.hold_actions = true;
    let mut client = subscriber("m1", "events.*");
    client.join(&mut driver);
    let first = driver.actions.remove(0);
    let early = driver.resolve(&first);
    client.leave(&mut driver);
    driver.ask(Command::DeleteGroups(vec![GROUP.into()]));
    driver.cluster.topic("events-2", 1);
    client.join(&mut driver);
    let second = driver.actions.remove(0);
    assert!(number(&second) > number(&first));
    driver.resolved(number(&second), driver.resolve(&second));
    driver.advance(Duration::from_secs(2));
    client.beat(&mut driver).beat(&mut driver);
    assert_eq!(client.owned.len(), 2);
    let epochs = driver.epochs();
    driver.resolved(number(&first), early);
    assert_eq!(driver.epochs(), epochs);
    client.beat(&mut driver).beat(&mut driver);
    assert_eq!(client.owned.len(), 2);
}

#[test]
fn new_expressions_come_first_and_one_that_takes_too_long_is_left_alone_for_a_while() {
    let mut driver = Driver::new();
    driver.cluster.topic("events-1", 1);
    let mut client = subscriber("m1", "events.*");
    client.join(&mut driver);
    driver.cluster.topic("events-2", 1);
    driver.advance(Duration::from_secs(11));
    driver.hold_actions = true;
    let mut other = subscriber("m2", "e.*");
    other.join(&mut driver);
    let asked = |driver: &Driver| match &driver.actions[..] {
        [
            Action::ResolveExpressions {
                expressions, are_new, ..
            },
        ] => (expressions.len(), *are_new),
        other => panic!("asked once: {other:?}"),
    };
    assert_eq!(asked(&driver), (1, true));
    let new = driver.actions.remove(0);
    let image = driver.cluster.image();
    driver.resolved(
        number(&new),
        Some(ResolvedExpressions::given_up("e.*".into(), &*image)),
    );
    assert_eq!(asked(&driver), (2, false), "then all that there are, again");
    driver.hold_actions = false;
    driver.act();
    driver.hold_actions = true;
    driver.settle(&mut [&mut client, &mut other]);
    assert_eq!(client.owned.len() + other.owned.len(), 2);

    other.regex = Some("ev.*".into());
    other.hear(&driver.consumer_heartbeat(other.full()));
    let new = driver.actions.remove(0);
    let image = driver.cluster.image();
    driver.resolved(
        number(&new),
        Some(ResolvedExpressions::given_up("ev.*".into(), &*image)),
    );
    other.beat(&mut driver);
    assert_eq!(driver.actions, [], "not again so soon");
}

/// Each fits into an append, all together do not; one fits into none.
#[test]
fn expressions_are_written_in_as_many_appends_as_they_need() {
    let mut driver = Driver::with(Config {
        append_bytes_max: 1_500,
        ..Config::default()
    });
    for topic in 0..8 {
        driver.cluster.topic(&format!("a{topic}{}", "x".repeat(100)), 1);
    }
    for topic in 0..20 {
        driver
            .cluster
            .topic(&format!("large{topic}{}", "x".repeat(100)), 1);
    }
    let mut clients: Vec<Client> = (0..4)
        .map(|number| subscriber(&format!("m{number}"), &format!("a.{{1,{}}}", 200 + number)))
        .collect();
    for client in &mut clients {
        driver.advance(Duration::from_secs(2));
        client.join(&mut driver);
    }
    let mut too_large = subscriber("large", "large.*");
    driver.advance(Duration::from_secs(2));
    too_large.join(&mut driver);
    let not_written = |driver: &Driver| {
        let events = driver.events.iter();
        events
            .filter(|event| matches!(event, Event::MetadataNotWritten { .. }))
            .count()
    };
    assert_eq!(not_written(&driver), 1);
    let (first, rest) = clients.split_first_mut().expect("four");
    let mut all: Vec<&mut Client> = [first, &mut too_large].into_iter().chain(rest).collect();
    driver.settle(&mut all);
    assert_eq!(not_written(&driver), 1, "it is not tried each time");

    // All of them mean one topic more.
    driver.cluster.topic("anew", 1);
    driver.advance(Duration::from_secs(11));
    for client in &mut all {
        client.beat(&mut driver);
    }
    driver.settle(&mut all);
    let owned: usize = all.iter().map(|client| client.owned.len()).sum();
    assert_eq!(owned, 9);
    driver.restart();
    driver.settle(&mut all);
    driver.coordinator.assert_consistent(true);
}

/// It takes milliseconds, in which nobody else's heartbeat would be answered.
#[test]
fn expressions_are_not_translated_while_the_coordinator_decides() {
    let mut driver = Driver::new();
    driver.hold_actions = true;
    driver.cluster.topic("events", 1);
    let commands = ["ev.*", "ev.*", "ev", "["].map(|regex| {
        let client = subscriber("m1", regex);
        Command::consumer_group_heartbeat(client.full(), 1)
    });
    let before = parsed_in_this_thread();
    assert!(before >= 3, "its driver has found out");
    for command in commands {
        driver.ask(command);
    }
    assert_eq!(parsed_in_this_thread(), before);
}

#[test]
fn a_subscriber_gets_the_topics_that_match_and_those_that_come_later() {
    let mut driver = Driver::new();
    for topic in ["events-1", "events-2", "other"] {
        driver.cluster.topic(topic, 2);
    }
    let mut client = subscriber("m1", "events-.*");
    client.join(&mut driver);
    driver.advance(Duration::from_secs(2));
    client.beat(&mut driver);
    assert_eq!(client.owned.len(), 4);
    let described = driver.consumer_group(GROUP);
    assert_eq!(
        described.members[0].subscribed_topic_regex.as_deref(),
        Some("events-.*")
    );

    driver.cluster.topic("events-3", 1);
    driver.advance(Duration::from_secs(5));
    client.beat(&mut driver);
    assert_eq!(
        client.owned.len(),
        4,
        "expressions are not held against all topics again so soon"
    );
    driver.advance(Duration::from_secs(6));
    client.beat(&mut driver).beat(&mut driver).beat(&mut driver);
    assert_eq!(client.owned.len(), 5);
    driver.cluster.delete("events-1");
    driver.advance(Duration::from_secs(11));
    client.beat(&mut driver).beat(&mut driver);
    assert_eq!(client.owned.len(), 3);
    driver.settle(&mut [&mut client]);
    driver.restart();
    client.beat(&mut driver);
    assert_eq!(driver.epochs().0, "Stable");
    driver.coordinator.assert_consistent(true);
}

#[test]
fn subscriptions_by_name_and_by_expression_live_side_by_side_and_change() {
    let mut driver = Driver::new();
    for topic in ["a1", "a2", "b1"] {
        driver.cluster.topic(topic, 2);
    }
    let mut by_name = Client::new("m1", &["b1"]);
    let mut by_regex = subscriber("m2", "a.*");
    let mut both = Client {
        topics: vec!["b1".into()],
        ..subscriber("m3", "a.*")
    };
    by_name.join(&mut driver);
    for client in [&mut by_regex, &mut both] {
        driver.advance(Duration::from_secs(2));
        client.join(&mut driver);
    }
    driver.settle(&mut [&mut by_name, &mut by_regex, &mut both]);
    assert_eq!(by_name.owned.len() + by_regex.owned.len() + both.owned.len(), 6);
    assert_eq!(both.owned.len(), 2);

    // From the expression to nothing but names: the expression has one subscriber less, and then none.
    for client in [&mut by_regex, &mut both] {
        client.regex = Some(String::new());
        client.topics = vec!["b1".into()];
        driver.advance(Duration::from_secs(2));
        let full = client.full();
        client.hear(&driver.consumer_heartbeat(full));
        client.follow_assignment();
    }
    driver.settle(&mut [&mut by_name, &mut by_regex, &mut both]);
    assert_eq!(by_name.owned.len() + by_regex.owned.len() + both.owned.len(), 2);
    driver.coordinator.assert_consistent(true);
    let regex_key = b"\0\x10\0\x05group\0\x03a.*";
    let last = driver
        .log
        .iter()
        .rev()
        .find(|record| record.key[..] == regex_key[..])
        .expect("it was written");
    assert_eq!(last.value, None, "nobody needs it any more");
}

#[test]
fn an_expression_that_is_none_is_refused_and_leaves_no_trace() {
    let mut driver = Driver::new();
    driver.cluster.topic("events", 1);
    let (error, message) = driver.refused_heartbeat(subscriber("m1", "[").full());
    assert_eq!(error, ErrorCode::InvalidRegularExpression);
    assert!(
        message.starts_with("SubscribedTopicRegex `[` is not a valid regular expression: "),
        "{message}"
    );
    assert!(!message.contains('\n'), "{message}");
    assert_eq!(driver.coordinator.group_count(), 0);

    let mut client = subscriber("m1", "events");
    client.join(&mut driver);
    driver.advance(Duration::from_secs(2));
    client.beat(&mut driver);
    client.regex = Some("(".into());
    assert_eq!(
        driver.refused_heartbeat(client.full()).0,
        ErrorCode::InvalidRegularExpression
    );
    client.regex = Some("events".into());
    client.beat(&mut driver);
    assert_eq!(client.owned.len(), 1, "it has what it had");
}
