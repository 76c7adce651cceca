//! What clients of our broker do.

use std::net::SocketAddr;

use anyhow::{Context, Result};

use super::{ADDRESS, http};
use crate::{load::Work, stream::Stream};

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
    lease: Option<String>,
}

impl Receiver {
    pub(crate) async fn open(server: SocketAddr) -> Result<Self> {
        Ok(Self { stream: Stream::open(server).await?, lease: None })
    }

    /// Settles what it has, and asks for the next.
    pub(crate) async fn ask(&mut self) -> Result<()> {
        let settled = self.lease.take();
        self.stream.send(&http::pull(ADDRESS, settled.as_deref())).await
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
        Receiver::open(self.server).await
    }

    async fn once(&self, receiver: &mut Receiver) -> Result<()> {
        receiver.ask().await?;
        receiver.receive().await
    }
}
