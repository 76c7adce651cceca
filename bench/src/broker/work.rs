//! Operations of the clients of Restante.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tokio::time::sleep;

use super::{ADDRESS, http};
use crate::{
    load::{UNTIL_IT_WAITS, Work},
    stream::Stream,
};

/// Repeats the same request, which is answered with 201 or 200.
pub(crate) struct Repeat {
    pub(crate) server: SocketAddr,
    pub(crate) request: Vec<u8>,
    pub(crate) status: u16,
}

impl Repeat {
    /// Pushes one message per request.
    pub(crate) fn push(server: SocketAddr) -> Self {
        Self { server, request: http::push(ADDRESS), status: 201 }
    }
}

impl Work for Repeat {
    type Client = Stream;

    async fn begin(&self) -> Result<Stream> {
        Stream::open(self.server).await
    }

    async fn once(&self, stream: &mut Stream) -> Result<()> {
        stream.send(&self.request).await?;
        http::status(stream, self.status).await
    }
}

/// Pulls a message, and settles it with the pull of the next one.
pub(crate) struct PullAndSettle {
    pub(crate) server: SocketAddr,
}

/// A receiver and the lease of its current message.
pub(crate) struct Receiver {
    stream: Stream,
    /// The query of its pulls, with the wait if it is not the channel's default.
    query: &'static str,
    lease: Option<String>,
}

impl Receiver {
    pub(crate) async fn open(server: SocketAddr, query: &'static str) -> Result<Self> {
        Ok(Self { stream: Stream::open(server).await?, query, lease: None })
    }

    /// Sends a pull of the next message that settles the current one.
    pub(crate) async fn ask(&mut self) -> Result<()> {
        let settled = self.lease.take();
        self.stream.send(&http::pull(ADDRESS, self.query, settled.as_deref())).await
    }

    /// Waits for a message.
    pub(crate) async fn receive(&mut self) -> Result<()> {
        let answer = http::answer(&mut self.stream, 200).await?;
        self.lease = Some(answer.location.context("a message has no lease")?);
        Ok(())
    }
}

impl Work for PullAndSettle {
    type Client = Receiver;

    async fn begin(&self) -> Result<Receiver> {
        Receiver::open(self.server, "?wait=0").await
    }

    async fn once(&self, receiver: &mut Receiver) -> Result<()> {
        receiver.ask().await?;
        receiver.receive().await
    }
}

/// A sender, and a waiting receiver that gets its messages.
pub(crate) struct HandOver {
    pub(crate) server: SocketAddr,
}

impl Work for HandOver {
    type Client = (Stream, Receiver);

    async fn begin(&self) -> Result<Self::Client> {
        let mut receiver = Receiver::open(self.server, "").await?;
        receiver.ask().await?;
        sleep(UNTIL_IT_WAITS).await;
        Ok((Stream::open(self.server).await?, receiver))
    }

    async fn once(&self, (sender, receiver): &mut Self::Client) -> Result<()> {
        sender.send(&http::push(ADDRESS)).await?;
        receiver.receive().await
    }

    async fn after(&self, (sender, receiver): &mut Self::Client) -> Result<()> {
        http::status(sender, 201).await?;
        receiver.ask().await?;
        sleep(UNTIL_IT_WAITS).await;
        Ok(())
    }
}

/// Pushes a message, pulls another one and settles the previous one, so that the depth of the queue does not change.
pub(crate) struct PushAndPull {
    pub(crate) server: SocketAddr,
}

impl Work for PushAndPull {
    type Client = Receiver;

    async fn begin(&self) -> Result<Receiver> {
        Receiver::open(self.server, "?wait=0").await
    }

    async fn once(&self, receiver: &mut Receiver) -> Result<()> {
        receiver.stream.send(&http::push(ADDRESS)).await?;
        http::status(&mut receiver.stream, 201).await?;
        receiver.ask().await?;
        receiver.receive().await
    }
}
