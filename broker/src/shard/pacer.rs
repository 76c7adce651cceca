//! The pace of copying to free segments: it must not slow senders down. Pure.

use crate::clock::Millis;

/// At most a quarter of a second's writes are copies: a third of the other writes in the second before.
const OTHERS_PER_COPY: u64 = 3;
/// Bytes copied per second while others write little: a quarter of a slow volume's 64 MiB per second.
const BYTES_MIN: u64 = 16 << 20;
const SECOND_MS: Millis = 1000;

/// Counts the writes of each second.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    /// When the current second began.
    began: Millis,
    /// Bytes written in it, copies included.
    written: u64,
    copied: u64,
    /// Bytes that may be copied in it.
    budget: u64,
}

impl Pacer {
    pub(super) fn wrote(&mut self, bytes: u64, now: Millis) {
        self.follow(now);
        self.written += bytes;
    }

    /// Bytes were copied into a batch that will be written.
    pub(super) fn copied(&mut self, bytes: u64, now: Millis) {
        self.follow(now);
        self.copied += bytes;
    }

    /// Time until copying may continue; `None` if it may now.
    pub(super) fn pause(&mut self, now: Millis) -> Option<Millis> {
        self.follow(now);
        (self.copied >= self.budget).then(|| self.began + SECOND_MS - now)
    }

    fn follow(&mut self, now: Millis) {
        let passed = now.saturating_sub(self.began);
        if passed < SECOND_MS && self.budget > 0 {
            return;
        }
        // Writes before the last second do not count.
        let others = if passed < 2 * SECOND_MS { self.written.saturating_sub(self.copied) } else { 0 };
        *self = Self { began: now, written: 0, copied: 0, budget: BYTES_MIN.max(others / OTHERS_PER_COPY) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn compaction_uses_a_quarter_of_a_slow_disk_while_senders_are_idle() {
        let mut pacer = Pacer::default();
        pacer.copied(16 * MIB - 1, 5_000);
        assert_eq!(pacer.pause(5_100), None);
        pacer.copied(1, 5_200);
        assert_eq!(pacer.pause(5_300), Some(700));
        assert_eq!(pacer.pause(5_999), Some(1));
        assert_eq!(pacer.pause(6_000), None);
    }

    #[test]
    fn compaction_may_copy_a_quarter_of_the_writes_of_the_previous_second() {
        let mut pacer = Pacer::default();
        pacer.copied(10 * MIB, 5_000);
        pacer.wrote(310 * MIB, 5_000);
        assert_eq!(pacer.pause(6_000), None);
        pacer.copied(100 * MIB - 1, 6_000);
        assert_eq!(pacer.pause(6_500), None);
        pacer.copied(1, 6_500);
        assert_eq!(pacer.pause(6_500), Some(500));
    }

    #[test]
    fn writes_before_the_previous_second_allow_no_copies() {
        let mut pacer = Pacer::default();
        pacer.wrote(310 * MIB, 5_000);
        pacer.copied(16 * MIB, 7_000);
        assert_eq!(pacer.pause(7_000), Some(1000));
    }
}
