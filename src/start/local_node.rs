//! The way from the services to the broker of the same process: the requests of a socket without the socket.

use std::sync::Arc;

use forebay_broker_server as broker;
use forebay_client::LocalNode;
use forebay_client::transport::{CallFuture, Error, Transport};
use forebay_disk::FileExt;
use forebay_protocol::messages::ProduceResponse;
use forebay_protocol::{Chunk, FileRange, Records, Request, Response};
use tokio::runtime::Handle;

/// Our own broker, for the client.
pub(super) fn local_node(broker: broker::Handle, runtime: Handle) -> LocalNode {
    let listener = Arc::clone(&broker.listeners()[0].name);
    LocalNode {
        cluster_id: broker.cluster_id().to_owned(),
        node_id: broker.node_id(),
        transport: Arc::new(InProcess {
            broker,
            runtime,
            listener,
            address: Arc::from("our own broker"),
        }),
    }
}

#[derive(Debug)]
struct InProcess {
    broker: broker::Handle,
    runtime: Handle,
    listener: Arc<str>,
    address: Arc<str>,
}

impl Transport for InProcess {
    /// The request is in line when this returns; everything that waits or works after that is the broker runtime's.
    fn call(&self, api_version: i16, request: Request) -> CallFuture {
        let _broker = self.runtime.enter();
        let api = request.api_key();
        let expects_nothing = matches!(&request, Request::Produce(produce) if produce.acks == 0);
        let context = broker::CallContext::in_process("forebay", Arc::clone(&self.listener));
        let answer = self.broker.router().call(context, api_version, request);
        let address = Arc::clone(&self.address);
        let lost = move |reason: &str| Error::Disconnected {
            address,
            reason: reason.into(),
        };
        let answering = self.runtime.spawn(async move {
            match answer.await {
                Some(response) => in_memory(response).await,
                None if expects_nothing => Ok(ProduceResponse::default().into()),
                None => Err(format!("it does not serve {}, version {api_version}", api.name())),
            }
        });
        Box::pin(async move {
            match answering.await {
                Ok(Ok(response)) => Ok(response),
                Ok(Err(reason)) => Err(lost(&reason)),
                Err(ended) => Err(lost(&format!("the broker has ended: {ended}"))),
            }
        })
    }

    fn address(&self) -> &Arc<str> {
        &self.address
    }

    fn is_open(&self) -> bool {
        true
    }

    /// The broker belongs to the hub: its clients cannot close it.
    fn close(&self) {}
}

/// Reads what lies in files, on a thread that may wait for a disk.
async fn in_memory(response: Response) -> Result<Response, String> {
    let Response::Fetch(mut fetch) = response else {
        return Ok(response);
    };
    let mut partitions = fetch.responses.iter_mut().flat_map(|topic| &mut topic.partitions);
    if !partitions.any(|partition| partition.records.as_ref().is_some_and(has_files)) {
        return Ok(Response::Fetch(fetch));
    }
    let read = tokio::task::spawn_blocking(move || {
        for partition in fetch.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
            if let Some(records) = partition.records.take() {
                partition.records = Some(read_records(records)?);
            }
        }
        Ok(Response::Fetch(fetch))
    });
    read.await.map_err(|panicked| panicked.to_string())?
}

fn has_files(records: &Records) -> bool {
    match records {
        Records::Memory(_) => false,
        Records::File(_) => true,
        Records::Chunks(chunks) => chunks.iter().any(|chunk| matches!(chunk, Chunk::File(_))),
    }
}

fn read_records(records: Records) -> Result<Records, String> {
    let mut bytes = Vec::with_capacity(records.len());
    match records {
        Records::Memory(_) => return Ok(records),
        Records::File(range) => read_range(&range, &mut bytes)?,
        Records::Chunks(chunks) => {
            for chunk in chunks {
                match chunk {
                    Chunk::Bytes(chunk) => bytes.extend_from_slice(&chunk),
                    Chunk::File(range) => read_range(&range, &mut bytes)?,
                }
            }
        }
    }
    Ok(Records::Memory(bytes.into()))
}

fn read_range(range: &FileRange, bytes: &mut Vec<u8>) -> Result<(), String> {
    let start = bytes.len();
    let wanted = range.length as usize;
    bytes.resize(start + wanted, 0);
    let read = range
        .file
        .read_up_to_at(&mut bytes[start..], range.position)
        .map_err(|error| error.to_string())?;
    if read < wanted {
        return Err(format!("a segment ends {} bytes early", wanted - read));
    }
    Ok(())
}
