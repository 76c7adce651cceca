//! Concurrent handlers on one source: messages are pulled when handlers are free, handled concurrently, and settled,
//! released or rejected by the handler's result.

use std::time::Duration;

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, sleep, sleep_until};

use super::{BatchOptions, ReceiveError, Received, Receiver, events::Event, pace::Pace, pull::PullKind};
use crate::lease::{ReleaseOptions, Verdict};

/// Settings of [`Receiver::run`]. Start with the default and change single fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkOptions {
    /// Number of messages that are handled concurrently, at least one.
    pub workers: usize,
    /// How long handlers may continue after the receiver was cancelled. Handlers that are still running then are
    /// dropped, and their messages are released uncounted. `None` waits for every handler to end.
    pub grace: Option<Duration>,
}

impl Default for WorkOptions {
    fn default() -> Self {
        Self { workers: 1, grace: None }
    }
}

/// Why a handler did not process a message, and how the message leaves the handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandlerError {
    /// Releases the message, to be delivered again.
    Release {
        /// Delay before the next delivery, in seconds; the channel's back-off if `None`.
        delay_seconds: Option<u32>,
    },
    /// Rejects the message, because another delivery would fail again: makes it a dead letter.
    Reject {
        /// Reason that is stored with the dead letter; at most 255 characters.
        reason: String,
    },
}

impl From<HandlerError> for Verdict {
    fn from(error: HandlerError) -> Self {
        match error {
            HandlerError::Release { delay_seconds } => {
                Self::Release(ReleaseOptions { delay_seconds, uncounted: false })
            }
            HandlerError::Reject { reason } => Self::Reject { reason: Some(reason) },
        }
    }
}

impl Receiver {
    /// Pulls messages and calls the handler for each, up to [`WorkOptions::workers`] concurrently. `Ok` settles the
    /// message; [`HandlerError`] releases or rejects it. The lease is renewed while the handler runs. While handlers
    /// fail in a row, pulls slow down, up to 10 s apart.
    ///
    /// Ends when the receiver is [cancelled](Self::cancellation): it stops pulling, and the running handlers finish. An
    /// error ends it in the same way and is then returned. Dropping the call drops the handlers, and their messages are
    /// released.
    ///
    /// The handlers share the caller's task. Run CPU-bound work on a thread of its own (`tokio::task::spawn_blocking`).
    /// A panic ends all handlers.
    pub async fn run<Handler>(&self, options: WorkOptions, handler: Handler) -> Result<(), ReceiveError>
    where
        Handler: AsyncFn(&Received) -> Result<(), HandlerError>,
    {
        let workers = options.workers.max(1);
        let handle = async |message: Received| {
            let verdict = handler(&message).await.map_or_else(Verdict::from, |()| Verdict::Settle);
            (message, verdict)
        };
        // `pulling` and `applying` hold at most one future each.
        let (mut pulling, mut handling, mut applying) =
            (FuturesUnordered::new(), FuturesUnordered::new(), FuturesUnordered::new());
        let mut decided = Vec::new();
        let mut in_hand = 0;
        let mut pace = Pace::default();
        let mut ended = None;
        let mut stop = std::pin::pin!(self.grace_expired(options.grace));
        loop {
            if ended.is_none() && pulling.is_empty() && in_hand < workers {
                pulling.push(self.pull_up_to(workers - in_hand, Instant::now() + pace.pause()));
            }
            if applying.is_empty() && !decided.is_empty() {
                // Verdicts that arrive during this request go together with the next one.
                applying.push(self.apply_verdicts(std::mem::take(&mut decided)));
            }
            if let Some(ended) = ended.take_if(|_| in_hand == 0) {
                return ended;
            }
            tokio::select! {
                Some(pulled) = pulling.next(), if !pulling.is_empty() => match pulled {
                    Ok(messages) => {
                        in_hand += messages.len();
                        handling.extend(messages.into_iter().map(&handle));
                    }
                    Err(ReceiveError::Cancelled) => ended = Some(Ok(())),
                    Err(error) => ended = Some(Err(error)),
                },
                Some((message, verdict)) = handling.next(), if !handling.is_empty() => {
                    pace.count(verdict == Verdict::Settle);
                    decided.push((message, verdict));
                }
                Some(results) = applying.next(), if !applying.is_empty() => {
                    in_hand -= results.len();
                    for (id, result) in results {
                        if let Err(error) = result {
                            self.shared.events.emit(Event::VerdictFailed { id, error });
                        }
                    }
                }
                () = &mut stop => return ended.unwrap_or(Ok(())),
            }
        }
    }

    /// Pulls up to `free` messages, not before the given time.
    async fn pull_up_to(&self, free: usize, not_before: Instant) -> Result<Vec<Received>, ReceiveError> {
        self.or_cancelled(sleep_until(not_before)).await?;
        // A batch can be pulled by GET only.
        match free {
            _ if self.shared.options.pull_by_post => self.receive_kind(PullKind::One).await,
            1 => self.receive_kind(PullKind::One).await,
            messages_max => {
                self.receive_batch(BatchOptions { messages_max, ..BatchOptions::default() }).await
            }
        }
    }

    async fn grace_expired(&self, grace: Option<Duration>) {
        self.cancellation().cancelled().await;
        match grace {
            Some(grace) => sleep(grace).await,
            None => std::future::pending().await,
        }
    }
}
