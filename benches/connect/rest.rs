//! The few words of HTTP that the REST API of a worker needs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

/// Asks a worker at `HOST:PORT` for JSON; anything but 2xx is an error.
pub(crate) fn call(address: &str, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
    Ok(serde_json::from_str(&text(address, method, path, body)?).unwrap_or_default())
}

/// The same for text.
pub(crate) fn text(address: &str, method: &str, path: &str, body: &Value) -> anyhow::Result<String> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(90)))?;
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    write!(
        socket,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let (head, content) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    ensure!(status.starts_with('2'), "{method} {path}: {status} {content}");
    // Jetty sends chunks where it does not know the length.
    let content = match content.find(['{', '[']) {
        Some(start) if head.to_ascii_lowercase().contains("chunked") => unchunked(&content[start..]),
        _ => content.to_owned(),
    };
    Ok(content)
}

fn unchunked(content: &str) -> String {
    let is_length = |line: &&str| !(line.len() <= 8 && line.bytes().all(|byte| byte.is_ascii_hexdigit()));
    content.split("\r\n").filter(is_length).collect()
}
