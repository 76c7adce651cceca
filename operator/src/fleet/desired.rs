//! Which channels a broker should have: those that are valid, hold our finalizer and won their claims. Pure.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use restante_crds::{
    MessageChannel, compile,
    conflicts::{Claim, Conflict, judge},
};
use restante_wire::{ChannelConfig, Revision};
use uuid::Uuid;

use crate::finalizer;

/// The set of channels that every pod of a broker should hold.
#[derive(Debug, Default)]
pub struct Desired {
    channels: HashMap<Uuid, Arc<ChannelConfig>>,
    revision: Revision,
    lost: HashMap<Uuid, Lost>,
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

    /// Takes a channel out, as it was deleted at the broker.
    pub fn remove(&mut self, uid: Uuid) {
        if let Some(config) = self.channels.remove(&uid) {
            self.revision.remove(&config);
        }
    }

    /// Judges the channels of the broker anew. `excluded` are those that were let go, whatever the API server's watch
    /// still says of them.
    pub fn update<'a>(
        &mut self,
        channels: impl IntoIterator<Item = &'a MessageChannel>,
        excluded: &HashSet<Uuid>,
    ) {
        let considered: Vec<_> = channels
            .into_iter()
            .filter(|channel| finalizer::is_on(&channel.metadata))
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
        let verdicts = judge(&claims);

        self.lost.clear();
        let mut winners = HashMap::with_capacity(considered.len());
        for ((config, _), verdict) in considered.into_iter().zip(verdicts) {
            match verdict {
                Some(conflict) => {
                    self.lost.insert(config.uid, Lost { generation: config.generation, conflict });
                }
                None => {
                    winners.insert(config.uid, config);
                }
            }
        }
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

    /// A channel's configuration: the one that we have if the generation is the same, since only a new spec makes a new
    /// generation. A deletion makes one too, and changes nothing for the broker.
    fn compiled(&self, channel: &MessageChannel) -> Option<Arc<ChannelConfig>> {
        let uid: Uuid = channel.metadata.uid.as_deref()?.parse().ok()?;
        let known = self.channels.get(&uid);
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
                "finalizers": [restante_crds::FINALIZER],
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
    fn the_winner_is_in_the_set_and_the_loser_knows_why() {
        let mut desired = Desired::default();
        update(&mut desired, &[channel(1, "one", "x", 1), channel(2, "two", "x", 4)], &[]);
        assert_eq!(desired.channels().keys().collect::<Vec<_>>(), [&Uuid::from_u128(1)]);
        let lost = &desired.lost()[&Uuid::from_u128(2)];
        assert_eq!((lost.generation, lost.conflict.winner.as_str()), (4, "acme/one"));
    }

    #[test]
    fn the_loser_takes_the_place_of_a_winner_that_goes() {
        let mut desired = Desired::default();
        let both = [channel(1, "one", "x", 1), channel(2, "two", "x", 1)];
        update(&mut desired, &both, &[]);
        update(&mut desired, &both, &[1]);
        assert_eq!(desired.channels().keys().collect::<Vec<_>>(), [&Uuid::from_u128(2)]);
        assert!(desired.lost().is_empty());
    }

    #[test]
    fn a_new_generation_changes_the_revision_and_the_same_one_nothing() {
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
    fn a_deletion_changes_nothing_for_the_broker_but_an_edit_does() {
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
    fn a_channel_without_our_finalizer_is_not_programmed() {
        let mut without = channel(1, "one", "x", 1);
        without.metadata.finalizers = None;
        let mut desired = Desired::default();
        update(&mut desired, &[without], &[]);
        assert!(desired.channels().is_empty());
    }
}
