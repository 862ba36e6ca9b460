//! What members of the classic protocol say and are told, in the embedded consumer protocol (`ConsumerProtocol`): the coordinator speaks it
//! when such a member is in a consumer group, or a group goes from one protocol to the other.

use bytes::Bytes;
use forebay_protocol::messages::consumer_protocol_assignment::TopicPartition;
use forebay_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use forebay_protocol::{Message, Reader, Utf8Bytes, Writer, decode};

use super::ClusterImage;
use crate::assignment::Assignment;

/// The version that a text of version `said` is read in: one that is not known yet opens as the last that is.
fn version_of<M: Message>(reader: &mut Reader) -> Result<i16, decode::Error> {
    let said = reader.i16()?;
    Ok(said.clamp(*M::VERSIONS.start(), *M::VERSIONS.end()))
}

/// What a member subscribes to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ConsumerSubscription {
    /// The version that the member speaks, and is spoken to in.
    pub(crate) version: i16,
    pub(crate) topics: Vec<Utf8Bytes>,
    pub(crate) rack_id: Option<Utf8Bytes>,
    owned: Vec<(Utf8Bytes, Vec<i32>)>,
}

impl ConsumerSubscription {
    /// Reads the metadata of a protocol. Strings are copied.
    pub(crate) fn decode(metadata: &Bytes) -> Result<Self, decode::Error> {
        let mut reader = Reader::new(metadata.clone());
        let version = version_of::<ConsumerProtocolSubscription>(&mut reader)?;
        let message = ConsumerProtocolSubscription::decode(&mut reader, version)?;
        let owned = message.owned_partitions.into_iter();
        Ok(Self {
            version,
            topics: message.topics.iter().map(Utf8Bytes::detach).collect(),
            rack_id: message
                .rack_id
                .filter(|rack| !rack.is_empty())
                .map(|rack| rack.detach()),
            owned: owned.map(|topic| (topic.topic, topic.partitions)).collect(),
        })
    }

    /// What the member says that it owns, of topics that exist.
    pub(crate) fn owned(&self, image: &dyn ClusterImage) -> Assignment {
        by_id(&self.owned, image)
    }
}

fn by_id(topics: &[(Utf8Bytes, Vec<i32>)], image: &dyn ClusterImage) -> Assignment {
    let known = topics
        .iter()
        .filter_map(|(name, partitions)| Some((image.topic(name)?.id, partitions)));
    known
        .flat_map(|(id, partitions)| partitions.iter().map(move |partition| (id, *partition)))
        .collect()
}

/// What a member is assigned.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ConsumerAssignment {
    topics: Vec<(Utf8Bytes, Vec<i32>)>,
    /// An assignor of the clients keeps something beside it, which would be lost.
    pub(crate) has_user_data: bool,
}

impl ConsumerAssignment {
    /// Reads an assignment; nothing at all is one without partitions.
    pub(crate) fn decode(assignment: &Bytes) -> Result<Self, decode::Error> {
        if assignment.is_empty() {
            return Ok(Self {
                topics: Vec::new(),
                has_user_data: false,
            });
        }
        let mut reader = Reader::new(assignment.clone());
        let version = version_of::<ConsumerProtocolAssignment>(&mut reader)?;
        let message = ConsumerProtocolAssignment::decode(&mut reader, version)?;
        let topics = message.assigned_partitions.into_iter();
        Ok(Self {
            topics: topics.map(|topic| (topic.topic, topic.partitions)).collect(),
            has_user_data: message.user_data.is_some_and(|data| !data.is_empty()),
        })
    }

    /// The same by topic id, of topics that exist.
    pub(crate) fn assignment(&self, image: &dyn ClusterImage) -> Assignment {
        by_id(&self.topics, image)
    }

    /// Writes an assignment for a member that speaks `version`; topics that are no more are left out.
    pub(crate) fn encode(version: i16, assignment: &Assignment, image: &dyn ClusterImage) -> Bytes {
        let topics = assignment.topics().filter_map(|(id, partitions)| {
            Some(TopicPartition {
                topic: image.topic_name(id)?,
                partitions: partitions.iter().copied().collect(),
            })
        });
        let message = ConsumerProtocolAssignment {
            assigned_partitions: topics.collect(),
            user_data: None,
        };
        let mut writer = Writer::new();
        writer.i16(version);
        let written = message
            .encode(&mut writer, version)
            .and_then(|()| writer.finish_bytes());
        written.expect("names of topics are short, and there are no more partitions than a record could hold")
    }
}
