//! A message that a sender wants to store, and the limits of the channels that it must meet.

use std::sync::Arc;

use http::HeaderMap;
use restante_wire::Address;

use crate::{
    address_store::ChannelEntry,
    channel::GroupName,
    clock::Millis,
    log::ChannelId,
    message::{self, Content},
    shard::{
        Push,
        keys::{self, Fingerprint, PushKey},
    },
};

/// The properties of a message, without its content.
#[derive(Debug, Default)]
pub struct Draft {
    /// The idempotency key.
    pub key: Option<String>,
    pub group: Option<String>,
    pub delay_seconds: Option<u32>,
    pub ttl_seconds: Option<u32>,
}

/// A property with a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Property {
    Delay,
    TimeToLive,
}

/// Why a message is invalid. A value outside a limit is never lowered to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DraftRefusal {
    /// A property exceeds the maximum of a channel.
    TooLong { property: Property, seconds: u32, max: u32, channel: Arc<ChannelEntry> },
    /// The time to live is 0.
    NoTimeToLive,
    /// The message would expire before its delay ends.
    NeverReady { delay: u32, lives: u32 },
    /// No answer to a receiver could take the message.
    BeyondAnswers { bytes: u64, max: u64 },
}

impl Draft {
    /// The message to push, if its properties are within the limits of every channel.
    pub(super) fn push(
        self,
        address: &Address,
        channels: &[Arc<ChannelEntry>],
        content: Content,
    ) -> Result<Push, DraftRefusal> {
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
            group: self.group.map(GroupName::from),
            delay: self.delay_seconds.map(millis),
            ttl: self.ttl_seconds.map(millis),
            key_records: Vec::new(),
        })
    }

    fn check(&self, channel: &Arc<ChannelEntry>) -> Result<(), DraftRefusal> {
        let limits = &channel.config.limits;
        let bounded = |property, seconds: Option<u32>, max| match seconds {
            Some(seconds) if seconds > max => {
                Err(DraftRefusal::TooLong { property, seconds, max, channel: channel.clone() })
            }
            _ => Ok(()),
        };
        bounded(Property::Delay, self.delay_seconds, limits.max_delay_seconds)?;
        if limits.ttl_seconds > 0 {
            bounded(Property::TimeToLive, self.ttl_seconds, limits.ttl_seconds)?;
        }
        if self.ttl_seconds == Some(0) {
            return Err(DraftRefusal::NoTimeToLive);
        }
        let lives = self.ttl_seconds.or((limits.ttl_seconds > 0).then_some(limits.ttl_seconds));
        if let (Some(delay), Some(lives)) = (self.delay_seconds, lives)
            && delay >= lives
        {
            return Err(DraftRefusal::NeverReady { delay, lives });
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
