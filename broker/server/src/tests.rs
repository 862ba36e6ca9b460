//! The broker as a whole, in this process: requests by the router, bytes by sockets, restarts after a clean end and after a crash.

mod admin;
mod administration;
mod bad_batches;
mod compaction;
mod consumer_groups;
mod costs;
mod crashes;
mod delete_records;
mod dynamic;
mod exactly_once;
mod expressions;
mod failed_disk;
mod fetch_sessions;
mod groups;
mod idempotence;
mod lifecycle;
mod loggers;
mod metadata_snapshots;
mod metrics;
mod produce_and_fetch;
mod quotas;
mod ranges;
mod raw_socket;
mod transactional;
mod transactions;
mod verification;

use std::path::Path;
use std::sync::Arc;

use forebay_config::Properties;
use forebay_disk::{Disk, RealDisk};
use forebay_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use forebay_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use forebay_protocol::messages::fetch_response::PartitionData;
use forebay_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use forebay_protocol::messages::produce_response::PartitionProduceResponse;
use forebay_protocol::messages::{CreateTopicsRequest, FetchRequest, ProduceRequest};
use forebay_protocol::{ApiRequest, ApiResponse, Chunk, ErrorCode, Records};
use forebay_records::{BatchBuilder, BatchOptions, Headers, ProducerIdentity, RecordBatch, batches};
use tempfile::TempDir;

use crate::{Broker, BrokerConfig, CallContext, Handle, Options};

/// A broker on a directory that goes with the test.
struct TestBroker {
    broker: Option<Broker>,
    handle: Handle,
    settings: Vec<(&'static str, &'static str)>,
    directory: TempDir,
    disk: Arc<dyn Disk>,
}

impl TestBroker {
    async fn start() -> Self {
        Self::start_with(&[]).await
    }

    async fn start_with(settings: &[(&'static str, &'static str)]) -> Self {
        Self::start_on(Arc::new(RealDisk), settings).await
    }

    async fn start_on(disk: Arc<dyn Disk>, settings: &[(&'static str, &'static str)]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let broker = launch(directory.path(), &disk, settings)
            .await
            .expect("the broker starts");
        Self {
            handle: broker.handle(),
            broker: Some(broker),
            settings: settings.to_vec(),
            directory,
            disk,
        }
    }

    /// The broker itself, to be ended by its own means, and all but that.
    fn split(mut self) -> (Broker, Self) {
        (self.broker.take().expect("it runs"), self)
    }

    /// Ends cleanly; gives what it has left.
    async fn stop(mut self) -> (TempDir, Arc<dyn Disk>) {
        self.end().await;
        (self.directory, self.disk)
    }

    /// Ends cleanly and starts again.
    async fn restart(mut self) -> Self {
        self.end().await;
        self.again().await
    }

    async fn end(&mut self) {
        let broker = self.broker.take().expect("it runs");
        broker.run(std::future::ready(())).await.expect("it ends cleanly");
    }

    /// Ends as by `kill -9`, and starts again.
    async fn crash_and_restart(mut self) -> Self {
        self.broker.take().expect("it runs").crash().await;
        self.again().await
    }

    async fn again(self) -> Self {
        let Self {
            handle,
            settings,
            directory,
            disk,
            ..
        } = self;
        drop(handle);
        let broker = launch(directory.path(), &disk, &settings)
            .await
            .expect("the broker starts again");
        Self {
            handle: broker.handle(),
            broker: Some(broker),
            settings,
            directory,
            disk,
        }
    }

    async fn call<R: ApiRequest>(&self, version: i16, request: R) -> R::Response {
        self.try_call(version, request)
            .await
            .expect("the request is answered")
    }

    async fn try_call<R: ApiRequest>(&self, version: i16, request: R) -> Option<R::Response> {
        let context = CallContext::in_process("test", "PLAINTEXT");
        let response = self
            .handle
            .router()
            .call(context, version, request.into())
            .await?;
        Some(R::Response::try_from(response).unwrap_or_else(|other| {
            panic!(
                "{:?} was answered with {other:?}",
                <R::Response as ApiResponse>::API_KEY
            )
        }))
    }

    async fn create_topic(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let configs = configs.iter().map(|(name, value)| CreatableTopicConfig {
            name: (*name).into(),
            value: Some((*value).into()),
            ..CreatableTopicConfig::default()
        });
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.collect(),
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest {
            topics: vec![topic],
            timeout_ms: 1000,
            ..Default::default()
        };
        let response = self.call(7, request).await;
        assert_eq!(
            response.topics[0].error_code, 0,
            "{:?}",
            response.topics[0].error_message
        );
    }

    async fn produce(
        &self,
        topic: &str,
        partition: i32,
        acks: i16,
        batch: RecordBatch,
    ) -> PartitionProduceResponse {
        let request = produce_request(topic, partition, acks, Some(Records::Memory(batch.into_bytes())));
        let mut response = self.call(9, request).await;
        response.responses.remove(0).partition_responses.remove(0)
    }

    /// Everything that one fetch from `offset` gives, without waiting.
    async fn fetch(&self, topic: &str, partition: i32, offset: i64) -> PartitionData {
        let response = self.call(12, fetch_request(topic, partition, offset, 0)).await;
        response
            .responses
            .into_iter()
            .next()
            .expect("the topic")
            .partitions
            .into_iter()
            .next()
            .expect("the partition")
    }

    async fn values(&self, topic: &str, partition: i32, offset: i64) -> Vec<String> {
        values(&self.fetch(topic, partition, offset).await)
    }
}

async fn launch(
    directory: &Path,
    disk: &Arc<dyn Disk>,
    settings: &[(&str, &str)],
) -> Result<Broker, crate::Error> {
    let options = Options {
        disk: Arc::clone(disk),
        ..Options::new(config(directory, settings))
    };
    Broker::start(options).await
}

fn config(directory: &Path, settings: &[(&str, &str)]) -> BrokerConfig {
    let own = [
        ("listeners", "PLAINTEXT://127.0.0.1:0".to_owned()),
        ("log.dirs", directory.display().to_string()),
        ("group.initial.rebalance.delay.ms", "0".to_owned()),
    ];
    let mut properties: Properties = own.map(|(key, value)| (key.to_owned(), value)).into();
    properties.extend(
        settings
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
    );
    BrokerConfig::parse(&properties).expect("a valid configuration")
}

fn produce_request(topic: &str, index: i32, acks: i16, records: Option<Records>) -> ProduceRequest {
    let data = PartitionProduceData {
        index,
        records,
        ..Default::default()
    };
    let topic = TopicProduceData {
        name: topic.into(),
        partition_data: vec![data],
        ..Default::default()
    };
    ProduceRequest {
        acks,
        timeout_ms: 10_000,
        topic_data: vec![topic],
        ..Default::default()
    }
}

fn fetch_request(topic: &str, partition: i32, fetch_offset: i64, max_wait_ms: i32) -> FetchRequest {
    let partition = FetchPartition {
        partition,
        fetch_offset,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let topic = FetchTopic {
        topic: topic.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    FetchRequest {
        max_wait_ms,
        min_bytes: 1,
        max_bytes: 1 << 24,
        session_epoch: -1,
        topics: vec![topic],
        ..FetchRequest::default()
    }
}

fn batch(values: &[&str]) -> RecordBatch {
    batch_of(BatchOptions::default(), values)
}

fn batch_of(options: BatchOptions, values: &[&str]) -> RecordBatch {
    let mut builder = BatchBuilder::new(options);
    for value in values {
        builder
            .append(
                crate::clock::now(),
                Some(b"k"),
                Some(value.as_bytes()),
                &Headers::EMPTY,
            )
            .expect("it fits");
    }
    builder.build().expect("it can be built")
}

fn idempotent(id: i64, epoch: i16, sequence: i32, values: &[&str]) -> RecordBatch {
    let producer = ProducerIdentity {
        id: id.into(),
        epoch: epoch.into(),
        base_sequence: sequence.into(),
    };
    batch_of(
        BatchOptions {
            producer,
            ..BatchOptions::default()
        },
        values,
    )
}

/// The records of an answer as bytes, read from their file if they lie in one.
fn bytes_of(answer: &PartitionData) -> bytes::Bytes {
    let chunks = match answer.records.clone().expect("never null") {
        Records::Memory(bytes) => vec![Chunk::Bytes(bytes)],
        Records::File(range) => vec![Chunk::File(range)],
        Records::Chunks(chunks) => chunks,
    };
    let mut all = bytes::BytesMut::new();
    for chunk in chunks {
        match chunk {
            Chunk::Bytes(bytes) => all.extend_from_slice(&bytes),
            Chunk::File(range) => {
                let mut read = vec![0; range.length as usize];
                let count = range.file.read_at(&mut read, range.position).expect("reads");
                assert_eq!(count, read.len());
                all.extend_from_slice(&read);
            }
        }
    }
    all.freeze()
}

fn values(answer: &PartitionData) -> Vec<String> {
    assert_eq!(ErrorCode::from_i16(answer.error_code), ErrorCode::None);
    let records =
        batches(bytes_of(answer)).flat_map(|batch| batch.expect("whole").records().expect("readable"));
    records
        .map(|record| text(record.expect("good").value.as_deref()))
        .collect()
}

fn text(value: Option<&[u8]>) -> String {
    String::from_utf8(value.unwrap_or_default().to_vec()).expect("text")
}
