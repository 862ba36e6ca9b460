//! What memory a task takes that writes many partitions at once (faults.md, C11): `cargo run --release -p
//! forebay-connectors-object-store --example partitions -- 500 24 67108864`: so many partitions, folders by hour in each, and bytes
//! of `worker.max.buffer.bytes`. Prints the most that the process has had, and fails if that is beyond twice the budget and
//! some for the program itself.
#![allow(clippy::print_stdout)] // A program that measures.

use std::{error::Error, fs, sync::Arc};

use forebay_connect_api::{
    Access, AssignedPartition, Headers, Offset, SchemaAndValue, SinkBatch, SinkConnector, SinkRecord,
    SinkRecords, TimestampType, TopicPartition, config::Properties, conformance::SinkContext,
};
use forebay_connectors_object_store::ObjectStoreSinkConnector;
use forebay_records::Timestamp;

const HOUR_MS: i64 = 3_600_000;
const ROUNDS: i64 = 8;
const VALUE_BYTES: usize = 1000;
/// The program, and what its allocator keeps.
const PROGRAM_BYTES: u64 = 48 * 1024 * 1024;

/// The most memory that the process has had, in bytes.
fn most_bytes() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line
        .and_then(|line| line.split_whitespace().next())
        .ok_or("no VmHWM")?;
    Ok(kib.parse::<u64>()? * 1024)
}

fn batch(of: &TopicPartition, first: i64, hours: i64) -> SinkBatch {
    let record = |offset: i64| SinkRecord {
        topic: Arc::clone(&of.topic),
        partition: of.partition,
        offset: Offset(offset),
        timestamp: Timestamp((offset % hours) * HOUR_MS),
        timestamp_type: TimestampType::CreateTime,
        key: SchemaAndValue::default(),
        // Different everywhere: nothing shrinks.
        value: SchemaAndValue::string(format!("{} {offset} ", of.partition).repeat(VALUE_BYTES / 8)),
        headers: Headers::new(),
    };
    SinkBatch {
        topic_partition: of.clone(),
        first_offset: Offset(first),
        next_offset: Offset(first + hours),
        records: SinkRecords::Converted((first..first + hours).map(record).collect()),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<i64>());
    let mut next = |default: i64| arguments.next().unwrap_or(Ok(default));
    let (partitions, hours, budget) = (next(500)?, next(24)?, next(64 * 1024 * 1024)?);
    let directory = tempfile::tempdir()?;
    let keys = [
        ("format.class", "JsonFormat".to_owned()),
        ("flush.size", "1000000".to_owned()),
        ("store.url", format!("file://{}", directory.path().display())),
        ("partitioner.class", "HourlyPartitioner".to_owned()),
        ("timestamp.extractor", "Record".to_owned()),
        ("worker.max.buffer.bytes", budget.to_string()),
        ("max.buffer.bytes", i64::MAX.to_string()),
    ];
    let properties: Properties = keys.map(|(key, value)| (key.to_owned(), value)).into();
    let mut task = ObjectStoreSinkConnector::default().task();
    let context = Arc::new(SinkContext::new(Access::unrestricted()));
    task.start(context, &properties).await?;
    let names: Vec<TopicPartition> = (0..i32::try_from(partitions)?)
        .map(|number| TopicPartition::new("t", number))
        .collect();
    let assigned = names.iter().map(|name| AssignedPartition {
        topic_partition: name.clone(),
        topic_id: None,
        committed: None,
        position: Offset(0),
        log_start_offset: Offset(0),
        log_end_offset: Offset(0),
    });
    task.open(&assigned.collect::<Vec<_>>()).await?;
    let before = most_bytes()?;
    let mut written = 0;
    for round in 0..ROUNDS {
        for name in &names {
            let batch = batch(name, round * hours, hours);
            written += usize::try_from(hours)? * VALUE_BYTES;
            task.put(&batch).await?;
        }
    }
    let most = most_bytes()?;
    println!(
        "{partitions} partitions, {hours} folders each, {written} bytes taken, budget {budget}: {before} bytes before, {most} at most"
    );
    let bound = 2 * u64::try_from(budget)? + PROGRAM_BYTES;
    if most > bound {
        return Err(format!("{most} bytes are more than {bound}").into());
    }
    Ok(())
}
