//! Workers as a group (KIP-415, KIP-507): what they tell each other, how their leader shares connectors and tasks out, what
//! a worker may run from one assignment to the next, and for how long. Pure but for the clock of [`Session`]; who speaks with
//! the coordinator is the herder.

mod assignor;
mod leadership;
mod protocol;
mod session;
mod signature;
mod state;
mod view;
mod work;

pub(crate) use assignor::Assignor;
pub(crate) use leadership::Leadership;
pub(crate) use protocol::{Outcome, Protocol, WorkerState, decode_assignment, offers};
pub(crate) use session::Session;
pub(crate) use signature::{ALGORITHM_HEADER, Algorithm, SIGNATURE_HEADER};
pub(crate) use state::{Joined, Snapshot, State};
pub(crate) use view::{Group, Leader, Owners, View};
pub(crate) use work::Work;
