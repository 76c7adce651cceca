//! Publishes the outcome of each channel of a broker, and the state of its pods' stores.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{
    actor::Actor,
    member::{View, lock},
    outcome::{Outcome, Pending, State},
};

impl Actor {
    /// Publishes the outcome of every channel, and returns the channels whose outcome changed.
    pub(super) fn publish_outcomes(&mut self) -> HashSet<Uuid> {
        let pending = self.pending();
        let mut new_outcomes: HashMap<Uuid, Outcome> = HashMap::new();
        for (uid, config) in self.desired.channels() {
            let everywhere = !self.links.is_empty() && self.links.values().all(|link| link.known.has(config));
            if everywhere {
                self.acknowledged.insert(*uid, config.generation);
            }
            let state = match &pending {
                _ if self.acknowledged.get(uid) == Some(&config.generation) => State::Programmed,
                Some(pending) => State::Pending(pending.clone()),
                // The next turn continues with it.
                None => continue,
            };
            let dead_letter = self.desired.dead_letter_faults().get(uid).cloned();
            new_outcomes.insert(*uid, Outcome { generation: config.generation, state, dead_letter });
        }
        for (uid, lost) in self.desired.lost() {
            let state = State::Lost(lost.conflict.clone());
            new_outcomes.insert(*uid, Outcome { generation: lost.generation, state, dead_letter: None });
        }
        for (uid, (generation, reason)) in &self.refused {
            let state = State::Refused(reason.clone());
            new_outcomes.insert(*uid, Outcome { generation: *generation, state, dead_letter: None });
        }
        let mut outcomes = lock(&self.member.outcomes);
        let is_news = |(uid, outcome): &(&Uuid, &Outcome)| outcomes.get(uid) != Some(outcome);
        let news = new_outcomes.iter().filter(is_news).map(|(uid, _)| *uid).collect();
        *outcomes = new_outcomes;
        news
    }

    /// Why channels are not programmed yet, if there is an obstacle.
    fn pending(&self) -> Option<Pending> {
        if self.links.is_empty() {
            return Some(Pending::NoPod);
        }
        let failed = self.links.values().find_map(|link| Some((&link.pod, link.error.as_ref()?)));
        failed.map(|(pod, error)| Pending::Unreachable(format!("pod {pod}: {error}")))
    }

    /// Publishes the state of the pods' stores: at each inspection, and at once for the first answer or another store.
    ///
    /// Not at each change: a thousand new channels would cause a thousand status writes of their broker, and each
    /// status write triggers another reconcile.
    pub(super) fn publish_view(&self, is_inspection: bool) {
        let Some(store) = self.links.values().find_map(|link| link.known.store.as_ref()) else {
            return;
        };
        let view = View {
            channels: Some(store.channels),
            orphans: Some(store.orphans),
            revision: Some(store.revision.to_string()),
            store_id: common_store(
                self.links.values().filter_map(|link| Some(link.known.store.as_ref()?.store_id)),
            ),
        };
        let mut old = lock(&self.member.view);
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
