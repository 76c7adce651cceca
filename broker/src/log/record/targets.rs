//! The channels of a message, in the encoding of its record.

use bytes::{Buf, BufMut};

use super::ChannelId;

/// A channel in which a message is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    pub channel: ChannelId,
    /// The message's number within the channel.
    pub sequence: u64,
    /// When the message expires in this channel.
    pub expires_ms: Option<u64>,
}

/// The channels in which a message is stored. They stay encoded, so that reading a record allocates nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Targets<'a>(&'a [u8]);

impl Target {
    /// The sequence in a channel that does not have the message yet: a later record stores it there.
    const TO_COME: u64 = u64::MAX;

    /// A channel that will receive the message by a later record.
    pub fn to_come(channel: ChannelId, expires_ms: Option<u64>) -> Self {
        Self { channel, sequence: Self::TO_COME, expires_ms }
    }

    /// Whether the channel receives the message by a later record.
    pub fn is_to_come(&self) -> bool {
        self.sequence == Self::TO_COME
    }

    /// Bytes of an encoded target.
    pub const BYTES: usize = 8 + 8 + 8;

    pub fn encode(&self, to: &mut impl BufMut) {
        to.put_u64_le(self.channel.0);
        to.put_u64_le(self.sequence);
        to.put_u64_le(self.expires_ms.unwrap_or(0));
    }

    fn decode(mut bytes: &[u8]) -> Self {
        let (channel, sequence, expires) = (bytes.get_u64_le(), bytes.get_u64_le(), bytes.get_u64_le());
        Self { channel: ChannelId(channel), sequence, expires_ms: (expires != 0).then_some(expires) }
    }
}

impl<'a> Targets<'a> {
    /// Targets from their bytes, each encoded by [`Target::encode`].
    pub fn new(bytes: &'a [u8]) -> Self {
        assert!(
            !bytes.is_empty() && bytes.len().is_multiple_of(Target::BYTES),
            "whole targets, at least one"
        );
        Self(bytes)
    }

    pub fn count(&self) -> usize {
        self.0.len() / Target::BYTES
    }

    pub fn iter(&self) -> impl Iterator<Item = Target> + 'a {
        self.0.chunks_exact(Target::BYTES).map(Target::decode)
    }

    /// The first target: a message's key belongs to it.
    pub fn first(&self) -> Target {
        Target::decode(&self.0[..Target::BYTES])
    }

    pub(super) fn bytes(&self) -> &'a [u8] {
        self.0
    }
}

impl std::fmt::Debug for Targets<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}
