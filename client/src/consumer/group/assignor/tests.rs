//! Who gets what: Kafka's examples for range and roundrobin, properties for the sticky ones.

use proptest::prelude::*;

use super::*;

fn counts(topics: &[(&str, usize)]) -> PartitionCounts {
    topics
        .iter()
        .map(|(topic, count)| ((*topic).to_owned(), *count))
        .collect()
}

fn member(id: &str, topics: &[&str]) -> Member {
    Member {
        member_id: id.to_owned(),
        topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        generation_id: -1,
        ..Member::default()
    }
}

fn shown(assignment: &Assignment) -> Vec<(&str, String)> {
    let list = |partitions: &[TopicPartition]| {
        partitions
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assignment
        .iter()
        .map(|(id, partitions)| (id.as_str(), list(partitions)))
        .collect()
}

#[test]
fn range_gives_neighbours_topic_by_topic() {
    let members = [
        member("b", &["t0", "t1"]),
        member("a", &["t0", "t1"]),
        member("c", &["t1"]),
    ];
    let assignment = Assignor::Range.assign(&counts(&[("t0", 3), ("t1", 3), ("other", 9)]), &members);
    let expected = [("a", "t0-0 t0-1 t1-0"), ("b", "t0-2 t1-1"), ("c", "t1-2")];
    assert_eq!(
        shown(&assignment),
        expected.map(|(id, list)| (id, list.to_owned()))
    );
}

#[test]
fn static_members_come_first_by_their_instance_ids() {
    let mut members = [member("a", &["t"]), member("z", &["t"]), member("y", &["t"])];
    members[1].group_instance_id = Some("1".to_owned());
    members[2].group_instance_id = Some("2".to_owned());
    let assignment = Assignor::Range.assign(&counts(&[("t", 4)]), &members);
    let expected = [("a", "t-3"), ("y", "t-2"), ("z", "t-0 t-1")];
    assert_eq!(
        shown(&assignment),
        expected.map(|(id, list)| (id, list.to_owned()))
    );
}

#[test]
fn round_robin_takes_turns_over_all_topics() {
    let members = [
        member("a", &["t0"]),
        member("b", &["t0", "t1"]),
        member("c", &["t0", "t1", "t2"]),
    ];
    let assignment = Assignor::RoundRobin.assign(&counts(&[("t0", 1), ("t1", 2), ("t2", 3)]), &members);
    let expected = [("a", "t0-0"), ("b", "t1-0"), ("c", "t1-1 t2-0 t2-1 t2-2")];
    assert_eq!(
        shown(&assignment),
        expected.map(|(id, list)| (id, list.to_owned()))
    );
}

#[test]
fn cooperative_members_give_up_before_others_get() {
    let mut members = [member("a", &["t"]), member("b", &["t"])];
    members[0].owned = partitions("t", 4).collect();
    members[0].generation_id = 1;
    let counts = counts(&[("t", 4)]);
    let first = Assignor::CooperativeSticky.assign(&counts, &members);
    assert_eq!(
        (first["a"].len(), first["b"].len()),
        (2, 0),
        "b waits for what a gives up"
    );
    members[0].owned.clone_from(&first["a"]);
    let second = Assignor::CooperativeSticky.assign(&counts, &members);
    assert_eq!(second["a"], first["a"]);
    assert_eq!(second["b"].len(), 2);
}

#[test]
fn of_two_claims_the_later_generation_counts() {
    let mut members = [member("a", &["t"]), member("b", &["t"])];
    for (member, generation) in members.iter_mut().zip([1, 2]) {
        member.owned = vec![TopicPartition::new("t", 0)];
        member.generation_id = generation;
    }
    let assignment = Assignor::Sticky.assign(&counts(&[("t", 2)]), &members);
    assert_eq!(
        shown(&assignment),
        [("a", "t-1".to_owned()), ("b", "t-0".to_owned())]
    );
}

fn anything() -> impl Strategy<Value = (PartitionCounts, Vec<Member>)> {
    let topics = proptest::collection::vec(0_usize..12, 1..5);
    let members = proptest::collection::vec(proptest::collection::vec(any::<bool>(), 5), 1..6);
    (topics, members).prop_map(|(topics, members)| {
        let name = |index: usize| format!("t{index}");
        let counts = topics
            .iter()
            .enumerate()
            .map(|(index, count)| (name(index), *count))
            .collect();
        let members = members.into_iter().enumerate().map(|(index, wants)| Member {
            member_id: format!("m{index}"),
            topics: wants
                .iter()
                .enumerate()
                .filter(|(_, wants)| **wants)
                .map(|(index, _)| name(index))
                .collect(),
            generation_id: -1,
            ..Member::default()
        });
        (counts, members.collect())
    })
}

fn check_complete(counts: &PartitionCounts, members: &[Member], assignment: &Assignment) {
    let wanted = |topic: &str| members.iter().any(|member| member.topics.contains(topic));
    let all: Vec<TopicPartition> = counts
        .iter()
        .filter(|(topic, _)| wanted(topic))
        .flat_map(|(topic, count)| partitions(topic, *count))
        .collect();
    let mut assigned: Vec<TopicPartition> = assignment.values().flatten().cloned().collect();
    assigned.sort_unstable();
    assert_eq!(assigned, all, "each partition that somebody wants has one owner");
    for member in members {
        assert!(
            assignment[&member.member_id]
                .iter()
                .all(|partition| member.topics.contains(&*partition.topic))
        );
    }
}

/// The members of the next round, with what they have now.
fn next_round(members: &[Member], assignment: &Assignment, generation: i32) -> Vec<Member> {
    let next = members.iter().map(|member| Member {
        owned: assignment.get(&member.member_id).cloned().unwrap_or_default(),
        generation_id: generation,
        ..member.clone()
    });
    next.collect()
}

proptest! {
    #[test]
    fn everything_wanted_has_one_owner((counts, members) in anything()) {
        for assignor in [Assignor::Range, Assignor::RoundRobin, Assignor::Sticky, Assignor::CooperativeSticky] {
            let assignment = assignor.assign(&counts, &members);
            check_complete(&counts, &members, &assignment);
            let mut reversed = members.clone();
            reversed.reverse();
            prop_assert_eq!(assignor.assign(&counts, &reversed), assignment);
        }
    }

    /// Nothing changes for no reason; when one leaves, the others keep what they had; when all want the same, loads differ
    /// by one at most.
    #[test]
    fn sticky_keeps_and_balances((counts, members) in anything(), equal: bool) {
        let mut members = members;
        if equal {
            let all: BTreeSet<String> = counts.keys().cloned().collect();
            members.iter_mut().for_each(|member| member.topics = all.clone());
        }
        let first = Assignor::Sticky.assign(&counts, &members);
        let again = next_round(&members, &first, 1);
        prop_assert_eq!(&Assignor::Sticky.assign(&counts, &again), &first);
        if equal {
            let loads: Vec<usize> = first.values().map(Vec::len).collect();
            prop_assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1);
            if again.len() > 1 {
                let rest = &again[1..];
                let after = Assignor::Sticky.assign(&counts, rest);
                check_complete(&counts, rest, &after);
                for member in rest {
                    let kept = member.owned.iter().all(|partition| after[&member.member_id].contains(partition));
                    prop_assert!(kept, "{:?} had {:?}", member.member_id, member.owned);
                }
            }
        }
    }

    /// However it began, a few cooperative rounds end in a complete and stable assignment, and no partition ever has two.
    #[test]
    fn cooperative_rounds_end((counts, members) in anything(), newcomer: bool) {
        let before = if newcomer { &members[1..] } else { &members[..] };
        let first = Assignor::CooperativeSticky.assign(&counts, before);
        let mut members = next_round(&members, &first, 1);
        for generation in 2..6 {
            let assignment = Assignor::CooperativeSticky.assign(&counts, &members);
            let mut owners = BTreeMap::new();
            for (id, partitions) in &assignment {
                for partition in partitions {
                    prop_assert!(owners.insert(partition.clone(), id.clone()).is_none());
                    let other = members.iter().find(|member| &member.member_id != id && member.owned.contains(partition));
                    prop_assert!(other.is_none(), "{partition} is still owned by {:?}", other);
                }
            }
            members = next_round(&members, &assignment, generation);
        }
        let last: Assignment = members.iter().map(|member| (member.member_id.clone(), member.owned.clone())).collect();
        check_complete(&counts, &members, &last);
    }
}
