//! Binding a port on both loopback addresses, and saying plainly why it cannot be had.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpListener;

/// How often another port is tried where one that the system chose for IPv4 is taken on IPv6.
const FREE_PORT_ATTEMPTS: usize = 20;

/// One service's sockets: the same port on every address.
#[derive(Debug)]
pub struct Listeners {
    pub(crate) sockets: Vec<TcpListener>,
    port: u16,
}

/// Why a service cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else does.
    #[error(
        "port {port} ({role}) is in use by another process; stop that one, or choose another with --{role}-port (0 takes any that is free)"
    )]
    InUse {
        /// The role that wanted it.
        role: String,
        /// The port.
        port: u16,
    },
    /// The system refuses for another reason.
    #[error("the {role} cannot listen on {address}: {source}")]
    Refused {
        /// The role.
        role: String,
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

impl Listeners {
    /// Binds `port` on 127.0.0.1, and on ::1 where the machine has it; port 0 takes one that is free on both. `role` is
    /// named in errors.
    pub async fn loopback(role: &str, port: u16) -> Result<Self, BindError> {
        for _ in 0..FREE_PORT_ATTEMPTS {
            let first = bind(role, SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)).await?;
            let bound = first.local_addr().map_or(port, |address| address.port());
            match bind(role, SocketAddr::new(Ipv6Addr::LOCALHOST.into(), bound)).await {
                Ok(second) => {
                    return Ok(Self {
                        sockets: vec![first, second],
                        port: bound,
                    });
                }
                Err(BindError::InUse { .. }) if port == 0 => {}
                Err(error @ BindError::InUse { .. }) => return Err(error),
                Err(BindError::Refused { .. }) => {
                    return Ok(Self {
                        sockets: vec![first],
                        port: bound,
                    });
                } // no IPv6 here
            }
        }
        Err(BindError::InUse {
            role: role.to_owned(),
            port,
        })
    }

    /// Binds one address, which may be open to the network.
    pub async fn on(role: &str, address: SocketAddr) -> Result<Self, BindError> {
        let socket = bind(role, address).await?;
        let port = socket
            .local_addr()
            .map_or(address.port(), |address| address.port());
        Ok(Self {
            sockets: vec![socket],
            port,
        })
    }

    /// The port that was bound.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Every address that is listened on.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets
            .iter()
            .filter_map(|socket| socket.local_addr().ok())
            .collect()
    }

    /// Whether none but this machine can reach the service.
    pub fn are_loopback(&self) -> bool {
        self.addresses()
            .iter()
            .map(SocketAddr::ip)
            .all(|address: IpAddr| address.is_loopback())
    }
}

async fn bind(role: &str, address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| {
        let role = role.to_owned();
        match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse {
                role,
                port: address.port(),
            },
            _ => BindError::Refused {
                role,
                address,
                source,
            },
        }
    })
}
