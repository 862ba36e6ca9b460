//! `/consumers`: instances, their subscriptions and positions, their records and commits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State as Extract};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{delete, get, post};
use forebay_client::Consumer;
use forebay_client::consumer::{ConsumerRecord, OffsetAndMetadata};
use forebay_config::Properties;
use forebay_protocol::TopicPartition;
use forebay_records::Offset;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Result, State, body};
use crate::embedded::{self, Format};
use crate::error::Error;
use crate::instances::{Instance, ReadLimits};
use crate::service::Shared;

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/consumers/{group}", post(create))
        .route("/consumers/{group}/instances/{instance}", delete(remove))
        .route(
            "/consumers/{group}/instances/{instance}/subscription",
            get(subscription).post(subscribe).delete(unsubscribe),
        )
        .route(
            "/consumers/{group}/instances/{instance}/assignments",
            get(assignments).post(assign),
        )
        .route("/consumers/{group}/instances/{instance}/positions", post(seek))
        .route(
            "/consumers/{group}/instances/{instance}/positions/beginning",
            post(seek_to_beginning),
        )
        .route(
            "/consumers/{group}/instances/{instance}/positions/end",
            post(seek_to_end),
        )
        .route("/consumers/{group}/instances/{instance}/records", get(records))
        .route(
            "/consumers/{group}/instances/{instance}/offsets",
            get(committed).post(commit),
        )
}

type Id = Path<(String, String)>;

/// Confluent's clients send numbers and booleans as strings, too.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CreateRequest {
    id: Option<String>,
    name: Option<String>,
    format: Option<String>,
    #[serde(rename = "auto.offset.reset")]
    auto_offset_reset: Option<String>,
    #[serde(rename = "auto.commit.enable")]
    auto_commit_enable: Option<Value>,
    #[serde(rename = "fetch.min.bytes")]
    fetch_min_bytes: Option<Value>,
    #[serde(rename = "consumer.request.timeout.ms")]
    request_timeout_ms: Option<Value>,
}

fn text(value: Option<Value>) -> Option<String> {
    match value? {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

fn parsed<T: std::str::FromStr>(key: &str, value: Option<Value>) -> Result<Option<T>> {
    let Some(text) = text(value) else { return Ok(None) };
    let refused = |_| Error::ConsumerConfig(format!("{key} cannot be {text}"));
    text.parse().map(Some).map_err(refused)
}

async fn create(Extract(shared): State, Path(group): Path<String>, bytes: Bytes) -> Result {
    let request: CreateRequest = if bytes.is_empty() {
        CreateRequest::default()
    } else {
        body(&bytes)?
    };
    let name = request.name.or_else(|| request.id.clone()).unwrap_or_else(|| {
        let id = request.id.map(|id| format!("{id}-")).unwrap_or_default();
        format!("rest-consumer-{id}{}", uuid::Uuid::new_v4())
    });
    let format = match request.format.as_deref() {
        None => Format::Binary,
        Some(format) => Format::from_name(format)
            .ok_or_else(|| Error::ConsumerConfig(format!("format {format} is none of binary, json, avro")))?,
    };
    let id = (group.clone(), name.clone());
    shared.instances.check_room(&id)?;
    let mut properties: Properties = [
        ("group.id".to_owned(), group.clone()),
        ("enable.auto.commit".to_owned(), "false".to_owned()),
    ]
    .into();
    if let Some(reset) = request.auto_offset_reset {
        properties.insert("auto.offset.reset".to_owned(), reset);
    }
    let consumer = shared
        .client
        .consumer(&properties)
        .map_err(|error| Error::ConsumerConfig(error.to_string()))?;
    let auto_commit = parsed("auto.commit.enable", request.auto_commit_enable)?.unwrap_or(true);
    let mut instance = Instance::new(consumer, format, auto_commit);
    // As Confluent's, an int: no moment that lies so far away is beyond what can be reckoned.
    let timeout_ms: Option<u32> = parsed("consumer.request.timeout.ms", request.request_timeout_ms)?;
    instance.request_timeout = timeout_ms.map(|timeout| Duration::from_millis(timeout.into()));
    instance.fetch_min_bytes = parsed("fetch.min.bytes", request.fetch_min_bytes)?.unwrap_or(1);
    shared.instances.add(id, instance)?;
    let base_uri = format!(
        "{}/consumers/{}/instances/{}",
        shared.base_uri,
        encode(&group),
        encode(&name)
    );
    Ok(Answer::new(json!({ "instance_id": name, "base_uri": base_uri })))
}

/// Percent-encodes what may not stand in one segment of a path.
fn encode(segment: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    segment
        .bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

async fn remove(Extract(shared): State, Path(id): Id) -> Result<StatusCode> {
    shared.instances.remove(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
struct SubscribeRequest {
    #[serde(default)]
    topics: Option<Vec<String>>,
    #[serde(default)]
    topic_pattern: Option<String>,
}

async fn subscribe(Extract(shared): State, Path(id): Id, bytes: Bytes) -> Result<StatusCode> {
    let request: SubscribeRequest = body(&bytes)?;
    let topics = match (request.topics, request.topic_pattern) {
        (Some(topics), None) if !topics.is_empty() => topics,
        (None, Some(pattern)) => {
            return Err(Error::ConsumerConfig(format!(
                "topic_pattern {pattern}: patterns are not supported yet; name the topics"
            )));
        }
        _ => return Err(Error::Body("expected a list of topics".to_owned())),
    };
    let instance = shared.instances.get(&id)?;
    let mut work = instance.work().await?;
    work.subscribe(topics).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn subscription(Extract(shared): State, Path(id): Id) -> Result {
    let instance = shared.instances.get(&id)?;
    let work = instance.work().await?;
    Ok(Answer::new(json!({ "topics": work.topics })))
}

async fn unsubscribe(Extract(shared): State, Path(id): Id) -> Result<StatusCode> {
    let instance = shared.instances.get(&id)?;
    let mut work = instance.work().await?;
    work.unsubscribe().await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
struct Partition {
    topic: String,
    partition: i32,
}

#[derive(Debug, Deserialize)]
struct Partitions {
    partitions: Vec<Partition>,
}

impl Partitions {
    fn list(self) -> Vec<TopicPartition> {
        self.partitions
            .into_iter()
            .map(|it| TopicPartition::new(it.topic, it.partition))
            .collect()
    }
}

async fn assign(Extract(shared): State, Path(id): Id, bytes: Bytes) -> Result<StatusCode> {
    let partitions = body::<Partitions>(&bytes)?.list();
    let instance = shared.instances.get(&id)?;
    let mut work = instance.work().await?;
    work.assign(partitions).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn assignments(Extract(shared): State, Path(id): Id) -> Result {
    let instance = shared.instances.get(&id)?;
    let work = instance.work().await?;
    let assigned = work.consumer.assignment();
    let list: Vec<Value> = assigned
        .iter()
        .map(|it| json!({ "topic": it.topic.as_ref() as &str, "partition": it.partition }))
        .collect();
    Ok(Answer::new(json!({ "partitions": list })))
}

#[derive(Debug, Deserialize)]
struct PartitionOffset {
    topic: String,
    partition: i32,
    offset: i64,
    #[serde(default)]
    metadata: Option<String>,
}

#[derive(Debug, Deserialize)]
struct PartitionOffsets {
    #[serde(default)]
    offsets: Vec<PartitionOffset>,
}

async fn seek(Extract(shared): State, Path(id): Id, bytes: Bytes) -> Result<StatusCode> {
    let request: PartitionOffsets = body(&bytes)?;
    let instance = shared.instances.get(&id)?;
    let mut work = instance.work().await?;
    for PartitionOffset {
        topic,
        partition,
        offset,
        ..
    } in request.offsets
    {
        let partition = TopicPartition::new(topic, partition);
        work.consumer.seek(&partition, Offset(offset))?;
        work.forget(&[partition]);
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn seek_to_beginning(Extract(shared): State, Path(id): Id, bytes: Bytes) -> Result<StatusCode> {
    let partitions = body::<Partitions>(&bytes)?.list();
    let instance = shared.instances.get(&id)?;
    let mut work = instance.work().await?;
    work.seek_to(&partitions, Consumer::seek_to_beginning)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn seek_to_end(Extract(shared): State, Path(id): Id, bytes: Bytes) -> Result<StatusCode> {
    let partitions = body::<Partitions>(&bytes)?.list();
    let instance = shared.instances.get(&id)?;
    let mut work = instance.work().await?;
    work.seek_to(&partitions, Consumer::seek_to_end)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ReadQuery {
    timeout: Option<u64>,
    max_bytes: Option<u64>,
}

async fn records(
    Extract(shared): State,
    Path(id): Id,
    Query(query): Query<ReadQuery>,
    headers: HeaderMap,
) -> Result {
    let instance = shared.instances.get(&id)?;
    if !instance.format.is_accepted(&headers) {
        return Err(Error::FormatMismatch);
    }
    let own = instance.request_timeout.unwrap_or(shared.config.request_timeout);
    let limits = ReadLimits {
        timeout: query
            .timeout
            .map_or(own, |timeout| own.min(Duration::from_millis(timeout))),
        bytes_max: query.max_bytes.map_or(shared.config.request_bytes_max, |it| {
            it.min(shared.config.request_bytes_max)
        }),
        bytes_min: instance.fetch_min_bytes,
    };
    let mut work = instance.work().await?;
    let count = work.fill(limits).await?;
    let mut list = Vec::with_capacity(count);
    let mut unreadable = None;
    for record in work.fetched(count) {
        match show(&shared, instance.format, record).await {
            Ok(shown) => list.push(shown),
            Err(error) => {
                unreadable = Some(error);
                break;
            }
        }
    }
    // Nobody loses a record that he was not shown: those before it are given, and the next read begins with it.
    if let Some(error) = unreadable.filter(|_| list.is_empty()) {
        return Err(error);
    }
    work.give(list.len()).await;
    Ok(Answer {
        json: json!(list),
        content_type: instance.format.media_type(),
    })
}

async fn show(shared: &Shared, format: Format, record: &ConsumerRecord) -> Result<Value> {
    let part = async |bytes: Option<&[u8]>| {
        embedded::encode(format, &shared.registry, bytes)
            .await
            .map_err(|reason| Error::NotReadable {
                topic: record.topic.to_string(),
                partition: record.partition,
                offset: record.record.offset.0,
                format: format.name(),
                reason,
            })
    };
    Ok(json!({
        "topic": record.topic.as_ref() as &str,
        "key": part(record.record.key.as_deref()).await?,
        "value": part(record.record.value.as_deref()).await?,
        "partition": record.partition,
        "offset": record.record.offset.0,
    }))
}

/// Without a body: all that was read so far. With offsets: one more than each, as Confluent's proxy commits, since the
/// offsets are those of records that were read.
async fn commit(Extract(shared): State, Path(id): Id, bytes: Bytes) -> Result {
    let instance = shared.instances.get(&id)?;
    let mut work = instance.work().await?;
    let request: Option<PartitionOffsets> = if bytes.is_empty() { None } else { body(&bytes)? };
    match request {
        None => work.commit_given().await?,
        Some(request) => {
            let offsets = request.offsets.into_iter().map(|it| {
                let offset = Offset(it.offset.saturating_add(1));
                let metadata = it.metadata.unwrap_or_default();
                let committed = OffsetAndMetadata {
                    metadata,
                    ..OffsetAndMetadata::from(offset)
                };
                (TopicPartition::new(it.topic, it.partition), committed)
            });
            let offsets: BTreeMap<_, _> = offsets.collect();
            work.consumer.commit(&offsets).await?;
        }
    }
    Ok(Answer::new(json!([])))
}

async fn committed(Extract(shared): State, Path(id): Id, bytes: Bytes) -> Result {
    if bytes.is_empty() {
        return Err(Error::PartitionNotFound);
    }
    let partitions = body::<Partitions>(&bytes)?.list();
    let instance = shared.instances.get(&id)?;
    let found = instance.work().await?.consumer.committed(&partitions).await?;
    let list = found.iter().map(|(partition, committed)| {
        json!({
            "topic": partition.topic.as_ref() as &str,
            "partition": partition.partition,
            "offset": committed.offset.0,
            "metadata": committed.metadata,
        })
    });
    Ok(Answer::new(json!({ "offsets": list.collect::<Vec<_>>() })))
}
