//! Message ids: UUIDv7 (RFC 9562 section 5.7), ascending within a shard.

use uuid::{ContextV7, Timestamp, Uuid};

use crate::clock::Millis;

/// Generates the ids of a shard's messages. Each is greater than the one before, also within a millisecond and while
/// the clock stands still: a counter of 42 bits follows the time (RFC 9562 section 6.2, method 1). Across shards and
/// restarts, ids are unique but not ordered.
pub(super) struct Ids(ContextV7);

impl Ids {
    pub(super) fn new() -> Self {
        Self(ContextV7::new())
    }

    /// The id of a message that is stored now, by the [wall clock time for ids](crate::clock::Clock::id_wall). After
    /// the clock was set back, ids continue from the latest until it is reached again, or until the next start.
    pub(super) fn next(&self, now: Millis) -> Uuid {
        let (seconds, nanos) = (now / 1000, (now % 1000) as u32 * 1_000_000);
        Uuid::new_v7(Timestamp::from_unix(&self.0, seconds, nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_700_000_000_123;

    #[test]
    fn ids_ascend_while_the_clock_stands_still_and_when_it_advances() {
        let ids = Ids::new();
        let mut last = Uuid::nil();
        for number in 0..100_000 {
            let id = ids.next(NOW + number / 50_000);
            assert!(id > last, "{id} after {last}");
            last = id;
        }
    }

    #[test]
    fn ids_ascend_while_the_clock_is_set_back_and_are_valid_at_its_limit() {
        let (ids, mut last) = (Ids::new(), Uuid::nil());
        for now in [NOW, NOW - 3_600_000, 0, NOW + 1, 5, 253_402_207_200_000, NOW] {
            let id = ids.next(now);
            assert!(id > last && id.get_version_num() == 7, "{id} after {last}");
            last = id;
        }
    }

    #[test]
    fn an_id_has_the_given_time() {
        let id = Ids::new().next(NOW);
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(id.get_timestamp().unwrap().to_unix(), (NOW / 1000, (NOW % 1000) as u32 * 1_000_000));
    }

    #[test]
    fn two_shards_generate_different_ids_in_the_same_millisecond() {
        let (one, two) = (Ids::new(), Ids::new());
        let mut all: Vec<_> = (0..10_000).flat_map(|_| [one.next(NOW), two.next(NOW)]).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 20_000);
    }
}
