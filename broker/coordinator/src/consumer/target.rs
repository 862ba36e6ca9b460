//! The next target assignment of a group (Kafka's `TargetAssignmentBuilder`): what an assignor makes of members, subscriptions and topics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use forebay_protocol::{Utf8Bytes, Uuid};

use super::{ClusterImage, ConsumerGroup};
use crate::Assignor;
use crate::assignment::Assignment;
use crate::assignor::{GroupSpec, MemberSpec};

/// Names and regular expression.
type Subscription<'a> = (&'a BTreeSet<Utf8Bytes>, Option<&'a Utf8Bytes>);

/// The members whose target is another than before, each with its new one.
pub(crate) fn next_target(
    group: &ConsumerGroup,
    image: &dyn ClusterImage,
    assignor: Assignor,
) -> Vec<(Utf8Bytes, Arc<Assignment>)> {
    let nothing = Assignment::default();
    let mut spec = GroupSpec::default();
    // Most members subscribe to the same as others do: that is looked up once.
    let mut known: BTreeMap<Subscription<'_>, Arc<BTreeSet<Uuid>>> = BTreeMap::new();
    for (id, member) in group.members() {
        let subscription = (&member.metadata.subscribed_topics, member.metadata.regex());
        let topics = known.entry(subscription).or_insert_with(|| {
            let mut topics = BTreeSet::new();
            for topic in group.topics_of(member).filter_map(|name| image.topic(name)) {
                spec.partition_counts.insert(topic.id, topic.partition_count);
                topics.insert(topic.id);
            }
            Arc::new(topics)
        });
        let member = MemberSpec {
            instance_id: member.metadata.instance_id.as_ref(),
            topics: Arc::clone(topics),
            target: group.target(id).map_or(&nothing, |target| &**target),
        };
        spec.members.insert(id.clone(), member);
    }
    let assigned = assignor.assign(&spec).into_iter();
    assigned
        .filter(|(id, target)| group.target(id).is_none_or(|before| **before != *target))
        .map(|(id, target)| (id, Arc::new(target)))
        .collect()
}
