//! Responses out: small pieces of memory with one system call, long file ranges by `sendfile`, never waiting for a disk on an
//! async worker. What the page cache holds is sent from here; what it does not hold is first read on the I/O pool.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use forebay_disk::File;
use forebay_protocol::{Chunk, FileRange};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::io_pool::IoPool;

/// Pieces given to one system call.
const PIECES_MAX: usize = 64;
/// Bytes that are collected before a system call.
const COLLECTED_BYTES_MAX: usize = 256 * 1024;
/// File ranges up to this length are copied into one system call with their neighbours; longer ones go by `sendfile`.
const COPIED_RANGE_BYTES_MAX: usize = 64 * 1024;
/// How much of a long range is looked up in the page cache and sent at a time.
const WINDOW_BYTES: usize = 512 * 1024;
/// The page cache is asked for one byte in so many: no more than what the kernel reads ahead and gives up at a time.
const PROBE_STRIDE_BYTES: usize = 128 * 1024;
/// For so long the page cache is taken to hold what it held: a slow peer's window is looked up again.
const CACHED_FOR: Duration = Duration::from_millis(100);

/// Writes the chunks of responses to one socket.
#[derive(Debug)]
pub(crate) struct ResponseWriter<'a> {
    stream: &'a TcpStream,
    reads: &'a IoPool,
    /// How long the peer may take nothing before it is given up.
    stall_max: Duration,
    collected: VecDeque<Bytes>,
    collected_bytes: usize,
}

impl<'a> ResponseWriter<'a> {
    /// A writer to `stream` whose cold reads go to `reads`.
    pub(crate) fn new(stream: &'a TcpStream, reads: &'a IoPool, stall_max: Duration) -> Self {
        Self {
            stream,
            reads,
            stall_max,
            collected: VecDeque::new(),
            collected_bytes: 0,
        }
    }

    /// Writes all chunks, in order; gives how many bytes they were.
    ///
    /// # Errors
    /// When the socket fails, the peer takes nothing for too long, or a file does not hold what it should.
    pub(crate) async fn write(&mut self, chunks: Vec<Chunk>) -> io::Result<usize> {
        let mut total = 0;
        for chunk in chunks {
            total += chunk.len();
            match chunk {
                Chunk::Bytes(bytes) => self.collect(bytes).await?,
                Chunk::File(range) if range.length as usize <= COPIED_RANGE_BYTES_MAX => {
                    let bytes = self
                        .read(&range.file, range.position, range.length as usize)
                        .await?;
                    self.collect(bytes).await?;
                }
                Chunk::File(range) => {
                    self.flush(true).await?;
                    self.send_range(range).await?;
                }
            }
        }
        self.flush(false).await?;
        Ok(total)
    }

    async fn collect(&mut self, bytes: Bytes) -> io::Result<()> {
        self.collected_bytes += bytes.len();
        self.collected.push_back(bytes);
        if self.collected.len() >= PIECES_MAX || self.collected_bytes >= COLLECTED_BYTES_MAX {
            self.flush(true).await?;
        }
        Ok(())
    }

    /// Writes what has been collected. With `more` the kernel may wait for what follows before it sends a part of a segment.
    async fn flush(&mut self, more: bool) -> io::Result<()> {
        while self.collected_bytes > 0 {
            let written = self.ready(|stream| send(stream, &self.collected, more)).await?;
            self.advance(written);
        }
        self.collected.clear();
        Ok(())
    }

    fn advance(&mut self, mut written: usize) {
        self.collected_bytes -= written;
        while let Some(front) = self.collected.front_mut() {
            if front.len() > written {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.collected.pop_front();
        }
    }

    async fn send_range(&mut self, range: FileRange) -> io::Result<()> {
        let mut position = range.position;
        let end = range.position + u64::from(range.length);
        while position < end {
            let window = usize::try_from(end - position)
                .unwrap_or(WINDOW_BYTES)
                .min(WINDOW_BYTES);
            if can_sendfile(&range.file) && is_cached(&range.file, position, window)? {
                position += self.send_cached(&range.file, position, window).await?;
            } else {
                let bytes = self.read(&range.file, position, window).await?;
                position += bytes.len() as u64;
                self.collect(bytes).await?;
                self.flush(position < end).await?;
            }
        }
        Ok(())
    }

    /// Sends what the page cache has just been found to hold, until all is sent or that may be no longer true; gives how much it was.
    async fn send_cached(&self, file: &Arc<dyn File>, position: u64, length: usize) -> io::Result<u64> {
        let found = Instant::now();
        let mut sent = 0;
        while sent < length && (sent == 0 || found.elapsed() < CACHED_FOR) {
            sent += self
                .ready(|stream| sendfile(stream, file, position + sent as u64, length - sent))
                .await?;
        }
        Ok(sent as u64)
    }

    /// The bytes of a file: from the page cache if they are there, else by the I/O pool.
    async fn read(&self, file: &Arc<dyn File>, position: u64, length: usize) -> io::Result<Bytes> {
        let mut buffer = BytesMut::zeroed(length);
        if file
            .read_at_nowait(&mut buffer, position)
            .map_err(io::Error::other)?
            == Some(length)
        {
            return Ok(buffer.freeze());
        }
        let file = Arc::clone(file);
        let read = move || read_exact(&*file, &mut buffer, position).map(|()| buffer.freeze());
        self.reads.run(read).await.map_err(io::Error::other)?
    }

    /// Tries `operation` until the socket takes something; nothing taken for too long is an error.
    async fn ready<T>(&self, mut operation: impl FnMut(&TcpStream) -> io::Result<T>) -> io::Result<T> {
        loop {
            match self.stream.try_io(Interest::WRITABLE, || operation(self.stream)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                outcome => return outcome,
            }
            timeout(self.stall_max, self.stream.writable())
                .await
                .map_err(|_elapsed| io::ErrorKind::TimedOut)??;
        }
    }
}

/// Fills the buffer, waiting for the disk.
fn read_exact(file: &dyn File, buffer: &mut [u8], position: u64) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file
            .read_at(&mut buffer[filled..], position + filled as u64)
            .map_err(io::Error::other)?
        {
            // The file is shorter than the range: a truncation that should have waited for us.
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => filled += count,
        }
    }
    Ok(())
}

fn send(stream: &TcpStream, pieces: &VecDeque<Bytes>, more: bool) -> io::Result<usize> {
    use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
    let slices: Vec<IoSlice<'_>> = pieces
        .iter()
        .take(PIECES_MAX)
        .map(|piece| IoSlice::new(piece))
        .collect();
    let mut flags = SendFlags::empty();
    // Elsewhere a broken connection raises no signal: the runtime ignores it.
    #[cfg(target_os = "linux")]
    {
        flags |= SendFlags::NOSIGNAL;
        flags.set(SendFlags::MORE, more);
    }
    #[cfg(not(target_os = "linux"))]
    let _unused = (more, &mut flags);
    Ok(sendmsg(
        stream,
        &slices,
        &mut SendAncillaryBuffer::default(),
        flags,
    )?)
}

/// Whether the page cache has the window, judged by some of its bytes and its end; readahead fills what lies between.
fn is_cached(file: &Arc<dyn File>, position: u64, length: usize) -> io::Result<bool> {
    let mut byte = [0; 1];
    let last = position + length as u64 - 1;
    let probes = (position..last).step_by(PROBE_STRIDE_BYTES).chain([last]);
    for probe in probes {
        if file.read_at_nowait(&mut byte, probe).map_err(io::Error::other)? != Some(1) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(target_os = "linux")]
fn can_sendfile(file: &Arc<dyn File>) -> bool {
    file.as_fd().is_some()
}

#[cfg(target_os = "linux")]
fn sendfile(stream: &TcpStream, file: &Arc<dyn File>, position: u64, length: usize) -> io::Result<usize> {
    let source = file.as_fd().ok_or(io::ErrorKind::Unsupported)?;
    let mut position = position;
    match rustix::fs::sendfile(stream, source, Some(&mut position), length)? {
        // The file is shorter than the range: a truncation that should have waited for us.
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        sent => Ok(sent),
    }
}

#[cfg(not(target_os = "linux"))]
fn can_sendfile(_file: &Arc<dyn File>) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
fn sendfile(_stream: &TcpStream, _file: &Arc<dyn File>, _position: u64, _length: usize) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_disk::{Disk, MemoryDisk, OpenOptions, RealDisk};
    use std::path::Path;
    use std::sync::Mutex;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    /// A file of which the page cache does not hold some part.
    #[derive(Debug)]
    struct PartlyCold {
        file: Arc<dyn File>,
        cold: std::ops::Range<u64>,
        /// What was read with waiting for the disk, and on which thread.
        waited: Mutex<Vec<(std::ops::Range<u64>, Option<String>)>>,
    }

    impl File for PartlyCold {
        fn read_at(&self, buffer: &mut [u8], position: u64) -> forebay_disk::Result<usize> {
            let thread = std::thread::current().name().map(str::to_owned);
            let range = position..position + buffer.len() as u64;
            self.waited.lock().expect("no panic").push((range, thread));
            self.file.read_at(buffer, position)
        }

        fn read_at_nowait(&self, buffer: &mut [u8], position: u64) -> forebay_disk::Result<Option<usize>> {
            if position < self.cold.end && position + buffer.len() as u64 > self.cold.start {
                return Ok(None);
            }
            self.file.read_at_nowait(buffer, position)
        }

        fn write_all_vectored_at(&self, _: &mut [IoSlice<'_>], _: u64) -> forebay_disk::Result<()> {
            unreachable!("a response only reads")
        }

        fn sync_data(&self) -> forebay_disk::Result<()> {
            unreachable!("a response only reads")
        }

        fn set_len(&self, _: u64) -> forebay_disk::Result<()> {
            unreachable!("a response only reads")
        }

        fn len(&self) -> forebay_disk::Result<u64> {
            self.file.len()
        }

        fn as_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
            self.file.as_fd()
        }
    }

    /// Waiting for a disk is the I/O pool's; neither `sendfile` nor a read on this thread may meet what is cold.
    #[tokio::test]
    async fn what_is_cold_is_read_on_the_pool() {
        const LENGTH: u32 = 3_000_000;
        let folder = tempfile::tempdir().expect("a temporary directory");
        let file = RealDisk
            .open(&folder.path().join("data"), OpenOptions::create())
            .expect("creates");
        file.write_all_at(&vec![7; LENGTH as usize], 0).expect("writes");
        // At the beginning, in the middle of a window, across two, a piece at the end; and in a range that is copied.
        let end = u64::from(LENGTH);
        for (cold, length) in [
            (0..1, LENGTH),
            (700_000..800_000, LENGTH),
            (1_000_000..1_100_000, LENGTH),
            (end - 1..end, LENGTH),
            (10_000..10_001, 20_000),
        ] {
            let partly = Arc::new(PartlyCold {
                file: Arc::clone(&file),
                cold: cold.clone(),
                waited: Mutex::default(),
            });
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("bound");
            let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
            let (mut client, server) = (client.expect("connects"), server.expect("accepts").0);
            let reader = tokio::spawn(async move {
                let mut received = Vec::new();
                client.read_to_end(&mut received).await.expect("reads");
                received
            });
            let pool = IoPool::new("read", 1);
            let mut writer = ResponseWriter::new(&server, &pool, Duration::from_secs(10));
            let file = Arc::clone(&partly) as Arc<dyn File>;
            let range = FileRange {
                file,
                position: 0,
                length,
            };
            writer.write(vec![Chunk::File(range)]).await.expect("writes");
            drop(server);
            assert!(reader.await.expect("ends") == vec![7; length as usize]);
            pool.close();
            let waited = partly.waited.lock().expect("no panic");
            let met = |at: u64| waited.iter().any(|(range, _)| range.contains(&at));
            assert!(met(cold.start) && met(cold.end - 1), "{cold:?}: {waited:?}");
            let on_the_pool = |thread: &Option<String>| thread.as_deref() == Some("read-0");
            assert!(waited.iter().all(|(_, thread)| on_the_pool(thread)), "{waited:?}");
            let bytes: u64 = waited.iter().map(|(range, _)| range.end - range.start).sum();
            assert!(
                bytes <= 2 * WINDOW_BYTES as u64,
                "what is cached goes by sendfile"
            );
        }
    }

    async fn round_trip(disk: &dyn Disk, folder: &Path) {
        let content: Vec<u8> = (0..3_000_000_u32)
            .map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1])
            .collect();
        let file = disk
            .open(&folder.join("data"), OpenOptions::create())
            .expect("creates");
        file.write_all_at(&content, 0).expect("writes");
        let range = |position: usize, length: usize| {
            let length = u32::try_from(length).expect("small");
            Chunk::File(FileRange {
                file: Arc::clone(&file),
                position: position as u64,
                length,
            })
        };
        let piece = |from: usize, to: usize| Chunk::Bytes(Bytes::copy_from_slice(&content[from..to]));
        let mut chunks = vec![
            piece(0, 10),
            range(10, 100),
            piece(110, 120),
            range(120, 2_000_000),
            range(2_000_120, 999_880),
        ];
        chunks.extend((0..200).map(|n| piece(n * 2000, (n + 1) * 2000)));
        let expected: Vec<u8> = content.iter().chain(&content[..400_000]).copied().collect();

        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (mut client, server) = (client.expect("connects"), server.expect("accepts").0);
        let reader = tokio::spawn(async move {
            let mut received = Vec::new();
            client.read_to_end(&mut received).await.expect("reads");
            received
        });
        let pool = IoPool::new("read", 1);
        let mut writer = ResponseWriter::new(&server, &pool, Duration::from_secs(10));
        assert_eq!(writer.write(chunks).await.expect("writes"), expected.len());
        let past_the_end = vec![range(2_999_000, 2_000)];
        assert!(writer.write(past_the_end).await.is_err());
        drop(server);
        assert!(reader.await.expect("ends") == expected);
        pool.close();
    }

    #[tokio::test]
    async fn memory_and_files_arrive_in_order() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        round_trip(&RealDisk, folder.path()).await;
        let memory = MemoryDisk::new();
        memory.create_dir_all(Path::new("/d")).expect("creates");
        round_trip(&memory, Path::new("/d")).await;
    }
}
