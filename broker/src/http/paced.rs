//! A request's body, part by part, that has to come at a least rate.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};

use super::progress;

/// How often the patience with a body that does not come is looked at again: it may be less by then.
const LOOK_AGAIN_EVERY: Duration = Duration::from_secs(1);

/// A body, and how it comes.
#[derive(Debug)]
pub(super) struct Paced {
    body: Body,
    bytes: u64,
    /// Since when it has been waited for: most bodies are there with their heads, and need no clock.
    waits_since: Option<Instant>,
}

/// Why there is no next part.
#[derive(Debug)]
pub(super) enum Broken {
    /// It came too slowly.
    TooSlow {
        /// Bytes that came.
        bytes: u64,
        /// In how many seconds.
        seconds: u64,
    },
    /// It ended early.
    Incomplete {
        /// Bytes that came.
        bytes: u64,
        /// Why.
        error: axum::Error,
    },
}

impl Paced {
    /// A body of which nothing has come.
    pub(super) fn new(body: Body) -> Self {
        Self { body, bytes: 0, waits_since: None }
    }

    /// The next part, which may take so long besides the time that the bytes so far are worth; none at the end.
    pub(super) async fn next(&mut self, patience: impl Fn() -> Duration) -> Result<Option<Bytes>, Broken> {
        loop {
            let frame = match self.body.frame().now_or_never() {
                Some(frame) => frame,
                None => self.awaited(&patience).await?,
            };
            let frame = match frame {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Err(Broken::Incomplete { bytes: self.bytes, error }),
                None => return Ok(None),
            };
            // What is no data are trailers, which say nothing here.
            if let Ok(data) = frame.into_data() {
                self.bytes += data.len() as u64;
                return Ok(Some(data));
            }
        }
    }

    async fn awaited(
        &mut self,
        patience: &impl Fn() -> Duration,
    ) -> Result<Option<Result<Frame<Bytes>, axum::Error>>, Broken> {
        let now = Instant::now();
        let since = *self.waits_since.get_or_insert(now);
        // Whatever came before, from now on something has to come.
        let last = now;
        loop {
            let ends_at = progress::wait_ends_at(since, last, self.bytes, patience());
            let look_again = Instant::now() + LOOK_AGAIN_EVERY;
            match timeout_at(ends_at.min(look_again), self.body.frame()).await {
                Ok(frame) => return Ok(frame),
                Err(_) if Instant::now() >= ends_at => {
                    return Err(Broken::TooSlow { bytes: self.bytes, seconds: since.elapsed().as_secs() });
                }
                Err(_) => {}
            }
        }
    }
}
