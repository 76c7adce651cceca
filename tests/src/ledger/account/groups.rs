//! The order of a group: while its lowest message is there, nobody gets another.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, Event, Wrong};

/// One message of a group.
#[derive(Debug, Default)]
struct Member {
    group: u32,
    ttl_ms: Option<u64>,
    stored_ms: Option<u64>,
    /// Requests to end it that were not refused: it may be gone.
    endings: u32,
}

impl Member {
    fn may_be_gone(&self, now_ms: u64) -> bool {
        let expired = |ttl| self.stored_ms.is_some_and(|stored| now_ms + 1 >= stored + ttl);
        self.endings > 0 || self.ttl_ms.is_some_and(expired)
    }
}

/// Messages that came while an earlier one of their group was there. For groups with one sender that waits for each
/// answer.
pub(super) fn out_of_turn(entries: &[Entry]) -> Vec<Wrong> {
    let mut members: BTreeMap<u64, Member> = BTreeMap::new();
    // Of each group: those that are stored and not known to be gone, so that few are looked at.
    let mut there: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
    let mut wrongs = Vec::new();
    for Entry { at_ms, key, event } in entries {
        if let Event::Sent(terms) = event
            && let Some(group) = terms.group
        {
            members.insert(*key, Member { group, ttl_ms: terms.ttl_ms, ..Member::default() });
        }
        let Some(member) = members.get_mut(key) else { continue };
        let there = there.entry(member.group).or_default();
        match event {
            Event::Stored(_) => {
                member.stored_ms.get_or_insert(*at_ms);
                there.insert(*key);
            }
            Event::Ending(_) => member.endings += 1,
            Event::Refused => member.endings = member.endings.saturating_sub(1),
            Event::Redriving => member.endings = 0,
            Event::Came(_) => {
                let gone = |earlier: &u64| members[earlier].may_be_gone(*at_ms);
                let earlier = there.range(..key).find(|earlier| !gone(earlier));
                wrongs.extend(earlier.map(|earlier| Wrong::OutOfTurn { later: *key, earlier: *earlier }));
            }
            _ => {}
        }
    }
    wrongs
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            End, Terms,
            entry::{came, entries},
        },
        *,
    };

    fn stored(key: u64, group: u32) -> [(u64, Event); 2] {
        let terms = Terms { group: Some(group), ..Terms::default() };
        [(key, Event::Sent(terms)), (key, Event::Stored(1))]
    }

    fn check(groups: [u32; 2], events: &[(u64, Event)]) -> Vec<Wrong> {
        let both = stored(1, groups[0]).into_iter().chain(stored(2, groups[1]));
        out_of_turn(&entries(both.chain(events.iter().cloned())))
    }

    #[test]
    fn the_next_of_a_group_comes_when_the_end_of_the_first_was_asked_for() {
        assert_eq!(check([7, 7], &[(1, came(1)), (1, Event::Ending(End::Settle)), (2, came(1))]), []);
        let wrong = Wrong::OutOfTurn { later: 2, earlier: 1 };
        assert_eq!(check([7, 7], &[(1, came(1)), (2, came(1))]), [wrong]);
        assert_eq!(check([7, 8], &[(1, came(1)), (2, came(1))]), [], "another group waits for nobody");
    }

    #[test]
    fn an_end_that_was_refused_was_none() {
        let wrong = Wrong::OutOfTurn { later: 2, earlier: 1 };
        let refused = [(1, Event::Ending(End::Settle)), (1, Event::Refused), (2, came(1))];
        assert_eq!(check([7, 7], &refused), [wrong]);
        // Another receiver had the message meanwhile, and ended it.
        let both = [(1, Event::Ending(End::Settle)), (1, Event::Ending(End::Settle))];
        assert_eq!(check([7, 7], &[&both[..], &refused[1..]].concat()), []);
    }

    #[test]
    fn one_that_was_redriven_has_its_turn_again() {
        let dead = [(1, Event::Ending(End::Reject)), (1, Event::Ended(End::Reject)), (1, Event::Redriving)];
        let wrong = Wrong::OutOfTurn { later: 2, earlier: 1 };
        assert_eq!(check([7, 7], &[&dead[..], &[(2, came(1))]].concat()), [wrong]);
    }
}
