//! One run of `console-producer`: lines become records, and errors are told and counted.

use std::collections::VecDeque;
use std::process::ExitCode;

use forebay_client::producer::DeliveryFuture;
use forebay_client::{Producer, ProducerRecord};
use forebay_records::Headers;
use futures_util::FutureExt as _;
use tokio::sync::mpsc;

use super::line_format::LineFormat;
use super::lines::{Block, Line};

/// How many records may be unacknowledged before the oldest is waited for.
const IN_FLIGHT_MAX: usize = 1 << 16;

/// How many errors are told one by one.
const ERRORS_TOLD_MAX: u64 = 10;

/// A record on its way, and what an error would say of it.
struct Sent {
    delivery: DeliveryFuture,
    key_bytes: Option<usize>,
    value_bytes: Option<usize>,
}

/// One run of the tool.
pub(super) struct Session {
    producer: Producer,
    topic: String,
    format: LineFormat,
    sync: bool,
    interactive: bool,
    in_flight: VecDeque<Sent>,
    failed: u64,
}

impl Session {
    pub(super) fn new(
        producer: Producer,
        topic: String,
        format: LineFormat,
        sync: bool,
        interactive: bool,
    ) -> Self {
        Self {
            producer,
            topic,
            format,
            sync,
            interactive,
            in_flight: VecDeque::new(),
            failed: 0,
        }
    }

    /// Sends what comes until the end of the input, a signal, or a line that does not have its form.
    pub(super) async fn run(mut self, mut blocks: mpsc::Receiver<Block>) -> ExitCode {
        let mut interrupted = std::pin::pin!(crate::cli::interrupted());
        let ended = loop {
            let block = tokio::select! {
                code = &mut interrupted => break Err(code),
                block = blocks.recv() => block,
            };
            let Some(block) = block else { break Ok(()) };
            if let Err(message) = self.send_block(&block).await {
                eprintln!("{message}");
                break Err(ExitCode::FAILURE);
            }
        };
        // What was read is sent, whatever ended the reading.
        self.producer.flush().await;
        while let Some(sent) = self.in_flight.pop_front() {
            self.settle(sent).await;
        }
        self.producer.clone().close().await;
        if self.failed > ERRORS_TOLD_MAX {
            eprintln!("... and {} more messages failed", self.failed - ERRORS_TOLD_MAX);
        }
        match ended {
            Err(code) => code,
            Ok(()) if self.failed > 0 => ExitCode::FAILURE,
            Ok(()) => ExitCode::SUCCESS,
        }
    }

    /// Sends lines. An error is one that ends the run: a line that does not have its form, or with `--sync` any.
    async fn send_block(&mut self, block: &Block) -> Result<(), String> {
        for (number, line) in block.lines() {
            match line {
                Line::Text(text) => self.send(number, text).await?,
                Line::TooLong { bytes } => {
                    self.fail(
                        None,
                        Some(bytes),
                        &"the line is longer than buffer.memory (--max-memory-bytes)",
                    );
                }
            }
        }
        if self.interactive {
            self.producer.flush().await;
        }
        while let Some(sent) = self.in_flight.front_mut() {
            let Some(outcome) = (&mut sent.delivery).now_or_never() else {
                break;
            };
            let sent = self.in_flight.pop_front().expect("there is a first");
            if let Err(error) = outcome {
                self.fail(sent.key_bytes, sent.value_bytes, &crate::cli::reason(&error));
            }
        }
        Ok(())
    }

    async fn send(&mut self, number: u64, text: &[u8]) -> Result<(), String> {
        let parsed = self.format.parse(number, text)?;
        let headers: Headers = parsed.headers.iter().map(|(key, value)| (*key, *value)).collect();
        let record = ProducerRecord::new(&self.topic, parsed.key, parsed.value).headers(&headers);
        let (key_bytes, value_bytes) = (parsed.key.map(<[u8]>::len), parsed.value.map(<[u8]>::len));
        match self.producer.send(record).await {
            Ok(delivery) => {
                let sent = Sent {
                    delivery,
                    key_bytes,
                    value_bytes,
                };
                if self.sync {
                    self.settle(sent).await;
                } else {
                    self.in_flight.push_back(sent);
                    if self.in_flight.len() > IN_FLIGHT_MAX {
                        let oldest = self.in_flight.pop_front().expect("there are many");
                        self.settle(oldest).await;
                    }
                }
            }
            Err(error) => self.fail(key_bytes, value_bytes, &crate::cli::reason(&error)),
        }
        if self.sync && self.failed > 0 {
            Err("stopped at the first error, as --sync demands".to_owned())
        } else {
            Ok(())
        }
    }

    async fn settle(&mut self, sent: Sent) {
        if let Err(error) = sent.delivery.await {
            self.fail(sent.key_bytes, sent.value_bytes, &crate::cli::reason(&error));
        }
    }

    fn fail(&mut self, key_bytes: Option<usize>, value_bytes: Option<usize>, cause: &dyn std::fmt::Display) {
        self.failed += 1;
        if self.failed <= ERRORS_TOLD_MAX {
            eprintln!("{}", error_line(&self.topic, key_bytes, value_bytes, cause));
        }
    }
}

/// As Kafka's `ErrorLoggingCallback` has it.
fn error_line(
    topic: &str,
    key_bytes: Option<usize>,
    value_bytes: Option<usize>,
    cause: &dyn std::fmt::Display,
) -> String {
    let size =
        |bytes: Option<usize>| bytes.map_or_else(|| "null".to_owned(), |bytes| format!("{bytes} bytes"));
    format!(
        "Error when sending message to topic {topic} with key: {}, value: {} with error: {cause}",
        size(key_bytes),
        size(value_bytes)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_as_kafka_tells_them() {
        assert_eq!(
            error_line("t", None, Some(3), &"cause"),
            "Error when sending message to topic t with key: null, value: 3 bytes with error: cause"
        );
    }
}
