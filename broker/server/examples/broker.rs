//! A broker alone, to be tried with stock clients: `cargo run -p forebay-broker-server --example broker -- KEY=VALUE...`, where
//! the keys are Kafka's (`listeners=PLAINTEXT://localhost:9092`, `log.dirs=/tmp/data`).

use std::process::ExitCode;

use forebay_broker_server::{Broker, BrokerConfig, Options};
use forebay_config::Properties;

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
    let broker = Broker::start(Options::new(BrokerConfig::parse(properties)?)).await?;
    for listener in broker.handle().listeners() {
        write(format_args!("{}", listener.advertised));
    }
    let interrupted = async {
        // Without a signal handler there is nothing to wait for.
        let _registered = tokio::signal::ctrl_c().await;
    };
    Ok(broker.run(interrupted).await?)
}

#[allow(clippy::print_stderr)] // A program for people.
fn write(line: std::fmt::Arguments<'_>) {
    eprintln!("{line}");
}
