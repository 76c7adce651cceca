//! Looking at messages without taking them.

use std::time::Duration;

use http::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use restante_wire::{Address, batch::PeekedBatch, path};

use crate::{
    client::{Call, Client},
    error::RequestError,
};

/// Which messages are looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PeekState {
    /// Those that the next pulls would get.
    #[default]
    Ready,
    /// Those that receivers have.
    Leased,
    /// Those whose delay or back-off is not over.
    Delayed,
    /// Dead letters that stayed in their channel.
    Dead,
    /// The channel's dead letters wherever they lie, and those of others that lie in it.
    DeadLetters,
}

impl PeekState {
    /// The word in the query.
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

/// What is looked at. Change the defaults field by field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeekOptions {
    /// Messages in this state.
    pub state: PeekState,
    /// Go on after an earlier answer, by its `next`.
    pub after: Option<String>,
    /// How many at the most; the broker's default without it.
    pub messages_max: Option<u32>,
}

impl Client {
    /// Looks at the messages of a source without leasing them: counts as no delivery, and changes nothing. Needs a right
    /// of its own. Tries for as long as `within`.
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
            answer.json("peeked messages")
        })
        .await
    }
}
