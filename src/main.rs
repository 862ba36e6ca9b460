//! The `forebay` binary: reads the command line and hands over to one file per tool.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line speaks through these"
)]

fn main() -> anyhow::Result<()> {
    Ok(())
}
