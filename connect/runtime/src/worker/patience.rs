//! How long a sink that reads raw values waits for a schema: as long as one whose values are converted (`errors.retry.timeout`).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_connect_api::{
    AvroReader, AvroSchemas, BoxFuture, Error, ReadError, SchemaAndValue, ValueFormat, ValueReader,
};
use tokio::time::Instant;

use crate::connector_config::ErrorHandling;

/// A reader whose schemas are tried for no longer than that: then their records are at fault.
#[derive(Debug)]
struct Patient {
    reader: Arc<dyn AvroReader>,
    timeout: Duration,
    /// Since when no schema could be had.
    since: Mutex<Option<Instant>>,
}

impl ErrorHandling {
    /// The same format, whose schemas are waited for as the user says; 0, the default, is no bound.
    pub(super) fn bound(&self, format: ValueFormat) -> ValueFormat {
        let timeout = self.retry_timeout.filter(|timeout| !timeout.is_zero());
        match (format, timeout) {
            (ValueFormat::Avro(reader), Some(timeout)) => ValueFormat::Avro(Arc::new(Patient {
                reader,
                timeout,
                since: Mutex::default(),
            })),
            (format, _) => format,
        }
    }
}

impl Patient {
    fn judge(&self, error: Error) -> Error {
        let mut since = self.since.lock().expect("nobody panics with it");
        let now = Instant::now();
        let first = *since.get_or_insert(now);
        if error.is_retriable() && now.duration_since(first) < self.timeout {
            return error;
        }
        *since = None;
        error.into_fatal()
    }
}

impl ValueReader for Patient {
    fn read(&self, topic: &str, value: Option<&[u8]>) -> Result<SchemaAndValue, ReadError> {
        self.reader.read(topic, value)
    }

    fn fetch(&self, schema_id: i32) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            match self.reader.fetch(schema_id).await {
                Ok(()) => {
                    *self.since.lock().expect("nobody panics with it") = None;
                    Ok(())
                }
                Err(error) => Err(self.judge(error)),
            }
        })
    }
}

impl AvroReader for Patient {
    fn schemas(&self, topic: &str, schema_id: i32) -> Option<AvroSchemas> {
        self.reader.schemas(topic, schema_id)
    }
}
