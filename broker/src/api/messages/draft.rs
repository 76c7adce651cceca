//! The properties of a message to push: key, group, delay and time to live, from the headers of a push or the fields of
//! an item.

use http::HeaderMap;
use restante_wire::{
    ProblemType,
    batch::ItemHead,
    header::{GROUP_CHARACTERS_MAX, KEY_CHARACTERS_MAX},
};

use crate::{
    api::refusal,
    http::{HttpError, header},
    service::{Draft, DraftRefusal, Property},
};

/// The place of a property in the request, and so the problem type of an invalid one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum PropertySource {
    Header,
    Item,
}

/// Parses the headers of a push.
pub(in crate::api) fn in_headers(headers: &HeaderMap) -> Result<Draft, HttpError> {
    Ok(Draft {
        key: header::idempotency_key(headers)?,
        group: header::message_group(headers)?,
        delay_seconds: some_delay(header::message_delay(headers)?),
        ttl_seconds: header::message_ttl(headers)?,
    })
}

/// Parses the fields of an item.
pub(in crate::api) fn in_item(head: &ItemHead) -> Result<Draft, HttpError> {
    let visible = |field: &str, value: &Option<String>, max: usize| match value {
        Some(value) if !header::is_visible(value, max) => Err(HttpError::new(
            ProblemType::ItemMalformed,
            format!("{field} must be 1 to {max} visible ASCII characters, without spaces"),
        )),
        value => Ok(value.clone()),
    };
    Ok(Draft {
        key: visible("idempotencyKey", &head.idempotency_key, KEY_CHARACTERS_MAX)?,
        group: visible("group", &head.group, GROUP_CHARACTERS_MAX)?,
        delay_seconds: some_delay(head.delay_seconds),
        ttl_seconds: head.ttl_seconds,
    })
}

/// The answer to an invalid message.
pub(in crate::api) fn refused(refusal: &DraftRefusal, source: PropertySource) -> HttpError {
    let (delay_name, ttl_name) = source.names();
    match refusal {
        DraftRefusal::TooLong { property, seconds, max, channel } => {
            let (name, field) = match property {
                Property::Delay => (delay_name, "limits.maxDelaySeconds"),
                Property::TimeToLive => (ttl_name, "limits.ttlSeconds"),
            };
            // A header's value that exceeds u32 is read as its maximum, which the sender did not give.
            let given = match *seconds {
                u32::MAX => String::new(),
                _ => format!("is {seconds} s, which "),
            };
            source.error(format!(
                "{name} {given}exceeds the maximum of {}: {max} s ({field}); give less, or raise the limit",
                channel.config.qualified_name()
            ))
        }
        DraftRefusal::NoTimeToLive => source.error(format!("{ttl_name} is 0; give at least 1 s")),
        DraftRefusal::NeverReady { delay, lives } => source.error(format!(
            "{delay_name} is {delay} s, but the message expires after {lives} s and could never be received; give \
             a shorter delay"
        )),
        DraftRefusal::BeyondAnswers { bytes, max } => refusal::beyond_answers(*bytes, *max),
    }
}

/// A delay of 0 is the same as no delay, so a repeat may have either.
fn some_delay(seconds: Option<u32>) -> Option<u32> {
    seconds.filter(|seconds| *seconds > 0)
}

impl PropertySource {
    /// The names of delay and TTL in this place.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Header => ("Message-Delay", "Message-TTL"),
            Self::Item => ("delaySeconds", "ttlSeconds"),
        }
    }

    fn error(self, detail: String) -> HttpError {
        let kind = match self {
            Self::Header => ProblemType::HeaderMalformed,
            Self::Item => ProblemType::ItemMalformed,
        };
        HttpError::new(kind, detail)
    }
}
