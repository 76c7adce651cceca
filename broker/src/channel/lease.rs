//! Leases: the claim of a receiver to a message, and the sealed token that carries it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::message::Sequence;
use crate::log::ChannelId;

/// How the last lease of a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The receiver released it.
    Released,
    Expired,
}

/// The content of a lease token: one lease of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    pub sequence: Sequence,
    /// The number of the lease, counted per message.
    pub lease_number: u32,
    /// The start of the broker that granted the lease. It is random, so that neither a crash nor a restored backup
    /// repeats one.
    pub start: u64,
}

/// Why a claim is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The lease expired, and no receiver has the message.
    #[error(
        "the lease has expired, and the message is back in its channel or a dead letter; pull again, and renew leases \
         in time"
    )]
    Expired,
    /// This lease was released, and no receiver has the message.
    #[error("the lease was released; pull again for a new lease")]
    Released,
    /// The message was leased again.
    #[error("the lease has ended and the message was leased again, under a newer token; drop this lease")]
    Superseded,
    /// The message has left the channel.
    #[error("the message is already settled, rejected or expired; drop the lease")]
    Settled,
}

/// Bytes of the token before its seal: version, channel id, sequence, lease number, start.
const CLAIM_BYTES: usize = 1 + 8 + 8 + 4 + 8;
/// HMAC-SHA-256 is truncated to its left half, as RFC 2104 section 5 allows: 128 bits cannot be guessed.
const SEAL_BYTES: usize = 16;
/// The first byte of every token of this layout.
const VERSION: u8 = 1;

/// Seals and opens lease tokens.
#[derive(Clone)]
pub struct LeaseSealer {
    keyed: Hmac<Sha256>,
}

impl LeaseSealer {
    /// A sealer with the data folder's key.
    pub fn new(key: &[u8; 32]) -> Self {
        Self {
            keyed: Hmac::new_from_slice(key).expect("HMAC takes a key of any length (RFC 2104 section 2)"),
        }
    }

    /// Seals a claim to a message of a channel: base64url, opaque to clients.
    pub fn seal(&self, channel: ChannelId, claim: Claim) -> String {
        let mut token = [0; CLAIM_BYTES + SEAL_BYTES];
        token[0] = VERSION;
        token[1..9].copy_from_slice(&channel.0.to_le_bytes());
        token[9..17].copy_from_slice(&claim.sequence.to_le_bytes());
        token[17..21].copy_from_slice(&claim.lease_number.to_le_bytes());
        token[21..29].copy_from_slice(&claim.start.to_le_bytes());
        let (claim, seal) = token.split_at_mut(CLAIM_BYTES);
        seal.copy_from_slice(&self.mac(claim).finalize().into_bytes()[..SEAL_BYTES]);
        URL_SAFE_NO_PAD.encode(token)
    }

    /// Opens a token: the channel's id and the claim. `None` unless this data folder's key sealed it.
    pub fn open(&self, token: &str) -> Option<(ChannelId, Claim)> {
        let mut bytes = [0; CLAIM_BYTES + SEAL_BYTES];
        // `decode_slice` fails on a token that is too long, and the comparison on one that is too short.
        if URL_SAFE_NO_PAD.decode_slice(token, &mut bytes).ok()? != bytes.len() {
            return None;
        }
        let (sealed, seal) = bytes.split_at(CLAIM_BYTES);
        self.mac(sealed).verify_truncated_left(seal).ok()?;
        if sealed[0] != VERSION {
            return None;
        }
        let claim = Claim {
            sequence: u64::from_le_bytes(sealed[9..17].try_into().ok()?),
            lease_number: u32::from_le_bytes(sealed[17..21].try_into().ok()?),
            start: u64::from_le_bytes(sealed[21..29].try_into().ok()?),
        };
        Some((ChannelId(u64::from_le_bytes(sealed[1..9].try_into().ok()?)), claim))
    }

    fn mac(&self, bytes: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        mac.update(bytes);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIM: Claim = Claim { sequence: 7, lease_number: 2, start: 0xdead_beef };

    #[test]
    fn a_token_opens_to_the_sealed_claim() {
        let sealer = LeaseSealer::new(&[1; 32]);
        let token = sealer.seal(ChannelId(42), CLAIM);
        assert!(token.len() <= 256);
        assert_eq!(sealer.open(&token), Some((ChannelId(42), CLAIM)));
    }

    #[test]
    fn a_token_of_another_key_or_with_one_changed_bit_does_not_open() {
        let sealer = LeaseSealer::new(&[1; 32]);
        assert_eq!(sealer.open(&LeaseSealer::new(&[2; 32]).seal(ChannelId(42), CLAIM)), None);
        let token = URL_SAFE_NO_PAD.decode(sealer.seal(ChannelId(42), CLAIM)).unwrap();
        for index in 0..token.len() {
            let mut changed = token.clone();
            changed[index] ^= 1;
            assert_eq!(sealer.open(&URL_SAFE_NO_PAD.encode(changed)), None, "byte {index}");
        }
    }

    #[test]
    fn a_malformed_token_does_not_open() {
        let sealer = LeaseSealer::new(&[1; 32]);
        let good = sealer.seal(ChannelId(42), CLAIM);
        for token in ["", "nonsense", "ä", &good[1..], &format!("{good}AAAA"), &"A".repeat(10_000)] {
            assert_eq!(sealer.open(token), None, "{token}");
        }
    }
}
