//! The hub: every role in one process. This is the only place that knows them all, and the only one that joins the client
//! to the broker of its own node.
//!
//! Broker and services run on a runtime of their own each, so that a sink at full speed does not keep the broker from a
//! heartbeat.

mod arguments;
mod clients;
mod connect;
mod hub;
mod local_node;
mod loggers;
mod metrics;
mod plugins;
mod server_properties;
mod services;
mod settings;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use forebay_broker_server::Loggers;

pub(crate) use arguments::{Ports, StartArguments};
pub(crate) use connect::{ConnectArguments, StandaloneArguments, run_distributed, run_standalone};
pub(crate) use hub::Hub;
pub(crate) use server_properties::{BrokerArguments, run as run_broker};
pub(crate) use settings::{Role, Settings};

/// `forebay start`: runs until SIGINT or SIGTERM.
pub(crate) fn run(arguments: StartArguments, loggers: Arc<Loggers>) -> anyhow::Result<()> {
    let began = Instant::now();
    let settings = Settings::new(arguments)?;
    serve(&settings, loggers, began)
}

/// Starts the hub, says so, and serves until a signal asks it to end or its broker has to.
fn serve(settings: &Settings, loggers: Arc<Loggers>, began: Instant) -> anyhow::Result<()> {
    let mut hub = Hub::start(settings, loggers, |role, addresses| {
        say(&listener_line(role, addresses));
    })?;
    say(&format!("ready in {} ms", began.elapsed().as_millis()));
    let signal = match hub.wait() {
        Ok(signal) => signal,
        Err(error) => {
            // Its broker is gone: its services have nothing left to commit to.
            hub.abandon();
            return Err(error);
        }
    };
    say(&format!("{signal}: shutting down"));
    hub.services_runtime().spawn(end_at_a_second_signal());
    hub.stop()
}

/// Whoever reads the output may have read enough (`| head -1`); the hub serves on.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Whoever asks twice does not want to wait; what was acknowledged survives that as it survives a crash.
async fn end_at_a_second_signal() {
    if let Ok(signal) = termination().await {
        eprintln!("{signal} again: ending at once; the next start recovers");
        std::process::exit(1);
    }
}

/// `registry  http://127.0.0.1:8081  http://[::1]:8081`
pub(crate) fn listener_line(role: Role, addresses: &[SocketAddr]) -> String {
    let scheme = if role == Role::Broker { "" } else { "http://" };
    let addresses: Vec<String> = addresses
        .iter()
        .map(|address| format!("{scheme}{address}"))
        .collect();
    format!("{:<9} {}", role.name(), addresses.join("  "))
}

/// Waits for a signal that asks the process to end, and names it.
pub(crate) async fn termination() -> anyhow::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
