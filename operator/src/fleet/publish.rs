//! Publishes the outcome of each channel of a broker, and the state of its pods' stores.

use std::collections::HashSet;

use uuid::Uuid;

use super::{
    actor::Actor,
    desired::Desired,
    member::{View, lock},
    outcome::{Outcome, Pending, State},
    pod::Pod,
};

impl Actor {
    /// Reads which channels the pods got, and what failed.
    pub(super) fn read_news(&mut self) {
        // A channel that left the set and returned may be at the pods already.
        let mut got = self.touched.clone();
        let mut has_set = false;
        for pod in self.pods.values() {
            let news = pod.link().take_news();
            got.extend(news.accepted);
            has_set |= news.has_set;
        }
        if has_set {
            self.acknowledge_all();
        } else {
            self.acknowledge(got);
        }
        let pending = self.pending();
        if pending != self.pending {
            self.pending = pending;
            self.touched.extend(&self.unacknowledged);
        }
    }

    pub(super) fn acknowledge_all(&mut self) {
        self.acknowledge(self.unacknowledged.clone());
    }

    /// Records those of the channels that all pods have.
    fn acknowledge(&mut self, channels: HashSet<Uuid>) {
        if self.pods.is_empty() {
            return;
        }
        let links: Vec<_> = self.pods.values().map(Pod::link).collect();
        for uid in channels {
            if self.unacknowledged.contains(&uid) && links.iter().all(|link| link.known.has(uid)) {
                self.unacknowledged.remove(&uid);
                self.touched.insert(uid);
                let is_counted = lock(&self.broker.member.backlogs).contains_key(&uid)
                    || self.broker.member.presence.backlog_is_unknown(uid);
                if !is_counted {
                    self.counting.add(uid);
                }
            }
        }
    }

    /// Publishes the outcome of these channels, and returns the channels with a new outcome. The counts of a new channel
    /// come first, so that one status write contains both outcome and backlog.
    pub(super) fn publish_outcomes(&self, channels: HashSet<Uuid>) -> HashSet<Uuid> {
        let desired = lock(&self.broker.desired);
        let mut outcomes = lock(&self.broker.member.outcomes);
        let mut news = channels;
        news.retain(|uid| {
            if self.counting.is_coming(*uid) {
                return false;
            }
            match self.outcome(&desired, *uid) {
                Some(outcome) if outcomes.get(uid) == Some(&outcome) => false,
                Some(outcome) => {
                    outcomes.insert(*uid, outcome);
                    true
                }
                None => {
                    outcomes.remove(uid);
                    false
                }
            }
        });
        news
    }

    /// The outcome of a channel. `None` if there will be one soon, or if the channel is not of this broker.
    fn outcome(&self, desired: &Desired, uid: Uuid) -> Option<Outcome> {
        if let Some(config) = desired.channels().get(&uid) {
            let state = if self.unacknowledged.contains(&uid) {
                State::Pending(self.pending.clone()?)
            } else {
                State::Programmed
            };
            let dead_letter = desired.dead_letter_faults().get(&uid).cloned();
            return Some(Outcome { generation: config.generation, state, dead_letter });
        }
        let (generation, state) = match (desired.lost().get(&uid), self.refused.get(&uid)) {
            (Some(lost), _) => (lost.generation, State::Lost(lost.conflict.clone())),
            (None, Some(refused)) => (refused.config.generation, State::Refused(refused.reason.clone())),
            (None, None) => return None,
        };
        Some(Outcome { generation, state, dead_letter: None })
    }

    /// Why channels are not programmed yet, if there is an obstacle.
    fn pending(&self) -> Option<Pending> {
        if self.pods.is_empty() {
            return Some(Pending::NoPod);
        }
        self.pods.values().find_map(|pod| {
            let link = pod.link();
            let error = link.error.as_ref()?;
            Some(Pending::Unreachable(format!("pod {}: {error}", link.pod)))
        })
    }

    /// Publishes the state of the pods' stores: at each inspection, and at once for the first answer or another store.
    ///
    /// Not at each change: a thousand new channels would cause a thousand status writes of their broker, and each
    /// status write triggers another reconcile.
    pub(super) fn publish_view(&self, is_inspection: bool) {
        let stores: Vec<_> = self.pods.values().filter_map(|pod| pod.link().known.store.clone()).collect();
        let Some(store) = stores.first() else {
            return;
        };
        let view = View {
            channels: Some(store.channels),
            orphans: Some(store.orphans),
            revision: Some(store.revision.to_string()),
            store_id: common_store(stores.iter().map(|store| store.store_id)),
        };
        let mut old = lock(&self.broker.member.view);
        if *old == view || !(is_inspection || old.store_id != view.store_id) {
            return;
        }
        *old = view;
        drop(old);
        self.trigger_broker();
    }
}

/// The store id of all pods. `None` if they differ, as for a moment while one pod replaces another.
fn common_store(ids: impl IntoIterator<Item = Uuid>) -> Option<Uuid> {
    let ids: HashSet<_> = ids.into_iter().collect();
    ids.iter().next().copied().filter(|_| ids.len() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_with_different_stores_have_no_common_store() {
        let [one, other] = [1, 2].map(Uuid::from_u128);
        assert_eq!(common_store([one, one]), Some(one));
        assert_eq!(common_store([one, other]), None);
        assert_eq!(common_store([]), None);
    }
}
