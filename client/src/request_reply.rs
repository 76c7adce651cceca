//! Request and reply over two channels: a request says by `Reply-To` where its reply is awaited and by `Correlation-Id`
//! which reply is its own.
//!
//! **One reply channel per requester.** A receiver gets the message that was stored first, whoever it is for. Where several
//! requesters await replies at one address, each gets the others' replies too: it gives them back uncounted, and they are
//! kept from everybody for a second so that what lies behind them can be reached. That works, and costs a second and two
//! requests each time. A reply that nobody awaits any more, because its request timed out, goes around in that way until it
//! expires: give a reply channel a time to live.

use std::time::Duration;

use restante_wire::{Address, ProblemType, header};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::{
    client::Client,
    lease::{ReleaseOptions, SettleError},
    message::{HeaderError, Message},
    receiver::{ReceiveError, Received, Receiver, ReceiverOptions},
    sender::{Receipt, SendError, SendOptions, Sender},
};

/// For how many seconds somebody else's reply is kept from everybody: without it, the same one would come again at once, for
/// ever, before the one that is awaited.
const NOT_MINE_DELAY_SECONDS: u32 = 1;

/// Why a request got no reply.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RequestReplyError {
    /// The request was not sent, or not for certain.
    #[error("the request was not sent: {0}")]
    Send(#[from] SendError),
    /// The request is stored, and its reply cannot be asked for.
    #[error("the request {correlation_id} was sent, and its reply cannot be received: {source}")]
    Receive {
        /// The request's `Correlation-Id`: a reply that still comes bears it.
        correlation_id: Uuid,
        /// What went wrong.
        source: ReceiveError,
    },
    /// The request is stored, and its reply did not come in time.
    #[error("the request {correlation_id} was sent, and no reply came within {seconds} s", seconds = within.as_secs_f64())]
    NoReply {
        /// The request's `Correlation-Id`: a reply that still comes bears it.
        correlation_id: Uuid,
        /// How long it was waited for.
        within: Duration,
    },
}

/// Why a request was not replied to.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReplyError {
    /// The message awaits no reply.
    #[error("the message {0} has no Reply-To: its sender awaits no reply")]
    NotAwaited(Uuid),
    /// The message's `Reply-To` is no address of this broker. Nothing is ever sent elsewhere.
    #[error(
        "the Reply-To {reply_to:?} of the message {id} is no address, like namespace/name; URLs are not taken"
    )]
    NoAddress {
        /// The message.
        id: Uuid,
        /// What it says.
        reply_to: String,
    },
    /// The message's `Correlation-Id` cannot be sent back.
    #[error("the Correlation-Id of the message cannot be sent back: {0}")]
    CorrelationId(#[from] HeaderError),
    /// The reply was not sent, or not for certain.
    #[error("the reply was not sent: {0}")]
    Send(#[from] SendError),
    /// The reply is sent, and the request was not settled: it may come again.
    #[error("the reply was sent, and the request may come again: {0}")]
    Settle(#[from] SettleError),
}

impl Client {
    /// Sends a request and waits for its reply at `reply_address`, both within `timeout`. The request bears that address
    /// as `Reply-To` and a new UUIDv7 (RFC 9562) as `Correlation-Id`; the reply is the first message there with this id.
    /// It is in the caller's hand, to be settled. Messages with other ids are given back, uncounted.
    ///
    /// Have one reply channel for each running requester, and one request at a time on it: several requesters on one
    /// channel get each other's replies first, and each such reply costs a second.
    pub async fn request(
        &self,
        destination: &Address,
        message: Message,
        reply_address: &Address,
        timeout: Duration,
    ) -> Result<Received, RequestReplyError> {
        let deadline = Instant::now() + timeout;
        let correlation_id = Uuid::now_v7();
        let message = message.correlated(Some(reply_address), &correlation_id.to_string());
        let options = SendOptions { deadline: Some(timeout), ..SendOptions::default() };
        // Neither an address nor a UUID can be no header.
        let message = message.expect("an address and a UUID make headers' values");
        Sender::new(self, destination.clone()).send_with(message, options).await?;

        let mut receiving = ReceiverOptions::default();
        receiving.settle_within = timeout.min(receiving.settle_within);
        let receiver = Receiver::new(self, reply_address.clone(), receiving);
        let own = correlation_id.to_string();
        loop {
            let received = match timeout_at(deadline, receiver.receive()).await {
                Ok(received) => {
                    received.map_err(|source| RequestReplyError::Receive { correlation_id, source })?
                }
                Err(_) => return Err(RequestReplyError::NoReply { correlation_id, within: timeout }),
            };
            if received.correlation_id() == Some(&own) {
                return Ok(received);
            }
            let options = ReleaseOptions { delay_seconds: Some(NOT_MINE_DELAY_SECONDS), uncounted: true };
            // Where that fails, its lease ends by itself.
            let _ = timeout_at(deadline, received.release_with(options)).await;
        }
    }
}

impl Received {
    /// Sends a reply to the address in this message's `Reply-To`, with its `Correlation-Id`; without one, with its
    /// Message-Id, which its sender knows as well. Tries for as long as `within`. The message is not settled by that.
    ///
    /// Unless the reply has an idempotency key of its own, its key is made of this message's id: when the request comes
    /// again, because it was replied to and not settled, the second reply is stored once with the first.
    pub async fn reply(&self, reply: Message, within: Duration) -> Result<Receipt, ReplyError> {
        let Some(reply_to) = self.text(header::REPLY_TO) else {
            return Err(ReplyError::NotAwaited(self.id));
        };
        let destination = self
            .reply_to()
            .ok_or_else(|| ReplyError::NoAddress { id: self.id, reply_to: reply_to.to_owned() })?;
        let correlation_id = self.correlation_id().map_or_else(|| self.id.to_string(), str::to_owned);
        let reply = reply.correlated(None, &correlation_id)?.or_key(&reply_key(self.id))?;
        let options = SendOptions { deadline: Some(within), ..SendOptions::default() };
        Ok(Sender::new(self.client(), destination).send_with(reply, options).await?)
    }

    /// [Replies](Self::reply), and settles the message when the reply is stored: in that order, so that a request is
    /// never gone without a reply. When another reply to the same request was stored before, that one stands, and the
    /// message is settled too.
    pub async fn reply_and_settle(self, reply: Message, within: Duration) -> Result<(), ReplyError> {
        match self.reply(reply, within).await {
            Err(ReplyError::Send(error))
                if error.problem_type() == Some(ProblemType::IdempotencyMismatch) => {}
            replied => drop(replied?),
        }
        Ok(self.settle().await?)
    }
}

/// The idempotency key of the reply to a message.
pub fn reply_key(request: Uuid) -> String {
    format!("reply-{request}")
}
