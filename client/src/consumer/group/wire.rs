//! What members tell each other through the coordinator, which does not look into it (Kafka's `ConsumerProtocol`):
//! a version, then a subscription or an assignment. Newer members are read as far as we know their version.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use forebay_protocol::{
    Message, Reader, TopicPartition, Utf8Bytes, Writer, decode,
    messages::{
        ConsumerProtocolAssignment, ConsumerProtocolSubscription, consumer_protocol_assignment,
        consumer_protocol_subscription,
    },
};

use super::assignor::{Assignor, Member};

/// What a member says when it joins.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    pub(super) topics: Vec<String>,
    pub(super) owned: Vec<TopicPartition>,
    pub(super) last_owned: Vec<TopicPartition>,
    pub(super) generation_id: i32,
}

/// The subscription for one of the assignors.
pub(super) fn encode_subscription(assignor: Assignor, said: &Said) -> Bytes {
    let cooperative = assignor.is_cooperative();
    let owned = by_topic(&said.owned)
        .into_iter()
        .map(|(topic, partitions)| consumer_protocol_subscription::TopicPartition { topic, partitions });
    let subscription = ConsumerProtocolSubscription {
        topics: said.topics.iter().map(Utf8Bytes::from).collect(),
        user_data: user_data(assignor, said),
        // Who gives everything up before he joins has nothing.
        owned_partitions: if cooperative { owned.collect() } else { Vec::new() },
        generation_id: said.generation_id,
        ..Default::default()
    };
    versioned(&subscription)
}

/// What the sticky assignors of Kafka put beside the subscription: `sticky` what the member had, for it has given it up,
/// both the generation.
fn user_data(assignor: Assignor, said: &Said) -> Option<Bytes> {
    let mut writer = Writer::new();
    match assignor {
        Assignor::Range | Assignor::RoundRobin => return None,
        Assignor::CooperativeSticky => {}
        Assignor::Sticky => {
            let topics = by_topic(&said.last_owned);
            writer
                .array_length("previousAssignment", topics.len(), false)
                .ok()?;
            for (topic, partitions) in topics {
                writer.string("topic", &topic, false).ok()?;
                writer.array_length("partitions", partitions.len(), false).ok()?;
                partitions.into_iter().for_each(|partition| writer.i32(partition));
            }
        }
    }
    writer.i32(said.generation_id);
    writer.finish_bytes().ok()
}

/// A member as its subscription for `assignor` describes it.
pub(super) fn decode_subscription(
    assignor: Assignor,
    member_id: &str,
    group_instance_id: Option<&str>,
    bytes: Bytes,
) -> Result<Member, decode::Error> {
    let subscription: ConsumerProtocolSubscription = unversioned(bytes)?;
    let mut owned = Vec::new();
    for topic in subscription.owned_partitions {
        let name = topic.topic.detach();
        owned.extend(topic.partitions.into_iter().map(|partition| TopicPartition {
            topic: name.clone(),
            partition,
        }));
    }
    let mut generation_id = subscription.generation_id;
    if assignor == Assignor::Sticky
        && let Some((previous, generation)) = subscription.user_data.and_then(decode_sticky)
    {
        (owned, generation_id) = (previous, generation);
    }
    Ok(Member {
        member_id: member_id.to_owned(),
        group_instance_id: group_instance_id.map(str::to_owned),
        topics: subscription.topics.into_iter().map(String::from).collect(),
        owned,
        generation_id,
    })
}

/// What Kafka's sticky assignor wrote; its first version had no generation. Nothing, if it cannot be read: it only helps.
fn decode_sticky(bytes: Bytes) -> Option<(Vec<TopicPartition>, i32)> {
    let mut reader = Reader::new(bytes);
    let topics = reader.array("previousAssignment", false, 6, |reader| {
        let topic = reader.string("topic", false)?.detach();
        let partitions = reader.array("partitions", false, 4, Reader::i32)?;
        Ok(partitions.into_iter().map(move |partition| TopicPartition {
            topic: topic.clone(),
            partition,
        }))
    });
    let owned = topics.ok()?.into_iter().flatten().collect();
    Some((owned, reader.i32().unwrap_or(-1)))
}

/// What a member gets.
pub(super) fn encode_assignment(partitions: &[TopicPartition]) -> Bytes {
    let assigned = by_topic(partitions)
        .into_iter()
        .map(|(topic, partitions)| consumer_protocol_assignment::TopicPartition { topic, partitions });
    versioned(&ConsumerProtocolAssignment {
        assigned_partitions: assigned.collect(),
        ..Default::default()
    })
}

/// What the leader gave us. No bytes at all are an empty assignment.
pub(super) fn decode_assignment(bytes: Bytes) -> Result<Vec<TopicPartition>, decode::Error> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let assignment: ConsumerProtocolAssignment = unversioned(bytes)?;
    let mut partitions = Vec::new();
    for topic in assignment.assigned_partitions {
        let name = topic.topic.detach();
        let numbers = topic.partitions.into_iter();
        partitions.extend(numbers.map(|partition| TopicPartition {
            topic: name.clone(),
            partition,
        }));
    }
    partitions.sort_unstable();
    partitions.dedup();
    Ok(partitions)
}

fn by_topic(partitions: &[TopicPartition]) -> BTreeMap<Utf8Bytes, Vec<i32>> {
    let mut topics: BTreeMap<Utf8Bytes, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        topics
            .entry(partition.topic.clone())
            .or_default()
            .push(partition.partition);
    }
    topics
}

fn versioned<M: Message>(message: &M) -> Bytes {
    let version = *M::VERSIONS.end();
    let body = message
        .to_bytes(version)
        .expect("names and numbers fit, and there are no records in it");
    let mut bytes = BytesMut::with_capacity(2 + body.len());
    bytes.extend_from_slice(&version.to_be_bytes());
    bytes.extend_from_slice(&body);
    bytes.freeze()
}

fn unversioned<M: Message>(bytes: Bytes) -> Result<M, decode::Error> {
    let mut reader = Reader::new(bytes);
    // A later version has more behind what we know.
    let version = reader.i16()?.clamp(*M::VERSIONS.start(), *M::VERSIONS.end());
    M::decode(&mut reader, version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> Said {
        let owned = vec![
            TopicPartition::new("a", 0),
            TopicPartition::new("a", 2),
            TopicPartition::new("b", 1),
        ];
        Said {
            topics: vec!["a".to_owned(), "b".to_owned()],
            last_owned: owned.clone(),
            owned,
            generation_id: 7,
        }
    }

    #[test]
    fn subscriptions_tell_each_assignor_what_it_needs() {
        for (assignor, knows) in [
            (Assignor::Range, false),
            (Assignor::RoundRobin, false),
            (Assignor::Sticky, true),
            (Assignor::CooperativeSticky, true),
        ] {
            let bytes = encode_subscription(assignor, &said());
            let member = decode_subscription(assignor, "m", Some("i"), bytes).expect("our own");
            assert_eq!(member.topics, ["a".to_owned(), "b".to_owned()].into());
            assert_eq!(member.group_instance_id.as_deref(), Some("i"));
            assert_eq!(member.generation_id, 7);
            assert_eq!(
                member.owned,
                if knows { said().owned } else { Vec::new() },
                "{assignor:?}"
            );
        }
    }

    #[test]
    fn assignments_come_back_sorted() {
        let mut partitions = said().owned;
        partitions.reverse();
        assert_eq!(
            decode_assignment(encode_assignment(&partitions)).expect("our own"),
            said().owned
        );
        assert_eq!(decode_assignment(Bytes::new()).expect("nothing"), []);
        assert!(decode_assignment(Bytes::from_static(&[0, 0, 0, 0, 0, 9])).is_err());
    }

    /// As `ConsumerProtocol.serializeSubscription` wrote it for version 0, and a version that is yet to come.
    #[test]
    fn older_and_newer_members_are_understood() {
        let oldest = [0, 0, 0, 0, 0, 1, 0, 1, b't', 0xff, 0xff, 0xff, 0xff];
        let newest = [
            0, 9, 0, 0, 0, 1, 0, 1, b't', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 3, 0xff, 0xff, 1, 2, 3,
        ];
        for (bytes, generation) in [(&oldest[..], -1), (&newest[..], 3)] {
            let bytes = Bytes::copy_from_slice(bytes);
            let member = decode_subscription(Assignor::Range, "m", None, bytes).expect("sound");
            assert_eq!(
                (member.topics, member.generation_id),
                (["t".to_owned()].into(), generation)
            );
        }
    }
}
