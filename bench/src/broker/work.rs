//! What clients of our broker do.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tokio::time::sleep;

use super::{ADDRESS, http};
use crate::{
    load::{UNTIL_IT_WAITS, Work},
    stream::Stream,
};

/// The same request again and again, each answered with 201 or 200.
pub(crate) struct Repeat {
    pub(crate) server: SocketAddr,
    pub(crate) request: Vec<u8>,
    pub(crate) status: u16,
}

impl Repeat {
    /// One message a request.
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

/// Gets a message and, by the request for the next, settles it.
pub(crate) struct PullAndSettle {
    pub(crate) server: SocketAddr,
}

/// A receiver with the message that it works on.
pub(crate) struct Receiver {
    stream: Stream,
    /// The query of its pulls: how long it waits, if not for as long as the channel says.
    query: &'static str,
    lease: Option<String>,
}

impl Receiver {
    pub(crate) async fn open(server: SocketAddr, query: &'static str) -> Result<Self> {
        Ok(Self { stream: Stream::open(server).await?, query, lease: None })
    }

    /// Settles what it has, and asks for the next.
    pub(crate) async fn ask(&mut self) -> Result<()> {
        let settled = self.lease.take();
        self.stream.send(&http::pull(ADDRESS, self.query, settled.as_deref())).await
    }

    /// Waits until it has a message.
    pub(crate) async fn receive(&mut self) -> Result<()> {
        let answer = http::answer(&mut self.stream, 200).await?;
        self.lease = Some(answer.location.context("a message came without its lease")?);
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

/// A sender, and a receiver that waits for what it sends.
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

/// Pushes a message, and gets another while it settles the one before: a queue stays as deep as it is.
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
