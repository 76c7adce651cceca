//! Inspections of a broker's task: the backlogs of its channels, and whether the pods still have the programmed
//! channels.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    time::Duration,
};

use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use kube::runtime::{events::EventType, reflector::ObjectRef};
use restante_crds::{Backlog, condition::kind};
use restante_wire::ChannelStats;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    actor::{Actor, uid_of},
    backlog::{rounded, sum},
    control::{Control, ControlError},
    member::{broker_ref, lock},
};
use crate::shared::conditions::is_true;

/// Up to this number of new channels, their counts are requested one by one.
const SINGLE_STATS_MAX: usize = 8;
/// How long statuses show the last backlogs of a broker that does not answer. A restart takes less.
const BACKLOGS_MAX_AGE: Duration = Duration::from_secs(120);

impl Actor {
    /// Reads the backlogs of newly programmed channels. Returns the channels whose backlog changed.
    pub(super) async fn inspect_new(&mut self, token: &str) -> HashSet<Uuid> {
        let new: Vec<Uuid> = {
            let mut backlogs = lock(&self.member.backlogs);
            backlogs.retain(|uid, _| self.desired.channels().contains_key(uid));
            let is_new =
                |uid: &&Uuid| !backlogs.contains_key(*uid) && !self.member.presence.backlog_is_unknown(**uid);
            self.acknowledged.keys().filter(is_new).copied().collect()
        };
        let mut counts = HashMap::new();
        if new.is_empty() {
            return HashSet::new();
        }
        for link in self.links.values() {
            let control = link.control(&self.context.http, token);
            let Ok(stats) = some_stats(&control, &new).await else {
                return HashSet::new();
            };
            add(&mut counts, stats);
        }
        self.publish_backlogs(&counts)
    }

    /// Reads every backlog, and checks whether the address stores still have the programmed channels. Returns the
    /// channels whose backlog changed.
    pub(super) async fn inspect(&mut self, token: &str) -> HashSet<Uuid> {
        let mut counts = HashMap::new();
        let mut complete = !self.links.is_empty();
        for link in self.links.values_mut() {
            let control = link.control(&self.context.http, token);
            match control.stats().await {
                Ok(stats) => add(&mut counts, stats),
                Err(_) => complete = false,
            }
            if let Ok(store) = control.revision().await
                && link.update_state(store, &self.desired)
            {
                self.context.metrics.drifts.inc();
                tracing::warn!(
                    broker = self.member.name, pod = link.pod,
                    holds = %link.revision().unwrap_or_default(), should_hold = %self.desired.revision(),
                    "address store drift detected in a pod: sending the complete set of channels"
                );
                let namespace = self.context.ownership.namespace();
                let mut broker: ObjectReference = broker_ref(&self.member.name, namespace).into();
                broker.uid = Some(self.member.facts().uid);
                let pod: ObjectReference = ObjectRef::<Pod>::new(&link.pod).within(namespace).into();
                let note = "the address store of a pod differs from the programmed set of channels: sending the complete set";
                let events = &self.context.events;
                events
                    .publish_about(&broker, EventType::Warning, "AddressStoreDrifted", note.into(), Some(pod))
                    .await;
                self.member.wake();
            }
        }
        self.publish_view(true);
        let now = Instant::now();
        if complete {
            self.complete_at = now;
            return self.publish_backlogs(&counts);
        }
        if now.duration_since(self.complete_at) < BACKLOGS_MAX_AGE {
            return HashSet::new();
        }
        let given_up = self.member.presence.drop_backlogs(&self.context, now);
        lock(&self.member.backlogs).retain(|uid, _| !given_up.contains(uid));
        given_up
    }

    /// Publishes the backlogs whose status may be written now, and returns their channels.
    fn publish_backlogs(&mut self, counts: &HashMap<Uuid, ChannelStats>) -> HashSet<Uuid> {
        let now = Instant::now();
        let shown = self.shown();
        let presence = &self.member.presence;
        let mut news = HashSet::new();
        {
            let mut backlogs = lock(&self.member.backlogs);
            for (uid, stats) in counts.iter().filter(|(uid, _)| self.desired.channels().contains_key(uid)) {
                let backlog = rounded(stats);
                match backlogs.entry(*uid) {
                    Entry::Occupied(mut published) => {
                        if *published.get() != backlog && presence.may_write(*uid, now) {
                            published.insert(backlog);
                            news.insert(*uid);
                        }
                    }
                    Entry::Vacant(place) => {
                        let shown = shown.get(uid).cloned().unwrap_or_default();
                        match shown.backlog {
                            // The status shows a backlog from before the operator's start: continue from there.
                            Some(shown) => {
                                place.insert(shown);
                            }
                            // The status of a channel that is new at the broker is written anyway, with the backlog.
                            None if !shown.is_programmed || presence.may_write(*uid, now) => {
                                place.insert(backlog);
                                news.insert(*uid);
                            }
                            None => {
                                presence.set_backlog_known(*uid, false);
                                continue;
                            }
                        }
                        presence.set_backlog_known(*uid, true);
                    }
                }
            }
        }
        news
    }

    /// The backlog and Programmed of each channel's current status.
    fn shown(&self) -> HashMap<Uuid, Shown> {
        let state = self.context.channels.state();
        let channels = state.iter().filter_map(|guard| guard.0.as_ref().ok());
        let shown = channels.filter_map(|channel| {
            let status = channel.status.as_ref()?;
            let is_programmed = is_true(&status.conditions, kind::PROGRAMMED);
            Some((uid_of(channel)?, Shown { backlog: status.backlog.clone(), is_programmed }))
        });
        shown.collect()
    }
}

#[derive(Debug, Clone, Default)]
struct Shown {
    backlog: Option<Backlog>,
    is_programmed: bool,
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
