//! The desired channels of a broker: all channels that may be programmed there, are valid, and won their claims. The
//! cost of a change does not depend on the number of channels. Pure.

mod claims;
mod dead_letters;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

use restante_crds::{MessageChannel, compile, dead_letters::DeadLetterFault};
use restante_wire::{ChannelConfig, Revision};
use uuid::Uuid;

pub use self::claims::Lost;
use self::{claims::Claims, dead_letters::DeadLetters};

/// The set of channels that every pod of a broker should have.
#[derive(Debug, Default)]
pub struct Desired {
    /// The compiled specs, also of losing channels.
    claims: Claims,
    dead_letters: DeadLetters,
    /// The configurations for the pods: the same allocations as in `claims`, except for dead-letter cycles.
    channels: HashMap<Uuid, Arc<ChannelConfig>>,
    revision: Revision,
}

/// A channel that an update concerns: its configuration for the pods, its conflict or its dead-letter fault may have
/// changed.
#[derive(Debug, Clone)]
pub struct Change {
    pub uid: Uuid,
    /// The configuration for the pods before the update.
    pub before: Option<Arc<ChannelConfig>>,
    /// The configuration for the pods now: the same allocation as before if it did not change.
    pub after: Option<Arc<ChannelConfig>>,
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
        self.claims.lost()
    }

    /// The dead-letter faults of channels in the set.
    pub fn dead_letter_faults(&self) -> &HashMap<Uuid, DeadLetterFault> {
        self.dead_letters.faults()
    }

    /// The configuration of a channel that claims its addresses, also of a losing one.
    pub fn claimed(&self, uid: Uuid) -> Option<&Arc<ChannelConfig>> {
        self.claims.config(uid)
    }

    /// The channels that claim their addresses, also the losing ones.
    pub fn claimants(&self) -> impl Iterator<Item = Uuid> {
        self.claims.uids()
    }

    /// Adds or changes a channel that has our finalizer. Takes effect with the next `update`.
    pub fn set(&mut self, channel: &MessageChannel) {
        let Some(uid) = channel.metadata.uid.as_deref().and_then(|uid| uid.parse().ok()) else { return };
        let created = channel.metadata.creation_timestamp.as_ref().map(|time| time.0);
        match self.compiled(uid, channel) {
            Some(Compiled::Known) => {}
            Some(Compiled::New(config)) => self.claims.set(config, created),
            // The reconcile of the channel reports a compile error.
            None => self.claims.remove(uid),
        }
    }

    /// Removes a channel. Takes effect with the next `update`.
    pub fn remove(&mut self, uid: Uuid) {
        self.claims.remove(uid);
    }

    /// Updates the set after changes of channels, and returns the channels that the changes concern.
    pub fn update(&mut self) -> Vec<Change> {
        let touched = self.claims.decide();
        if touched.is_empty() {
            return Vec::new();
        }
        let mut concerned = self.dead_letters.update(&self.claims, &touched);
        concerned.extend(touched.iter().map(|one| one.uid));
        let changes = concerned.into_iter().map(|uid| {
            let after = self.claims.winner_config(uid).map(|config| self.for_pods(config));
            let before = match &after {
                Some(after) => self.channels.insert(uid, Arc::clone(after)),
                None => self.channels.remove(&uid),
            };
            let change = Change { uid, before, after };
            if change.is_of_the_set() {
                change.before.iter().for_each(|before| self.revision.remove(before));
                change.after.iter().for_each(|after| self.revision.add(after));
            }
            change
        });
        changes.collect()
    }

    /// The configuration of a channel in the set for the pods.
    fn for_pods(&self, config: &Arc<ChannelConfig>) -> Arc<ChannelConfig> {
        let fault = self.dead_letter_faults().get(&config.uid);
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
    fn compiled(&self, uid: Uuid, channel: &MessageChannel) -> Option<Compiled> {
        let known = self.claims.config(uid);
        if known.is_some_and(|known| Some(known.generation) == channel.metadata.generation) {
            return Some(Compiled::Known);
        }
        let config = compile(channel).ok()?;
        match known.filter(|_| channel.metadata.deletion_timestamp.is_some()) {
            Some(known) if **known == (ChannelConfig { generation: known.generation, ..config.clone() }) => {
                Some(Compiled::Known)
            }
            _ => Some(Compiled::New(Arc::new(config))),
        }
    }
}

/// The configuration of a channel, compared with the known one.
enum Compiled {
    Known,
    New(Arc<ChannelConfig>),
}

impl Change {
    /// Whether the set itself changed.
    pub fn is_of_the_set(&self) -> bool {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => !Arc::ptr_eq(before, after),
            (before, after) => before.is_some() || after.is_some(),
        }
    }
}
