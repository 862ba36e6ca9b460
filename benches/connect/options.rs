//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// What is measured against what.
#[derive(Debug, Parser)]
#[command(
    name = "connect",
    about = "The same connectors on Forebay and on Apache Kafka's Connect worker, alternating",
    bin_name = "cargo bench --bench connect --"
)]
pub(crate) struct Options {
    /// The workers to compare, in the order of the columns.
    #[arg(long, value_delimiter = ',', default_value = "forebay,kafka")]
    pub(crate) targets: Vec<Kind>,
    /// How many times each is measured; the printed figure is the median.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Lines of the measured file.
    #[arg(long, default_value_t = 3_000_000)]
    pub(crate) lines: u64,
    /// Lines that go through first, so that no JVM is cold.
    #[arg(long, default_value_t = 500_000)]
    pub(crate) warm_lines: u64,
    /// Connectors of the restart; 0 leaves it out.
    #[arg(long, default_value_t = 200)]
    pub(crate) connectors: usize,
    /// A Python with pyarrow, the yardstick of Parquet.
    #[arg(long, default_value = "python3")]
    pub(crate) python: PathBuf,
    /// A further setting of Forebay's, as `forebay start --override` takes it.
    #[arg(long = "override", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// Another build of Forebay than this one.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_forebay"), hide_default_value = true)]
    pub(crate) binary: PathBuf,
    /// Where everything is kept meanwhile.
    #[arg(long, default_value_os_t = std::env::temp_dir().join("forebay-connect-bench"))]
    pub(crate) directory: PathBuf,
    /// Cargo passes this one to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// `None` when Cargo only asks for the list of benchmarks.
    pub(crate) fn from_arguments() -> Option<Self> {
        (!std::env::args().any(|argument| argument == "--list")).then(Self::parse)
    }
}

/// One column of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// One process: broker and worker, sources exactly once.
    Forebay,
    /// Apache Kafka 4.3.1, a broker and a distributed worker with their defaults, started through `tests/peers/kafka`.
    Kafka,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Forebay => "Forebay",
            Self::Kafka => "Apache Kafka",
        }
    }
}
