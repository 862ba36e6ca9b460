//! The keys of a proxy, which both connectors have, under Confluent's names.

use forebay_connect_api::config::{Configuration, Error, Password};
use reqwest::{Url, header::HeaderValue};

use crate::headers;

/// Where requests go first.
#[derive(Configuration)]
#[config(group = "Proxy")]
pub(crate) struct Keys {
    /// The host of an HTTP proxy that all requests go through, those for tokens included; https by CONNECT. Names are judged by
    /// what they resolve to here; one that does not resolve here is left to the proxy where the worker allows private addresses.
    #[config(name = "http.proxy.host", guards)]
    host: Option<String>,
    /// Its port.
    #[config(name = "http.proxy.port")]
    port: Option<u16>,
    /// The user, for a proxy that asks for basic authentication.
    #[config(name = "http.proxy.user")]
    user: Option<String>,
    /// The password.
    #[config(name = "http.proxy.password", guards)]
    password: Option<Password>,
}

/// A proxy.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) url: Url,
    pub(crate) authorization: Option<HeaderValue>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Proxy").field(&self.url.as_str()).finish()
    }
}

impl Keys {
    /// What they come to. A host that is empty and a port that is 0 are as if they were not given, as in Confluent's.
    pub(crate) fn proxy(self, errors: &mut Vec<Error>) -> Option<Proxy> {
        let mut wrong = |key: &str, reason: &str| errors.push(Error::invalid(key, "[hidden]", reason));
        let text = |text: Option<String>| text.filter(|text| !text.is_empty());
        let (user, port) = (text(self.user), self.port.filter(|port| *port > 0));
        let password = self.password.filter(|password| !password.value().is_empty());
        let Some(host) = text(self.host) else {
            for (key, given) in [
                ("http.proxy.port", port.is_some()),
                ("http.proxy.user", user.is_some()),
                ("http.proxy.password", password.is_some()),
            ] {
                if given {
                    wrong(key, "it has no meaning without http.proxy.host");
                }
            }
            return None;
        };
        if port.is_none() {
            wrong("http.proxy.port", "it is needed by http.proxy.host");
        }
        let url = url(&host, port.unwrap_or(1));
        if url.is_none() {
            wrong(
                "http.proxy.host",
                "it is a name or an address, without scheme, port or path",
            );
        }
        let authorization = match (user, password) {
            (Some(user), Some(password)) if !user.contains(':') => {
                let value = headers::value(&headers::basic(&user, password.value()));
                value.map_err(|reason| wrong("http.proxy.password", &reason)).ok()
            }
            (Some(_), Some(_)) => {
                wrong(
                    "http.proxy.user",
                    "a user's name for basic authentication has no colon",
                );
                None
            }
            (Some(_), None) => {
                wrong("http.proxy.password", "it is needed by http.proxy.user");
                None
            }
            (None, Some(_)) => {
                wrong("http.proxy.user", "it is needed by http.proxy.password");
                None
            }
            (None, None) => None,
        };
        Some(Proxy {
            url: url?,
            authorization,
        })
    }
}

fn url(host: &str, port: u16) -> Option<Url> {
    let host = match host.contains(':') && !host.starts_with('[') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    };
    let url = Url::parse(&format!("http://{host}:{port}")).ok()?;
    let is_bare = url.path() == "/" && url.username().is_empty() && url.query().is_none();
    let is_whole = !host.contains(['/', '@', '?', '#', '\\']) && url.host_str().is_some();
    (is_bare && is_whole).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::properties;

    fn read(pairs: &[(&str, &str)]) -> (Option<Proxy>, Vec<String>) {
        let mut errors = Vec::new();
        let keys = Keys::parse(&properties(pairs)).expect("each is right by itself");
        let proxy = keys.proxy(&mut errors);
        let keys = errors.iter().filter_map(Error::key).map(str::to_owned);
        (proxy, keys.collect())
    }

    #[test]
    fn a_proxy_is_a_host_and_a_port() {
        const HOST: (&str, &str) = ("http.proxy.host", "proxy.example");
        const PORT: (&str, &str) = ("http.proxy.port", "3128");
        let (user, password) = (("http.proxy.user", "u"), ("http.proxy.password", "p"));
        let url = |pairs: &[(&str, &str)]| {
            let (proxy, errors) = read(pairs);
            assert!(errors.is_empty(), "{pairs:?}: {errors:?}");
            proxy.map(|proxy| (proxy.url.to_string(), proxy.authorization.is_some()))
        };
        assert_eq!(url(&[]), None);
        assert_eq!(url(&[("http.proxy.host", ""), ("http.proxy.port", "0")]), None);
        let plain = Some(("http://proxy.example:3128/".to_owned(), false));
        assert_eq!(url(&[HOST, PORT]), plain);
        let known = Some(("http://proxy.example:3128/".to_owned(), true));
        assert_eq!(url(&[HOST, PORT, user, password]), known);
        let bracketed = Some(("http://[::1]:3128/".to_owned(), false));
        assert_eq!(url(&[("http.proxy.host", "::1"), PORT]), bracketed);
        for (pairs, key) in [
            (&[HOST][..], "http.proxy.port"),
            (&[PORT], "http.proxy.port"),
            (&[HOST, PORT, user], "http.proxy.password"),
            (&[HOST, PORT, password], "http.proxy.user"),
            (
                &[HOST, PORT, ("http.proxy.user", "a:b"), password],
                "http.proxy.user",
            ),
            (&[("http.proxy.host", "http://a"), PORT], "http.proxy.host"),
            (&[("http.proxy.host", "u:p@a"), PORT], "http.proxy.host"),
            (&[("http.proxy.host", "a/b"), PORT], "http.proxy.host"),
        ] {
            assert_eq!(read(pairs).1, [key], "{pairs:?}");
        }
    }
}
