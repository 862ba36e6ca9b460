//! What connectors may reach. Whoever may create a connector makes the worker read and write what the worker's user can, so
//! a worker that listens beyond loopback restricts it; the task asks at the moment it opens something, because what was
//! allowed when the configuration was checked may be a symbolic link to somewhere else by now.

use std::{
    ffi::OsString,
    io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use crate::Error;

/// The worker's rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// `None`: anywhere.
    roots: Option<Vec<PathBuf>>,
    private_addresses: bool,
}

impl Access {
    /// Everything may be reached, as with Kafka's worker.
    pub const fn unrestricted() -> Self {
        Self {
            roots: None,
            private_addresses: true,
        }
    }

    /// No file and no private address may be reached.
    pub const fn none() -> Self {
        Self {
            roots: Some(Vec::new()),
            private_addresses: false,
        }
    }

    /// Allows files in these directories and below only (`connect.allowed.paths`).
    #[must_use]
    pub fn with_paths(mut self, roots: impl IntoIterator<Item = PathBuf>) -> Self {
        self.roots = Some(roots.into_iter().collect());
        self
    }

    /// Says whether addresses of this machine and of private networks may be reached by URL.
    #[must_use]
    pub fn with_private_addresses(mut self, allowed: bool) -> Self {
        self.private_addresses = allowed;
        self
    }

    /// Whether a file at `path` may be opened, all symbolic links followed. Looks at the file system, so it may block. What does
    /// not exist yet is judged by the directory it would be in.
    ///
    /// # Errors
    /// A fatal one that names the path and the way out.
    pub fn check_path(&self, path: &Path) -> Result<(), Error> {
        let Some(roots) = &self.roots else { return Ok(()) };
        let shown = path.display();
        let real = real_path(path).map_err(|error| {
            Error::fatal(format!("cannot find out where {shown} leads")).with_source(error)
        })?;
        let is_below = |root: &PathBuf| real_path(root).is_ok_and(|root| real.starts_with(root));
        if roots.iter().any(is_below) {
            return Ok(());
        }
        Err(Error::fatal(format!(
            "{shown} leads to {}, which the worker does not allow; its connect.allowed.paths lists the directories that it does",
            real.display()
        )))
    }

    /// Whether a connection to that address may be made because of a URL in a configuration or a redirect.
    pub fn allows_address(&self, address: IpAddr) -> bool {
        self.private_addresses || !is_private(address)
    }
}

/// The path without symbolic links and `..`, as far as it exists; the rest as it is, which must not climb.
fn real_path(path: &Path) -> io::Result<PathBuf> {
    let mut missing: Vec<OsString> = Vec::new();
    let mut known = std::path::absolute(path)?;
    loop {
        match known.canonicalize() {
            Ok(mut real) => {
                real.extend(missing.iter().rev());
                return Ok(real);
            }
            // A link that leads nowhere would be followed when the file is created.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !known.is_symlink() => {
                let (Some(name), Some(parent)) = (known.file_name(), known.parent()) else {
                    return Err(error);
                };
                missing.push(name.to_owned());
                known = parent.to_path_buf();
            }
            Err(error) => return Err(error),
        }
    }
}

/// Loopback, link-local (cloud metadata services live there), private, shared, unspecified, multicast and reserved addresses.
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, third, _] = address.octets();
            address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_multicast()
                || address.is_broadcast()
                || first == 0
                || first >= 240
                || (first == 100 && second & 0xc0 == 64)
                || (first == 192 && second == 0 && third == 0)
                || (first == 198 && second & 0xfe == 18)
        }
        IpAddr::V6(address) => {
            let mapped = address.to_ipv4_mapped().or_else(|| embedded_ipv4(address));
            mapped.is_some_and(|address| is_private(IpAddr::V4(address)))
                || address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_unique_local()
                || address.is_unicast_link_local()
        }
    }
}

/// The IPv4 address to which a translator (NAT64, `64:ff9b::/96`) or 6to4 relay would send.
fn embedded_ipv4(address: std::net::Ipv6Addr) -> Option<std::net::Ipv4Addr> {
    let part = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        std::net::Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(part(high, low)),
        [0x2002, high, low, ..] => Some(part(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_in_all_their_spellings() {
        let private = [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "::ffff:127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "ff02::1",
            "198.18.0.1",
        ];
        for address in private {
            assert!(is_private(address.parse().expect(address)), "{address}");
        }
        for address in [
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "64:ff9b::808:808",
        ] {
            assert!(!is_private(address.parse().expect(address)), "{address}");
        }
        assert!(!Access::none().allows_address(private[0].parse().expect("an address")));
        assert!(Access::unrestricted().allows_address(private[0].parse().expect("an address")));
    }

    #[test]
    fn a_link_out_of_the_allowed_directories_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let (inside, outside) = (directory.path().join("in"), directory.path().join("out"));
        std::fs::create_dir_all(&inside).expect("created");
        std::fs::create_dir_all(&outside).expect("created");
        std::fs::write(outside.join("secret"), "s").expect("written");
        std::os::unix::fs::symlink(outside.join("secret"), inside.join("link")).expect("linked");
        std::os::unix::fs::symlink(outside.join("none"), inside.join("dangling")).expect("linked");
        std::os::unix::fs::symlink(&outside, inside.join("way")).expect("linked");
        let access = Access::unrestricted().with_paths([inside.clone()]);
        for good in ["a", "new/a", "."] {
            access.check_path(&inside.join(good)).expect(good);
        }
        for bad in [
            "link",
            "dangling",
            "way/secret",
            "way/new",
            "../out/secret",
            "/etc/passwd",
        ] {
            assert!(access.check_path(&inside.join(bad)).is_err(), "{bad}");
        }
        assert!(Access::none().check_path(&inside).is_err());
    }
}
