//! The `forebay` binary: reads the command line and hands over to one file per tool.

fn main() -> anyhow::Result<()> {
    Ok(())
}
