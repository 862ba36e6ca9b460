//! Accepts connections and gives each a task. Bounds them: over all, and per address.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::connection::{Connection, Shared};
use super::rate_limit::LogLimit;
use crate::clock;
use crate::config::NetworkConfig;
use crate::dynamic::Dynamic;

/// How long accepting rests when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long connections may take to end once the broker shuts down.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// How many refused connections are kept waiting at most; further ones are closed at once.
const REFUSED_MAX: usize = 100;
/// Of the descriptors, the share that these may have: they are those of segments.
const REFUSED_SHARE: usize = 32;
/// Of the process's file descriptors, the share that connections may have, in quarters; the rest is for segments.
const DESCRIPTOR_QUARTERS: usize = 3;

/// What the acceptors of all listeners have in common.
#[derive(Debug)]
pub(crate) struct Gate {
    connection: Shared,
    config: NetworkConfig,
    dynamic: Arc<Dynamic>,
    permits: Arc<Semaphore>,
    /// Of refused connections, those that are told late.
    refused: Semaphore,
    by_address: Mutex<HashMap<IpAddr, usize>>,
    log: LogLimit,
}

impl Gate {
    /// A gate with no connection yet.
    pub(crate) fn new(connection: Shared, config: NetworkConfig, dynamic: Arc<Dynamic>) -> Self {
        let connections_max = config
            .connections_max
            .min(descriptors_for_connections())
            .min(Semaphore::MAX_PERMITS);
        Self {
            connection,
            config,
            dynamic,
            permits: Arc::new(Semaphore::new(connections_max)),
            refused: Semaphore::new(refused_max(descriptors())),
            by_address: Mutex::default(),
            log: LogLimit::new(Instant::now()),
        }
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts from one socket until the broker shuts down, then waits for its connections to end.
    pub(crate) async fn accept(self: Arc<Self>, socket: TcpListener, listener: Arc<str>) {
        let mut connections = JoinSet::new();
        let shutdown = self.connection.shutdown.clone().requested();
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(_ended) = connections.join_next() => {}
                accepted = self.next(&socket) => match accepted {
                    Ok((stream, peer, permit)) => {
                        let wait = self.dynamic.connections().accepted(&listener, clock::monotonic());
                        if !wait.is_zero() {
                            tokio::select! {
                                () = &mut shutdown => break,
                                () = sleep(wait) => {}
                            }
                        }
                        connections.spawn(Arc::clone(&self).serve(stream, peer, permit, Arc::clone(&listener)));
                    }
                    Err(error) => {
                        if self.log.allows(IpAddr::from([0, 0, 0, 0]), Instant::now()) {
                            tracing::warn!(%error, %listener, "cannot accept connections");
                        }
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(socket);
        let drained = tokio::time::timeout(DRAIN_MAX, async {
            while connections.join_next().await.is_some() {}
        });
        if drained.await.is_err() {
            tracing::warn!(%listener, left = connections.len(), "connections did not end in time and are cut");
        }
    }

    /// Waits for room, then for a connection: what finds no room waits in the operating system's queue.
    async fn next(&self, socket: &TcpListener) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        let (stream, peer) = socket.accept().await?;
        Ok((stream, peer, permit))
    }

    async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        permit: OwnedSemaphorePermit,
        listener: Arc<str>,
    ) {
        let metrics = self.connection.router.metrics();
        let throttle = self
            .connection
            .router
            .quotas()
            .connected(peer.ip(), clock::monotonic());
        if !throttle.is_zero() {
            metrics.connection_refused();
            self.report(
                peer,
                &"connections come faster than this address may (connection_creation_rate)",
            );
            // Who is let go at once comes back at once; but it waits in nobody's place.
            drop(permit);
            if let Ok(_waits) = self.refused.try_acquire() {
                sleep(throttle).await;
            }
            return;
        }
        let Some(_place) = Place::take(&self, peer.ip()) else {
            metrics.connection_refused();
            self.report(
                peer,
                &"too many connections from this address (max.connections.per.ip)",
            );
            return;
        };
        metrics.connection_opened();
        let outcome = match self.prepare(&stream) {
            Ok(()) => {
                Connection::new(&stream, peer, listener, &self.connection)
                    .run()
                    .await
            }
            Err(error) => Err(error.into()),
        };
        metrics.connection_closed();
        drop(permit);
        match outcome {
            Err(error) if error.is_remarkable() => self.report(peer, &error),
            Err(error) => tracing::debug!(%peer, %error, "connection ended"),
            Ok(()) => {}
        }
    }

    fn report(&self, peer: SocketAddr, reason: &dyn std::fmt::Display) {
        if self.log.allows(peer.ip(), Instant::now()) {
            tracing::warn!(%peer, %reason, "connection closed");
        }
    }

    fn prepare(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        rustix::net::sockopt::set_socket_keepalive(stream, true)?;
        if let Some(bytes) = self.config.send_buffer_bytes {
            rustix::net::sockopt::set_socket_send_buffer_size(stream, bytes)?;
        }
        if let Some(bytes) = self.config.receive_buffer_bytes {
            rustix::net::sockopt::set_socket_recv_buffer_size(stream, bytes)?;
        }
        Ok(())
    }
}

/// A connection's place among those of its address.
struct Place<'a> {
    gate: &'a Gate,
    address: IpAddr,
}

impl<'a> Place<'a> {
    fn take(gate: &'a Gate, address: IpAddr) -> Option<Self> {
        let mut addresses = gate.addresses();
        let count = addresses.get(&address).copied().unwrap_or(0);
        if count >= gate.dynamic.connections_per_ip_max() {
            return None;
        }
        addresses.insert(address, count + 1);
        Some(Self { gate, address })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut addresses = self.gate.addresses();
        if let Some(count) = addresses.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&self.address);
            }
        }
    }
}

fn descriptors_for_connections() -> usize {
    for_connections(descriptors())
}

fn descriptors() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

fn for_connections(descriptors: usize) -> usize {
    descriptors / 4 * DESCRIPTOR_QUARTERS
}

fn refused_max(descriptors: usize) -> usize {
    REFUSED_MAX.min(descriptors / REFUSED_SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_connections_leave_descriptors_for_segments() {
        for descriptors in [64, 256, 400, 1_024, 65_536] {
            let taken = for_connections(descriptors) + refused_max(descriptors);
            assert!(taken <= descriptors / 8 * 7, "{descriptors}");
        }
        assert_eq!(refused_max(usize::MAX), REFUSED_MAX);
    }
}
