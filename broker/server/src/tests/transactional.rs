//! Transactions as clients run them: the broker's coordinator, its logs and its groups together.

mod clients;
mod crashes;
mod stories;
mod zombies;

use forebay_protocol::ErrorCode;
use forebay_protocol::messages::fetch_response::AbortedTransaction;
use forebay_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use forebay_protocol::messages::update_features_request::FeatureUpdateKey;
use forebay_protocol::messages::{
    DescribeTransactionsRequest, FindCoordinatorRequest, OffsetFetchRequest, UpdateFeaturesRequest,
};
use forebay_records::ControlRecordType;

use super::*;

const TOPIC: &str = "t";
/// Of `transaction.version`.
const LEVELS: [i16; 3] = [0, 1, 2];

/// Transactions are run as of this level from now on, and their coordinators know (which takes a moment).
async fn finalize(broker: &TestBroker, level: i16) {
    const UNSAFE_DOWNGRADE: i8 = 3;
    let update = FeatureUpdateKey {
        feature: "transaction.version".into(),
        max_version_level: level,
        upgrade_type: UNSAFE_DOWNGRADE,
        ..Default::default()
    };
    let request = UpdateFeaturesRequest {
        timeout_ms: 10_000,
        feature_updates: vec![update],
        ..Default::default()
    };
    let response = broker.call(2, request).await;
    assert_eq!(response.error_code, 0, "{:?}", response.error_message);
}

/// The coordinator of transactional ids is there.
async fn find_coordinator(broker: &TestBroker) {
    let request = FindCoordinatorRequest {
        coordinator_keys: vec!["tx".into()],
        key_type: 1,
        ..Default::default()
    };
    let found = broker.call(4, request).await.coordinators.remove(0);
    assert_eq!((found.error_code, found.node_id), (0, 1));
}

/// The state of a transactional id.
async fn state_of(broker: &TestBroker, id: &str) -> String {
    let request = DescribeTransactionsRequest {
        transactional_ids: vec![id.into()],
        ..Default::default()
    };
    let mut response = broker.call(0, request).await;
    let state = response.transaction_states.remove(0);
    match ErrorCode::from_i16(state.error_code) {
        ErrorCode::None => state.transaction_state.to_string(),
        other => other.name().to_owned(),
    }
}

async fn wait_for_state(broker: &TestBroker, id: &str, wanted: &str) {
    let reached = async {
        while state_of(broker, id).await != wanted {
            tokio::task::yield_now().await;
        }
    };
    let limit = std::time::Duration::from_secs(30);
    let in_time = tokio::time::timeout(limit, reached).await.is_ok();
    let state = state_of(broker, id).await;
    assert!(in_time, "{id} is {state}, not {wanted}");
}

/// What a partition has for consumers of committed records.
#[derive(Debug, PartialEq, Eq)]
struct Committed {
    values: Vec<String>,
    last_stable_offset: i64,
    high_watermark: i64,
}

async fn read_committed(broker: &TestBroker, partition: i32) -> Committed {
    let request = FetchRequest {
        isolation_level: 1,
        ..fetch_request(TOPIC, partition, 0, 0)
    };
    let mut response = broker.call(12, request).await;
    let answer = response.responses.remove(0).partitions.remove(0);
    let aborted = answer.aborted_transactions.clone().unwrap_or_default();
    Committed {
        values: without_aborted(&answer, aborted),
        last_stable_offset: answer.last_stable_offset,
        high_watermark: answer.high_watermark,
    }
}

/// As Kafka's consumer leaves out what was aborted.
fn without_aborted(answer: &PartitionData, mut aborted: Vec<AbortedTransaction>) -> Vec<String> {
    assert!(aborted.is_sorted_by_key(|one| one.first_offset));
    aborted.reverse();
    let mut in_aborted = Vec::new();
    let mut values = Vec::new();
    for batch in batches(bytes_of(answer)) {
        let batch = batch.expect("whole");
        let header = batch.header();
        while aborted
            .last()
            .is_some_and(|one| one.first_offset <= batch.last_offset().0)
        {
            in_aborted.extend(aborted.pop().map(|one| one.producer_id));
        }
        let producer = header.producer_id.0;
        if header.is_control() {
            if end_of(&batch) == Some(false) {
                in_aborted.retain(|one| *one != producer);
            }
        } else if !(header.is_transactional() && in_aborted.contains(&producer)) {
            let records = batch.records().expect("readable");
            values.extend(records.map(|record| text(record.expect("good").value.as_deref())));
        }
    }
    values
}

/// Whether it is the end of a transaction, and which.
fn end_of(batch: &RecordBatch) -> Option<bool> {
    let record = batch.records().ok()?.next()?.ok()?;
    match ControlRecordType::parse(record.key.as_deref()?).ok()? {
        ControlRecordType::Commit => Some(true),
        ControlRecordType::Abort => Some(false),
        _ => None,
    }
}

/// The stable offset of group `g`, -1 for none, once its coordinator is loaded; none if a transaction stays open on it.
async fn committed_offset(broker: &TestBroker) -> Option<i64> {
    let topic = OffsetFetchRequestTopics {
        name: TOPIC.into(),
        partition_indexes: vec![0],
        ..Default::default()
    };
    let group = OffsetFetchRequestGroup {
        group_id: "g".into(),
        topics: Some(vec![topic]),
        ..Default::default()
    };
    let request = OffsetFetchRequest {
        groups: vec![group],
        require_stable: true,
        ..Default::default()
    };
    let asked = std::time::Instant::now();
    while asked.elapsed() < std::time::Duration::from_secs(2) {
        let response = broker.call(9, request.clone()).await;
        let group = &response.groups[0];
        match ErrorCode::from_i16(group.error_code) {
            ErrorCode::None if group.topics[0].partitions[0].error_code == 0 => {
                return Some(group.topics[0].partitions[0].committed_offset);
            }
            ErrorCode::None | ErrorCode::CoordinatorLoadInProgress => tokio::task::yield_now().await,
            other => panic!("{other:?}"),
        }
    }
    None
}

/// The ends of transactions in a partition.
async fn ends(broker: &TestBroker, partition: i32) -> Vec<bool> {
    let answer = broker.fetch(TOPIC, partition, 0).await;
    let batches = batches(bytes_of(&answer)).map(|batch| batch.expect("whole"));
    batches
        .filter(|batch| batch.header().is_control())
        .filter_map(|batch| end_of(&batch))
        .collect()
}
