//! What compaction costs those who produce: acknowledgements at 1,000 records of 1 KB per second while nothing else happens, and while
//! a cleaner is busy, held to some rates and to none. `cargo run --release -p forebay-broker-server --example compaction --
//! [SECONDS] [MEGABYTES] [ROUNDS]`: how long each is measured, how much there is to compact, and how often all of it is done.

use std::time::Duration;

use forebay_broker_server::{Broker, BrokerConfig, CallContext, Options, Router};
use forebay_config::Properties;
use forebay_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use forebay_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use forebay_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use forebay_protocol::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, IncrementalAlterConfigsRequest, ProduceRequest,
};
use forebay_protocol::{Records, Request, Response};
use forebay_records::{BatchBuilder, BatchOptions, Headers, RecordBatch, Timestamp};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const RECORDS_PER_SECOND: u64 = 1000;
const RECORD_BYTES: usize = 1024;
/// Bytes per second that the cleaner may read and write; the last is no limit.
const RATES: [&str; 3] = ["10000000", "50000000", "1.7976931348623157E308"];
/// `flush.messages`: each record is synced before it is acknowledged, or none.
const FLUSHES: [&str; 2] = ["1", "9223372036854775807"];

#[derive(Clone)]
struct Clients(Router);

impl Clients {
    async fn call(&self, version: i16, request: impl Into<Request>) -> Outcome<Response> {
        let context = CallContext::in_process("example", "PLAINTEXT");
        let response = self.0.call(context, version, request.into()).await;
        response.ok_or_else(|| "no answer".into())
    }

    async fn create(&self, name: &str, configs: &[(&str, &str)]) -> Outcome<()> {
        let configs = configs.iter().map(|(name, value)| CreatableTopicConfig {
            name: (*name).into(),
            value: Some((*value).into()),
            ..Default::default()
        });
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: 1,
            replication_factor: 1,
            configs: configs.collect(),
            ..Default::default()
        };
        let request = CreateTopicsRequest {
            topics: vec![topic],
            timeout_ms: 10_000,
            ..Default::default()
        };
        match self.call(7, request).await? {
            Response::CreateTopics(answer) if answer.topics[0].error_code == 0 => Ok(()),
            other => Err(format!("{other:?}").into()),
        }
    }

    async fn set(&self, kind: i8, resource: &str, name: &str, value: &str) -> Outcome<()> {
        let resource = AlterConfigsResource {
            resource_type: kind,
            resource_name: resource.into(),
            configs: vec![AlterableConfig {
                name: name.into(),
                value: Some(value.into()),
                ..Default::default()
            }],
            ..Default::default()
        };
        let request = IncrementalAlterConfigsRequest {
            resources: vec![resource],
            ..Default::default()
        };
        match self.call(1, request).await? {
            Response::IncrementalAlterConfigs(answer) if answer.responses[0].error_code == 0 => Ok(()),
            other => Err(format!("{other:?}").into()),
        }
    }

    async fn delete(&self, name: &str) -> Outcome<()> {
        let request = DeleteTopicsRequest {
            topic_names: vec![name.into()],
            timeout_ms: 30_000,
            ..Default::default()
        };
        self.call(5, request).await.map(drop)
    }

    async fn produce(&self, topic: &str, batch: RecordBatch) -> Outcome<()> {
        let data = PartitionProduceData {
            records: Some(Records::Memory(batch.into_bytes())),
            ..Default::default()
        };
        let topic = TopicProduceData {
            name: topic.into(),
            partition_data: vec![data],
            ..Default::default()
        };
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: 30_000,
            topic_data: vec![topic],
            ..Default::default()
        };
        match self.call(9, request).await? {
            Response::Produce(answer) if answer.responses[0].partition_responses[0].error_code == 0 => Ok(()),
            other => Err(format!("{other:?}").into()),
        }
    }
}

/// Records with keys from `first_key` on.
fn batch(first_key: usize, records: usize) -> Outcome<RecordBatch> {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let now = Timestamp(i64::try_from(since_1970.as_millis())?);
    let value = vec![b'x'; RECORD_BYTES];
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for key in first_key..first_key + records {
        builder.append(
            now,
            Some(key.to_string().as_bytes()),
            Some(&value),
            &Headers::EMPTY,
        )?;
    }
    Ok(builder.build()?)
}

/// How long acknowledgements took, in the order of their length.
struct Latencies(Vec<Duration>);

impl Latencies {
    /// Produces at a steady rate, whatever becomes of the records before.
    async fn measure(clients: &Clients, topic: &'static str, seconds: u64) -> Outcome<Latencies> {
        let record = batch(0, 1)?;
        let mut running = JoinSet::new();
        let begin = Instant::now();
        for number in 0..seconds * RECORDS_PER_SECOND {
            sleep_until(begin + Duration::from_micros(number * 1_000_000 / RECORDS_PER_SECOND)).await;
            let (clients, record) = (clients.clone(), record.clone());
            running.spawn(async move {
                let sent = Instant::now();
                let produced = clients
                    .produce(topic, record)
                    .await
                    .map_err(|error| error.to_string());
                produced.map(|()| sent.elapsed())
            });
        }
        let mut all = running
            .join_all()
            .await
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?;
        all.sort_unstable();
        Ok(Latencies(all))
    }

    /// In milliseconds, of so many thousandths of them.
    fn quantile(&self, thousandths: usize) -> f64 {
        let at = (self.0.len() * thousandths / 1000).min(self.0.len() - 1);
        self.0[at].as_secs_f64() * 1000.0
    }
}

#[expect(clippy::print_stdout, reason = "it is there to say something")]
async fn round(clients: &Clients, seconds: u64, megabytes: usize) -> Outcome<()> {
    for flush in FLUSHES {
        clients.set(TOPIC, "produced", "flush.messages", flush).await?;
        sleep(Duration::from_secs(1)).await;
        let idle = Latencies::measure(clients, "produced", seconds).await?;
        println!(
            "flush.messages={flush}, no cleaner: p50 {:.3} ms, p99 {:.3} ms, p99.9 {:.3} ms",
            idle.quantile(500),
            idle.quantile(990),
            idle.quantile(999)
        );
        for rate in RATES {
            clients
                .set(BROKER, "1", "log.cleaner.io.max.bytes.per.second", rate)
                .await?;
            let configs = [
                ("cleanup.policy", "compact"),
                ("min.cleanable.dirty.ratio", "1"),
                ("segment.bytes", "67108864"),
                ("flush.messages", "9223372036854775807"),
            ];
            clients.create("compacted", &configs).await?;
            for number in 0..megabytes {
                // Half of it is said again later.
                let first_key = if number % 2 == 0 { 0 } else { number * 900 };
                clients.produce("compacted", batch(first_key, 900)?).await?;
            }
            // What was written reaches the disk before.
            sleep(Duration::from_secs(5)).await;
            clients
                .set(TOPIC, "compacted", "min.cleanable.dirty.ratio", "0")
                .await?;
            sleep(Duration::from_millis(200)).await;
            let busy = Latencies::measure(clients, "produced", seconds).await?;
            clients.delete("compacted").await?;
            println!(
                "  cleaner at {rate} bytes per second: p50 {:.3} ms ({:.2} times), p99 {:.3} ms ({:.2} times), p99.9 {:.3} ms",
                busy.quantile(500),
                busy.quantile(500) / idle.quantile(500),
                busy.quantile(990),
                busy.quantile(990) / idle.quantile(990),
                busy.quantile(999)
            );
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().as_deref().unwrap_or("10").parse()?;
    let megabytes = arguments.next().as_deref().unwrap_or("1000").parse()?;
    let rounds: usize = arguments.next().as_deref().unwrap_or("3").parse()?;
    let directory = tempfile::tempdir()?;
    let properties: Properties = [
        ("listeners", "PLAINTEXT://127.0.0.1:0".to_owned()),
        ("log.dirs", directory.path().display().to_string()),
        ("log.cleaner.backoff.ms", "10".to_owned()),
        ("log.segment.delete.delay.ms", "0".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    let broker = Broker::start(Options::new(BrokerConfig::parse(&properties)?)).await?;
    let clients = Clients(broker.handle().router().clone());
    clients.create("produced", &[]).await?;
    for _ in 0..rounds {
        round(&clients, seconds, megabytes).await?;
    }
    broker.run(std::future::ready(())).await?;
    Ok(())
}
