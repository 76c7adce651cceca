//! A message in the output of `dump`.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use restante_wire::{
    Address,
    batch::{Content, DeadLetterNote, HeaderValues, Headers},
};
use serde::Serialize;
use uuid::Uuid;

use super::view::ChannelView;
use crate::{
    channel::{DeadLetter, Message, Phase, Sequence, State},
    clock::{Past, rfc3339},
    log::{ChannelId, Record, RemovalCause},
    message::decode_kept,
};

/// A message that is still in its channel. Fields that a pull or a peek also has share their names.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DumpedMessage {
    /// `namespace/name`.
    channel: String,
    /// The channel's UID, because several channels may have had one name.
    channel_uid: Uuid,
    source: Address,
    /// Its number within the channel.
    sequence: Sequence,
    id: String,
    state: &'static str,
    enqueued_at: String,
    deliveries: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letter: Option<DeadLetterNote>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Headers::is_empty")]
    headers: Headers,
    /// Why the content is missing, and its place in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
    #[serde(flatten)]
    content: Option<Content>,
}

impl DumpedMessage {
    /// A message whose content is unreadable, and the reason.
    pub(super) fn unreadable(
        held: ChannelView<'_>,
        sequence: Sequence,
        message: &Message,
        id: Uuid,
        why: String,
        past: &Past,
    ) -> Self {
        let nothing = Record::Removed { channel: ChannelId(0), sequence, cause: RemovalCause::Settled };
        let dumped = Self::of(held, sequence, message, &nothing, past);
        Self { id: id.to_string(), unreadable: Some(why), content: None, ..dumped }
    }

    /// A message, with the record that stored it.
    pub(super) fn of(
        held: ChannelView<'_>,
        sequence: Sequence,
        message: &Message,
        record: &Record<'_>,
        past: &Past,
    ) -> Self {
        let time = |at| rfc3339(past.wall(at));
        let (id, kept, body) = match record {
            Record::Message { message_id, headers, body, .. } => (*message_id, *headers, *body),
            _ => Default::default(),
        };
        let mut headers = HeaderMap::new();
        decode_kept(&kept.to_vec().into(), &mut headers);
        let mut take = |name| headers.remove(name).map(|value| text(value.as_bytes()));
        let (content_type, content_encoding) = (take(CONTENT_TYPE), take(CONTENT_ENCODING));
        let config = &held.entry.config;
        Self {
            channel: config.qualified_name(),
            channel_uid: config.uid,
            source: config.source.clone(),
            sequence,
            id: Uuid::from_u128(id).to_string(),
            state: match message.state() {
                State::Ready => "ready",
                State::Leased => "leased",
                State::Delayed => "delayed",
                State::Dead => "dead",
            },
            enqueued_at: time(message.stored.enqueued_at),
            // In a damaged log the counts may contradict each other.
            deliveries: message.lease_counts.last.saturating_sub(message.lease_counts.uncounted),
            due_at: match message.phase {
                Phase::Delayed { until, .. } => Some(time(until)),
                _ => None,
            },
            expires_at: message.expires_at.map(time),
            lease_expires_at: match message.phase {
                Phase::Leased(until) => Some(time(until)),
                _ => None,
            },
            dead_letter: match &message.phase {
                Phase::Dead(DeadLetter { cause, since, reason }) => Some(DeadLetterNote {
                    cause: *cause,
                    reason: reason.as_deref().map(Into::into),
                    since: time(*since),
                    channel: None,
                    held_in: None,
                }),
                _ => None,
            },
            group: message.group.as_deref().map(Into::into),
            content_type,
            content_encoding,
            headers: by_name(&headers),
            unreadable: None,
            content: Some(Content(body.to_vec())),
        }
    }
}

fn by_name(headers: &HeaderMap) -> Headers {
    let values = |name| headers.get_all(name).iter().map(|value| text(value.as_bytes()));
    let by_name = headers.keys().map(|name| {
        let mut values: Vec<String> = values(name).collect();
        let values =
            if values.len() == 1 { HeaderValues::One(values.remove(0)) } else { HeaderValues::Many(values) };
        (name.to_string(), values)
    });
    by_name.collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
