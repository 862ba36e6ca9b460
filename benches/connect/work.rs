//! A file into a topic, and the topic into another file; of Forebay also by the source that reads directories.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::common::report::Report;
use crate::options::{Kind, Options};
use crate::parquet;
use crate::rest;
use crate::target::Target;

/// Of a line, with its end.
const LINE_BYTES: u64 = 97;
/// How often is looked whether something is done.
const LOOK: Duration = Duration::from_millis(5);
/// A topic that has not grown for so long is complete; what is counted ends at its last growth.
const QUIET: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_secs(300);
/// Kafka has no such source.
const DIRECTORY_TO_TOPIC: &str = "directory to topic";

/// Both ways, with a file that only warms up and with the one that counts.
pub(crate) fn measure(target: &Target, options: &Options, report: &mut Report) -> anyhow::Result<()> {
    for (name, lines) in [("warm", options.warm_lines), ("measured", options.lines)] {
        let counts = name == "measured";
        let directory = target.path(&format!("in-{name}"));
        std::fs::create_dir_all(&directory)?;
        let source = directory.join("lines.txt");
        write_lines(&source, lines)?;
        let into_topic = into_topic(target, name, &file_source(&source), lines)?;
        if target.kind == Kind::Forebay {
            let topic = format!("{name}-directory");
            let took = self::into_topic(target, &topic, &directory_source(&directory), lines)?;
            if counts {
                add(target, DIRECTORY_TO_TOPIC, &took, lines, report);
            }
        }
        let into_file = into_file(target, name, lines)?;
        if counts {
            add(target, "file to topic", &into_topic, lines, report);
            add(target, "topic to file", &into_file, lines, report);
        }
        std::fs::remove_dir_all(directory)?;
    }
    if target.kind == Kind::Forebay {
        parquet::measure(target, options, report)?;
    }
    report.add(
        "most resident memory, broker and worker (MiB)",
        target.kind.name(),
        target.peak_resident_bytes() as f64 / f64::from(1 << 20),
    );
    Ok(())
}

pub(crate) struct Took {
    pub(crate) elapsed: Duration,
    pub(crate) cpu_seconds: f64,
}

pub(crate) fn add(target: &Target, what: &str, took: &Took, lines: u64, report: &mut Report) {
    let name = target.kind.name();
    let rate = lines as f64 / took.elapsed.as_secs_f64() / 1e3;
    report.add(&format!("{what} (thousand/s)"), name, rate);
    let per_million = took.cpu_seconds * 1e6 / lines as f64;
    report.add(
        &format!("{what} (CPU s per million, broker and worker)"),
        name,
        per_million,
    );
}

fn write_lines(path: &Path, lines: u64) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for number in 0..lines {
        let text = format!(
            "{number:012} the quick brown fox jumps over the lazy dog and over whatever else is there to see"
        );
        writeln!(file, "{text:.<width$.width$}", width = LINE_BYTES as usize - 1)?;
    }
    file.flush()?;
    let bytes = file.get_ref().metadata()?.len();
    ensure!(
        bytes == lines * LINE_BYTES,
        "lines of another length: {bytes} bytes"
    );
    Ok(())
}

pub(crate) fn create(target: &Target, name: &str, config: &Value) -> anyhow::Result<()> {
    let path = format!("/connectors/{name}/config");
    rest::call(&target.rest, "PUT", &path, config).map(drop)
}

pub(crate) fn delete(target: &Target, name: &str) -> anyhow::Result<()> {
    rest::call(
        &target.rest,
        "DELETE",
        &format!("/connectors/{name}"),
        &Value::Null,
    )
    .map(drop)
}

/// Fails early with what the worker says of the connector.
pub(crate) fn check(target: &Target, name: &str) -> anyhow::Result<()> {
    let path = format!("/connectors/{name}/status");
    let Ok(status) = rest::call(&target.rest, "GET", &path, &Value::Null) else {
        return Ok(()); // It is not there yet.
    };
    let text = status.to_string();
    ensure!(!text.contains("FAILED"), "{name} has failed: {text}");
    Ok(())
}

/// Registers an Avro schema with the hub's registry.
pub(crate) fn register(target: &Target, subject: &str, schema: &str) -> anyhow::Result<u32> {
    let path = format!("/subjects/{subject}/versions");
    let answer = rest::call(&target.registry, "POST", &path, &json!({ "schema": schema }))?;
    let id = answer["id"].as_u64().context("the registry gave no identifier")?;
    Ok(u32::try_from(id)?)
}

/// The connector's own part of its configuration.
fn file_source(path: &Path) -> Value {
    json!({
        "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
        "file": path,
    })
}

fn directory_source(path: &Path) -> Value {
    json!({ "connector.class": "DirectorySource", "input.path": path })
}

fn into_topic(target: &Target, topic: &str, source: &Value, lines: u64) -> anyhow::Result<Took> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &target.bootstrap_servers)
        .set("group.id", "bench")
        .set("isolation.level", "read_committed")
        .set("allow.auto.create.topics", "false")
        .set("enable.partition.eof", "true")
        .create()?;
    let name = format!("source-{topic}");
    let mut config = source.clone();
    for (key, value) in [
        ("tasks.max", "1"),
        ("topic", topic),
        (
            "key.converter",
            "org.apache.kafka.connect.storage.StringConverter",
        ),
        (
            "value.converter",
            "org.apache.kafka.connect.storage.StringConverter",
        ),
    ] {
        config[key] = value.into();
    }
    let (before, began) = (target.cpu_seconds(), Instant::now());
    create(target, &name, &config)?;
    let (mut end, mut grew, mut took) = (0, Instant::now(), None);
    while end < lines || grew.elapsed() < QUIET {
        let known = consumer.fetch_watermarks(topic, 0, Duration::from_secs(10));
        let now = known.map_or(0, |(_, end)| end.unsigned_abs());
        if now > end {
            (end, grew) = (now, Instant::now());
            took = Some(Took {
                elapsed: began.elapsed(),
                cpu_seconds: target.cpu_seconds() - before,
            });
        }
        if began.elapsed() > TIMEOUT {
            bail!("{end} of {lines} lines came into the topic");
        }
        if grew.elapsed() > Duration::from_secs(2) {
            check(target, &name)?;
        }
        std::thread::sleep(LOOK);
    }
    delete(target, &name)?;
    let count = count(&consumer, topic)?;
    ensure!(count == lines, "{count} records came of {lines} lines");
    took.context("nothing came")
}

/// The records of a topic, markers of transactions left out.
fn count(consumer: &BaseConsumer, topic: &str) -> anyhow::Result<u64> {
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&partitions)?;
    let (mut count, began) = (0, Instant::now());
    // The last offsets may be those of markers, so that the end is where the broker says.
    loop {
        match consumer.poll(QUIET) {
            Some(Ok(_)) => count += 1,
            Some(Err(KafkaError::PartitionEOF(_))) => break,
            Some(Err(error)) => return Err(error.into()),
            None => ensure!(began.elapsed() < TIMEOUT, "{topic} cannot be read to its end"),
        }
    }
    consumer.unassign()?;
    Ok(count)
}

fn into_file(target: &Target, topic: &str, lines: u64) -> anyhow::Result<Took> {
    let path = target.path(&format!("{topic}-out.txt"));
    let name = format!("sink-{topic}");
    let (before, began) = (target.cpu_seconds(), Instant::now());
    create(
        target,
        &name,
        &json!({
            "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
            "tasks.max": "1",
            "file": path,
            "topics": topic,
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
        }),
    )?;
    let wanted = lines * LINE_BYTES;
    let mut looked = Instant::now();
    loop {
        let length = path.metadata().map_or(0, |metadata| metadata.len());
        if length >= wanted {
            ensure!(length == wanted, "{length} bytes came where {wanted} were due");
            break;
        }
        if began.elapsed() > TIMEOUT {
            bail!("{length} of {wanted} bytes came into the file");
        }
        if looked.elapsed() > Duration::from_secs(2) {
            looked = Instant::now();
            check(target, &name)?;
        }
        std::thread::sleep(LOOK);
    }
    let took = Took {
        elapsed: began.elapsed(),
        cpu_seconds: target.cpu_seconds() - before,
    };
    delete(target, &name)?;
    std::fs::remove_file(path)?;
    Ok(took)
}
