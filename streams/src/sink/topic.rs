//! Writes results to a topic: the word as the key, the count as text as the value. At least once: after a crash an epoch
//! may be written again, with the same counts.

use std::future::Future;
use std::pin::Pin;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use forebay_client::{Client, Producer, ProducerRecord};
use forebay_config::Properties;

use super::Sink;
use crate::Error;

/// How many records are sent before their acknowledgements are looked at.
const IN_FLIGHT_MAX: usize = 10_000;

/// Produces to one topic.
#[derive(Debug)]
pub struct TopicSink {
    topic: String,
    producer: Producer,
}

impl TopicSink {
    /// A sink into `topic`.
    ///
    /// # Errors
    /// If the client's configuration does not do for a producer.
    pub fn new(client: &Client, topic: &str) -> Result<Self, Error> {
        let acks: Properties = [("acks".to_owned(), "all".to_owned())].into();
        Ok(Self {
            topic: topic.to_owned(),
            producer: client.producer(&acks)?,
        })
    }

    async fn write_all(&self, rows: &RecordBatch) -> Result<(), Error> {
        let (words, counts) = (
            rows.column(0).as_binary::<i32>(),
            rows.column(1).as_primitive::<Int64Type>(),
        );
        let mut deliveries = Vec::with_capacity(words.len().min(IN_FLIGHT_MAX));
        for row in 0..words.len() {
            let count = counts.value(row).to_string();
            let record = ProducerRecord::new(&self.topic, Some(words.value(row)), Some(count.as_bytes()));
            deliveries.push(self.producer.send(record).await?);
            if deliveries.len() == IN_FLIGHT_MAX {
                for delivery in deliveries.drain(..) {
                    delivery.await?;
                }
            }
        }
        for delivery in deliveries {
            delivery.await?;
        }
        Ok(())
    }
}

impl Sink for TopicSink {
    fn write<'a>(
        &'a mut self,
        _epoch: u64,
        rows: &'a RecordBatch,
    ) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>> {
        Box::pin(self.write_all(rows))
    }
}
