//! What is looked at before a batch is queued: the topic, the form of the request, the batch with every record in it.

use std::sync::Arc;

use forebay_broker_controller::{MetadataImage, is_internal_topic};
use forebay_broker_log::{LogConfig, ValidatedBatch};
use forebay_broker_partition::RequiredAcks;
use forebay_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use forebay_protocol::messages::produce_response::BatchIndexAndErrorMessage;
use forebay_protocol::{ErrorCode, Records, Utf8Bytes};
use forebay_records::{
    AppendOrigin, CompressionType, DECOMPRESSED_BYTES_MAX, RecordBatch, ValidationOptions, batches, validate,
};

use super::{Acknowledgement, Refusal};
use crate::clock;
use crate::error_code::HasErrorCode;
use crate::replicas::NewAppend;
use crate::router::Call;

/// Clients that call themselves so may write to Kafka's own topics (`AdminUtils.ADMIN_CLIENT_ID`).
const ADMIN_CLIENT_ID: &str = "__admin_client";
/// The first version whose clients know zstd.
const ZSTD_VERSION: i16 = 7;
const NO_TRANSACTIONS: &str = "transactions are not supported yet";

/// One Produce request on its way into the queues.
pub(super) struct Acceptance<'a> {
    call: &'a Call,
    image: Arc<MetadataImage>,
    acks: Option<RequiredAcks>,
    transactional: bool,
}

impl<'a> Acceptance<'a> {
    /// `acks`: none if the number is not one of Kafka's.
    pub(super) fn new(call: &'a Call, acks: Option<RequiredAcks>, transactional: bool) -> Self {
        Self {
            call,
            image: call.core.metadata.image(),
            acks,
            transactional,
        }
    }

    /// The name of a topic that exists.
    pub(super) fn topic(&self, topic: &TopicProduceData) -> Result<Utf8Bytes, ErrorCode> {
        if self.call.version >= 13 {
            let found = self
                .image
                .topic_by_id(topic.topic_id)
                .ok_or(ErrorCode::UnknownTopicId)?;
            return Ok(found.name().clone());
        }
        let found = self
            .image
            .topic(&topic.name)
            .ok_or(ErrorCode::UnknownTopicOrPartition)?;
        Ok(found.name().clone())
    }

    /// Checks the batch of a partition and queues it.
    pub(super) fn append(
        &self,
        topic: &Utf8Bytes,
        data: PartitionProduceData,
    ) -> Result<Acknowledgement, Refusal> {
        let Some(partition) = self.image.partition(topic, data.index) else {
            return Err(ErrorCode::UnknownTopicOrPartition.into());
        };
        if self.transactional {
            return Err(refuse(ErrorCode::InvalidRequest, NO_TRANSACTIONS));
        }
        let batch = self.batch(data.records)?;
        let acks = self.acks.ok_or(ErrorCode::InvalidRequiredAcks)?;
        if is_internal_topic(topic) && self.call.context.client_id.as_deref() != Some(ADMIN_CLIENT_ID) {
            return Err(refuse(
                ErrorCode::InvalidTopicException,
                &format!("Cannot append to internal topic {topic}"),
            ));
        }
        if batch.header().is_transactional() {
            return Err(refuse(ErrorCode::InvalidRequest, NO_TRANSACTIONS));
        }
        let Some(replica) = self.call.core.replicas.get(topic, data.index) else {
            tracing::debug!(%topic, partition = data.index, leader = partition.leader.0, "not a replica");
            return Err(ErrorCode::NotLeaderOrFollower.into());
        };
        let batches = vec![check(batch, &replica.config())?];
        Ok(replica.append(NewAppend {
            batches,
            origin: AppendOrigin::Client,
            acks,
        })?)
    }

    /// The one batch that a request has for a partition (`ProduceRequest.validateRecords`).
    fn batch(&self, records: Option<Records>) -> Result<RecordBatch, Refusal> {
        let version = self.call.version;
        // A caller in this process may hand over pieces.
        let bytes = match records.and_then(Records::into_bytes) {
            Some(bytes) if !bytes.is_empty() => bytes,
            _ => {
                let message = format!(
                    "Produce requests with version {version} must have at least one record batch per partition"
                );
                return Err(refuse(ErrorCode::InvalidRecord, &message));
            }
        };
        let mut found = batches(bytes);
        let batch = match found.next() {
            Some(Ok(batch)) => batch,
            Some(Err(error)) => return Err(of_records(&error)),
            // Fewer bytes than the batch says.
            None => return Err(ErrorCode::CorruptMessage.into()),
        };
        match found.next() {
            None if found.rest().is_empty() => {}
            _ => {
                let message = format!(
                    "Produce requests with version {version} are only allowed to contain exactly one record batch per partition"
                );
                return Err(refuse(ErrorCode::InvalidRecord, &message));
            }
        }
        if version < ZSTD_VERSION
            && batch
                .compression_type()
                .is_ok_and(|codec| codec == CompressionType::Zstd)
        {
            let message = format!(
                "Produce requests with version {version} are not allowed to use ZStandard compression"
            );
            return Err(refuse(ErrorCode::UnsupportedCompressionType, &message));
        }
        Ok(batch)
    }
}

/// Checks a batch against its topic's configuration.
fn check(batch: RecordBatch, config: &LogConfig) -> Result<ValidatedBatch, Refusal> {
    let size = batch.size_in_bytes();
    if size > config.max_message_bytes {
        let message = format!(
            "The record batch size in the append is {size} bytes which exceeds the maximum configured value of {}.",
            config.max_message_bytes
        );
        return Err(refuse(ErrorCode::MessageTooLarge, &message));
    }
    let options = ValidationOptions {
        origin: AppendOrigin::Client,
        compacted: config.compact,
        timestamp_type: config.timestamp_type,
        now: clock::now(),
        timestamp_before_max_ms: config.timestamp_before_max_ms,
        timestamp_after_max_ms: config.timestamp_after_max_ms,
        decompressed_bytes_max: DECOMPRESSED_BYTES_MAX,
    };
    let validated = validate(&batch, &options).map_err(|error| of_records(&error))?;
    Ok(ValidatedBatch { batch, validated })
}

fn refuse(code: ErrorCode, message: &str) -> Refusal {
    Refusal {
        code: Some(code),
        message: Some(message.to_owned()),
        ..Refusal::default()
    }
}

fn of_records(error: &forebay_records::Error) -> Refusal {
    let records = match error {
        forebay_records::Error::InvalidRecords { errors } => errors
            .iter()
            .map(|error| BatchIndexAndErrorMessage {
                batch_index: error.index,
                batch_index_error_message: Some(error.reason.to_string().into()),
                ..BatchIndexAndErrorMessage::default()
            })
            .collect(),
        _ => Vec::new(),
    };
    Refusal {
        records,
        ..refuse(error.error_code(), &error.to_string())
    }
}
