//! Which store a configuration means.

use std::path::PathBuf;

use forebay_connect_api::{
    Error,
    config::{self, Password},
};

/// Where objects go.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// A directory of this machine.
    Local(PathBuf),
    /// A bucket.
    S3(S3Options),
}

/// A bucket and how to reach it.
#[derive(Debug, Clone)]
pub(crate) struct S3Options {
    pub(crate) bucket: String,
    /// The folder in the bucket below which everything is.
    pub(crate) prefix: String,
    pub(crate) region: String,
    /// `None`: AWS.
    pub(crate) endpoint: Option<String>,
    pub(crate) path_style: bool,
    /// Key and secret.
    pub(crate) credentials: Option<(String, Password)>,
    pub(crate) encryption: Option<String>,
    pub(crate) kms_key: Option<String>,
}

pub(super) fn parse(parsed: &config::Config) -> Result<Target, Error> {
    let given = |key: &str| parsed.get_optional::<&str>(key).filter(|value| !value.is_empty());
    let url = given("store.url").unwrap_or_default();
    let wrong = |reason: &str| Err(config::Error::invalid("store.url", url, reason).into());
    let bucket = given("s3.bucket.name");
    match url.split_once("://") {
        Some(("file", path)) => {
            // file://localhost/x is file:///x; any other host is a mistake, such as file://x for a relative path.
            let path = path.strip_prefix("localhost").unwrap_or(path);
            if path.starts_with('/') {
                Ok(Target::Local(PathBuf::from(path)))
            } else {
                wrong("a local store needs an absolute path with three slashes: file:///directory")
            }
        }
        Some(("s3" | "s3a", rest)) => {
            let (named, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if named.is_empty() {
                return wrong("the bucket is missing: s3://bucket/prefix");
            }
            if bucket.is_some_and(|bucket| bucket != named) {
                return wrong("it names another bucket than s3.bucket.name");
            }
            s3(parsed, named, prefix, None)
        }
        Some(("http" | "https", _)) => match bucket {
            Some(bucket) => s3(parsed, bucket, "", Some(url.to_owned())),
            None => wrong("for the endpoint of a store that speaks S3, s3.bucket.name is needed, too"),
        },
        Some(("hdfs", _)) => wrong(
            "HDFS is not supported yet; set store.url to file:///directory (such as a mount of it) or s3://bucket/prefix",
        ),
        Some((scheme @ ("gs" | "gcs" | "abfs" | "abfss" | "wasb" | "wasbs"), _)) => wrong(&format!(
            "{scheme}:// is not supported yet; known are file:///directory, s3://bucket/prefix, and http(s):// endpoints that speak S3"
        )),
        Some(_) => {
            wrong("known are file:///directory, s3://bucket/prefix, and http(s):// endpoints that speak S3")
        }
        None if !url.is_empty() => wrong("a URL is needed, such as file:///directory or s3://bucket/prefix"),
        None => match bucket {
            Some(bucket) => s3(parsed, bucket, "", None),
            None => Err(config::Error::invalid(
                "store.url",
                "null",
                "set it (file:///directory, s3://bucket/prefix), or s3.bucket.name",
            )
            .into()),
        },
    }
}

fn s3(
    parsed: &config::Config,
    bucket: &str,
    prefix: &str,
    endpoint: Option<String>,
) -> Result<Target, Error> {
    let given = |key: &str| parsed.get_optional::<&str>(key).filter(|value| !value.is_empty());
    let secret = parsed.get_optional::<&Password>("aws.secret.access.key");
    let credentials = match (given("aws.access.key.id"), secret) {
        (Some(key_id), Some(secret)) => Some((key_id.to_owned(), secret.clone())),
        (None, None) => None,
        (Some(_), None) => {
            let reason = "it goes with aws.access.key.id";
            return Err(config::Error::invalid("aws.secret.access.key", "null", reason).into());
        }
        (None, Some(_)) => {
            let reason = "it goes with aws.secret.access.key";
            return Err(config::Error::invalid("aws.access.key.id", "null", reason).into());
        }
    };
    Ok(Target::S3(S3Options {
        bucket: bucket.to_owned(),
        prefix: prefix.trim_matches('/').to_owned(),
        region: parsed.get_string("s3.region").to_owned(),
        endpoint,
        path_style: parsed.get_boolean("s3.path.style.access.enabled"),
        credentials,
        encryption: given("s3.ssea.name").map(str::to_owned),
        kms_key: given("s3.sse.kms.key.id").map(str::to_owned),
    }))
}
