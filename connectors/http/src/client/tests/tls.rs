//! Certificates: wrong ones are refused with the cause and the cure, retried so often and given up; right ones are taken, ours are
//! shown. And stores of Java's, files that are not there, keys that do not fit.

use forebay_connect_api::config::{Configuration, Error as ConfigError};
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, date_time_ymd};

use super::*;
use crate::{
    testing::{
        properties,
        tls::{Authority, Issued, TlsServer, ok, self_signed},
    },
    tls::{Tls, Trust},
};

/// What the keys come to; they must be right.
fn trust(pairs: &[(&str, &str)]) -> Trust {
    let mut errors = Vec::new();
    let trust = Tls::parse(&properties(pairs)).expect("each is right by itself");
    let trust = trust.trust(&mut errors);
    assert!(errors.is_empty(), "{errors:?}");
    trust
}

fn https(options: Options, access: Access, time: &Arc<TestTime>) -> Result<Client, ConnectError> {
    Client::new(options, true, access, Arc::clone(time) as _)
}

fn trusting(pairs: &[(&str, &str)], time: &Arc<TestTime>) -> Client {
    let options = Options {
        trust: trust(pairs),
        ..options()
    };
    https(options, Access::unrestricted(), time).expect("a client")
}

async fn hello(own: &Issued) -> TlsServer {
    TlsServer::start(own, None, |_| ok("hello")).await
}

#[tokio::test]
async fn wrong_certificates_are_refused_with_cause_and_cure_and_given_up() {
    let (known, unknown) = (Authority::new("known"), Authority::new("unknown"));
    let names = ["localhost", "127.0.0.1"];
    let cases = [
        (
            self_signed(&names, |_| {}),
            "is self-signed or of an authority that is not trusted here",
            "https.ssl.truststore.location",
        ),
        (
            unknown.issue(&names, |_| {}),
            "of an authority that is not trusted here",
            "https.ssl.truststore.certificates",
        ),
        (
            known.issue(&names, |params| {
                params.not_before = date_time_ymd(2001, 1, 1);
                params.not_after = date_time_ymd(2002, 3, 4);
            }),
            "expired on 2002-03-04T00:00:00Z",
            "it has to be renewed there",
        ),
        (
            known.issue(&names, |params| params.not_before = date_time_ymd(4000, 1, 1)),
            "is not valid before 4000-01-01T00:00:00Z",
            "is this machine's clock right?",
        ),
        (
            known.issue(&["other.example"], |_| {}),
            "is not for 127.0.0.1 but for",
            "subject alternative name",
        ),
        (
            known.issue(&names, |params| {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            }),
            "is an authority's (CA:TRUE",
            "basicConstraints=CA:FALSE",
        ),
    ];
    for (own, cause, cure) in cases {
        let server = hello(&own).await;
        let time = TestTime::new();
        let client = trusting(&[("https.ssl.truststore.certificates", &known.pem)], &time);
        let url = format!("https://127.0.0.1:{}", server.port);
        let failure = get(&client, &url).await.expect_err(cause);
        assert_eq!((failure.attempts, failure.retriable), (4, true), "{cause}");
        assert_eq!(time.pauses(), [500, 1000, 2000]);
        let message = shown(failure);
        assert!(
            message.starts_with(&format!("GET {url}/feed failed: ")),
            "{message}"
        );
        assert!(message.contains(cause) && message.contains(cure), "{message}");
        assert!(message.ends_with("(attempt 4, the last one)"), "{message}");
        assert_eq!(
            server.requests().len(),
            0,
            "nothing is sent to whom is not trusted"
        );
    }
}

#[tokio::test]
async fn whom_the_trust_store_trusts_is_trusted_and_nobody_else() {
    let known = Authority::new("known");
    let server = hello(&known.issue(&["localhost", "127.0.0.1"], |_| {})).await;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("ca.pem");
    let bundle = format!("# two\n{}\n{}", Authority::new("another").pem, known.pem);
    std::fs::write(&file, bundle).expect("a file");
    let file = file.display().to_string();
    let url = format!("https://127.0.0.1:{}", server.port);
    for pairs in [
        &[("https.ssl.truststore.location", &*file)][..],
        &[("ssl.truststore.location", &file), ("ssl.truststore.type", "pem")],
        &[("ssl.truststore.certificates", &known.pem)],
        &[("http.ssl.trust.all.certs", "true")],
    ] {
        let client = trusting(pairs, &TestTime::new());
        assert_eq!(get(&client, &url).await.expect("trusted"), "hello", "{pairs:?}");
        assert!(server.requests()[0].contains("x-api-key: s3cret"));
    }
    // Without keys it is the system's roots that count.
    for pairs in [&[][..], &[("https.ssl.endpoint.identification.algorithm", "")]] {
        let failure = get(&trusting(pairs, &TestTime::new()), &url)
            .await
            .expect_err("unknown");
        assert!(shown(failure).contains("not trusted here"), "{pairs:?}");
    }
    let other_name = hello(&known.issue(&["other.example"], |_| {})).await;
    let pairs = [
        ("https.ssl.truststore.certificates", &*known.pem),
        ("https.ssl.endpoint.identification.algorithm", ""),
    ];
    let url = format!("https://127.0.0.1:{}", other_name.port);
    assert_eq!(
        get(&trusting(&pairs, &TestTime::new()), &url)
            .await
            .expect("any name"),
        "hello"
    );
}

#[tokio::test]
async fn a_server_that_wants_to_know_us_is_shown_our_certificate() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let own = servers.issue(&["127.0.0.1"], |_| {});
    let server = TlsServer::start(&own, Some(&clients), |_| ok("hello")).await;
    let url = format!("https://127.0.0.1:{}", server.port);
    let client_of = |authority: &Authority| {
        authority.issue(&["us"], |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        })
    };
    let (good, stranger) = (client_of(&clients), client_of(&servers));
    let roots = ("https.ssl.truststore.certificates", &*servers.pem);
    let with = |issued: &Issued| {
        let pairs = [
            roots,
            ("https.ssl.keystore.type", "PEM"),
            ("https.ssl.keystore.key", &*issued.key),
            ("https.ssl.keystore.certificate.chain", &*issued.certificate),
        ];
        trusting(&pairs, &TestTime::new())
    };
    assert_eq!(get(&with(&good), &url).await.expect("known"), "hello");

    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("client.pem");
    std::fs::write(&file, format!("{}{}", good.certificate, good.key)).expect("a file");
    let path = file.display().to_string();
    let client = trusting(&[roots, ("ssl.keystore.location", &path)], &TestTime::new());
    assert_eq!(get(&client, &url).await.expect("known"), "hello");
    server.requests();

    for (client, cause) in [
        (
            trusting(&[roots], &TestTime::new()),
            "the server wants a client certificate; give one by https.ssl.keystore.location",
        ),
        (with(&stranger), "the server does not take our client certificate"),
    ] {
        let failure = get(&client, &url).await.expect_err(cause);
        assert_eq!(failure.attempts, 4);
        let message = shown(failure);
        assert!(message.contains(cause), "{message}");
    }
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_port_without_tls_is_told_from_one_with_it() {
    let plain = Server::start(|_, _| answer(200, "")).await;
    let client = trusting(&[], &TestTime::new());
    let url = format!("https://127.0.0.1:{}", plain.port);
    let message = shown(get(&client, &url).await.expect_err("no TLS"));
    assert!(
        message.contains("speaks no TLS on this port; is it an http one?"),
        "{message}"
    );
}

/// The rules about redirects hold: nothing leads from https to http, and secrets stay home.
#[tokio::test]
async fn redirects_over_tls_keep_the_rules() {
    let known = Authority::new("known");
    let own = known.issue(&["127.0.0.1"], |_| {});
    let far = hello(&own).await;
    let to = format!("https://127.0.0.1:{}/there", far.port);
    let near = TlsServer::start(&own, None, move |line| {
        let location = match line.starts_with("GET /feed") {
            true => &*to,
            false => "http://127.0.0.1/",
        };
        format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n")
    })
    .await;
    let client = trusting(
        &[("https.ssl.truststore.certificates", &known.pem)],
        &TestTime::new(),
    );
    let url = format!("https://127.0.0.1:{}", near.port);
    assert_eq!(get(&client, &url).await.expect("far"), "hello");
    assert!(!far.requests()[0].contains(SECRET));
    let failure = get(&client, &format!("{url}/down")).await.expect_err("to http");
    assert!(shown(failure).contains("it leads from https: to http:"));
}

fn made(pairs: &[(&str, &str)], access: Access) -> Result<(), String> {
    let options = Options {
        trust: trust(pairs),
        ..options()
    };
    let made = https(options, access, &TestTime::new());
    made.map(drop).map_err(|error| error.trace())
}

/// A key that names a file, what is in that, and what is said of it.
type InFile<'a> = (&'a str, &'a [u8], &'a str);

const TRUST: &str = "https.ssl.truststore.location";
const KEYS: &str = "https.ssl.keystore.location";

/// Each must be refused, by the key and the name of the file, without what is in it.
fn refused(files: &[InFile<'_>]) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (key, bytes, reason) in files {
        let path = directory.path().join("file.pem");
        std::fs::write(&path, bytes).expect("a file");
        let path = path.display().to_string();
        let error = made(&[(key, &path)], Access::unrestricted()).expect_err(reason);
        assert!(
            error.contains(reason) && error.contains(key) && error.contains(&path),
            "{error}"
        );
        assert!(
            !error.contains("PRIVATE KEY-----\n") && !error.contains("MII"),
            "{error}"
        );
    }
}

#[test]
fn stores_that_are_no_pem_or_hold_the_wrong_are_refused() {
    let known = Authority::new("known");
    let (one, other) = (known.issue(&["us"], |_| {}), known.issue(&["us"], |_| {}));
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let (both, unlike) = (
        format!("{}{}", one.key, other.key),
        format!("{}{}", one.certificate, other.key),
    );
    refused(&[
        (
            TRUST,
            b"\xfe\xed\xfe\xed\0\0\0\x02",
            "it is a JKS file, not PEM; of a JKS or PKCS12 file make",
        ),
        (TRUST, b"\x30\x82\x01\x02", "it is a PKCS12 file or DER, not PEM"),
        (TRUST, b"", "there is no certificate in PEM"),
        (TRUST, one.key.as_bytes(), "there is no certificate in PEM"),
        (TRUST, &known.pem.as_bytes()[..100], "the PEM is damaged"),
        (TRUST, &vec![b'x'; 1024 * 1024 + 1], "longer than 1048576 bytes"),
        (KEYS, one.certificate.as_bytes(), "there is no private key in PEM"),
        (KEYS, one.key.as_bytes(), "there is no certificate in PEM"),
        (KEYS, both.as_bytes(), "more than one private key"),
        (KEYS, encrypted.as_bytes(), "openssl pkcs8 -in KEY -out PLAIN"),
        (KEYS, unlike.as_bytes(), "is not that of the certificate"),
    ]);
}

#[test]
fn files_that_are_none_or_not_allowed_are_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let gone = directory.path().join("gone");
    for (path, reason) in [
        (directory.path(), "it is no regular file"),
        (&gone, "cannot be read"),
    ] {
        let path = path.display().to_string();
        let error = made(&[(TRUST, &path)], Access::unrestricted()).expect_err(reason);
        assert!(error.contains(reason) && error.contains(&path), "{error}");
    }
    // C15: what the worker does not allow is not read, and nothing is told of it.
    let path = directory.path().join("ca.pem");
    std::fs::write(&path, Authority::new("known").pem).expect("a file");
    let within = Access::none().with_paths([directory.path().to_owned()]);
    made(&[(TRUST, &path.display().to_string())], within.clone()).expect("it is allowed");
    let error = made(&[(TRUST, "/etc/passwd")], within).expect_err("it is not");
    assert!(
        error.contains("connect.allowed.paths") && !error.contains("PEM"),
        "{error}"
    );
}

/// Keys of which this one is wrong, and why.
fn wrong(pairs: &[(&str, &str)], about: &str, reason: &str) {
    let mut errors = Vec::new();
    match Tls::parse(&properties(pairs)) {
        Ok(tls) => drop(tls.trust(&mut errors)),
        Err(found) => errors.extend(found.iter().cloned()),
    }
    let is_it = |error: &ConfigError| error.key() == Some(about) && error.to_string().contains(reason);
    assert!(errors.iter().any(is_it), "{pairs:?}: {errors:?}");
    let shown = format!("{errors:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("MII"), "{shown}");
}

#[test]
fn stores_of_java_are_refused_with_what_to_do() {
    for (key, value, about, reason) in [
        (
            "ssl.truststore.type",
            "JKS",
            "https.ssl.truststore.type",
            "keytool -exportcert -rfc",
        ),
        (
            "https.ssl.keystore.type",
            "pkcs12",
            "https.ssl.keystore.type",
            "openssl pkcs12",
        ),
        (
            "https.ssl.truststore.password",
            "s3cret",
            "https.ssl.truststore.password",
            "has no password",
        ),
        (
            "ssl.keystore.password",
            "s3cret",
            "https.ssl.keystore.password",
            "has no password",
        ),
        (
            "https.ssl.key.password",
            "s3cret",
            "https.ssl.key.password",
            "openssl pkcs8",
        ),
        (
            "https.ssl.endpoint.identification.algorithm",
            "none",
            "https.ssl.endpoint.identification.algorithm",
            "must be one of",
        ),
    ] {
        wrong(&[(key, value)], about, reason);
    }
}

#[test]
fn keys_of_tls_are_held_against_each_other() {
    let own = Authority::new("known").issue(&["us"], |_| {});
    const CERTIFICATES: &str = "https.ssl.truststore.certificates";
    const CHAIN: &str = "https.ssl.keystore.certificate.chain";
    const KEY: &str = "https.ssl.keystore.key";
    let (key, chain) = ((KEY, &*own.key), (CHAIN, &*own.certificate));
    let secret = (CERTIFICATES, "s3cret");
    wrong(
        &[(TRUST, "/x"), secret],
        CERTIFICATES,
        "says where they are already",
    );
    wrong(&[secret], CERTIFICATES, "there is no certificate");
    wrong(&[key], CHAIN, "go together");
    wrong(&[chain], KEY, "go together");
    wrong(&[(KEYS, "/x"), key, chain], KEY, "says where it is already");
    wrong(&[(KEY, "s3cret"), chain], KEY, "there is no private key");
    wrong(&[key, (CHAIN, "s3cret")], CHAIN, "there is no certificate");
}
