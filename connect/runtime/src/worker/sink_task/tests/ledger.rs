//! A sink task that holds its worker to the contract of `SinkTask`, and stores everything exactly once if the worker keeps it:
//! the store knows where it ends, as an object store's list of names does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use forebay_config::Properties;
use forebay_connect_api::{
    AssignedPartition, BoxFuture, Error, Offset, Offsets, ResultRecord, SinkBatch, SinkRecords, SinkTask,
    SinkTaskContext, TopicPartition, ValueFormat,
};

/// What the task does with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Takes it.
    Take,
    /// A retriable error; nothing of it is taken.
    Refuse,
    /// A retriable error, though all of it is taken.
    TakeAndRefuse,
    /// Takes it, and goes back to where its store ends.
    TakeAndGoBack,
    /// A retriable error, and goes back to where its store ends.
    RefuseAndGoBack,
    /// Takes it, and wants nothing of any partition for now.
    TakeAndPause,
}

type Answers = Box<dyn FnMut(&Book, &SinkBatch) -> Answer + Send>;

/// What happened, and what is to happen.
pub(super) struct Book {
    /// Offsets that have a record, by partition.
    pub(super) log: BTreeMap<TopicPartition, BTreeSet<i64>>,
    /// Where the log ends, by partition.
    pub(super) log_ends: BTreeMap<TopicPartition, i64>,
    /// Offsets in the store, in the order in which they came.
    pub(super) stored: BTreeMap<TopicPartition, Vec<i64>>,
    /// Where the store ends.
    ends: BTreeMap<TopicPartition, Offset>,
    open: BTreeMap<TopicPartition, Open>,
    /// How many times partitions were opened.
    pub(super) opens: usize,
    /// Whether nothing can be opened.
    pub(super) refuses_to_open: bool,
    /// How many times that was tried.
    pub(super) refused_opens: usize,
    /// Batches that were put, first and next offset.
    pub(super) puts: Vec<(TopicPartition, i64, i64)>,
    /// Nothing becomes durable.
    pub(super) holds: bool,
    /// Whether raw records are wanted.
    pub(super) raw: bool,
    /// Whether each batch is told of in the topic `results`.
    pub(super) tells: bool,
    /// The partitions that the task has paused.
    pub(super) paused: Vec<TopicPartition>,
    /// What the worker did wrong.
    pub(super) violations: Vec<String>,
    answers: Answers,
}

struct Open {
    /// What has to come next.
    next: Offset,
    /// Up to here records were taken.
    taken: Offset,
    /// Taken, and not durable.
    held: Vec<i64>,
    /// What has to come again.
    refused: Option<(Offset, Offset)>,
}

impl Open {
    fn at(next: Offset) -> Self {
        Self {
            next,
            taken: next,
            held: Vec::new(),
            refused: None,
        }
    }
}

impl Default for Book {
    fn default() -> Self {
        Self {
            log: BTreeMap::new(),
            log_ends: BTreeMap::new(),
            stored: BTreeMap::new(),
            ends: BTreeMap::new(),
            open: BTreeMap::new(),
            opens: 0,
            refuses_to_open: false,
            refused_opens: 0,
            puts: Vec::new(),
            holds: false,
            raw: false,
            tells: false,
            paused: Vec::new(),
            violations: Vec::new(),
            answers: Box::new(|_, _| Answer::Take),
        }
    }
}

impl Book {
    /// What to answer from now on.
    pub(super) fn answer(&mut self, answers: impl FnMut(&Self, &SinkBatch) -> Answer + Send + 'static) {
        self.answers = Box::new(answers);
    }

    /// Forgets the store and the log, for a topic that is made anew.
    pub(super) fn forget(&mut self) {
        self.log.clear();
        self.log_ends.clear();
        self.stored.clear();
        self.ends.clear();
    }

    /// Whether every record of the log is stored.
    pub(super) fn is_complete(&self) -> bool {
        let missing = |(name, log): (&TopicPartition, &BTreeSet<i64>)| {
            let stored = self.stored.get(name).map_or(0, Vec::len);
            stored < log.len()
        };
        !self.log.iter().any(missing)
    }

    /// Panics unless the worker kept the contract and the store has every record once.
    pub(super) fn check(&self) {
        assert!(self.violations.is_empty(), "{:#?}", self.violations);
        for (name, log) in &self.log {
            let stored = self.stored.get(name).cloned().unwrap_or_default();
            let wanted: Vec<i64> = log.iter().copied().collect();
            assert_eq!(stored, wanted, "{name}");
        }
    }

    fn violation(&mut self, what: String) {
        self.violations.push(what);
    }

    fn open(&mut self, partitions: &[AssignedPartition]) -> Vec<(TopicPartition, Offset)> {
        self.opens += 1;
        let mut moves = Vec::new();
        for one in partitions {
            let name = one.topic_partition.clone();
            let end = self.ends.get(&name).copied().unwrap_or_default();
            let next = end.max(one.position);
            if next != one.position {
                moves.push((name.clone(), next));
            }
            if self.open.insert(name.clone(), Open::at(next)).is_some() {
                self.violation(format!("{name} is opened and was not closed"));
            }
        }
        moves
    }

    fn put(&mut self, batch: &SinkBatch) -> Answer {
        let name = &batch.topic_partition;
        let (first, next) = (batch.first_offset, batch.next_offset);
        self.puts.push((name.clone(), first.value(), next.value()));
        let records = offsets(batch);
        let exist = self.log.get(name).map(|log| {
            log.range(first.value()..next.value())
                .copied()
                .collect::<Vec<_>>()
        });
        if records != exist.unwrap_or_default() {
            self.violation(format!("{name} {first}..{next} comes with {records:?}"));
        }
        if self.paused.contains(name) {
            self.violation(format!("{name} {first}..{next} comes while it is paused"));
        }
        match self.open.get(name) {
            None => self.violation(format!("{name} {first}..{next} comes while it is closed")),
            Some(open) if open.next != first => {
                let wanted = open.next;
                self.violation(format!("{name} {first}..{next} comes where {wanted} is next"));
            }
            Some(open) if open.refused.is_some_and(|refused| refused != (first, next)) => {
                let refused = open.refused;
                self.violation(format!(
                    "{name} {first}..{next} comes where {refused:?} must come again"
                ));
            }
            Some(_) => {}
        }
        let mut answers = std::mem::replace(&mut self.answers, Box::new(|_, _| Answer::Take));
        let answer = answers(self, batch);
        self.answers = answers;
        let Some(open) = self.open.get_mut(name) else {
            return answer;
        };
        if answer != Answer::Refuse && answer != Answer::RefuseAndGoBack {
            let new = records.into_iter().filter(|offset| *offset >= open.taken.value());
            open.held.extend(new);
            open.taken = open.taken.max(next);
        }
        match answer {
            Answer::Refuse | Answer::TakeAndRefuse => open.refused = Some((first, next)),
            Answer::Take | Answer::TakeAndPause => {
                open.refused = None;
                open.next = next;
            }
            Answer::TakeAndGoBack | Answer::RefuseAndGoBack => {
                *open = Open::at(self.ends.get(name).copied().unwrap_or_default());
            }
        }
        answer
    }

    fn pre_commit(&mut self, current: &Offsets) -> Offsets {
        let mut safe = Offsets::new();
        for (name, delivered) in current {
            let Some(open) = self.open.get_mut(name) else {
                self.violations
                    .push(format!("{name} is to be committed and is closed"));
                continue;
            };
            if open.next != *delivered {
                let next = open.next;
                self.violations
                    .push(format!("{name}: {delivered} counts as delivered, {next} is next"));
            }
            if !self.holds {
                self.stored
                    .entry(name.clone())
                    .or_default()
                    .append(&mut open.held);
                self.ends.insert(name.clone(), open.taken);
            }
            let end = self.ends.get(name).copied().unwrap_or_default();
            safe.insert(name.clone(), end.min(*delivered));
        }
        safe
    }
}

/// The task.
pub(super) struct Ledger {
    pub(super) book: Arc<Mutex<Book>>,
    pub(super) context: Option<Arc<dyn SinkTaskContext>>,
}

impl Ledger {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("nobody panics with the book")
    }

    fn context(&self) -> Arc<dyn SinkTaskContext> {
        Arc::clone(self.context.as_ref().expect("the task has started"))
    }
}

impl SinkTask for Ledger {
    fn start<'a>(
        &'a mut self,
        context: Arc<dyn SinkTaskContext>,
        _properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.context = Some(context);
        Box::pin(std::future::ready(Ok(())))
    }

    fn takes_raw(&self, _format: &ValueFormat) -> bool {
        self.book().raw
    }

    fn open<'a>(&'a mut self, partitions: &'a [AssignedPartition]) -> BoxFuture<'a, Result<(), Error>> {
        let mut book = self.book();
        if book.refuses_to_open {
            book.refused_opens += 1;
            return Box::pin(std::future::ready(Err(Error::retriable("the store is away"))));
        }
        let moves = book.open(partitions);
        drop(book);
        for (name, offset) in moves {
            self.context().offset(&name, offset);
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn put<'a>(&'a mut self, batch: &'a SinkBatch) -> BoxFuture<'a, Result<(), Error>> {
        let mut book = self.book();
        let answer = book.put(batch);
        let name = &batch.topic_partition;
        let end = book.ends.get(name).copied().unwrap_or_default();
        if answer == Answer::TakeAndPause {
            book.paused = book.open.keys().cloned().collect();
            self.context().pause(&book.paused);
        }
        if matches!(answer, Answer::TakeAndGoBack | Answer::RefuseAndGoBack) {
            self.context().offset(name, end);
        }
        let told = book.tells.then(|| ResultRecord {
            topic: "results".into(),
            key: None,
            value: Some(batch.next_offset.to_string().into()),
            headers: vec![("input_record_topic".to_owned(), name.topic.to_string().into())],
        });
        drop(book);
        let context = self.context();
        let outcome = match answer {
            Answer::Take | Answer::TakeAndGoBack | Answer::TakeAndPause => Ok(()),
            _ => Err(Error::retriable("the store is away")),
        };
        Box::pin(async move {
            // As a store would: somebody else's turn.
            tokio::task::yield_now().await;
            context.report_results(told.into_iter().collect()).await?;
            outcome
        })
    }

    fn pre_commit<'a>(&'a mut self, current: &'a Offsets) -> BoxFuture<'a, Result<Offsets, Error>> {
        let mut book = self.book();
        let safe = book.pre_commit(current);
        if !book.paused.is_empty() {
            self.context().resume(&std::mem::take(&mut book.paused));
        }
        drop(book);
        Box::pin(std::future::ready(Ok(safe)))
    }

    fn close<'a>(&'a mut self, partitions: &'a [TopicPartition]) -> BoxFuture<'a, Result<(), Error>> {
        let mut book = self.book();
        for name in partitions {
            if book.open.remove(name).is_none() {
                book.violation(format!("{name} is closed and was not open"));
            }
            book.paused.retain(|paused| paused != name);
        }
        drop(book);
        Box::pin(std::future::ready(Ok(())))
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

fn offsets(batch: &SinkBatch) -> Vec<i64> {
    match &batch.records {
        SinkRecords::Converted(records) => records.iter().map(|record| record.offset.value()).collect(),
        SinkRecords::Raw(raw) => {
            let mut offsets = Vec::new();
            let read = raw.try_for_each::<Error>(|record| {
                offsets.push(record.offset.value());
                Ok(())
            });
            read.expect("sound batches");
            offsets
        }
    }
}
