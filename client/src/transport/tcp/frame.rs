//! Frames on a socket: four bytes of length, then so many bytes. Reading never reserves much more than has arrived.

use std::io;

use bytes::{Bytes, BytesMut};
use forebay_protocol::Chunk;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What is reserved for a frame before its bytes are there; beyond that the buffer doubles as they come.
const RESERVED_BYTES_MAX: usize = 1024 * 1024;

/// How many pieces go into one system call; what Linux takes at most.
const PIECES_MAX: usize = 1024;

/// Reads one frame; `None` if the stream ends between two.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    frame_bytes_max: usize,
) -> io::Result<Option<Bytes>> {
    let mut length = [0; 4];
    if stream.read(&mut length[..1]).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut length[1..]).await?;
    let length = usize::try_from(i32::from_be_bytes(length))
        .ok()
        .filter(|length| *length <= frame_bytes_max);
    let length = length.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a frame is longer than {frame_bytes_max} bytes"),
        )
    })?;
    let mut frame = BytesMut::with_capacity(length.min(RESERVED_BYTES_MAX));
    while frame.len() < length {
        if frame.len() == frame.capacity() {
            frame.reserve(frame.len().min(length - frame.len()));
        }
        let missing = (length - frame.len()) as u64;
        if (&mut *stream).take(missing).read_buf(&mut frame).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Some(frame.freeze()))
}

/// Writes the pieces in order, many in each system call.
pub(super) async fn write(stream: &mut (impl AsyncWrite + Unpin), pieces: &[Bytes]) -> io::Result<()> {
    for pieces in pieces.chunks(PIECES_MAX) {
        let mut slices: Vec<io::IoSlice<'_>> = pieces
            .iter()
            .filter(|piece| !piece.is_empty())
            .map(|piece| io::IoSlice::new(piece))
            .collect();
        let mut left = slices.as_mut_slice();
        while !left.is_empty() {
            let written = stream.write_vectored(left).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            io::IoSlice::advance_slices(&mut left, written);
        }
    }
    stream.flush().await
}

/// The pieces of an encoded request. A client's requests never carry parts of files.
pub(super) fn in_memory(chunks: Vec<Chunk>) -> Result<Vec<Bytes>, &'static str> {
    chunks
        .into_iter()
        .map(|chunk| match chunk {
            Chunk::Bytes(bytes) => Ok(bytes),
            Chunk::File(_) => Err("its records lie in a file"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_come_back_whole_from_any_pieces() {
        let large = Bytes::from(vec![7; 3 * RESERVED_BYTES_MAX]);
        let (mut ours, mut theirs) = tokio::io::duplex(1000);
        let writing = tokio::spawn({
            let large = large.clone();
            async move {
                let length = |bytes: &Bytes| Bytes::copy_from_slice(&(bytes.len() as u32).to_be_bytes());
                let small = Bytes::from_static(b"abc");
                let mut pieces = vec![length(&small), small, length(&Bytes::new()), length(&large)];
                pieces.extend(
                    (0..large.len())
                        .step_by(1500)
                        .map(|at| large.slice(at..large.len().min(at + 1500))),
                );
                write(&mut ours, &pieces).await
            }
        });
        let mut frames = Vec::new();
        while let Some(frame) = read(&mut theirs, large.len()).await.expect("frames are sound") {
            frames.push(frame);
        }
        assert_eq!(frames, [Bytes::from_static(b"abc"), Bytes::new(), large]);
        writing
            .await
            .expect("no panic")
            .expect("the reader took everything");
    }

    #[tokio::test]
    async fn a_length_reserves_nothing_and_has_a_bound() {
        for (bytes, max, expected) in [
            (&[0, 0, 0, 2, 1, 2][..], 2, None),
            (&[0, 0, 0, 3, 1, 2, 3], 2, Some(io::ErrorKind::InvalidData)),
            (
                &[0xff, 0xff, 0xff, 0xff],
                usize::MAX,
                Some(io::ErrorKind::InvalidData),
            ),
            (
                &[0x7f, 0xff, 0xff, 0xff, 1],
                usize::MAX,
                Some(io::ErrorKind::UnexpectedEof),
            ),
            (&[0, 0], 2, Some(io::ErrorKind::UnexpectedEof)),
        ] {
            let read = read(&mut &bytes[..], max).await;
            assert_eq!(read.err().map(|error| error.kind()), expected, "{bytes:?}");
        }
    }
}
