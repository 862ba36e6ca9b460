//! Which addresses a request may go to. The worker says what URLs of configurations may reach; a redirect may lead to public
//! addresses, and to private ones only of the kind that the URL itself has: a server on this machine to another one on it, but not
//! to a cloud's metadata service. Names are judged by what they resolve to, at the moment a connection is made.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use forebay_connect_api::{Access, BoxError, BoxFuture, is_private};
use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

/// Kinds of addresses, as far as redirects tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Public,
    Loopback,
    LinkLocal,
    OtherPrivate,
}

impl Kind {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            address if !is_private(address) => Self::Public,
            address if address.is_loopback() => Self::Loopback,
            IpAddr::V4(address) if address.is_link_local() => Self::LinkLocal,
            IpAddr::V6(address) if address.is_unicast_link_local() => Self::LinkLocal,
            _ => Self::OtherPrivate,
        }
    }

    /// What all of these are; public if they differ, as that opens nothing.
    pub(super) fn of_all(addresses: &[IpAddr]) -> Self {
        let mut kinds = addresses.iter().map(|address| Self::of(*address));
        let first = kinds.next().unwrap_or(Self::Public);
        match kinds.all(|kind| kind == first) {
            true => first,
            false => Self::Public,
        }
    }
}

/// Resolves names. A seam, so that tests need no name server.
pub(super) trait Names: Send + Sync {
    /// The addresses of a host.
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// As the system does.
pub(super) struct SystemNames;

impl Names for SystemNames {
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// The host of a URL, and whether it is an address.
pub(super) fn host(url: &Url) -> (&str, Option<IpAddr>) {
    let host = url.host_str().unwrap_or_default();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let bare = bare.unwrap_or(host);
    (bare, bare.parse().ok())
}

/// How a request came to its URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The configuration says so.
    Configured,
    /// A redirect from a URL of the configuration that has an address of this kind.
    Redirected(Kind),
}

/// An address that may not be reached.
#[derive(Debug, thiserror::Error)]
#[error("{address}: {reason}")]
pub(super) struct Forbidden {
    pub(super) address: IpAddr,
    pub(super) reason: &'static str,
}

/// Judges addresses. It is told the way of each request before that is made.
#[derive(Debug)]
pub(super) struct Gate {
    access: Access,
    redirect_to_private: bool,
    way: Mutex<Way>,
}

impl Gate {
    pub(super) fn new(access: Access, redirect_to_private: bool) -> Self {
        Self {
            access,
            redirect_to_private,
            way: Mutex::new(Way::Configured),
        }
    }

    /// The next request, and the names that are resolved for it, come this way.
    pub(super) fn set_way(&self, way: Way) {
        *self.way.lock().unwrap_or_else(PoisonError::into_inner) = way;
    }

    fn way(&self) -> Way {
        *self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges a URL whose host is an address.
    pub(super) fn check_url(&self, url: &Url) -> Result<(), Forbidden> {
        match host(url) {
            (_, Some(address)) => self.check(self.way(), address),
            _ => Ok(()),
        }
    }

    /// Whether a name that does not resolve here may be left to a proxy, which could lead anywhere.
    pub(super) fn allows_unknown(&self, way: Way) -> bool {
        self.access.allows_address(Ipv4Addr::LOCALHOST.into())
            && (way == Way::Configured || self.redirect_to_private)
    }

    /// Judges the address that a connection has.
    pub(super) fn check_address(&self, address: IpAddr) -> Result<(), Forbidden> {
        self.check(self.way(), address)
    }

    /// Judges an address that is come to this way.
    pub(super) fn check(&self, way: Way, address: IpAddr) -> Result<(), Forbidden> {
        let forbidden = |reason| Err(Forbidden { address, reason });
        if !self.access.allows_address(address) {
            return forbidden(
                "which is this machine's or in a private network; this worker allows that to no connector",
            );
        }
        match (way, Kind::of(address)) {
            (Way::Redirected(from), to) if to != Kind::Public && to != from && !self.redirect_to_private => {
                forbidden(
                    "which is this machine's or in a private network; a redirect may only go there if \
                     http.redirect.private.allowed=true",
                )
            }
            _ => Ok(()),
        }
    }
}

/// Resolves names, and leaves out what the gate forbids.
pub(super) struct Resolver {
    gate: Arc<Gate>,
    names: Arc<dyn Names>,
}

impl Resolver {
    pub(super) fn new(gate: Arc<Gate>, names: Arc<dyn Names>) -> Self {
        Self { gate, names }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let gate = Arc::clone(&self.gate);
        let way = gate.way();
        let found = self.names.lookup(name.as_str().to_owned());
        Box::pin(async move {
            let mut forbidden = None;
            let mut allowed: Vec<SocketAddr> = Vec::new();
            for address in found.await? {
                match gate.check(way, address) {
                    Ok(()) => allowed.push(SocketAddr::new(address, 0)),
                    Err(error) => forbidden = Some(error),
                }
            }
            match forbidden {
                Some(error) if allowed.is_empty() => Err(BoxError::from(error)),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn redirects_stay_in_the_kind_of_network_they_come_from() {
        let kinds = [
            ("8.8.8.8", Kind::Public),
            ("127.1.2.3", Kind::Loopback),
            ("::ffff:127.0.0.1", Kind::Loopback),
            ("::1", Kind::Loopback),
            ("169.254.169.254", Kind::LinkLocal),
            ("fe80::1", Kind::LinkLocal),
            ("10.0.0.1", Kind::OtherPrivate),
            ("64:ff9b::a9fe:a9fe", Kind::OtherPrivate),
        ];
        let strict = Gate::new(Access::unrestricted(), false);
        let open = Gate::new(Access::unrestricted(), true);
        let closed = Gate::new(Access::none(), true);
        for (to, kind) in kinds {
            assert_eq!(Kind::of(address(to)), kind, "{to}");
            strict.check(Way::Configured, address(to)).expect(to);
            for (_, from) in kinds {
                let way = Way::Redirected(from);
                let allowed = kind == Kind::Public || kind == from;
                assert_eq!(
                    strict.check(way, address(to)).is_ok(),
                    allowed,
                    "{from:?} to {to}"
                );
                open.check(way, address(to)).expect(to);
                assert_eq!(
                    closed.check(way, address(to)).is_ok(),
                    kind == Kind::Public,
                    "{to}"
                );
            }
        }
    }

    #[test]
    fn addresses_in_urls_are_seen_in_every_spelling() {
        let gate = Gate::new(Access::none(), false);
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::1]:80/",
            "http://[::ffff:10.0.0.1]/",
        ] {
            let parsed = Url::parse(url).expect(url);
            gate.check_url(&parsed).expect_err(url);
        }
        for url in ["http://8.8.8.8/", "http://name.example/"] {
            gate.check_url(&Url::parse(url).expect(url)).expect(url);
        }
    }
}
