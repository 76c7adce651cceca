//! One pull: the request for messages and its answer.

use std::time::Duration;

use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use restante_wire::{
    Address,
    batch::{BATCH_ITEMS_MAX, FRAMES_CONTENT_TYPE},
    channel::WAIT_SECONDS_MAX,
    header, path,
};
use uuid::Uuid;

use super::{
    ReceiverOptions, Shared,
    delivery::{self, Delivery},
};
use crate::{client::Call, error::RequestError, text::quoted};

/// Outcome of a pull.
#[derive(Debug)]
pub(crate) enum PullOutcome {
    /// At least one message.
    Messages(Vec<Delivery>),
    /// The time-out response.
    TimedOut,
}

/// Settings of a batch pull. Start with the default and change single fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchOptions {
    /// Maximum number of messages, 1 to 1000. A batch also ends at 8 MiB, and has at most one message of each group.
    pub messages_max: usize,
    /// How long the broker waits for more messages after the first, in milliseconds.
    pub linger_ms: u32,
}

impl Default for BatchOptions {
    /// At most 100 messages, without waiting for more: enough to make the round trip cheap, and few enough to process
    /// within their leases.
    fn default() -> Self {
        Self { messages_max: 100, linger_ms: 0 }
    }
}

/// Whether to pull one message or a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PullKind {
    One,
    Batch(BatchOptions),
}

/// A receive attempt: one or more tries under one id. If an answer is lost, the broker recognises the repeat by the id
/// and answers it with the same messages.
#[derive(Debug)]
pub(crate) struct Attempt {
    id: HeaderValue,
    tried: bool,
}

impl Attempt {
    pub(crate) fn new() -> Self {
        Self { id: quoted(&Uuid::new_v4().to_string()), tried: false }
    }
}

impl Shared {
    /// Pulls once.
    pub(crate) async fn pull(
        &self,
        kind: PullKind,
        attempt: &mut Attempt,
    ) -> Result<PullOutcome, RequestError> {
        let repeated = std::mem::replace(&mut attempt.tried, true);
        let mut call = request(&self.source, &self.options, kind);
        call.headers.insert(header::RECEIVE_ATTEMPT_ID, attempt.id.clone());
        let answer = self.client.call(call).await?;
        let mut messages = match answer.status {
            StatusCode::OK if kind == PullKind::One => vec![delivery::read(answer)?],
            StatusCode::OK => delivery::read_batch(answer)?,
            StatusCode::NO_CONTENT => return Ok(PullOutcome::TimedOut),
            _ => return Err(answer.refused()),
        };
        for message in &mut messages {
            // The lease may have begun with an earlier try, at an unknown time.
            message.began_before = repeated;
        }
        Ok(PullOutcome::Messages(messages))
    }
}

fn request(source: &Address, options: &ReceiverOptions, kind: PullKind) -> Call {
    let mut headers = HeaderMap::new();
    let (method, mut target, batch) = match kind {
        PullKind::One if options.pull_by_post => (Method::POST, format!("{}{source}", path::RECEIVE), None),
        PullKind::One => (Method::GET, path::messages(source), None),
        PullKind::Batch(batch) => {
            headers.insert(ACCEPT, HeaderValue::from_static(FRAMES_CONTENT_TYPE));
            (Method::GET, format!("{}{source}", path::BATCHES), Some(batch))
        }
    };
    let max = batch.map(|batch| batch.messages_max.clamp(1, BATCH_ITEMS_MAX) as u32);
    let linger = batch.map(|batch| batch.linger_ms).filter(|linger| *linger > 0);
    let query = [
        ("max", max),
        ("linger_ms", linger),
        ("wait", options.wait_seconds),
        ("lease", options.lease_seconds),
    ];
    for (name, value) in query.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        target.push(if target.contains('?') { '&' } else { '?' });
        target.push_str(&format!("{name}={value}"));
    }
    // A channel holds a request at most for the requested wait, and at most for the largest wait of any channel.
    let wait = options.wait_seconds.unwrap_or(WAIT_SECONDS_MAX).min(WAIT_SECONDS_MAX);
    let hold = Duration::from_secs(wait.into()) + Duration::from_millis(linger.unwrap_or(0).into());
    Call { headers, hold, ..Call::new(method, target) }
}

/// Whether the batch is encoded as frames; otherwise it is JSON.
pub(crate) fn is_framed(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    media_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(FRAMES_CONTENT_TYPE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_has_exactly_the_given_parameters() {
        let source = "acme/orders".parse().unwrap();
        let mut options = ReceiverOptions::default();
        let request = |options: &ReceiverOptions, kind| {
            let call = request(&source, options, kind);
            (format!("{} {}", call.method, call.path), call.hold.as_millis())
        };
        assert_eq!(request(&options, PullKind::One), ("GET /v1/messages/acme/orders".into(), 300_000));
        options.lease_seconds = Some(60);
        assert_eq!(request(&options, PullKind::One).0, "GET /v1/messages/acme/orders?lease=60");
        options.wait_seconds = Some(5);
        options.pull_by_post = true;
        let expected = ("POST /v1/receive/acme/orders?wait=5&lease=60".into(), 5000);
        assert_eq!(request(&options, PullKind::One), expected);
        let batch = BatchOptions { messages_max: 5000, linger_ms: 50 };
        let expected = "GET /v1/batches/acme/orders?max=1000&linger_ms=50&wait=5&lease=60".into();
        assert_eq!(request(&options, PullKind::Batch(batch)), (expected, 5050));
    }
}
