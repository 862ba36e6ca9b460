//! What passes through a busy broker all the time costs no allocation for each partition: only the lists that hold them.

use bytes::Bytes;
use forebay_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use forebay_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use forebay_protocol::messages::{FetchResponse, ProduceRequest};
use forebay_protocol::{Message, Records, Uuid, Writer};

use crate::allocations::requested;

/// What reading may ask for: a list of topics and one of the partitions in each, and what makes the frame shared.
const READING_TIMES: usize = 2 + 2;

/// What writing may ask for: a buffer and a list that double until they are large enough, and what makes the buffer shared.
fn writing_times(partitions: usize) -> usize {
    let doublings = |bytes: usize| bytes.ilog2() as usize;
    doublings(partitions * 64) + doublings(partitions) + 4
}

fn check<M: Message>(message: &M, partitions: usize) {
    let version = *M::VERSIONS.end();
    let (chunks, writing) = requested(|| {
        let mut writer = Writer::framed();
        message.encode(&mut writer, version).expect("written");
        writer.finish().expect("short enough")
    });
    assert!(
        chunks.len() > partitions,
        "every partition has a piece of its own"
    );
    assert!(
        writing.times <= writing_times(partitions),
        "{} of {partitions}: {writing:?} to write",
        M::NAME
    );

    let bytes = message.to_bytes(version).expect("all in memory");
    let (read, reading) = requested(|| M::from_bytes(bytes, version).expect("read"));
    assert_eq!(read, *message);
    assert!(
        reading.times <= READING_TIMES,
        "{} of {partitions}: {reading:?} to read",
        M::NAME
    );
}

#[test]
fn partitions_cost_no_allocations() {
    let records = Some(Records::Memory(Bytes::from(vec![1; 2000])));
    for partitions in [1, 100, 1000] {
        let partition = PartitionProduceData {
            records: records.clone(),
            ..Default::default()
        };
        let topic_id = Uuid::from_bytes([3; 16]);
        let topic = TopicProduceData {
            topic_id,
            partition_data: vec![partition; partitions],
            ..Default::default()
        };
        check(
            &ProduceRequest {
                topic_data: vec![topic],
                ..Default::default()
            },
            partitions,
        );

        let partition = PartitionData {
            records: records.clone(),
            ..Default::default()
        };
        let topic = FetchableTopicResponse {
            topic_id,
            partitions: vec![partition; partitions],
            ..Default::default()
        };
        check(
            &FetchResponse {
                responses: vec![topic],
                ..Default::default()
            },
            partitions,
        );
    }
}
