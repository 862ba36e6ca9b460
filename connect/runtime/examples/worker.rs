//! A worker with the file connectors against any cluster, to try things by hand:
//! `cargo run -p forebay-connect-runtime --example worker -- --bootstrap 127.0.0.1:9092 --rest-port 8083 [key=value]...`

use std::error::Error;

use forebay_client::{Client, ClientConfig};
use forebay_config::Properties;
use forebay_connect_api::Plugins;
use forebay_connect_runtime::{Config, Service};
use forebay_http::{Listeners, Options};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut bootstrap = "127.0.0.1:9092".to_owned();
    let mut port = 8083;
    let mut properties = Properties::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bootstrap" => bootstrap = arguments.next().ok_or("--bootstrap needs host:port")?,
            "--rest-port" => port = arguments.next().ok_or("--rest-port needs a port")?.parse()?,
            pair => {
                let (key, value) = pair.split_once('=').ok_or("arguments are key=value")?;
                properties.insert(key.to_owned(), value.to_owned());
            }
        }
    }
    let began = std::time::Instant::now();
    let client = Client::new(ClientConfig::bootstrap(&bootstrap)?);
    let service = Service::start(
        &client,
        Config::new(&properties)?,
        Plugins::new(forebay_connectors_file::plugins()),
        Listeners::loopback("connect", port).await?,
        Options::default(),
    )
    .await?;
    tracing::info!(addresses = ?service.addresses(), milliseconds = began.elapsed().as_millis(), "ready");
    tokio::signal::ctrl_c().await?;
    service.stop().await;
    Ok(())
}
