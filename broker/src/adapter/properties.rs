//! The properties of a message to push: key, group, delay and time to live, from the headers of a push or the fields of
//! an item.

use std::sync::Arc;

use http::HeaderMap;
use restante_wire::{
    Address, ProblemType,
    batch::ItemHead,
    header::{GROUP_CHARACTERS_MAX, KEY_CHARACTERS_MAX},
};

use crate::{
    address_store::ChannelEntry,
    clock::Millis,
    core::{
        Content, Push,
        keys::{self, Fingerprint, PushKey},
    },
    http::{HttpError, header},
    log::ChannelId,
    message,
};

/// The properties of a message, without its content and kept headers.
#[derive(Debug, Default)]
pub(super) struct Properties {
    key: Option<String>,
    group: Option<String>,
    delay_seconds: Option<u32>,
    ttl_seconds: Option<u32>,
    /// Where the properties come from, and so the problem type of an invalid one.
    source: PropertySource,
}

/// The place of a property in the request.
#[derive(Debug, Clone, Copy, Default)]
enum PropertySource {
    #[default]
    Header,
    Item,
}

impl Properties {
    /// Parses the headers of a push.
    pub(super) fn in_headers(headers: &HeaderMap) -> Result<Self, HttpError> {
        Ok(Self {
            key: header::idempotency_key(headers)?,
            group: header::message_group(headers)?,
            delay_seconds: some_delay(header::message_delay(headers)?),
            ttl_seconds: header::message_ttl(headers)?,
            source: PropertySource::Header,
        })
    }

    /// Parses the fields of an item.
    pub(super) fn in_item(head: &ItemHead) -> Result<Self, HttpError> {
        let visible = |field: &str, value: &Option<String>, max: usize| match value {
            Some(value) if !header::is_visible(value, max) => Err(HttpError::new(
                ProblemType::ItemMalformed,
                format!("{field} must be 1 to {max} visible ASCII characters, without spaces"),
            )),
            value => Ok(value.clone()),
        };
        Ok(Self {
            key: visible("idempotencyKey", &head.idempotency_key, KEY_CHARACTERS_MAX)?,
            group: visible("group", &head.group, GROUP_CHARACTERS_MAX)?,
            delay_seconds: some_delay(head.delay_seconds),
            ttl_seconds: head.ttl_seconds,
            source: PropertySource::Item,
        })
    }

    /// The message to push, if its properties are within the limits of every channel.
    pub(super) fn push(
        self,
        address: &Address,
        channels: &[Arc<ChannelEntry>],
        content: Content,
    ) -> Result<Push, HttpError> {
        for channel in channels {
            self.check(channel)?;
        }
        let key = self.key.as_ref().map(|key| PushKey {
            hash: keys::hash(
                channels.first().map_or(ChannelId(0), |channel| channel.id),
                address.as_str(),
                key,
            ),
            fingerprint: self.fingerprint(&content),
        });
        let millis = |seconds: u32| Millis::from(seconds) * 1000;
        Ok(Push {
            content,
            key,
            group: self.group.map(Arc::from),
            delay: self.delay_seconds.map(millis),
            ttl: self.ttl_seconds.map(millis),
            key_records: Vec::new(),
        })
    }

    /// Values outside the channel's limits are rejected, never clamped.
    fn check(&self, channel: &ChannelEntry) -> Result<(), HttpError> {
        let limits = &channel.config.limits;
        let (delay_name, ttl_name) = self.source.names();
        let bounded = |what: &str, seconds: Option<u32>, max: u32, field: &str| {
            match seconds {
                Some(seconds) if seconds > max => {
                    // A header's value that exceeds u32 is read as its maximum, which the sender did not give.
                    let given = match seconds {
                        u32::MAX => String::new(),
                        _ => format!("is {seconds} s, which "),
                    };
                    Err(self.source.error(format!(
                        "{what} {given}exceeds the maximum of {}: {max} s ({field}); give less, or raise the limit",
                        channel.config.qualified_name()
                    )))
                }
                _ => Ok(()),
            }
        };
        bounded(delay_name, self.delay_seconds, limits.max_delay_seconds, "limits.maxDelaySeconds")?;
        if limits.ttl_seconds > 0 {
            bounded(ttl_name, self.ttl_seconds, limits.ttl_seconds, "limits.ttlSeconds")?;
        }
        if self.ttl_seconds == Some(0) {
            return Err(self.source.error(format!("{ttl_name} is 0; give at least 1 s")));
        }
        let lives = self.ttl_seconds.or((limits.ttl_seconds > 0).then_some(limits.ttl_seconds));
        if let (Some(delay), Some(lives)) = (self.delay_seconds, lives)
            && delay >= lives
        {
            return Err(self.source.error(format!(
                "{delay_name} is {delay} s, but the message expires after {lives} s and could never be received; give \
                 a shorter delay"
            )));
        }
        Ok(())
    }

    /// The fingerprint that a repeat must match: the content and everything that affects its delivery, but no header
    /// that a proxy adds.
    fn fingerprint(&self, content: &Content) -> Fingerprint {
        let mut headers = HeaderMap::new();
        message::decode_kept(&content.headers, &mut headers);
        let mut kept: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .filter(|(name, _)| ["content-", "ce-", "meta-"].iter().any(|prefix| name.starts_with(prefix)))
            .collect();
        // The order of different headers does not matter. The order of one header's values does, and a stable sort
        // keeps it.
        kept.sort_by_key(|(name, _)| *name);
        let number =
            |number: Option<u32>| number.map(u32::to_le_bytes).map_or(Vec::new(), |bytes| bytes.to_vec());
        let (delay, ttl) = (number(self.delay_seconds), number(self.ttl_seconds));
        let group = self.group.as_deref().unwrap_or("").as_bytes();
        let parts = [&content.body[..], group, &delay, &ttl];
        keys::fingerprint(
            parts.into_iter().chain(kept.into_iter().flat_map(|(name, value)| [name.as_bytes(), value])),
        )
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
