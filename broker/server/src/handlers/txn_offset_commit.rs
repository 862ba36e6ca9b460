//! TxnOffsetCommit: offsets of a group as part of a transaction (`KafkaApis.handleTxnOffsetCommitRequest`). That the transaction
//! has part in the group's partition is asked of its coordinator first (KIP-890).

use forebay_broker_controller::{CONSUMER_OFFSETS, MetadataImage};
use forebay_broker_coordinator::{Command, Response};
use forebay_broker_log::{VerificationGuard, VerificationRequest};
use forebay_protocol::ErrorCode;
use forebay_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestTopic;
use forebay_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use forebay_protocol::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};
use forebay_records::NO_SEQUENCE;
use tokio::sync::oneshot;

use super::coordinator_context;
use crate::call::{Call, Reply};
use crate::clock;
use crate::error_code::ToErrorCode as _;
use crate::replicas::Replica;
use crate::verification::{Operation, Patience, Question};

/// Since this version clients do not stumble over a coordinator that loads (KAFKA-7296).
const LOADING_VERSION: i16 = 2;

/// Answers a TxnOffsetCommit request.
pub(crate) async fn handle(call: &Call, mut request: TxnOffsetCommitRequest) -> Reply {
    let image = call.core.metadata.image();
    let mut refused = Vec::new();
    for topic in &mut request.topics {
        let unknown = split(&image, topic);
        if !unknown.is_empty() {
            refused.push(answer(topic, unknown, ErrorCode::UnknownTopicOrPartition));
        }
    }
    request.topics.retain(|topic| !topic.partitions.is_empty());
    let mut response = TxnOffsetCommitResponse::default();
    if !request.topics.is_empty() {
        response = match commit(call, request).await {
            Some(response) => response,
            None => return Reply::STOPPING,
        };
    }
    for topic in refused {
        match response.topics.iter_mut().find(|one| one.name == topic.name) {
            Some(committed) => committed.partitions.extend(topic.partitions),
            None => response.topics.push(topic),
        }
    }
    if call.version < LOADING_VERSION {
        for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            if partition.error_code == ErrorCode::CoordinatorLoadInProgress.to_i16() {
                partition.error_code = ErrorCode::CoordinatorNotAvailable.into();
            }
        }
    }
    response.into()
}

/// Takes the partitions that do not exist out of a topic; gives them.
fn split(image: &MetadataImage, topic: &mut TxnOffsetCommitRequestTopic) -> Vec<i32> {
    let name = topic.name.clone();
    let mut unknown = Vec::new();
    topic.partitions.retain(|partition| {
        let exists = image.partition(&name, partition.partition_index).is_some();
        if !exists {
            unknown.push(partition.partition_index);
        }
        exists
    });
    unknown
}

/// Commits what exists; none if the broker stops first.
async fn commit(call: &Call, request: TxnOffsetCommitRequest) -> Option<TxnOffsetCommitResponse> {
    let operation = Operation::of_txn_offset_commit(call.version);
    let mut patience = Patience::new();
    loop {
        let verification = if request.group_id.is_empty() {
            // The coordinator says what is wrong with it.
            Ok(0)
        } else {
            verify(call, &request, operation, &mut patience).await
        };
        let verification = match verification {
            Ok(verification) => verification,
            Err(code) => return Some(refuse(&request, code)),
        };
        let command = Command::TxnOffsetCommit {
            request: request.clone(),
            verification,
        };
        let context = coordinator_context(call);
        let answer = call.core.groups.ask(&request.group_id, context, command).await;
        let Some(Response::TxnOffsetCommit(response)) = answer else {
            return None;
        };
        // The end of the transaction before came between the question and the log, and has taken the answer away.
        let is_to_be_asked_again = verification != 0
            && operation == Operation::Add
            && is_unverified(&response)
            && !patience.is_over();
        if !is_to_be_asked_again {
            return Some(response);
        }
    }
}

fn is_unverified(response: &TxnOffsetCommitResponse) -> bool {
    let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
    let mut codes = partitions.map(|partition| partition.error_code);
    codes.any(|code| code == ErrorCode::InvalidTxnState.to_i16())
}

/// Asks the transaction's coordinator, unless the log knows of the transaction already; gives what the log is to be told.
async fn verify(
    call: &Call,
    request: &TxnOffsetCommitRequest,
    operation: Operation,
    patience: &mut Patience,
) -> Result<u64, ErrorCode> {
    let partition = call
        .core
        .groups
        .partition_of(&request.group_id)
        .ok_or(ErrorCode::CoordinatorNotAvailable)?;
    let replica = call.core.replicas.get(CONSUMER_OFFSETS, partition);
    let replica = replica.ok_or(ErrorCode::NotCoordinator)?;
    if operation != Operation::Add && !replica.config().transaction_verification {
        return Ok(0);
    }
    let question = Question {
        transactional_id: request.transactional_id.detach(),
        producer_id: request.producer_id.into(),
        producer_epoch: request.producer_epoch.into(),
        operation,
    };
    loop {
        let (outcome, guard) = ask(call, &replica, &question).await?;
        if let Some(pause) = patience.pause_after(outcome, operation) {
            tokio::time::sleep(pause).await;
            continue;
        }
        return match outcome {
            Ok(()) => Ok(guard.to_number()),
            // Clients of old do not expect it, and try again when they hear this.
            Err(ErrorCode::NetworkException) => Err(ErrorCode::CoordinatorLoadInProgress),
            Err(code) => Err(code),
        };
    }
}

/// Asks once, with a guard of its own; none is needed where the log knows of the transaction.
async fn ask(
    call: &Call,
    replica: &Replica,
    question: &Question,
) -> Result<(Result<(), ErrorCode>, VerificationGuard), ErrorCode> {
    let request = VerificationRequest {
        epoch: question.producer_epoch,
        sequence: NO_SEQUENCE,
        raises_epoch: question.operation == Operation::Add,
    };
    let producer_id = question.producer_id;
    let now = clock::now();
    let guard = replica
        .on_log(move |log| log.begin_verification(producer_id, request, now))
        .await
        .code()?;
    let Some(guard) = guard.flatten() else {
        return Ok((Ok(()), VerificationGuard::NONE));
    };
    let (sender, receiver) = oneshot::channel();
    let verifier = &call.core.replicas.shared().verifier;
    verifier.ask(question.clone(), replica.name().clone(), move |outcome| {
        // Who asked may be gone.
        let _gone = sender.send(outcome);
    });
    let outcome = receiver.await.map_err(|_stopping| ErrorCode::NotCoordinator)?;
    Ok((outcome, guard))
}

fn refuse(request: &TxnOffsetCommitRequest, code: ErrorCode) -> TxnOffsetCommitResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|one| one.partition_index);
        answer(topic, partitions, code)
    });
    TxnOffsetCommitResponse {
        topics: topics.collect(),
        ..TxnOffsetCommitResponse::default()
    }
}

fn answer(
    topic: &TxnOffsetCommitRequestTopic,
    partitions: impl IntoIterator<Item = i32>,
    code: ErrorCode,
) -> TxnOffsetCommitResponseTopic {
    let partition = |partition_index| TxnOffsetCommitResponsePartition {
        partition_index,
        error_code: code.into(),
        ..TxnOffsetCommitResponsePartition::default()
    };
    TxnOffsetCommitResponseTopic {
        name: topic.name.clone(),
        partitions: partitions.into_iter().map(partition).collect(),
        ..TxnOffsetCommitResponseTopic::default()
    }
}
