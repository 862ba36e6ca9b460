//! The work itself: produce as fast as the client can for a time, read it back, and a fixed rate for latency.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{Offset, TopicPartitionList};

use crate::common::process::CoreMeter;
use crate::common::statistics::Percentiles;
use crate::options::Options;
use crate::target::Target;

/// A measured transfer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transfer {
    pub(crate) records: u64,
    bytes: u64,
    elapsed: Duration,
    /// How busy the load's core was in that time, where it has one of its own.
    pub(crate) load_busy: Option<f64>,
}

/// What is produced and read back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    record_bytes: usize,
    pub(crate) idempotent: bool,
    /// Each record in a batch and a request of its own.
    single: bool,
}

impl Work {
    /// Records of so many bytes in batches of up to 1 MB.
    pub(crate) fn of(record_bytes: usize) -> Self {
        Self {
            record_bytes,
            idempotent: false,
            single: false,
        }
    }

    /// As [`Work::of`], from an idempotent producer.
    pub(crate) fn idempotent(record_bytes: usize) -> Self {
        Self {
            idempotent: true,
            ..Self::of(record_bytes)
        }
    }

    /// Batches of one record.
    pub(crate) fn single(record_bytes: usize) -> Self {
        Self {
            single: true,
            ..Self::of(record_bytes)
        }
    }

    pub(crate) fn label(&self) -> String {
        let size = match self.record_bytes {
            1024 => "1 KB".to_owned(),
            bytes => format!("{bytes} B"),
        };
        if self.idempotent {
            format!("{size}, idempotent")
        } else {
            size
        }
    }

    fn configure(&self, config: &mut ClientConfig) {
        config
            .set("acks", "all")
            .set("enable.idempotence", self.idempotent.to_string())
            .set("queue.buffering.max.kbytes", "1048576");
        if self.single {
            // What is queued when the time is over still has to be sent, one by one.
            config
                .set("linger.ms", "0")
                .set("batch.num.messages", "1")
                .set("queue.buffering.max.messages", "5000");
        } else {
            config
                .set("linger.ms", "5")
                .set("batch.size", "1000000")
                .set("queue.buffering.max.messages", "500000");
        }
    }
}

impl Transfer {
    pub(crate) fn gigabytes(&self) -> f64 {
        self.bytes as f64 / 1e9
    }

    pub(crate) fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.elapsed.as_secs_f64()
    }

    pub(crate) fn records_per_second(&self) -> f64 {
        self.records as f64 / self.elapsed.as_secs_f64()
    }
}

/// Counts what is acknowledged, and how long each record with an opaque instant took.
#[derive(Default)]
struct Deliveries {
    state: std::sync::Mutex<Delivered>,
}

#[derive(Default)]
struct Delivered {
    acknowledged: u64,
    failed: Option<KafkaError>,
    latencies_ms: Vec<f64>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    /// When the record should have been sent: coordinated omission is counted, not hidden.
    type DeliveryOpaque = Box<Option<Instant>>;

    fn delivery(&self, result: &DeliveryResult<'_>, intended: Self::DeliveryOpaque) {
        let mut state = self.state.lock().expect("no thread panics while it holds this");
        match result {
            Ok(_) => state.acknowledged += 1,
            Err((error, _)) => state.failed = Some(error.clone()),
        }
        if let Some(intended) = *intended {
            state.latencies_ms.push(intended.elapsed().as_secs_f64() * 1e3);
        }
    }
}

fn client(target: &Target) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &target.bootstrap_servers);
    config.set("broker.address.family", "v4");
    config
}

/// Produces to one partition of `topic` with acks=all for `duration`, then waits for all.
pub(crate) fn produce(
    target: &Target,
    topic: &str,
    work: &Work,
    duration: Duration,
) -> anyhow::Result<Transfer> {
    let mut config = client(target);
    work.configure(&mut config);
    let producer: BaseProducer<Deliveries> = config.create_with_context(Deliveries::default())?;
    let payload = vec![b'x'; work.record_bytes];
    let meter = CoreMeter::start();
    let start = Instant::now();
    let mut sent = 0_u64;
    while start.elapsed() < duration {
        for _ in 0..1000 {
            let record = BaseRecord::<(), [u8], _>::with_opaque_to(topic, Box::new(None))
                .payload(&payload)
                .partition(0);
            match producer.send(record) {
                Ok(()) => sent += 1,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    producer.poll(Duration::from_millis(1));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
        producer.poll(Duration::ZERO);
    }
    producer
        .flush(Duration::from_secs(60))
        .context("records stayed unacknowledged for a minute")?;
    let elapsed = start.elapsed();
    let load_busy = meter.and_then(|meter| meter.busy());
    let state = producer
        .context()
        .state
        .lock()
        .expect("no thread panics while it holds this");
    if let Some(error) = &state.failed {
        bail!("{}: a record was refused: {error}", target.kind.name());
    }
    assert_eq!(state.acknowledged, sent, "every record is acknowledged once");
    Ok(Transfer {
        records: sent,
        bytes: sent * work.record_bytes as u64,
        elapsed,
        load_busy,
    })
}

/// Reads `records` records from the start of `topic`; the time counts from the first one.
pub(crate) fn consume(target: &Target, topic: &str, records: u64, work: &Work) -> anyhow::Result<Transfer> {
    let consumer = assigned_consumer(target, topic, Offset::Beginning)?;
    let mut read = 0_u64;
    let mut start = None;
    while read < records {
        let message = next(&consumer, Duration::from_secs(30))?;
        anyhow::ensure!(
            message.payload_len() == work.record_bytes,
            "a record of another length came back"
        );
        start.get_or_insert_with(|| (Instant::now(), CoreMeter::start()));
        read += 1;
    }
    let (start, meter) = start.context("there is nothing to read")?;
    let elapsed = start.elapsed();
    Ok(Transfer {
        records: read,
        bytes: read * work.record_bytes as u64,
        elapsed,
        load_busy: meter.and_then(|meter| meter.busy()),
    })
}

fn assigned_consumer(target: &Target, topic: &str, from: Offset) -> anyhow::Result<BaseConsumer> {
    let consumer: BaseConsumer = client(target)
        .set("group.id", "load")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "500")
        .set("fetch.message.max.bytes", "1048576")
        .set("queued.min.messages", "1000000")
        // Enough to have always something to do, and not so much that the client spends its time growing its heap.
        .set("queued.max.messages.kbytes", "32768")
        .set("fetch.queue.backoff.ms", "2")
        .create()?;
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, from)?;
    consumer.assign(&partitions)?;
    Ok(consumer)
}

fn next(consumer: &BaseConsumer, timeout: Duration) -> anyhow::Result<BorrowedMessage<'_>> {
    match consumer.poll(timeout) {
        Some(message) => Ok(message?),
        None => bail!("no record came for {timeout:?}"),
    }
}

/// Both latencies of one run at a fixed rate.
#[derive(Debug)]
pub(crate) struct Latency {
    pub(crate) acknowledgement: Percentiles,
    pub(crate) end_to_end: Percentiles,
}

/// 1,000 records of 100 bytes a second, each due at its own instant, with a consumer on the other side.
pub(crate) fn latency(target: &Target, options: &Options) -> anyhow::Result<Latency> {
    const RECORDS_PER_SECOND: u32 = 1000;
    const TOPIC: &str = "load-latency";
    produce(target, TOPIC, &Work::of(100), Duration::from_millis(200))?;
    let records = u64::from(RECORDS_PER_SECOND) * options.latency_duration.as_secs();
    let began = Instant::now();
    let probe: BaseConsumer = client(target).create()?;
    let (_, end) = probe.fetch_watermarks(TOPIC, 0, Duration::from_secs(30))?;
    drop(probe);
    // From where the next record will be: the end at some moment after the first was sent would miss some.
    let consumer = assigned_consumer(target, TOPIC, Offset::Offset(end))?;
    consumer.poll(Duration::from_secs(2));
    let reader = std::thread::spawn(move || -> anyhow::Result<Vec<f64>> {
        let mut samples_ms = Vec::with_capacity(records as usize);
        while (samples_ms.len() as u64) < records {
            let message = next(&consumer, Duration::from_secs(30))?;
            let Some(due) = message.payload().and_then(|bytes| bytes.first_chunk::<8>()) else {
                continue;
            };
            let now = began.elapsed().as_nanos() as f64;
            samples_ms.push((now - u64::from_be_bytes(*due) as f64) / 1e6);
        }
        Ok(samples_ms)
    });
    let acknowledgement = send_at_a_rate(target, TOPIC, records, RECORDS_PER_SECOND, began)?;
    let end_to_end = Percentiles::of(reader.join().expect("the reader does not panic")?);
    Ok(Latency {
        acknowledgement,
        end_to_end,
    })
}

fn send_at_a_rate(
    target: &Target,
    topic: &str,
    records: u64,
    records_per_second: u32,
    began: Instant,
) -> anyhow::Result<Percentiles> {
    let producer: BaseProducer<Deliveries> = client(target)
        .set("acks", "all")
        .set("linger.ms", "0")
        .create_with_context(Deliveries::default())?;
    let interval = Duration::from_secs(1) / records_per_second;
    let first = Instant::now() + Duration::from_millis(50);
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| -> anyhow::Result<()> {
        // Who sends sleeps and who hears of acknowledgements waits in `poll`, which knows whole milliseconds only: with less it would
        // spin, on the core that the client's own threads need, and its time slice would be the p99.
        scope.spawn(|| {
            while !is_done.load(Ordering::Acquire) {
                producer.poll(Duration::from_millis(50));
            }
        });
        let sent = (0..records).try_for_each(|index| {
            let due = first + interval * u32::try_from(index).context("too many records")?;
            if let Some(wait) = due.checked_duration_since(Instant::now()) {
                std::thread::sleep(wait);
            }
            let due_nanos = due.duration_since(began).as_nanos() as u64;
            let mut payload = [b'x'; 100];
            payload[..8].copy_from_slice(&due_nanos.to_be_bytes());
            let record = BaseRecord::<(), [u8], _>::with_opaque_to(topic, Box::new(Some(due)))
                .payload(&payload)
                .partition(0);
            producer.send(record).map_err(|(error, _)| error)?;
            Ok(())
        });
        is_done.store(true, Ordering::Release);
        sent
    })?;
    producer.flush(Duration::from_secs(30))?;
    let mut state = producer
        .context()
        .state
        .lock()
        .expect("no thread panics while it holds this");
    if let Some(error) = &state.failed {
        bail!("{}: a record was refused: {error}", target.kind.name());
    }
    Ok(Percentiles::of(std::mem::take(&mut state.latencies_ms)))
}
