//! Which topics a consumer's metadata names: the one place where we look into what otherwise only members understand.

use std::collections::BTreeSet;

use bytes::Bytes;
use forebay_protocol::messages::ConsumerProtocolSubscription;
use forebay_protocol::{Message, Reader, Utf8Bytes};

/// The topics of a consumer protocol subscription; `None` if it is none. Every version opens as version 0 does, so that is what is read,
/// and whatever follows is none of our business.
pub(crate) fn subscribed_topics(metadata: &Bytes) -> Option<BTreeSet<Utf8Bytes>> {
    let mut reader = Reader::new(metadata.clone());
    // The version. Kafka takes any that fits into two bytes.
    reader.i16().ok()?;
    let subscription = ConsumerProtocolSubscription::decode(&mut reader, 0).ok()?;
    Some(subscription.topics.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::subscribed_topics;
    use bytes::Bytes;

    #[test]
    fn topics_are_read_from_any_version_and_garbage_is_told_apart() {
        let topics = |bytes: &'static [u8]| {
            let topics = subscribed_topics(&Bytes::from_static(bytes))?;
            Some(topics.iter().map(|topic| topic.to_string()).collect::<Vec<_>>())
        };
        let version_0 = b"\0\0\0\0\0\x02\0\x01a\0\x02bc\xff\xff\xff\xff";
        let version_9 = b"\0\x09\0\0\0\x01\0\x01a\0\0\0\x01xand what is not yet invented";
        assert_eq!(topics(version_0), Some(vec!["a".into(), "bc".into()]));
        assert_eq!(topics(version_9), Some(vec!["a".into()]));
        assert_eq!(topics(b"\0\0\0\0\0\0\xff\xff\xff\xff"), Some(vec![]));
        for garbage in [
            &b""[..],
            b"\0",
            b"\0\0",
            b"sticky",
            b"\0\0\x7f\xff\xff\xff\0\x01a",
            b"\0\0\0\0\0\x01\0\x05ab",
        ] {
            assert_eq!(
                subscribed_topics(&Bytes::from_static(garbage)),
                None,
                "{garbage:?}"
            );
        }
    }
}
