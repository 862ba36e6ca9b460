//! `roundrobin`: all partitions of all topics in turn to the members that want their topic.

use super::{Assignment, Member, PartitionCounts, partitions};

pub(super) fn assign(counts: &PartitionCounts, members: &[Member]) -> Assignment {
    let mut assignment = Assignment::new();
    let mut turn = 0;
    for (topic, count) in counts {
        if !members.iter().any(|member| member.topics.contains(topic)) {
            continue;
        }
        for partition in partitions(topic, *count) {
            while !members[turn % members.len()].topics.contains(topic) {
                turn += 1;
            }
            let member = &members[turn % members.len()];
            assignment
                .entry(member.member_id.clone())
                .or_default()
                .push(partition);
            turn += 1;
        }
    }
    assignment
}
