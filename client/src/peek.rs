//! Peeking: reading messages without leasing them.

use std::time::Duration;

use http::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use restante_wire::{Address, batch::PeekedBatch, path};

use crate::{
    client::{Call, Client},
    error::RequestError,
};

/// State of the messages to peek at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PeekState {
    /// Messages that can be pulled now.
    #[default]
    Ready,
    /// Messages under a lease.
    Leased,
    /// Messages in their delay or back-off.
    Delayed,
    /// Dead letters that are still in their own channel.
    Dead,
    /// All dead letters of the channel, in any channel, and the dead letters of other channels in this one.
    DeadLetters,
}

impl PeekState {
    /// The value of the query parameter `state`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Leased => "leased",
            Self::Delayed => "delayed",
            Self::Dead => "dead",
            Self::DeadLetters => "dead-letters",
        }
    }
}

/// Which messages to peek at, and how many. Start with the default and change single fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeekOptions {
    /// State of the messages.
    pub state: PeekState,
    /// Cursor to continue from: `next` of an earlier answer.
    pub after: Option<String>,
    /// Maximum number of messages; the broker's default if `None`.
    pub messages_max: Option<u32>,
}

impl Client {
    /// Reads messages of a source without leasing them: no delivery is counted and nothing changes. Needs a permission
    /// of its own. Retries until `within` has passed.
    pub async fn peek(
        &self,
        source: &Address,
        options: &PeekOptions,
        within: Duration,
    ) -> Result<PeekedBatch, RequestError> {
        let mut target = format!("{}{source}?state={}", path::PEEK, options.state.as_str());
        if let Some(after) = &options.after {
            target.push_str(&format!("&after={}", utf8_percent_encode(after, NON_ALPHANUMERIC)));
        }
        if let Some(max) = options.messages_max {
            target.push_str(&format!("&max={max}"));
        }
        self.answered(within, || async {
            let answer = self.call(Call::new(Method::GET, target.clone())).await?;
            if answer.status != StatusCode::OK {
                return Err(answer.refused());
            }
            answer.json("a page of messages")
        })
        .await
    }
}
