//! Filling a channel, as fast as can be.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use restante_wire::batch::ItemHead;
use tokio::task::JoinSet;

use super::{ADDRESS, http};
use crate::stream::Stream;

/// Messages of one request.
const MESSAGES: usize = 500;
/// Requests under way: while some are synced, others are read.
const CONNECTIONS: usize = 4;
/// How an item of the answer begins if its message is stored.
const STORED: &[u8] = b"\"status\":201";

/// Pushes at least so many messages, each with what `head` gives for its number.
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
                ensure!(stored == MESSAGES, "not all were stored: {}", String::from_utf8_lossy(&body));
            }
            anyhow::Ok(())
        });
    }
    while let Some(filled) = filling.join_next().await {
        filled??;
    }
    Ok(())
}
