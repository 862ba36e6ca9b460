//! Names in a Fetch that are too long for any topic: each partition is answered, and nothing of them is looked up or remembered. A name
//! stands once in a request for all its partitions; elsewhere it would be hashed or compared once for each of them.

use forebay_broker_log::TOPIC_NAME_LENGTH_MAX;
use forebay_protocol::ErrorCode;
use forebay_protocol::messages::FetchRequest;
use forebay_protocol::messages::fetch_request::FetchTopic;
use forebay_protocol::messages::fetch_response::FetchableTopicResponse;

use super::read::not_there;

/// Takes such topics out of the request.
pub(super) fn take(request: &mut FetchRequest) -> Vec<FetchTopic> {
    request
        .forgotten_topics_data
        .retain(|topic| topic.topic.len() <= TOPIC_NAME_LENGTH_MAX);
    request
        .topics
        .extract_if(.., |topic| topic.topic.len() > TOPIC_NAME_LENGTH_MAX)
        .collect()
}

/// What is said of them: they are not there.
pub(super) fn answers(version: i16, topics: Vec<FetchTopic>) -> impl Iterator<Item = FetchableTopicResponse> {
    topics.into_iter().map(move |topic| {
        let partitions = topic.partitions.iter();
        FetchableTopicResponse {
            topic: topic.topic,
            partitions: partitions
                .map(|one| not_there(version, one.partition, ErrorCode::UnknownTopicOrPartition))
                .collect(),
            ..FetchableTopicResponse::default()
        }
    })
}
