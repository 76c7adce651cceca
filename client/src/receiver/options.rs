//! Settings of a receiver.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// How long settling, releasing and rejecting are retried by default. Long enough for a broker to be rescheduled to
/// another node and to recover its log, and no longer than the usual lease.
pub const SETTLE_WITHIN: Duration = Duration::from_secs(30);

/// Settings of a [`Receiver`](crate::Receiver). Start with the default and change single fields.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReceiverOptions {
    /// How long the broker may hold a pull while the channel is empty, in seconds; the channel's default if `None`. The
    /// channel's maximum applies.
    pub wait_seconds: Option<u32>,
    /// Duration of a message's lease, in seconds; the channel's default if `None`. A renewal asks for the duration that
    /// was granted.
    pub lease_seconds: Option<u32>,
    /// Pull by `POST /v1/receive/…` instead of `GET /v1/messages/…`, for proxies that answer a GET from a cache or send
    /// it twice.
    pub pull_by_post: bool,
    /// Retry all errors, even permanent ones such as an unknown address or a missing permission: for receivers that
    /// start before their channel exists.
    pub retry_all_errors: bool,
    /// How long settling, releasing and rejecting are retried; [`SETTLE_WITHIN`] by default.
    pub settle_within: Duration,
    /// Stops pulling when cancelled. A pull in flight is dropped. Messages that were already received stay leased, are
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
