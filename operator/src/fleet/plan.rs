//! Plans the next step of programming a pod. Pure.

use std::{collections::HashMap, sync::Arc};

use restante_wire::{ChannelConfig, control::StoreState};
use uuid::Uuid;

use super::desired::Desired;

/// The limit of channels that are sent one by one. More are sent as a complete set, which costs the broker one flush.
pub const PUTS_MAX: usize = 32;

/// The assumed state of a pod's address store.
#[derive(Debug, Default)]
pub struct PodState {
    /// The pod's last answer; absent if it has not been asked since its start.
    pub store: Option<StoreState>,
    /// The channels that we sent to it, or that it has according to its revision. Absent if unknown.
    pub channels: Option<HashMap<Uuid, Arc<ChannelConfig>>>,
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
    /// Records the pod's answer. If its revision is the desired one, it has all channels.
    pub fn update(&mut self, store: StoreState, desired: &Desired) {
        if store.synced_at.is_some() && store.revision == desired.revision() {
            self.channels = Some(desired.channels().clone());
        }
        self.store = Some(store);
    }

    /// Whether the pod has exactly this configuration.
    pub fn has(&self, config: &Arc<ChannelConfig>) -> bool {
        let known = self.channels.as_ref().and_then(|channels| channels.get(&config.uid));
        known.is_some_and(|known| Arc::ptr_eq(known, config))
    }

    pub fn next(&self, desired: &Desired) -> Step {
        let Some(store) = &self.store else {
            return Step::Ask;
        };
        if store.synced_at.is_none() {
            return Step::Sync;
        }
        let Some(known) = &self.channels else {
            return Step::Sync;
        };
        // A channel that leaves the set without a deletion becomes an orphan. Only a complete set expresses that.
        if known.keys().any(|uid| !desired.channels().contains_key(uid)) {
            return Step::Sync;
        }
        let changed = || desired.channels().values().filter(|config| !self.has(config));
        match changed().take(PUTS_MAX + 1).count() {
            // All channels were sent, but the revision differs: another process wrote to the store.
            0 if store.revision != desired.revision() => Step::Sync,
            0 => Step::Nothing,
            count if count > PUTS_MAX => Step::Sync,
            _ => Step::Put(changed().cloned().collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use restante_crds::MessageChannel;
    use restante_wire::Revision;
    use serde_json::json;

    use super::*;

    fn desired(numbers: std::ops::Range<u128>) -> Desired {
        let channels: Vec<MessageChannel> = numbers
            .map(|number| {
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
            })
            .collect();
        let mut desired = Desired::default();
        desired.update(&channels, &HashSet::new());
        desired
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
        let mut known = PodState::default();
        known.update(store(desired.revision(), true), &desired);
        assert_eq!(known.next(&desired), Step::Nothing);
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
        let known_to = |before: &Desired| {
            let mut known = PodState::default();
            known.update(store(before.revision(), true), before);
            known
        };
        let before = desired(0..1);
        let Step::Put(puts) = known_to(&before).next(&desired(0..3)) else { panic!("no puts") };
        // The first one is a new allocation, so it is sent again too. That has no effect.
        assert_eq!(puts.len(), 3);
        assert_eq!(known_to(&before).next(&desired(0..100)), Step::Sync);
    }

    #[test]
    fn a_channel_that_lost_its_claim_is_removed_by_a_whole_set() {
        let before = desired(0..2);
        let mut known = PodState::default();
        known.update(store(before.revision(), true), &before);
        assert_eq!(known.next(&desired(0..1)), Step::Sync);
    }
}
