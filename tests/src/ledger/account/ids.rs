//! Rules: a message has the same id in all of its channels, and is in all of them or in none.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, Event, Violation};

fn id(entry: &Entry) -> Option<u128> {
    match &entry.event {
        Event::Stored(id) => Some(*id),
        Event::Delivered(delivery) => Some(delivery.id),
        _ => None,
    }
}

/// Messages with two ids, in one account or in several.
pub fn two_ids(accounts: &[&[Entry]]) -> Vec<Violation> {
    let mut ids: BTreeMap<u64, BTreeSet<u128>> = BTreeMap::new();
    for entry in accounts.iter().copied().flatten() {
        ids.entry(entry.key).or_default().extend(id(entry));
    }
    ids.into_iter().filter(|(_, ids)| ids.len() > 1).map(|(key, _)| Violation::TwoIds(key)).collect()
}

/// Messages that are stored in some accounts and not in others.
pub fn not_in_all(accounts: &[&[Entry]]) -> Vec<Violation> {
    let stored = |entries: &&[Entry]| -> BTreeSet<u64> {
        entries.iter().filter(|entry| id(entry).is_some()).map(|entry| entry.key).collect()
    };
    let stored: Vec<_> = accounts.iter().map(stored).collect();
    let all: BTreeSet<u64> = stored.iter().flatten().copied().collect();
    all.into_iter()
        .filter(|key| !stored.iter().all(|stored| stored.contains(key)))
        .map(Violation::NotInAll)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::entry::{delivered, entries},
        *,
    };

    #[test]
    fn a_repeat_that_was_stored_again_has_a_second_id() {
        let one = entries([(1, Event::Stored(1)), (1, delivered(1))]);
        assert_eq!(two_ids(&[&one]), []);
        assert_eq!(two_ids(&[&one, &entries([(1, Event::Stored(2))])]), [Violation::TwoIds(1)]);
    }

    #[test]
    fn a_message_missing_in_one_of_three_channels_is_a_violation() {
        let (has, has_not) = (entries([(1, Event::Stored(1))]), entries([(1, Event::Refused)]));
        assert_eq!(not_in_all(&[&has, &has]), []);
        assert_eq!(not_in_all(&[&has_not, &has_not]), []);
        assert_eq!(not_in_all(&[&has, &has_not, &has]), [Violation::NotInAll(1)]);
    }
}
