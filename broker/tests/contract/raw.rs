//! Raw HTTP/1.1, for requests that no client library would send.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::broker::{Broker, DEADLINE};

/// A raw answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

pub(crate) async fn connect(broker: &Broker) -> TcpStream {
    TcpStream::connect(broker.data()).await.unwrap()
}

/// A connection with these bytes sent.
pub(crate) async fn sent(broker: &Broker, bytes: impl AsRef<[u8]>) -> TcpStream {
    let mut stream = connect(broker).await;
    stream.write_all(bytes.as_ref()).await.unwrap();
    stream
}

/// All bytes until the broker closes the connection.
pub(crate) async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    // A reset counts as an end as well.
    let _ = timeout(DEADLINE, stream.read_to_end(&mut all)).await.expect("the broker closes the connection");
    all
}

/// The next answer; its head has its length.
pub(crate) async fn answer(stream: &mut TcpStream) -> Answer {
    timeout(DEADLINE, next_answer(stream)).await.expect("the broker answers")
}

async fn next_answer(stream: &mut TcpStream) -> Answer {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("an answer's head"));
    }
    let head = String::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.expect("an answer's body");
    Answer { status, head, body }
}

/// The status of the first answer in these bytes; 0 without an answer.
pub(crate) fn status(answer: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(answer);
    text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}
