//! WriteTxnMarkers: a coordinator elsewhere, or `kafka-transactions abort`, ends transactions in partitions of this broker
//! (`KafkaApis.handleWriteTxnMarkersRequest`).

use std::collections::BTreeMap;

use forebay_protocol::messages::write_txn_markers_request::WritableTxnMarker;
use forebay_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use forebay_protocol::messages::{WriteTxnMarkersRequest, WriteTxnMarkersResponse};
use forebay_protocol::{ErrorCode, TopicPartition, Utf8Bytes};

use crate::call::Call;
use crate::transaction_markers::{self, Marker};

/// What became of the markers of one producer, as Kafka answers: together, though they may come apart.
type Results = BTreeMap<Utf8Bytes, BTreeMap<i32, ErrorCode>>;

/// Answers a WriteTxnMarkers request.
pub(crate) async fn handle(call: &Call, request: WriteTxnMarkersRequest) -> WriteTxnMarkersResponse {
    let mut producers: BTreeMap<i64, Results> = BTreeMap::new();
    for marker in request.markers {
        let results = producers.entry(marker.producer_id).or_default();
        let (marker, partitions) = read(marker);
        for (partition, result) in transaction_markers::write(&call.core, marker, partitions).await {
            let code = result.err().unwrap_or(ErrorCode::None);
            let topic = results.entry(partition.topic).or_default();
            topic.insert(partition.partition, code);
        }
    }
    WriteTxnMarkersResponse {
        markers: producers.into_iter().map(answer).collect(),
        ..WriteTxnMarkersResponse::default()
    }
}

fn read(marker: WritableTxnMarker) -> (Marker, Vec<TopicPartition>) {
    let partitions = marker.topics.into_iter().flat_map(|topic| {
        let name = topic.name.detach();
        let indexes = topic.partition_indexes.into_iter();
        indexes.map(move |index| TopicPartition::new(name.clone(), index))
    });
    let end = Marker {
        producer_id: marker.producer_id.into(),
        producer_epoch: marker.producer_epoch.into(),
        commit: marker.transaction_result,
        coordinator_epoch: marker.coordinator_epoch,
        transaction_version: u16::try_from(marker.transaction_version).unwrap_or(0),
    };
    (end, partitions.collect())
}

fn answer((producer_id, results): (i64, Results)) -> WritableTxnMarkerResult {
    let partition = |(partition_index, code): (i32, ErrorCode)| WritableTxnMarkerPartitionResult {
        partition_index,
        error_code: code.into(),
        ..Default::default()
    };
    let topics = results
        .into_iter()
        .map(|(name, partitions)| WritableTxnMarkerTopicResult {
            name,
            partitions: partitions.into_iter().map(partition).collect(),
            ..Default::default()
        });
    WritableTxnMarkerResult {
        producer_id,
        topics: topics.collect(),
        ..Default::default()
    }
}
