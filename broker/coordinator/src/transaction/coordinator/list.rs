//! ListTransactions and DescribeTransactions (KIP-664, KIP-994, KIP-1152). They show what is committed.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use forebay_protocol::messages::describe_transactions_response::{
    TopicData, TransactionState as DescribedTransaction,
};
use forebay_protocol::messages::list_transactions_response::TransactionState as ListedTransaction;
use forebay_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse};
use forebay_protocol::{ErrorCode, TopicPartition, Utf8Bytes};

use super::{Pending, Transaction, TransactionCoordinator};
use crate::Now;
use crate::consumer::RegularExpression;
use crate::transaction::State;
use crate::transaction::command::undescribed;
use crate::transaction::metadata::TransactionMetadata;

/// What a ListTransactions asks for, read once for all coordinators. They go by all but the pattern, which takes time.
#[derive(Debug)]
pub struct Listing {
    /// What each of them is to be given.
    pub filters: Arc<ListFilters>,
    unknown_states: Vec<Utf8Bytes>,
    pattern: Option<RegularExpression>,
}

/// Which transactional ids are listed. A filter that is empty lets all pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListFilters {
    states: Option<BTreeSet<State>>,
    producer_ids: HashSet<i64>,
    /// Longer than this, in milliseconds; negative: however long.
    duration_ms: i64,
}

impl Listing {
    /// Reads a request.
    ///
    /// # Errors
    /// The pattern is no regular expression, or too costly a one.
    pub fn of(request: &ListTransactionsRequest) -> Result<Self, ErrorCode> {
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
        let pattern = request.transactional_id_pattern.as_deref();
        let pattern = pattern
            .filter(|pattern| !pattern.is_empty())
            .map(RegularExpression::parse_for_text)
            .transpose()
            .map_err(|_| ErrorCode::InvalidRegularExpression)?;
        let filters = ListFilters {
            states: (!request.state_filters.is_empty()).then_some(states),
            producer_ids: request.producer_id_filters.iter().copied().collect(),
            duration_ms: request.duration_filter,
        };
        Ok(Self {
            filters: Arc::new(filters),
            unknown_states,
            pattern,
        })
    }

    /// Whether the listed ids have to be held against a pattern: as many as there may be, that should not keep others waiting.
    #[must_use]
    pub fn has_pattern(&self) -> bool {
        self.pattern.is_some()
    }

    /// The response, of all that coordinators have listed: those whose whole id matches. `None` if it may not go on: that is asked every
    /// few letters of an id, as they may take long.
    #[must_use]
    pub fn response(
        self,
        mut listed: Vec<ListedTransaction>,
        may_go_on: &dyn Fn() -> bool,
    ) -> Option<ListTransactionsResponse> {
        if let Some(pattern) = &self.pattern {
            let mut matcher = pattern.matcher();
            let mut stopped = false;
            listed.retain(|one| {
                let matches = (!stopped).then(|| matcher.matches(&one.transactional_id, may_go_on));
                stopped |= matches == Some(None);
                matches.flatten() == Some(true)
            });
            if stopped {
                return None;
            }
        }
        Some(ListTransactionsResponse {
            unknown_state_filters: self.unknown_states,
            transaction_states: listed,
            ..Default::default()
        })
    }
}

impl TransactionCoordinator {
    pub(super) fn list(&self, filters: &ListFilters, now: Now) -> Vec<ListedTransaction> {
        let ListFilters {
            states,
            producer_ids,
            duration_ms,
        } = filters;
        let is_wanted = |metadata: &TransactionMetadata| {
            let duration = now.timestamp.0.saturating_sub(metadata.start.0);
            (producer_ids.is_empty() || producer_ids.contains(&metadata.producer_id.0))
                && states
                    .as_ref()
                    .is_none_or(|states| states.contains(&metadata.state))
                && (*duration_ms < 0 || duration > *duration_ms)
        };
        let listed = self
            .transactions
            .iter()
            .filter(|(_, transaction)| is_wanted(&transaction.metadata));
        listed
            .map(|(id, transaction)| ListedTransaction {
                transactional_id: id.clone(),
                producer_id: transaction.metadata.producer_id.0,
                transaction_state: Utf8Bytes::from_static(transaction.metadata.state.name()),
                ..Default::default()
            })
            .collect()
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
