//! DeleteTopics (`ControllerApis.deleteTopics`, `ReplicationControlManager.deleteTopics`).

use std::collections::{BTreeMap, BTreeSet};

use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::RemoveTopicRecord;
use forebay_protocol::messages::delete_topics_request::DeleteTopicsRequest;
use forebay_protocol::messages::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};
use forebay_protocol::{ErrorCode, Utf8Bytes, Uuid};

use crate::ApiError;
use crate::controller::{Cluster, Command, Outcome};
use crate::image::MetadataImage;

/// Deletes topics, named or by their ids.
#[derive(Debug, Clone, Default)]
pub struct DeleteTopics {
    /// The request.
    pub request: DeleteTopicsRequest,
    /// Its version: below 3 there is no error code for "switched off".
    pub api_version: i16,
}

impl Command for DeleteTopics {
    type Response = DeleteTopicsResponse;

    fn decide(self, cluster: &Cluster<'_>) -> Outcome<DeleteTopicsResponse> {
        let request = &self.request;
        let results = if cluster.options.delete_topic_enable {
            let mut deletion = Deletion::default();
            deletion.collect(request);
            deletion.resolve(cluster.image);
            deletion
        } else {
            Deletion {
                responses: refuse_all(request, self.api_version),
                ..Deletion::default()
            }
        };
        let Deletion {
            mut responses, found, ..
        } = results;
        let mut records = Vec::with_capacity(found.len());
        for (topic_id, name) in found {
            let record = RemoveTopicRecord {
                topic_id,
                ..RemoveTopicRecord::default()
            };
            records.push(cluster.record(MetadataRecord::RemoveTopic(record)));
            responses.push(answer(Some(name), topic_id, None));
        }
        Outcome::new(
            records,
            DeleteTopicsResponse {
                responses,
                ..DeleteTopicsResponse::default()
            },
        )
    }
}

/// What a request names, sorted into what can be deleted and what is answered with an error.
#[derive(Debug, Default)]
struct Deletion {
    names: BTreeSet<Utf8Bytes>,
    ids: BTreeSet<Uuid>,
    duplicate_names: BTreeSet<Utf8Bytes>,
    duplicate_ids: BTreeSet<Uuid>,
    found: BTreeMap<Uuid, Utf8Bytes>,
    responses: Vec<DeletableTopicResult>,
}

impl Deletion {
    fn collect(&mut self, request: &DeleteTopicsRequest) {
        for name in &request.topic_names {
            self.add_name(name);
        }
        for topic in &request.topics {
            match &topic.name {
                None if topic.topic_id.is_zero() => {
                    self.refuse(None, Uuid::ZERO, "Neither topic name nor id were specified.");
                }
                None => self.add_id(topic.topic_id),
                Some(name) if topic.topic_id.is_zero() => self.add_name(name),
                Some(name) => {
                    self.refuse(
                        Some(name),
                        topic.topic_id,
                        "You may not specify both topic name and topic id.",
                    );
                }
            }
        }
        for name in self.duplicate_names.clone() {
            self.refuse(Some(&name), Uuid::ZERO, "Duplicate topic name.");
        }
        for id in self.duplicate_ids.clone() {
            self.refuse(None, id, "Duplicate topic id.");
        }
    }

    fn add_name(&mut self, name: &Utf8Bytes) {
        if self.duplicate_names.contains(name) || !self.names.insert(name.clone()) {
            self.names.remove(name);
            self.duplicate_names.insert(name.clone());
        }
    }

    fn add_id(&mut self, id: Uuid) {
        if self.duplicate_ids.contains(&id) || !self.ids.insert(id) {
            self.ids.remove(&id);
            self.duplicate_ids.insert(id);
        }
    }

    fn resolve(&mut self, image: &MetadataImage) {
        for id in std::mem::take(&mut self.ids) {
            match image.topic_by_id(id) {
                Some(topic) => {
                    self.found.insert(id, topic.name().clone());
                }
                None => {
                    let error = ApiError::generic(ErrorCode::UnknownTopicId);
                    self.responses.push(answer(None, id, Some(&error)));
                }
            }
        }
        for name in std::mem::take(&mut self.names) {
            let Some(topic) = image.topic(&name) else {
                let error = ApiError::generic(ErrorCode::UnknownTopicOrPartition);
                self.responses.push(answer(Some(name), Uuid::ZERO, Some(&error)));
                continue;
            };
            let id = topic.id();
            if self.duplicate_ids.contains(&id) || self.found.insert(id, name.clone()).is_some() {
                self.duplicate_ids.insert(id);
                self.found.remove(&id);
                self.refuse(
                    Some(&name),
                    id,
                    "The provided topic name maps to an ID that was already supplied.",
                );
            }
        }
    }

    fn refuse(&mut self, name: Option<&Utf8Bytes>, id: Uuid, text: &str) {
        self.responses
            .push(answer(name.cloned(), id, Some(&ApiError::invalid_request(text))));
    }
}

fn refuse_all(request: &DeleteTopicsRequest, api_version: i16) -> Vec<DeletableTopicResult> {
    let error = if api_version < 3 {
        ApiError::invalid_request("This version does not support topic deletion.")
    } else {
        ApiError::bare(ErrorCode::TopicDeletionDisabled)
    };
    let named = request
        .topic_names
        .iter()
        .map(|name| (Some(name.clone()), Uuid::ZERO));
    let other = request
        .topics
        .iter()
        .map(|topic| (topic.name.clone(), topic.topic_id));
    named
        .chain(other)
        .map(|(name, id)| answer(name, id, Some(&error)))
        .collect()
}

fn answer(name: Option<Utf8Bytes>, topic_id: Uuid, error: Option<&ApiError>) -> DeletableTopicResult {
    DeletableTopicResult {
        name,
        topic_id,
        error_code: error.map_or(ErrorCode::None, |error| error.code) as i16,
        error_message: error.and_then(ApiError::text),
        ..DeletableTopicResult::default()
    }
}
