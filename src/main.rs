//! The `forebay` binary: reads the command line and hands over to one file per tool, or to the tool whose Kafka script it was called
//! as (`kafka-topics.sh`, by a symbolic link).

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line speaks through these"
)]

mod cli;

use std::process::ExitCode;

use clap::{Arg, ArgAction, Command};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    log_to_stderr();
    let program = arguments.first().map_or("", String::as_str);
    if let Some(tool) = cli::called_as(program) {
        return (tool.run)(&arguments[1..]);
    }
    // Tools read their own arguments, as Kafka's do: `--help` behind the name of a tool is the tool's.
    if let Some(tool) = arguments
        .get(1)
        .and_then(|name| cli::TOOLS.iter().find(|tool| tool.name == name))
    {
        return (tool.run)(&arguments[2..]);
    }
    // Whatever else there is, clap has shown or refused: help, the version, a name that is nobody's.
    command().get_matches_from(arguments);
    ExitCode::SUCCESS
}

/// What `forebay --help` shows.
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
    Command::new("forebay")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The whole Kafka integration stack in one binary")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(cli::TOOLS.iter().map(tool))
}

/// Warnings and errors, or what `FOREBAY_LOG` asks for (`info`, `forebay_client=debug`, ...).
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("FOREBAY_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}
