//! A batch on its way: open while records are added, then sealed, sent as often as need be, and settled once.

use std::sync::Arc;

use forebay_protocol::{Chunk, Records, TopicPartition};
use forebay_records::{
    BatchBuilder, BatchOptions, Compression, NO_TIMESTAMP, ProducerIdentity, RecordBatch, Sequence, Timestamp,
};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{
    DeliveryFuture, ProducerRecord,
    delivery::{Delivery, Outcome},
};
use crate::error::Error;

/// The share of `buffer.memory` that a batch occupies; given back when it is dropped.
pub(super) type Memory = Option<OwnedSemaphorePermit>;

/// A batch that takes records.
#[derive(Debug)]
pub(super) struct OpenBatch {
    builder: BatchBuilder,
    delivery: Arc<Delivery>,
    pub(super) created: Instant,
    pub(super) number: u64,
    memory: Memory,
}

/// A batch that is complete.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) topic_partition: TopicPartition,
    pub(super) records: RecordBatch,
    pub(super) delivery: Arc<Delivery>,
    pub(super) created: Instant,
    /// Its place in its queue: the parts of a split batch share theirs,
    pub(super) number: u64,
    /// and are told apart by how many records of the whole come before them.
    pub(super) part: i32,
    /// With which sequence it was first sent.
    pub(super) producer: Option<ProducerIdentity>,
    /// How often it was sent.
    pub(super) attempts: u32,
    /// Not again before this moment.
    pub(super) not_before: Option<Instant>,
    /// What the last attempt failed with.
    pub(super) last_error: Option<Error>,
    memory: Memory,
}

impl OpenBatch {
    pub(super) fn new(
        topic_partition: TopicPartition,
        compression: Compression,
        batch_bytes: usize,
        memory: OwnedSemaphorePermit,
    ) -> Self {
        let options = BatchOptions {
            compression,
            batch_bytes_max: batch_bytes,
            ..BatchOptions::default()
        };
        Self {
            builder: BatchBuilder::with_capacity(options, batch_bytes),
            delivery: Delivery::new(topic_partition),
            created: Instant::now(),
            number: 0,
            memory: Some(memory),
        }
    }

    pub(super) fn has_room_for(&self, record_bytes: usize) -> bool {
        self.builder.has_room_for(record_bytes)
    }

    pub(super) fn append(
        &mut self,
        record: &ProducerRecord<'_>,
        timestamp: Timestamp,
    ) -> Result<DeliveryFuture, Error> {
        let index = self.builder.count();
        self.builder
            .append(timestamp, record.key, record.value, record.headers)
            .map_err(|error| Error::Batch(Arc::new(error)))?;
        let index = u32::try_from(index).expect("a count of records is not negative");
        Ok(DeliveryFuture::new(self.delivery.clone(), index, timestamp))
    }

    pub(super) fn delivery(&self) -> &Arc<Delivery> {
        &self.delivery
    }

    /// Compresses and seals it.
    ///
    /// # Errors
    /// If that fails: its records are told, and there is nothing to send.
    pub(super) fn seal(self, topic_partition: &TopicPartition) -> Result<Batch, Error> {
        match self.builder.build() {
            Ok(records) => {
                let mut batch = Batch::new(topic_partition.clone(), records, self.delivery, self.memory);
                (batch.created, batch.number) = (self.created, self.number);
                Ok(batch)
            }
            Err(error) => {
                let error = Error::Batch(Arc::new(error));
                self.delivery.complete(Outcome::Failed(error.clone()));
                Err(error)
            }
        }
    }
}

impl Batch {
    pub(super) fn new(
        topic_partition: TopicPartition,
        records: RecordBatch,
        delivery: Arc<Delivery>,
        memory: Memory,
    ) -> Self {
        Self {
            topic_partition,
            records,
            delivery,
            created: Instant::now(),
            number: 0,
            part: 0,
            producer: None,
            attempts: 0,
            not_before: None,
            last_error: None,
            memory,
        }
    }

    pub(super) fn count(&self) -> i32 {
        self.records.header().count
    }

    pub(super) fn base_sequence(&self) -> Option<Sequence> {
        self.producer.map(|producer| producer.base_sequence)
    }

    /// The bytes to send, with the producer in their header; the records themselves are not copied.
    pub(super) fn wire(&self, is_transactional: bool) -> Records {
        let Some(producer) = self.producer else {
            return Records::Memory(self.records.bytes().clone());
        };
        let assigned = if is_transactional {
            self.records.assign_transactional_producer(producer)
        } else {
            self.records.assign_producer(producer)
        };
        let pieces = assigned.into_chunks();
        Records::Chunks(pieces.into_iter().map(Chunk::Bytes).collect())
    }

    /// Takes it apart into two, for a broker that found it too large: each with its part of the records, both in the
    /// place and with the sequences of the whole. `None` if it cannot be read.
    pub(super) fn split(mut self, compression: Compression) -> Result<[Self; 2], Box<Self>> {
        let half = self.count() / 2;
        let parts = match Self::halves(&self.records, half, compression) {
            Ok(parts) => parts,
            Err(error) => {
                self.last_error = Some(error);
                return Err(Box::new(self));
            }
        };
        let deliveries = [0; 2].map(|_| Delivery::new(self.topic_partition.clone()));
        let first = u32::try_from(half).expect("a count of records is not negative");
        let split = [(0, deliveries[0].clone()), (first, deliveries[1].clone())];
        self.delivery.complete(Outcome::Split(split.into()));
        let mut memory = self.memory.take();
        let mut at = 0;
        let mut deliveries = deliveries.into_iter();
        Ok(parts.map(|records| {
            let delivery = deliveries.next().expect("one for each part");
            let mut part = Self::new(self.topic_partition.clone(), records, delivery, memory.take());
            (part.created, part.number) = (self.created, self.number);
            part.part = self.part + at;
            part.attempts = self.attempts;
            part.producer = self.producer.map(|producer| ProducerIdentity {
                base_sequence: producer.base_sequence.plus(at),
                ..producer
            });
            at += part.count();
            part
        }))
    }

    fn halves(whole: &RecordBatch, half: i32, compression: Compression) -> Result<[RecordBatch; 2], Error> {
        let mut records = whole.records().map_err(|error| unreadable(&error))?;
        let options = BatchOptions {
            compression,
            ..BatchOptions::default()
        };
        let mut builders = [BatchBuilder::new(options), BatchBuilder::new(options)];
        let mut index = 0;
        while let Some(record) = records.next_ref() {
            let record = record.map_err(|error| unreadable(&error))?;
            let builder = &mut builders[usize::from(index >= half)];
            let renumbered = forebay_records::RecordRef {
                offset: builder.next_offset(),
                ..record
            };
            builder
                .append_record(&renumbered)
                .map_err(|error| Error::Batch(Arc::new(error)))?;
            index += 1;
        }
        let [first, second] =
            builders.map(|builder| builder.build().map_err(|error| Error::Batch(Arc::new(error))));
        Ok([first?, second?])
    }

    /// The timestamp of its first record.
    pub(super) fn timestamp(&self) -> Timestamp {
        if self.count() > 0 {
            self.records.header().base_timestamp
        } else {
            NO_TIMESTAMP
        }
    }
}

fn unreadable(error: &forebay_records::Error) -> Error {
    Error::IllegalState(format!("the batch cannot be read: {error}").into())
}
