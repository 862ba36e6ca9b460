//! Raw bytes: values as they are, each followed by a separator (Confluent's ByteArrayFormat).

use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use forebay_connect_api::{Error, Value, ValueFormat};

use super::{Cell, Refused, Writer, Written, output::Output};

/// Values that are being gathered.
#[derive(Debug)]
pub(super) struct ByteArrays {
    separator: Arc<str>,
    output: Output,
}

impl ByteArrays {
    pub(super) fn new(separator: Arc<str>, gzip: Option<Compression>) -> Self {
        Self {
            separator,
            output: Output::new(gzip),
        }
    }
}

impl Writer for ByteArrays {
    fn write(&mut self, cell: Cell<'_>) -> Result<Written, Refused> {
        let bytes: &[u8] = match cell {
            Cell::Raw(reading, value) if matches!(reading.format, ValueFormat::Bytes) => {
                value.unwrap_or_default()
            }
            Cell::Converted(value) => match &value.value {
                Value::Null => &[],
                Value::Bytes(bytes) => bytes,
                other => {
                    let found = other.value_type().expect("it is not null");
                    let error = format!(
                        "ByteArrayFormat takes bytes, and the value is {found}: use \
                         value.converter=org.apache.kafka.connect.converters.ByteArrayConverter"
                    );
                    return Err(Refused::Record(Error::fatal(error)));
                }
            },
            Cell::Raw(reading, _) => {
                let error = format!("raw values of format {:?} are no bytes", reading.format);
                return Err(Refused::All(Error::fatal(error)));
            }
        };
        let written = self.output.with(|out| {
            out.extend_from_slice(bytes);
            out.extend_from_slice(self.separator.as_bytes());
        });
        written.map_err(Refused::All)?;
        Ok(Written::Row)
    }

    fn bytes(&self) -> usize {
        self.output.bytes()
    }

    fn finish(self: Box<Self>) -> Result<Bytes, Error> {
        self.output.finish()
    }
}
