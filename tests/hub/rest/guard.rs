//! Pages of other sites are kept out of every service: a foreign `Host` or `Origin` gets 403, a body that a page may send
//! unasked gets 415.

use super::send;
use crate::process::Hub;

#[test]
fn every_service_keeps_pages_of_other_sites_out() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = Hub::start(
        directory.path(),
        "broker,registry,rest,console",
        &["rest.allowed.hosts=hub.example"],
    );
    let paths = [
        ("registry", "/subjects"),
        ("rest", "/topics"),
        ("console", "/health/live"),
    ];
    for (role, path) in paths {
        let port = hub.port(role);
        let cases = [
            ("host", "localhost".to_owned(), 200),
            ("host", format!("127.0.0.1:{port}"), 200),
            ("host", format!("[::1]:{port}"), 200),
            ("host", format!("evil.example:{port}"), 403),
            ("host", "localhost.evil.example".to_owned(), 403),
            ("origin", format!("http://localhost:{port}"), 200),
            ("origin", "https://evil.example".to_owned(), 403),
            ("origin", "null".to_owned(), 403),
            // Only one of them was told of this one.
            (
                "host",
                "hub.example".to_owned(),
                if role == "rest" { 200 } else { 403 },
            ),
        ];
        for (name, value, expected) in cases {
            let answer = send(&hub, ("GET", role, path), &[(name, &value)], None);
            assert_eq!(answer.status, expected, "{role} {name}: {value}: {answer:?}");
        }
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
        ] {
            let answer = send(&hub, ("POST", role, path), &[("content-type", kind)], Some("{}"));
            assert_eq!(answer.status, 415, "{role} {kind}: {answer:?}");
        }
    }
}
