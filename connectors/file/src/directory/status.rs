//! The state of each file, for people to see: records of a topic that is to be compacted, the path as key. The states are FilePulse's.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, LazyLock},
    time::{SystemTime, UNIX_EPOCH},
};

use forebay_connect_api::{OffsetMap, Schema, SchemaAndValue, SourceRecord, Struct, Value, schema};

/// The name of the values' schema.
const SCHEMA_NAME: &str = "forebay.connect.file.Status";

/// What is happening to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It was found and waits for its turn.
    Scheduled,
    /// It was opened.
    Started,
    /// Records come out of it.
    Reading,
    /// It is read to its end.
    Completed,
    /// All its records are committed.
    Committed,
    /// It cannot be read, and was given up.
    Failed,
    /// It was deleted, moved or marked.
    Cleaned,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDULED",
            Self::Started => "STARTED",
            Self::Reading => "READING",
            Self::Completed => "COMPLETED",
            Self::Committed => "COMMITTED",
            Self::Failed => "FAILED",
            Self::Cleaned => "CLEANED",
        }
    }
}

/// One report.
#[derive(Debug, Clone)]
pub(super) struct Status {
    pub(super) path: PathBuf,
    pub(super) state: State,
    /// How many bytes, decompressed, or rows are done.
    pub(super) position: u64,
    /// How many bytes the file has.
    pub(super) length: u64,
    /// How many records came out of it since the task started.
    pub(super) records: u64,
    /// Why it has failed, where it is now.
    pub(super) message: Option<String>,
}

/// Where reports go.
#[derive(Debug, Clone)]
pub(super) struct Reporter {
    topic: Arc<str>,
    as_text: bool,
    task: u32,
}

static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| {
    let optional = Schema::optional_string_schema;
    Schema::structure()
        .name(SCHEMA_NAME)
        .field("file", Schema::string_schema())
        .field("state", Schema::string_schema())
        .field("task", Schema::int32().build().expect("plain"))
        .field("position", Schema::int64().build().expect("plain"))
        .field("length", Schema::int64().build().expect("plain"))
        .field("records", Schema::int64().build().expect("plain"))
        .field("message", optional())
        .field("timestamp", schema::timestamp().build().expect("plain"))
        .build()
        .expect("no field twice and no default")
});

impl Reporter {
    pub(super) fn new(topic: Arc<str>, as_text: bool, task: u32) -> Self {
        Self { topic, as_text, task }
    }

    /// A report as a record without a source offset: a lost one is no lost data.
    pub(super) fn record(&self, status: &Status) -> SourceRecord {
        let file = status.path.to_string_lossy().into_owned();
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let values: Vec<Value> = vec![
            file.clone().into(),
            status.state.name().into(),
            i32::try_from(self.task).unwrap_or(i32::MAX).into(),
            number(status.position).into(),
            number(status.length).into(),
            number(status.records).into(),
            status.message.clone().into(),
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX).into(),
        ];
        let value = if self.as_text {
            SchemaAndValue::string(json(&values))
        } else {
            let made = Struct::from_values(Arc::clone(&SCHEMA), values).expect("one value per field");
            SchemaAndValue::new(Arc::clone(&SCHEMA), made)
        };
        let partition = OffsetMap::new().with("status", &*file);
        let mut record = SourceRecord::new(Arc::new(partition), None, Arc::clone(&self.topic), value);
        record.key = SchemaAndValue::string(file);
        record
    }
}

fn json(values: &[Value]) -> String {
    let fields = SCHEMA.fields().iter().zip(values).map(|(field, value)| {
        let value = match value {
            Value::String(text) => serde_json::Value::from(text.as_str()),
            other => other
                .as_i64()
                .map_or(serde_json::Value::Null, serde_json::Value::from),
        };
        (field.name.to_string(), value)
    });
    serde_json::Value::Object(fields.collect()).to_string()
}

/// The latest report of each file that is not out yet.
#[derive(Debug, Default)]
pub(super) struct Outbox(BTreeMap<PathBuf, Status>);

impl Outbox {
    pub(super) fn put(&mut self, status: Status) {
        self.0.insert(status.path.clone(), status);
    }

    pub(super) fn take(&mut self) -> impl Iterator<Item = Status> {
        std::mem::take(&mut self.0).into_values()
    }
}
