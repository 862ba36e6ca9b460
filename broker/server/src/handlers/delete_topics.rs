//! DeleteTopics: decided by the controller.

use forebay_broker_controller::DeleteTopics;
use forebay_protocol::messages::delete_topics_response::DeletableTopicResult;
use forebay_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};

use crate::call::Call;

/// Answers a DeleteTopics request.
pub(crate) async fn handle(call: &Call, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let named = request
        .topic_names
        .iter()
        .map(|name| (Some(name.clone()), forebay_protocol::Uuid::ZERO));
    let listed = request
        .topics
        .iter()
        .map(|topic| (topic.name.clone(), topic.topic_id));
    let asked: Vec<_> = named.chain(listed).collect();
    match call
        .core
        .metadata
        .submit(DeleteTopics {
            request,
            api_version: call.version,
        })
        .await
    {
        Ok(response) => response,
        Err(error) => {
            let failed = |(name, topic_id)| DeletableTopicResult {
                name,
                topic_id,
                error_code: error.error_code().into(),
                error_message: Some(error.to_string().into()),
                ..DeletableTopicResult::default()
            };
            DeleteTopicsResponse {
                responses: asked.into_iter().map(failed).collect(),
                ..Default::default()
            }
        }
    }
}
