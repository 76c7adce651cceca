//! Leases: for how long a message is a receiver's, and the sealed token by which the receiver says so.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::message::Sequence;

/// How the last lease of a message ended, when nobody has the message now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its holder gave the message back.
    Released,
    /// Its time was over.
    Expired,
}

/// What a lease token claims: one hand-out of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The message's place in its channel.
    pub sequence: Sequence,
    /// Which hand-out of the message.
    pub handout: u32,
    /// Which start of the broker handed it out: random, so that neither a crash nor a restored backup issues one twice.
    pub start: u64,
}

/// Why a claim is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The lease's time is over and nobody has the message.
    #[error(
        "the lease has ended and the message is back in its channel, or among its dead letters: ask for it again, and renew in time"
    )]
    Expired,
    /// This token gave the message back and nobody has it.
    #[error("this lease gave the message back: ask for it again")]
    Released,
    /// The message was leased again.
    #[error("the lease has ended and the message was leased again: it is another receiver's now")]
    Superseded,
    /// The message is gone from the channel.
    #[error("the message was settled: there is nothing to give back or to renew")]
    Settled,
}

/// Bytes of the token before its seal: version, channel number, sequence, hand-out, start.
const CLAIM_BYTES: usize = 1 + 4 + 8 + 4 + 8;
/// HMAC-SHA-256 is cut to its left half, as RFC 2104 section 5 allows: 128 bits nobody guesses.
const SEAL_BYTES: usize = 16;
/// The first byte of every token of this layout.
const VERSION: u8 = 1;

/// Makes tokens that nobody else can make, and reads them.
#[derive(Clone)]
pub struct LeaseSealer {
    keyed: Hmac<Sha256>,
}

impl LeaseSealer {
    /// A sealer by the data folder's key.
    pub fn new(key: &[u8; 32]) -> Self {
        Self {
            keyed: Hmac::new_from_slice(key).expect("HMAC takes a key of any length (RFC 2104 section 2)"),
        }
    }

    /// The token of a claim to a message of a channel: base64url, opaque to everybody else.
    pub fn seal(&self, channel: u32, claim: Claim) -> String {
        let mut token = [0; CLAIM_BYTES + SEAL_BYTES];
        token[0] = VERSION;
        token[1..5].copy_from_slice(&channel.to_le_bytes());
        token[5..13].copy_from_slice(&claim.sequence.to_le_bytes());
        token[13..17].copy_from_slice(&claim.handout.to_le_bytes());
        token[17..25].copy_from_slice(&claim.start.to_le_bytes());
        let (said, seal) = token.split_at_mut(CLAIM_BYTES);
        seal.copy_from_slice(&self.mac(said).finalize().into_bytes()[..SEAL_BYTES]);
        URL_SAFE_NO_PAD.encode(token)
    }

    /// The channel number and the claim of a token; `None` when this data folder's key never sealed it.
    pub fn open(&self, token: &str) -> Option<(u32, Claim)> {
        let mut bytes = [0; CLAIM_BYTES + SEAL_BYTES];
        // `decode_slice` fails on a token that is too long, and the comparison on one that is too short.
        if URL_SAFE_NO_PAD.decode_slice(token, &mut bytes).ok()? != bytes.len() {
            return None;
        }
        let (said, seal) = bytes.split_at(CLAIM_BYTES);
        self.mac(said).verify_truncated_left(seal).ok()?;
        if said[0] != VERSION {
            return None;
        }
        let claim = Claim {
            sequence: u64::from_le_bytes(said[5..13].try_into().ok()?),
            handout: u32::from_le_bytes(said[13..17].try_into().ok()?),
            start: u64::from_le_bytes(said[17..25].try_into().ok()?),
        };
        Some((u32::from_le_bytes(said[1..5].try_into().ok()?), claim))
    }

    fn mac(&self, said: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        mac.update(said);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIM: Claim = Claim { sequence: 7, handout: 2, start: 0xdead_beef };

    #[test]
    fn a_token_opens_to_the_claim_that_was_sealed() {
        let sealer = LeaseSealer::new(&[1; 32]);
        let token = sealer.seal(42, CLAIM);
        assert!(token.len() <= 256);
        assert_eq!(sealer.open(&token), Some((42, CLAIM)));
    }

    #[test]
    fn a_token_of_another_key_or_with_one_bit_changed_was_never_issued() {
        let sealer = LeaseSealer::new(&[1; 32]);
        assert_eq!(sealer.open(&LeaseSealer::new(&[2; 32]).seal(42, CLAIM)), None);
        let token = URL_SAFE_NO_PAD.decode(sealer.seal(42, CLAIM)).unwrap();
        for index in 0..token.len() {
            let mut changed = token.clone();
            changed[index] ^= 1;
            assert_eq!(sealer.open(&URL_SAFE_NO_PAD.encode(changed)), None, "byte {index}");
        }
    }

    #[test]
    fn a_malformed_token_was_never_issued() {
        let sealer = LeaseSealer::new(&[1; 32]);
        let good = sealer.seal(42, CLAIM);
        for token in ["", "nonsense", "ä", &good[1..], &format!("{good}AAAA"), &"A".repeat(10_000)] {
            assert_eq!(sealer.open(token), None, "{token}");
        }
    }
}
