//! CreatePartitions: decided by the controller.

use forebay_broker_controller::CreatePartitions;
use forebay_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use forebay_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use crate::call::Call;

/// Answers a CreatePartitions request.
pub(crate) async fn handle(call: &Call, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    match call.core.metadata.submit(CreatePartitions { request }).await {
        Ok(response) => response,
        Err(error) => {
            let failed = |name| CreatePartitionsTopicResult {
                name,
                error_code: error.error_code().into(),
                error_message: Some(error.to_string().into()),
                ..CreatePartitionsTopicResult::default()
            };
            CreatePartitionsResponse {
                results: names.into_iter().map(failed).collect(),
                ..Default::default()
            }
        }
    }
}
