//! The headers of answers to pulls.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header as standard};
use restante_wire::{header, path};

use super::pull_request::Wait;
use crate::{
    api::{ascii, print::item},
    clock::Clock,
    message::{self, StoredMessage},
    shard::Delivery,
};

/// The headers of every answer to a pull.
pub(in crate::api) fn common(wait: Wait, acknowledge_failed: Option<HeaderValue>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(standard::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(standard::VARY, HeaderValue::from_static("Prefer"));
    if wait.preferred {
        let applied = HeaderName::from_static(header::PREFERENCE_APPLIED);
        headers.insert(applied, ascii(format!("wait={}", wait.seconds)));
    }
    if let Some(failed) = acknowledge_failed {
        headers.insert(HeaderName::from_static(header::ACKNOWLEDGE_FAILED), failed);
    }
    headers
}

/// Adds the headers of an answer with content: a browser must neither guess the type of a sender's content nor run it.
pub(in crate::api) fn with_content(headers: &mut HeaderMap) {
    headers.insert(standard::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(standard::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
}

/// Adds the headers that describe the message.
pub(super) fn message<M, H>(
    delivery: &Delivery<StoredMessage, M, H>,
    clock: &Clock,
    headers: &mut HeaderMap,
) {
    let Delivery { granted, content: StoredMessage { id, content }, .. } = delivery;
    under(headers, &content.headers);
    let mut insert = |name, value| headers.insert(HeaderName::from_static(name), value);
    insert(header::MESSAGE_ID, ascii(id.to_string()));
    insert(header::MESSAGE_ENQUEUED_AT, ascii(clock.rfc3339(granted.stored.enqueued_at)));
    insert(header::MESSAGE_DELIVERIES, HeaderValue::from(granted.deliveries()));
    if let Some(group) = &granted.group {
        insert(header::MESSAGE_GROUP, ascii(group.to_string()));
    }
}

/// Adds the headers that describe the lease.
pub(super) fn lease<M, H>(delivery: &Delivery<StoredMessage, M, H>, clock: &Clock, headers: &mut HeaderMap) {
    let seconds = item::lease_seconds(delivery, clock.now());
    headers.insert(HeaderName::from_static(header::LEASE_DURATION), HeaderValue::from(seconds));
    let ends_at = ascii(clock.rfc3339(delivery.granted.ends_at));
    headers.insert(HeaderName::from_static(header::LEASE_EXPIRES_AT), ends_at);
    headers.insert(standard::LOCATION, ascii(path::lease(&delivery.token)));
}

/// Adds the kept headers of a message. A kept header never replaces or repeats a header of the answer itself.
fn under(headers: &mut HeaderMap, kept: &Bytes) {
    let own = std::mem::take(headers);
    message::decode_kept(kept, headers);
    headers.extend(own);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_header_does_not_override_a_header_of_the_answer() {
        let mut sent = HeaderMap::new();
        for (name, value) in [("cache-control", "public"), ("vary", "*"), ("x-github-event", "push")] {
            sent.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        // As a log of another version may have it: no channel of this one keeps such.
        let kept = message::encode_kept(&sent, |_| true).unwrap();
        let mut headers = common(Wait { seconds: 0, preferred: false }, None);
        under(&mut headers, &kept);
        assert_eq!(headers.get_all(standard::CACHE_CONTROL).iter().collect::<Vec<_>>(), ["no-store"]);
        assert_eq!(headers.get_all(standard::VARY).iter().collect::<Vec<_>>(), ["Prefer"]);
        assert_eq!(headers["x-github-event"], "push");
    }
}
