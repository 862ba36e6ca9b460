//! How Forebay and a real Apache Kafka are started and asked.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::bail;

/// Whether this machine can run Apache Kafka; says what it lacks.
pub(crate) fn has_kafka() -> bool {
    let lacking = ["java", "mvn", "python3"]
        .into_iter()
        .find(|program| Command::new(program).arg("--version").output().is_err());
    if let Some(program) = lacking {
        eprintln!("skipped: Apache Kafka needs {program} on the PATH");
    }
    lacking.is_none()
}

/// Lets `forebay start` listen on whatever ports are free.
pub(crate) fn any_ports(command: &mut Command) {
    for port in [
        "--kafka-port",
        "--registry-port",
        "--rest-port",
        "--connect-port",
        "--console-port",
    ] {
        command.args([port, "0"]);
    }
}

/// The `127.0.0.1:PORT` of a listener line `ROLE  ADDRESS…`.
pub(crate) fn listener_address(line: &str, role: &str) -> Option<String> {
    let rest = line.trim_start().strip_prefix(role)?;
    let start = rest.find("127.0.0.1:")?;
    Some(
        rest[start..]
            .chars()
            .take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ':'))
            .collect(),
    )
}

/// Runs `tests/peers/kafka VERB … --dir DIRECTORY` and returns what it printed.
pub(crate) fn kafka_script(directory: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/kafka");
    let output = Command::new("python3")
        .arg(script)
        .args(arguments)
        .arg("--dir")
        .arg(directory)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        bail!("tests/peers/kafka {} failed", arguments.join(" "));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// An empty directory of this process's own.
pub(crate) fn fresh_directory(parent: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let directory = parent.join(format!("{name}-{}", std::process::id()));
    if directory.exists() {
        std::fs::remove_dir_all(&directory)?;
    }
    std::fs::create_dir_all(&directory)?;
    Ok(directory)
}
