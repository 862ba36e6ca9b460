//! Transactional batches, and the coordinator that is asked about them before they are appended (KIP-890): their order, what their
//! producers are told, and that none comes after the end of its transaction.

mod again;
mod requests;

use std::future::Future;
use std::sync::Mutex;

use forebay_protocol::TopicPartition;
use forebay_protocol::messages::produce_response::PartitionProduceResponse;
use forebay_records::{ProducerEpoch, ProducerId};
use tokio::sync::Semaphore;

use super::*;
use crate::transaction_markers::{self, Marker};
use crate::verification::{AddPartitions, Answers};

const PRODUCER: i64 = 7;

/// A coordinator that answers what it is told to, once it is let.
struct Coordinator {
    permits: Semaphore,
    answer: Mutex<ErrorCode>,
    /// Partitions and `verify_only` of each question.
    asked: Mutex<Vec<(usize, bool)>>,
}

impl Coordinator {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            permits: Semaphore::new(0),
            answer: Mutex::new(ErrorCode::None),
            asked: Mutex::default(),
        })
    }

    /// One question may be answered so.
    fn answer(&self, code: ErrorCode) {
        *self.answer.lock().expect("whole") = code;
        self.permits.add_permits(1);
    }

    fn asked(&self) -> Vec<(usize, bool)> {
        std::mem::take(&mut *self.asked.lock().expect("whole"))
    }

    /// Waits until it has been asked so often since the last look.
    async fn wait_until_asked(&self, times: usize) {
        while self.asked.lock().expect("whole").len() < times {
            tokio::task::yield_now().await;
        }
    }
}

impl AddPartitions for Coordinator {
    fn add_partitions<'a>(
        &'a self,
        _transactional_id: &'a str,
        _producer_id: ProducerId,
        _producer_epoch: ProducerEpoch,
        partitions: Vec<TopicPartition>,
        verify_only: bool,
    ) -> Answers<'a> {
        let mut asked = self.asked.lock().expect("whole");
        asked.push((partitions.len(), verify_only));
        drop(asked);
        Box::pin(async move {
            self.permits.acquire().await.expect("open").forget();
            let code = *self.answer.lock().expect("whole");
            partitions.into_iter().map(|one| (one, code)).collect()
        })
    }
}

async fn broker_with(settings: &[(&'static str, &'static str)]) -> (TestBroker, Arc<Coordinator>) {
    let broker = TestBroker::start_with(settings).await;
    broker.create_topic("t", 2, &[]).await;
    let coordinator = Coordinator::new();
    let asked: Arc<dyn AddPartitions> = Arc::<Coordinator>::clone(&coordinator);
    let verifier = &broker.handle.core().replicas.shared().verifier;
    verifier.set_coordinator(Arc::downgrade(&asked));
    (broker, coordinator)
}

fn transactional(epoch: i16, sequence: i32) -> RecordBatch {
    let producer = ProducerIdentity {
        id: PRODUCER.into(),
        epoch: epoch.into(),
        base_sequence: sequence.into(),
    };
    let options = BatchOptions {
        producer,
        transactional: true,
        ..BatchOptions::default()
    };
    batch_of(options, &["in a transaction"])
}

fn request(partition: i32, batch: RecordBatch) -> ProduceRequest {
    ProduceRequest {
        transactional_id: batch.header().is_transactional().then(|| "id".into()),
        ..produce_request("t", partition, -1, Some(Records::Memory(batch.into_bytes())))
    }
}

/// Puts a request in line; its answer is to be awaited.
fn send(
    broker: &TestBroker,
    version: i16,
    batch: RecordBatch,
) -> impl Future<Output = PartitionProduceResponse> + use<> {
    let context = CallContext::in_process("test", "PLAINTEXT");
    let mut request = request(0, batch);
    if version >= 13 {
        let image = broker.handle.core().metadata.image();
        request.topic_data[0].topic_id = image.topic("t").expect("there").id();
    }
    let answer = broker.handle.router().call(context, version, request.into());
    async move {
        match answer.await {
            Some(forebay_protocol::Response::Produce(mut response)) => {
                response.responses.remove(0).partition_responses.remove(0)
            }
            other => panic!("{other:?}"),
        }
    }
}

fn code(response: &PartitionProduceResponse) -> ErrorCode {
    ErrorCode::from_i16(response.error_code)
}

fn marker(epoch: i16, commit: bool) -> Marker {
    Marker {
        producer_id: PRODUCER.into(),
        producer_epoch: epoch.into(),
        commit,
        coordinator_epoch: 1,
        transaction_version: 1,
    }
}

/// The end of a transaction whose client raises its epochs: of the epoch before this.
fn raising(epoch: i16) -> Marker {
    Marker {
        transaction_version: 2,
        ..marker(epoch, true)
    }
}

async fn end(broker: &TestBroker, marker: Marker) -> Result<(), ErrorCode> {
    let partitions = vec![TopicPartition::new("t", 0)];
    let core = broker.handle.core();
    let mut answers = transaction_markers::write(core, marker, partitions).await;
    answers.remove(0).1
}

/// Many in flight on the way of one producer: the first has to wait for the coordinator, and none of the others passes it, be it
/// sent before the answer or while that is on its way; a producer without a transaction passes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_that_wait_for_the_coordinator_keep_their_order() {
    const HALF: i32 = 8;
    let (broker, coordinator) = broker_with(&[]).await;
    for transaction in 0..20_i32 {
        // The plain record, those of the transaction, its end.
        let base = i64::from(transaction * (2 * HALF + 2));
        let first = transaction * 2 * HALF;
        let mut waiting: Vec<_> = (first..first + HALF)
            .map(|sequence| send(&broker, 9, transactional(0, sequence)))
            .collect();
        coordinator.wait_until_asked(1).await;
        let plain = send(&broker, 9, batch(&["plain"])).await;
        assert_eq!((code(&plain), plain.base_offset), (ErrorCode::None, base));
        coordinator.answer(ErrorCode::None);
        for sequence in first + HALF..first + 2 * HALF {
            tokio::task::yield_now().await;
            waiting.push(send(&broker, 9, transactional(0, sequence)));
        }
        for (number, answer) in (1..).zip(waiting) {
            let answer = answer.await;
            assert_eq!(
                (code(&answer), answer.base_offset),
                (ErrorCode::None, base + number)
            );
        }
        assert_eq!(coordinator.asked(), [(1, true)], "once for a transaction");
        end(&broker, marker(0, true)).await.expect("ended");
    }
}

/// What was refused for now is tried again, and nothing that stood behind it is appended before.
#[tokio::test]
async fn what_stands_behind_a_refused_batch_waits_for_it_to_come_again() {
    let (broker, coordinator) = broker_with(&[]).await;
    let first = send(&broker, 9, transactional(0, 0));
    let second = send(&broker, 9, transactional(0, 1));
    coordinator.answer(ErrorCode::CoordinatorLoadInProgress);
    assert_eq!(code(&first.await), ErrorCode::NotEnoughReplicas);
    // The second is asked about on its own.
    coordinator.answer(ErrorCode::None);
    assert_eq!(code(&second.await), ErrorCode::OutOfOrderSequenceNumber);
    coordinator.answer(ErrorCode::None);
    for sequence in 0..2 {
        let answer = send(&broker, 9, transactional(0, sequence)).await;
        assert_eq!(
            (code(&answer), answer.base_offset),
            (ErrorCode::None, sequence.into())
        );
    }
}

#[tokio::test]
async fn each_version_is_told_what_it_knows() {
    let (broker, coordinator) = broker_with(&[]).await;
    use ErrorCode::{
        ConcurrentTransactions, InvalidProducerEpoch, InvalidProducerIdMapping, InvalidTxnState,
        NetworkException, NotCoordinator, NotEnoughReplicas, ProducerFenced, TransactionAbortable,
    };
    for (version, said, told) in [
        (9, TransactionAbortable, InvalidTxnState),
        (11, TransactionAbortable, TransactionAbortable),
        (12, TransactionAbortable, TransactionAbortable),
        (9, ProducerFenced, InvalidProducerEpoch),
        (12, ProducerFenced, InvalidProducerEpoch),
        (9, ConcurrentTransactions, NotEnoughReplicas),
        (11, ConcurrentTransactions, NotEnoughReplicas),
        (9, NotCoordinator, NotEnoughReplicas),
        (12, NetworkException, NotEnoughReplicas),
        (9, InvalidProducerIdMapping, InvalidProducerIdMapping),
        (9, InvalidTxnState, InvalidTxnState),
    ] {
        coordinator.answer(said);
        let answer = send(&broker, version, transactional(0, 0)).await;
        assert_eq!(code(&answer), told, "{said:?} in version {version}");
        let message = answer.error_message.as_deref().unwrap_or_default();
        match told {
            NotEnoughReplicas => assert!(message.ends_with(said.name()), "{message}"),
            InvalidTxnState => assert_eq!(message, "Partition was not added to the transaction"),
            _ => {}
        }
        let verifies_only = version < 12;
        assert_eq!(coordinator.asked(), [(1, verifies_only)]);
    }
    let without_id = ProduceRequest {
        transactional_id: None,
        ..request(0, transactional(0, 0))
    };
    let refused = broker.call(9, without_id).await;
    assert_eq!(
        code(&refused.responses[0].partition_responses[0]),
        ErrorCode::TransactionalIdAuthorizationFailed
    );
    assert_eq!(
        broker.fetch("t", 0, 0).await.high_watermark,
        0,
        "nothing was appended"
    );
}

/// The switch that leaves a transaction hanging, where the client added the partition itself.
#[tokio::test]
async fn without_verification_nobody_is_asked() {
    let (broker, coordinator) = broker_with(&[("transaction.partition.verification.enable", "false")]).await;
    assert_eq!(
        code(&send(&broker, 9, transactional(0, 0)).await),
        ErrorCode::None
    );
    assert_eq!(coordinator.asked(), []);
    end(&broker, marker(0, false)).await.expect("ended");
    // Come late, after the abort: a transaction that nobody will end.
    assert_eq!(
        code(&send(&broker, 9, transactional(0, 1)).await),
        ErrorCode::None
    );
    assert_eq!(broker.fetch("t", 0, 0).await.last_stable_offset, 2);
}

/// It may be switched while the broker runs, as in Kafka.
#[tokio::test]
async fn verification_is_switched_at_run_time() {
    let (broker, coordinator) = broker_with(&[]).await;
    let key = "transaction.partition.verification.enable";
    for (sequence, value, asks) in [
        (0, None, true),
        (1, Some("false"), false),
        (2, Some("true"), true),
    ] {
        if value.is_some() {
            let altered = dynamic::alter(&broker, "", key, value).await;
            assert_eq!(altered.0, ErrorCode::None, "{}", altered.1);
        }
        if asks {
            coordinator.answer(ErrorCode::None);
        }
        let answer = send(&broker, 9, transactional(0, sequence)).await;
        assert_eq!(code(&answer), ErrorCode::None, "{value:?}");
        assert_eq!(coordinator.asked().len(), usize::from(asks), "{value:?}");
        end(&broker, marker(0, true)).await.expect("ended");
    }
}

/// B20: the coordinator has said yes, then the transaction is aborted, then the batch comes to be appended.
#[tokio::test]
async fn a_batch_that_comes_after_the_abort_is_refused_and_holds_nobody_up() {
    let (broker, coordinator) = broker_with(&[]).await;
    // It waits for the answer while the marker is written.
    let late = send(&broker, 9, transactional(0, 0));
    coordinator.wait_until_asked(1).await;
    end(&broker, marker(0, false)).await.expect("ended");
    coordinator.answer(ErrorCode::None);
    let late = late.await;
    assert_eq!(code(&late), ErrorCode::InvalidTxnState);
    assert_eq!(
        late.error_message.as_deref(),
        Some("Record was not part of an ongoing transaction")
    );
    // It opened one and was repeated after the end.
    coordinator.answer(ErrorCode::None);
    assert_eq!(
        code(&send(&broker, 9, transactional(0, 0)).await),
        ErrorCode::None
    );
    end(&broker, marker(1, false))
        .await
        .expect("ended, and the producer fenced");
    let fenced = send(&broker, 9, transactional(0, 1)).await;
    assert_eq!(code(&fenced), ErrorCode::InvalidProducerEpoch);
    let end = broker.fetch("t", 0, 0).await;
    assert_eq!(
        (end.last_stable_offset, end.high_watermark),
        (3, 3),
        "nothing hangs"
    );
}

/// Who writes the end must be no older than who wrote the last one.
#[tokio::test]
async fn markers_of_old_coordinators_and_epochs_are_refused() {
    let (broker, coordinator) = broker_with(&[]).await;
    coordinator.answer(ErrorCode::None);
    send(&broker, 9, transactional(3, 0)).await;
    let old_epoch = end(&broker, marker(2, true)).await;
    assert_eq!(old_epoch, Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(
        end(&broker, raising(3)).await,
        Err(ErrorCode::InvalidProducerEpoch)
    );
    for _ in 0..2 {
        assert_eq!(end(&broker, raising(4)).await, Ok(()), "and once more");
    }
    let older = Marker {
        coordinator_epoch: 0,
        ..marker(4, true)
    };
    assert_eq!(
        end(&broker, older).await,
        Err(ErrorCode::TransactionCoordinatorFenced)
    );
}
