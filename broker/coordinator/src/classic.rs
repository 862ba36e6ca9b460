//! A classic group: its members agree on a protocol, one of them assigns, the coordinator keeps generations apart
//! (Kafka's `ClassicGroup`; KIP-62, 345, 394, 429, 814). What follows from an event is decided in `rebalance`; here is what a group IS.

mod group;
mod member;
mod metadata;
mod protocols;
mod state;

pub(crate) use group::{CONSUMER_PROTOCOL_TYPE, ClassicGroup};
pub(crate) use member::{Member, ParkedJoin, Protocol, milliseconds};
pub(crate) use metadata::{GroupMetadata, MemberMetadata};
pub(crate) use protocols::SupportedProtocols;
pub use state::State;
