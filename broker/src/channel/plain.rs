//! Plain messages: ready, never leased, without a group. Nearly all messages of a deep backlog are plain, and need
//! little memory.

use super::{
    message::{LeaseCounts, Message, Phase, Stored},
    packed::Packed,
};
use crate::{clock::Millis, log::Position};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plain {
    pub(super) stored: Stored,
    /// When it expires; `None` for never.
    pub(super) expires_at: Option<Millis>,
}

/// Plain messages that were stored one after another. A row has the three numbers of the log position, the bytes, the
/// time of storage and the time to live. Neighbours differ little, so a row takes a few bytes.
pub(super) type PackedPlain = Packed<6>;

impl Plain {
    /// Converts a message, if it is plain.
    pub(super) fn of(message: &Message) -> Option<Self> {
        let Message {
            stored,
            group: None,
            expires_at,
            lease_counts,
            phase: Phase::Ready(None),
            state_at: None,
        } = message
        else {
            return None;
        };
        // A message that expired before it was stored, or at the end of time, would be ambiguous as numbers.
        let has_a_time = expires_at.is_none_or(|at| (stored.enqueued_at..Millis::MAX).contains(&at));
        let is_plain = *lease_counts == LeaseCounts::default() && has_a_time;
        is_plain.then_some(Self { stored: *stored, expires_at: *expires_at })
    }

    /// The message as numbers that are close to its neighbours'.
    pub(super) fn to_row(self) -> [u64; 6] {
        let Stored { position, bytes, enqueued_at } = self.stored;
        let [a, b, c] = position.parts().map(u64::from);
        // Most messages of a channel have the same time to live. 0 means that the message never expires.
        let kept_for = self.expires_at.map_or(0, |at| at - enqueued_at + 1);
        [a, b, c, bytes.into(), enqueued_at, kept_for]
    }

    /// The inverse of [`Self::to_row`].
    pub(super) fn of_row([a, b, c, bytes, enqueued_at, kept_for]: [u64; 6]) -> Self {
        let position = Position::new([a, b, c].map(|part| part as u32));
        let expires_at = (kept_for != 0).then(|| enqueued_at + (kept_for - 1));
        Self { stored: Stored { position, bytes: bytes as u32, enqueued_at }, expires_at }
    }
}

impl From<Plain> for Message {
    fn from(Plain { stored, expires_at }: Plain) -> Self {
        Self { expires_at, ..Self::new(stored) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Ended;

    #[test]
    fn a_plain_message_survives_packing() {
        let now = 1_700_000_000_000;
        for (bytes, enqueued_at, expires_at) in
            [(0, 0, None), (7, 5, Some(5)), (u32::MAX, u64::MAX, None), (1, now, Some(Millis::MAX - 1))]
        {
            let stored = Stored { position: Position::for_test(u32::MAX), bytes, enqueued_at };
            let plain = Plain { stored, expires_at };
            assert_eq!(Plain::of_row(plain.to_row()), plain);
            assert_eq!(Plain::of(&Message::from(plain)), Some(plain));
        }
    }

    #[test]
    fn a_message_with_more_state_is_not_plain() {
        let stored = Stored { position: Position::START, bytes: 1, enqueued_at: 100 };
        let plain = Message::new(stored);
        let lease_counts = LeaseCounts { last: 1, uncounted: 1, start: 0 };
        for other in [
            Message { group: Some("a".into()), ..plain.clone() },
            Message { lease_counts, ..plain.clone() },
            Message { phase: Phase::Delayed { until: 200, ended: None }, ..plain.clone() },
            Message { phase: Phase::Ready(Some(Ended::Released)), ..plain.clone() },
            Message { state_at: Some(Position::START), ..plain.clone() },
            Message { expires_at: Some(99), ..plain.clone() },
            Message { expires_at: Some(Millis::MAX), ..plain.clone() },
        ] {
            assert_eq!(Plain::of(&other), None, "{other:?}");
        }
    }
}
