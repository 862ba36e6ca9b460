//! S3's protocol, by a server in this process.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use forebay_connect_api::{
    Access, SinkConnector, ValueFormat,
    conformance::{Delivery, SinkSubject, check_sink},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use object_store::aws::AmazonS3Builder;
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use tokio::{net::TcpListener, task::JoinSet};

use super::bench::{Bench, Flaw, HOUR_MS, properties, read_objects, values_of_ranges};
use crate::{
    ObjectStoreSinkConnector,
    config::{Config, Target},
    connector::Environment,
    store::{Created, RemoteStore, Store},
};

const BUCKET: &str = "lake";

/// Serves a directory as buckets until it is dropped.
struct Server {
    address: SocketAddr,
    _directory: tempfile::TempDir,
    _connections: JoinSet<()>,
}

impl Server {
    async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(directory.path().join(BUCKET)).expect("made");
        let mut builder =
            S3ServiceBuilder::new(s3s_fs::FileSystem::new(directory.path()).expect("a directory"));
        builder.set_auth(SimpleAuth::from_single("key", "secret"));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut served = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                served.spawn(async move {
                    let http = auto::Builder::new(TokioExecutor::new());
                    // A client that went away is none of this test's business.
                    let _ = http.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self {
            address,
            _directory: directory,
            _connections: connections,
        }
    }

    fn keys(&self) -> [(&'static str, String); 4] {
        [
            ("store.url", format!("http://{}", self.address)),
            ("s3.bucket.name", BUCKET.to_owned()),
            ("aws.access.key.id", "key".to_owned()),
            ("aws.secret.access.key", "secret".to_owned()),
        ]
    }
}

#[tokio::test]
async fn every_record_is_in_the_bucket_exactly_once() {
    let server = Server::start().await;
    let clock = Bench::in_memory(Flaw::None).clock;
    let keys = server.keys();
    let mut more: Vec<(&str, &str)> = keys.iter().map(|(key, value)| (*key, value.as_str())).collect();
    more.extend([("flush.size", "23"), ("rotate.schedule.interval.ms", "600000")]);
    let objects = AmazonS3Builder::new()
        .with_endpoint(format!("http://{}", server.address))
        .with_allow_http(true)
        .with_region("us-west-2")
        .with_bucket_name(BUCKET)
        .with_access_key_id("key")
        .with_secret_access_key("secret")
        .build()
        .expect("complete");
    let objects = Arc::new(objects);
    let connector = ObjectStoreSinkConnector::with(Environment {
        store: None,
        clock: Arc::clone(&clock) as _,
        budget: Arc::default(),
    });
    let subject = SinkSubject {
        task: &|| connector.task(),
        properties: properties(&more),
        topic: "t",
        delivery: Delivery::Raw(ValueFormat::String),
        read: &move || {
            let objects = Arc::clone(&objects);
            Box::pin(async move { values_of_ranges(&read_objects(&*objects).await) })
        },
        pass_time: &|| clock.advance(HOUR_MS),
        may_repeat: false,
    };
    let report = check_sink(&subject, 5).await.expect("it keeps the contract");
    assert!(report.kills_in_flight > 0 && report.stored > 300, "{report:?}");
}

#[tokio::test]
async fn an_object_is_made_once_and_what_a_user_must_put_right_is_no_retry() {
    let server = Server::start().await;
    let store = async |changed: &[(&str, &str)]| {
        let keys = server.keys();
        let more: Vec<(&str, &str)> = keys.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let config = Config::parse(&properties(&[&more, changed].concat())).expect("complete");
        let Target::S3(options) = config.target else {
            panic!("not S3")
        };
        RemoteStore::s3(&options, &Access::unrestricted())
            .await
            .expect("opened")
    };
    let good = store(&[]).await;
    assert_eq!(
        good.create("a/b", Bytes::from_static(b"abc"), Some("an-id"))
            .await
            .expect("made"),
        Created::New
    );
    let again = good
        .create("a/b", Bytes::from_static(b"other"), Some("other"))
        .await
        .expect("refused");
    assert_eq!(again, Created::Exists { bytes: 3 });
    let made = good.create("a/c", Bytes::new(), None).await;
    assert_eq!(made.expect("made"), Created::New);
    for (name, expected) in [("a/b", Some("an-id")), ("a/c", None), ("a/d", None)] {
        let noted = good.topic_id(name).await.expect("looked at");
        assert_eq!(noted.as_deref(), expected, "{name}");
    }
    let found = good.list("a", &[]).await.expect("listed");
    assert_eq!(
        found
            .iter()
            .map(|object| (object.name.as_str(), object.bytes))
            .collect::<Vec<_>>(),
        [("b", 3), ("c", 0)]
    );

    let wrong = store(&[("aws.secret.access.key", "wrong")]).await;
    let error = wrong
        .create("a/e", Bytes::new(), None)
        .await
        .expect_err("refused");
    assert!(!error.is_retriable(), "{}", error.trace());
    let restricted = Access::none();
    let keys = server.keys();
    let more: Vec<(&str, &str)> = keys.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let Target::S3(options) = Config::parse(&properties(&more)).expect("complete").target else {
        panic!("not S3")
    };
    let error = RemoteStore::s3(&options, &restricted)
        .await
        .expect_err("it is this machine");
    assert!(
        error.to_string().contains("leads to a private address"),
        "{error}"
    );
}
