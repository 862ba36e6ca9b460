//! Connections to the model's brokers: in order, breakable.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use forebay_protocol::{
    ApiKey, ErrorCode, NodeId, Reader, Request, Response, Utf8Bytes, Writer,
    header::{RequestHeader, decode_response},
    messages::{
        ApiVersionsResponse, DescribeClusterResponse,
        api_versions_response::{ApiVersion, FinalizedFeatureKey},
    },
};
use tokio::sync::watch;

use super::{CLUSTER_ID, Fault, LATENCY, Model};
use crate::{
    cluster::Connect,
    transport::{CallFuture, Error, Transport},
};

#[derive(Debug)]
pub(super) struct ModelConnect(pub(super) Arc<Model>);

impl Connect for ModelConnect {
    fn connect(
        &self,
        address: Arc<str>,
        _: Utf8Bytes,
        _: std::time::Duration,
    ) -> crate::cluster::ConnectFuture {
        let model = self.0.clone();
        Box::pin(async move {
            tokio::time::sleep(LATENCY).await;
            let id = address
                .strip_prefix("broker")
                .and_then(|rest| rest.split_once(':'));
            let node = NodeId(
                id.and_then(|(id, _)| id.parse().ok())
                    .expect("an address of the model"),
            );
            if model.lock().brokers.get(&node) != Some(&true) {
                let source = Arc::new(std::io::ErrorKind::ConnectionRefused.into());
                return Err(Error::Connect { address, source });
            }
            *model.lock().connections.entry(node).or_default() += 1;
            Ok(Arc::new(ModelTransport {
                model,
                node,
                address,
                broken: Arc::new(AtomicBool::new(false)),
            }) as Arc<dyn Transport>)
        })
    }
}

/// The way to a node of this process.
pub(super) fn in_process(model: &Arc<Model>, node: NodeId) -> Arc<dyn Transport> {
    let broken = Arc::new(AtomicBool::new(false));
    Arc::new(ModelTransport {
        model: model.clone(),
        node,
        address: "in-process".into(),
        broken,
    })
}

#[derive(Debug)]
pub(crate) struct ModelTransport {
    pub(crate) model: Arc<Model>,
    pub(crate) node: NodeId,
    pub(crate) address: Arc<str>,
    pub(crate) broken: Arc<AtomicBool>,
}

impl Transport for ModelTransport {
    fn call(&self, api_version: i16, request: Request) -> CallFuture {
        let (model, node, address, broken) = (
            self.model.clone(),
            self.node,
            self.address.clone(),
            self.broken.clone(),
        );
        let lost = move || Error::Disconnected {
            address: address.clone(),
            reason: "a fault".into(),
        };
        let api_key = request.api_key();
        let request = through_the_wire(api_version, &request);
        let up = model.lock().brokers.get(&node) == Some(&true);
        if broken.load(Ordering::SeqCst) || !up {
            broken.store(true, Ordering::SeqCst);
            return Box::pin(std::future::ready(Err(lost())));
        }
        let fault = {
            let mut state = model.lock();
            state.requests.push((node, api_key));
            (state.faults)(node, &request)
        };
        if fault == Fault::LoseRequest {
            broken.store(true, Ordering::SeqCst);
            return Box::pin(std::future::ready(Err(lost())));
        }
        let refuse = if let Fault::Refuse(code) = fault {
            Some(code)
        } else {
            None
        };
        let ticket = model.begin(node, api_version, &request, refuse);
        if fault == Fault::LoseResponse {
            broken.store(true, Ordering::SeqCst);
        }
        Box::pin(async move {
            match fault {
                Fault::Hang => std::future::pending().await,
                Fault::Delay(delay) => tokio::time::sleep(delay).await,
                _ => tokio::time::sleep(LATENCY).await,
            }
            let response = model.finish(node, &request, ticket).await;
            if broken.load(Ordering::SeqCst) {
                return Err(lost());
            }
            Ok(back_through_the_wire(api_key, api_version, &response))
        })
    }

    fn address(&self) -> &Arc<str> {
        &self.address
    }

    fn is_open(&self) -> bool {
        !self.broken.load(Ordering::SeqCst) && self.model.lock().brokers.get(&self.node) == Some(&true)
    }

    fn close(&self) {
        self.broken.store(true, Ordering::SeqCst);
    }
}

/// What a request has come to: an answer, or a wait.
pub(super) enum Ticket {
    Answer(Box<Response>),
    /// Until there is something to fetch, or the others of the group have come.
    Wait {
        until: tokio::time::Instant,
    },
}

impl Model {
    /// Carries out what happens at once, in the order of the calls.
    fn begin(&self, node: NodeId, version: i16, request: &Request, refuse: Option<ErrorCode>) -> Ticket {
        let answer = |response: Response| Ticket::Answer(Box::new(response));
        match request {
            Request::ApiVersions(_) => answer(self.api_versions().into()),
            Request::Metadata(request) => answer(self.change(|state| state.metadata(request)).into()),
            Request::DescribeCluster(_) => answer(
                DescribeClusterResponse {
                    cluster_id: CLUSTER_ID.into(),
                    controller_id: 1,
                    ..Default::default()
                }
                .into(),
            ),
            Request::DescribeTopicPartitions(request) => {
                answer(self.lock().describe_topic_partitions(request).into())
            }
            Request::InitProducerId(request) => answer(
                self.change(|state| state.init_producer_id(request, refuse))
                    .into(),
            ),
            Request::ListTransactions(_) => answer(self.change(|state| state.list_transactions(node)).into()),
            Request::AddPartitionsToTxn(request) => {
                answer(self.change(|state| state.add_partitions(request, refuse)).into())
            }
            Request::AddOffsetsToTxn(request) => {
                answer(self.change(|state| state.add_offsets(request, refuse)).into())
            }
            Request::TxnOffsetCommit(request) => answer(
                self.change(|state| state.commit_offsets(version, request, refuse))
                    .into(),
            ),
            Request::EndTxn(request) => answer(
                self.change(|state| state.end_transaction(version, request, refuse))
                    .into(),
            ),
            Request::Produce(request) => answer(
                self.change(|state| state.produce((node, version), request, refuse))
                    .into(),
            ),
            Request::CreateTopics(request) => {
                answer(self.change(|state| state.create_topics(request, refuse)).into())
            }
            Request::DescribeConfigs(request) => answer(self.lock().describe_configs(request).into()),
            Request::ListOffsets(request) => answer(self.lock().list_offsets(node, request, refuse).into()),
            Request::Fetch(request) => match refuse {
                Some(code) => answer(self.lock().fetch(node, request, Some(code)).into()),
                None => {
                    let wait = std::time::Duration::from_millis(request.max_wait_ms.try_into().unwrap_or(0));
                    Ticket::Wait {
                        until: tokio::time::Instant::now() + wait,
                    }
                }
            },
            other => self.change(|state| state.group_request(node, other, refuse)),
        }
    }

    /// Waits for what has to be waited for.
    async fn finish(&self, node: NodeId, request: &Request, ticket: Ticket) -> Response {
        let until = match ticket {
            Ticket::Answer(response) => return *response,
            Ticket::Wait { until } => until,
        };
        let mut changed: watch::Receiver<u64> = self.changed.subscribe();
        loop {
            let late = tokio::time::Instant::now() >= until;
            let response = match request {
                Request::Fetch(request) => {
                    let mut state = self.lock();
                    let response = state.fetch(node, request, None);
                    (late || response_is_full(&response)).then(|| response.into())
                }
                other => {
                    let response = self.lock().group_response(other);
                    // Who is answered may be what others wait for.
                    response.inspect(|_| self.changed.send_modify(|count| *count += 1))
                }
            };
            if let Some(response) = response {
                return response;
            }
            tokio::select! {
                changed = changed.changed() => changed.expect("the model lives"),
                // Not again and again when it is over.
                () = tokio::time::sleep_until(until), if !late => {}
                () = tokio::time::sleep(std::time::Duration::from_secs(1)), if late => {}
            }
        }
    }

    fn api_versions(&self) -> ApiVersionsResponse {
        let state = self.lock();
        let api_keys = ApiKey::ALL.iter().filter_map(|key| {
            let all = key.advertised_versions();
            let (min, max) = state
                .versions
                .get(key)
                .copied()
                .unwrap_or((*all.start(), *all.end()));
            (max >= 0).then(|| ApiVersion {
                api_key: key.number(),
                min_version: min,
                max_version: max,
                ..Default::default()
            })
        });
        let level = state.transaction_version;
        let finalized = (level > 0).then(|| FinalizedFeatureKey {
            name: "transaction.version".into(),
            max_version_level: level,
            min_version_level: level,
            ..Default::default()
        });
        ApiVersionsResponse {
            api_keys: api_keys.collect(),
            finalized_features_epoch: 1,
            finalized_features: finalized.into_iter().collect(),
            ..Default::default()
        }
    }
}

fn response_is_full(response: &forebay_protocol::messages::FetchResponse) -> bool {
    let mut partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    partitions.any(|partition| {
        partition.error_code != 0
            || partition
                .records
                .as_ref()
                .is_some_and(|records| !records.is_empty())
    })
}

fn through_the_wire(version: i16, request: &Request) -> Request {
    let header = RequestHeader {
        api_key: request.api_key(),
        api_version: version,
        correlation_id: 7,
        client_id: None,
    };
    let mut writer = Writer::new();
    header.encode(&mut writer).expect("a sound header");
    request
        .encode(version, &mut writer)
        .expect("a request that fits its version");
    let mut reader = Reader::new(writer.finish_bytes().expect("in memory"));
    let header = RequestHeader::decode(&mut reader).expect("a sound header");
    let request = Request::decode(header.api_key, version, &mut reader).expect("a sound request");
    reader.finish().expect("nothing behind it");
    request
}

fn back_through_the_wire(api_key: ApiKey, version: i16, response: &Response) -> Response {
    let mut writer = Writer::new();
    response
        .encode(version, &mut writer)
        .expect("a response that fits its version");
    let mut reader = Reader::new(writer.finish_bytes().expect("in memory"));
    decode_response(api_key, version, &mut reader).expect("a sound response")
}
