//! What a receiver asks for, and when it gives up.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// How long settling and releasing go on trying: as long as a broker takes to be rescheduled to another node and to
/// recover its log, and no longer than the usual lease.
pub const SETTLE_WITHIN: Duration = Duration::from_secs(30);

/// What a receiver asks for, and when it gives up. Change the defaults field by field.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReceiverOptions {
    /// Seconds that the broker may hold the request while the channel is empty; the channel's default without it, and
    /// never more than the channel allows.
    pub wait_seconds: Option<u32>,
    /// Seconds that a message stays this receiver's without a renewal; the channel's default without it. Renewals ask
    /// for as many as were granted.
    pub lease_seconds: Option<u32>,
    /// Ask by `POST /v1/receive/…` instead of `GET /v1/messages/…`, where a proxy on the way answers a GET from a cache
    /// or sends it twice.
    pub pull_by_post: bool,
    /// Go on asking where the broker refuses for good (an unknown address, no right): for receivers that are started
    /// before their channel is.
    pub retry_all_errors: bool,
    /// How long settling and releasing go on trying: [`SETTLE_WITHIN`].
    pub settle_within: Duration,
    /// Ends all asking when cancelled. A request in flight is dropped; messages that were given out stay leased, are
    /// still renewed, and can still be settled.
    pub cancel: CancellationToken,
}

impl Default for ReceiverOptions {
    fn default() -> Self {
        Self {
            wait_seconds: None,
            lease_seconds: None,
            pull_by_post: false,
            retry_all_errors: false,
            settle_within: SETTLE_WITHIN,
            cancel: CancellationToken::new(),
        }
    }
}
