//! Through a proxy: everything goes there, by CONNECT where it is https, and the rules about addresses and redirects hold as
//! without one.

use std::{collections::HashMap, io, net::IpAddr};

use forebay_connect_api::{
    BoxFuture,
    config::{Configuration, Properties},
};

use super::*;
use crate::{
    proxy::Keys,
    testing::{
        properties,
        proxy::TestProxy,
        tls::{Authority, TlsServer, ok},
    },
    tls::Tls,
};

/// What these names resolve to; others are not known.
struct Known(HashMap<&'static str, &'static str>);

impl Names for Known {
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let found = self
            .0
            .get(&*host)
            .map(|address| address.parse().expect("an address"));
        let found = found.ok_or_else(|| io::Error::other("no such name"));
        Box::pin(std::future::ready(found.map(|found| vec![found])))
    }
}

fn names() -> Arc<dyn Names> {
    Arc::new(Known(HashMap::from([
        ("api.example", "8.8.4.4"),
        ("public.example", "8.8.8.8"),
        ("intern.example", "10.0.0.1"),
        ("metadata.example", "169.254.169.254"),
        ("proxy.example", "127.0.0.1"),
    ])))
}

fn keys(proxy: &TestProxy, more: &[(&str, &str)]) -> Properties {
    let port = proxy.port.to_string();
    let own = [("http.proxy.host", "127.0.0.1"), ("http.proxy.port", &*port)];
    // The last one of a name counts.
    properties(&[&own[..], more].concat())
}

fn through(keys: &Properties, access: Access, change: impl FnOnce(&mut Options)) -> Client {
    let mut errors = Vec::new();
    let mut options = Options {
        proxy: Keys::parse(keys).expect("right").proxy(&mut errors),
        trust: Tls::parse(keys).expect("right").trust(&mut errors),
        ..options()
    };
    assert!(errors.is_empty(), "{errors:?}");
    change(&mut options);
    Client::with_names(options, true, access, TestTime::new() as _, names()).expect("a client")
}

#[tokio::test]
async fn http_goes_to_the_proxy_as_a_whole_url() {
    let server = Server::start(|_, _| answer(200, "hello")).await;
    let proxy = TestProxy::start(server.port, None).await;
    for host in ["127.0.0.1", "proxy.example"] {
        let client = through(
            &keys(&proxy, &[("http.proxy.host", host)]),
            Access::unrestricted(),
            |_| {},
        );
        assert_eq!(
            get(&client, "http://public.example").await.expect("by proxy"),
            "hello"
        );
        let line = format!("GET http://public.example/feed?key={SECRET} HTTP/1.1\r\n");
        assert!(proxy.heads()[0].starts_with(&line));
        assert_eq!(server.requests()[0].header("host"), Some("public.example"));
    }
    // Nobody is behind the name: without the proxy nothing answers.
    let gone = TestProxy::start(server.port, None).await;
    let client = through(&keys(&gone, &[]), Access::unrestricted(), |options| {
        options.retries_max = 0;
    });
    drop(gone);
    get(&client, "http://public.example").await.expect_err("no proxy");
}

#[tokio::test]
async fn https_goes_through_a_tunnel_that_sees_no_secret() {
    let known = Authority::new("known");
    let server = TlsServer::start(&known.issue(&["public.example"], |_| {}), None, |_| ok("hello")).await;
    let proxy = TestProxy::start(server.port, Some("Basic dTpw")).await;
    let credentials = [
        ("http.proxy.user", "u"),
        ("http.proxy.password", "p"),
        ("https.ssl.truststore.certificates", &known.pem),
    ];
    let client = through(&keys(&proxy, &credentials), Access::unrestricted(), |_| {});
    assert_eq!(
        get(&client, "https://public.example").await.expect("by proxy"),
        "hello"
    );
    let heads = proxy.heads();
    assert!(
        heads[0].starts_with("CONNECT public.example:443 HTTP/1.1\r\n"),
        "{heads:?}"
    );
    assert!(!heads[0].contains(SECRET));
    let requests = server.requests();
    assert!(requests[0].contains(SECRET) && !requests[0].to_lowercase().contains("proxy-authorization"));

    // A certificate is wrong behind a proxy, too.
    let wrong = get(&client, "https://api.example")
        .await
        .expect_err("another name");
    assert!(shown(wrong).contains("is not for api.example but for"));

    let stranger = [("https.ssl.truststore.certificates", &*known.pem)];
    let client = through(&keys(&proxy, &stranger), Access::unrestricted(), |_| {});
    for url in ["https://public.example", "http://public.example"] {
        let failure = get(&client, url).await.expect_err("unknown");
        assert_eq!(failure.attempts, 1, "it would be the same again");
        assert!(shown(failure).contains("407"), "{url}");
    }
}

#[tokio::test]
async fn tokens_are_got_through_the_proxy() {
    let server = Server::start(|seen, _| match seen.target.as_str() {
        "http://api.example/token" => answer(200, r#"{"access_token":"t"}"#),
        _ => answer(200, seen.header("authorization").unwrap_or_default()),
    })
    .await;
    let proxy = TestProxy::start(server.port, None).await;
    let client = through(&keys(&proxy, &[]), Access::unrestricted(), |options| {
        options.credentials = Some(Credentials {
            url: Url::parse("http://api.example/token").expect("a URL"),
            id: "i".to_owned(),
            secret: SECRET.to_owned(),
            scope: None,
            credentials_in: CredentialsIn::Body,
            token_property: "access_token".to_owned(),
            headers: HeaderMap::new(),
        });
    });
    assert_eq!(
        get(&client, "http://public.example").await.expect("by proxy"),
        "Bearer t"
    );
}

/// What is behind a proxy is judged before it is asked: by address, and by what a name resolves to here.
#[tokio::test]
async fn redirects_lead_to_no_private_network_behind_a_proxy() {
    for (from, to, reason) in [
        (
            "public.example",
            "http://169.254.169.254/latest/meta-data/",
            Some("leads to 169.254.169.254, which"),
        ),
        (
            "public.example",
            "http://metadata.example/",
            Some("leads to 169.254.169.254, which"),
        ),
        (
            "public.example",
            "http://intern.example/",
            Some("leads to 10.0.0.1, which"),
        ),
        (
            "public.example",
            "http://127.0.0.1/",
            Some("leads to 127.0.0.1, which"),
        ),
        (
            "intern.example",
            "http://metadata.example/",
            Some("leads to 169.254.169.254, which"),
        ),
        (
            "public.example",
            "http://unknown.example/",
            Some("leads to unknown.example, a name that does not resolve here"),
        ),
        (
            "unknown.example",
            "http://intern.example/",
            Some("leads to 10.0.0.1, which"),
        ),
        (
            "public.example",
            "https://public.example/",
            Some("it leads from http: to https:"),
        ),
        ("public.example", "http://api.example/", None),
        ("intern.example", "http://intern.example/other", None),
        ("unknown.example", "/other", None),
    ] {
        let server = Server::start(move |seen, _| match seen.target.contains("/feed") {
            true => redirect(302, to),
            false => answer(200, "there"),
        })
        .await;
        let proxy = TestProxy::start(server.port, None).await;
        let client = through(&keys(&proxy, &[]), Access::unrestricted(), |_| {});
        let url = format!("http://{from}");
        match (get(&client, &url).await, reason) {
            (Ok(body), None) => assert_eq!(body, "there"),
            (Err(failure), Some(reason)) => {
                let asked = server.requests();
                assert!(
                    asked.iter().all(|seen| seen.target.contains("/feed")),
                    "{to} is asked: {asked:?}"
                );
                let message = shown(failure);
                assert!(message.contains(reason), "{message}");
                let open = through(&keys(&proxy, &[]), Access::unrestricted(), |options| {
                    options.redirect_to_private = true;
                });
                let allowed = get(&open, &url).await.is_ok();
                assert_eq!(allowed, !reason.contains("https:"), "{to}");
            }
            (other, _) => panic!("{from} to {to}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_the_worker_forbids_is_not_reached_through_a_proxy_nor_is_the_proxy() {
    let server = Server::start(|_, _| answer(200, "")).await;
    let proxy = TestProxy::start(server.port, None).await;
    let strict = Access::none();
    // A proxy on this machine, by address and by name.
    for host in ["127.0.0.1", "proxy.example"] {
        let client = through(
            &keys(&proxy, &[("http.proxy.host", host)]),
            strict.clone(),
            |_| {},
        );
        let message = shown(get(&client, "http://public.example").await.expect_err(host));
        assert!(
            message.contains("this worker allows that to no connector"),
            "{message}"
        );
    }
    assert!(proxy.heads().is_empty());
    // A public one, to what is private: nobody is there to be asked, so whatever else fails is not this.
    let far = keys(&proxy, &[("http.proxy.host", "8.8.8.8")]);
    let client = through(&far, strict, |options| options.retries_max = 0);
    for host in ["127.0.0.1", "intern.example", "metadata.example"] {
        let failure = get(&client, &format!("http://{host}")).await.expect_err(host);
        assert!(matches!(failure.error, Error::Forbidden { .. }), "{failure:?}");
    }
    let failure = get(&client, "http://unknown.example").await.expect_err("unknown");
    assert!(shown(failure).contains("does not resolve here"));
}
