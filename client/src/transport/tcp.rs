//! A connection to a broker: requests are pipelined, one task writes, one reads, answers come in the order of the requests.
//! Whatever ends the connection fails everything in flight, with an error that says a retry may help.
//! TLS and SASL have their place in [`connect`], between the socket and the tasks.

mod connection;
mod frame;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use forebay_protocol::{Request, Utf8Bytes};
use tokio::{net::TcpStream, time::timeout};

pub use connection::Tcp;

use crate::transport::{CallFuture, Error, Transport};

/// How many requests may be unanswered on a connection; more wait.
pub const IN_FLIGHT_REQUESTS_MAX: usize = 100;

/// How large an answer may be. A fetch of one batch that is larger than `fetch.max.bytes` must still fit.
pub const RESPONSE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Where to connect and as whom.
#[derive(Debug, Clone)]
pub struct Options {
    /// `host:port`
    pub address: Arc<str>,
    /// The client id that goes with each request.
    pub client_id: Utf8Bytes,
    /// How long the connection may take to come about, all of the name's addresses together.
    pub setup_timeout: Duration,
}

/// Opens a connection, trying all addresses of the name.
///
/// # Errors
/// [`Error::Connect`] with what the last address said, [`Error::ConnectTimeout`] if none said anything in time.
pub async fn connect(options: Options) -> Result<Tcp, Error> {
    let Options {
        address,
        client_id,
        setup_timeout,
    } = options;
    match timeout(setup_timeout, open(&address)).await {
        Ok(Ok(stream)) => Ok(Tcp::start(stream.into_split(), address, client_id)),
        Ok(Err(source)) => Err(Error::Connect {
            address,
            source: Arc::new(source),
        }),
        Err(_) => Err(Error::ConnectTimeout {
            address,
            after: setup_timeout,
        }),
    }
}

async fn open(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host(address).await?.collect();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Requests are written whole; waiting for more would only delay them.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl Transport for Tcp {
    fn call(&self, api_version: i16, request: Request) -> CallFuture {
        self.enqueue(api_version, request)
    }

    fn address(&self) -> &Arc<str> {
        self.address()
    }

    fn is_open(&self) -> bool {
        self.is_open()
    }

    fn close(&self) {
        self.fail("it was closed on this side");
    }
}

#[cfg(test)]
mod tests;
