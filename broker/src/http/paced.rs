//! Reads a request's body part by part, with a minimum rate.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};

use super::progress;

/// How often the time-out of a pending body is computed again: it is shorter when memory fills.
const LOOK_AGAIN_EVERY: Duration = Duration::from_secs(1);

/// A body with its progress.
#[derive(Debug)]
pub(super) struct Paced {
    body: Body,
    bytes: u64,
    /// When the first wait began. Most bodies arrive with their heads, and need no clock.
    waits_since: Option<Instant>,
}

/// Why a body could not be read to its end. `bytes` arrived before.
#[derive(Debug)]
pub(super) enum Broken {
    /// The body arrived too slowly.
    TooSlow { bytes: u64, seconds: u64 },
    /// The body ended early.
    Incomplete { bytes: u64, error: axum::Error },
}

impl Paced {
    pub(super) fn new(body: Body) -> Self {
        Self { body, bytes: 0, waits_since: None }
    }

    /// The next part, or `None` at the end. `patience` is the time for the body, in addition to the time that its size
    /// so far allows.
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
            // Frames without data are trailers, which are ignored.
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
        // Each wait has its own limit of silence, which counts from now.
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
