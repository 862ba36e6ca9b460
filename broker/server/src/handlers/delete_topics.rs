//! DeleteTopics: decided by the controller, within the client's budget.

use std::collections::HashSet;

use forebay_broker_controller::{DeleteTopics, MetadataImage};
use forebay_protocol::messages::delete_topics_request::DeleteTopicState;
use forebay_protocol::messages::delete_topics_response::DeletableTopicResult;
use forebay_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use forebay_protocol::{ErrorCode, Utf8Bytes, Uuid};

use super::mutations::{Budget, EXCEEDED};
use crate::call::Call;

/// Since this version a client can be told that its budget is used up (KIP-599).
const STRICT_SINCE: i16 = 5;

/// Answers a DeleteTopics request.
pub(crate) async fn handle(call: &Call, mut request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let image = call.core.metadata.image();
    let budget = Budget::of(call, STRICT_SINCE);
    let names = std::mem::take(&mut request.topic_names);
    let (names, names_left) = budget.split(names, |name| size(&image, Some(name), Uuid::ZERO));
    let topics = std::mem::take(&mut request.topics);
    let of_state = |topic: &DeleteTopicState| size(&image, topic.name.as_ref(), topic.topic_id);
    let (topics, topics_left) = budget.split(topics, of_state);
    let asked: Vec<_> = named(&names).chain(listed(&topics)).collect();
    request.topic_names = names;
    request.topics = topics;
    let command = DeleteTopics {
        request,
        api_version: call.version,
    };
    let mut response = match call.core.metadata.submit(command).await {
        Ok(response) => response,
        Err(error) => DeleteTopicsResponse {
            responses: asked
                .iter()
                .map(|topic| failed(topic, error.error_code(), error.to_string()))
                .collect(),
            ..Default::default()
        },
    };
    let done = response.responses.iter().filter(|result| result.error_code == 0);
    let (names, ids): (HashSet<_>, HashSet<_>) = done.map(|result| (&result.name, result.topic_id)).unzip();
    let sizes = asked
        .iter()
        .map(|asked| (asked, size(&image, asked.0.as_ref(), asked.1)));
    budget.give_back(sizes, |(name, id)| {
        names.contains(name) || (*id != Uuid::ZERO && ids.contains(id))
    });
    let exceeded = named(&names_left)
        .chain(listed(&topics_left))
        .map(|topic| failed(&topic, EXCEEDED, EXCEEDED.message().to_owned()));
    response.responses.extend(exceeded);
    response.throttle_time_ms = budget.throttle_time_ms();
    response
}

/// A topic as a request calls it.
type Asked = (Option<Utf8Bytes>, Uuid);

fn named(names: &[Utf8Bytes]) -> impl Iterator<Item = Asked> {
    names.iter().map(|name| (Some(name.clone()), Uuid::ZERO))
}

fn listed(topics: &[DeleteTopicState]) -> impl Iterator<Item = Asked> {
    topics.iter().map(|topic| (topic.name.clone(), topic.topic_id))
}

/// How many partitions a topic has.
fn size(image: &MetadataImage, name: Option<&Utf8Bytes>, id: Uuid) -> usize {
    let topic = match name {
        Some(name) => image.topic(name),
        None => image.topic_by_id(id),
    };
    topic.map_or(0, |topic| topic.partition_count())
}

fn failed((name, topic_id): &Asked, code: ErrorCode, message: String) -> DeletableTopicResult {
    DeletableTopicResult {
        name: name.clone(),
        topic_id: *topic_id,
        error_code: code.into(),
        error_message: Some(message.into()),
        ..DeletableTopicResult::default()
    }
}
