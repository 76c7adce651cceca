//! Ownership of the messages and keys in the logs: decided from the address store and from the logs themselves. A start
//! and `check` use the same rules. Pure.
//!
//! Architecture Invariant: messages and keys go with their channel only if its deletion is on record: in the log, or in
//! the address store. Records without a channel and without a deletion belong to an orphan.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

use restante_wire::{Address, ChannelConfig};
use uuid::Uuid;

use crate::{
    address_store::{ChannelEntry, some_of, succession},
    log::{ChannelId, ParcelId},
    shard::PerChannel,
};

/// The namespace of channels whose names are lost. Kubernetes has no such namespace unless somebody creates it.
const LOST_NAMESPACE: &str = "restante-lost";

/// A channel, as a log names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChannelName {
    pub(crate) uid: Uuid,
    pub(crate) namespace: Box<str>,
    pub(crate) name: Box<str>,
}

/// Evidence in the logs of channels that the address store does not know.
#[derive(Debug, Default)]
pub(crate) struct ChannelEvidence {
    /// Their names.
    pub(crate) names: PerChannel<ChannelName>,
    /// Deleted channels.
    pub(crate) closed: PerChannel<Uuid>,
    /// Channels with messages or keys that the address store does not know.
    pub(crate) holding: BTreeSet<ChannelId>,
    /// Channels with messages or keys that it knows.
    pub(crate) holding_known: BTreeSet<ChannelId>,
    /// Parcels in relay to them, and from where.
    pub(crate) to_come: Vec<(ParcelId, ChannelId)>,
}

/// A channel that is created for records without an owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Orphan {
    pub(crate) entry: ChannelEntry,
    /// Whether the log has its name.
    pub(crate) is_named: bool,
}

impl fmt::Display for ChannelName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{} ({})", self.namespace, self.name, self.uid)
    }
}

impl ChannelEvidence {
    /// Adds the evidence of another log.
    pub(crate) fn add(&mut self, other: Self) {
        for (channel_id, name) in other.names {
            self.name(channel_id, name);
        }
        self.closed.extend(other.closed);
        self.holding.extend(other.holding);
        self.holding_known.extend(other.holding_known);
        self.to_come.extend(other.to_come);
    }

    /// Adds a name. A name that an earlier start made up, because it found none, never replaces a real one.
    pub(crate) fn name(&mut self, channel: ChannelId, name: ChannelName) {
        if &*name.namespace != LOST_NAMESPACE || !self.names.contains_key(&channel) {
            self.names.insert(channel, name);
        }
    }

    /// Deletions that are in the log and not in the address store, by id. `held` has the ids of the store's
    /// UIDs, `is_deleted` its deleted UIDs, `left` the number of deletions that it can still remember. Deletions of
    /// channels that it still has are always completed. The others matter only if it has lost them, and then it has
    /// room.
    pub(crate) fn unfinished(
        &self,
        held: impl Fn(Uuid) -> Option<ChannelId>,
        is_deleted: impl Fn(Uuid) -> bool,
        left: usize,
    ) -> Vec<(ChannelId, Uuid)> {
        let closed = self.closed.iter().map(|(channel_id, uid)| (*uid, *channel_id));
        let closed = closed.filter(|(uid, channel_id)| held(*uid).is_none_or(|other| other == *channel_id));
        let all: BTreeMap<Uuid, ChannelId> =
            self.superseded(&held).chain(closed).filter(|(uid, _)| !is_deleted(*uid)).collect();
        let all = all.into_iter().map(|(uid, channel_id)| (channel_id, uid));
        let (there, gone): (Vec<_>, Vec<_>) = all.partition(|(_, uid)| held(*uid).is_some());
        let mut all = if there.len() + gone.len() <= left { [there, gone].concat() } else { there };
        all.sort_unstable();
        all
    }

    /// Channels of manifests that were deleted before the one of the same name that the logs know; the logs may have
    /// lost the deletion itself. A channel with messages or keys stays nevertheless.
    fn superseded(
        &self,
        held: impl Fn(Uuid) -> Option<ChannelId>,
    ) -> impl Iterator<Item = (Uuid, ChannelId)> {
        self.names.iter().flat_map(move |(later, ChannelName { uid, namespace, name })| {
            let before = succession::deleted_before(namespace, name, *uid);
            let before = before.map(|uid| (uid, held(uid).unwrap_or(*later)));
            before.filter(|(_, id)| id == later || !self.holding_known.contains(id)).collect::<Vec<_>>()
        })
    }

    /// The orphans to create, by id. `is_known` has the ids of the address store, `is_taken` its UIDs,
    /// `is_deleted` its deleted UIDs.
    pub(crate) fn orphans(
        &self,
        is_known: impl Fn(ChannelId) -> bool,
        is_taken: impl Fn(Uuid) -> bool,
        is_deleted: impl Fn(Uuid) -> bool,
    ) -> Vec<Orphan> {
        let holding =
            self.holding.iter().copied().chain(self.to_come.iter().map(|(_, channel_id)| *channel_id));
        let mut made = HashMap::new();
        let is_lost = |channel_id: &ChannelId| {
            let name = self.names.get(channel_id);
            !is_known(*channel_id)
                && !self.closed.contains_key(channel_id)
                && !name.is_some_and(|name| is_deleted(name.uid))
        };
        let lost: BTreeSet<ChannelId> = holding.filter(is_lost).collect();
        lost.into_iter()
            .map(|channel_id| {
                let name = self
                    .names
                    .get(&channel_id)
                    .filter(|name| !is_taken(name.uid) && made.insert(name.uid, channel_id).is_none());
                orphan(channel_id, name)
            })
            .collect()
    }
}

/// The orphan for an id.
fn orphan(id: ChannelId, name: Option<&ChannelName>) -> Orphan {
    let named = name.and_then(|ChannelName { uid, namespace, name }| {
        let address = Address::new(namespace, name).ok()?;
        Some(ChannelConfig::new(*uid, namespace, name, address))
    });
    let is_named = named.is_some();
    let config = named.unwrap_or_else(|| {
        let name = format!("channel-{id}");
        let address = Address::new(LOST_NAMESPACE, &name).expect("such a name is an address");
        // The same UID at each inspection of the folder.
        let uid = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
        ChannelConfig::new(uid, LOST_NAMESPACE, &name, address)
    });
    Orphan { entry: ChannelEntry { id, config }, is_named }
}

/// The names of channels, as a text of limited length.
pub(crate) fn listed(orphans: &[Orphan]) -> String {
    let name =
        |Orphan { entry, .. }: &Orphan| format!("{} ({})", entry.config.qualified_name(), entry.config.uid);
    some_of(&orphans.iter().map(name).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::ParcelNumber;

    fn name(uid: u128, name: &str) -> ChannelName {
        ChannelName { uid: Uuid::from_u128(uid), namespace: "acme".into(), name: name.into() }
    }

    fn evidence(holding: &[u64]) -> ChannelEvidence {
        let mut evidence = ChannelEvidence {
            holding: holding.iter().copied().map(ChannelId).collect(),
            ..ChannelEvidence::default()
        };
        evidence.name(ChannelId(3), name(30, "three"));
        evidence.name(ChannelId(4), name(40, "four"));
        evidence.closed.insert(ChannelId(5), Uuid::from_u128(50));
        evidence
    }

    fn names(orphans: &[Orphan]) -> Vec<String> {
        orphans.iter().map(|orphan| orphan.entry.config.qualified_name()).collect()
    }

    #[test]
    fn records_without_a_channel_and_a_deletion_get_an_orphan_of_their_name() {
        let orphans =
            evidence(&[2, 3, 4, 5, 6]).orphans(|channel_id| channel_id == ChannelId(2), |_| false, |_| false);
        assert_eq!(names(&orphans), ["acme/three", "acme/four", "restante-lost/channel-0000000000000006"]);
        assert_eq!(orphans[0].entry.config.uid, Uuid::from_u128(30));
        assert_eq!(orphans.iter().map(|orphan| orphan.is_named).collect::<Vec<_>>(), [true, true, false]);
        assert!(listed(&orphans).contains("acme/four (00000000"));
    }

    #[test]
    fn a_deletion_in_the_address_store_counts() {
        let deleted = |uid: Uuid| uid == Uuid::from_u128(30);
        assert_eq!(names(&evidence(&[3, 4, 5]).orphans(|_| false, |_| false, deleted)), ["acme/four"]);
    }

    #[test]
    fn a_deletion_is_completed_for_an_existing_channel_and_remembered_while_there_is_room() {
        let mut evidence = evidence(&[]);
        evidence.closed.extend([
            (ChannelId(6), Uuid::from_u128(60)),
            (ChannelId(7), Uuid::from_u128(70)),
            (ChannelId(8), Uuid::from_u128(80)),
        ]);
        // 60 still exists, 70 has another id now, and 80 is known to be deleted.
        let held = |uid: Uuid| match uid.as_u128() {
            60 => Some(ChannelId(6)),
            70 => Some(ChannelId(9)),
            _ => None,
        };
        let unfinished = |left| {
            let channel_ids = evidence.unfinished(held, |uid| uid == Uuid::from_u128(80), left);
            channel_ids.into_iter().map(|(id, _)| id.0).collect::<Vec<_>>()
        };
        assert_eq!((unfinished(2), unfinished(1), unfinished(0)), (vec![5, 6], vec![6], vec![6]));
    }

    #[test]
    fn a_channel_of_a_manifest_was_deleted_if_a_log_has_the_next_of_its_name() {
        let [first, second, third] = [0, 1, 2].map(|deletions| {
            Uuid::from_u128(restante_crds::manifest::uid("acme", "orders").as_u128() + deletions)
        });
        let mut evidence = ChannelEvidence::default();
        evidence.name(ChannelId(6), name(third.as_u128(), "orders"));
        let unfinished = |evidence: &ChannelEvidence, channel_id| {
            evidence.unfinished(|uid| (uid == first).then_some(channel_id), |uid| uid == second, 100)
        };
        assert_eq!(unfinished(&evidence, ChannelId(2)), [(ChannelId(2), first)]);
        // A channel with messages is never deleted by inference.
        evidence.holding_known.insert(ChannelId(2));
        assert!(unfinished(&evidence, ChannelId(2)).is_empty());
        // UIDs of the operator, and UIDs of another name, imply nothing.
        let mut evidence = ChannelEvidence::default();
        evidence.name(ChannelId(6), name(third.as_u128(), "other"));
        evidence.name(ChannelId(8), name(80, "orders"));
        assert!(unfinished(&evidence, ChannelId(2)).is_empty());
        // Lost deletions may be remembered again, while there is room.
        evidence.name(ChannelId(6), name(third.as_u128(), "orders"));
        let lost = |left| evidence.unfinished(|_| None, |_| false, left);
        assert_eq!((lost(2).len(), lost(1).len()), (2, 0));
    }

    #[test]
    fn a_missing_empty_channel_gets_no_orphan_and_the_missing_target_of_a_parcel_gets_one() {
        let mut evidence = evidence(&[]);
        assert!(evidence.orphans(|_| false, |_| false, |_| false).is_empty());
        evidence
            .to_come
            .push((ParcelId { shard: 0, number: ParcelNumber { epoch: 1, count: 1 } }, ChannelId(4)));
        assert_eq!(names(&evidence.orphans(|_| false, |_| false, |_| false)), ["acme/four"]);
    }

    #[test]
    fn two_channels_never_share_a_uid() {
        let mut evidence = evidence(&[3, 4, 6]);
        evidence.name(ChannelId(6), name(40, "four"));
        let taken = |uid: Uuid| uid == Uuid::from_u128(30);
        let orphans = evidence.orphans(|_| false, taken, |_| false);
        assert_eq!(
            names(&orphans),
            ["restante-lost/channel-0000000000000003", "acme/four", "restante-lost/channel-0000000000000006"]
        );
    }

    #[test]
    fn a_made_up_name_never_replaces_a_real_one() {
        let lost = || ChannelName { namespace: LOST_NAMESPACE.into(), ..name(31, "channel-3") };
        let mut evidence = evidence(&[3]);
        evidence.name(ChannelId(3), lost());
        assert_eq!(evidence.names[&ChannelId(3)], name(30, "three"));
        let mut evidence = ChannelEvidence::default();
        evidence.name(ChannelId(3), lost());
        evidence.name(ChannelId(3), name(30, "three"));
        assert_eq!(evidence.names[&ChannelId(3)], name(30, "three"));
    }
}
