//! What every assignment must be, whatever the group: complete, within subscriptions, even, sticky, the same again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_protocol::{Utf8Bytes, Uuid};
use proptest::prelude::*;

use super::{Assignor, GroupSpec, MemberSpec};
use crate::assignment::Assignment;

type Assigned = BTreeMap<Utf8Bytes, Assignment>;

fn topic(number: u16) -> Uuid {
    let mut bytes = [7; 16];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    Uuid::from_bytes(bytes)
}

/// A group in which members keep subscriptions and instances while topics and targets change.
#[derive(Debug, Clone, Default)]
struct Members(BTreeMap<Utf8Bytes, (Option<Utf8Bytes>, Arc<BTreeSet<Uuid>>)>);

impl Members {
    fn assign(&self, assignor: Assignor, counts: &BTreeMap<Uuid, i32>, before: &Assigned) -> Assigned {
        let nothing = Assignment::default();
        let members = self.0.iter().map(|(id, (instance, topics))| {
            let topics = if topics.iter().all(|topic| counts.contains_key(topic)) {
                Arc::clone(topics)
            } else {
                Arc::new(
                    topics
                        .iter()
                        .filter(|topic| counts.contains_key(topic))
                        .copied()
                        .collect(),
                )
            };
            let target = before.get(id).unwrap_or(&nothing);
            (
                id.clone(),
                MemberSpec {
                    instance_id: instance.as_ref(),
                    topics,
                    target,
                },
            )
        });
        let group = GroupSpec {
            members: members.collect(),
            partition_counts: counts.clone(),
        };
        assignor.assign(&group)
    }

    fn subscribers(&self, topic: Uuid) -> impl Iterator<Item = &Utf8Bytes> {
        self.0
            .iter()
            .filter(move |(_, (_, topics))| topics.contains(&topic))
            .map(|(id, _)| id)
    }
}

/// Every partition of a topic that is subscribed to is assigned once, to a subscriber; nothing else is.
fn assert_complete(members: &Members, counts: &BTreeMap<Uuid, i32>, assigned: &Assigned) {
    assert!(assigned.keys().eq(members.0.keys()), "every member has an answer");
    let mut owners: BTreeMap<(Uuid, i32), &Utf8Bytes> = BTreeMap::new();
    for (id, assignment) in assigned {
        for (topic, partition) in assignment.partitions() {
            assert!(
                members.0[id].1.contains(&topic),
                "{id} does not subscribe to {topic}"
            );
            assert_eq!(
                owners.insert((topic, partition), id),
                None,
                "{topic}-{partition} has two owners"
            );
        }
    }
    let expected = counts
        .iter()
        .filter(|(topic, _)| members.subscribers(**topic).next().is_some())
        .flat_map(|(topic, count)| (0..*count).map(|partition| (*topic, partition)));
    assert!(owners.keys().copied().eq(expected), "{owners:?}");
}

/// No partition could go to another subscriber of its topic and make the two more equal.
fn assert_even(members: &Members, assigned: &Assigned) {
    for (id, assignment) in assigned {
        for (topic, _) in assignment.topics() {
            for other in members.subscribers(topic) {
                let other_load = assigned[other].len();
                assert!(
                    assignment.len() <= other_load + 1,
                    "{id} has {assignment:?}, {other} {other_load}"
                );
            }
        }
    }
}

/// How many partitions are not where they were.
fn moved(before: &Assigned, after: &Assigned) -> usize {
    let stayed = |id: &Utf8Bytes, topic, partition| {
        before
            .get(id)
            .is_some_and(|before| before.contains(topic, partition))
    };
    after
        .iter()
        .flat_map(|(id, assignment)| {
            assignment
                .partitions()
                .map(move |(topic, partition)| (id, topic, partition))
        })
        .filter(|(id, topic, partition)| !stayed(id, *topic, *partition))
        .count()
}

fn members(heterogeneous: bool) -> impl Strategy<Value = Members> {
    let topics = proptest::collection::btree_set(0..6_u16, 0..=6);
    let member = (proptest::option::weighted(0.3, Just(())), topics);
    (proptest::collection::vec(member, 1..12), any::<bool>()).prop_map(move |(members, _)| {
        let shared: Arc<BTreeSet<Uuid>> =
            Arc::new(members[0].1.iter().map(|number| topic(*number)).collect());
        let members = members
            .into_iter()
            .enumerate()
            .map(|(index, (instance, topics))| {
                let topics = if heterogeneous {
                    Arc::new(topics.into_iter().map(topic).collect())
                } else {
                    Arc::clone(&shared)
                };
                let instance = instance.map(|()| format!("instance-{index}").into());
                (format!("member-{index}").into(), (instance, topics))
            });
        Members(members.collect())
    })
}

fn counts() -> impl Strategy<Value = BTreeMap<Uuid, i32>> {
    proptest::collection::btree_map((0..6_u16).prop_map(topic), 1..12_i32, 0..=6)
}

proptest! {
    /// From group to group: members come and go, topics too; each assignment is made from the one before.
    #[test]
    fn assignments_are_complete_and_even_whatever_was_before(
        steps in proptest::collection::vec((any::<bool>().prop_flat_map(members), counts()), 1..6),
    ) {
        for assignor in Assignor::ALL {
            let mut before = Assigned::new();
            for (members, counts) in &steps {
                let after = members.assign(assignor, counts, &before);
                assert_complete(members, counts, &after);
                if assignor == Assignor::Uniform {
                    assert_even(members, &after);
                }
                prop_assert_eq!(&members.assign(assignor, counts, &after), &after, "an even assignment stays as it is");
                before = after;
            }
        }
    }

    /// With equal subscriptions no more partitions move than must: those that were nobody's, and what members have too much.
    #[test]
    fn uniform_moves_what_it_must_and_no_more(
        (before, after) in (members(false), members(false)),
        (counts_before, counts_after) in (counts(), counts()),
    ) {
        let assigned = before.assign(Assignor::Uniform, &counts_before, &Assigned::new());
        let again = after.assign(Assignor::Uniform, &counts_after, &assigned);
        let topics = &after.0.values().next().expect("a member").1;
        let exists = |(topic, partition): &(Uuid, i32)| {
            topics.contains(topic) && counts_after.get(topic).is_some_and(|count| partition < count)
        };
        let mut kept: Vec<usize> = after
            .0
            .keys()
            .map(|id| assigned.get(id).map_or(0, |before| before.partitions().filter(exists).count()))
            .collect();
        kept.sort_unstable_by(|a, b| b.cmp(a));
        let total: usize = again.values().map(Assignment::len).sum();
        let (quota, larger) = (total / kept.len(), total % kept.len());
        let stay: usize = kept.iter().enumerate().map(|(rank, kept)| (*kept).min(quota + usize::from(rank < larger))).sum();
        prop_assert_eq!(moved(&assigned, &again), total - stay);
    }

    /// Topics with as many partitions and the same subscribers are assigned alike; ranges are without gaps; sizes differ by one at most.
    #[test]
    fn range_co_partitions(members in any::<bool>().prop_flat_map(members), count in 1..20_i32) {
        let counts: BTreeMap<Uuid, i32> = (0..6).map(|number| (topic(number), count)).collect();
        let assigned = members.assign(Assignor::Range, &counts, &Assigned::new());
        let ranges = |topic: Uuid| -> BTreeMap<&Utf8Bytes, Vec<i32>> {
            let ranges = members.subscribers(topic).map(|id| {
                let partitions = assigned[id].partitions().filter(|(of, _)| *of == topic);
                (id, partitions.map(|(_, partition)| partition).collect())
            });
            ranges.collect()
        };
        for one in counts.keys() {
            let mine = ranges(*one);
            let sizes: BTreeSet<usize> = mine.values().map(Vec::len).collect();
            prop_assert!(sizes.last().unwrap_or(&0) - sizes.first().unwrap_or(&0) <= 1, "{:?}", mine);
            for range in mine.values() {
                prop_assert!(range.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{:?}", range);
            }
            for other in counts.keys() {
                if members.subscribers(*one).eq(members.subscribers(*other)) {
                    prop_assert_eq!(&mine, &ranges(*other));
                }
            }
        }
    }
}

#[test]
fn static_members_keep_their_range_when_they_come_back_under_another_id() {
    let topics: Arc<BTreeSet<Uuid>> = Arc::new([topic(0)].into());
    let counts = BTreeMap::from([(topic(0), 7)]);
    let group = |ids: [&str; 3]| {
        let instances = [Some("b"), Some("a"), None];
        let members = ids.into_iter().zip(instances);
        Members(
            members
                .map(|(id, instance)| (id.into(), (instance.map(Into::into), Arc::clone(&topics))))
                .collect(),
        )
    };
    let first = group(["m1", "m2", "m3"]).assign(Assignor::Range, &counts, &Assigned::new());
    let again = group(["x1", "m2", "m3"]).assign(Assignor::Range, &counts, &Assigned::new());
    assert_eq!(first["m1"], again["x1"]);
    assert_eq!(
        first["m2"]
            .partitions()
            .map(|(_, partition)| partition)
            .collect::<Vec<_>>(),
        [0, 1, 2],
        "instance a"
    );
    assert_eq!(
        first["m3"]
            .partitions()
            .map(|(_, partition)| partition)
            .collect::<Vec<_>>(),
        [5, 6],
        "no instance"
    );
}

/// 1,000 members, 10,000 partitions: from nothing, and when one leaves. The bound is for a build without optimization on a busy machine.
#[test]
fn large_groups_are_assigned_in_bounded_time() {
    let counts: BTreeMap<Uuid, i32> = (0..100).map(|number| (topic(number), 100)).collect();
    for heterogeneous in [false, true] {
        let all: Arc<BTreeSet<Uuid>> = Arc::new(counts.keys().copied().collect());
        let half: Arc<BTreeSet<Uuid>> = Arc::new(counts.keys().copied().take(50).collect());
        let members = (0..1_000).map(|index| {
            let topics = if heterogeneous && index % 2 == 0 {
                &half
            } else {
                &all
            };
            (format!("member-{index}").into(), (None, Arc::clone(topics)))
        });
        let mut members = Members(members.collect());
        for assignor in Assignor::ALL {
            let started = Instant::now();
            let first = members.assign(assignor, &counts, &Assigned::new());
            assert_complete(&members, &counts, &first);
            let gone = members.0.pop_last().expect("a thousand");
            let second = members.assign(assignor, &counts, &first);
            assert_complete(&members, &counts, &second);
            if assignor == Assignor::Uniform {
                assert_eq!(
                    moved(&first, &second),
                    first[&gone.0].len(),
                    "what the one had, and no more"
                );
            }
            members.0.insert(gone.0, gone.1);
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "{assignor}: {:?}",
                started.elapsed()
            );
        }
    }
}
