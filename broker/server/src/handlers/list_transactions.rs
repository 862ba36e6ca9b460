//! ListTransactions: the transactional ids of all coordinators of this broker (KIP-664).

use std::sync::Arc;

use forebay_broker_coordinator::transaction::{Command, Listing, Response};
use forebay_protocol::ErrorCode;
use forebay_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse};

use super::coordinator_context;
use crate::call::{Call, Reply};

/// Answers a ListTransactions request.
pub(crate) async fn handle(call: &Call, request: ListTransactionsRequest) -> Reply {
    // Filters are judged where there is nothing to filter, too.
    let listing = match Listing::of(&request) {
        Ok(listing) => listing,
        Err(code) => return refused(code).into(),
    };
    let answers = call
        .core
        .transactions
        .ask_all(&coordinator_context(call), || {
            Command::ListTransactions(Arc::clone(&listing.filters))
        })
        .await;
    let mut listed = Vec::new();
    for answer in answers {
        match answer {
            Response::ListTransactions(Ok(share)) => listed.extend(share),
            // A coordinator that has just resigned has no transactions to tell of.
            Response::ListTransactions(Err(ErrorCode::NotCoordinator)) => {}
            Response::ListTransactions(Err(code)) => return refused(code).into(),
            _ => {}
        }
    }
    if !listing.has_pattern() {
        return listing.response(listed).into();
    }
    // Ids may be many, and patterns slow.
    match tokio::task::spawn_blocking(move || listing.response(listed)).await {
        Ok(response) => response.into(),
        Err(_stopping) => Reply::STOPPING,
    }
}

fn refused(code: ErrorCode) -> ListTransactionsResponse {
    ListTransactionsResponse {
        error_code: code.into(),
        ..ListTransactionsResponse::default()
    }
}
