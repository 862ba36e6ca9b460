//! The command line of the load generator.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// What is measured against what, and for how long.
#[derive(Debug, Parser)]
#[command(
    name = "load",
    about = "Open-loop load over librdkafka, alternating between brokers",
    bin_name = "cargo bench --bench load --"
)]
struct Arguments {
    /// The brokers to compare, in the order of the columns.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "forebay,forebay-synced,kafka,floor,mock"
    )]
    targets: Vec<Kind>,
    /// How many times each broker is measured; the printed figure is the median.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of producing in each throughput measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Seconds of the latency measurement at 1,000 records/s.
    #[arg(long, default_value_t = 10)]
    latency_seconds: u64,
    /// The core that brokers are pinned to (needs taskset); `none` leaves placement to the kernel.
    #[arg(long, default_value = "0")]
    broker_cpu: String,
    /// The core that the load is pinned to; `none` leaves placement to the kernel.
    #[arg(long, default_value = "1")]
    load_cpu: String,
    /// What to measure; goals that need more are then not measured.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "100-byte,one-kilobyte,idempotent,one-record,latency"
    )]
    workloads: Vec<Workload>,
    /// Another build of Forebay than this one, for a comparison of two.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_forebay"), hide_default_value = true)]
    binary: PathBuf,
    /// A further setting of Forebay's, as `forebay start --override` takes it (`broker.socket.send.buffer.bytes=102400`).
    #[arg(long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// GiB of free memory that are given to the page cache before each measurement, at most.
    #[arg(long, default_value_t = 32)]
    warm_memory_gib: u64,
    /// Where brokers keep their data while they are measured.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Skip the start-up times.
    #[arg(long)]
    without_start_times: bool,
    /// Be the floor: serve it from this directory.
    #[arg(long, hide = true)]
    floor_server: Option<PathBuf>,
    /// Cargo passes this one to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A part of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// Produce and consume records of 100 bytes.
    #[value(name = "100-byte")]
    HundredByte,
    /// Produce and consume records of 1 KB.
    OneKilobyte,
    /// Produce records of 1 KB as an idempotent producer.
    Idempotent,
    /// Batches of one record.
    OneRecord,
    /// 1,000 records a second.
    Latency,
}

/// One column of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Forebay with `flush.messages` at Kafka's default: an acknowledgement means the page cache.
    Forebay,
    /// Forebay as it starts by default: an acknowledgement means the disk.
    ForebaySynced,
    /// Apache Kafka 4.3.1, started through `tests/peers/kafka`.
    Kafka,
    /// A loop that only receives, checksums and appends, and one that only sends a file.
    Floor,
    /// librdkafka's own mock broker inside this process: the ceiling of the client.
    Mock,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Forebay => "Forebay",
            Self::ForebaySynced => "Forebay, flush.messages=1",
            Self::Kafka => "Apache Kafka",
            Self::Floor => "floor",
            Self::Mock => "librdkafka mock",
        }
    }
}

/// The arguments, checked.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) targets: Vec<Kind>,
    pub(crate) rounds: usize,
    pub(crate) duration: Duration,
    pub(crate) latency_duration: Duration,
    pub(crate) broker_cpu: Option<usize>,
    pub(crate) load_cpu: Option<usize>,
    pub(crate) directory: PathBuf,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) binary: PathBuf,
    pub(crate) overrides: Vec<String>,
    pub(crate) warm_memory_bytes: u64,
    pub(crate) start_times: bool,
    pub(crate) floor_server: Option<PathBuf>,
}

impl Options {
    /// `None` when Cargo only asks for the list of benchmarks.
    pub(crate) fn from_arguments() -> anyhow::Result<Option<Self>> {
        if std::env::args().any(|argument| argument == "--list") {
            return Ok(None);
        }
        let arguments = Arguments::parse();
        let cpu = |text: &str| -> anyhow::Result<Option<usize>> {
            Ok(if text == "none" { None } else { Some(text.parse()?) })
        };
        Ok(Some(Self {
            targets: arguments.targets,
            rounds: arguments.rounds.max(1),
            duration: Duration::from_secs(arguments.seconds.max(1)),
            latency_duration: Duration::from_secs(arguments.latency_seconds.max(1)),
            broker_cpu: cpu(&arguments.broker_cpu)?,
            load_cpu: cpu(&arguments.load_cpu)?,
            directory: arguments
                .directory
                .unwrap_or_else(|| std::env::temp_dir().join("forebay-load")),
            workloads: arguments.workloads,
            binary: arguments.binary,
            overrides: arguments.overrides,
            warm_memory_bytes: arguments.warm_memory_gib << 30,
            start_times: !arguments.without_start_times,
            floor_server: arguments.floor_server,
        }))
    }
}
