//! Authorities, certificates and servers that speak TLS, all made for one test.

use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// An authority of its own.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its private key, in PEM.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).expect("names")
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = params(&[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        let issuer = Issuer::new(params, key);
        Self { pem, issuer }
    }

    /// A certificate for these names, changed as a test wants it.
    pub(crate) fn issue(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let mut params = params(names);
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

/// A certificate that nobody else has signed.
pub(crate) fn self_signed(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Issued {
    let mut params = params(names);
    change(&mut params);
    let key = KeyPair::generate().expect("a key");
    Issued {
        certificate: params.self_signed(&key).expect("a certificate").pem(),
        key: key.serialize_pem(),
    }
}

fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    let found = CertificateDer::pem_slice_iter(pem.as_bytes());
    found.map(|found| found.expect("a certificate")).collect()
}

/// An https server on loopback, gone with the value. It answers each request with what `reply` makes of its first line.
pub(crate) struct TlsServer {
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TlsServer {
    /// With `clients` it wants a certificate of theirs.
    pub(crate) async fn start(
        own: &Issued,
        clients: Option<&Authority>,
        reply: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config(own, clients)));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        let port = listener.local_addr().expect("it is bound").port();
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (log, reply) = (Arc::clone(&requests), Arc::new(reply));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let (acceptor, log, reply) = (acceptor.clone(), Arc::clone(&log), Arc::clone(&reply));
                tokio::spawn(async move {
                    // Who does not trust us goes away.
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut read = Vec::new();
                    loop {
                        while !read.windows(4).any(|end| end == b"\r\n\r\n") {
                            if !matches!(stream.read_buf(&mut read).await, Ok(1..)) {
                                return;
                            }
                        }
                        let head = String::from_utf8_lossy(&std::mem::take(&mut read)).into_owned();
                        let line = head.lines().next().unwrap_or_default().to_owned();
                        log.lock().expect("no panic").push(head);
                        if stream.write_all(reply(&line).as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { port, requests, task }
    }

    /// The heads of requests since the last call.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().expect("no panic"))
    }
}

/// A 200 with that body.
pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn config(own: &Issued, clients: Option<&Authority>) -> ServerConfig {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(&authority.pem) {
                roots.add(certificate).expect("a root");
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
    };
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect("a key");
    builder
        .with_single_cert(certificates(&own.certificate), key)
        .expect("a certificate and its key")
}
