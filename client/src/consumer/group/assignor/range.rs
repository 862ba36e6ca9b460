//! `range`: of each topic, consecutive partitions to each member, the first members getting one more where it does not
//! divide evenly. Topics with equal partition counts are shared out alike, so that they can be joined.

use super::{Assignment, Member, PartitionCounts, partitions};

pub(super) fn assign(counts: &PartitionCounts, members: &[Member]) -> Assignment {
    let mut assignment = Assignment::new();
    for (topic, count) in counts {
        let subscribed: Vec<&Member> = members
            .iter()
            .filter(|member| member.topics.contains(topic))
            .collect();
        if subscribed.is_empty() {
            continue;
        }
        let (each, more) = (count / subscribed.len(), count % subscribed.len());
        let mut all = partitions(topic, *count);
        for (index, member) in subscribed.iter().enumerate() {
            let share = each + usize::from(index < more);
            assignment
                .entry(member.member_id.clone())
                .or_default()
                .extend(all.by_ref().take(share));
        }
    }
    assignment
}
