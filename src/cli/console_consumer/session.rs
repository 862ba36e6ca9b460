//! One run of `console-consumer`: polls, prints, and goes on no further than was printed.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use forebay_client::Consumer;
use forebay_client::consumer::{FetchedBatch, Subscription};
use forebay_protocol::TopicPartition;
use forebay_records::Offset;

use super::format::{self, Format, Place};
use super::settings::{Limits, Source, Start};
use crate::cli::options::Stop;

/// How long one poll waits, so that signals and deadlines are seen.
const POLL: Duration = Duration::from_secs(1);

/// One run of the tool.
pub(super) struct Session<W: Write> {
    consumer: Consumer,
    format: Format,
    skip_on_error: bool,
    limits: Limits,
    output: W,
    processed: u64,
    /// Of partitions of which not everything that was polled has been printed: where to go on.
    next: BTreeMap<TopicPartition, Offset>,
}

impl<W: Write> Session<W> {
    pub(super) fn new(
        consumer: Consumer,
        format: Format,
        skip_on_error: bool,
        limits: Limits,
        output: W,
    ) -> Self {
        Self {
            consumer,
            format,
            skip_on_error,
            limits,
            output,
            processed: 0,
            next: BTreeMap::new(),
        }
    }

    /// Reads until a limit, an error or a signal.
    pub(super) async fn run(&mut self, source: &Source) -> Result<ExitCode, Stop> {
        self.begin(source)?;
        let mut interrupted = std::pin::pin!(crate::cli::interrupted());
        let mut heard = Instant::now();
        let mut warned = String::new();
        while self
            .limits
            .messages
            .is_none_or(|messages| self.processed < messages)
        {
            let wait = self
                .limits
                .silence
                .map_or(POLL, |silence| silence.saturating_sub(heard.elapsed()).min(POLL));
            let polled = tokio::select! {
                code = &mut interrupted => return Ok(code),
                polled = self.consumer.poll_batches(wait) => polled,
            };
            match polled {
                Ok(batches) if batches.is_empty() => {}
                Ok(batches) => {
                    if !self.print_all(&batches)? {
                        return Ok(ExitCode::FAILURE);
                    }
                    heard = Instant::now();
                }
                Err(error) if error.is_retriable() => {
                    // Once, not with every poll.
                    let warning = crate::cli::reason(&error);
                    if warning != warned {
                        eprintln!("{warning}; trying on");
                        warned = warning;
                    }
                    tokio::time::sleep(wait.min(Duration::from_millis(100))).await;
                }
                Err(error) => {
                    let reason = crate::cli::reason(&error);
                    eprintln!("Error processing message, terminating consumer process: {reason}");
                    return Ok(ExitCode::FAILURE);
                }
            }
            if let Some(silence) = self.limits.silence
                && heard.elapsed() >= silence
            {
                let ms = silence.as_millis();
                eprintln!(
                    "Error processing message, terminating consumer process: no message came within {ms} ms"
                );
                return Ok(ExitCode::SUCCESS);
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn begin(&mut self, source: &Source) -> Result<(), Stop> {
        match source {
            Source::Topic(topic) => self.consumer.subscribe(Subscription::topics([topic.as_str()]))?,
            Source::Matching(pattern) => {
                let regex = regex::Regex::new(&format!("^(?:{pattern})$"))
                    .map_err(|_| Stop::usage(format!("{pattern} is an invalid regex.")))?;
                self.consumer
                    .subscribe(Subscription::matching(move |topic| regex.is_match(topic)))?;
            }
            Source::Partition(partition, start) => {
                self.consumer.assign([partition.clone()])?;
                let partitions = std::slice::from_ref(partition);
                match start {
                    Start::Earliest => self.consumer.seek_to_beginning(partitions)?,
                    Start::Latest => self.consumer.seek_to_end(partitions)?,
                    Start::At(offset) => self.consumer.seek(partition, *offset)?,
                }
            }
        }
        Ok(())
    }

    /// Prints batches as far as the limit allows. `false`: nobody reads the output any more.
    fn print_all(&mut self, batches: &[FetchedBatch]) -> Result<bool, Stop> {
        for batch in batches {
            if self
                .limits
                .messages
                .is_some_and(|messages| self.processed >= messages)
            {
                // Polled, but not printed: the group must not take it for read.
                self.next
                    .entry(batch.topic_partition.clone())
                    .or_insert(batch.first_offset);
            } else if let Err(error) = self.print(batch)? {
                return Ok(self.unwritable(&error));
            }
        }
        match self.output.flush() {
            Ok(()) => Ok(true),
            Err(error) => Ok(self.unwritable(&error)),
        }
    }

    fn unwritable(&self, error: &std::io::Error) -> bool {
        eprintln!("Unable to write to standard out, closing consumer: {error}");
        false
    }

    fn print(&mut self, batch: &FetchedBatch) -> Result<std::io::Result<()>, Stop> {
        let failed =
            |error: forebay_records::Error| Stop::Failed(format!("{}: {error}", batch.topic_partition));
        let place = Place {
            partition: batch.topic_partition.partition,
            leader_epoch: batch.batch.header().partition_leader_epoch,
            timestamp_type: batch.batch.header().timestamp_type(),
        };
        for record in batch.records().map_err(failed)? {
            let record = record.map_err(failed)?;
            if self
                .limits
                .messages
                .is_some_and(|messages| self.processed >= messages)
            {
                self.next.insert(batch.topic_partition.clone(), record.offset);
                break;
            }
            self.processed += 1;
            match self.format.write(&mut self.output, &place, &record) {
                Ok(()) => {}
                Err(format::Error::Output(error)) => return Ok(Err(error)),
                Err(format::Error::Record(reason)) if self.skip_on_error => {
                    eprintln!("Error processing message, skipping this message: {reason}");
                }
                Err(format::Error::Record(reason)) => return Err(Stop::Failed(reason)),
            }
        }
        Ok(Ok(()))
    }

    /// Commits no more than was printed, leaves the group, and says how much it was.
    pub(super) async fn finish(mut self) {
        // Where nobody reads any more there is nobody to tell.
        let _ = self.output.flush();
        for (partition, offset) in std::mem::take(&mut self.next) {
            // A partition that has gone to another member in the meantime is that one's business.
            let _ = self.consumer.seek(&partition, offset);
        }
        if let Err(error) = self.consumer.close().await {
            eprintln!("{}", crate::cli::reason(&error));
        }
        eprintln!("Processed a total of {} messages", self.processed);
    }
}
