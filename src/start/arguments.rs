//! The flags of `forebay start`, which the demo takes too.

use std::path::PathBuf;

use clap::Args;

/// Ports of the roles.
#[derive(Debug, Clone, Args)]
pub(crate) struct Ports {
    /// Port of the broker; 0 takes one that is free.
    #[arg(long, value_name = "N")]
    pub(crate) kafka_port: Option<u16>,
    /// Port of the schema registry.
    #[arg(long, value_name = "N")]
    pub(crate) registry_port: Option<u16>,
    /// Port of the REST proxy.
    #[arg(long, value_name = "N")]
    pub(crate) rest_port: Option<u16>,
    /// Port of the Connect REST API.
    #[arg(long, value_name = "N")]
    pub(crate) connect_port: Option<u16>,
    /// Port of the console, /metrics and /health.
    #[arg(long, value_name = "N")]
    pub(crate) console_port: Option<u16>,
}

/// What `forebay start` is given.
#[derive(Debug, Clone, Args)]
pub(crate) struct StartArguments {
    /// A TOML file with one table per role: [broker], [registry], [rest], [connect], [console].
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where everything is kept.
    #[arg(long, value_name = "DIR", default_value = "./forebay-data")]
    pub(crate) data_dir: PathBuf,
    /// The roles to run, separated by commas: broker, registry, rest, connect, console.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) roles: Vec<String>,
    #[command(flatten)]
    pub(crate) ports: Ports,
    /// Sets one key of one role, such as broker.log.retention.hours=24; stronger than the file.
    #[arg(long, value_name = "ROLE.KEY=VALUE")]
    pub(crate) r#override: Vec<String>,
}
