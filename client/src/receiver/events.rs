//! What a caller can watch: every time-out met, every repeat, every fault, and how many of each there were.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::broadcast;
use uuid::Uuid;

use crate::{error::RequestError, lease::SettleError};

/// Events that are kept for a watcher that is behind. A watcher that writes a line per event keeps up easily; one that
/// stopped reading must not fill the memory.
pub const EVENTS_KEPT: usize = 1024;

/// Something that happened to a receiver or to a message that it gave out.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The answer was a time-out response: nothing came within the wait.
    TimedOut,
    /// The request was transmitted again because the answer before was a time-out response.
    PullRepeated,
    /// The answer was a message, and it was given out.
    Received {
        /// The message.
        id: Uuid,
    },
    /// A passing fault; the request is transmitted again after the delay.
    Retrying {
        /// The fault.
        error: RequestError,
        /// The pause before the next try.
        delay: Duration,
    },
    /// A lease was renewed while its message is being worked on.
    Renewed {
        /// The message.
        id: Uuid,
        /// For how long, from now.
        granted: Duration,
    },
    /// A lease was not renewed. Unless the error [is final](SettleError::is_lost), it is tried again.
    RenewFailed {
        /// The message.
        id: Uuid,
        /// What went wrong.
        error: SettleError,
    },
    /// A message was settled: it is out of the channel.
    Settled {
        /// The message.
        id: Uuid,
    },
    /// A message was given back: another receiver gets it.
    Released {
        /// The message.
        id: Uuid,
    },
    /// A message was given up: it is a dead letter.
    Rejected {
        /// The message.
        id: Uuid,
    },
    /// What a [worker](crate::Receiver::run) decided was not heard, or came too late: the message may come again.
    VerdictFailed {
        /// The message.
        id: Uuid,
        /// What went wrong.
        error: SettleError,
    },
}

/// How often each [`Event`] has happened. Exact, unlike a watch that fell behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Time-out responses met. Each is one of the broker's `restante_pull_timeouts_total`.
    pub timed_out: u64,
    /// Requests transmitted again because of a time-out response.
    pub pull_repeated: u64,
    /// Messages given out.
    pub received: u64,
    /// Passing faults met while asking.
    pub retrying: u64,
    /// Leases renewed.
    pub renewed: u64,
    /// Renewals that failed.
    pub renew_failed: u64,
    /// Messages settled.
    pub settled: u64,
    /// Messages given back.
    pub released: u64,
    /// Messages given up.
    pub rejected: u64,
    /// Decisions of workers that were not heard, or came too late.
    pub verdict_failed: u64,
}

/// The receiver's end: counts each event and tells whoever watches.
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
        // RenewalOutcome under the lock, so that whoever sees an event finds it counted, and in the order of the counts. Nobody
        // watching is no error.
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
    fn counts_miss_nothing_where_a_slow_watcher_does() {
        let events = Events::new();
        let mut watch = events.watch();
        for _ in 0..EVENTS_KEPT + 10 {
            events.emit(Event::TimedOut);
        }
        assert_eq!(events.counts(), Counts { timed_out: EVENTS_KEPT as u64 + 10, ..Counts::default() });
        assert!(matches!(watch.try_recv(), Err(broadcast::error::TryRecvError::Lagged(10))));
    }
}
