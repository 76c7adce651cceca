//! Messages as items of a batch, a stream or a peek: the headers of an answer as JSON fields.

use http::HeaderMap;
use restante_wire::batch::{DeadLetterNote, DeliveredHead, HeaderValues};

use crate::{
    channel::{DeadLetter, Message, Phase},
    clock::{Clock, Millis},
    message::{self, Origin, StoredMessage},
    shard::{Delivery, PeekedMessage},
};

/// The head of a delivered message. `leased` is false if the message is already settled.
pub(in crate::api) fn delivered<M, H>(
    delivery: &Delivery<StoredMessage, M, H>,
    clock: &Clock,
    leased: bool,
) -> DeliveredHead {
    let Delivery { granted, token, content: StoredMessage { id, content }, .. } = delivery;
    let mut head = DeliveredHead {
        id: id.to_string(),
        enqueued_at: clock.rfc3339(granted.stored.enqueued_at),
        deliveries: granted.deliveries(),
        group: granted.group.as_deref().map(Into::into),
        expires_at: granted.expires_at.map(|at| clock.rfc3339(at)),
        ..DeliveredHead::default()
    };
    if leased {
        head.lease = Some(token.clone());
        head.lease_seconds = Some(lease_seconds(delivery, clock.now()));
        head.lease_expires_at = Some(clock.rfc3339(granted.ends_at));
    }
    add_headers(&content.headers, &mut head);
    head
}

/// The head of a message in a peek.
pub(in crate::api) fn seen(
    seen: &PeekedMessage,
    StoredMessage { id, content }: &StoredMessage,
    clock: &Clock,
) -> DeliveredHead {
    let message = &seen.message;
    let Message { stored, group, expires_at, lease_counts, phase, state_at: _ } = message;
    let mut head = DeliveredHead {
        id: id.to_string(),
        enqueued_at: clock.rfc3339(stored.enqueued_at),
        deliveries: lease_counts.deliveries(),
        group: group.as_deref().map(Into::into),
        expires_at: expires_at.map(|at| clock.rfc3339(at)),
        ..DeliveredHead::default()
    };
    match phase {
        Phase::Ready(_) => {}
        Phase::Delayed { until, .. } => head.due_at = Some(clock.rfc3339(*until)),
        Phase::Leased(until) => head.lease_expires_at = Some(clock.rfc3339(*until)),
        Phase::Dead(DeadLetter { cause, since, reason }) => {
            let reason = reason.as_deref().map(Into::into);
            let since = clock.rfc3339(*since);
            head.dead_letter =
                Some(DeadLetterNote { cause: *cause, reason, since, channel: None, held_in: None });
        }
    }
    if head.dead_letter.is_none() {
        head.dead_letter = Origin::of(&content.headers).map(|origin| {
            let Origin { cause, channel, reason, since } = origin;
            // Earlier versions wrote no time, but stored the message again when it became a dead letter.
            let since = since.unwrap_or_else(|| head.enqueued_at.clone());
            DeadLetterNote { cause, reason, since, channel: Some(channel), held_in: None }
        });
    }
    add_headers(&content.headers, &mut head);
    head
}

/// The remaining lease duration in whole seconds. In the answer to the pull it is the granted duration: by
/// [`crate::clock::after`] a lease ends a millisecond after its last second.
pub(in crate::api) fn lease_seconds<C, M, H>(delivery: &Delivery<C, M, H>, now: Millis) -> u64 {
    delivery.granted.ends_at.saturating_sub(now.saturating_add(1)).div_ceil(1000)
}

/// Adds the kept headers: some have a field of their own, the others are in `headers` by name.
fn add_headers(encoded: &bytes::Bytes, head: &mut DeliveredHead) {
    let mut headers = HeaderMap::new();
    message::decode_kept(encoded, &mut headers);
    for name in headers.keys() {
        let mut values: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        match (name.as_str(), values.len()) {
            ("content-type", 1) => head.content_type = values.pop(),
            ("content-encoding", 1) => head.content_encoding = values.pop(),
            (name, 1) => {
                let value = values.pop().unwrap_or_default();
                head.headers.insert(name.into(), HeaderValues::One(value));
            }
            (name, _) => {
                head.headers.insert(name.into(), HeaderValues::Many(values));
            }
        }
    }
}
