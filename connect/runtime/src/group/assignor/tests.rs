//! The leader's decisions, as stories after KIP-415.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use forebay_connect_api::TaskId;

use super::*;

fn tasks(connector: &str, count: u32) -> Work {
    let name: std::sync::Arc<str> = connector.into();
    Work {
        connectors: [name.clone()].into(),
        tasks: (0..count)
            .map(|task| TaskId {
                connector: name.clone(),
                task,
            })
            .collect(),
    }
}

/// A group whose members do what they are told.
struct Group {
    assignor: Assignor,
    members: BTreeMap<String, Work>,
    configured: Work,
    generation: i32,
    now: Instant,
}

impl Group {
    fn new(delay_max: u64, members: &[&str], configured: Work) -> Self {
        Self {
            assignor: Assignor::new(Duration::from_secs(delay_max)),
            members: members
                .iter()
                .map(|name| ((*name).to_owned(), Work::default()))
                .collect(),
            configured,
            generation: 0,
            now: Instant::now(),
        }
    }

    fn add(&mut self, name: &str) {
        self.members.insert(name.to_owned(), Work::default());
    }

    fn round(&mut self) -> Shares {
        let round = Round {
            configured: &self.configured,
            members: &self.members,
            last_generation: self.generation,
            generation: self.generation + 1,
        };
        let shares = self.assignor.assign(&round, self.now);
        self.generation += 1;
        for (member, share) in &shares.members {
            let has = self.members.get_mut(member).expect("only members get something");
            has.remove(&share.revoked);
            has.extend(&share.assigned);
            assert_eq!(*has, share.all);
        }
        shares
    }

    /// How many connectors and tasks each has.
    fn loads(&self) -> Vec<(usize, usize)> {
        self.members
            .values()
            .map(|work| (work.connectors.len(), work.tasks.len()))
            .collect()
    }
}

fn revoked(shares: &Shares) -> usize {
    let counts = shares.members.values().map(|share| &share.revoked);
    counts.map(|work| work.connectors.len() + work.tasks.len()).sum()
}

#[test]
fn a_new_worker_gets_its_share_in_the_round_after_it_was_taken() {
    let mut group = Group::new(300, &["a"], Work::union([&tasks("c", 4), &tasks("d", 4)]));
    assert_eq!(revoked(&group.round()), 0);
    assert_eq!(group.loads(), [(2, 8)]);
    group.add("b");
    assert_eq!(revoked(&group.round()), 5);
    assert_eq!(group.loads(), [(1, 4), (0, 0)]);
    assert_eq!(revoked(&group.round()), 0);
    assert_eq!(group.loads(), [(1, 4), (1, 4)]);
    let before = group.members.clone();
    group.round();
    assert_eq!(group.members, before);
}

#[test]
fn a_departed_workers_tasks_wait_for_it_as_long_as_they_are_told_to() {
    for (delay_max, loads) in [(0, [(1, 4)]), (300, [(1, 2)])] {
        let mut group = Group::new(delay_max, &["a", "b"], tasks("c", 4));
        group.round();
        assert_eq!(group.loads(), [(1, 2), (0, 2)]);
        group.members.remove("b");
        let shares = group.round();
        assert_eq!(shares.delay, Duration::from_secs(delay_max));
        assert_eq!(group.loads(), loads, "{delay_max}");
        if delay_max > 0 {
            // Another joins meanwhile: it may be the departed one, and gets all of it.
            group.add("b2");
            group.now += Duration::from_secs(100);
            assert_eq!(group.round().delay, Duration::from_secs(200));
            group.now += Duration::from_secs(200);
            assert_eq!(group.round().delay, Duration::ZERO);
            assert_eq!(group.loads(), [(1, 2), (0, 2)]);
        }
    }
}

#[test]
fn what_is_deleted_is_taken_and_what_is_new_is_given_to_those_with_the_least() {
    let mut group = Group::new(0, &["a", "b", "c"], Work::union([&tasks("c", 3), &tasks("d", 3)]));
    group.round();
    assert_eq!(group.loads(), [(1, 2), (1, 2), (0, 2)]);
    group.configured = Work::union([&tasks("c", 3), &tasks("e", 3)]);
    assert_eq!(revoked(&group.round()), 4);
    let all = Work::union(group.members.values());
    assert_eq!(all, group.configured);
    group.round();
    assert_eq!(group.loads(), [(1, 2), (1, 2), (0, 2)]);
}

#[test]
fn what_two_claim_is_taken_from_both_and_then_given_to_one() {
    let mut group = Group::new(0, &["a", "b"], tasks("c", 2));
    group.members = [("a".to_owned(), tasks("c", 2)), ("b".to_owned(), tasks("c", 2))].into();
    assert_eq!(revoked(&group.round()), 6);
    group.round();
    assert_eq!(group.loads(), [(1, 1), (0, 1)]);
}

#[test]
fn an_assignment_that_did_not_arrive_is_given_again() {
    let mut group = Group::new(300, &["a", "b"], tasks("c", 4));
    group.round();
    // It never heard of it.
    group.members.insert("b".to_owned(), Work::default());
    assert_eq!(group.round().delay, Duration::ZERO);
    assert_eq!(group.loads(), [(1, 2), (0, 2)]);
    // Nor did the leader: what it remembers is of no use.
    group.generation += 1;
    group.members.insert("b".to_owned(), Work::default());
    group.round();
    assert_eq!(group.loads(), [(1, 2), (0, 2)]);
}

#[test]
fn the_old_protocol_gives_each_its_turn() {
    let members: BTreeSet<String> = ["a".to_owned(), "b".to_owned()].into();
    let shares = assign_eagerly(&Work::union([&tasks("c", 2), &tasks("d", 1)]), &members);
    let of = |member: &str| {
        let share = &shares.members[member];
        assert_eq!((&share.all, share.revoked.is_empty()), (&share.assigned, true));
        let tasks = share.all.tasks.iter().map(ToString::to_string);
        (share.all.connectors.len(), tasks.collect::<Vec<_>>().join(" "))
    };
    assert_eq!(of("a"), (1, "c-0 d-0".to_owned()));
    assert_eq!(of("b"), (1, "c-1".to_owned()));
    assert!(
        assign_eagerly(&Work::default(), &BTreeSet::new())
            .members
            .is_empty()
    );
}
