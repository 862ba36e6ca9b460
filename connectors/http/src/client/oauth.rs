//! OAuth2 client credentials (RFC 6749, section 4.4): a token is asked for once, kept until shortly before it ends, and asked
//! for anew after a 401. Neither the secret nor a token gets into an error: of the endpoint's answers only the status is shown.

use std::sync::{Mutex, PoisonError};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use reqwest::{
    Method, Url,
    header::{self, HeaderMap, HeaderValue},
};
use serde_json::Value as Json;

use super::{AnswerBody, Client, Error, Request, exchange::Manner};
use crate::{headers, template::percent_encoded, url::shown};

/// The longest answer that a token may be in.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// A token is replaced so long before it ends, or after nine tenths of its time if that is later.
const RENEWED_BEFORE_MS: i64 = 30_000;
/// How long a token is kept whose end the endpoint does not say: a 401 tells otherwise.
const LIFETIME_DEFAULT_SECONDS: i64 = 3600;

/// Where the id and the secret go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CredentialsIn {
    /// Into the header Authorization, as for basic authentication.
    Header,
    /// Into the body.
    Body,
}

/// What tokens are got with. Has no `Debug` of its secrets.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) url: Url,
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) scope: Option<String>,
    pub(crate) credentials_in: CredentialsIn,
    /// The member of the answer that is the token.
    pub(crate) token_property: String,
    /// More headers for the endpoint.
    pub(crate) headers: HeaderMap,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("url", &shown(&self.url))
            .finish_non_exhaustive()
    }
}

impl Credentials {
    fn request(&self) -> Result<Request, &'static str> {
        let mut fields = vec![("grant_type", "client_credentials")];
        fields.extend(self.scope.as_deref().map(|scope| ("scope", scope)));
        let mut headers = self.headers.clone();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(header::CONTENT_TYPE, form);
        match self.credentials_in {
            CredentialsIn::Header => {
                // RFC 6749, section 2.3.1: each is encoded by itself first.
                let pair = format!("{}:{}", percent_encoded(&self.id), percent_encoded(&self.secret));
                let basic = headers::value(&format!("Basic {}", STANDARD.encode(pair)));
                headers.insert(
                    header::AUTHORIZATION,
                    basic.map_err(|_| "its credentials are no header")?,
                );
            }
            CredentialsIn::Body => {
                fields.extend([("client_id", &*self.id), ("client_secret", &*self.secret)]);
            }
        }
        let fields = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", percent_encoded(value)));
        let body = fields.collect::<Vec<_>>().join("&");
        Ok(Request {
            method: Method::POST,
            url: self.url.clone(),
            headers,
            body: Some(Bytes::from(body)),
        })
    }
}

/// The token of one client.
pub(super) struct Tokens {
    credentials: Credentials,
    kept: Mutex<Option<Token>>,
}

#[derive(Clone)]
struct Token {
    authorization: HeaderValue,
    /// In milliseconds since 1970.
    renewed_at: i64,
}

impl Tokens {
    pub(super) fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            kept: Mutex::default(),
        }
    }

    /// The value of the header Authorization, and whether it was got for this call.
    ///
    /// # Errors
    /// If the endpoint gives none.
    pub(super) async fn get(&self, client: &Client) -> Result<(HeaderValue, bool), Error> {
        let now = client.time.now();
        let kept = self.kept().clone();
        if let Some(token) = kept.filter(|token| now < token.renewed_at) {
            return Ok((token.authorization, false));
        }
        let target = format!("POST {}", shown(&self.credentials.url));
        let wrong = |reason| Error::Token {
            target: target.clone(),
            reason,
        };
        let request = self.credentials.request().map_err(wrong)?;
        // Wherever a redirect leads, the secret would go along.
        let manner = Manner {
            answer: AnswerBody::Keep {
                bytes_max: ANSWER_BYTES_MAX,
            },
            redirects_max: 0,
        };
        let answer = client.attempt(&request, manner).await?;
        let token = self.read(&answer.body, now).map_err(wrong)?;
        let authorization = token.authorization.clone();
        *self.kept() = Some(token);
        Ok((authorization, true))
    }

    /// The token is not taken any more.
    pub(super) fn forget(&self) {
        *self.kept() = None;
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<Token>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, answer: &[u8], now: i64) -> Result<Token, &'static str> {
        let answer: Json = serde_json::from_slice(answer).map_err(|_| "the answer is not JSON")?;
        let token = answer
            .get(&self.credentials.token_property)
            .and_then(Json::as_str);
        let token = token.filter(|token| !token.is_empty());
        let token = token.ok_or("the answer has no token under oauth2.token.property")?;
        let authorization = headers::value(&format!("Bearer {token}"));
        let seconds = answer.get("expires_in").and_then(|seconds| match seconds {
            Json::String(text) => text.parse().ok(),
            number => number.as_i64(),
        });
        let lifetime = seconds
            .unwrap_or(LIFETIME_DEFAULT_SECONDS)
            .max(0)
            .saturating_mul(1000);
        let kept_for = (lifetime - RENEWED_BEFORE_MS).max(lifetime / 10 * 9);
        Ok(Token {
            authorization: authorization.map_err(|_| "the token holds what no header may have")?,
            renewed_at: now.saturating_add(kept_for),
        })
    }
}
