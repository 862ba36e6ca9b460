//! What is told of answers and errors, in topics of the user's choice.

use std::sync::Arc;

use bytes::Bytes;
use forebay_connect_api::{Error, ResultRecord, SinkTaskContext, TopicPartition};
use reqwest::StatusCode;

use super::{body::Piece, config::Reports};
use crate::client::{self, Answer};

/// The headers that say which records it is about.
fn headers(
    topic_partition: &TopicPartition,
    pieces: &[Piece],
    status: Option<StatusCode>,
) -> Vec<(String, Bytes)> {
    let mut headers = vec![
        (
            "input_record_topic".to_owned(),
            topic_partition.topic.to_string().into(),
        ),
        (
            "input_record_partition".to_owned(),
            topic_partition.partition.to_string().into(),
        ),
    ];
    if let (Some(first), Some(last)) = (pieces.first(), pieces.last()) {
        headers.push(("input_record_offset".to_owned(), first.offset.to_string().into()));
        if pieces.len() > 1 {
            headers.push((
                "input_record_offset_last".to_owned(),
                last.offset.to_string().into(),
            ));
        }
    }
    headers.extend(status.map(|status| ("http_status".to_owned(), status.as_u16().to_string().into())));
    headers
}

/// Tells of a 2xx.
///
/// # Errors
/// If it cannot be told.
pub(super) async fn result(
    context: &Arc<dyn SinkTaskContext>,
    reports: &Reports,
    topic_partition: &TopicPartition,
    pieces: &[Piece],
    answer: Answer,
) -> Result<(), Error> {
    let Some(topic) = &reports.results else {
        return Ok(());
    };
    let status = answer.status;
    let value = match reports.only_status {
        true => status.as_u16().to_string().into(),
        false => answer.body,
    };
    let record = ResultRecord {
        topic: Arc::clone(topic),
        key: None,
        value: Some(value),
        headers: headers(topic_partition, pieces, Some(status)),
    };
    context.report_results(vec![record]).await
}

/// Tells of records that are left out or reported.
///
/// # Errors
/// If it cannot be told.
pub(super) async fn error(
    context: &Arc<dyn SinkTaskContext>,
    reports: &Reports,
    topic_partition: &TopicPartition,
    pieces: &[Piece],
    error: &client::Error,
) -> Result<(), Error> {
    let Some(topic) = &reports.errors else {
        return Ok(());
    };
    let message = Bytes::from(error.trace());
    let answered = error.excerpt().filter(|excerpt| !excerpt.is_empty());
    let records = pieces.iter().map(|piece| {
        let mut headers = headers(topic_partition, std::slice::from_ref(piece), error.status());
        headers.extend(answered.map(|answered| ("http_response".to_owned(), answered.clone())));
        ResultRecord {
            topic: Arc::clone(topic),
            key: None,
            value: Some(message.clone()),
            headers,
        }
    });
    context.report_results(records.collect()).await
}
