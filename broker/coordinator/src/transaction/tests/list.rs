//! What administrators see.

use std::sync::Arc;

use forebay_protocol::ErrorCode;
use forebay_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse};

use super::support::{Driver, adding, init_request};
use crate::consumer::TEXT_BYTES_MAX;
use crate::transaction::{Command, Listing, Response};

fn list(driver: &mut Driver, request: &ListTransactionsRequest) -> ListTransactionsResponse {
    let listing = Listing::of(request).expect("a valid request");
    match driver.ask(2, Command::ListTransactions(Arc::clone(&listing.filters))) {
        Response::ListTransactions(Ok(listed)) => {
            listing.response(listed, &|| true).expect("nobody stops it")
        }
        other => panic!("{other:?}"),
    }
}

/// What is asked for, and which ids are listed.
fn cases() -> Vec<(ListTransactionsRequest, &'static [&'static str])> {
    let all = ListTransactionsRequest::default;
    vec![
        (all(), &["a-1", "a-2", "b-1"]),
        (
            ListTransactionsRequest {
                state_filters: vec!["Ongoing".into(), "Sleeping".into()],
                ..all()
            },
            &["a-2"],
        ),
        (
            ListTransactionsRequest {
                state_filters: vec!["Sleeping".into()],
                ..all()
            },
            &[],
        ),
        (
            ListTransactionsRequest {
                producer_id_filters: vec![1_002, 1_000],
                ..all()
            },
            &["a-1", "b-1"],
        ),
        (
            ListTransactionsRequest {
                state_filters: vec!["Ongoing".into()],
                duration_filter: 4_999,
                ..all()
            },
            &["a-2"],
        ),
        (
            ListTransactionsRequest {
                state_filters: vec!["Ongoing".into()],
                duration_filter: 5_000,
                ..all()
            },
            &[],
        ),
        (
            ListTransactionsRequest {
                transactional_id_pattern: Some("a-.".into()),
                ..all()
            },
            &["a-1", "a-2"],
        ),
        (
            ListTransactionsRequest {
                transactional_id_pattern: Some("a|b-1".into()),
                ..all()
            },
            &["b-1"],
        ),
        (
            ListTransactionsRequest {
                transactional_id_pattern: Some("".into()),
                ..all()
            },
            &["a-1", "a-2", "b-1"],
        ),
    ]
}

#[test]
fn filters_choose_what_is_listed() {
    let mut driver = Driver::new();
    for id in ["a-1", "a-2", "b-1"] {
        driver.init_as(4, init_request(id, None)).expect("new");
    }
    driver.ask(3, Command::AddPartitions(adding("a-2", (1_001, 0), &[("t", 0)])));
    driver.now.timestamp.0 += 5_000;
    for (request, expected) in cases() {
        let response = list(&mut driver, &request);
        let listed: Vec<&str> = response
            .transaction_states
            .iter()
            .map(|one| &*one.transactional_id)
            .collect();
        assert_eq!(listed, expected, "{request:?}");
        let unknown = request.state_filters.iter().any(|name| **name == *"Sleeping");
        assert_eq!(!response.unknown_state_filters.is_empty(), unknown);
    }
    let long = "x".repeat(TEXT_BYTES_MAX);
    assert!(Listing::of(&of_pattern(&long)).is_ok());
    for pattern in [
        "(",
        "a)(b",
        "*",
        "(?:[!-~]{0,300}){0,200}",
        r"\pL{400}",
        &format!("{long}x"),
    ] {
        let refused = Listing::of(&of_pattern(pattern)).map(|_| ());
        assert_eq!(refused, Err(ErrorCode::InvalidRegularExpression), "{pattern}");
    }
}

fn of_pattern(pattern: &str) -> ListTransactionsRequest {
    ListTransactionsRequest {
        transactional_id_pattern: Some(pattern.into()),
        ..Default::default()
    }
}

#[test]
fn a_description_shows_who_has_not_been_told_yet() {
    let mut driver = Driver::new();
    let producer = driver.init().expect("new");
    let begin = driver.now.timestamp.0;
    driver.add(producer, &[("a", 1), ("a", 0), ("b", 0)]);
    let describe =
        |driver: &mut Driver, id: &str| match driver.ask(0, Command::DescribeTransactions(vec![id.into()])) {
            Response::DescribeTransactions(mut states) => states.remove(0),
            other => panic!("{other:?}"),
        };
    let described = describe(&mut driver, "t");
    assert_eq!(
        (described.error_code, &*described.transaction_state),
        (0, "Ongoing")
    );
    assert_eq!((described.producer_id, described.producer_epoch), producer);
    assert_eq!(
        (
            described.transaction_timeout_ms,
            described.transaction_start_time_ms
        ),
        (60_000, begin)
    );
    let topics: Vec<(&str, &[i32])> = described
        .topics
        .iter()
        .map(|topic| (&*topic.topic, &topic.partitions[..]))
        .collect();
    assert_eq!(topics, [("a", &[0, 1][..]), ("b", &[0][..])]);
    driver.hold_actions = true;
    assert!(driver.end(4, producer, true).is_ok());
    let described = describe(&mut driver, "t");
    assert_eq!(
        (&*described.transaction_state, described.topics.len()),
        ("PrepareCommit", 2)
    );
    driver.hold_actions = false;
    driver.settle();
    let described = describe(&mut driver, "t");
    assert_eq!(
        (&*described.transaction_state, described.topics.len()),
        ("CompleteCommit", 0)
    );
    for (id, expected) in [
        ("", ErrorCode::InvalidRequest),
        ("x", ErrorCode::TransactionalIdNotFound),
    ] {
        assert_eq!(describe(&mut driver, id).error_code, expected.to_i16());
    }
}
