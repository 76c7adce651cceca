//! How much is copied to give space back: beside what senders write, and not instead of it. Pure.

use crate::clock::Millis;

/// Of a second's writing, at most a quarter is copies: as much as a third of what others wrote in the second before.
const OTHERS_PER_COPY: u64 = 3;
/// What is copied in a second in which others write little: a quarter of what a slow volume writes, 64 MiB a second.
const BYTES_MIN: u64 = 16 << 20;
/// What budgets are for.
const SECOND_MS: Millis = 1000;

/// Counts what is written in each second.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    /// When this second began.
    began: Millis,
    /// Bytes that were written in it, copies among them.
    written: u64,
    copied: u64,
    /// Bytes that may be copied in it.
    budget: u64,
}

impl Pacer {
    /// A group of so many bytes is written.
    pub(super) fn wrote(&mut self, bytes: u64, now: Millis) {
        self.follow(now);
        self.written += bytes;
    }

    /// So many bytes are copied, in a group that will be written.
    pub(super) fn copied(&mut self, bytes: u64, now: Millis) {
        self.follow(now);
        self.copied += bytes;
    }

    /// How long no more is copied; not at all if it may go on now.
    pub(super) fn pause(&mut self, now: Millis) -> Option<Millis> {
        self.follow(now);
        (self.copied >= self.budget).then(|| self.began + SECOND_MS - now)
    }

    fn follow(&mut self, now: Millis) {
        let passed = now.saturating_sub(self.began);
        if passed < SECOND_MS && self.budget > 0 {
            return;
        }
        // What was written longer ago than the second before says nothing of this one.
        let others = if passed < 2 * SECOND_MS { self.written.saturating_sub(self.copied) } else { 0 };
        *self = Self { began: now, written: 0, copied: 0, budget: BYTES_MIN.max(others / OTHERS_PER_COPY) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_quarter_of_a_slow_disk_is_copied_when_nobody_else_writes() {
        let mut pacer = Pacer::default();
        pacer.copied(16 * MIB - 1, 5_000);
        assert_eq!(pacer.pause(5_100), None);
        pacer.copied(1, 5_200);
        assert_eq!(pacer.pause(5_300), Some(700));
        assert_eq!(pacer.pause(5_999), Some(1));
        assert_eq!(pacer.pause(6_000), None);
    }

    #[test]
    fn copies_are_a_quarter_of_all_that_was_written_in_the_second_before() {
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
    fn what_was_written_long_ago_allows_nothing() {
        let mut pacer = Pacer::default();
        pacer.wrote(310 * MIB, 5_000);
        pacer.copied(16 * MIB, 7_000);
        assert_eq!(pacer.pause(7_000), Some(1000));
    }
}
