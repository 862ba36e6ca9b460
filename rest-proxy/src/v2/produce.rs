//! `POST /topics/{topic}` and `/topics/{topic}/partitions/{partition}`: records in, offsets out.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State as Extract};
use axum::http::HeaderMap;
use axum::routing::post;
use forebay_client::ProducerRecord;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Result, State, body};
use crate::embedded::{self, Format, Schema};
use crate::error::Error;
use crate::service::Shared;

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/topics/{topic}", post(to_topic))
        .route("/topics/{topic}/partitions/{partition}", post(to_partition))
}

#[derive(Debug, Deserialize)]
struct ProduceRequest {
    #[serde(default)]
    key_schema: Option<String>,
    #[serde(default)]
    key_schema_id: Option<i32>,
    #[serde(default)]
    value_schema: Option<String>,
    #[serde(default)]
    value_schema_id: Option<i32>,
    records: Vec<RequestRecord>,
}

#[derive(Debug, Deserialize)]
struct RequestRecord {
    #[serde(default)]
    key: Value,
    #[serde(default)]
    value: Value,
    #[serde(default)]
    partition: Option<i32>,
}

/// A record ready to be sent.
struct Ready {
    partition: Option<i32>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

async fn to_topic(
    Extract(shared): State,
    Path(topic): Path<String>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result {
    produce(&shared, (&topic, None), &headers, &bytes).await
}

async fn to_partition(
    Extract(shared): State,
    Path((topic, partition)): Path<(String, i32)>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result {
    produce(&shared, (&topic, Some(partition)), &headers, &bytes).await
}

async fn produce(
    shared: &Shared,
    (topic, partition): (&str, Option<i32>),
    headers: &HeaderMap,
    bytes: &Bytes,
) -> Result {
    let format = Format::of_request(headers)?;
    let request: ProduceRequest = body(bytes)?;
    let (key_schema, value_schema) = schemas(shared, topic, format, &request).await?;
    // Everything is converted before anything is sent: a bad record refuses the request, it does not cut it in two.
    let ready = request.records.iter().map(|record| {
        Ok(Ready {
            partition: partition.or(record.partition),
            key: embedded::decode(format, key_schema.as_ref(), &record.key)?,
            value: embedded::decode(format, value_schema.as_ref(), &record.value)?,
        })
    });
    let ready: Vec<Ready> = ready.collect::<Result<_>>()?;
    let count = shared.producer.partition_count(topic).await?;
    if ready
        .iter()
        .filter_map(|record| record.partition)
        .any(|partition| !(0..count).contains(&partition))
    {
        return Err(Error::PartitionNotFound);
    }
    let offsets = send(shared, topic, &ready).await;
    Ok(Answer::new(json!({
        "offsets": offsets,
        "key_schema_id": key_schema.map(|schema| schema.id),
        "value_schema_id": value_schema.map(|schema| schema.id),
    })))
}

async fn schemas(
    shared: &Shared,
    topic: &str,
    format: Format,
    request: &ProduceRequest,
) -> Result<(Option<Schema>, Option<Schema>)> {
    if format != Format::Avro {
        return Ok((None, None));
    }
    let (text, id) = (request.key_schema.as_deref(), request.key_schema_id);
    let key = embedded::schema(&shared.registry, &format!("{topic}-key"), text, id).await?;
    let (text, id) = (request.value_schema.as_deref(), request.value_schema_id);
    let value = embedded::schema(&shared.registry, &format!("{topic}-value"), text, id).await?;
    if key.is_none() && request.records.iter().any(|record| !record.key.is_null()) {
        return Err(Error::KeySchemaMissing);
    }
    if value.is_none() && request.records.iter().any(|record| !record.value.is_null()) {
        return Err(Error::ValueSchemaMissing);
    }
    Ok((key, value))
}

/// One entry per record, in their order: its offset, or why it has none.
async fn send(shared: &Shared, topic: &str, ready: &[Ready]) -> Vec<Value> {
    let mut deliveries = Vec::with_capacity(ready.len());
    for Ready {
        partition,
        key,
        value,
    } in ready
    {
        let record = ProducerRecord {
            partition: *partition,
            ..ProducerRecord::new(topic, key.as_deref(), value.as_deref())
        };
        deliveries.push(shared.producer.send(record).await);
    }
    let mut offsets = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        let outcome = match delivery {
            Ok(delivery) => delivery.await,
            Err(error) => Err(error),
        };
        offsets.push(match outcome {
            Ok(written) => json!({
                "partition": written.topic_partition.partition,
                "offset": written.offset.map(|offset| offset.0),
                "error_code": null,
                "error": null,
            }),
            Err(error) => {
                let code = if error.is_retriable() { 50003 } else { 50002 };
                json!({ "partition": null, "offset": null, "error_code": code, "error": error.to_string() })
            }
        });
    }
    offsets
}
