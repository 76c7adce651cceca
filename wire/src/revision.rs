//! The revision of an address store: one number that identifies its set of channels.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use crate::ChannelConfig;

/// The sum, modulo 2^256, of the SHA-256 of each channel's canonical JSON.
///
/// It is a sum so that a change of one channel changes it by one hash, independent of the order of changes. It hashes
/// the content instead of counting changes, because a counter runs backwards when the broker's disk or Kubernetes' etcd
/// is restored from a backup.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Revision([u8; 32]);

impl Revision {
    /// The revision of a set of channels.
    pub fn of<'a>(channels: impl IntoIterator<Item = &'a ChannelConfig>) -> Self {
        let mut revision = Self::default();
        for channel in channels {
            revision.add(channel);
        }
        revision
    }

    /// Adds a channel to the set.
    pub fn add(&mut self, channel: &ChannelConfig) {
        let mut carry = 0;
        for (byte, more) in self.0.iter_mut().zip(hash(channel)) {
            let sum = u16::from(*byte) + u16::from(more) + carry;
            *byte = (sum & 0xff) as u8;
            carry = sum >> 8;
        }
    }

    /// Removes a channel that is in the set.
    pub fn remove(&mut self, channel: &ChannelConfig) {
        let mut borrow = 0;
        for (byte, less) in self.0.iter_mut().zip(hash(channel)) {
            let difference = 0x100 + u16::from(*byte) - u16::from(less) - borrow;
            *byte = (difference & 0xff) as u8;
            borrow = u16::from(difference < 0x100);
        }
    }

    /// The low 53 bits as a number, which a metric can hold without rounding.
    pub fn low_bits(&self) -> u64 {
        let low: [u8; 8] = std::array::from_fn(|index| self.0[index]);
        u64::from_le_bytes(low) & ((1 << 53) - 1)
    }
}

/// SHA-256 of the channel's canonical JSON: sorted keys, no white space. The bytes are little-endian, like those of the
/// sum.
fn hash(channel: &ChannelConfig) -> [u8; 32] {
    // A `Value` keeps its keys sorted, which makes the JSON canonical for any order of the fields.
    let value = serde_json::to_value(channel).expect("a channel's configuration has only JSON's own types");
    Sha256::digest(value.to_string()).into()
}

impl fmt::Display for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Revision({self})")
    }
}

/// A text is not a revision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the revision is invalid; a revision is 64 hexadecimal digits")]
pub struct RevisionError;

impl FromStr for Revision {
    type Err = RevisionError;

    fn from_str(text: &str) -> Result<Self, RevisionError> {
        if text.len() != 64 || !text.is_ascii() {
            return Err(RevisionError);
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| RevisionError)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Revision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Revision {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::example;

    #[test]
    fn the_order_of_changes_does_not_matter() {
        let channels: Vec<_> = (0..5).map(|number| example(&format!("c{number}"))).collect();
        let whole = Revision::of(&channels);
        assert_eq!(whole, Revision::of(channels.iter().rev()));
        assert_ne!(whole, Revision::of(&channels[1..]));
    }

    #[test]
    fn removing_a_channel_restores_the_revision_from_before_it() {
        let (one, two) = (example("one"), example("two"));
        let before = Revision::of([&one]);
        let mut revision = before;
        revision.add(&two);
        revision.remove(&two);
        assert_eq!(revision, before);
        revision.remove(&one);
        assert_eq!(revision, Revision::default());
    }

    #[test]
    fn any_change_of_a_channel_changes_the_revision() {
        let one = example("one");
        let mut changed = one.clone();
        changed.delivery.wait_seconds += 1;
        assert_ne!(Revision::of([&one]), Revision::of([&changed]));
    }

    #[test]
    fn the_revision_of_a_channel_is_the_same_in_every_version() {
        let mut config = example("orders");
        let of_defaults = Revision::of([&config]).to_string();
        assert_eq!(of_defaults, "1dae9213ff92a033878cf81b23d0c417d328f2e822683d13a9e4d5741f211185");
        config.delivery.backoff.initial_seconds = 2;
        config.dead_letter.channel = Some("dead".into());
        config.limits.pushes_per_second = 3;
        config.keep_headers = ["x-github-*"].into_iter().collect();
        let of_changes = Revision::of([&config]).to_string();
        assert_eq!(of_changes, "1904b18b12b112b5b6885ccee1fa38d1cb67578f9c0088dc71a10b1915302521");
    }

    #[test]
    fn an_unused_later_field_does_not_change_the_revision() {
        let mut config = example("orders");
        let text = serde_json::to_string(&config).unwrap();
        assert!(!text.contains("keepHeaders"), "{text}");
        let before = Revision::of([&config]);
        config.keep_headers = ["x-github-*"].into_iter().collect();
        assert_ne!(Revision::of([&config]), before);
    }

    #[test]
    fn a_revision_survives_printing_and_parsing() {
        let revision = Revision::of([&example("one")]);
        assert_eq!(revision.to_string().parse(), Ok(revision));
        assert_eq!("12".parse::<Revision>(), Err(RevisionError));
    }
}
