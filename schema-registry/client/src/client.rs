//! The calls that serializers and converters make, over HTTP.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_schema_registry_schema::avro;
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::cache::Cache;
use crate::references::{Reference, References};

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A schema's identifier, unique within a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SchemaId(pub i32);

impl fmt::Display for SchemaId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A schema as the registry holds it, parsed with its references.
#[derive(Debug)]
pub struct RegisteredSchema {
    /// Its identifier.
    pub id: SchemaId,
    /// Its text as the registry gave it.
    pub text: String,
    /// The Avro schema.
    pub avro: avro::Schema,
}

/// One version of a subject.
#[derive(Debug, Clone)]
pub struct SubjectVersion {
    /// The subject.
    pub subject: String,
    /// The version, from 1.
    pub version: i32,
    /// The schema.
    pub schema: Arc<RegisteredSchema>,
}

/// How to reach the registry, under Confluent's names.
#[derive(Debug, Clone)]
pub struct Options {
    /// `schema.registry.url`: one or several, tried in order.
    pub urls: Vec<String>,
    /// `basic.auth.user.info`: `user:password`.
    pub user_info: Option<String>,
    /// `schemas.cache.size` (Confluent's `max.schemas.per.subject`): how many schemas are remembered.
    pub schemas_cache_size: usize,
    /// How long one request may take.
    pub request_timeout: Duration,
}

impl Options {
    /// The registry at `urls` (comma-separated), with a cache of 1,000 schemas and ten seconds for a request.
    pub fn new(urls: &str) -> Self {
        Self {
            urls: urls
                .split(',')
                .map(|url| url.trim().trim_end_matches('/').to_owned())
                .collect(),
            user_info: None,
            schemas_cache_size: 1000,
            request_timeout: Duration::from_secs(10),
        }
    }
}

/// Why a schema could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No registry answered.
    #[error("no schema registry answered at {url}: {source}")]
    Unreachable {
        /// The address that was tried last.
        url: String,
        /// What happened.
        source: reqwest::Error,
    },
    /// The registry refused, in Confluent's form.
    #[error("the schema registry at {url} answered {message} (error code {code})")]
    Refused {
        /// Its address.
        url: String,
        /// Confluent's error code, such as 40403.
        code: i32,
        /// Its message.
        message: String,
        /// Whether the same request may succeed later.
        retriable: bool,
    },
    /// The answer is not what a registry says.
    #[error("the schema registry's answer cannot be used: {0}")]
    Answer(String),
    /// The schema is of a type or form that this client does not know.
    #[error("schema {id}: {reason}")]
    Unsupported {
        /// Its identifier.
        id: SchemaId,
        /// Why.
        reason: String,
    },
}

impl Error {
    /// Whether the same call may succeed later.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { retriable, .. } => *retriable,
            Self::Answer(_) | Self::Unsupported { .. } => false,
        }
    }
}

/// A cheap handle on one registry, shared by all who use it.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    http: reqwest::Client,
    options: Options,
    by_id: Mutex<Cache<SchemaId, Arc<RegisteredSchema>>>,
    registered: Mutex<Cache<(String, String), SchemaId>>,
}

/// What the registry says of a schema; members that a call does not give stay empty.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    #[serde(default)]
    pub(crate) id: i32,
    #[serde(default)]
    version: i32,
    #[serde(default)]
    pub(crate) schema: String,
    #[serde(default, rename = "schemaType")]
    schema_type: Option<String>,
    #[serde(default)]
    pub(crate) references: Vec<Reference>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    error_code: i32,
    message: String,
}

impl Client {
    /// A client that connects when it is first asked something.
    pub fn new(options: Options) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .timeout(options.request_timeout)
            .build()
            .map_err(|source| Error::Unreachable {
                url: options.urls.join(","),
                source,
            })?;
        let (by_id, registered) = (
            Cache::new(options.schemas_cache_size),
            Cache::new(options.schemas_cache_size),
        );
        let shared = Shared {
            http,
            options,
            by_id: Mutex::new(by_id),
            registered: Mutex::new(registered),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The schema of `id`; asked for once.
    pub async fn schema(&self, id: SchemaId) -> Result<Arc<RegisteredSchema>, Error> {
        if let Some(known) = self.shared.by_id.lock().expect("nobody panics with it").get(&id) {
            return Ok(known);
        }
        let answer: Answer = self
            .ask(Method::GET, &["schemas", "ids", &id.to_string()], None)
            .await?;
        self.remember(id, answer).await
    }

    /// Registers `schema` (Avro text) under `subject` and gives its identifier; a second call is answered here.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<SchemaId, Error> {
        let body = serde_json::json!({ "schema": schema });
        self.identify(&["subjects", subject, "versions"], (subject, schema), body)
            .await
    }

    /// The identifier of `schema` where it is registered under `subject` already.
    pub async fn lookup(&self, subject: &str, schema: &str) -> Result<SchemaId, Error> {
        let body = serde_json::json!({ "schema": schema });
        self.identify(&["subjects", subject], (subject, schema), body)
            .await
    }

    /// Under which subjects the schema of `id` is registered, and as which version of each. Not remembered: more may come.
    pub async fn versions(&self, id: SchemaId) -> Result<Vec<(String, i32)>, Error> {
        #[derive(Deserialize)]
        struct Registered {
            subject: String,
            version: i32,
        }
        let path = ["schemas", "ids", &id.to_string(), "versions"];
        let registered: Vec<Registered> = self.ask(Method::GET, &path, None).await?;
        Ok(registered
            .into_iter()
            .map(|one| (one.subject, one.version))
            .collect())
    }

    /// The newest version of `subject`. Not remembered: the next call may find a newer one.
    pub async fn latest(&self, subject: &str) -> Result<SubjectVersion, Error> {
        let answer: Answer = self
            .ask(Method::GET, &["subjects", subject, "versions", "latest"], None)
            .await?;
        let version = answer.version;
        let schema = self.remember(SchemaId(answer.id), answer).await?;
        Ok(SubjectVersion {
            subject: subject.to_owned(),
            version,
            schema,
        })
    }

    async fn identify(
        &self,
        path: &[&str],
        (subject, schema): (&str, &str),
        body: serde_json::Value,
    ) -> Result<SchemaId, Error> {
        let key = (subject.to_owned(), schema.to_owned());
        if let Some(known) = self
            .shared
            .registered
            .lock()
            .expect("nobody panics with it")
            .get(&key)
        {
            return Ok(known);
        }
        let id = SchemaId(self.ask::<Answer>(Method::POST, path, Some(body)).await?.id);
        self.shared
            .registered
            .lock()
            .expect("nobody panics with it")
            .insert(key, id);
        Ok(id)
    }

    async fn remember(&self, id: SchemaId, answer: Answer) -> Result<Arc<RegisteredSchema>, Error> {
        if let Some(other) = answer.schema_type.filter(|schema_type| schema_type != "AVRO") {
            return Err(Error::Unsupported {
                id,
                reason: format!("{other} schemas are not supported yet, only AVRO"),
            });
        }
        let references = self.references(answer.references).await?;
        let avro = avro::Schema::parse_with_references(&answer.schema, &references).map_err(|error| {
            Error::Unsupported {
                id,
                reason: error.to_string(),
            }
        })?;
        let schema = Arc::new(RegisteredSchema {
            id,
            text: answer.schema,
            avro,
        });
        self.shared
            .by_id
            .lock()
            .expect("nobody panics with it")
            .insert(id, Arc::clone(&schema));
        Ok(schema)
    }

    /// The schemas that `references` name, those that they refer to before them.
    async fn references(&self, references: Vec<Reference>) -> Result<Vec<avro::Schema>, Error> {
        let mut graph = References::default();
        graph.meet(&references)?;
        while let Some((subject, version)) = graph.next() {
            let path = ["subjects", &subject, "versions", &version.to_string()];
            let answer = self.ask(Method::GET, &path, None).await?;
            graph.take(answer)?;
        }
        graph.parse()
    }

    /// One request, at each address until one answers.
    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<serde_json::Value>,
    ) -> Result<T, Error> {
        let mut last = None;
        for base in &self.shared.options.urls {
            match self.ask_at(base, &method, path, body.as_ref()).await {
                Err(error @ Error::Unreachable { .. }) => last = Some(error),
                other => return other,
            }
        }
        Err(last.unwrap_or_else(|| Error::Answer("schema.registry.url names no address".to_owned())))
    }

    async fn ask_at<T: DeserializeOwned>(
        &self,
        base: &str,
        method: &Method,
        path: &[&str],
        body: Option<&serde_json::Value>,
    ) -> Result<T, Error> {
        let mut url = reqwest::Url::parse(base)
            .map_err(|error| Error::Answer(format!("{base} is no address: {error}")))?;
        url.path_segments_mut()
            .map_err(|()| Error::Answer(format!("{base} is no address of a registry")))?
            .pop_if_empty()
            .extend(path);
        let mut request = self.shared.http.request(method.clone(), url.clone());
        if let Some((user, password)) = self
            .shared
            .options
            .user_info
            .as_deref()
            .and_then(|info| info.split_once(':'))
        {
            request = request.basic_auth(user, Some(password));
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let unreachable = |source| Error::Unreachable {
            url: base.to_owned(),
            source,
        };
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Error::Answer(format!(
                    "{url} sent more than {ANSWER_BYTES_MAX} bytes"
                )));
            }
            bytes.extend_from_slice(&chunk);
        }
        if status.is_success() {
            serde_json::from_slice(&bytes).map_err(|error| Error::Answer(format!("{url}: {error}")))
        } else {
            Err(refused(base, status, &bytes))
        }
    }
}

fn refused(url: &str, status: StatusCode, body: &[u8]) -> Error {
    let url = url.to_owned();
    let retriable = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    match serde_json::from_slice::<Refusal>(body) {
        Ok(Refusal {
            error_code: code,
            message,
        }) => Error::Refused {
            url,
            code,
            message,
            retriable,
        },
        Err(_) => Error::Refused {
            url,
            code: status.as_u16().into(),
            message: status.to_string(),
            retriable,
        },
    }
}

#[cfg(test)]
mod tests;
