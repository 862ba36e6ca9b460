//! CreatePartitions: decided by the controller, within the client's budget.

use std::collections::HashSet;

use forebay_broker_controller::{CreatePartitions, MetadataImage};
use forebay_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use forebay_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use forebay_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use forebay_protocol::{ErrorCode, Utf8Bytes};

use super::mutations::{Budget, EXCEEDED};
use crate::call::Call;

/// Since this version a client can be told that its budget is used up (KIP-599).
const STRICT_SINCE: i16 = 3;

/// Answers a CreatePartitions request.
pub(crate) async fn handle(call: &Call, mut request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let image = call.core.metadata.image();
    let budget = Budget::of(call, STRICT_SINCE);
    let (fitting, rest) = budget.split(std::mem::take(&mut request.topics), |topic| added(topic, &image));
    let counts: Vec<_> = fitting
        .iter()
        .map(|topic| (topic.name.clone(), added(topic, &image)))
        .collect();
    request.topics = fitting;
    let is_trial = request.validate_only;
    let mut response = match call.core.metadata.submit(CreatePartitions { request }).await {
        Ok(response) => response,
        Err(error) => CreatePartitionsResponse {
            results: counts
                .iter()
                .map(|(name, _)| failed(name, error.error_code(), error.to_string()))
                .collect(),
            ..Default::default()
        },
    };
    let done = response.results.iter().filter(|result| result.error_code == 0);
    let done: HashSet<&Utf8Bytes> = done.map(|result| &result.name).collect();
    budget.give_back(counts, |name| !is_trial && done.contains(name));
    let exceeded = rest
        .iter()
        .map(|topic| failed(&topic.name, EXCEEDED, EXCEEDED.message().to_owned()));
    response.results.extend(exceeded);
    response.throttle_time_ms = budget.throttle_time_ms();
    response
}

fn added(topic: &CreatePartitionsTopic, image: &MetadataImage) -> usize {
    let present = image
        .topic(&topic.name)
        .map_or(0, |topic| topic.partition_count());
    usize::try_from(topic.count).unwrap_or(0).saturating_sub(present)
}

fn failed(name: &Utf8Bytes, code: ErrorCode, message: String) -> CreatePartitionsTopicResult {
    CreatePartitionsTopicResult {
        name: name.clone(),
        error_code: code.into(),
        error_message: Some(message.into()),
        ..CreatePartitionsTopicResult::default()
    }
}
