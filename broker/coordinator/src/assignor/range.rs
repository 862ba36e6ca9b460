//! `range`: each topic is cut into one range for each of its subscribers, the first ones larger by one. Members stand in the same order for
//! every topic, so topics with as many partitions and the same subscribers are co-partitioned.

use std::collections::BTreeMap;

use forebay_protocol::{Utf8Bytes, Uuid};

use super::{GroupSpec, MemberSpec};
use crate::assignment::Assignment;

/// What is left of a topic while its subscribers take their ranges.
struct Rest {
    next: i32,
    partitions: i32,
    subscribers: i32,
}

impl Rest {
    /// The next subscriber's range: what is left, divided by those who are left, rounded up.
    fn take(&mut self) -> std::ops::Range<i32> {
        let left = self.partitions - self.next;
        let count = left / self.subscribers + i32::from(left % self.subscribers > 0);
        self.subscribers -= 1;
        let start = self.next;
        self.next += count;
        start..self.next
    }
}

pub(super) fn assign(group: &GroupSpec<'_>) -> BTreeMap<Utf8Bytes, Assignment> {
    let mut rests: BTreeMap<Uuid, Rest> = BTreeMap::new();
    for topic in group.members.values().flat_map(|member| member.topics.iter()) {
        let rest = rests.entry(*topic).or_insert_with(|| Rest {
            next: 0,
            partitions: group.partition_count(*topic),
            subscribers: 0,
        });
        rest.subscribers += 1;
    }
    let mut members: Vec<(&Utf8Bytes, &MemberSpec<'_>)> = group.members.iter().collect();
    // Static members come first and by their instance: they keep their ranges when they come back under another member id.
    members.sort_by_key(|(id, member)| (member.instance_id.is_none(), member.instance_id, *id));
    let ranges = members.into_iter().map(|(id, member)| {
        let mut assignment = Assignment::default();
        for topic in member.topics.iter() {
            let range = rests.get_mut(topic).map(Rest::take).unwrap_or_default();
            for partition in range {
                assignment.insert(*topic, partition);
            }
        }
        (id.clone(), assignment)
    });
    ranges.collect()
}
