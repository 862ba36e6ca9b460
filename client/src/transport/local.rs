//! Our own node, in this process: what answers is given from outside (a broker's router), here are the bounds that a socket
//! would have, and a task for each request, so that it goes on whoever stops waiting.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use forebay_protocol::{Records, Request, Response};
use tokio::sync::Semaphore;

use crate::transport::{CallFuture, Error, Transport};

/// How many requests may be unanswered; more wait. As many as on a connection.
pub const IN_FLIGHT_REQUESTS_MAX: usize = super::tcp::IN_FLIGHT_REQUESTS_MAX;

/// How many bytes of records a request may have: the default of a broker's `socket.request.max.bytes`.
pub const REQUEST_BYTES_MAX: usize = 100 * 1024 * 1024;

/// Bounds around a node in this process.
#[derive(Debug)]
pub struct Local {
    node: Arc<dyn Transport>,
    slots: Arc<Semaphore>,
    closed: AtomicBool,
}

impl Local {
    /// Puts the bounds around `node`, which need not have any. Its calls must begin when they are made: see [`Transport`].
    pub fn new(node: Arc<dyn Transport>) -> Self {
        Self {
            node,
            slots: Arc::new(Semaphore::new(IN_FLIGHT_REQUESTS_MAX)),
            closed: AtomicBool::new(false),
        }
    }

    fn check(&self, request: &Request) -> Result<(), Error> {
        let bytes = record_bytes(request);
        if bytes > REQUEST_BYTES_MAX {
            return Err(Error::TooLarge {
                address: self.address().clone(),
                api: request.api_key().name(),
                bytes,
                bytes_max: REQUEST_BYTES_MAX,
            });
        }
        if self.is_open() {
            return Ok(());
        }
        let reason = "it was closed on this side".into();
        Err(Error::Disconnected {
            address: self.address().clone(),
            reason,
        })
    }
}

impl Transport for Local {
    fn call(&self, api_version: i16, request: Request) -> CallFuture {
        if let Err(error) = self.check(&request) {
            return Box::pin(std::future::ready(Err(error)));
        }
        let address = self.address().clone();
        // In line at once if there is a slot, as the contract says; the task only waits for the end.
        let call: CallFuture = match self.slots.clone().try_acquire_owned() {
            Ok(slot) => {
                let answer = self.node.call(api_version, request);
                Box::pin(async move {
                    let _slot = slot;
                    answer.await
                })
            }
            Err(_) => {
                let (node, slots) = (self.node.clone(), self.slots.clone());
                Box::pin(async move {
                    let _slot = slots.acquire_owned().await;
                    node.call(api_version, request).await
                })
            }
        };
        let task = tokio::spawn(call);
        Box::pin(async move {
            let lost = |reason: String| Error::Disconnected {
                address: address.clone(),
                reason: reason.into(),
            };
            let response = task
                .await
                .unwrap_or_else(|error| Err(lost(format!("the request failed: {error}"))))?;
            if in_memory(&response) {
                Ok(response)
            } else {
                // The contract of Transport: nobody above knows how to read a broker's files.
                Err(lost("its records are not in memory".to_owned()))
            }
        })
    }

    fn address(&self) -> &Arc<str> {
        self.node.address()
    }

    fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Relaxed) && self.node.is_open()
    }

    /// Closes this way to the node; the node itself is not ours to close.
    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

fn record_bytes(request: &Request) -> usize {
    let Request::Produce(produce) = request else {
        return 0;
    };
    let partitions = produce.topic_data.iter().flat_map(|topic| &topic.partition_data);
    partitions
        .filter_map(|partition| partition.records.as_ref())
        .map(Records::len)
        .sum()
}

fn in_memory(response: &Response) -> bool {
    let Response::Fetch(fetch) = response else {
        return true;
    };
    let mut partitions = fetch.responses.iter().flat_map(|topic| &topic.partitions);
    partitions.all(|partition| !matches!(partition.records, Some(Records::File(_))))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use bytes::Bytes;
    use forebay_protocol::messages::{
        MetadataRequest, MetadataResponse, ProduceRequest,
        produce_request::{PartitionProduceData, TopicProduceData},
    };
    use tokio::sync::Notify;

    use super::*;

    /// A node that answers when it is let.
    #[derive(Debug)]
    struct Slow {
        address: Arc<str>,
        begun: Arc<AtomicUsize>,
        go: Arc<Notify>,
    }

    impl Transport for Slow {
        fn call(&self, _: i16, _: Request) -> CallFuture {
            self.begun.fetch_add(1, Ordering::SeqCst);
            let go = self.go.clone();
            Box::pin(async move {
                go.notified().await;
                Ok(MetadataResponse::default().into())
            })
        }

        fn address(&self) -> &Arc<str> {
            &self.address
        }

        fn is_open(&self) -> bool {
            true
        }

        fn close(&self) {}
    }

    fn slow() -> (Local, Arc<AtomicUsize>, Arc<Notify>) {
        let (begun, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let node = Slow {
            address: "here".into(),
            begun: begun.clone(),
            go: go.clone(),
        };
        (Local::new(Arc::new(node)), begun, go)
    }

    #[tokio::test]
    async fn requests_beyond_the_bound_wait_and_go_on_unwatched() {
        let (local, begun, go) = slow();
        let calls: Vec<_> = (0..=IN_FLIGHT_REQUESTS_MAX)
            .map(|_| local.call(12, MetadataRequest::default().into()))
            .collect();
        assert_eq!(
            begun.load(Ordering::SeqCst),
            IN_FLIGHT_REQUESTS_MAX,
            "in line when call returns"
        );
        // Nobody waits for them any more; they end all the same, and the last one gets its turn.
        drop(calls);
        while begun.load(Ordering::SeqCst) <= IN_FLIGHT_REQUESTS_MAX {
            go.notify_one();
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_request_has_the_bound_of_a_socket() {
        let (local, begun, go) = slow();
        let produce = |bytes: usize| {
            let records = Some(Records::Memory(Bytes::from(vec![0; bytes])));
            let partition = PartitionProduceData {
                records,
                ..Default::default()
            };
            let topic = TopicProduceData {
                partition_data: vec![partition],
                ..Default::default()
            };
            ProduceRequest {
                topic_data: vec![topic],
                ..Default::default()
            }
        };
        let fits = local.call(12, produce(REQUEST_BYTES_MAX).into());
        go.notify_one();
        fits.await.expect("at the bound");
        let error = local
            .call(12, produce(REQUEST_BYTES_MAX + 1).into())
            .await
            .expect_err("one byte past it");
        assert!(
            matches!(error, Error::TooLarge { .. }) && !error.is_retriable(),
            "{error}"
        );
        assert_eq!(begun.load(Ordering::SeqCst), 1);

        local.close();
        let error = local
            .call(12, MetadataRequest::default().into())
            .await
            .expect_err("closed");
        assert!(error.is_disconnect());
    }
}
