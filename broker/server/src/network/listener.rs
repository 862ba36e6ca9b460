//! Binding of listeners. A listener on `localhost` takes the same port of 127.0.0.1 and, where the machine has it, of
//! ::1: clients resolve the name to either. Port 0 finds one that is free on both.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket, lookup_host};

use super::endpoint::{Endpoint, Listener};

/// How often a pair of free ports is looked for before giving up.
const FREE_PORT_ATTEMPTS: usize = 64;

/// Why a listener could not be bound; one line that names cause and cure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else listens there.
    #[error(
        "cannot listen on {address}: port {port} is in use by another process (another Forebay or Kafka? \
         `ss -ltnp 'sport = :{port}'` names it): stop that one, or choose another port by --kafka-port or in listeners",
        port = address.port()
    )]
    InUse {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system does not let this user listen there.
    #[error("cannot listen on {address}: permission denied: choose a port from 1024 up in listeners")]
    PermissionDenied {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The address is not one of this machine, or anything else the system says.
    #[error("cannot listen on {address}: {source}: listeners must name an address of this machine")]
    Refused {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The host name means no address.
    #[error("cannot listen on {endpoint}: the host is not known: {source}")]
    UnknownHost {
        /// The listener.
        endpoint: Endpoint,
        /// What the resolver said.
        source: io::Error,
    },
    /// Not one port was free on both loopback addresses.
    #[error("cannot listen on {0}: found no port that is free on both 127.0.0.1 and ::1")]
    NoFreePort(Endpoint),
}

/// A listener that is bound: one socket, or two for `localhost`.
#[derive(Debug)]
pub(crate) struct Bound {
    /// The listener's name.
    pub(crate) name: String,
    /// What Metadata tells clients; the port is never 0.
    pub(crate) advertised: Endpoint,
    /// The sockets.
    pub(crate) sockets: Vec<TcpListener>,
    /// Their addresses.
    pub(crate) addresses: Vec<SocketAddr>,
}

/// Binds one listener.
///
/// # Errors
/// When the address is taken, not ours, or not known.
pub(crate) async fn bind(listener: &Listener, backlog: u32) -> Result<Bound, Error> {
    let endpoint = &listener.endpoint;
    let sockets = match endpoint.host.as_str() {
        "localhost" => bind_loopback(endpoint, backlog)?,
        "" => vec![listen(
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, endpoint.port)),
            backlog,
        )?],
        host => vec![listen(resolve(endpoint, host).await?, backlog)?],
    };
    let addresses = sockets
        .iter()
        .filter_map(|socket| socket.local_addr().ok())
        .collect::<Vec<_>>();
    let port = addresses.first().map_or(endpoint.port, SocketAddr::port);
    let mut advertised = listener.advertised.clone().unwrap_or_else(|| endpoint.clone());
    if advertised.port == 0 {
        advertised.port = port;
    }
    // Where ::1 is missing the name may still resolve to it first: the address spares clients a failing attempt.
    if listener.advertised.is_none() && endpoint.host == "localhost" && sockets.len() == 1 {
        advertised.host = Ipv4Addr::LOCALHOST.to_string();
    }
    Ok(Bound {
        name: endpoint.name.clone(),
        advertised,
        sockets,
        addresses,
    })
}

async fn resolve(endpoint: &Endpoint, host: &str) -> Result<SocketAddr, Error> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::from((address, endpoint.port)));
    }
    let unknown = |source| Error::UnknownHost {
        endpoint: endpoint.clone(),
        source,
    };
    let mut addresses = lookup_host((host, endpoint.port)).await.map_err(unknown)?;
    addresses
        .next()
        .ok_or_else(|| unknown(io::ErrorKind::NotFound.into()))
}

fn bind_loopback(endpoint: &Endpoint, backlog: u32) -> Result<Vec<TcpListener>, Error> {
    let attempts = if endpoint.port == 0 { FREE_PORT_ATTEMPTS } else { 1 };
    for _ in 0..attempts {
        let v4 = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, endpoint.port)), backlog)?;
        let port = v4.local_addr().map_or(endpoint.port, |address| address.port());
        match listen(SocketAddr::from((Ipv6Addr::LOCALHOST, port)), backlog) {
            Ok(v6) => return Ok(vec![v4, v6]),
            Err(Error::InUse { .. }) if endpoint.port == 0 => {}
            Err(error @ (Error::InUse { .. } | Error::PermissionDenied { .. })) => return Err(error),
            // The machine has no ::1.
            Err(_) => return Ok(vec![v4]),
        }
    }
    Err(Error::NoFreePort(endpoint.clone()))
}

fn listen(address: SocketAddr, backlog: u32) -> Result<TcpListener, Error> {
    let bound = || -> io::Result<TcpListener> {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        // A restart must not wait for the old connections' TIME_WAIT; this does not let two processes share a port.
        socket.set_reuseaddr(true)?;
        if address.ip().is_loopback() {
            do_not_pace(&socket);
        }
        socket.bind(address)?;
        socket.listen(backlog)
    };
    bound().map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => Error::InUse { address, source },
        io::ErrorKind::PermissionDenied => Error::PermissionDenied { address, source },
        _ => Error::Refused { address, source },
    })
}

/// Connections within one machine meet no congestion, but where the system's default is BBR each of their segments waits for a
/// timer: a third of what it costs to send records. Connections inherit this of the socket that accepts them.
fn do_not_pace(socket: &TcpSocket) {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::net::sockopt::set_tcp_congestion(socket, "reno") {
        tracing::debug!(%error, "the system's congestion control stays");
    }
    #[cfg(not(target_os = "linux"))]
    let _unused = socket;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(host: &str, port: u16) -> Listener {
        let endpoint = Endpoint {
            name: "PLAINTEXT".to_owned(),
            host: host.to_owned(),
            port,
        };
        Listener {
            endpoint,
            advertised: None,
        }
    }

    #[tokio::test]
    async fn localhost_is_one_port_on_every_loopback_address() {
        let bound = bind(&listener("localhost", 0), 16).await.expect("a port is free");
        let ports: Vec<u16> = bound.addresses.iter().map(SocketAddr::port).collect();
        assert!(
            ports
                .iter()
                .all(|port| *port == bound.advertised.port && *port != 0),
            "{ports:?}"
        );
        assert_eq!(bound.advertised.host == "localhost", bound.sockets.len() == 2);
    }

    #[tokio::test]
    async fn a_taken_port_is_one_clear_line() {
        let first = bind(&listener("127.0.0.1", 0), 16).await.expect("a port is free");
        let port = first.advertised.port;
        for host in ["localhost", "127.0.0.1"] {
            let error = bind(&listener(host, port), 16)
                .await
                .expect_err("taken")
                .to_string();
            assert!(
                error.starts_with(&format!(
                    "cannot listen on 127.0.0.1:{port}: port {port} is in use"
                )),
                "{error}"
            );
            for cure in [
                &*format!("ss -ltnp 'sport = :{port}'"),
                "--kafka-port",
                "listeners",
            ] {
                assert!(error.contains(cure), "{cure}: {error}");
            }
            assert!(!error.contains('\n'), "one line");
        }
        let error = bind(&listener("192.0.2.1", 0), 16)
            .await
            .expect_err("not ours")
            .to_string();
        assert!(error.contains("must name an address of this machine"), "{error}");
    }
}
