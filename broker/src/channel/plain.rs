//! Plain messages: ready, never handed out, of no group. Nearly all of a deep backlog are, and little is to be said of each.

use super::{
    message::{Handouts, Message, Phase, Stored},
    packed::Packed,
};
use crate::{clock::Millis, log::Position};

/// A plain message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plain {
    /// What was stored.
    pub(super) stored: Stored,
    /// When its time is over; never, if it is not said.
    pub(super) expires_at: Option<Millis>,
}

/// Plain messages that were stored one after another. Of each: its three numbers of the log, its bytes, when it was stored
/// and for how long. Neighbours have much of it in common: a few bytes each are left.
pub(super) type PackedPlain = Packed<6>;

impl Plain {
    /// A message, if it is plain.
    pub(super) fn of(message: &Message) -> Option<Self> {
        let Message { stored, group: None, expires_at, handouts, phase: Phase::Ready(None), state_at: None } =
            message
        else {
            return None;
        };
        // One that was over before it was stored, or ends with all time, is left out so that the numbers are unambiguous.
        let has_a_time = expires_at.is_none_or(|at| (stored.enqueued_at..Millis::MAX).contains(&at));
        let is_plain = *handouts == Handouts::default() && has_a_time;
        is_plain.then_some(Self { stored: *stored, expires_at: *expires_at })
    }

    /// The message in numbers that its neighbours' are like.
    pub(super) fn to_row(self) -> [u64; 6] {
        let Stored { position, bytes, enqueued_at } = self.stored;
        let [a, b, c] = position.parts().map(u64::from);
        // Most of a channel's messages are kept for equally long, and so differ in nothing here. 0 is for ever.
        let kept_for = self.expires_at.map_or(0, |at| at - enqueued_at + 1);
        [a, b, c, bytes.into(), enqueued_at, kept_for]
    }

    /// What [`Self::to_row`] was made of.
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
    fn a_plain_message_is_the_same_out_of_its_numbers() {
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
    fn a_message_of_which_more_is_to_be_said_is_not_plain() {
        let stored = Stored { position: Position::START, bytes: 1, enqueued_at: 100 };
        let plain = Message::new(stored);
        let handouts = Handouts { last: 1, uncounted: 1, start: 0 };
        for other in [
            Message { group: Some("a".into()), ..plain.clone() },
            Message { handouts, ..plain.clone() },
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
