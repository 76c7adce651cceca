//! A message that was given out: its content, and the lease that says whose it is.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, header};
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Shared,
    ask::Taken,
    events::Event,
    renewal::{self, Renewal},
};
use crate::lease::SettleError;

/// A message in hand. Its lease is renewed by itself for as long as this value lives.
///
/// [`settle`](Self::settle) it when the work is done. Dropped without that (a panic, an early return), the message is
/// given back in the background so that the next receiver need not wait for the lease to end; if the process dies
/// first, the lease ends by itself. Either way the message comes again, and nothing is lost.
#[derive(Debug)]
pub struct Received {
    /// The message's id, the same each time that it is handed out.
    pub id: Uuid,
    /// The content, byte for byte as it was sent.
    pub content: Bytes,
    /// The headers that came with it, the content's type among them.
    pub headers: HeaderMap,
    /// How often the message was handed out, this time included: more than 1 means that an earlier receiver did not
    /// settle it.
    pub deliveries: u32,
    /// When it was stored, by the broker's clock.
    pub enqueued_at: Timestamp,
    lease: String,
    lost: CancellationToken,
    done: CancellationToken,
    /// Whether the message still has to be given back when this value is dropped.
    ours: bool,
    shared: Arc<Shared>,
}

impl Received {
    /// Takes the message in hand and begins to renew its lease.
    pub(crate) fn new(shared: Arc<Shared>, taken: Taken) -> Self {
        let Taken { id, content, headers, deliveries, enqueued_at, lease, granted, since } = taken;
        let (lost, done) = (CancellationToken::new(), CancellationToken::new());
        let renewal =
            Renewal { id, lease: lease.clone(), granted, since, lost: lost.clone(), done: done.clone() };
        shared.tasks.spawn(renewal::keep(shared.clone(), renewal));
        Self { id, content, headers, deliveries, enqueued_at, lease, lost, done, ours: true, shared }
    }

    /// What the content is, as the sender said it; none when it said nothing, or nothing that is text.
    pub fn content_type(&self) -> Option<&str> {
        self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok())
    }

    /// The lease's token.
    pub fn lease(&self) -> &str {
        &self.lease
    }

    /// The work is done: takes the message out of the channel, durably.
    ///
    /// Once this was called, the message is not given back by dropping, whatever the outcome: after an unanswered
    /// settle nobody knows whether it is still there to be given back.
    pub async fn settle(mut self) -> Result<(), SettleError> {
        self.ours = false;
        self.shared.client.settle(&self.lease, self.shared.options.settle_within).await?;
        self.shared.events.tell(Event::Settled { id: self.id });
        Ok(())
    }

    /// Gives the message back: the next receiver gets it now.
    pub async fn release(mut self) -> Result<(), SettleError> {
        self.ours = false;
        self.shared.client.release(&self.lease, self.shared.options.settle_within).await?;
        self.shared.events.tell(Event::Released { id: self.id });
        Ok(())
    }

    /// Leaves the message leased and stops renewing: whoever has the token settles it, or the lease ends.
    pub fn keep(mut self) -> String {
        self.ours = false;
        std::mem::take(&mut self.lease)
    }

    /// Waits until the lease is lost: it ended, by the broker's word or by this machine's clock, and the message may be
    /// somebody else's. For workers that should stop then. Never returns while the lease holds.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Whether the lease is [lost](Self::lost).
    pub fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.done.cancel();
        // Outside a runtime nothing can be transmitted any more, and the lease ends by itself.
        let (true, Ok(runtime)) = (self.ours && !self.is_lost(), Handle::try_current()) else {
            return;
        };
        let (shared, lease, id) = (self.shared.clone(), std::mem::take(&mut self.lease), self.id);
        let give_back = async move {
            let within = shared.options.settle_within;
            if shared.client.release(&lease, within).await.is_ok() {
                shared.events.tell(Event::Released { id });
            }
        };
        self.shared.tasks.spawn_on(give_back, &runtime);
    }
}
