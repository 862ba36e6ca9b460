//! What the topics of a group amount to: a number that changes when one of them is created, deleted or gets partitions. It is Kafka's
//! (`Utils.computeGroupHash`, XXH3 over the values as hash4j streams them), so that a group taken over from a log needs no rebalance.

use forebay_protocol::Utf8Bytes;
use twox_hash::XxHash3_64;

use super::ClusterImage;

/// The first byte of what is hashed for a topic: which way of hashing it is.
const TOPIC_HASH_MAGIC: u8 = 0;

/// The hash of these topics, in order of their names; those that do not exist do not count. 0 for none.
pub(super) fn metadata_hash<'a>(
    topics: impl Iterator<Item = &'a Utf8Bytes>,
    image: &dyn ClusterImage,
) -> i64 {
    let mut bytes = Vec::new();
    for hash in topics.filter_map(|topic| topic_hash(topic, image)) {
        bytes.extend(hash.to_le_bytes());
    }
    if bytes.is_empty() {
        0
    } else {
        XxHash3_64::oneshot(&bytes).cast_signed()
    }
}

fn topic_hash(name: &str, image: &dyn ClusterImage) -> Option<u64> {
    let topic = image.topic(name)?;
    let mut bytes = vec![TOPIC_HASH_MAGIC];
    // Two numbers, each written from its lowest byte up.
    for half in topic.id.to_bytes().chunks(8) {
        bytes.extend(half.iter().rev());
    }
    put_string(&mut bytes, name);
    bytes.extend(topic.partition_count.to_le_bytes());
    for partition in 0..topic.partition_count {
        bytes.extend(partition.to_le_bytes());
        let mut racks = image.partition_racks(name, partition);
        racks.sort_unstable();
        for rack in racks {
            bytes.extend(units(&rack).to_le_bytes());
            put_string(&mut bytes, &rack);
        }
    }
    Some(XxHash3_64::oneshot(&bytes))
}

/// As Java holds it: UTF-16, then how long it was.
fn put_string(bytes: &mut Vec<u8>, text: &str) {
    for unit in text.encode_utf16() {
        bytes.extend(unit.to_le_bytes());
    }
    bytes.extend(units(text).to_le_bytes());
}

fn units(text: &str) -> u32 {
    u32::try_from(text.encode_utf16().count()).unwrap_or(u32::MAX)
}
