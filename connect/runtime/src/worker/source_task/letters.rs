//! What becomes of a source's record that goes no further while errors are tolerated: it is sent to the dead letter queue, if there is one,
//! by the task's own producer and before its source offset is committed. Kafka has such queues for sinks only; the keys and headers are the
//! same, and two more tell the source partition and offset.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Waker, Poll};

use bytes::Bytes;
use forebay_client::producer::{DeliveryFuture, RecordMetadata};
use forebay_client::{Error as ClientError, Producer, ProducerRecord};
use forebay_connect_api::{
    BoxFuture, Error, OffsetMap, SchemaAndValue, SourceRecord, TaskId, Timestamp, Value,
};
use forebay_records::Headers;

use super::super::context::Context;
use super::super::converters::{Converters, Encoded};
use super::super::dead_letters::{Fault, Header, PREFIX, header, headers, make_queue};
use super::super::stage::Stage;
use crate::connector_config::{ConnectorConfig, DeadLetterQueueConfig, ErrorHandling};

/// The queue of a task.
#[derive(Debug, Clone)]
pub(in crate::worker) struct Letters {
    id: TaskId,
    task_class: String,
    errors: ErrorHandling,
    queue: DeadLetterQueueConfig,
}

/// A record on its way to the queue.
#[derive(Debug, Clone)]
pub(in crate::worker) struct Letter {
    key: Option<Bytes>,
    value: Option<Bytes>,
    headers: Vec<Header>,
    timestamp: Option<Timestamp>,
}

/// Where a record stood in its source.
#[derive(Debug, Clone, Copy)]
pub(in crate::worker) struct Place<'a> {
    pub(in crate::worker) record: &'a SourceRecord,
    pub(in crate::worker) offset: Option<&'a OffsetMap>,
}

impl Letters {
    /// Makes the queue's topic if it is missing; `None`: the connector has no queue.
    pub(in crate::worker) async fn open(
        context: &Context,
        config: &ConnectorConfig,
        id: &TaskId,
        task_class: String,
    ) -> Result<Option<Self>, Error> {
        let Some(queue) = config.dead_letter_queue().filter(|_| config.errors.tolerates) else {
            return Ok(None);
        };
        make_queue(context, config, &queue).await?;
        Ok(Some(Self {
            id: id.clone(),
            task_class,
            errors: config.errors.clone(),
            queue,
        }))
    }

    /// The letter of a record that could not be transformed or converted. What can be converted is so; what cannot is its data as text,
    /// and a header says that it is not in the form of its topic.
    pub(in crate::worker) async fn of_record(
        &self,
        converters: &Converters,
        place: Place<'_>,
        fault: Fault<'_>,
    ) -> Letter {
        let record = place.record;
        match converters.encode(record).await {
            Ok(encoded) => self.of_encoded(&encoded, place, fault),
            Err(_) => {
                let mut headers = self.headers(place, fault);
                headers.push(header("form", "text"));
                Letter {
                    key: text(&record.key),
                    value: text(&record.value),
                    headers,
                    timestamp: record.timestamp,
                }
            }
        }
    }

    /// The letter of a record that the task leaves out: its text or bytes as they are.
    ///
    /// # Errors
    /// None where there is a queue, as errors are tolerated there.
    pub(in crate::worker) fn of_left_out(&self, place: Place<'_>, why: &str) -> Result<Letter, Error> {
        let (record, stage) = (place.record, Stage::TaskPoll);
        let error = self
            .errors
            .tolerate(&self.id, stage, Error::fatal(why), || format!("{record:?}"))?;
        let fault = Fault {
            stage,
            class: "",
            error: &error,
        };
        let mut headers = self.headers(place, fault);
        headers.push(header("form", "text"));
        Ok(Letter {
            key: text(&record.key),
            value: text(&record.value),
            headers,
            timestamp: record.timestamp,
        })
    }

    fn of_encoded(&self, encoded: &Encoded, place: Place<'_>, fault: Fault<'_>) -> Letter {
        let own = encoded.headers.iter().map(|header| {
            let value = header.value.map(|value| encoded.headers.share(value));
            (header.key_text().into_owned(), value)
        });
        Letter {
            key: encoded.key.clone(),
            value: encoded.value.clone(),
            headers: own.chain(self.headers(place, fault)).collect(),
            timestamp: place.record.timestamp,
        }
    }

    /// The letter of a record that the cluster has refused.
    pub(in crate::worker) fn of_refused(&self, encoded: &Encoded, place: Place<'_>, error: &Error) -> Letter {
        let fault = Fault {
            stage: Stage::KafkaProduce,
            class: "org.apache.kafka.clients.producer.KafkaProducer",
            error,
        };
        self.of_encoded(encoded, place, fault)
    }

    fn headers(&self, Place { record, offset }: Place<'_>, fault: Fault<'_>) -> Vec<Header> {
        if !self.queue.context_headers {
            return Vec::new();
        }
        let class = if fault.class.is_empty() {
            self.task_class.as_str()
        } else {
            fault.class
        };
        let mut all = vec![header("topic", record.topic.to_string())];
        all.extend(
            record
                .partition
                .map(|partition| header("partition", partition.to_string())),
        );
        all.push(header("source.partition", record.source_partition.to_string()));
        all.extend(offset.map(|offset| header("source.offset", offset.to_string())));
        all.extend(headers(&self.id, Fault { class, ..fault }));
        all
    }

    /// Sends a letter; what comes of it must be waited for before its source offset is committed.
    pub(in crate::worker) async fn send(
        &self,
        producer: &Producer,
        letter: Letter,
    ) -> Result<DeliveryFuture, Error> {
        self.errors.metrics.dead_letter();
        let whole: Headers = letter.headers.iter().cloned().collect();
        let record = self.record(&letter, &whole);
        let sent = if producer.check_size(&record).is_ok() {
            producer.send(record).await
        } else {
            let (letter, headers) = letter.without_data();
            producer.send(self.record(&letter, &headers)).await
        };
        sent.map_err(|error| self.not_queued(error))
    }

    fn record<'a>(&'a self, letter: &'a Letter, headers: &'a Headers) -> ProducerRecord<'a> {
        ProducerRecord {
            topic: &self.queue.topic,
            partition: None,
            timestamp: letter.timestamp,
            key: letter.key.as_deref(),
            value: letter.value.as_deref(),
            headers,
        }
    }

    fn not_queued(&self, error: ClientError) -> Error {
        let topic = &self.queue.topic;
        Error::fatal(format!(
            "Could not produce message to dead letter queue. topic={topic}"
        ))
        .with_source(error)
    }
}

impl Letter {
    /// What is left of one that is too large to be sent: what went wrong, and where.
    fn without_data(mut self) -> (Self, Headers) {
        let mut told: Vec<Header> = std::mem::take(&mut self.headers);
        told.retain(|(key, _)| key.starts_with(PREFIX));
        told.push(header("form", "omitted"));
        (self.key, self.value) = (None, None);
        (self, told.into_iter().collect())
    }
}

/// The text, or the bytes as they are.
fn text(data: &SchemaAndValue) -> Option<Bytes> {
    match &data.value {
        Value::Null => None,
        Value::Bytes(bytes) => Some(bytes.clone()),
        value => Some(Bytes::from(value.to_string())),
    }
}

/// What comes of a record that was given to the producer, or of its letter.
pub(in crate::worker) enum Delivery {
    /// Of the record.
    Record(DeliveryFuture),
    /// Of the record, and if it is refused of its letter.
    Either(BoxFuture<'static, Result<RecordMetadata, Undelivered>>),
    /// Of the letter.
    Letter(DeliveryFuture, Letters),
}

/// Why neither arrived.
#[derive(Debug)]
pub(in crate::worker) enum Undelivered {
    /// The cluster refuses the record.
    Record(ClientError),
    /// It is to be in the queue, and cannot.
    Letter(Error),
}

impl Delivery {
    /// That of a record whose letter is ready in case that it is refused.
    pub(in crate::worker) fn either(
        record: DeliveryFuture,
        producer: Producer,
        letters: Letters,
        letter: impl FnOnce(&Letters, &Error) -> Letter + Send + 'static,
    ) -> Self {
        Self::Either(Box::pin(async move {
            let refusal = match record.await {
                Ok(metadata) => return Ok(metadata),
                Err(error) => {
                    Error::fatal("Unrecoverable exception from producer send callback").with_source(error)
                }
            };
            let tolerated = letters
                .errors
                .tolerate(&letters.id, Stage::KafkaProduce, refusal, String::new);
            let letter = letter(&letters, &tolerated.map_err(Undelivered::Letter)?);
            let sent = letters
                .send(&producer, letter)
                .await
                .map_err(Undelivered::Letter)?;
            sent.await
                .map_err(|error| Undelivered::Letter(letters.not_queued(error)))
        }))
    }
}

impl Future for Delivery {
    type Output = Result<RecordMetadata, Undelivered>;

    fn poll(self: Pin<&mut Self>, context: &mut Waker<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Record(delivery) => Pin::new(delivery).poll(context).map_err(Undelivered::Record),
            Self::Either(delivery) => delivery.as_mut().poll(context),
            Self::Letter(delivery, letters) => {
                let polled = Pin::new(delivery).poll(context);
                polled.map_err(|error| Undelivered::Letter(letters.not_queued(error)))
            }
        }
    }
}
