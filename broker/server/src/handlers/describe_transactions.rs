//! DescribeTransactions: what is known of transactional ids (KIP-664).

use forebay_broker_coordinator::transaction::{Command, Response};
use forebay_protocol::messages::{DescribeTransactionsRequest, DescribeTransactionsResponse};

use super::coordinator_context;
use crate::call::Call;

/// Answers a DescribeTransactions request.
pub(crate) async fn handle(
    call: &Call,
    request: DescribeTransactionsRequest,
) -> DescribeTransactionsResponse {
    let order = request.transactional_ids.clone();
    let answers = call
        .core
        .transactions
        .ask_each(
            request.transactional_ids,
            &coordinator_context(call),
            Command::DescribeTransactions,
        )
        .await;
    let described = answers.into_iter().flat_map(|answer| match answer {
        Response::DescribeTransactions(states) => states,
        _ => Vec::new(),
    });
    let mut transaction_states: Vec<_> = described.collect();
    transaction_states.sort_by_key(|state| order.iter().position(|id| *id == state.transactional_id));
    DescribeTransactionsResponse {
        transaction_states,
        ..DescribeTransactionsResponse::default()
    }
}
