//! Which channels a broker should have: of those that may be there, the ones that are valid and won their claims. Pure.

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

/// The set of channels that every pod of a broker should hold.
#[derive(Debug, Default)]
pub struct Desired {
    /// What the specs say, of losers too.
    compiled: HashMap<Uuid, Arc<ChannelConfig>>,
    /// What the pods are told: the same allocation, unless dead letters would go in a circle.
    channels: HashMap<Uuid, Arc<ChannelConfig>>,
    revision: Revision,
    lost: HashMap<Uuid, Lost>,
    dead_letter_faults: HashMap<Uuid, DeadLetterFault>,
}

/// A channel that lost to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The generation that lost.
    pub generation: i64,
    /// To whom, and why.
    pub conflict: Conflict,
}

impl Desired {
    /// The channels, by UID.
    pub fn channels(&self) -> &HashMap<Uuid, Arc<ChannelConfig>> {
        &self.channels
    }

    /// The revision of a store that holds exactly these.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The channels that lost to others.
    pub fn lost(&self) -> &HashMap<Uuid, Lost> {
        &self.lost
    }

    /// Why dead letters of channels that are in the set do not go where the spec says.
    pub fn dead_letter_faults(&self) -> &HashMap<Uuid, DeadLetterFault> {
        &self.dead_letter_faults
    }

    /// Takes a channel out, as it was deleted at the broker.
    pub fn remove(&mut self, uid: Uuid) {
        self.compiled.remove(&uid);
        if let Some(config) = self.channels.remove(&uid) {
            self.revision.remove(&config);
        }
    }

    /// Judges the channels of the broker anew, all of which hold our finalizer. `excluded` are those that were let go, whatever the API server's watch
    /// still says of them.
    pub fn update<'a>(
        &mut self,
        channels: impl IntoIterator<Item = &'a MessageChannel>,
        excluded: &HashSet<Uuid>,
    ) {
        let considered: Vec<_> = channels
            .into_iter()
            .filter_map(|channel| {
                // What does not compile is told by the reconcile of the channel.
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
        // Who takes dead letters must be in the set: a loser is not.
        let faults = dead_letters::check(&winners).into_iter();
        self.dead_letter_faults = winners
            .iter()
            .zip(faults)
            .filter_map(|(claim, fault)| Some((claim.config.uid, fault?)))
            .collect();
        let winners: HashMap<Uuid, Arc<ChannelConfig>> = considered
            .iter()
            .filter(|(config, _)| !self.lost.contains_key(&config.uid))
            .map(|(config, _)| (config.uid, self.told(config)))
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

    /// What the pods are told of a channel in the set.
    fn told(&self, config: &Arc<ChannelConfig>) -> Arc<ChannelConfig> {
        let fault = self.dead_letter_faults.get(&config.uid);
        match fault.and_then(|fault| fault.without_cycle(config)) {
            None => Arc::clone(config),
            Some(without_cycle) => {
                let before = self.channels.get(&config.uid).filter(|before| ***before == without_cycle);
                before.cloned().unwrap_or_else(|| Arc::new(without_cycle))
            }
        }
    }

    /// A channel's configuration: the one that we have if the generation is the same, since only a new spec makes a new
    /// generation. A deletion makes one too, and changes nothing for the broker unless the channel is to drain.
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
        // Whatever happened before, the revision is that of the set.
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

    /// A channel whose dead letters go to another; the smaller number is the older one.
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
        // The other one is let go: the broker sees that it is gone, and need not be told again.
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
        let circle = [sending(1, "a", "b", 1), sending(2, "b", "a", 1)];
        update(&mut desired, &circle, &[]);
        assert_eq!((reason(&desired, 1), reason(&desired, 2)), (None, Some("DeadLetterCycle")));
        assert_eq!(target(&desired), None);
        // Looked at again, it is the same allocation: nothing is sent.
        let told = Arc::clone(&desired.channels()[&Uuid::from_u128(2)]);
        update(&mut desired, &circle, &[]);
        assert!(Arc::ptr_eq(&told, &desired.channels()[&Uuid::from_u128(2)]));
        // The other one is edited, and this one, whose generation is the same, is obeyed.
        update(&mut desired, &[sending(1, "a", "", 2), sending(2, "b", "a", 1)], &[]);
        assert_eq!(reason(&desired, 2), None);
        assert_eq!(target(&desired).as_deref(), Some("a"));
    }
}
