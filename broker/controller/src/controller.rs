//! The controller: what the log has said so far, and how commands are decided on it. See the crate's documentation for
//! the contract with the driver.

use std::sync::Arc;

use forebay_protocol::NodeId;
use forebay_protocol::internal_record::MetadataRecord;
use forebay_records::{Offset, Timestamp};

use crate::cluster::InternalTopics;
use crate::image::{self, MetadataImage};
use crate::random::Random;
use crate::{ConfigSchema, Record};

/// The most records that one request of a user may cause (Kafka's `MAX_RECORDS_PER_USER_OP`).
pub const RECORDS_PER_REQUEST_MAX: usize = 10_000;

/// What the controller is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The id of this node.
    pub node_id: NodeId,
    /// The id of the cluster, from `meta.properties`.
    pub cluster_id: String,
    /// `num.partitions`: of a topic that is made without a number.
    pub num_partitions: i32,
    /// `default.replication.factor`: of a topic that is made without one.
    pub default_replication_factor: i16,
    /// `delete.topic.enable`.
    pub delete_topic_enable: bool,
    /// What may be configured, and what this node was started with.
    pub schema: Arc<ConfigSchema>,
    /// How the internal topics are made.
    pub internal_topics: InternalTopics,
}

/// What a command is told beside itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The time. Nothing of what is decided today depends on it; sessions and quotas will.
    pub now: Timestamp,
    /// The offset that the first of the records will have: the log's end.
    pub next_offset: Offset,
    /// Fresh random bits, from which every random choice of this command follows.
    pub seed: u128,
}

/// What has been decided.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "its records must be written and replayed, and its response sent once they are committed"]
pub struct Outcome<R> {
    /// To be written in one batch, from [`Context::next_offset`] on; none: nothing changes and the response can go at once.
    pub records: Vec<Record>,
    /// To be sent when the records are committed.
    pub response: R,
}

impl<R> Outcome<R> {
    pub(crate) fn new(records: Vec<Record>, response: R) -> Self {
        Self { records, response }
    }

    pub(crate) fn unchanged(response: R) -> Self {
        Self::new(Vec::new(), response)
    }
}

/// Something that the controller can decide. Commands are the structs of this crate; drivers call [`Controller::handle`].
pub trait Command {
    /// What comes out beside the records.
    type Response;

    /// Decides on what the controller knows now.
    fn decide(self, cluster: &Cluster<'_>) -> Outcome<Self::Response>;
}

/// What a command decides on.
#[derive(Debug)]
pub struct Cluster<'a> {
    pub(crate) image: &'a MetadataImage,
    pub(crate) options: &'a Options,
    pub(crate) context: Context,
    pub(crate) in_transaction: bool,
    /// Whether there is nothing once a transaction that is under way is taken back.
    pub(crate) stable_is_empty: bool,
}

impl Cluster<'_> {
    pub(crate) fn random(&self) -> Random {
        Random::new(self.context.seed)
    }

    /// A record at the version that the cluster's `metadata.version` asks for.
    pub(crate) fn record(&self, message: MetadataRecord) -> Record {
        Record::new(message, self.image.metadata_version())
    }
}

/// Why the log could not be taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A record does not fit what came before it.
    #[error("metadata record at offset {offset}: {source}")]
    Record {
        /// Where it is.
        offset: Offset,
        /// What does not fit.
        source: image::Error,
    },
    /// A record came twice, or out of order.
    #[error("metadata record at offset {offset}, where the next one is {next}")]
    Offset {
        /// Where it is.
        offset: Offset,
        /// Where the next record can be at the earliest.
        next: Offset,
    },
    /// A record of a snapshot does not fit those before it.
    #[error("record {number} of the metadata snapshot: {source}")]
    Snapshot {
        /// Which one it is, from 0.
        number: u64,
        /// What does not fit.
        source: image::Error,
    },
    /// A transaction begins inside another, or one ends that never began.
    #[error("metadata record at offset {offset}: {reason}")]
    Transaction {
        /// Where it is.
        offset: Offset,
        /// What is wrong.
        reason: &'static str,
    },
}

/// The state machine: [`Controller::handle`] decides and changes nothing, [`Controller::replay`] is the only mutator.
#[derive(Debug)]
pub struct Controller {
    options: Options,
    image: MetadataImage,
    /// The image from before the transaction that is under way (KIP-868): what readers see until it ends.
    before_transaction: Option<Arc<MetadataImage>>,
    shared: Option<Arc<MetadataImage>>,
}

impl Controller {
    /// A controller that knows nothing yet.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            image: MetadataImage::default(),
            before_transaction: None,
            shared: None,
        }
    }

    /// What it was started with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Decides on a command; see the crate's documentation for what the driver does with the outcome.
    pub fn handle<C: Command>(&self, command: C, context: Context) -> Outcome<C::Response> {
        let cluster = Cluster {
            image: &self.image,
            options: &self.options,
            context,
            in_transaction: self.before_transaction.is_some(),
            stable_is_empty: self
                .before_transaction
                .as_deref()
                .unwrap_or(&self.image)
                .is_empty(),
        };
        command.decide(&cluster)
    }

    /// Takes in the record at `offset`.
    ///
    /// # Errors
    /// If the log is not one that a controller can have written; the controller is good for nothing then.
    pub fn replay(&mut self, offset: Offset, record: &Record) -> Result<(), Error> {
        if offset < self.image.next_offset {
            return Err(Error::Offset {
                offset,
                next: self.image.next_offset,
            });
        }
        let wrong = |reason| Error::Transaction { offset, reason };
        self.shared = None;
        match &record.message {
            MetadataRecord::BeginTransaction(_) => {
                if self.before_transaction.is_some() {
                    return Err(wrong("a transaction begins inside another"));
                }
                self.before_transaction = Some(Arc::new(self.image.clone()));
            }
            MetadataRecord::EndTransaction(_) => {
                self.before_transaction
                    .take()
                    .ok_or_else(|| wrong("no transaction is under way to end"))?;
            }
            MetadataRecord::AbortTransaction(_) => {
                let before = self
                    .before_transaction
                    .take()
                    .ok_or_else(|| wrong("no transaction is under way to abort"))?;
                self.image = Arc::unwrap_or_clone(before);
            }
            message => self
                .image
                .apply(message)
                .map_err(|source| Error::Record { offset, source })?,
        }
        self.image.next_offset = offset.next();
        Ok(())
    }

    /// Takes in record `number` of a snapshot, into a controller that has not seen anything else; [`Controller::skip_to`] then says
    /// up to where the snapshot stands for the log.
    ///
    /// # Errors
    /// If the snapshot is not one that a controller can have written; the controller is good for nothing then.
    pub fn restore(&mut self, number: u64, record: &Record) -> Result<(), Error> {
        self.shared = None;
        self.image
            .apply(&record.message)
            .map_err(|source| Error::Snapshot { number, source })
    }

    /// Says that the log holds something before `next_offset` that is no metadata record: a control batch.
    pub fn skip_to(&mut self, next_offset: Offset) {
        if next_offset > self.image.next_offset {
            self.image.next_offset = next_offset;
            self.shared = None;
        }
    }

    /// What the log has said so far, a transaction that is under way included.
    #[cfg(test)]
    pub(crate) fn latest(&self) -> &MetadataImage {
        &self.image
    }

    /// What readers may see: the image as it is, or while a transaction is under way as it was before that.
    pub fn image(&mut self) -> Arc<MetadataImage> {
        match &self.before_transaction {
            Some(before) => Arc::clone(before),
            None => Arc::clone(self.shared.get_or_insert_with(|| Arc::new(self.image.clone()))),
        }
    }
}
