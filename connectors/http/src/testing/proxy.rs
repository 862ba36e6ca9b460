//! A proxy that sends everything to one port of this machine, whatever host is asked for.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// It is gone with the value.
pub(crate) struct TestProxy {
    pub(crate) port: u16,
    heads: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for TestProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TestProxy {
    /// With `authorization` it takes requests with that header only.
    pub(crate) async fn start(to: u16, authorization: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        let port = listener.local_addr().expect("it is bound").port();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let log = Arc::clone(&heads);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                tokio::spawn(serve(stream, to, authorization, Arc::clone(&log)));
            }
        });
        Self { port, heads, task }
    }

    /// The first head of each connection since the last call.
    pub(crate) fn heads(&self) -> Vec<String> {
        std::mem::take(&mut *self.heads.lock().expect("no panic"))
    }
}

async fn serve(
    mut stream: TcpStream,
    to: u16,
    authorization: Option<&'static str>,
    log: Arc<Mutex<Vec<String>>>,
) {
    let mut read = Vec::new();
    while !read.windows(4).any(|end| end == b"\r\n\r\n") {
        if !matches!(stream.read_buf(&mut read).await, Ok(1..)) {
            return;
        }
    }
    let head = String::from_utf8_lossy(&read).to_ascii_lowercase();
    log.lock()
        .expect("no panic")
        .push(String::from_utf8_lossy(&read).into_owned());
    let wanted = authorization.map(|value| format!("proxy-authorization: {}", value.to_ascii_lowercase()));
    if wanted.is_some_and(|wanted| !head.contains(&wanted)) {
        let refused = "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
        // Whoever was refused may have gone away.
        let _ = stream.write_all(refused.as_bytes()).await;
        return;
    }
    let mut server = TcpStream::connect(("127.0.0.1", to))
        .await
        .expect("the server is there");
    let passed = match head.starts_with("connect ") {
        true => stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await,
        false => server.write_all(&read).await,
    };
    if passed.is_ok() {
        // It ends when one of them goes away, however.
        let _ = copy_bidirectional(&mut stream, &mut server).await;
    }
}
