//! A record of the metadata log with the version it is written at (Kafka's `ApiMessageAndVersion`).

use bytes::Bytes;
use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::{decode, encode};

use crate::image::MetadataVersion;

/// One record of `__cluster_metadata-0`; its value is [`Record::to_bytes`], and it has no key.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What it says.
    pub message: MetadataRecord,
    /// The version of the message.
    pub version: i16,
}

impl Record {
    /// A record at the version that a cluster of this `metadata.version` reads.
    pub(crate) fn new(message: MetadataRecord, metadata_version: MetadataVersion) -> Self {
        let version = match &message {
            MetadataRecord::RegisterBroker(_) => metadata_version.register_broker_record(),
            MetadataRecord::Partition(_) | MetadataRecord::PartitionChange(_) => {
                metadata_version.partition_record()
            }
            // As Kafka: the lowest version that can say it.
            MetadataRecord::BrokerRegistrationChange(change) => {
                if change.cordoned_log_dirs.is_some() {
                    3
                } else if !change.log_dirs.is_empty() {
                    2
                } else {
                    i16::from(change.in_controlled_shutdown != 0)
                }
            }
            message => message.highest_version(),
        };
        Self { message, version }
    }

    /// The value of the record (KIP-631's frame around the message).
    ///
    /// # Errors
    /// If a string or list is longer than the format can hold.
    pub fn to_bytes(&self) -> Result<Bytes, encode::Error> {
        self.message.to_bytes(self.version)
    }

    /// Reads the value of a record.
    ///
    /// # Errors
    /// If it is no metadata record, or one of a type or version that only a newer Kafka knows: a log that holds such a record
    /// cannot be understood, so it may not be skipped.
    pub fn from_bytes(value: Bytes) -> Result<Self, decode::Error> {
        let (message, version) = MetadataRecord::from_bytes(value)?;
        Ok(Self { message, version })
    }
}
