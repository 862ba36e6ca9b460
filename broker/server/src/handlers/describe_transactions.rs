//! DescribeTransactions: what is known of transactional ids (KIP-664).

use forebay_broker_coordinator::transaction::{Command, Response};
use forebay_protocol::messages::describe_transactions_response::TransactionState;
use forebay_protocol::messages::{DescribeTransactionsRequest, DescribeTransactionsResponse};

use super::coordinator_context;
use super::repetitions::{Names, REPEATED};
use crate::call::Call;

/// Answers a DescribeTransactions request.
pub(crate) async fn handle(
    call: &Call,
    request: DescribeTransactionsRequest,
) -> DescribeTransactionsResponse {
    let names = Names::of(request.transactional_ids);
    let answers = call
        .core
        .transactions
        .ask_each(
            names.wanted.clone(),
            &coordinator_context(call),
            Command::DescribeTransactions,
        )
        .await;
    let described = answers.into_iter().flat_map(|answer| match answer {
        Response::DescribeTransactions(states) => states,
        _ => Vec::new(),
    });
    let mut transaction_states: Vec<_> = described.collect();
    transaction_states.extend(names.refused.iter().map(|id| TransactionState {
        transactional_id: id.clone(),
        error_code: REPEATED.into(),
        ..TransactionState::default()
    }));
    names.sort(&mut transaction_states, |state| &state.transactional_id);
    DescribeTransactionsResponse {
        transaction_states,
        ..DescribeTransactionsResponse::default()
    }
}
