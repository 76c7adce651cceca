//! Several workers on one source: messages are asked for as there are hands free, handled side by side, and concluded as
//! their handlers say.

use std::time::Duration;

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, sleep, sleep_until};

use super::{BatchOptions, ReceiveError, Received, Receiver, events::Event, pace::Pace, pull::PullKind};
use crate::lease::{ReleaseOptions, Verdict};

/// How messages are worked on. Change the defaults field by field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkOptions {
    /// How many messages are handled at once, at least one.
    pub workers: usize,
    /// After the receiver was cancelled, how long handlers may go on; what is still in hand then is dropped and given
    /// back, uncounted. Without a limit, every handler ends by itself.
    pub grace: Option<Duration>,
}

impl Default for WorkOptions {
    fn default() -> Self {
        Self { workers: 1, grace: None }
    }
}

/// Why a handler did not do its message, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandlerError {
    /// It is given back and comes again: after so many seconds; without a number, after the channel's back-off.
    Release {
        /// The seconds.
        delay_seconds: Option<u32>,
    },
    /// It is given up: trying again would fail again. It goes to the dead letters.
    Reject {
        /// Why, for whoever looks at the dead letters; at most 255 characters.
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
    /// Asks for messages and hands each to the handler, up to [`WorkOptions::workers`] side by side. `Ok` settles the
    /// message; [`HandlerError`] gives it back or up. A message's lease is renewed for as long as its handler runs. While
    /// handlers fail in a row, messages are asked for more slowly, up to 10 s apart.
    ///
    /// Ends when the receiver is [cancelled](Self::cancellation): it stops pulling, and the handlers finish what is in
    /// hand. Ends after an error as well, in the same way, and then tells it. Dropping the call drops the handlers, and
    /// their messages are given back.
    ///
    /// The handlers share the caller's task: what keeps a processor busy belongs on a thread of its own
    /// (`tokio::task::spawn_blocking`), and a panic ends all of them.
    pub async fn run<Handler>(&self, options: WorkOptions, handler: Handler) -> Result<(), ReceiveError>
    where
        Handler: AsyncFn(&Received) -> Result<(), HandlerError>,
    {
        let workers = options.workers.max(1);
        let handle = async |message: Received| {
            let verdict = handler(&message).await.map_or_else(Verdict::from, |()| Verdict::Settle);
            (message, verdict)
        };
        // The first and the last hold one future at the most.
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
                // Those that are decided while this request is under way go together with the next.
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

    /// Asks for up to so many messages, not before that moment.
    async fn pull_up_to(&self, free: usize, not_before: Instant) -> Result<Vec<Received>, ReceiveError> {
        self.or_cancelled(sleep_until(not_before)).await?;
        // A batch is asked for by GET alone.
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
