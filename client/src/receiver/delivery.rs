//! Decoding of deliveries: one message as headers and a body, or many as a batch.

use std::{str::FromStr, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION},
};
use jiff::Timestamp;
use restante_wire::{
    batch::{DeliveredHead, PulledBatch, decode_frames},
    channel::may_be_kept,
    header, path,
};
use tokio::time::Instant;
use uuid::Uuid;

use super::{dead_letter::DeadLetter, pull::is_framed};
use crate::{answer::Answer, error::RequestError, lease::granted};

/// A message as the broker delivered it.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) id: Uuid,
    pub(crate) body: Bytes,
    /// Headers of the message, without the answer's own headers.
    pub(crate) headers: HeaderMap,
    pub(crate) group: Option<String>,
    pub(crate) dead_letter: Option<DeadLetter>,
    pub(crate) deliveries: u32,
    pub(crate) enqueued_at: Timestamp,
    pub(crate) lease: String,
    pub(crate) granted: Duration,
    /// When the answer arrived, by the monotonic clock.
    pub(crate) since: Instant,
    /// Whether the lease may have begun with an earlier try whose answer was lost.
    pub(crate) began_before: bool,
}

/// Reads a 200 with one message. An answer without id or lease is not a broker's.
pub(crate) fn read(answer: Answer) -> Result<Delivery, RequestError> {
    let lease = answer.text(LOCATION.as_str()).and_then(token).map(str::to_owned);
    Ok(Delivery {
        id: answer.required(header::MESSAGE_ID)?,
        lease: lease.ok_or_else(|| answer.not_a_broker("its 200 has no Location with a lease".into()))?,
        granted: granted(&answer)?,
        deliveries: answer.required(header::MESSAGE_DELIVERIES)?,
        enqueued_at: answer.required(header::MESSAGE_ENQUEUED_AT)?,
        group: answer.text(header::MESSAGE_GROUP).map(str::to_owned),
        dead_letter: DeadLetter::read(&answer.headers),
        since: answer.at,
        began_before: false,
        headers: kept(answer.headers),
        body: answer.body,
    })
}

/// Reads a 200 with a batch, as frames or JSON. An empty batch is not a broker's.
pub(crate) fn read_batch(answer: Answer) -> Result<Vec<Delivery>, RequestError> {
    let items: Vec<(DeliveredHead, Bytes)> = if is_framed(&answer.headers) {
        let frames = decode_frames(&answer.body).map_err(|error| answer.not_a_broker(error.to_string()))?;
        frames.into_iter().map(|(head, body)| (head, answer.body.slice_ref(body))).collect()
    } else {
        let PulledBatch { messages } = answer.json("a batch of messages")?;
        messages.into_iter().map(|item| (item.head, item.content.0.into())).collect()
    };
    if items.is_empty() {
        return Err(answer.not_a_broker("its batch has no messages".into()));
    }
    items.into_iter().map(|(head, body)| of_item(&answer, head, body)).collect()
}

fn of_item(answer: &Answer, head: DeliveredHead, body: Bytes) -> Result<Delivery, RequestError> {
    let missing = |what: &str| answer.not_a_broker(format!("a message of its batch has no usable {what}"));
    let headers = headers(&head);
    Ok(Delivery {
        id: head.id.parse().map_err(|_| missing("id"))?,
        body,
        group: head.group,
        dead_letter: DeadLetter::read(&headers),
        headers: kept(headers),
        deliveries: head.deliveries,
        enqueued_at: head.enqueued_at.parse().map_err(|_| missing("enqueuedAt"))?,
        lease: head.lease.ok_or_else(|| missing("lease"))?,
        granted: Duration::from_secs(head.lease_seconds.ok_or_else(|| missing("leaseSeconds"))?),
        since: answer.at,
        began_before: false,
    })
}

/// An item's headers. A header that is invalid in HTTP is left out.
fn headers(head: &DeliveredHead) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut add = |name: &str, value: &str| {
        if let (Ok(name), Ok(value)) = (HeaderName::from_str(name), HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    };
    let types = [(CONTENT_TYPE, &head.content_type), (CONTENT_ENCODING, &head.content_encoding)];
    for (name, value) in types {
        value.iter().for_each(|value| add(name.as_str(), value));
    }
    for (name, values) in &head.headers {
        values.iter().for_each(|value| add(name, value));
    }
    headers
}

/// The lease token at the end of a `Location`. A gateway may have rewritten the beginning.
fn token(location: &str) -> Option<&str> {
    let (_, token) = location.rsplit_once(path::LEASES)?;
    (!token.is_empty() && !token.contains(['/', '?', '#'])).then_some(token)
}

/// The headers of the message, without the answer's own headers: the standard ones and any that a channel may be
/// configured to keep. The receiver does not know that configuration, so a header that a proxy added may be among them.
fn kept(headers: HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers.iter().filter(|(name, _)| may_be_kept(name.as_str())) {
        kept.append(name.clone(), value.clone());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lease_token_is_found_behind_any_prefix_of_a_gateway() {
        assert_eq!(token("/v1/leases/abc"), Some("abc"));
        assert_eq!(token("https://gate.example/mail/v1/leases/abc"), Some("abc"));
        for bad in ["/v1/leases/", "/v1/leases/a/b", "/v1/leases/a?b", "/login", ""] {
            assert_eq!(token(bad), None, "{bad}");
        }
    }

    #[test]
    fn headers_that_a_channel_may_keep_belong_to_the_message_and_headers_of_the_answer_do_not() {
        let mut headers = HeaderMap::new();
        for name in
            ["content-type", "x-github-event", "baggage", "message-id", "lease-duration", "date", "vary"]
        {
            headers.insert(name, HeaderValue::from_static("value"));
        }
        let kept = kept(headers);
        let mut names: Vec<_> = kept.keys().map(|name| name.as_str()).collect();
        names.sort();
        assert_eq!(names, ["baggage", "content-type", "x-github-event"]);
    }
}
