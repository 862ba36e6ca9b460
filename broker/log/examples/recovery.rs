//! How fast logs are recovered after a crash: writes so many megabytes into so many logs, ends without a clean shutdown, and
//! opens the directory again with one thread and with more. `cargo run --release -p forebay-broker-log --example recovery --
//! [MEGABYTES] [LOGS] [FOLDER]`; the folder is a temporary one unless named. The page cache has the files: what is measured
//! is what recovery itself costs, unless it was dropped in between.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use forebay_broker_log::{
    Append, DirectoryOptions, LogConfig, LogDirectory, TopicId, TopicPartition, TransactionChecks, Uuid,
    ValidatedBatch,
};
use forebay_disk::RealDisk;
use forebay_records::{
    AppendOrigin, BatchBuilder, BatchOptions, Headers, LeaderEpoch, Timestamp, ValidationOptions, validate,
};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const RECORDS_PER_BATCH: usize = 16;
const RECORD_BYTES: usize = 1024;

#[expect(clippy::print_stdout, reason = "it is there to say something")]
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let megabytes: usize = arguments.next().as_deref().unwrap_or("1024").parse()?;
    let logs: usize = arguments.next().as_deref().unwrap_or("4").parse()?;
    let temporary = tempfile::tempdir()?;
    let path = arguments
        .next()
        .map_or_else(|| temporary.path().join("data"), PathBuf::from);
    write(&path, megabytes * 1_000_000 / logs, logs)?;
    for threads in [1, 2, logs] {
        let directory = open(&path)?;
        let began = Instant::now();
        let config = Arc::new(LogConfig::default());
        let summary = directory.load(&|_| Arc::clone(&config), threads, NOW)?;
        let took = began.elapsed();
        let recovered: usize = summary
            .loaded
            .iter()
            .map(|(_, report)| report.recovered_segments)
            .sum();
        let bytes: u64 = directory.logs().iter().map(|log| log.size_in_bytes()).sum();
        println!(
            "{threads} threads: {} MB in {recovered} segments in {:.2} s, {:.2} GB/s",
            bytes / 1_000_000,
            took.as_secs_f64(),
            bytes as f64 / 1e9 / took.as_secs_f64()
        );
    }
    Ok(())
}

fn open(path: &std::path::Path) -> Outcome<LogDirectory> {
    Ok(LogDirectory::open(DirectoryOptions {
        disk: Arc::new(RealDisk),
        path: path.to_path_buf(),
        node_id: 1,
        cluster_id: None,
        new_cluster_id: "cluster".to_owned(),
        new_directory_id: Uuid([9; 16]),
        tail_bytes_per_log: 0,
        tail_bytes: 0,
        recovery: Arc::default(),
    })?)
}

fn write(path: &std::path::Path, bytes_per_log: usize, logs: usize) -> Outcome<()> {
    let directory = open(path)?;
    let config = Arc::new(LogConfig::default());
    directory.load(&|_| Arc::clone(&config), 1, NOW)?;
    let value: Vec<u8> = (0..RECORD_BYTES).map(|at| (at * 31 % 251) as u8).collect();
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for _ in 0..RECORDS_PER_BATCH {
        builder.append(NOW, Some(b"key"), Some(&value), &Headers::EMPTY)?;
    }
    let batch = builder.build()?;
    let validated = validate(&batch, &ValidationOptions::at(NOW))?;
    for number in 0..logs {
        let partition = TopicPartition::new("recovery", i32::try_from(number)?)?;
        let log = directory.log_or_create(&partition, TopicId::NONE, &config)?;
        for _ in 0..bytes_per_log / batch.size_in_bytes() {
            let append = Append {
                batches: vec![ValidatedBatch {
                    batch: batch.clone(),
                    validated,
                }],
                origin: AppendOrigin::Client,
                transaction: TransactionChecks::default(),
            };
            for answer in log.append(LeaderEpoch(0), NOW, vec![append]) {
                answer?;
            }
        }
    }
    Ok(())
}
