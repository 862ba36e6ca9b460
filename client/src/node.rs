//! A node as it is reached: a transport, and the versions of each request that both sides speak (KIP-35, KIP-511).

use std::{collections::HashMap, fmt, future::Future, ops::RangeInclusive, sync::Arc, time::Duration};

use forebay_protocol::{
    ApiKey, ApiRequest, ErrorCode, Response, Utf8Bytes,
    messages::{ApiVersionsRequest, ApiVersionsResponse},
};
use tokio::time::{Instant, timeout};

use crate::{
    error::Error,
    transport::{self, Transport},
};

/// How this client introduces itself.
const SOFTWARE_NAME: Utf8Bytes = Utf8Bytes::from_static("forebay");
const SOFTWARE_VERSION: Utf8Bytes = Utf8Bytes::from_static(env!("CARGO_PKG_VERSION"));

/// A node to call.
pub(crate) struct Node {
    transport: Arc<dyn Transport>,
    versions: HashMap<ApiKey, RangeInclusive<i16>>,
    features: Features,
    request_timeout: Duration,
    last_used: std::sync::Mutex<Instant>,
}

/// What the cluster had finalized when the node was asked (KIP-584).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Features {
    /// Grows with every change; `None`: the node does not say.
    pub(crate) epoch: Option<i64>,
    /// The level of `transaction.version`; 0 where there is none.
    pub(crate) transaction_version: i16,
}

impl Features {
    fn of(answer: &ApiVersionsResponse) -> Self {
        let mut finalized = answer.finalized_features.iter();
        let found = finalized.find(|feature| &*feature.name == "transaction.version");
        Self {
            epoch: Some(answer.finalized_features_epoch).filter(|epoch| *epoch >= 0),
            transaction_version: found.map_or(0, |feature| feature.max_version_level),
        }
    }
}

impl Node {
    /// Asks the node what it speaks. One that does not know our newest way of asking answers in its oldest, and is asked
    /// again as it can.
    pub(crate) async fn negotiate(
        transport: Arc<dyn Transport>,
        request_timeout: Duration,
    ) -> Result<Self, Error> {
        let mut node = Self {
            transport,
            versions: HashMap::new(),
            features: Features::default(),
            request_timeout,
            last_used: std::sync::Mutex::new(Instant::now()),
        };
        let ours = ours(ApiKey::ApiVersions);
        let mut answer = node.ask_versions(*ours.end()).await?;
        if ErrorCode::from_i16(answer.error_code) == ErrorCode::UnsupportedVersion {
            let offered = answer
                .api_keys
                .iter()
                .find(|api| api.api_key == ApiKey::ApiVersions.number());
            let version = offered
                .map_or(0, |api| api.max_version)
                .clamp(*ours.start(), *ours.end());
            answer = node.ask_versions(version).await?;
        }
        match ErrorCode::from_i16(answer.error_code) {
            ErrorCode::None => {}
            code => {
                return Err(Error::broker(
                    format!("ask {} for its versions", node.address()),
                    code,
                ));
            }
        }
        let known = answer.api_keys.iter().filter_map(|api| {
            ApiKey::from_i16(api.api_key).map(|key| (key, api.min_version..=api.max_version))
        });
        node.versions = known.collect();
        node.features = Features::of(&answer);
        Ok(node)
    }

    async fn ask_versions(&self, version: i16) -> Result<ApiVersionsResponse, Error> {
        self.start(version, Self::introduction(version), self.request_timeout)
            .await
    }

    /// The request that asks for versions and says who we are; below version 3 it has no fields.
    pub(crate) fn introduction(version: i16) -> ApiVersionsRequest {
        if version < 3 {
            return ApiVersionsRequest::default();
        }
        ApiVersionsRequest {
            client_software_name: SOFTWARE_NAME,
            client_software_version: SOFTWARE_VERSION,
            ..Default::default()
        }
    }

    /// What the cluster had finalized when the connection was opened.
    pub(crate) fn features(&self) -> Features {
        self.features
    }

    /// What errors name.
    pub(crate) fn address(&self) -> &Arc<str> {
        self.transport.address()
    }

    /// Whether it is worth calling.
    pub(crate) fn is_open(&self) -> bool {
        self.transport.is_open()
    }

    /// For how long it has not been called.
    pub(crate) fn idle(&self) -> Duration {
        self.last_used
            .lock()
            .map_or(Duration::ZERO, |last_used| last_used.elapsed())
    }

    /// The greatest version of a request that both sides speak, not above `newest`.
    pub(crate) fn version<R: ApiRequest>(&self, newest: i16) -> Result<i16, Error> {
        let ours = ours(R::API_KEY);
        let (min, max) = (*ours.start(), (*ours.end()).min(newest));
        let theirs = self.versions.get(&R::API_KEY);
        let version = theirs.map(|theirs| max.min(*theirs.end()));
        match (version, theirs) {
            (Some(version), Some(theirs)) if version >= min && theirs.contains(&version) => Ok(version),
            _ => Err(Error::UnsupportedVersion {
                address: self.address().clone(),
                api: R::API_KEY.name(),
                min,
                max,
                theirs: theirs.map(|theirs| (*theirs.start(), *theirs.end())),
            }),
        }
    }

    /// Sends a request; it is in line when this returns. Without an answer in time the connection is given up: whatever
    /// comes behind the request would have to wait for it.
    pub(crate) fn start<R: ApiRequest>(
        &self,
        version: i16,
        request: R,
        answer_within: Duration,
    ) -> impl Future<Output = Result<R::Response, Error>> + Send + use<R> {
        if let Ok(mut last_used) = self.last_used.lock() {
            *last_used = Instant::now();
        }
        let call = self.transport.call(version, request.into());
        let transport = self.transport.clone();
        async move {
            let response: Response = match timeout(answer_within, call).await {
                Ok(answer) => answer?,
                Err(_) => {
                    transport.close();
                    return Err(Error::Transport(transport::Error::RequestTimeout {
                        address: transport.address().clone(),
                        api: R::API_KEY.name(),
                        after: answer_within,
                    }));
                }
            };
            response
                .try_into()
                .map_err(|other: Box<Response>| Error::InvalidResponse {
                    action: R::API_KEY.name().into(),
                    reason: format!("it is one to {}", other.api_key().name()).into(),
                })
        }
    }

    /// Makes a request for the version that both sides speak, sends it, waits.
    pub(crate) async fn call<R: ApiRequest>(
        &self,
        build: impl FnOnce(i16) -> R,
    ) -> Result<R::Response, Error> {
        let version = self.version::<R>(i16::MAX)?;
        self.start(version, build(version), self.request_timeout).await
    }
}

/// The versions that this client speaks: those that Kafka calls stable.
fn ours(api_key: ApiKey) -> RangeInclusive<i16> {
    *api_key.versions().start()..=*api_key.advertised_versions().end()
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}
