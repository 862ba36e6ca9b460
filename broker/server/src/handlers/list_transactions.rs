//! ListTransactions: the transactional ids of all coordinators of this broker (KIP-664).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use forebay_broker_coordinator::transaction::{Command, Listing, Response};
use forebay_protocol::ErrorCode;
use forebay_protocol::messages::list_transactions_response::TransactionState;
use forebay_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse};
use tokio::task::spawn_blocking;

use super::coordinator_context;
use crate::abandoned::Abandoned;
use crate::call::{Call, Reply};

/// Answers a ListTransactions request.
pub(crate) async fn handle(call: &Call, request: ListTransactionsRequest) -> Reply {
    let pattern = request.transactional_id_pattern.as_ref();
    if pattern.is_none_or(|pattern| pattern.is_empty()) {
        return match Listing::of(&request) {
            Ok(listing) => match listed(call, &listing).await {
                Ok(listed) => listing
                    .response(listed, &|| true)
                    .map_or(Reply::STOPPING, Into::into),
                Err(code) => refused(code).into(),
            },
            Err(code) => refused(code).into(),
        };
    }
    // Ids may be many, and patterns slow: one at a time, beside everything else, and for no longer than somebody waits.
    tokio::select! {
        () = call.core.shutdown.clone().requested() => Reply::STOPPING,
        reply = by_pattern(call, request) => reply,
    }
}

async fn by_pattern(call: &Call, request: ListTransactionsRequest) -> Reply {
    let Ok(turn) = Arc::clone(&call.core.listing).acquire_owned().await else {
        return Reply::STOPPING;
    };
    // Filters are judged where there is nothing to filter, too.
    let listing = match spawn_blocking(move || Listing::of(&request)).await {
        Ok(Ok(listing)) => listing,
        Ok(Err(code)) => return refused(code).into(),
        Err(_stopping) => return Reply::STOPPING,
    };
    let listed = match listed(call, &listing).await {
        Ok(listed) => listed,
        Err(code) => return refused(code).into(),
    };
    let abandoned = Abandoned::default();
    let flag = abandoned.flag();
    let response = spawn_blocking(move || {
        let _turn = turn;
        listing.response(listed, &|| !flag.load(Ordering::Relaxed))
    });
    match response.await {
        Ok(Some(response)) => response.into(),
        _ => Reply::STOPPING,
    }
}

async fn listed(call: &Call, listing: &Listing) -> Result<Vec<TransactionState>, ErrorCode> {
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
            Response::ListTransactions(Err(code)) => return Err(code),
            _ => {}
        }
    }
    Ok(listed)
}

fn refused(code: ErrorCode) -> ListTransactionsResponse {
    ListTransactionsResponse {
        error_code: code.into(),
        ..ListTransactionsResponse::default()
    }
}
