//! How a record is printed (Kafka's `DefaultMessageFormatter`).

use std::io::Write;

use forebay_config::Properties;
use forebay_records::{LeaderEpoch, Record, TimestampType};

/// What of a record is printed, and what stands between.
#[derive(Debug)]
pub(super) struct Format {
    nothing: bool,
    timestamp: bool,
    partition: bool,
    offset: bool,
    epoch: bool,
    headers: bool,
    key: bool,
    value: bool,
    separator: String,
    line_separator: String,
    headers_separator: String,
    null_literal: String,
    key_deserializer: Deserializer,
    value_deserializer: Deserializer,
    headers_deserializer: Deserializer,
}

/// Where a record was, as far as it does not say itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub partition: i32,
    pub leader_epoch: LeaderEpoch,
    pub timestamp_type: TimestampType,
}

/// Why a record is not printed.
#[derive(Debug)]
pub(super) enum Error {
    /// The output takes nothing any more.
    Output(std::io::Error),
    /// It is not what its deserializer reads.
    Record(String),
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}

impl Format {
    /// The format that a class and its properties describe; the error is for the user.
    pub(super) fn new(class: Option<&str>, properties: &Properties) -> Result<Self, String> {
        let name = class.map_or("DefaultMessageFormatter", |class| {
            class.rsplit(['.', '$']).next().unwrap_or(class)
        });
        if !matches!(name, "DefaultMessageFormatter" | "NoOpMessageFormatter") {
            return Err(format!(
                "there are no Java classes here: {name} cannot print records"
            ));
        }
        let switch = |key: &str, default: bool| {
            properties
                .get(key)
                .map_or(default, |value| value.trim().eq_ignore_ascii_case("true"))
        };
        let text = |key: &str, default: &str| properties.get(key).map_or(default, String::as_str).to_owned();
        let deserializer = |key: &str| {
            let class = properties.get(key).filter(|class| !class.is_empty());
            class.map_or(Ok(Deserializer::Bytes), |class| Deserializer::new(class))
        };
        Ok(Self {
            nothing: name == "NoOpMessageFormatter",
            timestamp: switch("print.timestamp", false),
            partition: switch("print.partition", false),
            offset: switch("print.offset", false),
            epoch: switch("print.epoch", false),
            headers: switch("print.headers", false),
            key: switch("print.key", false),
            value: switch("print.value", true),
            separator: text("key.separator", "\t"),
            line_separator: text("line.separator", "\n"),
            headers_separator: text("headers.separator", ","),
            null_literal: text("null.literal", "null"),
            key_deserializer: deserializer("key.deserializer")?,
            value_deserializer: deserializer("value.deserializer")?,
            headers_deserializer: deserializer("headers.deserializer")?,
        })
    }

    /// Prints a record, or nothing of it.
    pub(super) fn write(&self, output: &mut impl Write, place: &Place, record: &Record) -> Result<(), Error> {
        if self.nothing {
            return Ok(());
        }
        // Put together first, so that a record that cannot be read leaves no half line.
        let mut line = Vec::new();
        let mut first = true;
        for part in [
            Part::Timestamp,
            Part::Partition,
            Part::Offset,
            Part::Epoch,
            Part::Headers,
            Part::Key,
            Part::Value,
        ] {
            if self.prints(part) {
                if !std::mem::take(&mut first) {
                    line.extend_from_slice(self.separator.as_bytes());
                }
                self.put(&mut line, part, place, record)?;
            }
        }
        if !first {
            line.extend_from_slice(self.line_separator.as_bytes());
        }
        Ok(output.write_all(&line)?)
    }

    fn prints(&self, part: Part) -> bool {
        match part {
            Part::Timestamp => self.timestamp,
            Part::Partition => self.partition,
            Part::Offset => self.offset,
            Part::Epoch => self.epoch,
            Part::Headers => self.headers,
            Part::Key => self.key,
            Part::Value => self.value,
        }
    }

    fn put(&self, line: &mut Vec<u8>, part: Part, place: &Place, record: &Record) -> Result<(), Error> {
        match part {
            Part::Timestamp if record.timestamp.is_none() => line.extend_from_slice(b"NO_TIMESTAMP"),
            Part::Timestamp => put!(line, "{}:{}", place.timestamp_type, record.timestamp),
            Part::Partition => put!(line, "Partition:{}", place.partition),
            Part::Offset => put!(line, "Offset:{}", record.offset),
            Part::Epoch if place.leader_epoch.is_none() => line.extend_from_slice(b"Epoch:NOT_PRESENT"),
            Part::Epoch => put!(line, "Epoch:{}", place.leader_epoch),
            Part::Headers if record.headers.is_empty() => line.extend_from_slice(b"NO_HEADERS"),
            Part::Headers => {
                for (index, header) in record.headers.iter().enumerate() {
                    if index > 0 {
                        line.extend_from_slice(self.headers_separator.as_bytes());
                    }
                    put!(line, "{}:", header.key_text());
                    self.put_bytes(line, self.headers_deserializer, header.value)?;
                }
            }
            Part::Key => self.put_bytes(line, self.key_deserializer, record.key.as_deref())?,
            Part::Value => self.put_bytes(line, self.value_deserializer, record.value.as_deref())?,
        }
        Ok(())
    }

    fn put_bytes(
        &self,
        line: &mut Vec<u8>,
        deserializer: Deserializer,
        bytes: Option<&[u8]>,
    ) -> Result<(), Error> {
        match bytes {
            None => line.extend_from_slice(self.null_literal.as_bytes()),
            Some(bytes) => deserializer.put(line, bytes).map_err(Error::Record)?,
        }
        Ok(())
    }
}

/// Writing into memory cannot fail.
macro_rules! put {
    ($line:expr, $($argument:tt)*) => {
        write!($line, $($argument)*).expect("memory takes everything")
    };
}
use put;

#[derive(Debug, Clone, Copy)]
enum Part {
    Timestamp,
    Partition,
    Offset,
    Epoch,
    Headers,
    Key,
    Value,
}

/// What bytes stand for: those of Kafka's deserializers that give something to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deserializer {
    Bytes,
    Short,
    Integer,
    Long,
    Float,
    Double,
    Boolean,
    Uuid,
    Void,
}

impl Deserializer {
    /// By the name of Kafka's class, its package aside.
    fn new(class: &str) -> Result<Self, String> {
        let name = class.rsplit('.').next().unwrap_or(class);
        Ok(match name {
            // Strings are printed as the bytes that they are.
            "StringDeserializer"
            | "ByteArrayDeserializer"
            | "BytesDeserializer"
            | "ByteBufferDeserializer" => Self::Bytes,
            "ShortDeserializer" => Self::Short,
            "IntegerDeserializer" => Self::Integer,
            "LongDeserializer" => Self::Long,
            "FloatDeserializer" => Self::Float,
            "DoubleDeserializer" => Self::Double,
            "BooleanDeserializer" => Self::Boolean,
            "UUIDDeserializer" => Self::Uuid,
            "VoidDeserializer" => Self::Void,
            _ => {
                return Err(format!(
                    "there are no Java classes here: {class} cannot read records"
                ));
            }
        })
    }

    fn put(self, line: &mut Vec<u8>, bytes: &[u8]) -> Result<(), String> {
        let wrong = |_| {
            format!(
                "Size of data received by {self:?}Deserializer is not the one it reads: {}",
                bytes.len()
            )
        };
        match self {
            Self::Bytes => line.extend_from_slice(bytes),
            Self::Short => put!(line, "{}", i16::from_be_bytes(bytes.try_into().map_err(wrong)?)),
            Self::Integer => put!(line, "{}", i32::from_be_bytes(bytes.try_into().map_err(wrong)?)),
            Self::Long => put!(line, "{}", i64::from_be_bytes(bytes.try_into().map_err(wrong)?)),
            Self::Float => put!(line, "{:?}", f32::from_be_bytes(bytes.try_into().map_err(wrong)?)),
            Self::Double => put!(line, "{:?}", f64::from_be_bytes(bytes.try_into().map_err(wrong)?)),
            Self::Boolean => match bytes {
                [0] => line.extend_from_slice(b"false"),
                [1] => line.extend_from_slice(b"true"),
                _ => {
                    return Err(format!(
                        "Unexpected byte received by BooleanDeserializer: {bytes:?}"
                    ));
                }
            },
            // Kafka's are the text of a UUID.
            Self::Uuid => line.extend_from_slice(bytes),
            Self::Void => return Err("Data should be null for a VoidDeserializer.".to_owned()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use forebay_records::{Headers, Offset, Timestamp};

    use super::*;

    fn printed(properties: &str, record: &Record) -> String {
        let pairs: Vec<&str> = properties.split('&').collect();
        let format = Format::new(None, &super::super::super::pairs(&pairs)).expect("fine");
        let place = Place {
            partition: 2,
            leader_epoch: LeaderEpoch(5),
            timestamp_type: TimestampType::CreateTime,
        };
        let mut output = Vec::new();
        match format.write(&mut output, &place, record) {
            Ok(()) => String::from_utf8(output).expect("text"),
            Err(Error::Record(reason)) => format!("refused: {reason}"),
            Err(Error::Output(error)) => panic!("{error}"),
        }
    }

    fn record() -> Record {
        Record {
            offset: Offset(7),
            timestamp: Timestamp(1_795_254_590_278),
            key: None,
            value: Some("v".into()),
            headers: Headers::EMPTY,
        }
    }

    #[test]
    fn records_are_printed_as_kafka_prints_them() {
        let all = "print.timestamp=true&print.partition=true&print.offset=true&print.epoch=true&print.headers=true&\
                   print.key=true";
        let with_headers = Record {
            key: Some("k".into()),
            headers: [("h1", Some(&b"v1"[..])), ("h2", None)].into_iter().collect(),
            ..record()
        };
        let tombstone = Record {
            value: None,
            ..record()
        };
        let cases = [
            ("", &record(), "v\n"),
            ("", &tombstone, "null\n"),
            ("null.literal=NULL", &tombstone, "NULL\n"),
            ("print.value=false", &record(), ""),
            ("print.value=false&print.key=true", &with_headers, "k\n"),
            ("print.key=true&key.separator= | ", &record(), "null | v\n"),
            ("line.separator=;", &record(), "v;"),
            (
                all,
                &record(),
                "CreateTime:1795254590278\tPartition:2\tOffset:7\tEpoch:5\tNO_HEADERS\tnull\tv\n",
            ),
            ("print.headers=true", &with_headers, "h1:v1,h2:null\tv\n"),
            (
                "print.headers=true&headers.separator=|",
                &with_headers,
                "h1:v1|h2:null\tv\n",
            ),
        ];
        for (properties, record, expected) in cases {
            assert_eq!(printed(properties, record), expected, "{properties}");
        }
    }

    #[test]
    fn numbers_are_read_by_kafkas_deserializers() {
        let value = |bytes: &'static [u8]| Record {
            value: Some(bytes.into()),
            ..record()
        };
        let class = |name: &str| {
            format!("value.deserializer=org.apache.kafka.common.serialization.{name}Deserializer")
        };
        let cases: [(&str, &'static [u8], &str); 7] = [
            ("String", b"text", "text\n"),
            ("Long", &[0, 0, 0, 0, 0, 0, 1, 0], "256\n"),
            ("Integer", &[255, 255, 255, 255], "-1\n"),
            ("Short", &[1, 0], "256\n"),
            ("Double", &[0x3f, 0xf0, 0, 0, 0, 0, 0, 0], "1.0\n"),
            ("Boolean", &[1], "true\n"),
            (
                "Long",
                &[1, 2],
                "refused: Size of data received by LongDeserializer is not the one it reads: 2",
            ),
        ];
        for (name, bytes, expected) in cases {
            assert_eq!(printed(&class(name), &value(bytes)), expected, "{name}");
        }
        let unknown = super::super::super::pairs(&["value.deserializer=io.confluent.KafkaAvroDeserializer"]);
        let refused = Format::new(None, &unknown).expect_err("no such class");
        assert_eq!(
            refused,
            "there are no Java classes here: io.confluent.KafkaAvroDeserializer cannot read records"
        );
    }
}
