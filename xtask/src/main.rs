//! Chores of the repository, run as `cargo xtask NAME`; none is part of a build.

mod generate_protocol;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["generate-protocol"] => generate_protocol::run(),
        _ => anyhow::bail!("usage: cargo xtask generate-protocol"),
    }
}
