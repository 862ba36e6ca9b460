//! Where the Parquet files go: a directory, or a bucket of an S3 server (s3s, not ours) in this process.

mod faults;
mod gate;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

pub(crate) use self::faults::{Fault, Faults};
pub(crate) use self::gate::Gate;

const BUCKET: &str = "lake";
const KEY: &str = "key";
const SECRET: &str = "secret";

/// A store of objects, and what serves it.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
    server: Option<(Runtime, SocketAddr)>,
}

impl Store {
    /// A directory of its own.
    pub(crate) fn local(directory: PathBuf) -> Self {
        Self {
            directory,
            server: None,
        }
    }

    /// A bucket that is kept in a directory of its own, so that it can be read behind the server's back.
    pub(crate) fn s3(directory: &Path) -> Self {
        Self::failing_s3(directory, Arc::default())
    }

    /// The same, of a server that does wrong what it is told to.
    pub(crate) fn failing_s3(directory: &Path, faults: Arc<Faults>) -> Self {
        Self::serve_s3(directory, faults, Gate::default())
    }

    /// The same, of a server behind a gate.
    pub(crate) fn s3_behind(directory: &Path, gate: Gate) -> Self {
        Self::serve_s3(directory, Arc::default(), gate)
    }

    fn serve_s3(directory: &Path, faults: Arc<Faults>, gate: Gate) -> Self {
        std::fs::create_dir_all(directory.join(BUCKET)).expect("made");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a free port");
        let address = listener.local_addr().expect("bound");
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(directory).expect("a directory"));
        builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
        builder.set_access(gate);
        let service = builder.build();
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (service, faults) = (service.clone(), Arc::clone(&faults));
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let (service, faults) = (service.clone(), Arc::clone(&faults));
                        async move { faults.serve(&service, request).await }
                    });
                    let http = auto::Builder::new(TokioExecutor::new());
                    // Clients are killed here.
                    let _ = http.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self {
            directory: directory.join(BUCKET),
            server: Some((runtime, address)),
        }
    }

    /// The folder that has the objects.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The sink's keys.
    pub(crate) fn keys(&self) -> Value {
        match &self.server {
            None => json!({ "store.url": format!("file://{}", self.directory.display()) }),
            Some((_, address)) => json!({
                "store.url": format!("http://{address}"),
                "s3.bucket.name": BUCKET,
                "aws.access.key.id": KEY,
                "aws.secret.access.key": SECRET,
            }),
        }
    }
}
