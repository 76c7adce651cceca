//! The transmission module: takes a body and a destination, makes the message, and transmits it by POST for retrieval
//! from the channel. It retries under one idempotency key until the broker answers or the caller's deadline passes.

mod batch;
mod receipt;

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderValue, Method, StatusCode};
use restante_wire::{Address, ProblemType, channel::WAIT_SECONDS_MAX, header, path};
use tokio::time::Instant;

pub use restante_wire::batch::{BATCH_BYTES_MAX, BATCH_ITEMS_MAX};

pub use self::receipt::Receipt;
use crate::{
    client::{Call, Client},
    error::RequestError,
    message::Message,
    retry::{RetryFailure, until_answered},
};

/// Transmits messages to one destination. Cheap to clone; can be used by many tasks at once.
#[derive(Clone)]
pub struct Sender {
    client: Client,
    destination: Address,
    on_retry: Option<Arc<OnRetry>>,
}

/// Called for each temporary error, with the pause after it.
type OnRetry = dyn Fn(&RequestError, Duration) + Send + Sync;

impl fmt::Debug for Sender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sender").field("destination", &self.destination).finish_non_exhaustive()
    }
}

/// How long one message is retried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SendOptions {
    /// How long to retry. `None` retries until the broker answers or the call is dropped.
    pub deadline: Option<Duration>,
    /// If the channel is full, the broker holds each try for this number of seconds until there is room (`Prefer:
    /// wait=N`, RFC 7240). Waiting senders get room first come, first served. With `None`, a full channel is retried
    /// after a pause.
    pub room_wait_seconds: Option<u32>,
}

/// Why sending a message failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SendError {
    /// A permanent error: a retry would fail again. The message is not stored.
    #[error(transparent)]
    Failed(RequestError),
    /// The deadline passed. The message may be stored or not: the answer to a successful try may be lost. Send it again
    /// under the same key to be sure.
    #[error(
        "the deadline passed before the broker answered{because}; the message may be stored: send it again under the \
         idempotency key {key} to be sure", because = because(last)
    )]
    DeadlinePassed {
        /// The idempotency key of all tries.
        key: String,
        /// The error of the last finished try; `None` if the first try was still running.
        last: Option<RequestError>,
    },
}

impl SendError {
    fn new(failure: RetryFailure, key: String) -> Self {
        match failure {
            RetryFailure::Final(error) => Self::Failed(error),
            RetryFailure::Deadline { last } => Self::DeadlinePassed { key, last },
        }
    }

    /// The broker's problem type, if it answered with one that this version knows.
    pub fn problem_type(&self) -> Option<ProblemType> {
        match self {
            Self::Failed(error) | Self::DeadlinePassed { last: Some(error), .. } => error.problem_type(),
            Self::DeadlinePassed { last: None, .. } => None,
        }
    }
}

fn because(last: &Option<RequestError>) -> String {
    last.as_ref().map(|error| format!(" ({error})")).unwrap_or_default()
}

impl Sender {
    /// Makes a sender for this destination.
    pub fn new(client: &Client, destination: Address) -> Self {
        Self { client: client.clone(), destination, on_retry: None }
    }

    /// Sets a function to call for each temporary error, with the pause before the next try.
    pub fn on_retry(self, tell: impl Fn(&RequestError, Duration) + Send + Sync + 'static) -> Self {
        Self { on_retry: Some(Arc::new(tell)), ..self }
    }

    /// The destination of the messages.
    pub fn destination(&self) -> &Address {
        &self.destination
    }

    /// Transmits a message, and retries without a limit until it is stored.
    pub async fn send(&self, message: Message) -> Result<Receipt, SendError> {
        self.send_with(message, SendOptions::default()).await
    }

    /// Transmits a message, and retries until it is stored or the deadline passes.
    pub async fn send_with(&self, message: Message, options: SendOptions) -> Result<Receipt, SendError> {
        self.send_under(&message.key(), &message, options).await
    }

    async fn send_under(
        &self,
        key: &str,
        message: &Message,
        options: SendOptions,
    ) -> Result<Receipt, SendError> {
        let deadline = options.deadline.map(|within| Instant::now() + within);
        let once = || self.transmit(message, key, options.room_wait_seconds);
        until_answered(self.client.retry(), deadline, |error, delay| self.report_retry(error, delay), once)
            .await
            .map_err(|failure| SendError::new(failure, key.to_owned()))
    }

    fn report_retry(&self, error: &RequestError, delay: Duration) {
        if let Some(tell) = &self.on_retry {
            tell(error, delay);
        }
    }

    async fn transmit(
        &self,
        message: &Message,
        key: &str,
        room_wait_seconds: Option<u32>,
    ) -> Result<Receipt, RequestError> {
        let mut call = Call {
            headers: message.push_headers(key),
            body: message.body().clone(),
            ..Call::new(Method::POST, path::messages(&self.destination))
        };
        if let Some(seconds) = room_wait_seconds {
            let wait = HeaderValue::from_str(&format!("wait={seconds}"));
            call.headers.insert(header::PREFER, wait.expect("a number is a valid header value"));
            call.hold = Duration::from_secs(seconds.min(WAIT_SECONDS_MAX).into());
        }
        let answer = self.client.call(call).await?;
        if answer.status != StatusCode::CREATED {
            return Err(answer.refused());
        }
        Receipt::read(&answer)
    }
}
