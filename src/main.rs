//! The `forebay` binary: reads the command line and hands over to one file per tool.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line speaks through these"
)]

mod cli;
mod connectors;
mod demo;
mod logging;
mod start;
mod streams;

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Arg, ArgAction, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use cli::links::Called;
use forebay_broker_server::Loggers;

/// The whole Kafka integration stack in one binary.
#[derive(Debug, Parser)]
#[command(name = "forebay", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

/// What is Forebay's own; the tools with Kafka's flags are in [`cli::TOOLS`].
#[derive(Debug, Subcommand)]
enum Verb {
    /// Start the hub: broker, schema registry, REST proxy, Connect and console.
    Start(start::StartArguments),
    /// Start a broker alone, from a server.properties that was written for Kafka.
    Broker(start::BrokerArguments),
    /// Start a Connect worker of a group, from a file that was written for Kafka's connect-distributed.
    #[command(alias = "connect-distributed")]
    Connect(start::ConnectArguments),
    /// Start a Connect worker alone, from files that were written for Kafka's connect-standalone.
    ConnectStandalone(start::StandaloneArguments),
    /// Show what connectors are doing: states, rates, lag, why one has failed.
    Connectors(connectors::ConnectorsArguments),
    /// See it work: a file becomes a topic, a word count and Parquet.
    Demo(demo::DemoArguments),
    /// Make symbolic links by the names of Kafka's scripts (kafka-topics.sh, …), as which this program does what they do.
    LinkTools {
        /// The directory to make them in.
        #[arg(value_name = "DIR")]
        directory: std::path::PathBuf,
    },
    /// Micro-batch queries over topics.
    #[command(subcommand)]
    Streams(streams::StreamsCommand),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let loggers = logging::to_stderr();
    let program = arguments.first().map_or("", String::as_str);
    let arguments = match cli::links::called_as(program) {
        Called::Tool(tool) => return (tool.run)(&arguments[1..]),
        Called::Command(words) => match cli::links::arguments_of_script(&arguments[1..]) {
            Ok(rest) => {
                let words = words.iter().map(|word| (*word).to_owned());
                std::iter::once("forebay".to_owned())
                    .chain(words)
                    .chain(rest)
                    .collect()
            }
            Err(why) => {
                eprintln!("{why}");
                return ExitCode::FAILURE;
            }
        },
        Called::Forebay => arguments,
    };
    // Tools read their own arguments, as Kafka's do: `--help` behind the name of a tool is the tool's.
    let named = arguments
        .get(1)
        .and_then(|name| cli::TOOLS.iter().find(|tool| tool.name == name));
    if let Some(tool) = named {
        return (tool.run)(&arguments[2..]);
    }
    match Arguments::from_arg_matches(&command().get_matches_from(arguments)) {
        Ok(Arguments { verb }) => exit_code(run(verb, loggers)),
        Err(error) => error.exit(),
    }
}

fn run(verb: Verb, loggers: Arc<Loggers>) -> anyhow::Result<bool> {
    match verb {
        Verb::Start(arguments) => start::run(arguments, loggers).map(|()| true),
        Verb::Broker(arguments) => start::run_broker(&arguments, loggers).map(|()| true),
        Verb::Connect(arguments) => start::run_distributed(&arguments, loggers).map(|()| true),
        Verb::ConnectStandalone(arguments) => start::run_standalone(&arguments, loggers).map(|()| true),
        Verb::Connectors(arguments) => connectors::run(&arguments),
        Verb::Demo(arguments) => demo::run(arguments, loggers),
        Verb::Streams(command) => streams::run(command).map(|()| true),
        Verb::LinkTools { directory } => cli::links::link_tools(&directory),
    }
}

fn exit_code(outcome: anyhow::Result<bool>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("forebay: {}", with_causes(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and what it is because of, in one line; what an error says of its cause is not said again.
fn with_causes(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.ends_with(&cause) {
            line.push_str(": ");
            line.push_str(&cause);
        }
    }
    line
}

/// What `forebay --help` shows: what is Forebay's own, and the tools behind them.
fn command() -> Command {
    let tool = |tool: &cli::Entry| {
        let arguments = Arg::new("arguments")
            .action(ArgAction::Append)
            .allow_hyphen_values(true)
            .trailing_var_arg(true);
        Command::new(tool.name)
            .about(tool.about)
            .disable_help_flag(true)
            .arg(arguments)
    };
    Arguments::command().subcommands(cli::TOOLS.iter().map(tool))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_was_just_said_is_not_said_again() {
        let error = anyhow::anyhow!("refused")
            .context("no broker: refused")
            .context("cannot start");
        assert_eq!(with_causes(&error), "cannot start: no broker: refused");
    }
}
