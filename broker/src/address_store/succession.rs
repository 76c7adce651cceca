//! The UIDs of channels from manifests. Namespace and name determine the first UID, and a deleted UID never comes back.
//! So the manifest of a deleted channel creates a channel with the next UID in its name's succession. Pure.

use std::collections::HashMap;

use restante_wire::ChannelConfig;
use uuid::Uuid;

use super::{DELETED_REMEMBERED_MAX, indices::Indices, plan::Facts};

/// The bits that all UIDs of a succession share; the others count deletions.
const COMMON: u128 = !(u32::MAX as u128);

/// The shared part of a name's UIDs: 90 bits of a hash of the name.
fn succession(uid: Uuid) -> u128 {
    uid.as_u128() & COMMON
}

/// The UID after this number of deletions, in the succession that starts with `first`.
fn after_deletions(first: Uuid, deletions: u32) -> Uuid {
    Uuid::from_u128(succession(first) | u128::from((first.as_u128() as u32).wrapping_add(deletions)))
}

/// The number of deletions before a UID, in the succession that starts with `first`.
fn deletions(first: Uuid, uid: Uuid) -> u32 {
    (uid.as_u128() as u32).wrapping_sub(first.as_u128() as u32)
}

/// The UIDs of a name that were deleted before this one was assigned, the newest first. Empty if the UID is not from a
/// manifest.
pub(crate) fn deleted_before(namespace: &str, name: &str, uid: Uuid) -> impl Iterator<Item = Uuid> {
    let first = restante_crds::manifest::uid(namespace, name);
    let count = if succession(uid) == succession(first) { deletions(first, uid) } else { 0 };
    // The store does not remember more.
    (0..count).rev().take(DELETED_REMEMBERED_MAX).map(move |deletions| after_deletions(first, deletions))
}

/// Replaces each channel's first UID by its current one. That is the UID of the channel in the set or of the newest
/// orphan, so that the channel keeps its messages; otherwise the first UID that was not deleted. Returns the names of
/// channels that were deleted and are new again.
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
            // The store remembers fewer deletions than the succession has UIDs.
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
    fn uids_of_a_name_differ_and_share_bits_that_uids_of_other_names_do_not_have() {
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
    fn the_uids_deleted_before_a_manifests_uid_follow_from_it() {
        let first = restante_crds::manifest::uid("acme", "orders");
        let before = |uid| deleted_before("acme", "orders", uid).collect::<Vec<_>>();
        assert_eq!(before(after_deletions(first, 2)), [after_deletions(first, 1), first]);
        assert!(before(first).is_empty() && before(Uuid::from_u128(7)).is_empty());
        assert!(deleted_before("acme", "other", after_deletions(first, 2)).next().is_none());
        // A forged log can contain any UID.
        assert_eq!(before(after_deletions(first, u32::MAX)).len(), DELETED_REMEMBERED_MAX);
    }
}
