//! The keys of OAuth2, which both connectors have: Confluent's names, Aiven's as aliases.

use forebay_connect_api::config::{Configuration, Error, Password, Setting};
use reqwest::header::HeaderMap;

use crate::{
    client::{Credentials, CredentialsIn},
    headers, url,
};

/// Where tokens come from (client credentials, RFC 6749 section 4.4).
#[derive(Configuration)]
#[config(group = "OAuth2")]
pub(crate) struct OAuth2 {
    /// The URL that gives tokens to the OAuth2 client. Redirects from there are not followed.
    #[config(name = "oauth2.token.url", alias = "oauth2.access.token.url", guards)]
    token_url: Option<String>,
    /// The client's id.
    #[config(name = "oauth2.client.id")]
    client_id: Option<String>,
    /// The client's secret.
    #[config(name = "oauth2.client.secret", guards)]
    client_secret: Option<Password>,
    /// The scope to ask for. By default none is named.
    #[config(name = "oauth2.client.scope")]
    scope: Option<String>,
    /// Whether the id and the secret go into the header Authorization, or into the body (url).
    #[config(
        name = "oauth2.client.mode",
        alias = "oauth2.client.authorization.mode",
        alias = "oauth2.client.auth.mode",
        default = "header"
    )]
    mode: Mode,
    /// The member of the answer that holds the token.
    #[config(
        name = "oauth2.token.property",
        alias = "oauth2.response.token.property",
        default = "access_token"
    )]
    property: String,
    /// More headers for that URL as Name: value, separated by | or, if there is none, by commas. Treated as secrets.
    #[config(name = "oauth2.client.headers")]
    headers: Option<Password>,
}

/// Where the client's id and secret go.
#[derive(Clone, Copy, Setting)]
#[config(ignore_case)]
enum Mode {
    /// Into the header Authorization.
    Header,
    /// Into the body.
    Url,
}

impl OAuth2 {
    /// What tokens are got with, if the kind of authorization (`key=oauth2`) wants any.
    pub(crate) fn credentials(
        self,
        is_wanted: bool,
        key: &str,
        errors: &mut Vec<Error>,
    ) -> Option<Credentials> {
        let mut wrong = |name: &str, reason: String| errors.push(Error::invalid(name, "[hidden]", reason));
        let given = [
            ("oauth2.token.url", self.token_url.is_some()),
            ("oauth2.client.id", self.client_id.is_some()),
            ("oauth2.client.secret", self.client_secret.is_some()),
        ];
        for (name, is_given) in given {
            match (is_wanted, is_given) {
                (true, false) => wrong(name, format!("it is needed by {key}=oauth2")),
                (false, true) => wrong(name, format!("it has no meaning without {key}=oauth2")),
                _ => {}
            }
        }
        let headers = headers::parse(self.headers.as_ref().map_or("", Password::value), None);
        let headers = headers.unwrap_or_else(|reason| {
            wrong("oauth2.client.headers", reason);
            HeaderMap::new()
        });
        if !is_wanted {
            return None;
        }
        let url = url::parse(self.token_url.as_deref()?);
        let url = url.map_err(|reason| wrong("oauth2.token.url", reason)).ok()?;
        Some(Credentials {
            url,
            id: self.client_id?,
            secret: self.client_secret?.value().to_owned(),
            scope: self.scope.filter(|scope| !scope.is_empty()),
            credentials_in: match self.mode {
                Mode::Header => CredentialsIn::Header,
                Mode::Url => CredentialsIn::Body,
            },
            token_property: self.property,
            headers,
        })
    }
}
