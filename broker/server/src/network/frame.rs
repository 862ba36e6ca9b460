//! Frames of the Kafka protocol: four bytes of length, then as many bytes. The announced length reserves nothing:
//! the buffer (`frame_buffer`) grows as bytes arrive, and a connection that waits for its next frame holds no buffer at all.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::frame_buffer::{self, FrameBuffer};
use super::request_memory::{Grant, RequestMemory};

/// Buffers up to this size are not counted against the memory for requests.
const UNCOUNTED_BYTES: usize = 64 * 1024;
/// A frame that has taken memory from others must go on arriving: so long may it rest.
const STALL_MAX: Duration = Duration::from_secs(30);

/// Why a connection's input ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A length that no request has.
    #[error(transparent)]
    Length(#[from] frame_buffer::Error),
    /// The peer closed in the middle of a frame.
    #[error("connection closed within a frame")]
    Truncated,
    /// A large frame stopped arriving.
    #[error("a large frame stopped arriving for {STALL_MAX:?}")]
    Stalled,
    /// The socket failed.
    #[error("socket: {0}")]
    Io(#[from] io::Error),
}

/// A frame without its length, with the memory that it has taken from others.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) bytes: Bytes,
    pub(crate) grant: Grant,
}

/// Reads the frames of one connection.
#[derive(Debug)]
pub(crate) struct FrameReader {
    buffer: FrameBuffer,
    memory: RequestMemory,
    /// Of the frame that is arriving.
    grant: Grant,
}

impl FrameReader {
    /// Frames of up to `bytes_max` bytes are let in, as far as there is memory.
    pub(crate) fn new(bytes_max: usize, memory: RequestMemory) -> Self {
        Self {
            buffer: FrameBuffer::new(bytes_max),
            memory,
            grant: Grant::default(),
        }
    }

    /// The next frame without its length, or `None` when the peer has closed between frames.
    ///
    /// Cancel safe: what has been read stays in the buffer.
    pub(crate) async fn next(&mut self, stream: &TcpStream) -> Result<Option<Frame>, Error> {
        loop {
            if let Some(frame) = self.take()? {
                return Ok(Some(frame));
            }
            self.wait(stream).await?;
            self.grow().await;
            match stream.try_read_buf(self.buffer.end()) {
                Ok(0) if self.buffer.is_empty() => return Ok(None),
                Ok(0) => return Err(Error::Truncated),
                Ok(_) if self.buffer.has_crumbs() => self.buffer.shrink(),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.buffer.shrink(),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether the frame that is arriving has taken of the memory for all connections.
    pub(crate) fn has_grant(&self) -> bool {
        self.grant.is_some()
    }

    async fn wait(&self, stream: &TcpStream) -> Result<(), Error> {
        if self.grant.is_some() {
            let readable = timeout(STALL_MAX, stream.readable()).await;
            return Ok(readable.map_err(|_elapsed| Error::Stalled)??);
        }
        Ok(stream.readable().await?)
    }

    /// A frame that is whole in the buffer.
    fn take(&mut self) -> Result<Option<Frame>, Error> {
        let frame = self.buffer.take()?;
        if let Some(spent) = self.buffer.take_spent() {
            self.memory.buffers().leave(spent);
        }
        Ok(frame.map(|bytes| Frame {
            bytes,
            grant: std::mem::take(&mut self.grant),
        }))
    }

    /// Makes room for the next read, as far as there is memory.
    async fn grow(&mut self) {
        let Some(wanted) = self.buffer.wanted() else {
            return;
        };
        if wanted > UNCOUNTED_BYTES {
            self.memory.raise(&mut self.grant, wanted).await;
        }
        let used = (wanted >= frame_buffer::LARGE_BYTES).then(|| self.memory.buffers().take(wanted));
        match used.flatten() {
            Some(memory) => self.buffer.move_into(memory),
            None => self.buffer.make_room(wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame_buffer::{FIRST_BUFFER_BYTES, GROWTH};
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
        (client.expect("connects"), server.expect("accepts").0)
    }

    async fn read_all(input: &[u8], max: usize) -> (Vec<usize>, Result<(), Error>) {
        let (mut client, server) = pair().await;
        let input = input.to_vec();
        let writer = tokio::spawn(async move {
            // The reader may have refused and gone.
            let _refused = client.write_all(&input).await;
        });
        let mut reader = FrameReader::new(max, RequestMemory::new(Some(1 << 20)));
        let mut lengths = Vec::new();
        let end = loop {
            match reader.next(&server).await {
                Ok(Some(frame)) => lengths.push(frame.bytes.len()),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        drop(server);
        writer.await.expect("the writer ends");
        (lengths, end)
    }

    fn frame(length: usize) -> Vec<u8> {
        let mut bytes = u32::try_from(length).expect("small").to_be_bytes().to_vec();
        bytes.resize(4 + length, 7);
        bytes
    }

    #[tokio::test]
    async fn frames_of_any_size_up_to_the_bound() {
        let lengths = [
            0,
            1,
            5,
            FIRST_BUFFER_BYTES - 4,
            FIRST_BUFFER_BYTES,
            300_000,
            1,
            1_000_000,
        ];
        let input: Vec<u8> = lengths.iter().flat_map(|length| frame(*length)).collect();
        let (found, end) = read_all(&input, 1_000_000).await;
        assert_eq!(found, lengths);
        assert!(end.is_ok());
    }

    #[tokio::test]
    async fn bad_frames_end_the_connection() {
        let cases: [(&[u8], &str); 5] = [
            (&[0xff, 0xff, 0xff, 0xff], "frame of -1 bytes"),
            (&[0x7f, 0xff, 0xff, 0xff], "frame of 2147483647 bytes"),
            (
                &[0, 0, 0, 101],
                "frame of 101 bytes announced, allowed are 0 to 100",
            ),
            (&[0, 0, 0, 100, 1], "closed within"),
            (&[0, 0], "closed within"),
        ];
        for (input, expected) in cases {
            let (_, end) = read_all(input, 100).await;
            let error = end.expect_err("bad").to_string();
            assert!(error.contains(expected), "{input:?}: {error}");
        }
    }

    #[tokio::test]
    async fn an_announced_length_reserves_nothing() {
        let mut reader = FrameReader::new(100 << 20, RequestMemory::new(None));
        reader
            .buffer
            .end()
            .extend_from_slice(&(99_i32 << 20).to_be_bytes());
        reader.grow().await;
        assert!(reader.buffer.capacity() <= FIRST_BUFFER_BYTES);
        reader.buffer.end().resize(FIRST_BUFFER_BYTES, 0);
        reader.grow().await;
        assert!(
            reader.buffer.capacity() <= 2 * GROWTH * FIRST_BUFFER_BYTES,
            "{}",
            reader.buffer.capacity()
        );
    }
}
