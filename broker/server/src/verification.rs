//! Asks transaction coordinators whether partitions take part in a transaction, or has them take part (KIP-890; Kafka's
//! `AddPartitionsToTxnManager`). Of one transaction one question is on its way at a time; what comes meanwhile goes with the next.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;

use forebay_protocol::{ErrorCode, TopicPartition, Utf8Bytes};
use forebay_records::{ProducerEpoch, ProducerId};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

/// While the transaction before is being ended, partitions are added again after a pause that doubles up to a bound
/// (Kafka's `add.partitions.to.txn.retry.backoff.ms`, `.max.ms`), for so long.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
const RETRY_PAUSE_MAX: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(20);
/// A coordinator that says nothing for so long will not.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// What becomes of partitions, when it is known.
pub(crate) type Answers<'a> = Pin<Box<dyn Future<Output = Vec<(TopicPartition, ErrorCode)>> + Send + 'a>>;

/// Who knows the transactions of this broker.
pub(crate) trait AddPartitions: Send + Sync {
    /// Has partitions take part in a transaction; with `verify_only` says whether they do.
    fn add_partitions<'a>(
        &'a self,
        transactional_id: &'a str,
        producer_id: ProducerId,
        producer_epoch: ProducerEpoch,
        partitions: Vec<TopicPartition>,
        verify_only: bool,
    ) -> Answers<'a>;
}

/// What a client's version of Produce or TxnOffsetCommit lets it expect (`TransactionSupportedOperation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    /// It has added the partition itself.
    Verify {
        /// It knows TRANSACTION_ABORTABLE.
        abortable: bool,
    },
    /// It leaves that to the broker (transaction version 2).
    Add,
}

impl Operation {
    /// Of a Produce.
    pub(crate) fn of_produce(version: i16) -> Self {
        match version {
            12.. => Self::Add,
            version => Self::Verify {
                abortable: version == 11,
            },
        }
    }

    /// Of a TxnOffsetCommit.
    pub(crate) fn of_txn_offset_commit(version: i16) -> Self {
        match version {
            5.. => Self::Add,
            version => Self::Verify {
                abortable: version == 4,
            },
        }
    }

    /// The coordinator's answer in words that the client knows.
    fn translate(self, code: ErrorCode) -> ErrorCode {
        match code {
            ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
            ErrorCode::TransactionAbortable if self == (Self::Verify { abortable: false }) => {
                ErrorCode::InvalidTxnState
            }
            code => code,
        }
    }
}

/// For how long a partition is added again while the transaction before it is being ended. Each time is a new question, with a
/// guard of its own: the marker of that transaction, written meanwhile, takes away the last one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pause: Duration,
    deadline: Instant,
}

impl Patience {
    /// From now on.
    pub(crate) fn new() -> Self {
        Self {
            pause: RETRY_PAUSE,
            deadline: Instant::now() + PATIENCE,
        }
    }

    /// Whether it is at an end.
    pub(crate) fn is_over(self) -> bool {
        Instant::now() >= self.deadline
    }

    /// How long to wait before asking again after an answer; none if that is the answer.
    pub(crate) fn pause_after(
        &mut self,
        outcome: Result<(), ErrorCode>,
        operation: Operation,
    ) -> Option<Duration> {
        let is_busy = outcome == Err(ErrorCode::ConcurrentTransactions);
        if !is_busy || operation != Operation::Add || self.is_over() {
            return None;
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(RETRY_PAUSE_MAX);
        Some(pause)
    }
}

/// Whose transaction, and what is asked about it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub(crate) transactional_id: Utf8Bytes,
    pub(crate) producer_id: ProducerId,
    pub(crate) producer_epoch: ProducerEpoch,
    pub(crate) operation: Operation,
}

type Then = Box<dyn FnOnce(Result<(), ErrorCode>) + Send>;

/// Partitions and who is told what became of them.
type Asked = Vec<(TopicPartition, Then)>;

/// Asks the coordinators.
pub(crate) struct Verifier {
    /// Weak: what it stands on stands on this.
    coordinator: RwLock<Option<Weak<dyn AddPartitions>>>,
    /// Questions on their way, with what came since they were put.
    waiting: Mutex<HashMap<Question, Asked>>,
    runtime: Handle,
}

impl Verifier {
    /// Asks nobody before [`Verifier::set_coordinator`].
    pub(crate) fn new(runtime: Handle) -> Self {
        Self {
            coordinator: RwLock::default(),
            waiting: Mutex::default(),
            runtime,
        }
    }

    /// Whom to ask from now on.
    pub(crate) fn set_coordinator(&self, coordinator: Weak<dyn AddPartitions>) {
        *self.coordinator.write().unwrap_or_else(PoisonError::into_inner) = Some(coordinator);
    }

    /// Asks about a partition; `then` is called with the answer, from another task.
    pub(crate) fn ask(
        self: &Arc<Self>,
        question: Question,
        partition: TopicPartition,
        then: impl FnOnce(Result<(), ErrorCode>) + Send + 'static,
    ) {
        let mut waiting = self.waiting();
        let is_first = !waiting.contains_key(&question);
        let asked = waiting.entry(question.clone()).or_default();
        asked.push((partition, Box::new(then)));
        drop(waiting);
        if is_first {
            self.runtime.spawn(Arc::clone(self).put(question));
        }
    }

    /// Does something after a pause.
    pub(crate) fn after(&self, pause: Duration, then: impl FnOnce() + Send + 'static) {
        self.runtime.spawn(async move {
            sleep(pause).await;
            then();
        });
    }

    /// Asks until nobody wants to know any more.
    async fn put(self: Arc<Self>, question: Question) {
        loop {
            let asked = {
                let mut waiting = self.waiting();
                match waiting.get_mut(&question).map(std::mem::take) {
                    Some(asked) if !asked.is_empty() => asked,
                    _ => {
                        waiting.remove(&question);
                        return;
                    }
                }
            };
            let partitions = asked.iter().map(|(partition, _)| partition.clone()).collect();
            let answers = self.answers(&question, partitions).await;
            for (partition, then) in asked {
                let code = answers.get(&partition).copied();
                let code = code.unwrap_or(ErrorCode::UnknownServerError);
                then(match question.operation.translate(code) {
                    ErrorCode::None => Ok(()),
                    code => Err(code),
                });
            }
        }
    }

    /// What the coordinator says to each partition.
    async fn answers(
        &self,
        question: &Question,
        partitions: Vec<TopicPartition>,
    ) -> HashMap<TopicPartition, ErrorCode> {
        let all = |code| partitions.iter().map(|one| (one.clone(), code)).collect();
        let coordinator = {
            let coordinator = self.coordinator.read().unwrap_or_else(PoisonError::into_inner);
            coordinator.as_ref().and_then(Weak::upgrade)
        };
        let Some(coordinator) = coordinator else {
            return all(ErrorCode::CoordinatorNotAvailable);
        };
        let answer = coordinator.add_partitions(
            &question.transactional_id,
            question.producer_id,
            question.producer_epoch,
            partitions.clone(),
            question.operation != Operation::Add,
        );
        match timeout(ANSWER_MAX, answer).await {
            Ok(answers) => answers.into_iter().collect(),
            Err(_elapsed) => all(ErrorCode::NetworkException),
        }
    }

    /// A map of lists is good at any time.
    fn waiting(&self) -> MutexGuard<'_, HashMap<Question, Asked>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}
