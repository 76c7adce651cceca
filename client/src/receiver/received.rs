//! A received message and its lease.

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

/// A received message. Its lease is renewed automatically while this value lives.
///
/// Call [`settle`](Self::settle) when the work is done. If the value is dropped before (a panic, an early return), the
/// message is released in the background, so that the next receiver need not wait for the lease to end. If the process
/// dies first, the lease expires. Either way the message is delivered again, and nothing is lost. If the receiver was
/// cancelled before the drop, the worker is shutting down, and the delivery is not counted.
#[derive(Debug)]
pub struct Received {
    /// The message's id, the same in each delivery.
    pub id: Uuid,
    /// The body, exactly the bytes that were sent.
    pub body: Bytes,
    /// The message's headers, `Content-Type` among them.
    pub headers: HeaderMap,
    /// Number of deliveries, including this one. More than 1 means that an earlier receiver did not settle the message.
    pub deliveries: u32,
    /// When the message was stored, by the broker's clock.
    pub enqueued_at: Timestamp,
    /// The message group. At most one message of a group is leased at a time.
    pub group: Option<String>,
    /// Origin and cause of a dead letter; `None` for a message that was pushed to this channel.
    pub dead_letter: Option<DeadLetter>,
    lease: String,
    lost: CancellationToken,
    done: CancellationToken,
    /// Whether dropping this value releases the message.
    release_on_drop: bool,
    shared: Arc<Shared>,
}

impl Received {
    /// Makes the messages of one answer and begins to renew their leases.
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

    /// The sender's `Content-Type`; `None` if absent or not ASCII.
    pub fn content_type(&self) -> Option<&str> {
        self.text(header::CONTENT_TYPE.as_str())
    }

    /// The address in `Reply-To`, where the sender awaits a reply. `None` if absent or not an address of this broker: a
    /// reply is never sent to a URL or any other place outside the broker.
    pub fn reply_to(&self) -> Option<Address> {
        self.text(wire::REPLY_TO)?.parse().ok()
    }

    /// The sender's `Correlation-Id`: the request that this message belongs to.
    pub fn correlation_id(&self) -> Option<&str> {
        self.text(wire::CORRELATION_ID)
    }

    /// A header of the message as text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn client(&self) -> &Client {
        &self.shared.client
    }

    /// The lease token.
    pub fn lease(&self) -> &str {
        &self.lease
    }

    /// Settles the message: removes it from the channel, durably.
    ///
    /// After this call the message is not released by dropping, even if the call fails: without an answer it is unknown
    /// whether the message was settled.
    pub async fn settle(self) -> Result<(), SettleError> {
        self.apply_verdict(Verdict::Settle).await
    }

    /// Releases the message: the next receiver gets it after the channel's back-off.
    pub async fn release(self) -> Result<(), SettleError> {
        self.apply_verdict(Verdict::Release(ReleaseOptions::default())).await
    }

    /// Releases the message with a given delay, or without counting the delivery.
    pub async fn release_with(self, options: ReleaseOptions) -> Result<(), SettleError> {
        self.apply_verdict(Verdict::Release(options)).await
    }

    /// Rejects the message: makes it a dead letter. The reason is stored with it, at most 255 characters.
    pub async fn reject(self, reason: impl Into<String>) -> Result<(), SettleError> {
        self.apply_verdict(Verdict::Reject { reason: Some(reason.into()) }).await
    }

    /// Settles, releases or rejects the message.
    pub async fn apply_verdict(mut self, verdict: Verdict) -> Result<(), SettleError> {
        self.release_on_drop = false;
        self.shared.client.apply_verdict(&self.lease, &verdict, self.shared.options.settle_within).await?;
        self.emit_outcome(&verdict);
        Ok(())
    }

    /// Turns off the release on drop, and returns the lease token.
    pub(crate) fn detach(&mut self) -> String {
        self.release_on_drop = false;
        self.lease.clone()
    }

    /// Emits the event of an applied verdict.
    pub(crate) fn emit_outcome(&self, verdict: &Verdict) {
        let id = self.id;
        self.shared.events.emit(match verdict {
            Verdict::Settle => Event::Settled { id },
            Verdict::Release(_) => Event::Released { id },
            Verdict::Reject { .. } => Event::Rejected { id },
        });
    }

    /// Stops renewing and returns the lease token. The message stays leased until a holder of the token settles it or
    /// the lease expires.
    pub fn into_lease(mut self) -> String {
        self.release_on_drop = false;
        std::mem::take(&mut self.lease)
    }

    /// Waits until the lease is lost: the broker reported its end, or it expired by this machine's clock. Another
    /// receiver may have the message then, and a worker should stop. Never returns while the lease holds.
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
        // Outside a runtime no request can be sent, and the lease expires.
        let (true, Ok(runtime)) = (self.release_on_drop && !self.is_lost(), Handle::try_current()) else {
            return;
        };
        let (shared, lease, id) = (self.shared.clone(), std::mem::take(&mut self.lease), self.id);
        // A handler that panicked may panic again on this message, so the delivery counts even during a shutdown.
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
