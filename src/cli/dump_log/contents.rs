//! What keys and values of records say: text or numbers, or the records of Kafka's internal topics as JSON of their schemas.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use forebay_protocol::decode::Cause;
use forebay_protocol::internal_record::{GroupRecordKey, GroupRecordValue, MetadataRecord};
use forebay_protocol::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, TransactionLogKey, TransactionLogValue,
};
use forebay_protocol::{Message, Reader, decode, java_json};
use forebay_records::Record;
use serde_json::{Value, json};

use super::super::options::{Options, Stop};

/// How contents are read.
#[derive(Debug)]
pub(super) enum Contents {
    /// Key and value, each as text or a number.
    Plain(Decoder, Decoder),
    /// `__consumer_offsets`
    Offsets,
    /// `__transaction_state`
    Transactions,
    /// `__cluster_metadata`
    ClusterMetadata,
}

/// Kafka's decoders (`org.apache.kafka.tools.api`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoder {
    Text,
    Bytes,
    Integer,
    Long,
}

/// What is printed of a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    pub key: Option<String>,
    pub value: Option<String>,
}

impl Contents {
    /// As the options say; none if contents are not asked for.
    pub(super) fn new(options: &Options) -> Result<Option<Self>, Stop> {
        let key = Decoder::new(options.value("key-decoder-class")?)?;
        let value = Decoder::new(options.value("value-decoder-class")?)?;
        let asked = ["print-data-log", "key-decoder-class", "value-decoder-class"];
        Ok(if options.has("offsets-decoder") {
            Some(Self::Offsets)
        } else if options.has("transaction-log-decoder") {
            Some(Self::Transactions)
        } else if options.has("cluster-metadata-decoder") {
            Some(Self::ClusterMetadata)
        } else {
            asked
                .iter()
                .any(|option| options.has(option))
                .then_some(Self::Plain(key, value))
        })
    }

    /// What a record says. The error ends the dump, as it does in Kafka.
    pub(super) fn parse(&self, record: &Record) -> Result<Parsed, String> {
        match self {
            Self::Plain(key, value) => Ok(Parsed {
                key: record.key.as_ref().map(|bytes| key.text(bytes)).transpose()?,
                value: record.value.as_ref().map(|bytes| value.text(bytes)).transpose()?,
            }),
            Self::Offsets => coordinator(record, offsets),
            Self::Transactions => coordinator(record, transaction),
            Self::ClusterMetadata => {
                let text = metadata(record.value.clone().unwrap_or_default())
                    .unwrap_or_else(|error| format!("Error at {}, skipping. {error}", record.offset));
                Ok(Parsed {
                    key: None,
                    value: Some(text),
                })
            }
        }
    }
}

impl Decoder {
    fn new(class: Option<&str>) -> Result<Self, Stop> {
        let Some(class) = class else {
            return Ok(Self::Text);
        };
        match class.rsplit('.').next().unwrap_or(class) {
            "StringDecoder" => Ok(Self::Text),
            "DefaultDecoder" => Ok(Self::Bytes),
            "IntegerDecoder" => Ok(Self::Integer),
            "LongDecoder" => Ok(Self::Long),
            _ => Err(Stop::usage(format!(
                "there are no Java classes here: {class} cannot decode records; StringDecoder, DefaultDecoder, \
                 IntegerDecoder and LongDecoder can"
            ))),
        }
    }

    fn text(self, bytes: &Bytes) -> Result<String, String> {
        let short = || format!("{} bytes are too few for a number", bytes.len());
        match self {
            Self::Text => Ok(String::from_utf8_lossy(bytes).into_owned()),
            // Kafka's prints where Java keeps them, which tells nothing.
            Self::Bytes => Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
            Self::Integer => bytes
                .first_chunk()
                .map(|bytes| i32::from_be_bytes(*bytes).to_string())
                .ok_or_else(short),
            Self::Long => bytes
                .first_chunk()
                .map(|bytes| i64::from_be_bytes(*bytes).to_string())
                .ok_or_else(short),
        }
    }
}

/// The key's number and JSON; the value's version and JSON, none if it is a tombstone.
type Entry = (i16, Value, Option<(i16, Value)>);

fn coordinator(
    record: &Record,
    read: fn(Bytes, Option<Bytes>) -> Result<Entry, decode::Error>,
) -> Result<Parsed, String> {
    let offset = record.offset;
    let Some(key) = record.key.clone() else {
        return Err(format!(
            "Failed to decode message at offset {offset} using the specified decoder (message had a missing key)"
        ));
    };
    let skipped = |text| Parsed {
        key: Some(text),
        value: None,
    };
    Ok(match read(key, record.value.clone()) {
        Ok((number, key, value)) => {
            let value = value.map_or_else(
                || "<DELETE>".to_owned(),
                |(version, data)| java_json(&json!({"version": version.to_string(), "data": data})),
            );
            Parsed {
                key: Some(java_json(&json!({"type": number.to_string(), "data": key}))),
                value: Some(value),
            }
        }
        Err(error) => match error.cause() {
            Cause::UnknownType { number, .. } => skipped(format!(
                "Unknown record type {number} at offset {offset}, skipping."
            )),
            _ => skipped(format!("Error at offset {offset}, skipping. {error}")),
        },
    })
}

fn offsets(key: Bytes, value: Option<Bytes>) -> Result<Entry, decode::Error> {
    let key = GroupRecordKey::from_bytes(key)?;
    let number = key.record_type();
    let value = value.map(|bytes| GroupRecordValue::from_bytes(number, bytes));
    let value = value.transpose()?.map(|(value, version)| {
        let mut data = value.to_json(version);
        if matches!(value, GroupRecordValue::GroupMetadata(_)) {
            open_members(&mut data);
        }
        (version, data)
    });
    Ok((number, key.to_json(0), value))
}

/// What the members of a classic group of consumers said, where it can be read.
fn open_members(group: &mut Value) {
    if group["protocolType"] != "consumer" {
        return;
    }
    for member in group["members"].as_array_mut().into_iter().flatten() {
        open::<ConsumerProtocolSubscription>(&mut member["subscription"]);
        open::<ConsumerProtocolAssignment>(&mut member["assignment"]);
    }
}

fn open<M: Message>(field: &mut Value) {
    let opened = || {
        let bytes = STANDARD.decode(field.as_str()?).ok()?;
        let mut reader = Reader::new(bytes.into());
        let version = reader.i16().ok()?;
        let message = M::decode(&mut reader, version).ok()?;
        Some(message.to_json(version))
    };
    if let Some(json) = opened() {
        *field = json;
    }
}

fn transaction(key: Bytes, value: Option<Bytes>) -> Result<Entry, decode::Error> {
    let key = TransactionLogKey::from_key_bytes(key)?;
    let value = value.map(TransactionLogValue::from_value_bytes).transpose()?;
    let value = value.map(|(value, version)| (version, value.to_json(version)));
    Ok((0, key.to_json(0), value))
}

fn metadata(value: Bytes) -> Result<String, decode::Error> {
    let (record, version) = MetadataRecord::from_bytes(value)?;
    let data = record.to_json(version);
    Ok(java_json(
        &json!({"type": constant(record.name()), "version": version, "data": data}),
    ))
}

/// `TopicRecord` as Java names a constant: `TOPIC_RECORD`.
fn constant(name: &str) -> String {
    let mut constant = String::new();
    for (index, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && index > 0 {
            constant.push('_');
        }
        constant.push(letter.to_ascii_uppercase());
    }
    constant
}
