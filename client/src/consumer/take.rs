//! Giving out what is buffered: batches whole, or records one by one, from one partition after the other.

use forebay_protocol::TopicPartition;
use forebay_records::Offset;

use super::{Consumer, ConsumerRecord, FetchedBatch, buffer::Next, rebalance::Phase};
use crate::error::Error;

impl Consumer {
    pub(super) fn take_batches(&mut self) -> Result<Vec<FetchedBatch>, Error> {
        self.take(|this, topic_partition, out: &mut Vec<FetchedBatch>, records| {
            this.take_batch(topic_partition, out, records)
        })
    }

    pub(super) fn take_records(&mut self) -> Result<Vec<ConsumerRecord>, Error> {
        self.take(|this, topic_partition, out, records| this.take_some(topic_partition, out, records))
    }

    /// Goes through the partitions until there are enough records. `step` takes from one and says whether there may be more.
    fn take<T>(
        &mut self,
        step: impl Fn(&mut Self, &TopicPartition, &mut Vec<T>, &mut usize) -> Result<bool, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut out = Vec::new();
        let mut records = 0;
        for topic_partition in self.with_buffer() {
            loop {
                if records >= self.config.max_poll_records {
                    return Ok(out);
                }
                match step(self, &topic_partition, &mut out, &mut records) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) if out.is_empty() => return Err(error),
                    Err(error) => {
                        // What was taken is given out first.
                        self.errors.push_back(error);
                        return Ok(out);
                    }
                }
            }
        }
        Ok(out)
    }

    /// The partitions that have something, not always the same one first.
    fn with_buffer(&mut self) -> Vec<TopicPartition> {
        // What is about to be given up is not given out any more.
        if matches!(self.phase, Phase::Committing(_) | Phase::Told(_)) {
            return Vec::new();
        }
        let filled = self
            .partitions
            .iter()
            .filter(|(_, partition)| partition.buffer.is_some() && !partition.paused);
        let mut filled: Vec<TopicPartition> = filled
            .map(|(topic_partition, _)| topic_partition.clone())
            .collect();
        if !filled.is_empty() {
            self.turn = self.turn.wrapping_add(1);
            let first = self.turn % filled.len();
            filled.rotate_left(first);
        }
        filled
    }

    fn take_batch(
        &mut self,
        topic_partition: &TopicPartition,
        out: &mut Vec<FetchedBatch>,
        records: &mut usize,
    ) -> Result<bool, Error> {
        let Some(partition) = self.partitions.get_mut(topic_partition) else {
            return Ok(false);
        };
        let (Some(buffer), Position { offset }) = (&mut partition.buffer, Position::of(partition.position))
        else {
            return Ok(false);
        };
        match buffer.next(offset) {
            Ok(Next::Batch(batch)) => {
                *records += usize::try_from(batch.header().count).unwrap_or(0);
                let batch = buffer.wrap(batch, offset);
                partition.advance(
                    batch.next_offset(),
                    Some(batch.batch.header().partition_leader_epoch),
                );
                out.push(batch);
                Ok(true)
            }
            Ok(Next::Skipped(next_offset)) => {
                partition.advance(next_offset, None);
                Ok(true)
            }
            Ok(Next::End) => {
                partition.buffer = None;
                Ok(false)
            }
            Err(source) => {
                partition.buffer = None;
                Err(corrupt(topic_partition, offset, source))
            }
        }
    }

    /// Takes records of the open batch, up to what is left of `max.poll.records`.
    fn take_some(
        &mut self,
        topic_partition: &TopicPartition,
        out: &mut Vec<ConsumerRecord>,
        records: &mut usize,
    ) -> Result<bool, Error> {
        let max = self.config.max_poll_records;
        let Some(partition) = self.partitions.get_mut(topic_partition) else {
            return Ok(false);
        };
        let (Some(buffer), Position { offset }) = (&mut partition.buffer, Position::of(partition.position))
        else {
            return Ok(false);
        };
        let open = match buffer.open(offset) {
            Ok(Ok(open)) => open,
            Ok(Err(Next::Skipped(next_offset))) => {
                partition.advance(next_offset, None);
                return Ok(true);
            }
            Ok(Err(_)) => {
                partition.buffer = None;
                return Ok(false);
            }
            Err(source) => {
                partition.buffer = None;
                return Err(corrupt(topic_partition, offset, source));
            }
        };
        let (epoch, mut reached) = (open.leader_epoch, None);
        let mut failed = None;
        while *records < max {
            match open.records.next() {
                Some(Ok(record)) => {
                    reached = Some(record.offset + 1);
                    *records += 1;
                    let TopicPartition { topic, partition } = topic_partition.clone();
                    out.push(ConsumerRecord {
                        topic,
                        partition,
                        leader_epoch: epoch,
                        record,
                    });
                }
                Some(Err(source)) => {
                    failed = Some(corrupt(topic_partition, reached.unwrap_or(offset), source));
                    break;
                }
                None => {
                    // Behind the last record there may be offsets that the cleaner has emptied.
                    reached = Some(open.next_offset);
                    buffer.close_open();
                    break;
                }
            }
        }
        if failed.is_some() {
            partition.buffer = None;
        }
        if let Some(reached) = reached {
            partition.advance(reached, Some(epoch));
        }
        failed.map_or(Ok(true), Err)
    }
}

/// The offset that something buffered is read from; a partition whose position is not known has nothing buffered.
struct Position {
    offset: Offset,
}

impl Position {
    fn of(position: super::partition::Position) -> Self {
        match position {
            super::partition::Position::At { offset, .. } => Self { offset },
            _ => Self { offset: Offset::ZERO },
        }
    }
}

fn corrupt(topic_partition: &TopicPartition, offset: Offset, source: forebay_records::Error) -> Error {
    Error::Corrupt {
        topic_partition: topic_partition.clone(),
        offset,
        source: source.into(),
    }
}
