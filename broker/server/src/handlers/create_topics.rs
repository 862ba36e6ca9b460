//! CreateTopics: decided by the controller, within the client's budget.

use std::collections::HashSet;

use forebay_broker_controller::CreateTopics;
use forebay_protocol::messages::create_topics_request::CreatableTopic;
use forebay_protocol::messages::create_topics_response::CreatableTopicResult;
use forebay_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};
use forebay_protocol::{ErrorCode, Utf8Bytes};

use super::mutations::{Budget, EXCEEDED};
use crate::call::Call;

/// Since this version a client can be told that its budget is used up (KIP-599).
const STRICT_SINCE: i16 = 6;

/// Answers a CreateTopics request.
pub(crate) async fn handle(call: &Call, mut request: CreateTopicsRequest) -> CreateTopicsResponse {
    let default = usize::try_from(call.core.config.num_partitions).unwrap_or(1);
    let budget = Budget::of(call, STRICT_SINCE);
    let (fitting, rest) = budget.split(std::mem::take(&mut request.topics), |topic| {
        partitions(topic, default)
    });
    let counts: Vec<_> = fitting
        .iter()
        .map(|topic| (topic.name.clone(), partitions(topic, default)))
        .collect();
    request.topics = fitting;
    let is_trial = request.validate_only;
    let mut response = match call
        .core
        .metadata
        .submit(CreateTopics {
            request,
            ..CreateTopics::default()
        })
        .await
    {
        Ok(response) => response,
        Err(error) => CreateTopicsResponse {
            topics: counts
                .iter()
                .map(|(name, _)| failed(name, error.error_code(), error.to_string()))
                .collect(),
            ..Default::default()
        },
    };
    let done = response.topics.iter().filter(|result| result.error_code == 0);
    let done: HashSet<&Utf8Bytes> = done.map(|result| &result.name).collect();
    budget.give_back(counts, |name| !is_trial && done.contains(name));
    let exceeded = rest
        .iter()
        .map(|topic| failed(&topic.name, EXCEEDED, EXCEEDED.message().to_owned()));
    response.topics.extend(exceeded);
    response.throttle_time_ms = budget.throttle_time_ms();
    response
}

fn partitions(topic: &CreatableTopic, default: usize) -> usize {
    if topic.assignments.is_empty() {
        usize::try_from(topic.num_partitions).unwrap_or(default)
    } else {
        topic.assignments.len()
    }
}

fn failed(name: &Utf8Bytes, code: ErrorCode, message: String) -> CreatableTopicResult {
    CreatableTopicResult {
        name: name.clone(),
        error_code: code.into(),
        error_message: Some(message.into()),
        ..CreatableTopicResult::default()
    }
}
