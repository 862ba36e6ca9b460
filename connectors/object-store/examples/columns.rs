//! How fast a task makes Parquet of raw records: `cargo run --release -p forebay-connectors-object-store --example columns -- 4000000
//! [DIRECTORY [avro|json]]`. Records of some 92 bytes, as Avro and as JSON without schemas, go through the connector's own task into files, as a
//! worker would give them; rates are of the task alone, on one thread. With a directory the files stay there.
#![allow(clippy::print_stdout)] // A program that measures.

use std::{error::Error, fmt, path::Path, sync::Arc, time::Instant};

use forebay_connect_api::{
    Access, AssignedPartition, AvroReader, AvroSchemas, Error as ConnectError, Offset, Offsets, RawRecords,
    ReadError, RecordBatch, SchemaAndValue, SinkBatch, SinkConnector, SinkRecords, TopicPartition, Value,
    ValueFormat, ValueReader, avro, config::Properties, conformance::SinkContext,
};
use forebay_connect_avro::{data, from_avro};
use forebay_connectors_object_store::ObjectStoreSinkConnector;
use forebay_records::{BatchBuilder, BatchOptions, Record, Timestamp};

const SCHEMA: &str = r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"long"},{"name":"customer","type":"string"},
    {"name":"product","type":"string"},{"name":"quantity","type":"int"},{"name":"price","type":"double"},
    {"name":"note","type":["null","string"],"default":null},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#;
const RECORDS_PER_BATCH: i64 = 1000;

/// The converters, as far as this needs them.
struct Reader {
    schemas: AvroSchemas,
    is_json: bool,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

impl ValueReader for Reader {
    fn read(&self, _topic: &str, value: Option<&[u8]>) -> Result<SchemaAndValue, ReadError> {
        let failed = |error: &dyn fmt::Display| ReadError::Value(ConnectError::fatal(error.to_string()));
        let bytes = value.unwrap_or_default();
        if self.is_json {
            let json: serde_json::Value = serde_json::from_slice(bytes).map_err(|error| failed(&error))?;
            let members = json.as_object().into_iter().flatten();
            let entries = members.map(|(name, value)| {
                let value: Value = match (value.as_i64(), value.as_f64(), value.as_str()) {
                    (Some(integer), ..) => integer.into(),
                    (_, Some(number), _) => number.into(),
                    (_, _, text) => text.map(str::to_owned).into(),
                };
                (name.as_str().into(), value)
            });
            return Ok(SchemaAndValue::schemaless(Value::Map(entries.collect())));
        }
        let AvroSchemas { avro, connect } = &self.schemas;
        let decoded = avro.root().decode(&bytes[5..]).map_err(|error| failed(&error))?;
        let value = data::to_connect(avro.root(), connect, decoded, bytes.len());
        Ok(SchemaAndValue::new(
            Arc::clone(connect),
            value.map_err(|error| failed(&error))?,
        ))
    }
}

impl AvroReader for Reader {
    fn schemas(&self, _topic: &str, _schema_id: i32) -> Option<AvroSchemas> {
        Some(self.schemas.clone())
    }
}

fn value(number: i64, is_json: bool, schema: &avro::Schema) -> Result<Vec<u8>, Box<dyn Error>> {
    let mixed = number.wrapping_mul(0x5851_f42d_4c95_7f2d).unsigned_abs();
    let customer = format!("customer-{:08}-{:08x}", mixed % 100_000, mixed & 0xffff_ffff);
    let product = format!("product-{:04}-in-some-colour", mixed % 1000);
    let quantity = i32::try_from(mixed % 50)?;
    let price = f64::from(u32::try_from(mixed % 100_000)?) / 100.0;
    let at = 1_700_000_000_000 + number;
    if is_json {
        // Shorter texts, as JSON has the names, too.
        let json = format!(
            "{{\"id\":{number},\"customer\":\"c-{:08}\",\"quantity\":{quantity},\"price\":{price:?},\"at\":{at}}}",
            mixed % 100_000_000
        );
        return Ok(json.into_bytes());
    }
    let note = match number % 4 {
        0 => avro::data::Value::Union(0, Box::new(avro::data::Value::Null)),
        _ => avro::data::Value::Union(1, Box::new(avro::data::Value::String("leave".into()))),
    };
    let record = avro::data::Value::Record(vec![
        avro::data::Value::Long(number),
        avro::data::Value::String(customer),
        avro::data::Value::String(product),
        avro::data::Value::Int(quantity),
        avro::data::Value::Double(price),
        note,
        avro::data::Value::Long(at),
    ]);
    let mut out = vec![0, 0, 0, 0, 1];
    schema.root().encode(&record, &mut out)?;
    Ok(out)
}

fn batches(
    count: i64,
    is_json: bool,
    schema: &avro::Schema,
) -> Result<(Vec<RecordBatch>, usize), Box<dyn Error>> {
    let mut bytes = 0;
    let mut batches = Vec::new();
    for base in (0..count).step_by(usize::try_from(RECORDS_PER_BATCH)?) {
        let mut builder = BatchBuilder::new(BatchOptions {
            base_offset: Offset(base),
            ..BatchOptions::default()
        });
        for number in base..(base + RECORDS_PER_BATCH).min(count) {
            let value = value(number, is_json, schema)?;
            bytes += value.len();
            let record = Record {
                offset: Offset(number),
                timestamp: Timestamp(number),
                value: Some(value.into()),
                ..Record::default()
            };
            builder.append_record(&record.as_ref())?;
        }
        batches.push(builder.build()?);
    }
    Ok((batches, bytes))
}

async fn run(count: i64, is_json: bool, directory: &Path) -> Result<(), Box<dyn Error>> {
    let parsed = Arc::new(avro::Schema::parse(SCHEMA)?);
    let schemas = AvroSchemas {
        connect: from_avro::schema(parsed.root())?,
        avro: Arc::clone(&parsed),
    };
    let reader = Arc::new(Reader { schemas, is_json });
    let format = match is_json {
        true => ValueFormat::Json(reader),
        false => ValueFormat::Avro(reader),
    };
    let (batches, bytes) = batches(count, is_json, &parsed)?;
    let topic = if is_json { "json" } else { "avro" };
    let of = TopicPartition::new(topic, 0);
    let keys = [
        ("format.class", "ParquetFormat"),
        ("flush.size", "1000000"),
        ("max.buffer.bytes", "536870912"),
    ];
    let mut properties: Properties = keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    properties.insert("store.url".to_owned(), format!("file://{}", directory.display()));
    let mut task = ObjectStoreSinkConnector::default().task();
    let context = Arc::new(SinkContext::new(Access::unrestricted()));
    task.start(context, &properties).await?;
    task.open(&[AssignedPartition {
        topic_partition: of.clone(),
        topic_id: None,
        committed: None,
        position: Offset(0),
        log_start_offset: Offset(0),
        log_end_offset: Offset(count),
    }])
    .await?;
    let (started, cpu_started) = (Instant::now(), cpu_seconds());
    for batch in batches {
        let (first, next) = (batch.base_offset(), batch.next_offset());
        let records = SinkRecords::Raw(RawRecords::new(format.clone(), first, next, vec![batch]));
        task.put(&SinkBatch {
            topic_partition: of.clone(),
            first_offset: first,
            next_offset: next,
            records,
        })
        .await?;
    }
    let current: Offsets = [(of, Offset(count))].into();
    let committed = task.pre_commit(&current).await?;
    let seconds = started.elapsed().as_secs_f64();
    let cpu = cpu_seconds() - cpu_started;
    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    let (count, bytes) = (count as f64, bytes as f64);
    println!(
        "{topic}: {:.0} rows/s of {:.0} bytes, {:.0} rows per CPU second; stored up to {committed:?}",
        count / seconds,
        bytes / count,
        count / cpu
    );
    Ok(())
}

/// What this thread has used, on Linux; the wall clock's seconds are of no use beside other work.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = stat
        .split(' ')
        .next()
        .and_then(|number| number.parse::<f64>().ok());
    nanoseconds.unwrap_or(0.0) / 1e9
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let count: i64 = arguments.next().map_or(Ok(4_000_000), |count| count.parse())?;
    let temporary = tempfile::tempdir()?;
    let directory = arguments
        .next()
        .map_or_else(|| temporary.path().to_owned(), Into::into);
    if std::fs::read_dir(&directory)?.next().is_some() {
        return Err(format!(
            "{} is not empty: what is stored already would not be stored again",
            directory.display()
        )
        .into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let only = arguments.next();
    for (is_json, name) in [(false, "avro"), (true, "json")] {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        runtime.block_on(run(count, is_json, &directory))?;
    }
    Ok(())
}
