//! What clients of NATS do.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};

use super::{CONSUMER, STREAM, protocol::Connection};
use crate::{
    broker::http::{MESSAGE_BYTES, content},
    load::Work,
};

/// How many messages are under way while a stream is filled.
const FILLED_AT_ONCE: usize = 1000;

/// Publishes a message and waits for JetStream's acknowledgement.
pub(crate) struct Push {
    pub(crate) server: SocketAddr,
}

/// A client that repeats a request.
pub(crate) struct Repeating {
    connection: Connection,
    request: Vec<u8>,
}

impl Work for Push {
    type Client = Repeating;

    async fn begin(&self) -> Result<Repeating> {
        let connection = Connection::open(self.server).await?;
        let request = connection.publishing(STREAM, &content());
        Ok(Repeating { connection, request })
    }

    async fn once(&self, Repeating { connection, request }: &mut Repeating) -> Result<()> {
        connection.send(request).await?;
        connection.acknowledged().await
    }
}

/// Gets one message and, by the request for the next, acknowledges it.
pub(crate) struct PullAndAck {
    pub(crate) server: SocketAddr,
}

/// A receiver with the message that it works on.
pub(crate) struct Receiver {
    connection: Connection,
    /// Where its acknowledgement goes.
    acknowledges: Option<String>,
}

impl Receiver {
    async fn open(server: SocketAddr) -> Result<Self> {
        Ok(Self { connection: Connection::open(server).await?, acknowledges: None })
    }

    /// Acknowledges what it has, and asks for the next: `+NXT` is both in one.
    async fn ask(&mut self) -> Result<()> {
        let request = match self.acknowledges.take() {
            Some(message) => self.connection.publishing(&message, b"+NXT"),
            None => {
                let next = format!("$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{CONSUMER}");
                self.connection.publishing(&next, b"{\"batch\":1}")
            }
        };
        self.connection.send(&request).await
    }

    /// Waits until it has a message.
    async fn receive(&mut self) -> Result<()> {
        let (reply, payload) = self.connection.message().await?;
        ensure!(payload.len() == MESSAGE_BYTES, "NATS sent {}", String::from_utf8_lossy(&payload));
        self.acknowledges = Some(reply.context("a message came without its acknowledgement's subject")?);
        Ok(())
    }
}

impl Work for PullAndAck {
    type Client = Receiver;

    async fn begin(&self) -> Result<Receiver> {
        Receiver::open(self.server).await
    }

    async fn once(&self, receiver: &mut Receiver) -> Result<()> {
        receiver.ask().await?;
        receiver.receive().await
    }
}

/// Fills the stream with so many messages.
pub(crate) async fn fill(server: SocketAddr, messages: usize) -> Result<()> {
    let mut connection = Connection::open(server).await?;
    let many = connection.publishing(STREAM, &content()).repeat(FILLED_AT_ONCE);
    for _ in 0..messages.div_ceil(FILLED_AT_ONCE) {
        connection.send(&many).await?;
        for _ in 0..FILLED_AT_ONCE {
            connection.acknowledged().await?;
        }
    }
    Ok(())
}
