//! The receiver module: takes a source, makes the request, transmits it, receives the answer, and generates an output.
//! If the answer is a message, the output is the message; if it is a time-out response, the output is transmitting the
//! request again.

mod dead_letter;
mod delivery;
mod events;
mod options;
mod pace;
mod pull;
mod received;
mod renewal;
mod step;
mod work;

use std::{sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use restante_wire::Address;
use tokio::{
    sync::{Mutex, broadcast},
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

pub use self::{
    dead_letter::DeadLetter,
    events::{Counts, EVENTS_KEPT, Event},
    options::{ReceiverOptions, SETTLE_WITHIN},
    pull::BatchOptions,
    received::Received,
    work::{HandlerError, WorkOptions},
};
use self::{
    delivery::Delivery,
    events::Events,
    pull::{Attempt, PullKind, PullOutcome},
    step::{EARLY_PAUSE_MAX, Step, step},
};
use crate::{
    client::Client,
    error::RequestError,
    lease::{SettleError, Verdict},
    retry::{Backoff, RetryFailure, RetryOptions, until_answered},
};

/// Receives messages from one source. Can be used by many tasks at once: each call makes its own pull.
#[derive(Debug)]
pub struct Receiver {
    shared: Arc<Shared>,
}

/// State that the receiver shares with the messages that it received.
#[derive(Debug)]
pub(crate) struct Shared {
    client: Client,
    source: Address,
    options: ReceiverOptions,
    events: Events,
    /// Owns the tasks that renew leases and release unsettled messages.
    tasks: TaskTracker,
}

/// Why no message was received.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReceiveError {
    /// A permanent error: a retry would fail again.
    #[error(transparent)]
    Failed(RequestError),
    /// The receiver was cancelled. Nothing is lost: a message that was not received stays in the channel.
    #[error("receiving was cancelled")]
    Cancelled,
    /// The caller's deadline passed before the broker answered.
    #[error("the deadline passed before the broker answered{}", .0.as_ref().map(|error| format!(": {error}")).unwrap_or_default())]
    DeadlinePassed(Option<RequestError>),
}

impl Receiver {
    /// Makes a receiver for this source. Does not pull yet.
    pub fn new(client: &Client, source: Address, options: ReceiverOptions) -> Self {
        let (client, events, tasks) = (client.clone(), Events::new(), TaskTracker::new());
        Self { shared: Arc::new(Shared { client, source, options, events, tasks }) }
    }

    /// The source of the messages.
    pub fn source(&self) -> &Address {
        &self.shared.source
    }

    /// Pulls until there is a message. After a time-out response, the request is transmitted again at once. After a
    /// temporary error, it is repeated after a pause and under the same attempt id, so that a message whose answer was
    /// lost is delivered at once. Dropping the call loses no message.
    pub async fn receive(&self) -> Result<Received, ReceiveError> {
        loop {
            // A pull of one message never returns an empty list.
            if let Some(message) = self.receive_kind(PullKind::One).await?.pop() {
                return Ok(message);
            }
        }
    }

    /// Pulls until there are messages, and receives several with one request, always by GET. Settle each message by
    /// itself, or all [together](Self::apply_verdicts). Their leases are renewed together.
    pub async fn receive_batch(&self, options: BatchOptions) -> Result<Vec<Received>, ReceiveError> {
        self.receive_kind(PullKind::Batch(options)).await
    }

    async fn receive_kind(&self, kind: PullKind) -> Result<Vec<Received>, ReceiveError> {
        let Shared { client, options, events, .. } = &*self.shared;
        let mut faults = Backoff::new(client.retry());
        let pauses = client.retry();
        let mut early =
            Backoff::new(RetryOptions { delay_max: pauses.delay_max.min(EARLY_PAUSE_MAX), ..pauses });
        let mut attempt = Attempt::new();
        let mut timed_out = false;
        loop {
            if std::mem::take(&mut timed_out) {
                events.emit(Event::PullRepeated);
            }
            let began = Instant::now();
            let verdicts_by_lease = self.or_cancelled(self.shared.pull(kind, &mut attempt)).await?;
            let delay = match step(verdicts_by_lease, began.elapsed(), options.retry_all_errors) {
                Step::Deliver(messages) => return Ok(self.deliver(messages)),
                Step::PullAgain { early: at_once } => {
                    events.emit(Event::TimedOut);
                    timed_out = true;
                    attempt = Attempt::new();
                    faults.reset();
                    if !at_once {
                        early.reset();
                        continue;
                    }
                    early.next(None)
                }
                Step::Retry(error) => {
                    let delay = faults.next(error.refusal().and_then(|refusal| refusal.retry_after));
                    events.emit(Event::Retrying { error, delay });
                    delay
                }
                Step::Fail(error) => return Err(ReceiveError::Failed(error)),
            };
            self.or_cancelled(sleep(delay)).await?;
        }
    }

    /// Pulls until the broker has answered once: with a message, or with a time-out response (`None`). Retries
    /// temporary errors until `within` has passed; without a limit if `within` is `None`.
    pub async fn receive_once(&self, within: Option<Duration>) -> Result<Option<Received>, ReceiveError> {
        Ok(self.receive_kind_once(PullKind::One, within).await?.pop())
    }

    /// Like [`receive_once`](Self::receive_once) for a [batch](Self::receive_batch). An empty list is the time-out
    /// response.
    pub async fn receive_batch_once(
        &self,
        options: BatchOptions,
        within: Option<Duration>,
    ) -> Result<Vec<Received>, ReceiveError> {
        self.receive_kind_once(PullKind::Batch(options), within).await
    }

    async fn receive_kind_once(
        &self,
        kind: PullKind,
        within: Option<Duration>,
    ) -> Result<Vec<Received>, ReceiveError> {
        let Shared { client, events, .. } = &*self.shared;
        let on_retry =
            |error: &RequestError, delay| events.emit(Event::Retrying { error: error.clone(), delay });
        let attempt = Mutex::new(Attempt::new());
        // Tries are sequential, so the lock is always free.
        let once = || async { self.shared.pull(kind, &mut *attempt.lock().await).await };
        let asking =
            until_answered(client.retry(), within.map(|within| Instant::now() + within), on_retry, once);
        match self.or_cancelled(asking).await? {
            Ok(PullOutcome::Messages(messages)) => Ok(self.deliver(messages)),
            Ok(PullOutcome::TimedOut) => {
                events.emit(Event::TimedOut);
                Ok(Vec::new())
            }
            Err(RetryFailure::Final(error)) => Err(ReceiveError::Failed(error)),
            Err(RetryFailure::Deadline { last }) => Err(ReceiveError::DeadlinePassed(last)),
        }
    }

    /// Settles, releases or rejects many messages with one request. Returns each message's id and result, in the order
    /// of the messages.
    pub async fn apply_verdicts(
        &self,
        messages: Vec<(Received, Verdict)>,
    ) -> Vec<(Uuid, Result<(), SettleError>)> {
        // `messages` lives until the answer arrives, so their leases are renewed during the request.
        let (mut messages, verdicts): (Vec<Received>, Vec<Verdict>) = messages.into_iter().unzip();
        let leases = messages.iter_mut().map(Received::detach);
        let verdicts_by_lease: Vec<(String, Verdict)> = leases.zip(verdicts).collect();
        let Shared { client, options, .. } = &*self.shared;
        let results = client.apply_verdicts(&verdicts_by_lease, options.settle_within).await;
        let outcomes =
            messages.iter().zip(&verdicts_by_lease).zip(results).map(|((message, (_, verdict)), result)| {
                if result.is_ok() {
                    message.emit_outcome(verdict);
                }
                (message.id, result)
            });
        outcomes.collect()
    }

    /// An endless stream of messages. It ends when the receiver is cancelled, or after an error. The stream pulls the
    /// next message only when it is polled.
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

    /// Subscribes to the receiver's events from now on. A watcher that falls more than [`EVENTS_KEPT`] events behind
    /// misses the oldest; [`counts`](Self::counts) misses none.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.events.watch()
    }

    /// Number of times that each event has happened.
    pub fn counts(&self) -> Counts {
        self.shared.events.counts()
    }

    /// The token that stops this receiver's pulls when cancelled.
    pub fn cancellation(&self) -> &CancellationToken {
        &self.shared.options.cancel
    }

    /// Waits until every received message is settled, released, rejected or lost, so that the program can exit.
    pub async fn drained(&self) {
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
        self.shared.tasks.reopen();
    }

    fn deliver(&self, messages: Vec<Delivery>) -> Vec<Received> {
        messages.iter().for_each(|message| self.shared.events.emit(Event::Received { id: message.id }));
        Received::all(&self.shared, messages)
    }

    async fn or_cancelled<T>(&self, future: impl Future<Output = T>) -> Result<T, ReceiveError> {
        self.shared.options.cancel.run_until_cancelled(future).await.ok_or(ReceiveError::Cancelled)
    }
}
