//! Sockets: where the broker listens, frames in, responses out. Knows nothing of topics.

pub(crate) mod acceptor;
pub(crate) mod buffers;
pub(crate) mod connection;
pub mod endpoint;
pub(crate) mod frame;
pub mod frame_buffer;
pub mod listener;
pub(crate) mod rate_limit;
pub(crate) mod request_memory;
pub(crate) mod write;
