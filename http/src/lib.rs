//! What the HTTP services share: listeners on loopback, the guard against foreign web pages, the form of an error.
//! Knows no service.

mod body;
mod connection;
mod error;
mod guard;
mod listener;
mod plain;
mod server;

pub use connection::answer;
pub use error::ErrorBody;
pub use listener::{BindError, Listeners};
pub use server::{Options, Server};
