//! A broker alone, to be tried with stock clients: `cargo run -p forebay-broker-server --example broker -- KEY=VALUE...`, where
//! the keys are Kafka's (`listeners=PLAINTEXT://localhost:9092`, `log.dirs=/tmp/data`).

use std::process::ExitCode;

use forebay_broker_server::{Broker, BrokerConfig, Options};
use forebay_config::Properties;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let properties: Properties = std::env::args()
        .skip(1)
        .filter_map(|argument| {
            argument
                .split_once('=')
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
        })
        .collect();
    match serve(&properties).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            write(format_args!("{error}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(properties: &Properties) -> Result<(), Box<dyn std::error::Error>> {
    // Before the first client can be served: a signal must not find the default handler.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let broker = Broker::start(Options::new(BrokerConfig::parse(properties)?)).await?;
    for listener in broker.handle().listeners() {
        write(format_args!("{}", listener.advertised));
    }
    Ok(broker
        .run(async move {
            interrupt.recv().await;
        })
        .await?)
}

#[allow(clippy::print_stderr)] // A program for people.
fn write(line: std::fmt::Arguments<'_>) {
    eprintln!("{line}");
}
