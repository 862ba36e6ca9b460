//! Chores of the repository, run as `cargo xtask NAME`; none is part of a build.

fn main() -> anyhow::Result<()> {
    anyhow::bail!("usage: cargo xtask generate-protocol")
}
