//! CreateTopics: decided by the controller.

use forebay_broker_controller::CreateTopics;
use forebay_protocol::messages::create_topics_response::CreatableTopicResult;
use forebay_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};

use crate::call::Call;

/// Answers a CreateTopics request.
pub(crate) async fn handle(call: &Call, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let names: Vec<_> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    match call
        .core
        .metadata
        .submit(CreateTopics {
            request,
            ..CreateTopics::default()
        })
        .await
    {
        Ok(response) => response,
        Err(error) => {
            let failed = |name| CreatableTopicResult {
                name,
                error_code: error.error_code().into(),
                error_message: Some(error.to_string().into()),
                ..CreatableTopicResult::default()
            };
            CreateTopicsResponse {
                topics: names.into_iter().map(failed).collect(),
                ..Default::default()
            }
        }
    }
}
