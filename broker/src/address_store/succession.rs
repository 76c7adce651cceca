//! The UIDs of channels from manifests. Namespace and name make the UID, and a UID that was deleted never comes back: so the
//! manifest of a deleted channel makes the next one in the succession of UIDs that its name has. Pure.

use std::collections::HashMap;

use restante_wire::ChannelConfig;
use uuid::Uuid;

use super::{DELETED_REMEMBERED_MAX, indices::Indices, plan::Facts};

/// The bits of a UID that all of a succession have in common; the others count.
const COMMON: u128 = !(u32::MAX as u128);

/// What a name's UIDs have in common. Of two names it differs in 90 bits of a hash.
fn succession(uid: Uuid) -> u128 {
    uid.as_u128() & COMMON
}

/// The UID that so many deletions come before, of those that begin with `first`.
fn after_deletions(first: Uuid, deletions: u32) -> Uuid {
    Uuid::from_u128(succession(first) | u128::from((first.as_u128() as u32).wrapping_add(deletions)))
}

/// How many deletions come before a UID, of those that begin with `first`.
fn deletions(first: Uuid, uid: Uuid) -> u32 {
    (uid.as_u128() as u32).wrapping_sub(first.as_u128() as u32)
}

/// The UIDs that were deleted before this one was given to a channel of that name, the newest first: none if it is no manifest's.
pub(crate) fn deleted_before(namespace: &str, name: &str, uid: Uuid) -> impl Iterator<Item = Uuid> {
    let first = restante_crds::manifest::uid(namespace, name);
    let count = if succession(uid) == succession(first) { deletions(first, uid) } else { 0 };
    // More are not remembered either.
    (0..count).rev().take(DELETED_REMEMBERED_MAX).map(move |deletions| after_deletions(first, deletions))
}

/// Channels from manifests, each with the first UID of its name: gives each the UID that it has here. That is the one of the
/// channel in the set, or of the newest orphan, so that its messages are its own; or else the first that was not deleted. Returns
/// the names of those that were deleted and are new.
pub(super) fn give_uids(indices: &Indices, facts: &Facts, channels: &mut [ChannelConfig]) -> Vec<String> {
    let of_name: HashMap<u128, Uuid> =
        channels.iter().map(|channel| (succession(channel.uid), channel.uid)).collect();
    let mut orphans: HashMap<u128, Uuid> = HashMap::new();
    for orphan in indices.orphan.entries() {
        let uid = orphan.config.uid;
        let Some(first) = of_name.get(&succession(uid)) else { continue };
        let newest = orphans.entry(succession(uid)).or_insert(uid);
        if deletions(*first, *newest) < deletions(*first, uid) {
            *newest = uid;
        }
    }
    let mut recreated = Vec::new();
    for channel in channels {
        let first = channel.uid;
        let in_set = indices.name.get((&channel.namespace, &channel.name)).map(|entry| entry.config.uid);
        let in_set = in_set.filter(|uid| succession(*uid) == succession(first));
        let there = in_set.or_else(|| orphans.get(&succession(first)).copied());
        channel.uid = there.unwrap_or_else(|| {
            let mut uids = (0..).map(|deletions| after_deletions(first, deletions));
            // Fewer deletions are remembered than there are numbers.
            uids.find(|uid| !facts.deleted.contains(*uid)).unwrap_or(first)
        });
        if there.is_none() && channel.uid != first {
            recreated.push(channel.qualified_name());
        }
    }
    recreated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_of_a_name_differ_and_have_in_common_what_those_of_no_other_name_have() {
        for first in [0, u128::from(u32::MAX), 0x489b_1b4f_ebe8_515c_a19c_ad66_e71c_1fd3].map(Uuid::from_u128)
        {
            assert_eq!(after_deletions(first, 0), first);
            for count in [1, 7, u32::MAX] {
                let uid = after_deletions(first, count);
                assert_ne!(uid, first);
                assert_eq!((succession(uid), deletions(first, uid)), (succession(first), count));
            }
        }
        assert_ne!(succession(Uuid::from_u128(1 << 32)), succession(Uuid::from_u128(2 << 32)));
    }

    #[test]
    fn a_uid_tells_which_were_deleted_before_it_if_it_is_a_manifests() {
        let first = restante_crds::manifest::uid("acme", "orders");
        let before = |uid| deleted_before("acme", "orders", uid).collect::<Vec<_>>();
        assert_eq!(before(after_deletions(first, 2)), [after_deletions(first, 1), first]);
        assert!(before(first).is_empty() && before(Uuid::from_u128(7)).is_empty());
        assert!(deleted_before("acme", "other", after_deletions(first, 2)).next().is_none());
        // A log that somebody made up may say anything.
        assert_eq!(before(after_deletions(first, u32::MAX)).len(), DELETED_REMEMBERED_MAX);
    }
}
