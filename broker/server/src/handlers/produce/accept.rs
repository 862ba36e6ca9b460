//! What is looked at before a batch is queued: the topic, the form of the request, the batch with every record in it.

use std::sync::Arc;

use forebay_broker_controller::{MetadataImage, is_internal_topic};
use forebay_broker_log::{LogConfig, ValidatedBatch};
use forebay_broker_partition::{Partition, RequiredAcks};
use forebay_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use forebay_protocol::messages::produce_response::BatchIndexAndErrorMessage;
use forebay_protocol::{ErrorCode, Records, TopicPartition, Utf8Bytes, Uuid};
use forebay_records::{
    AppendOrigin, CompressionType, Corruption, DECOMPRESSED_BYTES_MAX, Error, Offset, ProducerEpoch,
    ProducerId, RecordBatch, RecordError, RecordErrorReason, ValidationOptions, batches, validate,
};

use super::recompress::recompress;
use super::{Acknowledgement, Refusal};
use crate::call::Call;
use crate::clock;
use crate::error_code::HasErrorCode;
use crate::replicas::{NewAppend, Replica};
use crate::verification::{Operation, Question};

/// Clients that call themselves so may write to Kafka's own topics (`AdminUtils.ADMIN_CLIENT_ID`).
const ADMIN_CLIENT_ID: &str = "__admin_client";
/// The first version whose clients know zstd.
const ZSTD_VERSION: i16 = 7;
/// Errors of single records that the message of the whole names.
const RECORD_ERRORS_SHOWN: usize = 3;

/// What a request has for a topic.
pub(super) struct SentTopic {
    /// Its name, if it exists.
    pub(super) found: Result<Utf8Bytes, ErrorCode>,
    pub(super) name: Utf8Bytes,
    pub(super) id: Uuid,
    pub(super) partitions: Vec<SentPartition>,
}

/// What a request has for a partition.
pub(super) struct SentPartition {
    pub(super) index: i32,
    /// Of the first batch, whether or not it can be taken.
    is_transactional: bool,
    batch: Result<RecordBatch, Refusal>,
}

/// One Produce request on its way into the queues.
pub(super) struct Acceptance<'a> {
    call: &'a Call,
    image: Arc<MetadataImage>,
    acks: Option<RequiredAcks>,
    transactional_id: Option<Utf8Bytes>,
}

impl<'a> Acceptance<'a> {
    /// `acks`: none if the number is not one of Kafka's.
    pub(super) fn new(
        call: &'a Call,
        acks: Option<RequiredAcks>,
        transactional_id: Option<Utf8Bytes>,
    ) -> Self {
        Self {
            call,
            image: call.core.metadata.image(),
            acks,
            transactional_id,
        }
    }

    /// What a request has for a topic, and whether there is one.
    pub(super) fn read(&self, topic: TopicProduceData) -> SentTopic {
        let found = self.topic(&topic);
        let partitions = topic.partition_data.into_iter();
        SentTopic {
            found,
            name: topic.name,
            id: topic.topic_id,
            partitions: partitions.map(|data| self.read_partition(data)).collect(),
        }
    }

    fn read_partition(&self, data: PartitionProduceData) -> SentPartition {
        // A caller in this process may hand over pieces.
        let bytes = data.records.and_then(Records::into_bytes).unwrap_or_default();
        let is_empty = bytes.is_empty();
        let mut found = batches(bytes);
        let first = (!is_empty).then(|| found.next());
        let is_transactional = matches!(&first, Some(Some(Ok(batch))) if batch.header().is_transactional());
        SentPartition {
            index: data.index,
            is_transactional,
            batch: self.batch(first, found),
        }
    }

    /// Whether the batches of a request can be of one transaction. If not none is looked at, as in Kafka, which refuses the
    /// whole request (`KafkaApis.handleProduceRequest`, `ReplicaManager.handleProduceAppend`).
    pub(super) fn check_transaction(&self, sent: &[SentTopic]) -> Result<(), Refusal> {
        let mut all = sent.iter().flat_map(|topic| &topic.partitions);
        if self.transactional_id.is_none() && all.any(|one| one.is_transactional) {
            // As Kafka says to whoever may not use a transactional id: this one has none.
            return Err(ErrorCode::TransactionalIdAuthorizationFailed.into());
        }
        let mut producers = sent.iter().flat_map(|topic| self.producers(topic));
        let first = producers.next();
        if producers.any(|other| Some(other) != first) {
            let message = "Transactional records contained more than one producer ID";
            return Err(refuse(ErrorCode::InvalidProducerIdMapping, message));
        }
        Ok(())
    }

    /// Who sends transactional batches to partitions of a topic that are there.
    fn producers(&self, topic: &SentTopic) -> impl Iterator<Item = (ProducerId, ProducerEpoch)> {
        let name = topic.found.as_ref().ok();
        let is_there = move |index| name.is_some_and(|name| self.image.partition(name, index).is_some());
        let there = topic
            .partitions
            .iter()
            .filter(move |sent| sent.is_transactional && is_there(sent.index));
        let headers = there.filter_map(|sent| Some(*sent.batch.as_ref().ok()?.header()));
        headers
            .filter(|header| header.has_producer_id())
            .map(|header| (header.producer_id, header.producer_epoch))
    }

    /// The name of a topic that exists.
    fn topic(&self, topic: &TopicProduceData) -> Result<Utf8Bytes, ErrorCode> {
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
        topic: &Result<Utf8Bytes, ErrorCode>,
        sent: SentPartition,
    ) -> Result<Acknowledgement, Refusal> {
        let topic = topic.as_ref().map_err(|code| Refusal::from(*code))?;
        let Some(partition) = self.image.partition(topic, sent.index) else {
            return Err(ErrorCode::UnknownTopicOrPartition.into());
        };
        let batch = sent.batch?;
        let acks = self.acks.ok_or(ErrorCode::InvalidRequiredAcks)?;
        if is_internal_topic(topic) && self.call.context.client_id.as_deref() != Some(ADMIN_CLIENT_ID) {
            return Err(refuse(
                ErrorCode::InvalidTopicException,
                &format!("Cannot append to internal topic {topic}"),
            ));
        }
        let question = self.question(&batch);
        let Some(replica) = self.call.core.replicas.get(topic, sent.index) else {
            tracing::debug!(%topic, partition = sent.index, leader = partition.leader.0, "not a replica");
            return Err(ErrorCode::NotLeaderOrFollower.into());
        };
        // A topic made anew may stand here before the image says so.
        if self.image.topic(topic).map(|topic| topic.id()) != Some(replica.topic_id()) {
            return Err(match self.call.version {
                13.. => ErrorCode::UnknownTopicId.into(),
                _ => ErrorCode::NotLeaderOrFollower.into(),
            });
        }
        let batches = vec![check(batch, &replica)?];
        let append = NewAppend::new(batches, AppendOrigin::Client, acks);
        let outcome = replica.append(match question {
            Some(question) => append.verified_by(question),
            None => append,
        })?;
        Ok(Acknowledgement { outcome, replica })
    }

    /// What the coordinator of a transactional batch may have to be asked.
    fn question(&self, batch: &RecordBatch) -> Option<Question> {
        let header = batch.header();
        let transactional_id = self.transactional_id.clone();
        let transactional_id = transactional_id.filter(|_| header.is_transactional())?;
        Some(Question {
            transactional_id,
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            operation: Operation::of_produce(self.call.version),
        })
    }

    /// The one batch that a request has for a partition (`ProduceRequest.validateRecords`).
    /// `first`: what is first in its bytes, if there are any; `more`: what follows.
    fn batch(
        &self,
        first: Option<Option<Result<RecordBatch, Error>>>,
        mut more: impl Iterator<Item = Result<RecordBatch, Error>>,
    ) -> Result<RecordBatch, Refusal> {
        let version = self.call.version;
        let batch = match first {
            Some(Some(Ok(batch))) => batch,
            Some(Some(Err(error))) => return Err(refuse(error.error_code(), &error.to_string())),
            None => {
                let message = format!(
                    "Produce requests with version {version} must have at least one record batch per partition"
                );
                return Err(refuse(ErrorCode::InvalidRecord, &message));
            }
            // Fewer bytes than the batch says: as if there were none.
            Some(None) => return Err(refuse(ErrorCode::InvalidRecord, "the record batch is cut off")),
        };
        // What follows and is no whole batch is not looked at, as in Kafka.
        if more.next().is_some() {
            let message = format!(
                "Produce requests with version {version} are only allowed to contain exactly one record batch per \
                 partition"
            );
            return Err(refuse(ErrorCode::InvalidRecord, &message));
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
fn check(batch: RecordBatch, replica: &Replica) -> Result<ValidatedBatch, Refusal> {
    let config = &*replica.config();
    check_size(&batch, config)?;
    let options = ValidationOptions {
        origin: AppendOrigin::Client,
        compacted: config.compact,
        timestamp_type: config.timestamp_type,
        now: clock::now(),
        timestamp_before_max_ms: config.timestamp_before_max_ms,
        timestamp_after_max_ms: config.timestamp_after_max_ms,
        decompressed_bytes_max: DECOMPRESSED_BYTES_MAX,
    };
    let validated = validate(&batch, &options).map_err(|error| {
        let log_start_offset = replica.with_partition(Partition::log_start_offset);
        of_records(&error, replica.name(), log_start_offset)
    })?;
    let batch = recompress(batch, config.compression)
        .map_err(|error| refuse(ErrorCode::UnknownServerError, &error.to_string()))?;
    check_size(&batch, config)?;
    Ok(ValidatedBatch { batch, validated })
}

fn check_size(batch: &RecordBatch, config: &LogConfig) -> Result<(), Refusal> {
    let size = batch.size_in_bytes();
    if size <= config.max_message_bytes {
        return Ok(());
    }
    let message = format!(
        "The record batch size in the append is {size} bytes which exceeds the maximum configured value of {}.",
        config.max_message_bytes
    );
    Err(refuse(ErrorCode::MessageTooLarge, &message))
}

fn refuse(code: ErrorCode, message: &str) -> Refusal {
    Refusal {
        code: Some(code),
        message: Some(message.to_owned()),
        ..Refusal::default()
    }
}

/// A batch that was refused for what is in it, in Kafka's words where single records are named (KIP-467).
fn of_records(error: &Error, partition: &TopicPartition, log_start_offset: Offset) -> Refusal {
    // In Kafka the log finds a wrong checksum, and only what is found later names the log's start.
    let is_checksum = matches!(error, Error::Corrupt(Corruption::Checksum { .. }));
    let refusal = |message: String| Refusal {
        log_start_offset: (!is_checksum).then_some(log_start_offset.0),
        ..refuse(error.error_code(), &message)
    };
    let Error::InvalidRecords { errors } = error else {
        return refusal(error.to_string());
    };
    let records: Vec<_> = errors
        .iter()
        .map(|error| (error.index, reason(error, partition)))
        .collect();
    let message = if error.error_code() == ErrorCode::InvalidTimestamp {
        "One or more records have been rejected due to invalid timestamp".to_owned()
    } else {
        let shown: Vec<String> = records
            .iter()
            .take(RECORD_ERRORS_SHOWN)
            .map(|(index, message)| format!("RecordError(batchIndex={index}, message='{message}')"))
            .collect();
        format!(
            "One or more records have been rejected due to {} record errors in total, and only showing the first three \
             errors at most: [{}]",
            records.len(),
            shown.join(", ")
        )
    };
    let records = records
        .into_iter()
        .map(|(batch_index, message)| BatchIndexAndErrorMessage {
            batch_index,
            batch_index_error_message: Some(message.into()),
            ..BatchIndexAndErrorMessage::default()
        });
    Refusal {
        records: records.collect(),
        ..refusal(message)
    }
}

fn reason(error: &RecordError, partition: &TopicPartition) -> String {
    match error.reason {
        RecordErrorReason::MissingKey => format!("{} in topic partition {partition}", error.reason),
        RecordErrorReason::TimestampOutOfRange {
            timestamp,
            earliest,
            latest,
        } => format!(
            "Timestamp {timestamp} of message with offset {} is out of range. The timestamp should be within \
             [{earliest}, {latest}]",
            error.index
        ),
        RecordErrorReason::TimestampType | RecordErrorReason::OffsetDelta { .. } => error.reason.to_string(),
    }
}
