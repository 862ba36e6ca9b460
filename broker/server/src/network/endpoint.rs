//! Kafka's listener lists: `listeners`, `advertised.listeners` and `listener.security.protocol.map` as values. Knows no
//! socket; `network::listener` binds what is parsed here.

use std::fmt;

/// What can be wrong with a listener list; the message names the key, the cause and the cure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An entry that is not `NAME://HOST:PORT`.
    #[error(
        "{key}: \"{entry}\" is no listener: write NAME://HOST:PORT, for example PLAINTEXT://localhost:9092"
    )]
    Malformed {
        /// The configuration key.
        key: &'static str,
        /// The entry as it was written.
        entry: String,
    },
    /// The same name or address twice.
    #[error("{key}: each listener must have a name and a port of its own: {entry} appears twice")]
    Duplicate {
        /// The configuration key.
        key: &'static str,
        /// What appears twice.
        entry: String,
    },
    /// A listener whose security protocol is not there yet.
    #[error("listeners: {name} asks for {protocol}; only PLAINTEXT listeners are supported so far")]
    UnsupportedProtocol {
        /// The listener's name.
        name: String,
        /// The security protocol it maps to.
        protocol: String,
    },
    /// A name that is no protocol and that the map does not have.
    #[error(
        "listeners: no security protocol is defined for listener {0}: add it to listener.security.protocol.map"
    )]
    UnknownName(String),
    /// A wildcard address that clients would be told to connect to.
    #[error(
        "listeners: {0} listens on every address, and clients cannot connect to \"every address\": set \
         advertised.listeners to the host name they should use, for example advertised.listeners={1}"
    )]
    WildcardNotAdvertised(String, String),
    /// `advertised.listeners` has an address that nobody can connect to.
    #[error("advertised.listeners: {0} cannot be connected to: name a host that clients can reach")]
    AdvertisedWildcard(String),
    /// `advertised.listeners` names a listener that `listeners` does not have.
    #[error("advertised.listeners: {0} is not among the names in listeners")]
    AdvertisedUnknown(String),
    /// No listener is left for clients.
    #[error(
        "listeners: no listener is left for clients (those in controller.listener.names serve controllers only)"
    )]
    NoneForClients,
}

/// One entry of a listener list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The listener's name, in capitals as Kafka keeps it.
    pub name: String,
    /// The host as written; empty: every address (Kafka's meaning of `PLAINTEXT://:9092`).
    pub host: String,
    /// The port; 0: any that is free.
    pub port: u16,
}

impl Endpoint {
    /// Whether the host stands for every address of the machine.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        matches!(self.host.as_str(), "" | "0.0.0.0" | "::")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(f, "{}://[{}]:{}", self.name, self.host, self.port);
        }
        write!(f, "{}://{}:{}", self.name, self.host, self.port)
    }
}

/// A listener to be bound, and what clients are told about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// What to bind.
    pub endpoint: Endpoint,
    /// What Metadata answers; `None`: the bound address itself.
    pub advertised: Option<Endpoint>,
}

/// The keys that together say where a broker listens.
#[derive(Debug, Clone, Copy)]
pub struct ListenerKeys<'a> {
    /// `listeners`.
    pub listeners: &'a [String],
    /// `advertised.listeners`.
    pub advertised: &'a [String],
    /// `listener.security.protocol.map`, entries `NAME:PROTOCOL`.
    pub protocol_map: &'a [String],
    /// `controller.listener.names`: not bound, as a quorum of one talks to nobody.
    pub controller_names: &'a [String],
}

impl ListenerKeys<'_> {
    /// The listeners for clients.
    ///
    /// # Errors
    /// What is wrong with the first bad entry.
    pub fn parse(&self) -> Result<Vec<Listener>, Error> {
        let endpoints = parse_list("listeners", self.listeners)?;
        let advertised = parse_list("advertised.listeners", self.advertised)?;
        if let Some(stray) = advertised
            .iter()
            .find(|one| !endpoints.iter().any(|bound| bound.name == one.name))
        {
            return Err(Error::AdvertisedUnknown(stray.name.clone()));
        }
        let controllers: Vec<String> = self
            .controller_names
            .iter()
            .map(|name| name.to_uppercase())
            .collect();
        let mut listeners = Vec::new();
        for endpoint in endpoints {
            if controllers.contains(&endpoint.name) {
                continue;
            }
            self.check_protocol(&endpoint.name)?;
            let advertised = advertised.iter().find(|one| one.name == endpoint.name).cloned();
            listeners.push(with_advertised(endpoint, advertised)?);
        }
        if listeners.is_empty() {
            return Err(Error::NoneForClients);
        }
        Ok(listeners)
    }

    fn check_protocol(&self, name: &str) -> Result<(), Error> {
        let mapped = self.protocol_map.iter().filter_map(|entry| entry.split_once(':'));
        let protocol = mapped
            .filter(|(key, _)| key.trim().eq_ignore_ascii_case(name))
            .map(|(_, protocol)| protocol.trim().to_uppercase())
            .next_back();
        let known = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
        match protocol {
            Some(protocol) if protocol == "PLAINTEXT" => Ok(()),
            Some(protocol) => Err(Error::UnsupportedProtocol {
                name: name.to_owned(),
                protocol,
            }),
            None if name == "PLAINTEXT" => Ok(()),
            None if known.contains(&name) => Err(Error::UnsupportedProtocol {
                name: name.to_owned(),
                protocol: name.to_owned(),
            }),
            None => Err(Error::UnknownName(name.to_owned())),
        }
    }
}

fn with_advertised(endpoint: Endpoint, advertised: Option<Endpoint>) -> Result<Listener, Error> {
    match &advertised {
        Some(advertised) if advertised.is_wildcard() => {
            Err(Error::AdvertisedWildcard(advertised.to_string()))
        }
        None if endpoint.is_wildcard() => {
            let example = Endpoint {
                host: "my-host.example".to_owned(),
                ..endpoint.clone()
            };
            Err(Error::WildcardNotAdvertised(
                endpoint.to_string(),
                example.to_string(),
            ))
        }
        _ => Ok(Listener { endpoint, advertised }),
    }
}

fn parse_list(key: &'static str, entries: &[String]) -> Result<Vec<Endpoint>, Error> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for entry in entries.iter().filter(|entry| !entry.is_empty()) {
        let endpoint = parse(entry).ok_or_else(|| Error::Malformed {
            key,
            entry: entry.clone(),
        })?;
        let port_taken = |one: &Endpoint| key == "listeners" && one.port != 0 && one.port == endpoint.port;
        if endpoints
            .iter()
            .any(|one| one.name == endpoint.name || (port_taken(one) && one.host == endpoint.host))
        {
            return Err(Error::Duplicate {
                key,
                entry: endpoint.to_string(),
            });
        }
        endpoints.push(endpoint);
    }
    Ok(endpoints)
}

fn parse(entry: &str) -> Option<Endpoint> {
    let (name, rest) = entry.split_once("://")?;
    let (host, port) = rest.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    let good = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '%'))
    };
    if name.is_empty() || !good(name) || !good(host) {
        return None;
    }
    Some(Endpoint {
        name: name.to_uppercase(),
        host: host.to_owned(),
        port: port.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<String> {
        text.split(',')
            .filter(|entry| !entry.is_empty())
            .map(str::to_owned)
            .collect()
    }

    fn parse_keys(
        listeners: &str,
        advertised: &str,
        map: &str,
        controllers: &str,
    ) -> Result<Vec<Listener>, Error> {
        let (listeners, advertised, map, controllers) =
            (list(listeners), list(advertised), list(map), list(controllers));
        ListenerKeys {
            listeners: &listeners,
            advertised: &advertised,
            protocol_map: &map,
            controller_names: &controllers,
        }
        .parse()
    }

    #[test]
    fn what_is_bound_and_what_is_advertised() {
        let cases = [
            (
                "PLAINTEXT://localhost:9092",
                "",
                "PLAINTEXT://localhost:9092",
                None,
            ),
            ("plaintext://[::1]:0", "", "PLAINTEXT://[::1]:0", None),
            (
                "PLAINTEXT://:9092,CONTROLLER://:9093",
                "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093",
                "PLAINTEXT://:9092",
                Some("PLAINTEXT://localhost:9092"),
            ),
            (
                "MINE://h:1",
                "MINE://other:2",
                "MINE://h:1",
                Some("MINE://other:2"),
            ),
        ];
        for (listeners, advertised, bound, told) in cases {
            let found = parse_keys(
                listeners,
                advertised,
                "CONTROLLER:PLAINTEXT,mine:PLAINTEXT",
                "CONTROLLER",
            );
            let found = found.expect(listeners);
            assert_eq!(found.len(), 1, "{listeners}");
            assert_eq!(found[0].endpoint.to_string(), bound);
            assert_eq!(
                found[0].advertised.as_ref().map(ToString::to_string).as_deref(),
                told
            );
        }
    }

    #[test]
    fn errors_name_cause_and_cure() {
        let cases = [
            ("localhost:9092", "", "is no listener"),
            ("PLAINTEXT://localhost", "", "is no listener"),
            ("PLAINTEXT://localhost:70000", "", "is no listener"),
            ("PLAINTEXT://::1:9092", "", "is no listener"),
            ("PLAINTEXT://a:1,PLAINTEXT://b:2", "", "appears twice"),
            ("PLAINTEXT://0.0.0.0:9092", "", "set advertised.listeners"),
            (
                "PLAINTEXT://:9092",
                "",
                "advertised.listeners=PLAINTEXT://my-host.example:9092",
            ),
            (
                "PLAINTEXT://h:9092",
                "PLAINTEXT://0.0.0.0:9092",
                "cannot be connected to",
            ),
            ("PLAINTEXT://h:9092", "OTHER://h:9092", "not among the names"),
            ("SSL://h:9093", "", "only PLAINTEXT"),
            ("X://h:9093", "", "listener.security.protocol.map"),
            ("C://h:9093", "", "no listener is left for clients"),
        ];
        for (listeners, advertised, expected) in cases {
            let error = parse_keys(listeners, advertised, "", "C")
                .expect_err(listeners)
                .to_string();
            assert!(error.contains(expected), "{listeners}: {error}");
        }
    }
}
