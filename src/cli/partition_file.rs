//! The JSON files in which Kafka's tools are given partitions: `{"partitions": [{"topic": …, "partition": …, …}], "version": 1}`.

use forebay_protocol::TopicPartition;
use serde_json::{Map, Value};

use super::options::Stop;

/// One of the partitions, with whatever else the file says of it.
pub(super) type Entry = Map<String, Value>;

/// The partitions of a file, in its order.
pub(super) fn read(text: &str) -> Result<Vec<(TopicPartition, Entry)>, Stop> {
    let failed = |message: &str| Stop::Failed(message.to_owned());
    let Ok(Value::Object(file)) = serde_json::from_str(text) else {
        return Err(failed("The input string is not a valid JSON"));
    };
    match file.get("version").map(Value::as_i64) {
        None | Some(Some(1)) => {}
        Some(_) => {
            let version = &file["version"];
            return Err(Stop::Failed(format!(
                "Not supported version field value {version}"
            )));
        }
    }
    let Some(Value::Array(partitions)) = file.get("partitions") else {
        return Err(failed("Missing partitions field"));
    };
    partitions.iter().map(partition).collect()
}

fn partition(value: &Value) -> Result<(TopicPartition, Entry), Stop> {
    let Value::Object(entry) = value else {
        return Err(Stop::Failed(format!("Expected JSON object, received {value}")));
    };
    let topic = field(entry, "topic")?
        .as_str()
        .ok_or_else(|| expected("String", &entry["topic"]))?;
    let number = i32::try_from(number(entry, "partition")?);
    let number = number.map_err(|_| expected("Integer", &entry["partition"]))?;
    Ok((TopicPartition::new(topic, number), entry.clone()))
}

/// A number that the file must give of a partition.
pub(super) fn number(entry: &Entry, name: &str) -> Result<i64, Stop> {
    let value = field(entry, name)?;
    value.as_i64().ok_or_else(|| expected("Long", value))
}

fn field<'a>(entry: &'a Entry, name: &str) -> Result<&'a Value, Stop> {
    entry
        .get(name)
        .ok_or_else(|| Stop::Failed(format!("No such field exists: `{name}`")))
}

fn expected(kind: &str, found: &Value) -> Stop {
    Stop::Failed(format!("Expected `{kind}` value, received {found}"))
}
