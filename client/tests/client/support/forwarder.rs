//! An HTTP proxy: CONNECT for https, absolute URLs for http.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// A running proxy. Dropping it stops the proxy.
pub(crate) struct Forwarder {
    pub(crate) url: String,
    heads: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Forwarder {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let recorded = heads.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(forward(stream, recorded.clone()));
            }
        });
        Self { url, heads, _tasks: tasks }
    }

    /// The head of each connection's first request.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn forward(mut client: TcpStream, heads: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = client.read_u8().await else { return };
        head.push(byte);
    }
    let text = String::from_utf8(head).unwrap();
    heads.lock().unwrap().push(text.clone());
    let mut words = text.split_whitespace();
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let connect = method == "CONNECT";
    let authority =
        if connect { target } else { target.strip_prefix("http://").unwrap().split('/').next().unwrap() };
    let mut server = TcpStream::connect(authority).await.unwrap();
    if connect {
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    } else {
        // A server accepts an absolute URL as well (RFC 9112 section 3.2.2).
        server.write_all(text.as_bytes()).await.unwrap();
    }
    // Ends when either side closes the connection.
    let _ = copy_bidirectional(&mut client, &mut server).await;
}
