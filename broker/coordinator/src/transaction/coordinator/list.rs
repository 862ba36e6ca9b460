//! ListTransactions and DescribeTransactions (KIP-664, KIP-994, KIP-1152). They show what is committed.

use std::collections::BTreeSet;

use forebay_protocol::messages::describe_transactions_response::{
    TopicData, TransactionState as DescribedTransaction,
};
use forebay_protocol::messages::list_transactions_response::TransactionState as ListedTransaction;
use forebay_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse};
use forebay_protocol::{ErrorCode, TopicPartition, Utf8Bytes};
use regex::Regex;

use super::{Pending, Refusal, Transaction, TransactionCoordinator};
use crate::Now;
use crate::transaction::State;
use crate::transaction::command::undescribed;

/// The answer of a broker that coordinates nothing: its filters are judged all the same.
#[must_use]
pub fn list_of_none(request: &ListTransactionsRequest) -> ListTransactionsResponse {
    match filters(request) {
        Ok(Filters { unknown_states, .. }) => ListTransactionsResponse {
            unknown_state_filters: unknown_states,
            ..Default::default()
        },
        Err(error) => ListTransactionsResponse {
            error_code: error.to_i16(),
            ..Default::default()
        },
    }
}

struct Filters {
    states: BTreeSet<State>,
    unknown_states: Vec<Utf8Bytes>,
    pattern: Option<Regex>,
}

fn filters(request: &ListTransactionsRequest) -> Result<Filters, ErrorCode> {
    let mut states = BTreeSet::new();
    let mut unknown_states = Vec::new();
    for name in &request.state_filters {
        match State::from_name(name) {
            Some(state) => {
                states.insert(state);
            }
            None => unknown_states.push(name.clone()),
        }
    }
    Ok(Filters {
        states,
        unknown_states,
        pattern: pattern(request.transactional_id_pattern.as_deref())?,
    })
}

impl TransactionCoordinator {
    pub(super) fn list(
        &self,
        request: &ListTransactionsRequest,
        now: Now,
    ) -> Result<ListTransactionsResponse, Refusal> {
        let Filters {
            states,
            unknown_states,
            pattern,
        } = filters(request)?;
        let is_wanted = |(id, transaction): &(&Utf8Bytes, &Transaction)| {
            let metadata = &transaction.metadata;
            let duration = now.timestamp.0.saturating_sub(metadata.start.0);
            (request.producer_id_filters.is_empty()
                || request.producer_id_filters.contains(&metadata.producer_id.0))
                && (request.state_filters.is_empty() || states.contains(&metadata.state))
                && (request.duration_filter < 0 || duration > request.duration_filter)
                && pattern.as_ref().is_none_or(|pattern| pattern.is_match(id))
        };
        let listed = self.transactions.iter().filter(is_wanted);
        Ok(ListTransactionsResponse {
            unknown_state_filters: unknown_states,
            transaction_states: listed
                .map(|(id, transaction)| ListedTransaction {
                    transactional_id: id.clone(),
                    producer_id: transaction.metadata.producer_id.0,
                    transaction_state: Utf8Bytes::from_static(transaction.metadata.state.name()),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        })
    }

    pub(super) fn describe(&self, id: &Utf8Bytes) -> DescribedTransaction {
        if id.is_empty() {
            return undescribed(ErrorCode::InvalidRequest)(id.clone());
        }
        let Some(Transaction { metadata, pending }) = self.transactions.get(id) else {
            return undescribed(ErrorCode::TransactionalIdNotFound)(id.clone());
        };
        // While it ends, those that have not been told.
        let partitions = match pending {
            Some(Pending::Markers(left)) => left,
            _ => &metadata.partitions,
        };
        DescribedTransaction {
            transactional_id: id.clone(),
            transaction_state: Utf8Bytes::from_static(metadata.state.name()),
            transaction_timeout_ms: metadata.timeout_ms,
            transaction_start_time_ms: metadata.start.0,
            producer_id: metadata.producer_id.0,
            producer_epoch: metadata.producer_epoch.0,
            topics: topics(partitions),
            ..Default::default()
        }
    }
}

/// The whole id has to match.
fn pattern(pattern: Option<&str>) -> Result<Option<Regex>, ErrorCode> {
    let Some(pattern) = pattern.filter(|pattern| !pattern.is_empty()) else {
        return Ok(None);
    };
    // On its own first: it must not close the group around it.
    Regex::new(pattern)
        .and_then(|_| Regex::new(&format!("^(?:{pattern})$")))
        .map(Some)
        .map_err(|_| ErrorCode::InvalidRegularExpression)
}

fn topics(partitions: &BTreeSet<TopicPartition>) -> Vec<TopicData> {
    let mut topics: Vec<TopicData> = Vec::new();
    for TopicPartition { topic, partition } in partitions {
        match topics.last_mut() {
            Some(last) if last.topic == *topic => last.partitions.push(*partition),
            _ => topics.push(TopicData {
                topic: topic.clone(),
                partitions: vec![*partition],
                ..Default::default()
            }),
        }
    }
    topics
}
