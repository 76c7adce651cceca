//! Rule of message groups: while a group's oldest message is in the channel, no other message of the group is
//! delivered.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, Event, Violation};

/// A message of a group.
#[derive(Debug, Default)]
struct Member {
    group: u32,
    ttl_ms: Option<u64>,
    stored_ms: Option<u64>,
    /// Settles and rejects that were not refused. If there are any, the message may be gone.
    endings: u32,
}

impl Member {
    fn may_be_gone(&self, now_ms: u64) -> bool {
        let expired = |ttl| self.stored_ms.is_some_and(|stored| now_ms + 1 >= stored + ttl);
        self.endings > 0 || self.ttl_ms.is_some_and(expired)
    }
}

/// Messages that were delivered while an earlier one of their group was in the channel. For groups with one sender that
/// waits for each answer.
pub(super) fn out_of_group_order(entries: &[Entry]) -> Vec<Violation> {
    let mut members: BTreeMap<u64, Member> = BTreeMap::new();
    // For each group, the stored messages that are not known to be gone, so that few are compared.
    let mut there: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
    let mut violations = Vec::new();
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
            Event::Delivered(_) => {
                let gone = |earlier: &u64| members[earlier].may_be_gone(*at_ms);
                let earlier = there.range(..key).find(|earlier| !gone(earlier));
                violations.extend(
                    earlier.map(|earlier| Violation::OutOfGroupOrder { later: *key, earlier: *earlier }),
                );
            }
            _ => {}
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            End, Terms,
            entry::{delivered, entries},
        },
        *,
    };

    fn stored(key: u64, group: u32) -> [(u64, Event); 2] {
        let terms = Terms { group: Some(group), ..Terms::default() };
        [(key, Event::Sent(terms)), (key, Event::Stored(1))]
    }

    fn check(groups: [u32; 2], events: &[(u64, Event)]) -> Vec<Violation> {
        let both = stored(1, groups[0]).into_iter().chain(stored(2, groups[1]));
        out_of_group_order(&entries(both.chain(events.iter().cloned())))
    }

    #[test]
    fn the_next_message_of_a_group_follows_the_settle_of_the_first() {
        assert_eq!(
            check([7, 7], &[(1, delivered(1)), (1, Event::Ending(End::Settle)), (2, delivered(1))]),
            []
        );
        let wrong = Violation::OutOfGroupOrder { later: 2, earlier: 1 };
        assert_eq!(check([7, 7], &[(1, delivered(1)), (2, delivered(1))]), [wrong]);
        assert_eq!(check([7, 8], &[(1, delivered(1)), (2, delivered(1))]), [], "another group does not wait");
    }

    #[test]
    fn a_refused_settle_does_not_end_a_message() {
        let wrong = Violation::OutOfGroupOrder { later: 2, earlier: 1 };
        let refused = [(1, Event::Ending(End::Settle)), (1, Event::Refused), (2, delivered(1))];
        assert_eq!(check([7, 7], &refused), [wrong]);
        // Another receiver had leased the message in the meantime, and ended it.
        let both = [(1, Event::Ending(End::Settle)), (1, Event::Ending(End::Settle))];
        assert_eq!(check([7, 7], &[&both[..], &refused[1..]].concat()), []);
    }

    #[test]
    fn a_redriven_message_blocks_its_group_again() {
        let dead = [(1, Event::Ending(End::Reject)), (1, Event::Ended(End::Reject)), (1, Event::Redriving)];
        let wrong = Violation::OutOfGroupOrder { later: 2, earlier: 1 };
        assert_eq!(check([7, 7], &[&dead[..], &[(2, delivered(1))]].concat()), [wrong]);
    }
}
