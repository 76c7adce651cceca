//! Operations of the clients of NATS.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use tokio::time::sleep;

use super::{CONSUMER, STREAM, protocol::Connection};
use crate::{
    broker::http::{MESSAGE_BYTES, message_body},
    load::{UNTIL_IT_WAITS, Work},
};

/// Number of messages in flight while a stream is filled.
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
        let request = connection.publishing(STREAM, &message_body());
        Ok(Repeating { connection, request })
    }

    async fn once(&self, Repeating { connection, request }: &mut Repeating) -> Result<()> {
        connection.send(request).await?;
        connection.acknowledged().await
    }
}

/// Pulls a message, and acknowledges it with the pull of the next one.
pub(crate) struct PullAndAck {
    pub(crate) server: SocketAddr,
}

/// Bodies of a pull of one message, without and with a wait.
const NOW: &str = "{\"batch\":1,\"no_wait\":true}";
const WAIT: &str = "{\"batch\":1}";

/// A receiver and its current message.
pub(crate) struct Receiver {
    connection: Connection,
    /// The body of its pulls.
    next: &'static str,
    /// Subject of the current message's acknowledgement.
    acknowledges: Option<String>,
}

impl Receiver {
    async fn open(server: SocketAddr, next: &'static str) -> Result<Self> {
        Ok(Self { connection: Connection::open(server).await?, next, acknowledges: None })
    }

    /// Acknowledges the current message and pulls the next one: `+NXT` does both.
    async fn ask(&mut self) -> Result<()> {
        let request = match self.acknowledges.take() {
            Some(message) => {
                let both = format!("+NXT {}", self.next);
                self.connection.publishing(&message, both.as_bytes())
            }
            None => {
                let next = format!("$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{CONSUMER}");
                self.connection.publishing(&next, self.next.as_bytes())
            }
        };
        self.connection.send(&request).await
    }

    /// Waits for a message.
    async fn receive(&mut self) -> Result<()> {
        let (reply, payload) = self.connection.message().await?;
        ensure!(payload.len() == MESSAGE_BYTES, "NATS sent {}", String::from_utf8_lossy(&payload));
        self.acknowledges = Some(reply.context("a message has no subject for its acknowledgement")?);
        Ok(())
    }
}

impl Work for PullAndAck {
    type Client = Receiver;

    async fn begin(&self) -> Result<Receiver> {
        Receiver::open(self.server, NOW).await
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
    type Client = (Repeating, Receiver);

    async fn begin(&self) -> Result<Self::Client> {
        let sender = Push { server: self.server }.begin().await?;
        let mut receiver = Receiver::open(self.server, WAIT).await?;
        receiver.ask().await?;
        sleep(UNTIL_IT_WAITS).await;
        Ok((sender, receiver))
    }

    async fn once(&self, (sender, receiver): &mut Self::Client) -> Result<()> {
        sender.connection.send(&sender.request).await?;
        receiver.receive().await
    }

    async fn after(&self, (sender, receiver): &mut Self::Client) -> Result<()> {
        sender.connection.acknowledged().await?;
        receiver.ask().await?;
        sleep(UNTIL_IT_WAITS).await;
        Ok(())
    }
}

/// Fills the stream with this number of messages.
pub(crate) async fn fill(server: SocketAddr, messages: usize) -> Result<()> {
    let mut connection = Connection::open(server).await?;
    let many = connection.publishing(STREAM, &message_body()).repeat(FILLED_AT_ONCE);
    for _ in 0..messages.div_ceil(FILLED_AT_ONCE) {
        connection.send(&many).await?;
        for _ in 0..FILLED_AT_ONCE {
            connection.acknowledged().await?;
        }
    }
    Ok(())
}
