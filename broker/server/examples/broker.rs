//! A broker alone, to be tried with stock clients:
//! `cargo run -p forebay-broker-server --example broker -- --port 9092 --data DIR [KEY=VALUE]...`, where the keys are Kafka's.

use std::process::ExitCode;

use forebay_broker_server::{Broker, BrokerConfig, Options};
use forebay_config::Properties;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let mut properties = Properties::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let (key, value) = match (argument.as_str(), argument.split_once('=')) {
            ("--port", _) => (
                "listeners",
                format!("PLAINTEXT://localhost:{}", arguments.next().unwrap_or_default()),
            ),
            ("--data", _) => ("log.dirs", arguments.next().unwrap_or_default()),
            (_, Some((key, value))) => (key, value.to_owned()),
            (other, None) => {
                write(format_args!(
                    "{other}: expected --port N, --data DIR or KEY=VALUE"
                ));
                return ExitCode::FAILURE;
            }
        };
        properties.insert(key.to_owned(), value);
    }
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
