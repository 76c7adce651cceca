//! Events of a receiver that a caller can watch, and their counts.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::broadcast;
use uuid::Uuid;

use crate::{error::RequestError, lease::SettleError};

/// Number of events that are buffered for a slow watcher. A watcher that writes a line per event keeps up easily; one
/// that stopped reading must not fill the memory.
pub const EVENTS_KEPT: usize = 1024;

/// An event of a receiver or of a message that it received.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The answer was a time-out response: no message arrived within the wait.
    TimedOut,
    /// The request was transmitted again after a time-out response.
    PullRepeated,
    /// A message was received and returned to the caller.
    Received {
        /// The message's id.
        id: Uuid,
    },
    /// A temporary error; the request is transmitted again after the delay.
    Retrying {
        /// The error.
        error: RequestError,
        /// The pause before the next try.
        delay: Duration,
    },
    /// A lease was renewed while its message is being processed.
    Renewed {
        /// The message's id.
        id: Uuid,
        /// Granted duration from now.
        granted: Duration,
    },
    /// Renewing a lease failed. It is retried unless the [lease is lost](SettleError::is_lost).
    RenewFailed {
        /// The message's id.
        id: Uuid,
        /// The error.
        error: SettleError,
    },
    /// A message was settled and has left the channel.
    Settled {
        /// The message's id.
        id: Uuid,
    },
    /// A message was released; another receiver gets it.
    Released {
        /// The message's id.
        id: Uuid,
    },
    /// A message was rejected and is a dead letter.
    Rejected {
        /// The message's id.
        id: Uuid,
    },
    /// A [handler's](crate::Receiver::run) verdict was not applied, or came too late; the message may be delivered
    /// again.
    VerdictFailed {
        /// The message's id.
        id: Uuid,
        /// The error.
        error: SettleError,
    },
}

/// Number of times that each [`Event`] has happened. Exact, even if a slow watcher missed events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Time-out responses received. The broker counts each in `restante_pull_timeouts_total`.
    pub timed_out: u64,
    /// Requests transmitted again after a time-out response.
    pub pull_repeated: u64,
    /// Messages received.
    pub received: u64,
    /// Temporary errors of pulls.
    pub retrying: u64,
    /// Leases renewed.
    pub renewed: u64,
    /// Renewals that failed.
    pub renew_failed: u64,
    /// Messages settled.
    pub settled: u64,
    /// Messages released.
    pub released: u64,
    /// Messages rejected.
    pub rejected: u64,
    /// Verdicts of handlers that were not applied, or came too late.
    pub verdict_failed: u64,
}

/// Counts each event and sends it to the watchers.
#[derive(Debug)]
pub(crate) struct Events {
    counts: Mutex<Counts>,
    watchers: broadcast::Sender<Event>,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self { counts: Mutex::default(), watchers: broadcast::Sender::new(EVENTS_KEPT) }
    }

    pub(crate) fn emit(&self, event: Event) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = match &event {
            Event::TimedOut => &mut counts.timed_out,
            Event::PullRepeated => &mut counts.pull_repeated,
            Event::Received { .. } => &mut counts.received,
            Event::Retrying { .. } => &mut counts.retrying,
            Event::Renewed { .. } => &mut counts.renewed,
            Event::RenewFailed { .. } => &mut counts.renew_failed,
            Event::Settled { .. } => &mut counts.settled,
            Event::Released { .. } => &mut counts.released,
            Event::Rejected { .. } => &mut counts.rejected,
            Event::VerdictFailed { .. } => &mut counts.verdict_failed,
        };
        *count += 1;
        // Sent under the lock: a watcher that sees an event finds it counted, and events arrive in the order of the
        // counts. Without a watcher, `send` fails, which is not an error.
        let _ = self.watchers.send(event);
    }

    pub(crate) fn watch(&self) -> broadcast::Receiver<Event> {
        self.watchers.subscribe()
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_include_events_that_a_slow_watcher_misses() {
        let events = Events::new();
        let mut watch = events.watch();
        for _ in 0..EVENTS_KEPT + 10 {
            events.emit(Event::TimedOut);
        }
        assert_eq!(events.counts(), Counts { timed_out: EVENTS_KEPT as u64 + 10, ..Counts::default() });
        assert!(matches!(watch.try_recv(), Err(broadcast::error::TryRecvError::Lagged(10))));
    }
}
