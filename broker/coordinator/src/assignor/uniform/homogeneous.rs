//! All members subscribe to the same topics: the numbers of partitions differ by one at most, and no partition moves that need not.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use forebay_protocol::{Utf8Bytes, Uuid};

use super::super::GroupSpec;
use crate::assignment::Assignment;

pub(super) fn assign(group: &GroupSpec<'_>) -> BTreeMap<Utf8Bytes, Assignment> {
    let Some(topics) = group.members.values().next().map(|member| &member.topics) else {
        return BTreeMap::new();
    };
    let mut unassigned: BTreeSet<(Uuid, i32)> = topics
        .iter()
        .flat_map(|topic| (0..group.partition_count(*topic)).map(|partition| (*topic, partition)))
        .collect();
    let total = unassigned.len();
    let mut shares: Vec<(&Utf8Bytes, Vec<(Uuid, i32)>)> = group
        .members
        .iter()
        .map(|(id, member)| {
            let kept = member
                .target
                .partitions()
                .filter(|partition| unassigned.remove(partition));
            (id, kept.collect())
        })
        .collect();
    // Those who have most get the larger share: then nothing is taken from them that another would have to be given in its place.
    shares.sort_by_key(|(_, kept)| Reverse(kept.len()));
    let quota = total / shares.len();
    let larger = total % shares.len();
    let quotas = || (0..).map(|rank| quota + usize::from(rank < larger));
    for ((_, kept), quota) in shares.iter_mut().zip(quotas()) {
        unassigned.extend(kept.drain(quota.min(kept.len())..));
    }
    let mut unassigned = unassigned.into_iter();
    let filled = shares.into_iter().zip(quotas()).map(|((id, mut kept), quota)| {
        kept.extend(unassigned.by_ref().take(quota - kept.len()));
        (id.clone(), kept.into_iter().collect())
    });
    filled.collect()
}
