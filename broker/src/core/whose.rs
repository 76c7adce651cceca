//! Whose the messages and keys are that the logs hold: decided by what the address store knows and by what the logs say
//! themselves. A start and a check decide by the same. Pure.
//!
//! Architecture Invariant: messages and keys go with their channel only if its deletion is on record: in the log, or in the
//! address store. What has neither a channel nor such a record is an orphan's.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

use restante_wire::{Address, ChannelConfig};
use uuid::Uuid;

use super::{Numbered, outbox::Outgoing};
use crate::address_store::{ChannelEntry, some_of, succession};

/// The namespace of channels whose names are lost. No namespace of Kubernetes has this name: it would have to be made.
const LOST_NAMESPACE: &str = "restante-lost";

/// Who a number is, as a log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) uid: Uuid,
    pub(crate) namespace: Box<str>,
    pub(crate) name: Box<str>,
}

/// A number that is one channel here and another there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apart {
    /// The number.
    pub number: u32,
    /// The channel in the log.
    pub in_log: String,
    /// The UID in the address store, or elsewhere in the log.
    pub other: Uuid,
}

/// What logs say of channels that the address store does not know.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// Who they are.
    pub(crate) names: Numbered<Name>,
    /// Those that were deleted.
    pub(crate) closed: Numbered<Uuid>,
    /// Those that something is stored of.
    pub(crate) holding: BTreeSet<u32>,
    /// What was to come to them from another core, and from where.
    pub(crate) to_come: Vec<(Outgoing, u32)>,
    /// The first number of which nothing is said.
    pub(crate) next_number: u32,
    /// Numbers that the address store knows as other channels.
    pub(crate) apart: BTreeMap<u32, Apart>,
}

/// A channel that is made for what is stored of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Orphan {
    pub(crate) entry: ChannelEntry,
    /// Whether the log says who it is.
    pub(crate) is_named: bool,
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{} ({})", self.namespace, self.name, self.uid)
    }
}

impl Said {
    /// Another log says this as well.
    pub(crate) fn add(&mut self, other: Self) {
        for (number, name) in other.names {
            self.name(number, name);
        }
        self.closed.extend(other.closed);
        self.holding.extend(other.holding);
        self.to_come.extend(other.to_come);
        self.next_number = self.next_number.max(other.next_number);
        self.apart.extend(other.apart);
    }

    /// A log says who a number is.
    pub(crate) fn name(&mut self, number: u32, name: Name) {
        if let Some(other) = self.names.get(&number).filter(|other| other.uid != name.uid) {
            let apart = Apart { number, in_log: name.to_string(), other: other.uid };
            self.apart.insert(number, apart);
        }
        self.names.insert(number, name);
    }

    /// Deletions that the log knows of and the address store does not, by number: `held` tells the numbers of its UIDs, `is_deleted`
    /// the UIDs that it knows to be deleted, `left` how many more it can remember. All are completed whose channel it still has. Of
    /// the others it needs to know only while it has lost what it knew: then it has room for them.
    pub(crate) fn unfinished(
        &self,
        held: impl Fn(Uuid) -> Option<u32>,
        is_deleted: impl Fn(Uuid) -> bool,
        left: usize,
    ) -> Vec<(u32, Uuid)> {
        let closed = self.closed.iter().map(|(number, uid)| (*uid, *number));
        let closed = closed.filter(|(uid, number)| held(*uid).is_none_or(|other| other == *number));
        let all: BTreeMap<Uuid, u32> =
            self.superseded(&held).chain(closed).filter(|(uid, _)| !is_deleted(*uid)).collect();
        let all = all.into_iter().map(|(uid, number)| (number, uid));
        let (there, gone): (Vec<_>, Vec<_>) = all.partition(|(_, uid)| held(*uid).is_some());
        let mut all = if there.len() + gone.len() <= left { [there, gone].concat() } else { there };
        all.sort_unstable();
        all
    }

    /// Channels of manifests that were deleted before one of the same name was made that the logs know: they may have forgotten the
    /// deletion itself. Numbers tell what was made later: a name begins anew with its first UID where the store has forgotten all of them.
    fn superseded(&self, held: impl Fn(Uuid) -> Option<u32>) -> impl Iterator<Item = (Uuid, u32)> {
        self.names.iter().flat_map(move |(later, Name { uid, namespace, name })| {
            let held = &held;
            let before = succession::deleted_before(namespace, name, *uid);
            let before = before.map(|uid| (uid, held(uid).unwrap_or(*later)));
            before.filter(|(uid, number)| held(*uid).is_none() || number < later).collect::<Vec<_>>()
        })
    }

    /// The channels that are to be made, by number. `is_known` tells of the numbers of the address store, `is_taken` of its UIDs,
    /// `is_deleted` of those that it knows to be deleted.
    pub(crate) fn orphans(
        &self,
        is_known: impl Fn(u32) -> bool,
        is_taken: impl Fn(Uuid) -> bool,
        is_deleted: impl Fn(Uuid) -> bool,
    ) -> Vec<Orphan> {
        let holding = self.holding.iter().copied().chain(self.to_come.iter().map(|(_, number)| *number));
        let mut made = HashMap::new();
        let is_lost = |number: &u32| {
            let name = self.names.get(number);
            !is_known(*number)
                && !self.closed.contains_key(number)
                && !name.is_some_and(|name| is_deleted(name.uid))
        };
        let lost: BTreeSet<u32> = holding.filter(is_lost).collect();
        lost.into_iter()
            .map(|number| {
                let name = self
                    .names
                    .get(&number)
                    .filter(|name| !is_taken(name.uid) && made.insert(name.uid, number).is_none());
                orphan(number, name)
            })
            .collect()
    }
}

/// A channel for what is stored under a number.
fn orphan(number: u32, name: Option<&Name>) -> Orphan {
    let named = name.and_then(|Name { uid, namespace, name }| {
        let address = Address::new(namespace, name).ok()?;
        Some(ChannelConfig::new(*uid, namespace, name, address))
    });
    let is_named = named.is_some();
    let config = named.unwrap_or_else(|| {
        let name = format!("channel-{number}");
        let address = Address::new(LOST_NAMESPACE, &name).expect("such a name is an address");
        // The same one each time that the folder is looked at.
        let uid = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
        ChannelConfig::new(uid, LOST_NAMESPACE, &name, address)
    });
    Orphan { entry: ChannelEntry { number, config }, is_named }
}

/// The names of channels, as a text that is not too long.
pub(crate) fn listed(orphans: &[Orphan]) -> String {
    let name =
        |Orphan { entry, .. }: &Orphan| format!("{} ({})", entry.config.qualified_name(), entry.config.uid);
    some_of(&orphans.iter().map(name).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(uid: u128, name: &str) -> Name {
        Name { uid: Uuid::from_u128(uid), namespace: "acme".into(), name: name.into() }
    }

    fn said(holding: &[u32]) -> Said {
        let mut said = Said { holding: holding.iter().copied().collect(), ..Said::default() };
        said.name(3, name(30, "three"));
        said.name(4, name(40, "four"));
        said.closed.insert(5, Uuid::from_u128(50));
        said
    }

    fn names(orphans: &[Orphan]) -> Vec<String> {
        orphans.iter().map(|orphan| orphan.entry.config.qualified_name()).collect()
    }

    #[test]
    fn what_has_neither_a_channel_nor_a_deletion_is_an_orphans_under_its_own_name() {
        let orphans = said(&[2, 3, 4, 5, 6]).orphans(|number| number == 2, |_| false, |_| false);
        assert_eq!(names(&orphans), ["acme/three", "acme/four", "restante-lost/channel-6"]);
        assert_eq!(orphans[0].entry.config.uid, Uuid::from_u128(30));
        assert_eq!(orphans.iter().map(|orphan| orphan.is_named).collect::<Vec<_>>(), [true, true, false]);
        assert!(listed(&orphans).contains("acme/four (00000000"));
    }

    #[test]
    fn a_deletion_counts_whoever_remembers_it() {
        let deleted = |uid: Uuid| uid == Uuid::from_u128(30);
        assert_eq!(names(&said(&[3, 4, 5]).orphans(|_| false, |_| false, deleted)), ["acme/four"]);
    }

    #[test]
    fn a_deletion_is_completed_where_the_channel_still_is_and_remembered_while_there_is_room() {
        let mut said = said(&[]);
        said.closed.extend([(6, Uuid::from_u128(60)), (7, Uuid::from_u128(70)), (8, Uuid::from_u128(80))]);
        // 60 is still there, 70 is another channel now, and 80 is known.
        let held = |uid: Uuid| match uid.as_u128() {
            60 => Some(6),
            70 => Some(9),
            _ => None,
        };
        let unfinished = |left| {
            let numbers = said.unfinished(held, |uid| uid == Uuid::from_u128(80), left);
            numbers.into_iter().map(|(number, _)| number).collect::<Vec<_>>()
        };
        assert_eq!((unfinished(2), unfinished(1), unfinished(0)), (vec![5, 6], vec![6], vec![6]));
    }

    #[test]
    fn a_channel_of_a_manifest_was_deleted_where_a_log_knows_the_next_of_its_name() {
        let [first, second, third] = [0, 1, 2].map(|deletions| {
            Uuid::from_u128(restante_crds::manifest::uid("acme", "orders").as_u128() + deletions)
        });
        let mut said = Said::default();
        said.name(6, name(third.as_u128(), "orders"));
        let unfinished = |said: &Said, number| {
            said.unfinished(|uid| (uid == first).then_some(number), |uid| uid == second, 100)
        };
        assert_eq!(unfinished(&said, 2), [(2, first)]);
        // One that has a later number was made anew after that.
        assert!(unfinished(&said, 7).is_empty());
        // An operator's UIDs tell nothing of each other, nor do those of another name.
        let mut said = Said::default();
        said.name(6, name(third.as_u128(), "other"));
        said.name(8, name(80, "orders"));
        assert!(unfinished(&said, 2).is_empty());
        // What the address store has lost it may know again, while there is room.
        said.name(6, name(third.as_u128(), "orders"));
        let lost = |left| said.unfinished(|_| None, |_| false, left);
        assert_eq!((lost(2).len(), lost(1).len()), (2, 0));
    }

    #[test]
    fn a_channel_that_nothing_is_stored_of_is_not_missed_and_one_that_is_to_get_something_is() {
        let mut said = said(&[]);
        assert!(said.orphans(|_| false, |_| false, |_| false).is_empty());
        said.to_come.push(((u32::MAX, 1), 4));
        assert_eq!(names(&said.orphans(|_| false, |_| false, |_| false)), ["acme/four"]);
    }

    #[test]
    fn no_two_channels_have_one_uid() {
        let mut said = said(&[3, 4, 6]);
        said.name(6, name(40, "four"));
        let taken = |uid: Uuid| uid == Uuid::from_u128(30);
        let orphans = said.orphans(|_| false, taken, |_| false);
        assert_eq!(names(&orphans), ["restante-lost/channel-3", "acme/four", "restante-lost/channel-6"]);
    }

    #[test]
    fn two_logs_that_say_different_things_of_a_number_are_apart() {
        let (mut one, mut other) = (said(&[]), Said::default());
        other.name(3, name(31, "another"));
        one.add(other);
        assert_eq!(one.apart[&3].other, Uuid::from_u128(30));
        assert!(one.apart[&3].in_log.contains("acme/another"));
    }
}
