//! Records of a topic into Parquet, and what pyarrow needs to write the same rows: Kafka's worker has no such sink.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use parquet::file::reader::{FileReader, SerializedFileReader};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};

use crate::common::report::Report;
use crate::options::{Kind, Options};
use crate::target::Target;
use crate::work::{self, Took};

/// Rows of one object.
const ROWS_PER_FILE: u64 = 250_000;
const TIMEOUT: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(5);

/// The row of the report for pyarrow with columns that lie in memory, and with rows as Python has them.
pub(crate) const FROM_COLUMNS: &str = "pyarrow, from columns (thousand rows/s)";
pub(crate) const FROM_ROWS: &str = "pyarrow, from rows (thousand rows/s)";

const SCHEMA: &str = r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"long"},{"name":"customer","type":"string"},
    {"name":"product","type":"string"},{"name":"quantity","type":"int"},{"name":"price","type":"double"},
    {"name":"note","type":["null","string"],"default":null},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#;

/// pyarrow on one thread: the best of three, in rows per second.
const PYARROW: &str = "
import sys, time
import pyarrow as pa, pyarrow.parquet as pq
pa.set_cpu_count(1)
table = pq.read_table(sys.argv[1], use_threads=False).combine_chunks()
rows = table.slice(0, 100000).to_pylist()
def best(count, write):
    took = []
    for _ in range(3):
        began = time.perf_counter()
        write()
        took.append(time.perf_counter() - began)
    print(count / min(took))
best(table.num_rows, lambda: pq.write_table(table, sys.argv[2], compression='snappy'))
best(len(rows), lambda: pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), sys.argv[2], compression='snappy'))
";

/// How values are written.
#[derive(Clone, Copy)]
enum Format {
    /// Avro with an identifier of the registry.
    Avro(u32),
    /// JSON without schemas.
    Json,
}

/// Avro and JSON into files, each by one task; then pyarrow, where it is there.
pub(crate) fn measure(target: &Target, options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let rows = options.lines.next_multiple_of(ROWS_PER_FILE);
    let registered = work::register(target, "avro-rows-value", SCHEMA)?;
    for (name, format) in [("avro", Format::Avro(registered)), ("json", Format::Json)] {
        let topic = format!("{name}-rows");
        produce(target, &topic, format, rows)?;
        let store = target.path(&format!("{name}-objects"));
        let took = into_parquet(target, &topic, format, rows, &store)?;
        work::add(target, &format!("{name} to Parquet"), &took, rows, report);
        let folder = store.join("topics").join(&topic).join("partition=0");
        ensure!(
            stored(&folder)? == rows,
            "rows are missing in {}",
            folder.display()
        );
        if name == "avro" {
            yardstick(options, &folder.join(object(&topic, 0)), report)?;
        }
        std::fs::remove_dir_all(store)?;
    }
    Ok(())
}

fn object(topic: &str, file: u64) -> String {
    let first = file * ROWS_PER_FILE;
    let last = first + ROWS_PER_FILE - 1;
    format!("{topic}+0+{first:010}+{last:010}.snappy.parquet")
}

fn into_parquet(
    target: &Target,
    topic: &str,
    format: Format,
    rows: u64,
    store: &Path,
) -> anyhow::Result<Took> {
    std::fs::create_dir_all(store)?;
    let name = format!("parquet-{topic}");
    let mut config = json!({
        "connector.class": "io.confluent.connect.s3.S3SinkConnector",
        "tasks.max": "1",
        "topics": topic,
        "store.url": format!("file://{}", store.display()),
        "format.class": "io.confluent.connect.s3.format.parquet.ParquetFormat",
        "flush.size": ROWS_PER_FILE.to_string(),
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "false",
    });
    if let Format::Avro(_) = format {
        config["value.converter"] = json!("io.confluent.connect.avro.AvroConverter");
        config["value.converter.schema.registry.url"] = json!(format!("http://{}", target.registry));
    }
    let last = store
        .join("topics")
        .join(topic)
        .join("partition=0")
        .join(object(topic, rows / ROWS_PER_FILE - 1));
    let (before, began) = (target.cpu_seconds(), Instant::now());
    work::create(target, &name, &config)?;
    let mut looked = Instant::now();
    while !last.exists() {
        ensure!(began.elapsed() < TIMEOUT, "{} does not come", last.display());
        if looked.elapsed() > Duration::from_secs(2) {
            looked = Instant::now();
            work::check(target, &name)?;
        }
        std::thread::sleep(LOOK);
    }
    let took = Took {
        elapsed: began.elapsed(),
        cpu_seconds: target.cpu_seconds() - before,
    };
    work::delete(target, &name)?;
    Ok(took)
}

/// Rows of all objects of a folder, by what they say themselves.
fn stored(folder: &Path) -> anyhow::Result<u64> {
    let mut rows = 0;
    for entry in std::fs::read_dir(folder)? {
        let reader = SerializedFileReader::new(File::open(entry?.path())?)?;
        rows += reader.metadata().file_metadata().num_rows().unsigned_abs();
    }
    Ok(rows)
}

fn yardstick(options: &Options, object: &Path, report: &mut Report) -> anyhow::Result<()> {
    let output = Command::new(&options.python)
        .args(["-c", PYARROW])
        .arg(object)
        .arg(object.with_extension("again"))
        .output();
    let output = match output {
        Ok(output) if output.status.success() => output,
        _ => {
            eprintln!("skipped: {} has no pyarrow (--python)", options.python.display());
            return Ok(());
        }
    };
    let text = String::from_utf8(output.stdout)?;
    for (label, rate) in [FROM_COLUMNS, FROM_ROWS].into_iter().zip(text.lines()) {
        let rate: f64 = rate.parse()?;
        report.add(label, Kind::Forebay.name(), rate / 1e3);
    }
    std::fs::remove_file(object.with_extension("again"))?;
    Ok(())
}

fn produce(target: &Target, topic: &str, format: Format, rows: u64) -> anyhow::Result<()> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &target.bootstrap_servers)
        .set("linger.ms", "20")
        .set("batch.size", "1000000")
        .set("enable.idempotence", "true")
        .create()?;
    for number in 0..rows {
        let value = value(number, format);
        let mut record = BaseRecord::<(), [u8]>::to(topic).partition(0).payload(&value);
        while let Err((error, back)) = producer.send(record) {
            ensure!(
                error == KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull),
                "cannot produce: {error}"
            );
            producer.poll(LOOK);
            record = back;
        }
    }
    producer
        .flush(TIMEOUT)
        .context("not all records were acknowledged")
}

/// About 92 bytes: texts of many values and of some, numbers, nulls, times.
fn value(number: u64, format: Format) -> Vec<u8> {
    let mixed = number.wrapping_mul(0x5851_f42d_4c95_7f2d);
    let (quantity, price) = (mixed % 50, (mixed % 100_000) as f64 / 100.0);
    let at = 1_700_000_000_000 + number;
    let Format::Avro(schema_id) = format else {
        let row: Value = json!({
            "id": number, "customer": format!("c-{:08}", mixed % 100_000_000), "quantity": quantity, "price": price, "at": at,
        });
        return row.to_string().into_bytes();
    };
    let mut out = vec![0];
    out.extend(schema_id.to_be_bytes());
    long(number, &mut out);
    let customer = format!("customer-{:08}-{:08x}", mixed % 100_000, mixed & 0xffff_ffff);
    string(&customer, &mut out);
    string(&format!("product-{:04}-in-some-colour", mixed % 1000), &mut out);
    long(quantity, &mut out);
    out.extend(price.to_le_bytes());
    if number.is_multiple_of(4) {
        out.push(0);
    } else {
        out.push(2);
        string("leave at the door", &mut out);
    }
    long(at, &mut out);
    out
}

/// As Avro writes it.
fn long(number: u64, out: &mut Vec<u8>) {
    let mut left = number << 1;
    while left >= 0x80 {
        out.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

fn string(text: &str, out: &mut Vec<u8>) {
    long(text.len() as u64, out);
    out.extend(text.as_bytes());
}
