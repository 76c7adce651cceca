//! The backlogs of a broker's channels: read from the pods for new channels, and for all of them at each inspection.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    time::Duration,
};

use restante_crds::{Backlog, condition::kind};
use restante_wire::ChannelStats;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    INSPECT_INTERVAL,
    actor::{Actor, Done, reference},
    backlog::{rounded, sum},
    desired::Desired,
    member::lock,
    pod::{Broker, Requests},
};
use crate::shared::{conditions::is_true, jitter};

/// How long statuses show the last backlogs of a broker that does not answer. A restart takes less.
const BACKLOGS_MAX_AGE: Duration = Duration::from_secs(120);

/// The counts of channels, added over the pods.
pub(super) type Counts = HashMap<Uuid, ChannelStats>;

/// The counts that are being read.
pub(super) struct Counting {
    /// Newly programmed channels whose counts will be read next.
    waiting: HashSet<Uuid>,
    /// Newly programmed channels whose counts are being read.
    reading: HashSet<Uuid>,
    is_inspecting: bool,
    inspect_at: Instant,
    /// When every pod last answered with its backlogs.
    complete_at: Instant,
}

impl Counting {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            waiting: HashSet::new(),
            reading: HashSet::new(),
            is_inspecting: false,
            inspect_at: now + INSPECT_INTERVAL,
            complete_at: now,
        }
    }

    /// When the next inspection is due. `None` while one is in progress: its end starts a turn.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.is_inspecting).then_some(self.inspect_at)
    }

    pub(super) fn add(&mut self, uid: Uuid) {
        self.waiting.insert(uid);
    }

    pub(super) fn forget(&mut self, uid: Uuid) {
        self.waiting.remove(&uid);
        self.reading.remove(&uid);
    }

    /// Whether the counts of a new channel are still to come.
    pub(super) fn is_coming(&self, uid: Uuid) -> bool {
        self.waiting.contains(&uid) || self.reading.contains(&uid)
    }
}

impl Actor {
    /// Starts to read the counts of new channels, and an inspection if it is due. At most one of each is in progress.
    pub(super) fn start_counts(&mut self, now: Instant) {
        let pods: Vec<Requests> = self.pods.values().map(|pod| pod.requests.clone()).collect();
        if self.counting.reading.is_empty() && !self.counting.waiting.is_empty() {
            self.counting.reading = std::mem::take(&mut self.counting.waiting);
            let (pods, uids) = (pods.clone(), Vec::from_iter(self.counting.reading.iter().copied()));
            self.work.spawn(async move { Done::Count(count(&pods, &uids).await) });
        }
        if self.counting.inspect_at <= now && !self.counting.is_inspecting {
            self.counting.inspect_at = now + jitter::around(INSPECT_INTERVAL);
            self.counting.is_inspecting = true;
            self.work.spawn(async move { Done::Inspection(inspect(&pods).await) });
        }
    }

    /// Publishes the outcomes and the backlogs of new channels together. Without their counts, only the outcomes: the
    /// next inspection reads the counts.
    pub(super) fn finish_count(&mut self, counts: Option<Counts>) {
        let new = std::mem::take(&mut self.counting.reading);
        let mut news = counts.map(|counts| self.publish_backlogs(&counts)).unwrap_or_default();
        news.extend(self.publish_outcomes(new));
        self.trigger(&news);
    }

    /// Publishes what an inspection found.
    pub(super) fn finish_inspection(&mut self, counts: Option<Counts>) {
        self.counting.is_inspecting = false;
        self.publish_view(true);
        let now = Instant::now();
        if let Some(counts) = counts {
            self.counting.complete_at = now;
            let news = self.publish_backlogs(&counts);
            return self.trigger(&news);
        }
        if now.duration_since(self.counting.complete_at) < BACKLOGS_MAX_AGE {
            return;
        }
        let Broker { member, context, .. } = &self.broker;
        let given_up = member.presence.drop_backlogs(context, now);
        let mut backlogs = lock(&member.backlogs);
        given_up.keys().for_each(|uid| {
            backlogs.remove(uid);
        });
        context.channel_triggers.extend(given_up.into_values());
    }

    /// Publishes the backlogs whose status may be written now, and returns their channels.
    fn publish_backlogs(&self, counts: &Counts) -> HashSet<Uuid> {
        let now = Instant::now();
        let presence = &self.broker.member.presence;
        let desired = lock(&self.broker.desired);
        let mut backlogs = lock(&self.broker.member.backlogs);
        let mut news = HashSet::new();
        for (uid, stats) in counts.iter().filter(|(uid, _)| desired.channels().contains_key(uid)) {
            let backlog = rounded(stats);
            match backlogs.entry(*uid) {
                Entry::Occupied(mut published) => {
                    if *published.get() != backlog && presence.may_write(*uid, now) {
                        published.insert(backlog);
                        news.insert(*uid);
                    }
                }
                Entry::Vacant(place) => {
                    let shown = self.shown(&desired, *uid).unwrap_or_default();
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
        news
    }

    /// The backlog and Programmed of a channel's current status.
    fn shown(&self, desired: &Desired, uid: Uuid) -> Option<Shown> {
        let guard = self.broker.context.channels.get(&reference(desired.channels().get(&uid)?))?;
        let status = guard.0.as_ref().ok()?.status.as_ref()?;
        let is_programmed = is_true(&status.conditions, kind::PROGRAMMED);
        Some(Shown { backlog: status.backlog.clone(), is_programmed })
    }
}

#[derive(Debug, Clone, Default)]
struct Shown {
    backlog: Option<Backlog>,
    is_programmed: bool,
}

async fn count(pods: &[Requests], uids: &[Uuid]) -> Option<Counts> {
    let answers = pods.iter().map(|pod| pod.count(uids.to_vec()));
    added(futures_util::future::join_all(answers).await)
}

async fn inspect(pods: &[Requests]) -> Option<Counts> {
    let answers = pods.iter().map(Requests::inspect);
    added(futures_util::future::join_all(answers).await).filter(|_| !pods.is_empty())
}

/// The counts of all pods. `None` if one did not answer.
fn added(answers: Vec<Option<Vec<ChannelStats>>>) -> Option<Counts> {
    let mut counts = Counts::new();
    for one in answers.into_iter().collect::<Option<Vec<_>>>()?.into_iter().flatten() {
        let all = match counts.remove(&one.uid) {
            Some(before) => sum(before, &one),
            None => one,
        };
        counts.insert(all.uid, all);
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_inspection_is_due_while_one_is_in_progress() {
        let mut counting = Counting::new(Instant::now());
        assert!(counting.due().is_some());
        counting.is_inspecting = true;
        assert_eq!(counting.due(), None);
    }

    #[test]
    fn counts_are_complete_only_with_the_answer_of_every_pod() {
        let stats = |ready| -> ChannelStats {
            serde_json::from_value(serde_json::json!({
                "uid": Uuid::from_u128(1), "namespace": "acme", "name": "orders", "ready": ready, "leased": 0,
                "delayed": 0, "dead": 0, "bytes": 0, "waitingReceivers": 0,
            }))
            .unwrap()
        };
        let both = added(vec![Some(vec![stats(1)]), Some(vec![stats(2)])]).unwrap();
        assert_eq!(both[&Uuid::from_u128(1)].ready, 3);
        assert!(added(vec![Some(vec![stats(1)]), None]).is_none());
    }
}
