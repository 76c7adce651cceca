//! The receiver module: takes a source, makes the request, transmits it, receives the answer, and generates an output.
//! When the answer is a message, the output is its content; when it is a time-out response, the output is transmitting
//! the request again.

mod ask;
mod events;
mod options;
mod received;
mod renewal;
mod step;

use std::{sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use restante_wire::Address;
use tokio::{
    sync::broadcast,
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    ask::Asked,
    events::Events,
    step::{EARLY_PAUSE_MAX, Step, step},
};
pub use self::{
    events::{Counts, EVENTS_KEPT, Event},
    options::{ReceiverOptions, SETTLE_WITHIN},
    received::Received,
};
use crate::{
    client::Client,
    error::RequestError,
    retry::{Backoff, GaveUp, RetryOptions, until_answered},
};

/// Receives messages from one source. Usable from many tasks at once: each call asks for itself.
#[derive(Debug)]
pub struct Receiver {
    shared: Arc<Shared>,
}

/// What the receiver and the messages that it gave out have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    client: Client,
    source: Address,
    options: ReceiverOptions,
    events: Events,
    /// Owns the tasks that renew leases and give unsettled messages back.
    tasks: TaskTracker,
}

/// Why no message was given out.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReceiveError {
    /// An answer that asking again would get again.
    #[error(transparent)]
    Failed(RequestError),
    /// The caller's token was cancelled. Nothing is lost: what was not given out stays in the channel.
    #[error("receiving was cancelled")]
    Cancelled,
    /// The caller's deadline passed without any answer from the broker.
    #[error("the deadline passed before the broker answered{}", .0.as_ref().map(|error| format!(": {error}")).unwrap_or_default())]
    DeadlinePassed(Option<RequestError>),
}

impl Receiver {
    /// A receiver from this source. Asks for nothing yet.
    pub fn new(client: &Client, source: Address, options: ReceiverOptions) -> Self {
        let (client, events, tasks) = (client.clone(), Events::new(), TaskTracker::new());
        Self { shared: Arc::new(Shared { client, source, options, events, tasks }) }
    }

    /// Where the messages come from.
    pub fn source(&self) -> &Address {
        &self.shared.source
    }

    /// Asks until there is a message. A time-out response is met by asking again at once, a passing fault by asking
    /// again after a pause. Dropping the call loses nothing.
    pub async fn receive(&self) -> Result<Received, ReceiveError> {
        let Shared { client, options, events, .. } = &*self.shared;
        let mut faults = Backoff::new(client.retry());
        let pauses = client.retry();
        let mut early =
            Backoff::new(RetryOptions { delay_max: pauses.delay_max.min(EARLY_PAUSE_MAX), ..pauses });
        let mut timed_out = false;
        loop {
            if std::mem::take(&mut timed_out) {
                events.tell(Event::AskedAgain);
            }
            let began = Instant::now();
            let asked = self.or_cancelled(self.shared.ask()).await?;
            let delay = match step(asked, began.elapsed(), options.keep_asking) {
                Step::Give(message) => return Ok(self.given(*message)),
                Step::AskAgain { early: false } => {
                    events.tell(Event::TimedOut);
                    timed_out = true;
                    faults.reset();
                    early.reset();
                    continue;
                }
                Step::AskAgain { early: true } => {
                    events.tell(Event::TimedOut);
                    timed_out = true;
                    faults.reset();
                    early.next(None)
                }
                Step::Retry(error) => {
                    let delay = faults.next(error.refusal().and_then(|refusal| refusal.retry_after));
                    events.tell(Event::Retrying { error, delay });
                    delay
                }
                Step::Fail(error) => return Err(ReceiveError::Failed(error)),
            };
            self.or_cancelled(sleep(delay)).await?;
        }
    }

    /// Asks until the broker has answered once: with a message, or (`None`) with the time-out response. Passing faults
    /// are retried for as long as `within`; without one, for ever.
    pub async fn receive_once(&self, within: Option<Duration>) -> Result<Option<Received>, ReceiveError> {
        let Shared { client, events, .. } = &*self.shared;
        let on_retry =
            |error: &RequestError, delay| events.tell(Event::Retrying { error: error.clone(), delay });
        let once = || self.shared.ask();
        let asking =
            until_answered(client.retry(), within.map(|within| Instant::now() + within), on_retry, once);
        match self.or_cancelled(asking).await? {
            Ok(Asked::Message(message)) => Ok(Some(self.given(*message))),
            Ok(Asked::TimedOut) => {
                events.tell(Event::TimedOut);
                Ok(None)
            }
            Err(GaveUp::Final(error)) => Err(ReceiveError::Failed(error)),
            Err(GaveUp::Deadline { last }) => Err(ReceiveError::DeadlinePassed(last)),
        }
    }

    /// The messages, one after the other, for ever: it ends when the token is cancelled, or after an error. The next
    /// message is asked for when the stream is polled, not before.
    pub fn stream(&self) -> impl Stream<Item = Result<Received, ReceiveError>> + Send + '_ {
        stream::unfold(false, move |over| async move {
            if over {
                return None;
            }
            match self.receive().await {
                Err(ReceiveError::Cancelled) => None,
                received => Some((received.is_err(), received)).map(|(over, received)| (received, over)),
            }
        })
    }

    /// What happens from now on. A watcher that falls more than [`EVENTS_KEPT`] behind misses the oldest;
    /// [`counts`](Self::counts) misses nothing.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.events.watch()
    }

    /// How often each event has happened so far.
    pub fn counts(&self) -> Counts {
        self.shared.events.counts()
    }

    /// The token that ends this receiver's asking.
    pub fn cancellation(&self) -> &CancellationToken {
        &self.shared.options.cancel
    }

    /// Waits until every message that was given out is settled, given back or lost, so that a program may end.
    pub async fn drained(&self) {
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
        self.shared.tasks.reopen();
    }

    fn given(&self, message: ask::Taken) -> Received {
        self.shared.events.tell(Event::Received { id: message.id });
        Received::new(self.shared.clone(), message)
    }

    async fn or_cancelled<T>(&self, future: impl Future<Output = T>) -> Result<T, ReceiveError> {
        self.shared.options.cancel.run_until_cancelled(future).await.ok_or(ReceiveError::Cancelled)
    }
}
