//! The channels that a message was stored in, as they lie in its record.

use bytes::{Buf, BufMut};

/// A channel that a message was stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The number of the channel.
    pub channel: u32,
    /// The message's place in it.
    pub sequence: u64,
    /// When the message's time there is over.
    pub expires_ms: Option<u64>,
}

/// The channels that a message was stored in: their bytes in the record, so that reading one allocates nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Targets<'a>(&'a [u8]);

impl Target {
    /// The place of one that does not have the message yet: another record will say that it has.
    const TO_COME: u64 = u64::MAX;

    /// A channel that is still to have the message.
    pub fn to_come(channel: u32, expires_ms: Option<u64>) -> Self {
        Self { channel, sequence: Self::TO_COME, expires_ms }
    }

    /// Whether the channel does not have the message by this record.
    pub fn is_to_come(&self) -> bool {
        self.sequence == Self::TO_COME
    }

    /// Bytes of one in a record.
    pub const BYTES: usize = 4 + 8 + 8;

    /// The target's bytes.
    pub fn encode(&self, to: &mut impl BufMut) {
        to.put_u32_le(self.channel);
        to.put_u64_le(self.sequence);
        to.put_u64_le(self.expires_ms.unwrap_or(0));
    }
}

impl<'a> Targets<'a> {
    /// The targets that some bytes are, each by [`Target::encode`].
    pub fn new(bytes: &'a [u8]) -> Self {
        assert!(
            !bytes.is_empty() && bytes.len().is_multiple_of(Target::BYTES),
            "whole targets, at least one"
        );
        Self(bytes)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len() / Target::BYTES
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Target> + 'a {
        self.0.chunks_exact(Target::BYTES).map(|mut bytes| {
            let (channel, sequence, expires) = (bytes.get_u32_le(), bytes.get_u64_le(), bytes.get_u64_le());
            Target { channel, sequence, expires_ms: (expires != 0).then_some(expires) }
        })
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
