//! Standard input: a stream that is read by a thread of its own, as a read of it can be neither cancelled nor repeated. What a
//! task that goes away has read, goes with it, as in Kafka.

use std::io::Read;

use bytes::Bytes;
use forebay_connect_api::Error;
use tokio::sync::mpsc;

use super::lines::Lines;

/// Read at once.
const READ_BYTES: usize = 64 * 1024;
/// Pieces that may wait for the task.
const PIECES_MAX: usize = 4;

/// A stream, and the lines that it has.
#[derive(Debug)]
pub(super) struct Stream {
    pieces: mpsc::Receiver<std::io::Result<Bytes>>,
    lines: Lines,
    ended: bool,
}

impl Stream {
    pub(super) fn new(mut input: impl Read + Send + 'static, line_bytes_max: usize) -> Result<Self, Error> {
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        let read = move || {
            let mut buffer = vec![0; READ_BYTES];
            loop {
                let piece = match input.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(count) => Ok(Bytes::copy_from_slice(&buffer[..count])),
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let failed = piece.is_err();
                if sender.blocking_send(piece).is_err() || failed {
                    return;
                }
            }
        };
        std::thread::Builder::new()
            .name("connect-stdin".to_owned())
            .spawn(read)
            .map_err(|error| {
                Error::fatal("cannot start a thread to read standard input").with_source(error)
            })?;
        Ok(Self {
            pieces,
            lines: Lines::new(line_bytes_max),
            ended: false,
        })
    }

    pub(super) fn lines(&mut self) -> &mut Lines {
        &mut self.lines
    }

    /// Waits for more; for ever once the stream has ended and its last line is given out. May be dropped at any time.
    pub(super) async fn advance(&mut self) -> Result<(), Error> {
        if self.ended {
            return std::future::pending().await;
        }
        match self.pieces.recv().await {
            Some(Ok(piece)) => {
                let copy = |buffer: &mut [u8], _| {
                    buffer[..piece.len()].copy_from_slice(&piece);
                    Ok(piece.len())
                };
                self.lines.fill(copy).expect("copying does not fail");
            }
            Some(Err(error)) => return Err(Error::fatal("cannot read standard input").with_source(error)),
            None => {
                self.ended = true;
                self.lines.set_at_end();
            }
        }
        Ok(())
    }
}
