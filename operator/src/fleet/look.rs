//! A broker's task, looking: how much is in its channels, and whether the pods still hold what they were given.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use kube::{
    core::DeserializeGuard,
    runtime::{events::EventType, reflector::ObjectRef},
};
use restante_crds::{Backlog, MessageChannel};
use restante_wire::ChannelStats;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    actor::{Actor, uid_of},
    backlog::{rounded, sum},
    control::{Control, ControlError},
    member::{broker_ref, lock},
};

/// The most channels whose counts are asked for one by one after they were programmed.
const SINGLE_STATS_MAX: usize = 8;

impl Actor {
    /// Looks at the backlogs of channels that were just programmed. Gives those that have news.
    pub(super) async fn first_look(&mut self, token: &str) -> HashSet<Uuid> {
        let new: Vec<Uuid> = {
            let mut backlogs = lock(&self.member.backlogs);
            backlogs.retain(|uid, _| self.desired.channels().contains_key(uid));
            self.acknowledged.keys().filter(|uid| !backlogs.contains_key(uid)).copied().collect()
        };
        let mut counts = HashMap::new();
        if new.is_empty() {
            return HashSet::new();
        }
        for link in self.links.values() {
            let control = link.control(&self.around.http, token);
            let Ok(stats) = some_stats(&control, &new).await else {
                return HashSet::new();
            };
            add(&mut counts, stats);
        }
        self.tell_backlogs(&counts)
    }

    /// Looks at every backlog, and at whether the address stores still hold what they were given. Gives the channels
    /// whose backlog has news.
    pub(super) async fn look(&mut self, token: &str) -> HashSet<Uuid> {
        let mut counts = HashMap::new();
        let mut complete = !self.links.is_empty();
        for link in self.links.values_mut() {
            let control = link.control(&self.around.http, token);
            match control.stats().await {
                Ok(stats) => add(&mut counts, stats),
                Err(_) => complete = false,
            }
            if let Ok(store) = control.revision().await
                && link.heard(store, &self.desired)
            {
                self.around.metrics.drifts.inc();
                tracing::warn!(
                    broker = self.member.name, pod = link.pod,
                    holds = %link.revision().unwrap_or_default(), should_hold = %self.desired.revision(),
                    "the address store of a pod drifted: sending the whole set"
                );
                let namespace = self.around.ownership.namespace();
                let mut broker: ObjectReference = broker_ref(&self.member.name, namespace).into();
                broker.uid = Some(self.member.facts().uid);
                let pod: ObjectReference = ObjectRef::<Pod>::new(&link.pod).within(namespace).into();
                let note = "the address store of a pod holds another set of channels than it was given: sending the whole set";
                let events = &self.around.events;
                events
                    .publish_about(&broker, EventType::Warning, "AddressStoreDrifted", note.into(), Some(pod))
                    .await;
                self.member.wake();
            }
        }
        self.tell_view(true);
        if complete { self.tell_backlogs(&counts) } else { HashSet::new() }
    }

    /// Publishes the backlogs whose status may be written now, and gives their channels.
    fn tell_backlogs(&mut self, counts: &HashMap<Uuid, ChannelStats>) -> HashSet<Uuid> {
        let now = Instant::now();
        let shown = self.shown_backlogs();
        let mut news = HashSet::new();
        {
            let mut backlogs = lock(&self.member.backlogs);
            for (uid, stats) in counts.iter().filter(|(uid, _)| self.desired.channels().contains_key(uid)) {
                let backlog = rounded(stats);
                match backlogs.entry(*uid) {
                    Entry::Occupied(mut told) => {
                        if *told.get() != backlog && self.pace.may_write(*uid, now) {
                            told.insert(backlog);
                            news.insert(*uid);
                        }
                    }
                    Entry::Vacant(place) => match shown.get(uid) {
                        // The status shows one from before the operator started: go on from there.
                        Some(shown) => {
                            place.insert(shown.clone());
                        }
                        None => {
                            place.insert(backlog);
                            news.insert(*uid);
                        }
                    },
                }
            }
        }
        news
    }

    /// The backlogs that statuses show now.
    fn shown_backlogs(&self) -> HashMap<Uuid, Backlog> {
        let state = self.around.channels.state();
        let channels =
            state.iter().filter_map(|guard: &Arc<DeserializeGuard<MessageChannel>>| guard.0.as_ref().ok());
        channels.filter_map(|channel| Some((uid_of(channel)?, channel.status.clone()?.backlog?))).collect()
    }
}

async fn some_stats(control: &Control, uids: &[Uuid]) -> Result<Vec<ChannelStats>, ControlError> {
    if uids.len() > SINGLE_STATS_MAX {
        return control.stats().await;
    }
    let mut stats = Vec::new();
    for uid in uids {
        stats.push(control.channel_stats(*uid).await?);
    }
    Ok(stats)
}

fn add(counts: &mut HashMap<Uuid, ChannelStats>, stats: Vec<ChannelStats>) {
    for one in stats {
        match counts.remove(&one.uid) {
            Some(before) => counts.insert(one.uid, sum(before, &one)),
            None => counts.insert(one.uid, one),
        };
    }
}
