//! Request and reply over two channels. A request names the address for its reply in `Reply-To`, and the reply carries
//! the request's `Correlation-Id`.
//!
//! **One reply channel per requester.** A receiver gets the oldest message, even if it is another requester's reply. If
//! several requesters await replies at one address, each also receives the others' replies. It releases such a reply
//! uncounted with a delay of one second, so that the messages behind it can be reached. That works, but costs a second
//! and two requests each time. A reply whose request has timed out is received and released in this way until it
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

/// Delay of another requester's reply after its release, in seconds. Without a delay, the same reply would be delivered
/// again at once, for ever, before the awaited one.
const NOT_MINE_DELAY_SECONDS: u32 = 1;

/// Why a request got no reply.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RequestReplyError {
    /// Sending the request failed. After a [passed deadline](SendError::DeadlinePassed) it may be stored.
    #[error("the request was not sent: {0}")]
    Send(#[from] SendError),
    /// The request is stored, but receiving the reply failed.
    #[error("the request {correlation_id} was sent, but receiving the reply failed: {source}")]
    Receive {
        /// The request's `Correlation-Id`, which a late reply carries.
        correlation_id: Uuid,
        /// The error.
        source: ReceiveError,
    },
    /// The request is stored, but no reply arrived in time.
    #[error("the request {correlation_id} was sent, but no reply arrived within {seconds} s", seconds = within.as_secs_f64())]
    NoReply {
        /// The request's `Correlation-Id`, which a late reply carries.
        correlation_id: Uuid,
        /// How long the client waited.
        within: Duration,
    },
}

/// Why replying to a request failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReplyError {
    /// The message has no `Reply-To`.
    #[error("the message {0} has no Reply-To header; its sender does not await a reply")]
    NoReplyTo(Uuid),
    /// The message's `Reply-To` is not an address of this broker. A reply is never sent anywhere else.
    #[error(
        "the Reply-To {reply_to:?} of the message {id} is not an address like namespace/name; URLs are not supported"
    )]
    NotAnAddress {
        /// The message.
        id: Uuid,
        /// The value of `Reply-To`.
        reply_to: String,
    },
    /// The message's `Correlation-Id` is invalid.
    #[error("the Correlation-Id of the message is invalid: {0}")]
    CorrelationId(#[from] HeaderError),
    /// Sending the reply failed. After a [passed deadline](SendError::DeadlinePassed) it may be stored.
    #[error("the reply was not sent: {0}")]
    Send(#[from] SendError),
    /// The reply is stored, but the request was not settled and may be delivered again.
    #[error("the reply was sent, but the request was not settled and may be delivered again: {0}")]
    Settle(#[from] SettleError),
}

impl Client {
    /// Sends a request and waits for its reply at `reply_address`, both within `timeout`. The request carries that
    /// address as `Reply-To` and a new UUIDv7 (RFC 9562) as `Correlation-Id`. The first message at the address with
    /// this id is the reply; the caller settles it. Messages with other ids are released uncounted.
    ///
    /// Use one reply channel per running requester, and one request at a time on it. Several requesters on one channel
    /// receive each other's replies, and each such reply costs a second.
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
        // Every address and every UUID is a valid header value.
        let message = message.expect("an address and a UUID are valid header values");
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
            // If the release fails, the lease expires.
            let _ = timeout_at(deadline, received.release_with(options)).await;
        }
    }
}

impl Received {
    /// Sends a reply to the address in this message's `Reply-To`. The reply carries the message's `Correlation-Id` or,
    /// without one, its `Message-Id`, which the sender knows as well. Retries until `within` has passed. Does not
    /// settle the message.
    ///
    /// Unless the reply has an idempotency key, its key is derived from this message's id. If the request was replied
    /// to but not settled, it is delivered again, and the broker recognises the second reply as a repeat.
    pub async fn reply(&self, reply: Message, within: Duration) -> Result<Receipt, ReplyError> {
        let Some(reply_to) = self.text(header::REPLY_TO) else {
            return Err(ReplyError::NoReplyTo(self.id));
        };
        let destination = self
            .reply_to()
            .ok_or_else(|| ReplyError::NotAnAddress { id: self.id, reply_to: reply_to.to_owned() })?;
        let correlation_id = self.correlation_id().map_or_else(|| self.id.to_string(), str::to_owned);
        let reply = reply.correlated(None, &correlation_id)?.or_key(&reply_key(self.id))?;
        let options = SendOptions { deadline: Some(within), ..SendOptions::default() };
        Ok(Sender::new(self.client(), destination).send_with(reply, options).await?)
    }

    /// [Replies](Self::reply), and settles the message after the reply is stored. In this order, a request never leaves
    /// the channel without a reply. If another reply to the same request was stored before, that reply remains, and the
    /// message is settled as well.
    pub async fn reply_and_settle(self, reply: Message, within: Duration) -> Result<(), ReplyError> {
        match self.reply(reply, within).await {
            Err(ReplyError::Send(error))
                if error.problem_type() == Some(ProblemType::IdempotencyMismatch) => {}
            replied => drop(replied?),
        }
        Ok(self.settle().await?)
    }
}

/// The idempotency key of the reply to the request with this `Message-Id`.
pub fn reply_key(request: Uuid) -> String {
    format!("reply-{request}")
}
