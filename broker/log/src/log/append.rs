//! Appending: the batches of several requests are checked one after the other, given their offsets, and written with one
//! vectored write. Large batches go from the request's buffer to the file as they are; small ones are gathered first.

mod group;

use std::io::IoSlice;
use std::sync::Arc;

use bytes::Bytes;
use forebay_records::{
    AppendOrigin, AssignedBatch, LeaderEpoch, NO_TIMESTAMP, Offset, RecordBatch, Timestamp, TimestampType,
    batches,
};

use group::{Assigned, Group};

use super::{Log, Writer};
use crate::append::{Append, Appended};
use crate::config::LogConfig;
use crate::error::{Error, Result};
use crate::locks::{lock, write_lock};
use crate::producer_state::{Checks, Marker, Pending};
use crate::segment::{Place, RollLimits, Segment};
use crate::topic_partition::TopicPartition;

impl Log {
    /// Appends the batches of several requests, each request as a whole or not at all, in their order. The answers are
    /// in the same order. One thread calls this: the partition's writer.
    ///
    /// When it returns the batches are with the operating system; see [`Log::sync_required`] and [`Log::sync`].
    pub fn append(
        &self,
        leader_epoch: LeaderEpoch,
        now: Timestamp,
        appends: Vec<Append>,
    ) -> Vec<Result<Appended>> {
        let mut writer = lock(&self.writer);
        let active = self
            .check(&writer)
            .and_then(|()| self.ensure_created(&mut writer, now))
            .map_err(|error| self.directory.judge(error));
        let active = match active {
            Ok(active) => active,
            Err(error) => return appends.iter().map(|_| Err(error.clone())).collect(),
        };
        let mut appender = Appender::new(self, &mut writer, active, now);
        for append in appends {
            appender.append(leader_epoch, &append);
        }
        appender.finish()
    }

    /// Appends batches that a leader has given their offsets, as they are (for followers). They must be whole, with
    /// right checksums; their offsets must follow the log's end, though gaps are allowed.
    ///
    /// # Errors
    /// [`Error::UnexpectedAppendOffset`], [`Error::Corrupt`] or a storage error; then nothing of them is appended.
    pub fn append_as_follower(&self, bytes: Bytes, now: Timestamp) -> Result<Option<Appended>> {
        let mut incoming = batches(bytes);
        let mut whole = Vec::new();
        for batch in &mut incoming {
            let batch = batch.and_then(|batch| batch.ensure_valid().map(|()| batch));
            whole.push(batch.map_err(|error| self.corrupt_from_leader(&error.to_string()))?);
        }
        if whole.is_empty() {
            return Ok(None);
        }
        let mut writer = lock(&self.writer);
        self.check(&writer)?;
        let active = self
            .ensure_created(&mut writer, now)
            .map_err(|error| self.directory.judge(error))?;
        let mut appender = Appender::new(self, &mut writer, active, now);
        appender.append_assigned(whole);
        appender.finish().pop().transpose()
    }

    fn corrupt_from_leader(&self, reason: &str) -> Error {
        Error::CorruptBatch {
            partition: self.partition.clone(),
            reason: Arc::from(reason),
        }
    }
}

struct Appender<'a> {
    log: &'a Log,
    writer: &'a mut Writer,
    config: Arc<LogConfig>,
    active: Arc<Segment>,
    now: Timestamp,
    group: Group,
    answers: Vec<Result<Appended>>,
}

impl<'a> Appender<'a> {
    fn new(log: &'a Log, writer: &'a mut Writer, active: Arc<Segment>, now: Timestamp) -> Appender<'a> {
        let group = Group::at(log.log_end_offset());
        writer.producers.set_time(now);
        Appender {
            log,
            writer,
            config: log.config(),
            active,
            now,
            group,
            answers: Vec::new(),
        }
    }

    fn append(&mut self, leader_epoch: LeaderEpoch, append: &Append) {
        let verification = self.config.transaction_verification;
        let checks = Checks::of(append.origin, append.transaction, verification);
        let answer = match self.find_duplicate(append) {
            Some(appended) => Ok(appended),
            None => {
                let partition = &self.log.partition;
                self.prepare(|next_offset| assign(append, leader_epoch, next_offset, partition))
                    .and_then(|batches| self.take(batches, checks, log_append_time(append)))
            }
        };
        self.answer(answer);
    }

    fn append_assigned(&mut self, incoming: Vec<RecordBatch>) {
        let partition = self.log.partition.clone();
        let batches = self.prepare(move |next_offset| {
            let mut expected = next_offset;
            let mut assigned = Vec::with_capacity(incoming.len());
            for batch in &incoming {
                let header = *batch.header();
                if header.base_offset < expected {
                    let (partition, offset, log_end_offset) =
                        (partition.clone(), header.base_offset, expected);
                    return Err(Error::UnexpectedAppendOffset {
                        partition,
                        offset,
                        log_end_offset,
                    });
                }
                expected = header.next_offset();
                let marker = parse_marker(batch, &partition)?;
                assigned.push(Assigned {
                    header,
                    head: None,
                    rest: batch.bytes().clone(),
                    marker,
                });
            }
            Ok(assigned)
        });
        let answer = batches.and_then(|batches| self.take(batches, Checks::NONE, NO_TIMESTAMP));
        self.answer(answer);
    }

    /// A batch of the request that is in the log already, or in the group.
    fn find_duplicate(&mut self, append: &Append) -> Option<Appended> {
        if append.origin != AppendOrigin::Client {
            return None;
        }
        let log_start_offset = self.log.log_start_offset();
        let pending = self.pending();
        let duplicate = append
            .batches
            .iter()
            .map(|one| one.batch.header())
            .filter(|header| header.has_producer_id());
        let duplicate = duplicate
            .filter_map(|header| pending.find_duplicate(header))
            .next()?;
        Some(Appended {
            base_offset: duplicate.first_offset(),
            last_offset: duplicate.last_offset,
            log_append_time: duplicate.timestamp,
            log_start_offset,
            duplicate: true,
        })
    }

    /// Gives the batches their offsets, and makes room for them: what is in the group is written, and a new segment
    /// begun, if they do not fit into this one.
    fn prepare(&mut self, assign: impl Fn(Offset) -> Result<Vec<Assigned>>) -> Result<Vec<Assigned>> {
        loop {
            let batches = assign(self.group.next_offset)?;
            let places: Vec<Place> = batches.iter().map(Assigned::place).collect();
            let size: u64 = places.iter().map(|place| place.size).sum();
            if size > self.config.segment_bytes {
                return Err(Error::RecordBatchTooLarge {
                    partition: self.log.partition.clone(),
                    size: usize::try_from(size).unwrap_or(usize::MAX),
                    segment_bytes: self.config.segment_bytes,
                });
            }
            let limits = self.roll_limits();
            if !self.active.should_roll(&limits, &self.group.places, &places) {
                return Ok(batches);
            }
            if self.group.places.is_empty() {
                let base_offset = batches
                    .first()
                    .map_or(self.group.next_offset, |first| first.header.base_offset);
                let rolled = self.log.roll(self.writer, base_offset, self.now);
                self.active = rolled.map_err(|error| self.log.directory.judge(error))?;
                return Ok(batches);
            }
            // Offsets may have to be given anew: if this write fails, the group's are free again.
            self.write();
            self.log.directory.check()?;
        }
    }

    fn roll_limits(&self) -> RollLimits {
        let seed = u64::try_from(self.active.base_offset().value()).unwrap_or(0);
        RollLimits {
            segment_bytes: self.config.segment_bytes,
            segment_ms: self.config.segment_ms_max() - self.config.jitter_ms(seed),
            segment_index_bytes: self.config.segment_index_bytes,
            now: self.now,
        }
    }

    /// Checks the producers of the batches and adds them to the group.
    fn take(
        &mut self,
        batches: Vec<Assigned>,
        checks: Checks,
        log_append_time: Timestamp,
    ) -> Result<Appended> {
        let (Some(first), Some(last)) = (batches.first(), batches.last()) else {
            return Err(self.log.corrupt_from_leader("there is no batch to append"));
        };
        let appended = Appended {
            base_offset: first.header.base_offset,
            last_offset: last.header.last_offset(),
            log_append_time,
            log_start_offset: self.log.log_start_offset(),
            duplicate: false,
        };
        // A single batch is taken or refused as one; of several, the first ones must go too if a later one is refused.
        let before = (batches.len() > 1).then(|| self.group.update.clone());
        for batch in &batches {
            if let Err(error) = self.pending().add(&batch.header, batch.marker, checks) {
                if let Some(before) = before {
                    self.group.update = before;
                }
                return Err(error);
            }
        }
        for batch in batches {
            self.group.push(batch);
        }
        Ok(appended)
    }

    fn pending(&mut self) -> Pending<'_> {
        Pending {
            partition: &self.log.partition,
            states: &self.writer.producers,
            update: &mut self.group.update,
        }
    }

    /// An answer; it depends on the write if its records, or those that it repeats, are in the group.
    fn answer(&mut self, answer: Result<Appended>) {
        if answer
            .as_ref()
            .is_ok_and(|appended| appended.base_offset >= self.group.base_offset)
        {
            self.group.answers.push(self.answers.len());
        }
        self.answers.push(answer);
    }

    /// Writes the group and lets readers see it. If that fails, the answers that depend on it say so.
    fn write(&mut self) {
        let mut group = std::mem::take(&mut self.group);
        let answers = std::mem::take(&mut group.answers);
        if let Err(error) = self.write_group(group) {
            for answer in answers {
                self.answers[answer] = Err(error.clone());
            }
        }
        self.group = Group::at(self.log.log_end_offset());
    }

    fn write_group(&mut self, mut group: Group) -> Result<()> {
        if group.places.is_empty() {
            return Ok(());
        }
        self.log.directory.check()?;
        group.close_gathered();
        let mut buffers: Vec<IoSlice<'_>> = group.parts.iter().map(|part| IoSlice::new(part)).collect();
        if let Err(failure) = self.active.append(&mut buffers, &group.places) {
            drop(buffers);
            let error = failure.error;
            return Err(if failure.cut_back {
                self.log.directory.judge(error)
            } else {
                self.log.directory.fail(&error)
            });
        }
        drop(buffers);
        self.after_write(group)
    }

    fn after_write(&mut self, mut group: Group) -> Result<()> {
        for (epoch, start) in &group.epochs {
            write_lock(&self.log.epochs).assign(*epoch, *start);
        }
        let aborted = self.writer.producers.apply(std::mem::take(&mut group.update));
        self.writer.producers.set_end_offset(group.next_offset);
        self.writer.unsynced_since.get_or_insert(self.now);
        let mut indexed = Ok(());
        if !aborted.is_empty() && !self.active.has_aborted() {
            // Its transaction index is a new file.
            write_lock(&self.log.view).names.changed += 1;
        }
        for aborted in &aborted {
            indexed = indexed.and_then(|()| self.active.append_aborted(aborted));
        }
        let mut view = write_lock(&self.log.view);
        view.log_end_offset = group.next_offset;
        self.writer.producers.tell(&mut view.undecided);
        view.tail.push(group.into_block(self.now));
        drop(view);
        // Consumers of committed records would see what was aborted.
        indexed.map_err(|error| self.log.directory.fail(&error))
    }

    fn finish(mut self) -> Vec<Result<Appended>> {
        self.write();
        self.answers
    }
}

/// The batches of a request from `offset` on.
fn assign(
    append: &Append,
    leader_epoch: LeaderEpoch,
    mut offset: Offset,
    partition: &TopicPartition,
) -> Result<Vec<Assigned>> {
    let mut assigned = Vec::with_capacity(append.batches.len());
    for one in &append.batches {
        let batch: AssignedBatch = one.batch.assign(&one.validated.assignment(offset, leader_epoch));
        let header = *batch.header();
        let (head, rest) = (*batch.head(), batch.rest().clone());
        let marker = parse_marker(&one.batch, partition)?;
        assigned.push(Assigned {
            header,
            head: Some(head),
            rest,
            marker,
        });
        offset = header.next_offset();
    }
    Ok(assigned)
}

fn log_append_time(append: &Append) -> Timestamp {
    match append.batches.first().map(|one| one.validated) {
        Some(validated) if validated.timestamp_type == TimestampType::LogAppendTime => {
            validated.max_timestamp
        }
        _ => NO_TIMESTAMP,
    }
}

fn parse_marker(batch: &RecordBatch, partition: &TopicPartition) -> Result<Option<Marker>> {
    if !batch.header().is_control() {
        return Ok(None);
    }
    Marker::parse(batch).map_err(|error| Error::CorruptBatch {
        partition: partition.clone(),
        reason: Arc::from(error.to_string()),
    })
}
