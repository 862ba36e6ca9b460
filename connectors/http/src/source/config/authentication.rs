//! What authenticates a request: headers, a parameter, or where tokens come from.

use forebay_connect_api::config::{Configuration, Password};
use reqwest::header::{self, HeaderMap, HeaderName};

use super::{Reader, keys};
use crate::{auth::OAuth2, client::Credentials, headers};

impl Reader<'_> {
    /// All headers, and a parameter that authenticates.
    pub(super) fn headers(&mut self) -> (HeaderMap, Option<(String, Password)>) {
        let separator = self
            .parsed
            .originals()
            .get(keys::HEADERS_SEPARATOR)
            .map(String::as_str);
        let mut headers = headers::parse(self.secret(keys::HEADERS), separator).unwrap_or_else(|reason| {
            self.wrong(keys::HEADERS, reason);
            HeaderMap::new()
        });
        if let Some(value) = self.authorization() {
            self.add(&mut headers, &header::AUTHORIZATION, keys::AUTH_TOKEN, &value);
        }
        if self.text(keys::AUTH_TYPE).eq_ignore_ascii_case("oauth2")
            && headers.contains_key(header::AUTHORIZATION)
        {
            let both = format!("Authorization is there already by {}", keys::AUTH_TYPE);
            self.wrong(keys::HEADERS, both);
        }
        let parameter = self.api_key(&mut headers);
        (headers, parameter)
    }

    /// Where tokens come from.
    pub(super) fn credentials(&mut self) -> Option<Credentials> {
        let wanted = self.text(keys::AUTH_TYPE).eq_ignore_ascii_case("oauth2");
        OAuth2::from_config(self.parsed).credentials(wanted, keys::AUTH_TYPE, &mut self.errors)
    }

    fn add(&mut self, headers: &mut HeaderMap, name: &HeaderName, key: &str, value: &str) {
        match headers::value(value) {
            Ok(value) => {
                if headers.insert(name, value).is_some() {
                    let both = match *name == header::AUTHORIZATION {
                        true => format!("Authorization is there already by {}", keys::AUTH_TYPE),
                        false => format!("{name} is there already by {key}"),
                    };
                    self.wrong(keys::HEADERS, both);
                }
            }
            Err(reason) => self.wrong(key, reason),
        }
    }

    fn api_key(&mut self, headers: &mut HeaderMap) -> Option<(String, Password)> {
        if !self.text(keys::AUTH_TYPE).eq_ignore_ascii_case("api_key") {
            return None;
        }
        let name = self.text(keys::API_KEY_NAME).to_owned();
        let secret = self
            .parsed
            .get_optional::<&Password>(keys::API_KEY_VALUE)?
            .clone();
        if name.is_empty() {
            return None; // Which `authorization` says.
        }
        if self.text(keys::API_KEY_LOCATION).eq_ignore_ascii_case("query") {
            return Some((name, secret));
        }
        match name.parse() {
            Ok(header) => self.add(headers, &header, keys::API_KEY_VALUE, secret.value()),
            Err(_) => self.wrong(keys::API_KEY_NAME, "it is no name of a header"),
        }
        None
    }

    /// The value of the header Authorization, and what is wrong with the keys that belong to a type.
    fn authorization(&mut self) -> Option<String> {
        let auth_type = self.text(keys::AUTH_TYPE).to_ascii_lowercase();
        let wanted: &[&str] = match auth_type.as_str() {
            "basic" => &[keys::AUTH_USER, keys::AUTH_PASSWORD],
            "bearer" => &[keys::AUTH_TOKEN],
            "api_key" => &[keys::API_KEY_NAME, keys::API_KEY_VALUE],
            _ => &[],
        };
        for key in [
            keys::AUTH_USER,
            keys::AUTH_PASSWORD,
            keys::AUTH_TOKEN,
            keys::API_KEY_NAME,
            keys::API_KEY_VALUE,
        ] {
            let given = self.parsed.values().get(key).is_some_and(Option::is_some);
            if given != wanted.contains(&key) {
                let reason = match given {
                    true => format!("it has no meaning with {}={auth_type}", keys::AUTH_TYPE),
                    false => format!("it is needed by {}={auth_type}", keys::AUTH_TYPE),
                };
                self.wrong(key, reason);
            }
        }
        match auth_type.as_str() {
            "basic" => {
                let user = self.text(keys::AUTH_USER);
                if user.contains(':') {
                    self.wrong(
                        keys::AUTH_USER,
                        "a user's name for basic authentication has no colon",
                    );
                }
                Some(headers::basic(
                    self.text(keys::AUTH_USER),
                    self.secret(keys::AUTH_PASSWORD),
                ))
            }
            "bearer" => Some(format!("Bearer {}", self.secret(keys::AUTH_TOKEN))),
            _ => None,
        }
    }
}
