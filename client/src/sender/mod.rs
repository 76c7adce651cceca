//! The transmission module: takes content and a destination, makes the message, and transmits it by POST for retrieval
//! from the channel, again and again under one idempotency key until it is answered or the caller's deadline passes.

mod key;
mod receipt;

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderValue, Method, StatusCode};
use restante_wire::{Address, header, path};
use tokio::time::Instant;

pub use self::{key::KeyError, receipt::Receipt};
use crate::{
    client::{Call, Client},
    error::RequestError,
    message::Message,
    retry::{GaveUp, until_answered},
};

/// Transmits messages to one destination. Cheap to clone, and usable from many tasks at once.
#[derive(Clone)]
pub struct Sender {
    client: Client,
    destination: Address,
    on_retry: Option<Arc<OnRetry>>,
}

/// Hears of each passing fault and of the pause after it.
type OnRetry = dyn Fn(&RequestError, Duration) + Send + Sync;

impl fmt::Debug for Sender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sender").field("destination", &self.destination).finish_non_exhaustive()
    }
}

/// How one message is transmitted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SendOptions {
    /// The key under which the broker recognises a repeat: 1 to 255 visible ASCII characters. Without one, each message
    /// gets a random UUID, which covers the tries of this call but not those of a program that was started again.
    pub idempotency_key: Option<String>,
    /// How long to go on trying. Without a deadline: until the broker answers, or the call is dropped.
    pub deadline: Option<Duration>,
}

/// Why a message was not transmitted, or not for certain.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SendError {
    /// An answer that another try would get again. The message is not stored.
    #[error(transparent)]
    Failed(RequestError),
    /// Nobody knows whether the message is stored: a try may have been stored and its answer lost. Sending it again
    /// under the same key settles it.
    #[error(
        "the deadline passed before the broker answered{because}; the message may be stored or not: send it again \
         under the idempotency key {key} to be sure", because = because(last)
    )]
    DeadlinePassed {
        /// The key of all tries.
        key: String,
        /// What the last try met; none when the first was still under way.
        last: Option<RequestError>,
    },
    /// The idempotency key cannot be used. Nothing was transmitted.
    #[error(transparent)]
    Key(#[from] KeyError),
}

fn because(last: &Option<RequestError>) -> String {
    last.as_ref().map(|error| format!(" ({error})")).unwrap_or_default()
}

impl Sender {
    /// A sender to this destination.
    pub fn new(client: &Client, destination: Address) -> Self {
        Self { client: client.clone(), destination, on_retry: None }
    }

    /// The same sender, telling of each passing fault and of the pause before the next try.
    pub fn on_retry(self, tell: impl Fn(&RequestError, Duration) + Send + Sync + 'static) -> Self {
        Self { on_retry: Some(Arc::new(tell)), ..self }
    }

    /// Where the messages go.
    pub fn destination(&self) -> &Address {
        &self.destination
    }

    /// Transmits a message until it is stored, however long that takes.
    pub async fn send(&self, message: Message) -> Result<Receipt, SendError> {
        self.send_with(message, SendOptions::default()).await
    }

    /// Transmits a message under the given key, until it is stored or the deadline passes.
    pub async fn send_with(&self, message: Message, options: SendOptions) -> Result<Receipt, SendError> {
        let key = options.idempotency_key.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        let quoted = key::quoted(&key)?;
        let deadline = options.deadline.map(|within| Instant::now() + within);
        let on_retry = |error: &RequestError, delay| {
            if let Some(tell) = &self.on_retry {
                tell(error, delay);
            }
        };
        let once = || self.transmit(&message, &quoted);
        until_answered(self.client.retry(), deadline, on_retry, once).await.map_err(|gave_up| match gave_up {
            GaveUp::Final(error) => SendError::Failed(error),
            GaveUp::Deadline { last } => SendError::DeadlinePassed { key, last },
        })
    }

    /// One try.
    async fn transmit(&self, message: &Message, key: &HeaderValue) -> Result<Receipt, RequestError> {
        let mut headers = message.headers().clone();
        headers.insert(header::IDEMPOTENCY_KEY, key.clone());
        let call = Call {
            headers,
            body: message.content().clone(),
            ..Call::new(Method::POST, path::messages(&self.destination))
        };
        let answer = self.client.call(call).await?;
        if answer.status != StatusCode::CREATED {
            return Err(answer.refused());
        }
        Receipt::read(&answer)
    }
}
