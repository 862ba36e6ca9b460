//! Sending records (Kafka's `KafkaProducer`): batched by partition, compressed, each acknowledged as `acks` says, and with
//! `enable.idempotence`, the default, written once and in order whatever is sent again.

mod record;

use std::{future::Future, pin::Pin, task};

use forebay_records::RecordBatch;

pub use record::{ProducerRecord, RecordMetadata};

use crate::{Error, LocalNode, ProducerConfig};

/// A producer. Cheap to clone; all clones share its buffer and its connections.
#[derive(Debug, Clone)]
pub struct Producer {
    config: std::sync::Arc<ProducerConfig>,
}

/// The acknowledgement of one record, some time. Records are sent whether or not it is awaited.
#[derive(Debug)]
#[must_use = "an error is told to nobody if this is dropped; flush waits, but tells no errors"]
pub struct DeliveryFuture {
    outcome: Option<Result<RecordMetadata, Error>>,
}

impl Future for DeliveryFuture {
    type Output = Result<RecordMetadata, Error>;

    fn poll(mut self: Pin<&mut Self>, _: &mut task::Context<'_>) -> task::Poll<Self::Output> {
        self.outcome.take().map_or(task::Poll::Pending, task::Poll::Ready)
    }
}

impl Producer {
    /// A producer; must be called inside a tokio runtime.
    pub fn new(config: ProducerConfig, local: Option<LocalNode>) -> Self {
        let _ = local;
        Self {
            config: std::sync::Arc::new(config),
        }
    }

    /// Puts a record into the batch of its partition; waits at most `max.block.ms` for the topic's metadata and for space
    /// in the buffer. What is sent by one task to one partition keeps its order.
    ///
    /// # Errors
    /// If the record is too large, the topic or partition does not exist, there is no space in time, or the producer is
    /// closed. What happens later, the future tells.
    pub async fn send(&self, record: ProducerRecord<'_>) -> Result<DeliveryFuture, Error> {
        crate::arriving((self, record)).await
    }

    /// Sends a batch as it is, in line with the records of its partition; it gets the producer's id and sequence. The
    /// future tells the offset of its first record.
    ///
    /// # Errors
    /// As [`Producer::send`].
    pub async fn send_batch(
        &self,
        topic: &str,
        partition: i32,
        batch: RecordBatch,
    ) -> Result<DeliveryFuture, Error> {
        crate::arriving((self, topic, partition, batch)).await
    }

    /// How many partitions a topic has.
    ///
    /// # Errors
    /// If that cannot be found out within `max.block.ms`.
    pub async fn partition_count(&self, topic: &str) -> Result<i32, Error> {
        crate::arriving((self, topic)).await
    }

    /// Sends everything at once and waits until all of it is acknowledged or has failed.
    pub async fn flush(&self) {
        crate::arriving::<()>(self).await;
    }

    /// Flushes and stops; whatever is sent afterwards fails.
    pub async fn close(self) {
        crate::arriving::<()>(self).await;
    }

    /// What it was made from.
    pub fn config(&self) -> &ProducerConfig {
        &self.config
    }
}
