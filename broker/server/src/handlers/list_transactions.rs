//! ListTransactions: the transactional ids of all coordinators of this broker (KIP-664).

use forebay_broker_coordinator::transaction::{Command, Response, list_of_none};
use forebay_protocol::ErrorCode;
use forebay_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse};

use super::coordinator_context;
use crate::call::Call;

/// Answers a ListTransactions request.
pub(crate) async fn handle(call: &Call, request: ListTransactionsRequest) -> ListTransactionsResponse {
    // Filters are judged where there is nothing to filter, too.
    let mut response = list_of_none(&request);
    if response.error_code != ErrorCode::None.to_i16() {
        return response;
    }
    let answers = call
        .core
        .transactions
        .ask_all(&coordinator_context(call), || {
            Command::ListTransactions(request.clone())
        })
        .await;
    for answer in answers {
        let Response::ListTransactions(share) = answer else {
            continue;
        };
        match ErrorCode::from_i16(share.error_code) {
            ErrorCode::None => response.transaction_states.extend(share.transaction_states),
            // A coordinator that has just resigned has no transactions to tell of.
            ErrorCode::NotCoordinator => {}
            code => {
                return ListTransactionsResponse {
                    error_code: code.into(),
                    ..ListTransactionsResponse::default()
                };
            }
        }
    }
    response
}
