//! The records of a source task that are on their way, in one queue per source partition (Kafka's `SubmittedRecords`). An
//! offset may be committed once its record and all before it in its queue are acknowledged, so one that hangs holds up its own
//! source partition only.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use forebay_connect_api::OffsetMap;

/// The queues. `D` tells how a record's delivery went.
#[derive(Debug)]
pub(super) struct Submitted<D> {
    queues: Vec<Queue<D>>,
    /// Queues by the JSON of their source partition.
    index: HashMap<String, usize>,
    /// The queue that the last record went to: mostly that of the next.
    last: usize,
    in_flight: usize,
}

#[derive(Debug)]
struct Queue<D> {
    partition: Arc<OffsetMap>,
    waiting: VecDeque<Entry<D>>,
    committable: Option<GoesOn>,
}

/// Where a source partition goes on behind a record.
#[derive(Debug)]
enum GoesOn {
    At(OffsetMap),
    /// It is over.
    Nowhere,
}

#[derive(Debug)]
struct Entry<D> {
    /// `None`: the record was skipped.
    delivery: Option<D>,
    goes_on: Option<GoesOn>,
}

/// A source partition and the offset to commit for it; `None`: it is to be forgotten.
pub(super) type Committable = (Arc<OffsetMap>, Option<OffsetMap>);

/// Queues without records that are kept, unless there are more that have some: sources of many short partitions would never end to gather
/// them.
const IDLE_MAX: usize = 1024;

impl<D> Submitted<D> {
    pub(super) fn new() -> Self {
        Self {
            queues: Vec::new(),
            index: HashMap::new(),
            last: 0,
            in_flight: 0,
        }
    }

    /// How many records wait for their acknowledgement, or behind one that does.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Adds a record that was given to the producer, or, without a delivery, one that was skipped.
    pub(super) fn submit(
        &mut self,
        partition: &Arc<OffsetMap>,
        offset: Option<OffsetMap>,
        delivery: Option<D>,
    ) {
        self.push(partition, offset.map(GoesOn::At), delivery);
    }

    /// Adds that a source partition is over.
    pub(super) fn forget(&mut self, partition: &Arc<OffsetMap>) {
        self.push(partition, Some(GoesOn::Nowhere), None);
    }

    fn push(&mut self, partition: &Arc<OffsetMap>, goes_on: Option<GoesOn>, delivery: Option<D>) {
        let place = self.place(partition);
        self.queues[place].waiting.push_back(Entry { delivery, goes_on });
        self.in_flight += 1;
    }

    fn place(&mut self, partition: &Arc<OffsetMap>) -> usize {
        let is_last = |queue: &Queue<D>| Arc::ptr_eq(&queue.partition, partition);
        if self.queues.get(self.last).is_some_and(is_last) {
            return self.last;
        }
        let queues = &mut self.queues;
        self.last = *self.index.entry(partition.to_string()).or_insert_with(|| {
            queues.push(Queue {
                partition: Arc::clone(partition),
                waiting: VecDeque::new(),
                committable: None,
            });
            queues.len() - 1
        });
        self.last
    }

    /// Whether there is something to commit.
    pub(super) fn has_committable(&self) -> bool {
        self.queues.iter().any(|queue| queue.committable.is_some())
    }

    /// What may be committed and was not taken before.
    pub(super) fn take_committable(&mut self) -> Vec<Committable> {
        let taken = self.queues.iter_mut().filter_map(|queue| {
            let offset = match queue.committable.take()? {
                GoesOn::At(offset) => Some(offset),
                GoesOn::Nowhere => None,
            };
            Some((Arc::clone(&queue.partition), offset))
        });
        let taken = taken.collect();
        self.drop_idle();
        taken
    }

    fn drop_idle(&mut self) {
        let is_idle = |queue: &Queue<D>| queue.waiting.is_empty() && queue.committable.is_none();
        let idle = self.queues.iter().filter(|queue| is_idle(queue)).count();
        if idle <= IDLE_MAX.max(self.queues.len() - idle) {
            return;
        }
        self.queues.retain(|queue| !is_idle(queue));
        let places = self.queues.iter().enumerate();
        self.index = places
            .map(|(place, queue)| (queue.partition.to_string(), place))
            .collect();
        self.last = 0;
    }

    /// What could not be committed is tried again, unless there is something newer by now.
    pub(super) fn give_back(&mut self, committable: Vec<Committable>) {
        for (partition, offset) in committable {
            let place = self.place(&partition);
            let goes_on = offset.map_or(GoesOn::Nowhere, GoesOn::At);
            self.queues[place].committable.get_or_insert(goes_on);
        }
    }
}

impl<D: Future + Unpin> Submitted<D> {
    /// Takes acknowledged records off the queues' heads, giving each outcome to `outcome`; ready once there was at least one.
    ///
    /// # Errors
    /// `outcome`'s.
    pub(super) fn poll_delivered<E>(
        &mut self,
        context: &mut Context<'_>,
        mut outcome: impl FnMut(D::Output) -> Result<(), E>,
    ) -> Poll<Result<(), E>> {
        let before = self.in_flight;
        for queue in &mut self.queues {
            while let Some(head) = queue.waiting.front_mut() {
                if let Some(delivery) = &mut head.delivery {
                    match Pin::new(delivery).poll(context) {
                        Poll::Pending => break,
                        Poll::Ready(delivered) => outcome(delivered)?,
                    }
                }
                let head = queue.waiting.pop_front().expect("it was just looked at");
                queue.committable = head.goes_on.or(queue.committable.take());
                self.in_flight -= 1;
            }
        }
        if self.in_flight < before {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::task::Waker;

    use proptest::prelude::*;
    use tokio::sync::oneshot;

    use super::*;

    const FORGOTTEN: i64 = -1;

    fn partition(name: &str) -> Arc<OffsetMap> {
        Arc::new(OffsetMap::new().with("p", name))
    }

    fn offset(number: i64) -> Option<OffsetMap> {
        Some(OffsetMap::new().with("o", number))
    }

    fn poll<D: Future + Unpin>(submitted: &mut Submitted<D>) -> bool {
        let outcome = submitted.poll_delivered(&mut Context::from_waker(Waker::noop()), |_| {
            Ok::<(), Infallible>(())
        });
        outcome.is_ready()
    }

    fn committable<D>(submitted: &mut Submitted<D>) -> Vec<(String, i64)> {
        let taken = submitted.take_committable().into_iter();
        taken
            .map(|(partition, offset)| {
                let partition = partition.get_str("p").expect("the test's field").to_owned();
                let number = offset.map_or(FORGOTTEN, |offset| {
                    offset.get_int64("o").expect("the test's field")
                });
                (partition, number)
            })
            .collect()
    }

    #[test]
    fn a_record_that_hangs_holds_up_its_own_partition_only() {
        let mut submitted = Submitted::new();
        let (a, b) = (partition("a"), partition("b"));
        let mut sent = Vec::new();
        for (partition, number) in [(&a, 1), (&b, 1), (&a, 2), (&b, 2), (&a, 3)] {
            let (sender, delivery) = oneshot::channel::<()>();
            sent.push(sender);
            submitted.submit(partition, offset(number), Some(delivery));
        }
        // The same partition in another map.
        submitted.submit(&partition("b"), offset(3), None);
        assert!(!poll(&mut submitted));
        let mut sent: Vec<Option<oneshot::Sender<()>>> = sent.into_iter().map(Some).collect();
        let mut acknowledge = |index: usize| {
            let sender = sent[index].take().expect("once each");
            sender.send(()).expect("it is waited for");
        };
        // Of a the second; of b both, so that the skipped one is free, too.
        [2, 1, 3].into_iter().for_each(&mut acknowledge);
        assert!(poll(&mut submitted));
        assert_eq!(committable(&mut submitted), [("b".to_owned(), 3)]);
        assert_eq!(submitted.in_flight(), 3);
        acknowledge(0);
        assert!(poll(&mut submitted));
        let taken = submitted.take_committable();
        assert!(!submitted.has_committable());
        submitted.give_back(taken);
        assert_eq!(committable(&mut submitted), [("a".to_owned(), 2)]);
        acknowledge(4);
        assert!(poll(&mut submitted));
        submitted.give_back(vec![(a, offset(2))]);
        assert_eq!(
            committable(&mut submitted),
            [("a".to_owned(), 3)],
            "the newer one stays"
        );
        assert_eq!(submitted.in_flight(), 0);
    }

    #[test]
    fn a_partition_is_forgotten_behind_its_records_and_begins_again_behind_that() {
        let mut submitted = Submitted::new();
        let (sender, delivery) = oneshot::channel::<()>();
        submitted.submit(&partition("a"), offset(1), Some(delivery));
        submitted.forget(&partition("a"));
        submitted.forget(&partition("b"));
        assert!(poll(&mut submitted));
        assert_eq!(committable(&mut submitted), [("b".to_owned(), FORGOTTEN)]);
        sender.send(()).expect("it is waited for");
        assert!(poll(&mut submitted));
        let taken = submitted.take_committable();
        submitted.give_back(taken);
        assert_eq!(committable(&mut submitted), [("a".to_owned(), FORGOTTEN)]);
        submitted.forget(&partition("a"));
        submitted.submit(&partition("a"), offset(2), None);
        assert!(poll(&mut submitted));
        assert_eq!(committable(&mut submitted), [("a".to_owned(), 2)]);
    }

    #[test]
    fn partitions_that_are_done_with_take_no_room() {
        let mut submitted = Submitted::new();
        let (_sender, hangs) = oneshot::channel::<()>();
        submitted.submit(&partition("hangs"), offset(1), Some(hangs));
        for number in 0..3 * IDLE_MAX {
            submitted.submit(&partition(&number.to_string()), offset(1), None);
            assert!(poll(&mut submitted));
            assert_eq!(committable(&mut submitted).len(), 1);
            assert!(submitted.queues.len() <= IDLE_MAX + 2);
            assert_eq!(submitted.index.len(), submitted.queues.len());
        }
        // Whatever moved, each is where the index says.
        submitted.submit(&partition("hangs"), offset(2), None);
        assert!(!poll(&mut submitted));
        assert_eq!(submitted.in_flight(), 2);
    }

    proptest! {
        /// Whatever is acknowledged in whatever order, what may be committed is the end of the acknowledged prefix.
        #[test]
        fn only_the_acknowledged_prefix_may_be_committed(
            partitions in proptest::collection::vec(0..3_usize, 1..40),
            order in any::<prop::sample::Index>(),
            seed in any::<u64>(),
        ) {
            let names = ["a", "b", "c"];
            let mut submitted = Submitted::new();
            let mut senders = Vec::new();
            for (number, place) in partitions.iter().enumerate() {
                let (sender, delivery) = oneshot::channel::<()>();
                senders.push(Some(sender));
                let number = i64::try_from(number).expect("few");
                submitted.submit(&partition(names[*place]), offset(number), Some(delivery));
            }
            let mut acknowledged = vec![false; partitions.len()];
            let mut newest: HashMap<String, i64> = HashMap::new();
            let mut state = seed | 1;
            let rounds = order.index(partitions.len()) + 1;
            for _ in 0..rounds {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let pick = usize::try_from(state >> 33).expect("31 bits") % partitions.len();
                if let Some(sender) = senders[pick].take() {
                    sender.send(()).expect("it is waited for");
                    acknowledged[pick] = true;
                }
                poll(&mut submitted);
                newest.extend(committable(&mut submitted));
                for (place, name) in names.iter().enumerate() {
                    let of_partition = (0..partitions.len()).filter(|number| partitions[*number] == place);
                    let prefix = of_partition.take_while(|number| acknowledged[*number]).last();
                    let prefix = prefix.map(|number| i64::try_from(number).expect("few"));
                    prop_assert_eq!(newest.get(*name).copied(), prefix);
                }
            }
        }
    }
}
