//! Fills a channel as fast as possible.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use restante_wire::batch::ItemHead;
use tokio::task::JoinSet;

use super::{ADDRESS, http};
use crate::stream::Stream;

/// Messages per request.
const MESSAGES: usize = 500;
/// Concurrent requests: while the broker syncs some, it reads others.
const CONNECTIONS: usize = 4;
/// Text in the answer's result of a stored message.
const STORED: &[u8] = b"\"status\":201";

/// Pushes at least this number of messages, with the head that `head` returns for a message's number.
pub(crate) async fn fill(
    server: SocketAddr,
    messages: usize,
    head: impl Fn(usize) -> ItemHead + Copy + Send + 'static,
) -> Result<()> {
    let requests = messages.div_ceil(MESSAGES);
    let mut filling = JoinSet::new();
    for connection in 0..CONNECTIONS {
        filling.spawn(async move {
            let mut stream = Stream::open(server).await?;
            for request in (connection..requests).step_by(CONNECTIONS) {
                let head = |message| head(request * MESSAGES + message);
                stream.send(&http::push_batch(ADDRESS, MESSAGES, head)).await?;
                let body = http::answer(&mut stream, 200).await?.body;
                let stored = body.windows(STORED.len()).filter(|window| *window == STORED).count();
                ensure!(
                    stored == MESSAGES,
                    "some messages were not stored: {}",
                    String::from_utf8_lossy(&body)
                );
            }
            anyhow::Ok(())
        });
    }
    while let Some(filled) = filling.join_next().await {
        filled??;
    }
    Ok(())
}
