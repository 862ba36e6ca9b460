//! Why a query stops.

use forebay_protocol::TopicPartition;
use forebay_records::Offset;

/// What a query fails with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cluster does not do what is asked.
    #[error(transparent)]
    Client(#[from] forebay_client::Error),
    /// A record batch of the topic cannot be read.
    #[error("{partition}: the batch at offset {offset} cannot be read: {source}")]
    Batch {
        /// The partition.
        partition: TopicPartition,
        /// The batch's first offset.
        offset: Offset,
        /// What is wrong with it.
        source: forebay_records::Error,
    },
    /// The checkpoint cannot be written or read.
    #[error("the checkpoint cannot be used: {0}")]
    Disk(#[from] forebay_disk::Error),
    /// The checkpoint's files are damaged. Starting from nothing would count everything again, so it is not done.
    #[error(
        "the checkpoint in {directory} is damaged: {reason}; restore it, or delete the directory to count from the beginning again"
    )]
    Damaged {
        /// Where.
        directory: String,
        /// What.
        reason: String,
    },
    /// The checkpoint belongs to another query.
    #[error(
        "the checkpoint in {directory} belongs to another query ({theirs}), this one is {ours}; choose another --checkpoint-location"
    )]
    OtherQuery {
        /// Where.
        directory: String,
        /// The query that made it.
        theirs: String,
        /// The query that wants it.
        ours: String,
    },
    /// The topic was deleted and made anew: its offsets mean other records.
    #[error(
        "the topic {topic} is not the one of the checkpoint in {directory} (its id was {then}, now {now}); delete the directory to count the new topic from its beginning"
    )]
    OtherTopic {
        /// The topic.
        topic: String,
        /// Where the checkpoint is.
        directory: String,
        /// The id in the checkpoint.
        then: String,
        /// The topic's id.
        now: String,
    },
    /// Records that were to be read are gone: retention, or truncation.
    #[error(
        "{partition}: the offsets {from} to {to} are gone (retention or deletion), so the counts would miss them; delete the checkpoint to count what is left"
    )]
    DataLoss {
        /// The partition.
        partition: TopicPartition,
        /// The first offset that is missing.
        from: Offset,
        /// The first that is there again.
        to: Offset,
    },
    /// The topic does not exist.
    #[error("the topic {topic} does not exist; create it first (forebay topics --create --topic {topic})")]
    NoTopic {
        /// Its name.
        topic: String,
    },
    /// The output cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] std::io::Error),
    /// State and Arrow disagree; a fault of this program.
    #[error(transparent)]
    Arrow(#[from] arrow_schema::ArrowError),
    /// More distinct keys than the query may keep.
    #[error(
        "the state has more than {keys_max} keys, or more than {key_bytes_max} bytes of them; the words of this topic are not words"
    )]
    StateTooLarge {
        /// The bound.
        keys_max: usize,
        /// The bound in bytes.
        key_bytes_max: usize,
    },
}

impl Error {
    /// Whether it may go away by itself: the cluster is away, or does not know the topic (yet, or any more).
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Client(error) => error.is_retriable(),
            Self::NoTopic { .. } => true,
            _ => false,
        }
    }
}
