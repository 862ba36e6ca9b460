//! DescribeTransactions: what is known of transactional ids (KIP-664).

use forebay_broker_coordinator::transaction::{Command, Response};
use forebay_protocol::Utf8Bytes;
use forebay_protocol::messages::describe_transactions_response::TransactionState;
use forebay_protocol::messages::{DescribeTransactionsRequest, DescribeTransactionsResponse};

use super::coordinator_context;
use super::room::{ASK_AGAIN, Entry, answer_each};
use crate::call::Call;

/// Answers a DescribeTransactions request.
pub(crate) async fn handle(
    call: &Call,
    request: DescribeTransactionsRequest,
) -> DescribeTransactionsResponse {
    let context = &coordinator_context(call);
    let describe = async |names| {
        let coordinators = &call.core.transactions;
        let answers = coordinators.ask_each(names, context, Command::DescribeTransactions);
        let states = answers.await.into_iter().flat_map(|answer| match answer {
            Response::DescribeTransactions(states) => states,
            _ => Vec::new(),
        });
        states.collect()
    };
    TransactionState::answer(answer_each(request.transactional_ids, call.version, describe).await)
}

impl Entry for TransactionState {
    type Answer = DescribeTransactionsResponse;

    fn name(&self) -> &Utf8Bytes {
        &self.transactional_id
    }

    fn refused(id: &Utf8Bytes) -> Self {
        Self {
            transactional_id: id.clone(),
            error_code: ASK_AGAIN.into(),
            ..Self::default()
        }
    }

    fn answer(transaction_states: Vec<Self>) -> DescribeTransactionsResponse {
        DescribeTransactionsResponse {
            transaction_states,
            ..DescribeTransactionsResponse::default()
        }
    }

    fn entries(answer: DescribeTransactionsResponse) -> Vec<Self> {
        answer.transaction_states
    }
}
