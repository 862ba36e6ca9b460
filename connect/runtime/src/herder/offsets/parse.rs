//! Reads the offsets that a user wants to set (Kafka's `SinkUtils.parseSinkConnectorOffsets`).

use forebay_connect_api::{AlteredOffset, Offset, OffsetMap, TopicPartition};
use serde_json::{Map, Value};

use super::{ConnectorOffsets, SinkOffsets};
use crate::herder::Error;

/// Source partitions and offsets.
pub(super) fn source(offsets: &ConnectorOffsets) -> Result<Vec<AlteredOffset>, Error> {
    let map = |what: &str, value: &Value| {
        OffsetMap::from_json(&value.to_string())
            .map_err(|error| Error::BadRequest(format!("{what}: {error}")))
    };
    offsets
        .offsets
        .iter()
        .map(|altered| {
            let partition = altered.partition.as_ref();
            let missing = "The partition for a source connector offset cannot be null or missing";
            let partition = partition.ok_or_else(|| Error::BadRequest(missing.to_owned()))?;
            let offset = altered.offset.as_ref();
            let offset = offset.map(|offset| map("offset", offset)).transpose()?;
            Ok((map("partition", partition)?, offset))
        })
        .collect()
}

/// Partitions and offsets of topics; numbers may also be strings.
pub(super) fn sink(offsets: &ConnectorOffsets) -> Result<SinkOffsets, Error> {
    let mut parsed = SinkOffsets::new();
    for altered in &offsets.offsets {
        let partition = parse_partition(altered.partition.as_ref())?;
        parsed.insert(partition, parse_offset(altered.offset.as_ref())?);
    }
    Ok(parsed)
}

fn parse_partition(partition: Option<&Value>) -> Result<TopicPartition, Error> {
    let refuse = |message: &str| Error::BadRequest(message.to_owned());
    let partition: &Map<String, Value> = partition
        .and_then(Value::as_object)
        .ok_or_else(|| refuse("The partition for a sink connector offset cannot be null or missing"))?;
    let (Some(topic), Some(number)) = (partition.get("kafka_topic"), partition.get("kafka_partition")) else {
        return Err(refuse(
            "The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'",
        ));
    };
    let topic = match topic {
        Value::Null => {
            return Err(refuse(
                "Kafka topic names must be valid strings and may not be null",
            ));
        }
        other => text(other),
    };
    if number.is_null() {
        return Err(refuse(
            "Kafka partitions must be valid numbers and may not be null",
        ));
    }
    let number = text(number).parse().map_err(|_| {
        Error::BadRequest(format!(
            "Failed to parse the following Kafka partition value in the provided offsets: '{}'. Partition values for sink \
             connectors need to be integers.",
            text(number)
        ))
    })?;
    Ok(TopicPartition::new(topic, number))
}

fn parse_offset(offset: Option<&Value>) -> Result<Option<Offset>, Error> {
    let Some(offset) = offset.filter(|offset| !offset.is_null()) else {
        return Ok(None);
    };
    let Some(number) = offset.as_object().and_then(|offset| offset.get("kafka_offset")) else {
        return Err(Error::BadRequest(
            "The offset for a sink connector should either be null or contain the key 'kafka_offset'"
                .to_owned(),
        ));
    };
    let parsed = text(number).parse().ok().filter(|offset: &i64| *offset >= 0);
    let parsed = parsed.ok_or_else(|| {
        Error::BadRequest(format!(
            "Failed to parse the following Kafka offset value in the provided offsets: '{}'. Offset values for sink \
             connectors need to be integers.",
            text(number)
        ))
    })?;
    Ok(Some(Offset(parsed)))
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(json: &str) -> ConnectorOffsets {
        serde_json::from_str(json).expect("the test's JSON")
    }

    #[test]
    fn sink_offsets_are_read_or_refused() {
        let good = offsets(
            r#"{"offsets":[
                {"partition":{"kafka_topic":"t","kafka_partition":1},"offset":{"kafka_offset":"10"}},
                {"partition":{"kafka_topic":"t","kafka_partition":"2"},"offset":null}]}"#,
        );
        let expected = SinkOffsets::from([
            (TopicPartition::new("t", 1), Some(Offset(10))),
            (TopicPartition::new("t", 2), None),
        ]);
        assert_eq!(sink(&good).expect("both are right"), expected);
        for (json, reason) in [
            (
                r#"{"offsets":[{"partition":null,"offset":null}]}"#,
                "cannot be null or missing",
            ),
            (
                r#"{"offsets":[{"partition":{"kafka_topic":"t"}}]}"#,
                "must contain the keys",
            ),
            (
                r#"{"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":"x"}}]}"#,
                "need to be integers",
            ),
            (
                r#"{"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":0},"offset":{"o":1}}]}"#,
                "contain the key 'kafka_offset'",
            ),
            (
                r#"{"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":0},"offset":{"kafka_offset":-1}}]}"#,
                "need to be integers",
            ),
        ] {
            let error = sink(&offsets(json)).expect_err(reason).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn source_offsets_are_read_or_refused() {
        let good = offsets(r#"{"offsets":[{"partition":{"filename":"f"},"offset":{"position":7}}]}"#);
        let partition = OffsetMap::new().with("filename", "f");
        let offset = OffsetMap::new().with("position", 7);
        assert_eq!(source(&good).expect("it is right"), [(partition, Some(offset))]);
        for json in [
            r#"{"offsets":[{"offset":{"position":7}}]}"#,
            r#"{"offsets":[{"partition":{"filename":["f"]}}]}"#,
            r#"{"offsets":[{"partition":{"filename":"f"},"offset":7}]}"#,
        ] {
            assert!(source(&offsets(json)).is_err(), "{json}");
        }
    }
}
