//! Stores of the `object_store` crate: S3 and, in tests, memory. Objects are put in one piece, because only single puts can be made
//! conditional on the name being free.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use forebay_connect_api::{Access, BoxFuture, Error};
use futures_util::TryStreamExt;
use object_store::{
    Attribute, BackoffConfig, ClientOptions, GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    path::Path,
};

use super::{Created, Found, Store, check_length};
use crate::config::S3Options;

/// How often one request is tried before the task hears of it, which then tries again after `retry.backoff.ms`.
const REQUEST_RETRIES: usize = 3;
/// After so long, a failed attempt is the last one.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);
/// How long one attempt may take: an object goes in one piece, perhaps over a slow line.
const ATTEMPT_TIME_MAX: Duration = Duration::from_secs(300);
/// S3's keys have no more bytes.
const KEY_BYTES_MAX: usize = 1024;
const HTTP_PORT: u16 = 80;
/// The metadata of an object (`x-amz-meta-forebay-topic-id`) for the id of the topic that it is of.
const TOPIC_ID: &str = "forebay-topic-id";

/// S3's code for a bucket that is not there. The crate takes it for an object that is missing, or, in lists, for an error that may
/// pass.
const NO_BUCKET: &str = "NoSuchBucket";

/// Whom the crate asks for credentials last: the machine that it runs on, if that is one of AWS. With what a user can do about it.
const MACHINE_CREDENTIALS: [&str; 2] = ["169.254.169.254", "169.254.170.2"];
const NO_CREDENTIALS: &str = "no credentials are configured, and this machine gives none: set aws.access.key.id and aws.secret.access.key, \
     or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment of the worker";

/// What S3 and the crate say where requests go to another region than the bucket's.
const WRONG_REGION: [&str; 3] = [
    "AuthorizationHeaderMalformed",
    "PermanentRedirect",
    "incorrectly configured region",
];

/// A store that the `object_store` crate knows.
#[derive(Debug)]
pub(crate) struct RemoteStore {
    store: Arc<dyn ObjectStore>,
    prefix: String,
    description: String,
}

impl RemoteStore {
    /// Any store, for its objects below `prefix`.
    pub(crate) fn new(store: Arc<dyn ObjectStore>, prefix: &str, description: String) -> Self {
        Self {
            store,
            prefix: prefix.trim_matches('/').to_owned(),
            description,
        }
    }

    /// A bucket. Credentials that the configuration does not give come from the environment, as the AWS SDK has it.
    pub(crate) async fn s3(options: &S3Options, access: &Access) -> Result<Self, Error> {
        let client = ClientOptions::new().with_timeout(ATTEMPT_TIME_MAX);
        let mut builder = AmazonS3Builder::from_env()
            .with_client_options(client)
            .with_bucket_name(&options.bucket)
            .with_region(&options.region)
            .with_virtual_hosted_style_request(!options.path_style)
            .with_retry(RetryConfig {
                max_retries: REQUEST_RETRIES,
                retry_timeout: REQUEST_TIME_MAX,
                backoff: BackoffConfig::default(),
            });
        if let Some((key_id, secret)) = &options.credentials {
            builder = builder
                .with_access_key_id(key_id)
                .with_secret_access_key(secret.value());
        }
        if let Some(endpoint) = &options.endpoint {
            check_endpoint(endpoint, access).await?;
            let plain = endpoint.starts_with("http://");
            builder = builder
                .with_endpoint(endpoint.trim_end_matches('/'))
                .with_allow_http(plain);
        }
        if let Some(algorithm) = &options.encryption {
            builder = builder.with_config(encryption_key("aws_server_side_encryption")?, algorithm);
        }
        if let Some(key) = &options.kms_key {
            builder = builder.with_config(encryption_key("aws_sse_kms_key_id")?, key);
        }
        let store = builder
            .build()
            .map_err(|error| Error::fatal("the S3 settings are not complete").with_source(error))?;
        let slash = if options.prefix.is_empty() { "" } else { "/" };
        let description = format!("s3://{}{slash}{}", options.bucket, options.prefix);
        Ok(Self::new(Arc::new(store), &options.prefix, description))
    }

    /// The key of an object, as it is where a store takes it so.
    fn path(&self, name: &str) -> Path {
        let name = match self.prefix.as_str() {
            "" => name.to_owned(),
            prefix => format!("{prefix}/{name}"),
        };
        let name = name.trim_end_matches('/');
        Path::parse(name).unwrap_or_else(|_| Path::from(name))
    }

    fn failed(&self, what: &str, name: &str, error: object_store::Error) -> Error {
        let mut message = format!("cannot {what} {name} in {}", self.description);
        if MACHINE_CREDENTIALS
            .iter()
            .any(|address| mentions(&error, address))
        {
            message = format!("{message}: {NO_CREDENTIALS}");
        } else if WRONG_REGION.iter().any(|said| mentions(&error, said)) {
            message.push_str(": s3.region is not the region of the bucket");
        }
        // What a user has to put right is shown at once; everything else may pass.
        let wrapped = match &error {
            _ if mentions(&error, NO_BUCKET) => Error::fatal(format!(
                "{message}: the bucket is not there; make it, and restart the task"
            )),
            object_store::Error::NotFound { .. }
            | object_store::Error::PermissionDenied { .. }
            | object_store::Error::Unauthenticated { .. }
            | object_store::Error::InvalidPath { .. }
            | object_store::Error::NotImplemented { .. }
            | object_store::Error::NotSupported { .. }
            | object_store::Error::UnknownConfigurationKey { .. } => Error::fatal(message),
            _ => Error::retriable(message),
        };
        wrapped.with_source(error)
    }
}

impl Store for RemoteStore {
    fn create<'a>(
        &'a self,
        name: &'a str,
        content: Bytes,
        topic_id: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Created, Error>> {
        Box::pin(async move {
            let path = self.path(name);
            let mut options = PutOptions::from(PutMode::Create);
            if let Some(topic_id) = topic_id {
                let note = Attribute::Metadata(TOPIC_ID.into());
                options.attributes.insert(note, topic_id.to_owned().into());
            }
            match self.store.put_opts(&path, content.into(), options).await {
                Ok(_) => Ok(Created::New),
                // Perhaps our own put, of which the answer was lost: the caller compares.
                Err(object_store::Error::AlreadyExists { .. }) => {
                    let found = self.store.head(&path).await;
                    let found = found.map_err(|error| self.failed("look at", name, error))?;
                    Ok(Created::Exists { bytes: found.size })
                }
                Err(error) => Err(self.failed("write", name, error)),
            }
        })
    }

    fn has<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            match self.store.head(&self.path(name)).await {
                Ok(_) => Ok(true),
                Err(object_store::Error::NotFound { .. }) => Ok(false),
                Err(error) => Err(self.failed("look at", name, error)),
            }
        })
    }

    fn topic_id<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, Error>> {
        Box::pin(async move {
            let head = GetOptions {
                head: true,
                ..GetOptions::default()
            };
            match self.store.get_opts(&self.path(name), head).await {
                Ok(found) => {
                    let noted = found.attributes.get(&Attribute::Metadata(TOPIC_ID.into()));
                    Ok(noted.map(|noted| noted.to_string()))
                }
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(self.failed("look at", name, error)),
            }
        })
    }

    fn list<'a>(&'a self, folder: &'a str, _own: &'a [String]) -> BoxFuture<'a, Result<Vec<Found>, Error>> {
        Box::pin(async move {
            let listed = self.store.list_with_delimiter(Some(&self.path(folder))).await;
            let listed = listed.map_err(|error| self.failed("list", folder, error))?;
            let found = listed.objects.into_iter().filter_map(|object| {
                let name = object.location.filename()?.to_owned();
                let bytes = object.size;
                Some(Found { name, bytes })
            });
            Ok(found.collect())
        })
    }

    fn list_below<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, Result<Vec<Found>, Error>> {
        Box::pin(async move {
            let path = self.path(folder);
            let listed: Vec<_> = self
                .store
                .list(Some(&path))
                .try_collect()
                .await
                .map_err(|error| self.failed("list", folder, error))?;
            let beginning = path.as_ref();
            let found = listed.into_iter().filter_map(|object| {
                let name = object.location.as_ref().strip_prefix(beginning)?;
                let name = name.trim_start_matches('/').to_owned();
                let bytes = object.size;
                Some(Found { name, bytes })
            });
            Ok(found.collect())
        })
    }

    fn check_name(&self, name: &str) -> Result<(), Error> {
        check_length(self.path(name).as_ref(), KEY_BYTES_MAX, self)
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

/// Whether an error or one underneath has this text.
fn mentions(error: &(dyn std::error::Error + 'static), text: &str) -> bool {
    let mut errors = std::iter::successors(Some(error), |error| error.source());
    errors.any(|error| error.to_string().contains(text))
}

fn encryption_key(name: &str) -> Result<AmazonS3ConfigKey, Error> {
    name.parse().map_err(|error: object_store::Error| {
        Error::fatal("server-side encryption cannot be set").with_source(error)
    })
}

/// Whether the worker allows connections to all addresses of an endpoint's host.
async fn check_endpoint(endpoint: &str, access: &Access) -> Result<(), Error> {
    let unspecified = IpAddr::from([0, 0, 0, 0]);
    if access.allows_address(unspecified) {
        return Ok(());
    }
    let refused = || {
        Error::fatal(format!(
            "store.url {endpoint} leads to a private address, which the worker does not allow"
        ))
    };
    let authority = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let host = host.trim_matches(['[', ']']);
    let addresses = tokio::net::lookup_host((host, HTTP_PORT)).await;
    let addresses =
        addresses.map_err(|error| Error::retriable(format!("cannot resolve {host}")).with_source(error))?;
    if addresses
        .into_iter()
        .all(|address| access.allows_address(address.ip()))
    {
        Ok(())
    } else {
        Err(refused())
    }
}
