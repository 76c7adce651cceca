//! The desired channels of a broker: all channels that may be programmed there, are valid, and won their claims. Pure.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use restante_crds::{
    MessageChannel, compile,
    conflicts::{self, Claim, Conflict},
    dead_letters::{self, DeadLetterFault},
};
use restante_wire::{ChannelConfig, Revision};
use uuid::Uuid;

/// The set of channels that every pod of a broker should have.
#[derive(Debug, Default)]
pub struct Desired {
    /// The compiled specs, also of losing channels.
    compiled: HashMap<Uuid, Arc<ChannelConfig>>,
    /// The configurations for the pods: the same allocations as in `compiled`, except for dead-letter cycles.
    channels: HashMap<Uuid, Arc<ChannelConfig>>,
    revision: Revision,
    lost: HashMap<Uuid, Lost>,
    dead_letter_faults: HashMap<Uuid, DeadLetterFault>,
}

/// A channel that lost a conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The generation that lost.
    pub generation: i64,
    pub conflict: Conflict,
}

impl Desired {
    /// The channels, by UID.
    pub fn channels(&self) -> &HashMap<Uuid, Arc<ChannelConfig>> {
        &self.channels
    }

    /// The revision of a store with exactly these channels.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The channels that lost conflicts.
    pub fn lost(&self) -> &HashMap<Uuid, Lost> {
        &self.lost
    }

    /// The dead-letter faults of channels in the set.
    pub fn dead_letter_faults(&self) -> &HashMap<Uuid, DeadLetterFault> {
        &self.dead_letter_faults
    }

    /// Removes a channel that was deleted at the broker.
    pub fn remove(&mut self, uid: Uuid) {
        self.compiled.remove(&uid);
        if let Some(config) = self.channels.remove(&uid) {
            self.revision.remove(&config);
        }
    }

    /// Recomputes the set from the broker's channels, all of which have our finalizer. `excluded` are channels that
    /// were released or refused, even if the watch still contains them.
    pub fn update<'a>(
        &mut self,
        channels: impl IntoIterator<Item = &'a MessageChannel>,
        excluded: &HashSet<Uuid>,
    ) {
        let considered: Vec<_> = channels
            .into_iter()
            .filter_map(|channel| {
                // The reconcile of the channel reports a compile error.
                let config = self.compiled(channel)?;
                (!excluded.contains(&config.uid)).then_some((config, &channel.metadata.creation_timestamp))
            })
            .collect();
        let claims: Vec<_> = considered
            .iter()
            .map(|(config, created)| Claim { config, created: created.as_ref().map(|time| time.0) })
            .collect();
        let verdicts = conflicts::resolve(&claims);

        self.lost.clear();
        let mut winners = Vec::with_capacity(considered.len());
        for (claim, verdict) in claims.into_iter().zip(verdicts) {
            match verdict {
                Some(conflict) => {
                    let generation = claim.config.generation;
                    self.lost.insert(claim.config.uid, Lost { generation, conflict });
                }
                None => winners.push(claim),
            }
        }
        // A dead-letter channel must be in the set, which excludes losing channels.
        let faults = dead_letters::check(&winners).into_iter();
        self.dead_letter_faults = winners
            .iter()
            .zip(faults)
            .filter_map(|(claim, fault)| Some((claim.config.uid, fault?)))
            .collect();
        let winners: HashMap<Uuid, Arc<ChannelConfig>> = considered
            .iter()
            .filter(|(config, _)| !self.lost.contains_key(&config.uid))
            .map(|(config, _)| (config.uid, self.for_pods(config)))
            .collect();
        self.compiled = considered.into_iter().map(|(config, _)| (config.uid, config)).collect();
        for (uid, old) in &self.channels {
            if winners.get(uid).is_none_or(|new| !Arc::ptr_eq(new, old)) {
                self.revision.remove(old);
            }
        }
        for (uid, new) in &winners {
            if self.channels.get(uid).is_none_or(|old| !Arc::ptr_eq(new, old)) {
                self.revision.add(new);
            }
        }
        self.channels = winners;
    }

    /// The configuration of a channel in the set for the pods.
    fn for_pods(&self, config: &Arc<ChannelConfig>) -> Arc<ChannelConfig> {
        let fault = self.dead_letter_faults.get(&config.uid);
        match fault.and_then(|fault| fault.without_cycle(config)) {
            None => Arc::clone(config),
            Some(without_cycle) => {
                let before = self.channels.get(&config.uid).filter(|before| ***before == without_cycle);
                before.cloned().unwrap_or_else(|| Arc::new(without_cycle))
            }
        }
    }

    /// A channel's configuration: the known one if the generation is the same, because a new spec has a new generation.
    /// A deletion is a new generation too, but changes nothing for the broker unless the channel drains.
    fn compiled(&self, channel: &MessageChannel) -> Option<Arc<ChannelConfig>> {
        let uid: Uuid = channel.metadata.uid.as_deref()?.parse().ok()?;
        let known = self.compiled.get(&uid);
        if let Some(known) = known.filter(|known| Some(known.generation) == channel.metadata.generation) {
            return Some(Arc::clone(known));
        }
        let config = compile(channel).ok()?;
        match known.filter(|_| channel.metadata.deletion_timestamp.is_some()) {
            Some(known) if **known == (ChannelConfig { generation: known.generation, ..config.clone() }) => {
                Some(Arc::clone(known))
            }
            _ => Some(Arc::new(config)),
        }
    }
}

#[cfg(test)]
mod tests {
    use restante_crds::message_channel::{ChannelRef, DeletionPolicy};
    use serde_json::json;

    use super::*;

    fn channel(number: u128, name: &str, source: &str, generation: i64) -> MessageChannel {
        serde_json::from_value(json!({
            "apiVersion": "restante.dev/v1alpha1",
            "kind": "MessageChannel",
            "metadata": {
                "name": name,
                "namespace": "acme",
                "uid": Uuid::from_u128(number),
                "generation": generation,
                "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "spec": { "source": source, "access": { "anonymous": true } },
        }))
        .unwrap()
    }

    fn update(desired: &mut Desired, channels: &[MessageChannel], excluded: &[u128]) {
        desired.update(channels, &excluded.iter().map(|uid| Uuid::from_u128(*uid)).collect());
        // After any history, the revision equals the revision of the set.
        assert_eq!(desired.revision(), Revision::of(desired.channels().values().map(Arc::as_ref)));
    }

    #[test]
    fn the_winner_is_in_the_set_and_the_loser_has_the_conflict() {
        let mut desired = Desired::default();
        update(&mut desired, &[channel(1, "one", "x", 1), channel(2, "two", "x", 4)], &[]);
        assert_eq!(desired.channels().keys().collect::<Vec<_>>(), [&Uuid::from_u128(1)]);
        let lost = &desired.lost()[&Uuid::from_u128(2)];
        assert_eq!((lost.generation, lost.conflict.winner.as_str()), (4, "acme/one"));
    }

    #[test]
    fn a_losing_channel_wins_once_the_winner_is_gone() {
        let mut desired = Desired::default();
        let both = [channel(1, "one", "x", 1), channel(2, "two", "x", 1)];
        update(&mut desired, &both, &[]);
        update(&mut desired, &both, &[1]);
        assert_eq!(desired.channels().keys().collect::<Vec<_>>(), [&Uuid::from_u128(2)]);
        assert!(desired.lost().is_empty());
    }

    #[test]
    fn a_new_generation_changes_the_revision_and_the_same_one_does_not() {
        let mut desired = Desired::default();
        update(&mut desired, &[channel(1, "one", "x", 1)], &[]);
        let (revision, config) = (desired.revision(), Arc::clone(&desired.channels()[&Uuid::from_u128(1)]));
        update(&mut desired, &[channel(1, "one", "x", 1)], &[]);
        assert!(Arc::ptr_eq(&config, &desired.channels()[&Uuid::from_u128(1)]));
        update(&mut desired, &[channel(1, "one", "y", 2)], &[]);
        assert_ne!(desired.revision(), revision);
        desired.remove(Uuid::from_u128(1));
        assert_eq!(desired.revision(), Revision::default());
    }

    #[test]
    fn a_deletion_does_not_change_the_revision_but_an_edit_does() {
        let mut desired = Desired::default();
        update(&mut desired, &[channel(1, "one", "x", 1)], &[]);
        let revision = desired.revision();
        let mut deleted = channel(1, "one", "x", 2);
        deleted.metadata.deletion_timestamp = deleted.metadata.creation_timestamp.clone();
        update(&mut desired, &[deleted.clone()], &[]);
        assert_eq!(desired.revision(), revision);
        deleted.spec.source = Some("y".into());
        update(&mut desired, &[deleted], &[]);
        assert_ne!(desired.revision(), revision);
    }

    #[test]
    fn deletion_policy_drain_closes_a_deleted_channel_and_block_opens_it_again() {
        let mut desired = Desired::default();
        let closing = |desired: &Desired| desired.channels()[&Uuid::from_u128(1)].closing;
        let mut drained = channel(1, "one", "x", 1);
        drained.spec.deletion_policy = DeletionPolicy::Drain;
        update(&mut desired, &[drained.clone()], &[]);
        assert!(!closing(&desired));
        drained.metadata.deletion_timestamp = drained.metadata.creation_timestamp.clone();
        drained.metadata.generation = Some(2);
        update(&mut desired, &[drained.clone()], &[]);
        assert!(closing(&desired));
        drained.spec.deletion_policy = DeletionPolicy::Block;
        drained.metadata.generation = Some(3);
        update(&mut desired, &[drained], &[]);
        assert!(!closing(&desired));
    }

    /// A channel with the dead-letter channel `to`. A smaller number is an older channel.
    fn sending(number: u128, name: &str, to: &str, generation: i64) -> MessageChannel {
        let mut channel = channel(number, name, name, generation);
        channel.spec.dead_letter.channel_ref = (!to.is_empty()).then(|| ChannelRef { name: to.into() });
        channel
    }

    fn reason(desired: &Desired, number: u128) -> Option<&'static str> {
        desired.dead_letter_faults().get(&Uuid::from_u128(number)).map(DeadLetterFault::reason)
    }

    #[test]
    fn a_missing_dead_letter_channel_does_not_change_the_set() {
        let mut desired = Desired::default();
        let both = [sending(1, "orders", "dead", 1), sending(2, "dead", "", 1)];
        update(&mut desired, &both, &[]);
        let config = Arc::clone(&desired.channels()[&Uuid::from_u128(1)]);
        assert_eq!(reason(&desired, 1), None);
        // The dead-letter channel is released. The broker sees that itself, so nothing is sent.
        update(&mut desired, &both, &[2]);
        assert_eq!(reason(&desired, 1), Some("DeadLetterNotFound"));
        assert!(Arc::ptr_eq(&config, &desired.channels()[&Uuid::from_u128(1)]));
        update(&mut desired, &both, &[]);
        assert_eq!(reason(&desired, 1), None);
    }

    #[test]
    fn a_losing_channel_takes_no_dead_letters() {
        let mut desired = Desired::default();
        let mut loser = sending(3, "dead", "", 1);
        loser.spec.source = Some("orders".into());
        update(&mut desired, &[sending(1, "orders", "dead", 1), loser], &[]);
        assert_eq!(reason(&desired, 1), Some("DeadLetterNotFound"));
    }

    #[test]
    fn no_pod_gets_a_dead_letter_cycle_and_the_ref_applies_once_there_is_none() {
        let mut desired = Desired::default();
        let target = |desired: &Desired| desired.channels()[&Uuid::from_u128(2)].dead_letter.channel.clone();
        let cycle = [sending(1, "a", "b", 1), sending(2, "b", "a", 1)];
        update(&mut desired, &cycle, &[]);
        assert_eq!((reason(&desired, 1), reason(&desired, 2)), (None, Some("DeadLetterCycle")));
        assert_eq!(target(&desired), None);
        // A second update keeps the allocation: nothing is sent.
        let sent = Arc::clone(&desired.channels()[&Uuid::from_u128(2)]);
        update(&mut desired, &cycle, &[]);
        assert!(Arc::ptr_eq(&sent, &desired.channels()[&Uuid::from_u128(2)]));
        // An edit of the other channel ends the cycle, and the unchanged spec of this one applies.
        update(&mut desired, &[sending(1, "a", "", 2), sending(2, "b", "a", 1)], &[]);
        assert_eq!(reason(&desired, 2), None);
        assert_eq!(target(&desired).as_deref(), Some("a"));
    }
}
