//! Plans the next step of programming a pod. Pure.
//!
//! The state of a pod is its differences from the desired set, so the cost of a plan does not depend on the number of
//! channels.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use restante_wire::{ChannelConfig, Revision, control::StoreState};
use uuid::Uuid;

use super::desired::{Change, Desired};

/// The limit of channels that are sent one by one. More are sent as a complete set, which costs the broker one flush.
pub const PUTS_MAX: usize = 32;

/// For each channel that differs from the desired set: the configuration that the pod has.
type Differences = HashMap<Uuid, Option<Arc<ChannelConfig>>>;

/// The assumed state of a pod's address store.
#[derive(Debug, Default)]
pub struct PodState {
    /// The pod's last answer; absent if it has not been asked since its start.
    pub store: Option<StoreState>,
    /// How the pod differs from the desired set, by what we sent to it, or by its revision. Absent if unknown.
    differences: Option<Differences>,
    /// How the complete set that is on its way differs from the desired set by now.
    sent: Option<Differences>,
    /// Channels of the desired set that were deleted at the pod. It refuses their UIDs for ever.
    deleted: HashSet<Uuid>,
}

/// The next step for a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The pod has the desired channels.
    Nothing,
    /// Read the revision.
    Ask,
    /// Send the complete set.
    Sync,
    /// Send these channels.
    Put(Vec<Arc<ChannelConfig>>),
}

impl PodState {
    /// Records a change of the desired set.
    pub fn desired_changed(&mut self, change: &Change) {
        let Change { uid, before, after } = change;
        for differences in [&mut self.differences, &mut self.sent].into_iter().flatten() {
            match differences.entry(*uid) {
                Entry::Occupied(has) if is_same(has.get(), after) => {
                    has.remove();
                }
                Entry::Vacant(place) if !is_same(before, after) => {
                    place.insert(before.clone());
                }
                Entry::Occupied(_) | Entry::Vacant(_) => {}
            }
        }
        if after.is_none() {
            self.deleted.remove(uid);
        }
    }

    /// Records the pod's answer. If its revision is the desired one, it has all channels. Returns whether it is.
    pub fn update(&mut self, store: StoreState, desired: &Desired) -> bool {
        let is_desired = store.synced_at.is_some() && store.revision == self.desired_revision(desired);
        if is_desired {
            self.differences = Some(self.without_deleted());
        }
        self.store = Some(store);
        is_desired
    }

    /// The channels of a complete set for the pod. `end_sync` must follow.
    pub fn begin_sync(&mut self, desired: &Desired) -> Vec<Arc<ChannelConfig>> {
        self.sent = Some(self.without_deleted());
        let channels = desired.channels().values().filter(|config| !self.deleted.contains(&config.uid));
        channels.cloned().collect()
    }

    /// Records the answer to a complete set. Without an answer, the assumed state does not change.
    pub fn end_sync(&mut self, answer: Option<StoreState>) {
        let sent = self.sent.take();
        if let Some(store) = answer {
            self.differences = sent;
            self.store = Some(store);
        }
    }

    /// Records that the pod accepted one channel.
    pub fn accepted(&mut self, config: Arc<ChannelConfig>, store: StoreState, desired: &Desired) {
        let differences = self.differences.get_or_insert_default();
        match desired.channels().get(&config.uid) {
            Some(wanted) if Arc::ptr_eq(wanted, &config) => differences.remove(&config.uid),
            _ => differences.insert(config.uid, Some(config)),
        };
        self.store = Some(store);
    }

    /// Records that the pod deleted a channel.
    pub fn deleted(&mut self, uid: Uuid, store: StoreState, desired: &Desired) {
        if let Some(differences) = &mut self.differences {
            if desired.channels().contains_key(&uid) {
                differences.insert(uid, None);
            } else {
                differences.remove(&uid);
            }
        }
        if desired.channels().contains_key(&uid) {
            self.deleted.insert(uid);
        }
        self.store = Some(store);
    }

    /// Forgets which channels the pod has, so that it gets the complete set.
    pub fn forget_channels(&mut self) {
        self.differences = None;
    }

    /// Whether the pod has exactly the desired configuration of a channel of the set.
    pub fn has(&self, uid: Uuid) -> bool {
        self.differences.as_ref().is_some_and(|differences| !differences.contains_key(&uid))
    }

    pub fn next(&self, desired: &Desired) -> Step {
        let Some(store) = &self.store else {
            return Step::Ask;
        };
        if store.synced_at.is_none() {
            return Step::Sync;
        }
        let Some(differences) = &self.differences else {
            return Step::Sync;
        };
        let mut puts = Vec::new();
        for uid in differences.keys().filter(|uid| !self.deleted.contains(uid)) {
            match desired.channels().get(uid) {
                Some(config) if puts.len() < PUTS_MAX => puts.push(Arc::clone(config)),
                // Too many, or a channel that left the set without a deletion. It becomes an orphan, and only a complete
                // set expresses that.
                Some(_) | None => return Step::Sync,
            }
        }
        match puts.len() {
            // All channels were sent, but the revision differs: another process wrote to the store.
            0 if store.revision != self.desired_revision(desired) => Step::Sync,
            0 => Step::Nothing,
            _ => Step::Put(puts),
        }
    }

    /// The revision of the desired set without the channels that were deleted at the pod.
    fn desired_revision(&self, desired: &Desired) -> Revision {
        let mut revision = desired.revision();
        let deleted = self.deleted.iter().filter_map(|uid| desired.channels().get(uid));
        deleted.for_each(|config| revision.remove(config));
        revision
    }

    fn without_deleted(&self) -> Differences {
        self.deleted.iter().map(|uid| (*uid, None)).collect()
    }
}

fn is_same(one: &Option<Arc<ChannelConfig>>, other: &Option<Arc<ChannelConfig>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use restante_crds::MessageChannel;
    use serde_json::json;

    use super::*;

    fn channel(number: u128) -> MessageChannel {
        serde_json::from_value(json!({
            "apiVersion": "restante.dev/v1alpha1",
            "kind": "MessageChannel",
            "metadata": {
                "name": format!("c{number}"),
                "namespace": "acme",
                "uid": Uuid::from_u128(number),
                "generation": 1,
            },
            "spec": { "access": { "anonymous": true } },
        }))
        .unwrap()
    }

    fn desired(numbers: std::ops::Range<u128>) -> Desired {
        let mut desired = Desired::default();
        numbers.for_each(|number| desired.set(&channel(number)));
        desired.update();
        desired
    }

    /// A pod that has the desired channels.
    fn in_line(desired: &Desired) -> PodState {
        let mut known = PodState::default();
        known.update(store(desired.revision(), true), desired);
        known
    }

    /// Changes the desired set, and notifies the pod.
    fn change(desired: &mut Desired, known: &mut PodState, edit: impl FnOnce(&mut Desired)) {
        edit(desired);
        desired.update().iter().for_each(|change| known.desired_changed(change));
    }

    fn store(revision: Revision, synced: bool) -> StoreState {
        StoreState {
            store_id: Uuid::nil(),
            revision,
            synced_at: synced.then(|| "2026-01-01T00:00:00Z".into()),
            channels: 0,
            orphans: 0,
        }
    }

    #[test]
    fn a_pod_that_just_started_is_asked_first() {
        assert_eq!(PodState::default().next(&desired(0..1)), Step::Ask);
    }

    #[test]
    fn a_pod_in_line_gets_nothing() {
        let desired = desired(0..3);
        assert_eq!(in_line(&desired).next(&desired), Step::Nothing);
    }

    #[test]
    fn a_store_that_was_never_synced_gets_the_whole_set_even_if_it_is_empty() {
        let desired = desired(0..0);
        let mut known = PodState::default();
        known.update(store(desired.revision(), false), &desired);
        assert_eq!(known.next(&desired), Step::Sync);
    }

    #[test]
    fn a_store_at_another_revision_gets_the_whole_set() {
        let desired = desired(0..3);
        let mut known = PodState::default();
        known.update(store(Revision::default(), true), &desired);
        assert_eq!(known.next(&desired), Step::Sync);
        known.update(store(desired.revision(), true), &desired);
        known.update(store(Revision::default(), true), &desired);
        assert_eq!(known.next(&desired), Step::Sync);
    }

    #[test]
    fn few_changes_are_sent_one_by_one_and_many_as_a_set() {
        let add = |desired: &mut Desired, numbers: std::ops::Range<u128>| {
            numbers.for_each(|number| desired.set(&channel(number)));
        };
        let mut desired = desired(0..1);
        let mut known = in_line(&desired);
        change(&mut desired, &mut known, |desired| add(desired, 1..33));
        let Step::Put(puts) = known.next(&desired) else { panic!("no puts") };
        assert_eq!(puts.len(), PUTS_MAX);
        assert!(puts.iter().all(|config| !known.has(config.uid)) && known.has(Uuid::from_u128(0)));
        change(&mut desired, &mut known, |desired| add(desired, 33..34));
        assert_eq!(known.next(&desired), Step::Sync);
    }

    #[test]
    fn a_channel_that_the_pod_accepted_is_not_sent_again() {
        let mut desired = desired(0..1);
        let mut known = in_line(&desired);
        change(&mut desired, &mut known, |desired| desired.set(&channel(1)));
        let Step::Put(puts) = known.next(&desired) else { panic!("no puts") };
        // The channel changes while it is on its way.
        change(&mut desired, &mut known, |desired| {
            let mut edited = channel(1);
            edited.metadata.generation = Some(2);
            desired.set(&edited);
        });
        known.accepted(Arc::clone(&puts[0]), store(desired.revision(), true), &desired);
        let Step::Put(again) = known.next(&desired) else { panic!("no puts") };
        assert_eq!(again[0].generation, 2);
        known.accepted(Arc::clone(&again[0]), store(desired.revision(), true), &desired);
        assert_eq!(known.next(&desired), Step::Nothing);
        assert!(known.has(Uuid::from_u128(1)));
    }

    #[test]
    fn a_channel_that_lost_its_claim_is_removed_by_a_whole_set() {
        let mut desired = desired(0..2);
        let mut known = in_line(&desired);
        change(&mut desired, &mut known, |desired| desired.remove(Uuid::from_u128(1)));
        assert_eq!(known.next(&desired), Step::Sync);
    }

    #[test]
    fn a_change_during_a_sync_is_sent_after_it() {
        let mut desired = desired(0..2);
        let mut known = PodState { store: Some(store(Revision::default(), true)), ..PodState::default() };
        assert_eq!(known.begin_sync(&desired).len(), 2);
        change(&mut desired, &mut known, |desired| desired.set(&channel(2)));
        assert_eq!(known.next(&desired), Step::Sync);
        known.end_sync(Some(store(desired.revision(), true)));
        let Step::Put(puts) = known.next(&desired) else { panic!("no puts") };
        assert_eq!(puts.iter().map(|config| config.uid.as_u128()).collect::<Vec<_>>(), [2]);
        // A sync without an answer changes nothing.
        known.begin_sync(&desired);
        known.end_sync(None);
        assert_eq!(known.next(&desired), Step::Put(puts));
    }

    #[test]
    fn a_channel_deleted_at_the_pod_is_never_sent_to_it_again() {
        let mut both = desired(0..2);
        let mut known = in_line(&both);
        known.deleted(Uuid::from_u128(1), store(desired(0..1).revision(), true), &both);
        assert_eq!(known.next(&both), Step::Nothing);
        assert_eq!(known.begin_sync(&both).len(), 1);
        known.end_sync(Some(store(desired(0..1).revision(), true)));
        assert_eq!(known.next(&both), Step::Nothing);
        change(&mut both, &mut known, |desired| desired.remove(Uuid::from_u128(1)));
        assert_eq!(known.next(&both), Step::Nothing);
        assert!(known.deleted.is_empty());
    }
}
