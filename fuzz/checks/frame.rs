//! What must hold for any bytes that arrive on a connection, in pieces of any size. Shared by the tests of `broker/server` and the fuzz
//! target.

use bytes::BufMut as _;
use forebay_broker_server::network::frame_buffer::{Error, FIRST_BUFFER_BYTES, FrameBuffer, GROWTH};

/// How many bytes of an input say how it is read: the bound in two, the sizes of pieces in the others, in turn.
const PLAN_BYTES: usize = 6;

/// Reads frames from what is behind the plan, and holds them against those of the simplest reader there is. Gives how many
/// there were.
pub(crate) fn check(input: &[u8]) -> usize {
    let Some((plan, stream)) = input.split_at_checked(PLAN_BYTES) else {
        return 0;
    };
    let bytes_max = usize::from(u16::from_be_bytes([plan[0], plan[1]]));
    let mut sizes = plan[2..]
        .iter()
        .map(|size| usize::from(*size) * usize::from(*size) + 1)
        .cycle();
    let mut buffer = FrameBuffer::new(bytes_max);
    let mut left = stream;
    let mut frames: Vec<Vec<u8>> = Vec::new();
    let refused = loop {
        match buffer.take() {
            Ok(Some(frame)) => {
                frames.push(frame.to_vec());
                continue;
            }
            Ok(None) => {}
            Err(error) => break Some(error),
        }
        if left.is_empty() {
            break None;
        }
        let have = buffer.end().len();
        if let Some(wanted) = buffer.wanted() {
            assert!(wanted > have && wanted <= FIRST_BUFFER_BYTES.max(have * GROWTH).max(have + 1));
            buffer.make_room(wanted);
        }
        // The memory that it has is what it wanted, or twice what it had.
        assert!(buffer.capacity() <= (2 * FIRST_BUFFER_BYTES).max(2 * GROWTH * have.max(1)));
        let room = buffer.capacity() - have;
        assert!(room > 0, "a read makes progress");
        let size = sizes.next().unwrap_or(1).min(room).min(left.len());
        let (piece, rest) = left.split_at(size);
        buffer.end().put_slice(piece);
        left = rest;
        if buffer.has_crumbs() {
            buffer.shrink();
        }
    };
    assert_eq!((frames.clone(), refused), expected(stream, bytes_max));
    frames.len()
}

fn expected(mut stream: &[u8], bytes_max: usize) -> (Vec<Vec<u8>>, Option<Error>) {
    let mut frames = Vec::new();
    while let Some((head, rest)) = stream.split_first_chunk::<4>() {
        let length = i32::from_be_bytes(*head);
        let Some(bytes) = usize::try_from(length).ok().filter(|bytes| *bytes <= bytes_max) else {
            return (
                frames,
                Some(Error {
                    length,
                    max: bytes_max,
                }),
            );
        };
        let Some((frame, rest)) = rest.split_at_checked(bytes) else {
            break;
        };
        frames.push(frame.to_vec());
        stream = rest;
    }
    (frames, None)
}
