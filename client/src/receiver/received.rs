//! A message that was given out: its content, and the lease that says whose it is.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, header};
use jiff::Timestamp;
use restante_wire::{Address, header as wire};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Shared,
    dead_letter::DeadLetter,
    delivery::Delivery,
    events::Event,
    renewal::{self, LeaseToRenew, Renewal},
};
use crate::{
    client::Client,
    lease::{ReleaseOptions, SettleError, Verdict},
};

/// A message in hand. Its lease is renewed by itself for as long as this value lives.
///
/// [`settle`](Self::settle) it when the work is done. Dropped without that (a panic, an early return), the message is
/// given back in the background so that the next receiver need not wait for the lease to end; if the process dies
/// first, the lease ends by itself. Either way the message comes again, and nothing is lost. Where the receiver was
/// cancelled before, the worker shuts down, and the delivery is not counted.
#[derive(Debug)]
pub struct Received {
    /// The message's id, the same each time that it is handed out.
    pub id: Uuid,
    /// The content, byte for byte as it was sent.
    pub body: Bytes,
    /// The headers that came with it, the content's type among them.
    pub headers: HeaderMap,
    /// How often the message was handed out, this time included: more than 1 means that an earlier receiver did not
    /// settle it.
    pub deliveries: u32,
    /// When it was stored, by the broker's clock.
    pub enqueued_at: Timestamp,
    /// Its group; of a group at most one message is leased at a time.
    pub group: Option<String>,
    /// Which channel gave the message up, and why; none for a message that came here by itself.
    pub dead_letter: Option<DeadLetter>,
    lease: String,
    lost: CancellationToken,
    done: CancellationToken,
    /// Whether the message still has to be given back when this value is dropped.
    release_on_drop: bool,
    shared: Arc<Shared>,
}

impl Received {
    /// Takes the messages of one answer in hand and begins to renew their leases.
    pub(crate) fn all(shared: &Arc<Shared>, deliveries: Vec<Delivery>) -> Vec<Self> {
        let Some(first) = deliveries.first() else { return Vec::new() };
        let (since, began_before) = (first.since, first.began_before);
        let granted = deliveries.iter().map(|delivery| delivery.granted).min().unwrap_or_default();
        let (messages, leases) =
            deliveries.into_iter().map(|delivery| Self::new(shared.clone(), delivery)).unzip();
        let renewal = Renewal { leases, granted, since, began_before };
        shared.tasks.spawn(renewal::keep(shared.clone(), renewal));
        messages
    }

    fn new(shared: Arc<Shared>, delivery: Delivery) -> (Self, LeaseToRenew) {
        let Delivery { id, body, headers, group, dead_letter, deliveries, enqueued_at, lease, .. } = delivery;
        let (lost, done) = (CancellationToken::new(), CancellationToken::new());
        let to_renew = LeaseToRenew { id, token: lease.clone(), lost: lost.clone(), done: done.clone() };
        let release_on_drop = true;
        let message = Self {
            id,
            body,
            headers,
            deliveries,
            enqueued_at,
            group,
            dead_letter,
            lease,
            lost,
            done,
            release_on_drop,
            shared,
        };
        (message, to_renew)
    }

    /// What the content is, as the sender said it; none when it said nothing, or nothing that is text.
    pub fn content_type(&self) -> Option<&str> {
        self.text(header::CONTENT_TYPE.as_str())
    }

    /// Where an answer is awaited, as the sender said it: an address of this broker. None when the sender awaits none, or
    /// said something that is no address, like a URL: nothing is ever sent elsewhere than to the broker.
    pub fn reply_to(&self) -> Option<Address> {
        self.text(wire::REPLY_TO)?.parse().ok()
    }

    /// Which request this message belongs to, as the sender said it.
    pub fn correlation_id(&self) -> Option<&str> {
        self.text(wire::CORRELATION_ID)
    }

    /// A header that came with it, as text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The client that it came by.
    pub(crate) fn client(&self) -> &Client {
        &self.shared.client
    }

    /// The lease's token.
    pub fn lease(&self) -> &str {
        &self.lease
    }

    /// The work is done: takes the message out of the channel, durably.
    ///
    /// Once this was called, the message is not given back by dropping, whatever the outcome: after an unanswered
    /// settle nobody knows whether it is still there to be given back.
    pub async fn settle(self) -> Result<(), SettleError> {
        self.apply_verdict(Verdict::Settle).await
    }

    /// Gives the message back: the next receiver gets it after the channel's back-off.
    pub async fn release(self) -> Result<(), SettleError> {
        self.apply_verdict(Verdict::Release(ReleaseOptions::default())).await
    }

    /// Gives the message back, with a delay of its own or uncounted.
    pub async fn release_with(self, options: ReleaseOptions) -> Result<(), SettleError> {
        self.apply_verdict(Verdict::Release(options)).await
    }

    /// Gives the message up: to the dead letters, with this reason for whoever looks at them, at most 255 characters.
    pub async fn reject(self, reason: impl Into<String>) -> Result<(), SettleError> {
        self.apply_verdict(Verdict::Reject { reason: Some(reason.into()) }).await
    }

    /// Does what the verdict says.
    pub async fn apply_verdict(mut self, verdict: Verdict) -> Result<(), SettleError> {
        self.release_on_drop = false;
        self.shared.client.apply_verdict(&self.lease, &verdict, self.shared.options.settle_within).await?;
        self.emit_outcome(&verdict);
        Ok(())
    }

    /// Makes the message nobody's to give back, and tells its lease.
    pub(crate) fn detach(&mut self) -> String {
        self.release_on_drop = false;
        self.lease.clone()
    }

    /// Tells whoever watches what became of the message.
    pub(crate) fn emit_outcome(&self, verdict: &Verdict) {
        let id = self.id;
        self.shared.events.emit(match verdict {
            Verdict::Settle => Event::Settled { id },
            Verdict::Release(_) => Event::Released { id },
            Verdict::Reject { .. } => Event::Rejected { id },
        });
    }

    /// Leaves the message leased and stops renewing: whoever has the token settles it, or the lease ends.
    pub fn into_lease(mut self) -> String {
        self.release_on_drop = false;
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
        let (true, Ok(runtime)) = (self.release_on_drop && !self.is_lost(), Handle::try_current()) else {
            return;
        };
        let (shared, lease, id) = (self.shared.clone(), std::mem::take(&mut self.lease), self.id);
        // A handler that panicked may do so again, whatever the worker is about to do: that delivery counts.
        let uncounted = shared.options.cancel.is_cancelled() && !std::thread::panicking();
        let options = ReleaseOptions { uncounted, ..ReleaseOptions::default() };
        let release = async move {
            let within = shared.options.settle_within;
            if shared.client.release(&lease, options, within).await.is_ok() {
                shared.events.emit(Event::Released { id });
            }
        };
        self.shared.tasks.spawn_on(release, &runtime);
    }
}
