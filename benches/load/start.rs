//! From exec to the first ApiVersions answer, and to HTTP 200 on all four services.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::common::peer::{self, fresh_directory, kafka_script, listener_address};
use crate::common::process;
use crate::common::report::Report;
use crate::options::{Kind, Options};

/// An ApiVersions request, version 0, correlation id 1, no client id: the smallest question a broker answers.
const API_VERSIONS: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];

/// A path that answers 200 on an empty service, for each role.
const PATHS: [(&str, &str); 4] = [
    ("registry", "/subjects"),
    ("rest", "/topics"),
    ("connect", "/connectors"),
    ("console", "/health/ready"),
];

/// Start times on an empty directory, the median of several.
pub(crate) fn measure(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    for _ in 0..options.rounds.max(5) {
        let directory = fresh_directory(&options.directory, "start")?;
        let (broker, services) = start_once(&directory, options.broker_cpu)?;
        let name = Kind::Forebay.name();
        report.add(
            "exec to first ApiVersions answer (ms)",
            name,
            broker.as_secs_f64() * 1e3,
        );
        report.add(
            "exec to HTTP 200 on all four services (ms)",
            name,
            services.as_secs_f64() * 1e3,
        );
        std::fs::remove_dir_all(directory)?;
    }
    if options.targets.contains(&Kind::Kafka) {
        let directory = fresh_directory(&options.directory, "start-kafka")?;
        kafka_script(&directory, &["up", "--port", "29492"])?;
        let status = kafka_script(&directory, &["status"])?;
        let seconds = status
            .split("ready after ")
            .nth(1)
            .and_then(|rest| rest.split_whitespace().next());
        let seconds: f64 = seconds.context("no time in the status of the peer")?.parse()?;
        report.add(
            "exec to first ApiVersions answer (ms)",
            Kind::Kafka.name(),
            seconds * 1e3,
        );
        kafka_script(&directory, &["down", "--wipe"])?;
    }
    Ok(())
}

fn start_once(directory: &std::path::Path, cpu: Option<usize>) -> anyhow::Result<(Duration, Duration)> {
    let mut command = process::command_on(cpu, env!("CARGO_BIN_EXE_forebay"));
    command.arg("start").arg("--data-dir").arg(directory.join("data"));
    peer::any_ports(&mut command);
    let began = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
    let mut broker = None;
    let mut waiting: Vec<(&str, &str)> = PATHS.to_vec();
    while broker.is_none() || !waiting.is_empty() {
        let Some(line) = lines.next() else {
            bail!("forebay stopped before it was ready")
        };
        let line = line?;
        if let Some(address) = listener_address(&line, "broker") {
            ask_api_versions(&address)?;
            broker = Some(began.elapsed());
        }
        if let Some(index) = waiting
            .iter()
            .position(|(role, _)| listener_address(&line, role).is_some())
        {
            let (role, path) = waiting.swap_remove(index);
            let address = listener_address(&line, role).context("just seen")?;
            wait_for_ok(&address, path)?;
        }
    }
    let services = began.elapsed();
    child.kill()?;
    child.wait()?;
    Ok((broker.context("no broker line")?, services))
}

fn ask_api_versions(address: &str) -> anyhow::Result<()> {
    let mut socket = TcpStream::connect(address)?;
    socket.write_all(&API_VERSIONS)?;
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    let mut body = vec![0; u32::from_be_bytes(length).min(1 << 20) as usize];
    socket.read_exact(&mut body)?;
    Ok(())
}

fn wait_for_ok(address: &str, path: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let mut socket = TcpStream::connect(address)?;
        write!(
            socket,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        if answer.starts_with("HTTP/1.1 200") {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("http://{address}{path} answered {:?}", answer.lines().next());
        }
    }
}
